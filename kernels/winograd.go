package kernels

import (
	"fmt"

	"firebench/kernels/winograd"
	"firebench/kernels/workers"
)

const (
	// maxTile is the most inputs of a tile on a side.
	maxTile = 8

	// elementBytes is how much of the level-1 cache the weights of a few elements should take.
	elementBytes = 8 << 10
)

// What a transform of one vector of channels of the 36 elements of a 6×6 tile costs, in
// cycles of a core that issues two multiply-adds: counted in the generated code and measured,
// see results/.
const (
	inputCycles  = 95
	outputCycles = 85
)

// winogradAlgorithm is F(m×m, r×r), which needs (m+r-1)² multiplications for m² outputs
// instead of m²·r² (Lavin and Gray 2015): F(4×4, 3×3), F(5×5, 4×4) or F(4×4, 5×5). The kernel
// must be square with 3 to 5 taps on a side, or strided with as many in each phase of the
// image, and the output no smaller than a tile. Strided convolutions become ones with stride
// 1 on the phases of the image.
//
// Its errors are larger than the direct algorithm's and depend on the whole tile:
// WinogradBound has the bound. On random data they are some 7·10⁻⁶ of the largest output with up
// to a hundred channels, and grow with the square root of their number. A NaN or an
// infinity spreads over the outputs of the tiles that read it.
var winogradAlgorithm = algorithm{
	name: "winograd",
	cycles: func(set *Set, p Problem, cache int) (int, bool) {
		a := winogradFor(set, p.ConvShape)
		oh, ow := p.OutSize(p.H, p.W)
		if a == nil || oh < a.M || ow < a.M {
			return 0, false
		}
		elements := a.N() * a.N()
		tiles := (oh + a.M - 1) / a.M * ((ow + a.M - 1) / a.M)
		in := p.In * p.Stride * p.Stride
		inVectors, outVectors := vectors(in, set.F32.Lanes), vectors(p.Out, set.F32.Lanes)
		// Each product ends with stores that so short a sum does not hide: some five
		// more steps of it.
		products := elements * tiles * (in/p.Groups + 5) * outVectors / 2
		transforms := tiles * elements * (inputCycles*inVectors + outputCycles*outVectors) / 36
		return max(products, stream(elements*p.Out*in/p.Groups, cache)) + transforms, true
	},
	pack: func(set *Set, p Problem, weights, bias []float32) Conv {
		a := winogradFor(set, p.ConvShape)
		channels := p.In / p.Groups * p.Stride * p.Stride
		c := &winogradConv{newPacked(set, p, a.N()*a.N()*channels, bias), a, channels}
		c.packWeights(weights)
		return c
	},
}

// winogradFor returns the algorithm for a convolution of large enough images, nil if it has none: F(m, r) for
// square kernels of r×r taps. A kernel with stride s counts as one of ⌈K/s⌉ taps at
// stride 1, on the s² phases of the image.
func winogradFor(set *Set, s ConvShape) *winograd.Algorithm {
	if s.KH != s.KW || s.Stride > 1 && s.Groups > 1 || s.KH < s.Stride {
		return nil
	}
	r := (s.KH + s.Stride - 1) / s.Stride
	if r >= len(set.F32.Winograd) || set.F32.Winograd[r].Outputs == 0 {
		return nil
	}
	return winograd.New(set.F32.Winograd[r].Outputs, r)
}

// A winogradConv has panels of transformed weights.
type winogradConv struct {
	packed
	f        *winograd.Algorithm // F(m, r)
	channels int                 // input channels in a group, those of all phases
}

func (c *winogradConv) Algorithm() string { return winogradAlgorithm.name }

// elements is the number of elements of a tile of inputs, and of products.
func (c *winogradConv) elements() int { return c.f.N() * c.f.N() }

func (c *winogradConv) Executed() int64 {
	oh, ow := c.problem.OutSize(c.problem.H, c.problem.W)
	tiles := (oh + c.f.M - 1) / c.f.M * ((ow + c.f.M - 1) / c.f.M)
	return int64(c.elements()*tiles) * int64(c.channels) * int64(len(c.bias))
}

func (c *winogradConv) RowAlign() int { return c.f.M }

// KernelRows rounds up to whole phases of the image.
func (c *winogradConv) KernelRows() int { return c.f.R * c.problem.Stride }

// packWeights fills the panels with G·g·Gᵀ, rounded once: for every element, one row
// per input channel, the phases outermost, with one weight per column of the tile.
func (c *winogradConv) packWeights(weights []float32) {
	s, side := c.problem.ConvShape, c.f.N()
	in, taps := s.In/s.Groups, s.KH*s.KW
	var g [maxTile][maxTile]float64
	for i, row := range c.f.G.Float() {
		copy(g[i][:], row)
	}
	for _, b := range c.blocks {
		width := b.tile.Width
		panel := c.panels[b.weights:][:side*side*c.channels*width]
		for ci := range c.channels {
			phase, ch := ci/in, ci%in
			py, px := phase/s.Stride, phase%s.Stride
			for n := range b.width {
				w := weights[((b.out+n)*in+ch)*taps:][:taps]
				var half [maxTile][maxTile]float64 // G·g
				for y := 0; y*s.Stride+py < s.KH; y++ {
					for x := 0; x*s.Stride+px < s.KW; x++ {
						tap := float64(w[(y*s.Stride+py)*s.KW+x*s.Stride+px])
						for i := range side {
							half[i][x] += g[i][y] * tap
						}
					}
				}
				for i := range side {
					row := half[i][:c.f.R]
					for j := range side {
						sum := 0.0
						for x, v := range g[j][:len(row)] {
							sum += row[x] * v
						}
						panel[((i*side+j)*c.channels+ci)*width+n] = float32(sum)
					}
				}
			}
		}
	}
}

// winogradTask is a Winograd convolution bound to its views. A chunk takes a block
// of tile rows through all steps, for a part of the output channels: the inputs are
// transformed to n² matrices [tile][channel], each multiplied by its matrix of weights, one
// block of output channels after the other, and the products transformed to outputs.
// The working set stays in the level-2 cache.
//
// Where tiles do not divide the output, the last one of a row or column moves back
// and overlaps its neighbour: no tile reaches beyond the padding. Both are in one
// chunk, so that the order in which they write is fixed.
type winogradTask struct {
	*winogradConv
	*Transforms
	scratch
	dst, src View

	rows, cols int // tiles
	blockRows  int // parts that the tile rows of an image are cut into
	parts      int // parts that the output channels are cut into

	run        int                                // floats of an input row that a pixel of depth stands for
	vectors    int                                // the same in whole vectors
	channels   int                                // of a pixel of the transformed input, all groups
	depthW     int                                // pixels of a row after space-to-depth; 0 where every tile reads the source
	inElement  int                                // floats between the matrices of transformed inputs
	outElement int                                // floats between the matrices of products
	layout     struct{ in, out, depth, edge int } // offsets in scratch
}

func (c *winogradConv) Bind(dst, src View, threads int) (workers.Task, error) {
	if err := c.checkBind(dst, src); err != nil {
		return nil, err
	}
	s, a := c.problem.ConvShape, c.f
	if dst.H < a.M || dst.W < a.M {
		return nil, fmt.Errorf("convolution: output %v is smaller than Winograd's %d×%d tiles", dst, a.M, a.M)
	}
	t := &winogradTask{winogradConv: c, Transforms: &c.f32.Winograd[a.R], dst: dst, src: src}
	elements := c.elements()
	t.rows, t.cols = (dst.H+a.M-1)/a.M, (dst.W+a.M-1)/a.M
	lanes := c.f32.Lanes
	up := func(n int) int { return (n + lanes - 1) / lanes * lanes }
	t.run = s.Stride * s.In
	t.vectors = up(t.run)
	t.channels = up(s.Stride * t.run)
	if s.Stride > 1 || t.vectors > t.run {
		t.depthW = dst.W + a.R - 1
	}
	width := c.f32.Wide.Width
	// Two thirds of the cache for transformed inputs and products leave room for weights. More
	// weights than that come from behind it once a block: fewer blocks then.
	budget := Level2() * 2 / 3
	if len(Bytes(c.panels)) > Level2() {
		budget = Level2()
	}
	rows := budget / (Float32.Size() * elements * t.cols * (t.channels + width))
	t.blockRows = min((t.rows+max(rows, 1)-1)/max(rows, 1), max(t.rows/2, 1)) // two rows at least: the last may overlap
	chunks := dst.N * t.blockRows
	for t.parts = 1; t.parts < len(c.blocks) && threads > 1 && (chunks*t.parts)%threads != 0 && chunks*t.parts < 4*threads; {
		t.parts++
	}

	tiles := (t.rows + t.blockRows - 1) / t.blockRows * t.cols
	t.inElement, t.outElement = oddLines(tiles*t.channels), oddLines(tiles*width)
	size := 0
	reserve := func(n int) int {
		at := size
		size += (n + 15) / 16 * 16
		return at
	}
	t.layout.in = reserve(elements * t.inElement)
	t.layout.out = reserve(elements * t.outElement)
	t.layout.edge = reserve(a.M * a.M * width)
	if t.depthW > 0 {
		t.layout.depth = reserve(a.N()*t.depthW*t.channels + t.vectors) // the last run may go beyond
	}
	t.scratch = newScratch[float32](threads, size)
	return t, nil
}

// oddLines rounds a stride up to an odd number of cache lines: powers of two would
// map all matrices to the same few sets of the cache.
func oddLines(floats int) int { return (floats+15)/16*16 | 16 }

func (t *winogradTask) Chunks() int { return t.dst.N * t.blockRows * t.parts }

func (t *winogradTask) Chunk(worker, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	part, block := i%t.parts, i/t.parts
	n, block := block/t.blockRows, block%t.blockRows
	first, last := block*t.rows/t.blockRows, (block+1)*t.rows/t.blockRows
	buf := scratchOf[float32](&t.scratch, worker)
	t.input(buf, n, first, last)
	tiles := (last - first) * t.cols
	for b := part * len(t.blocks) / t.parts; b < (part+1)*len(t.blocks)/t.parts; b++ {
		t.multiply(buf, &t.blocks[b], tiles)
		t.output(buf, &t.blocks[b], n, first, last)
	}
}

// outRow is the first output row of a row of tiles.
func (t *winogradTask) outRow(row int) int { return min(row*t.f.M, t.dst.H-t.f.M) }

// full is how many tiles of a row lie side by side; one more may overlap the last.
func (t *winogradTask) full() int { return t.dst.W / t.f.M }

// input transforms the inputs of tile rows first to last-1 of image n.
func (t *winogradTask) input(buf []float32, n, first, last int) {
	m, src := t.f.M, t.src
	in := buf[t.layout.in:]
	for row := first; row < last; row++ {
		y := t.outRow(row)
		var data []float32
		srcRow, pixel := src.Row, src.Pixel
		if t.depthW > 0 {
			data, srcRow, pixel = buf[t.layout.depth:], t.depthW*t.channels, t.channels
			t.spaceToDepth(data, n, y)
		} else {
			data = Data[float32](src)[src.Index(n, y-t.problem.Pad, -t.problem.Pad, 0):]
		}
		full := t.full()
		t.Input(&in[0], &data[0], full, t.channels, srcRow, pixel, m*pixel, t.inElement, t.channels)
		if full < t.cols {
			t.Input(&in[full*t.channels], &data[(t.dst.W-m)*pixel], 1, t.channels, srcRow, pixel, 0, t.inElement, t.channels)
		}
		in = in[t.cols*t.channels:]
	}
}

// spaceToDepth writes the input of the tiles of output row y of image n: rows of pixels,
// each of which stands for Stride×Stride of src, one row of them after the other. What
// follows them in the last vector is anything: no product reads what becomes of it. With
// stride 1 it only makes room for whole vectors.
func (t *winogradTask) spaceToDepth(out []float32, n, y int) {
	s, src := t.problem, t.src
	in, step := Data[float32](src), s.Stride*src.Pixel
	// Rows that only taps without a weight reach may not exist, or not yet.
	rows := max(src.H, (t.dst.H-1)*s.Stride-s.Pad+s.KH)
	for i := range t.f.N() {
		iy, x := (y+i)*s.Stride-s.Pad, 0
		if iy+s.Stride <= rows && (s.Stride == 1 || src.Pixel == s.In) {
			// Whole pixels: all columns exist, and memory behind the last for the rest of a vector.
			at := src.Index(n, iy, -s.Pad, 0)
			spare := len(in) - (at + (s.Stride-1)*src.Row + t.vectors)
			x = max(min((src.W+2*s.Pad)/s.Stride, t.depthW, (spare+step)/step), 0)
			if x > 0 {
				t.f32.SpaceToDepth(&out[0], &in[at], x, s.Stride, t.vectors, step, src.Row, t.channels, t.run)
			}
		}
		for ; x < t.depthW; x++ {
			px := out[x*t.channels:][:t.channels]
			clear(px)
			for p := range s.Stride {
				for q := range s.Stride {
					ix := x*s.Stride + q - s.Pad
					if iy+p < rows && ix < src.W {
						copy(px[p*t.run+q*s.In:], in[src.Index(n, iy+p, ix, 0):][:s.In])
					}
				}
			}
		}
		out = out[t.depthW*t.channels:]
	}
}

// multiply computes the products of one block of output channels: n² matrix
// products. Tiles of two heights take two calls, for a few elements at a time, so that the
// second finds their weights in the level-1 cache; both prefetch those of the next elements.
func (t *winogradTask) multiply(buf []float32, b *block, tiles int) {
	k, width := t.winogradConv.channels, b.tile.Width
	height, taller, shorter := b.tile.split(tiles)
	pace := pace(width, taller+shorter)
	elements := t.elements()
	step := min(max(elementBytes/(Float32.Size()*k*width), 1), elements)
	for p := 0; p < elements; p += step {
		n := min(step, elements-p)
		in, out := buf[t.layout.in+p*t.inElement+b.in:], buf[t.layout.out+p*t.outElement:]
		w, ahead := t.panels[b.weights+p*k*width:], t.panels[min(b.weights+(p+n)*k*width, len(t.panels)-1):]
		if taller > 0 {
			b.tile.BatchMatMul[height](&out[0], &in[0], &w[0], &ahead[0], n, k, taller, t.inElement, t.outElement, t.channels, pace)
			done := taller * (height + 1)
			in, out = in[done*t.channels:], out[done*width:]
			ahead = ahead[min(n*k*width*taller/(taller+shorter), len(ahead)-1):]
		}
		b.tile.BatchMatMul[height-1](&out[0], &in[0], &w[0], &ahead[0], n, k, shorter, t.inElement, t.outElement, t.channels, pace)
	}
}

// output transforms the products of one block of output channels.
func (t *winogradTask) output(buf []float32, b *block, n, first, last int) {
	m, width := t.f.M, b.tile.Width
	bias := &t.bias[b.bias]
	full := t.full()
	products, out := buf[t.layout.out:], Data[float32](t.dst)
	for y := first; y < last; y++ {
		oy := t.outRow(y)
		if b.width == width {
			dst := t.dst.Index(n, oy, 0, b.out)
			t.Output(&out[dst], &products[0], bias, full, width, t.outElement, width, t.dst.Row, t.dst.Pixel, m*t.dst.Pixel, t.lower)
			if full < t.cols {
				t.Output(&out[dst+(t.dst.W-m)*t.dst.Pixel], &products[full*width], bias, 1, width, t.outElement, width, t.dst.Row, t.dst.Pixel, 0, t.lower)
			}
		} else {
			// A kernel always writes the tile's full width: go through a buffer.
			edge := buf[t.layout.edge:]
			for x := range t.cols {
				t.Output(&edge[0], &products[x*width], bias, 1, width, t.outElement, width, m*width, width, 0, t.lower)
				ox := min(x*m, t.dst.W-m)
				for i := range m {
					for j := range m {
						copy(out[t.dst.Index(n, oy+i, ox+j, b.out):][:b.width], edge[(i*m+j)*width:])
					}
				}
			}
		}
		products = products[t.cols*width:]
	}
}
