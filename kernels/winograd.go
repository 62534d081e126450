package kernels

import (
	"fmt"

	"firebench/kernels/winograd"
	"firebench/kernels/workers"
)

const (
	// maxTile is the most inputs of a tile on a side.
	maxTile = 8

	// pointBytes is how much of the level-1 cache weights should take.
	pointBytes = 8 << 10
)

// winogradFor returns the algorithm for a convolution, nil if it has none: F(m, r) for
// square kernels of r×r taps. A kernel with stride s counts as one of ⌈K/s⌉ taps at
// stride 1, on the s² phases of the image.
func winogradFor(set *Set, s ConvShape) *winograd.Algorithm {
	if s.Check() != nil || s.KH != s.KW || s.Stride > 1 && s.Groups > 1 || s.KH < s.Stride {
		return nil
	}
	r := (s.KH + s.Stride - 1) / s.Stride
	if r >= len(set.Winograd) || set.Winograd[r].Outputs == 0 {
		return nil
	}
	return winograd.New(set.Winograd[r].Outputs, r)
}

// HasWinograd reports whether NewWinograd and Bind accept a convolution of an h×w
// image: the kernel must be square with 3 to 5 taps on a side, or strided with as
// many in each phase of the image, and the output no smaller than a tile.
func HasWinograd(set *Set, s ConvShape, h, w int) bool {
	a := winogradFor(set, s)
	if a == nil {
		return false
	}
	oh, ow := s.OutSize(h, w)
	return oh >= a.M && ow >= a.M
}

// NewWinograd is NewConv for Winograd's algorithm F(m×m, r×r), which needs (m+r-1)²
// multiplications for m² outputs instead of m²·r²: F(4×4, 3×3), F(5×5, 4×4) or
// F(4×4, 5×5). Strided convolutions become ones with stride 1 on the phases of the image.
//
// Its errors are larger than NewConv's and depend on the whole tile: WinogradBound
// has the bound. On random data they are some 7·10⁻⁶ of the largest output with up
// to a hundred channels, and grow with the square root of their number. A NaN or an
// infinity spreads over the outputs of the tiles that read it.
func NewWinograd(set *Set, s ConvShape, weights, bias []float32, relu bool) (*Conv, error) {
	if err := s.checkWeights(weights, bias); err != nil {
		return nil, err
	}
	a := winogradFor(set, s)
	if a == nil {
		return nil, fmt.Errorf("convolution: no Winograd algorithm for a %d×%d kernel with stride %d and %d groups", s.KH, s.KW, s.Stride, s.Groups)
	}
	c := &Conv{set: set, shape: s, winograd: a, lo: lowest(relu)}
	c.cut(c.points()*c.winogradIn(), bias)
	c.packWinograd(weights)
	return c, nil
}

// points is the number of products a tile and channel.
func (c *Conv) points() int { return c.winograd.N() * c.winograd.N() }

// winogradIn is the number of input channels in a group, all phases counted.
func (c *Conv) winogradIn() int {
	return c.shape.In / c.shape.Groups * c.shape.Stride * c.shape.Stride
}

// packWinograd fills the panels with G·g·Gᵀ, rounded once: for every point, one row
// per input channel, the phases outermost, with one weight per column of the tile.
func (c *Conv) packWinograd(weights []float32) {
	s, r, side := c.shape, c.winograd.R, c.winograd.N()
	in, channels := s.In/s.Groups, c.winogradIn()
	taps := s.KH * s.KW
	var g [maxTile][maxTile]float64
	for i, row := range c.winograd.G.Float() {
		copy(g[i][:], row)
	}
	for _, b := range c.blocks {
		width := b.tile.Width
		panel := c.panels[b.weights:][:side*side*channels*width]
		for ci := range channels {
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
					row := half[i][:r]
					for j := range side {
						sum := 0.0
						for x, v := range g[j][:len(row)] {
							sum += row[x] * v
						}
						panel[((i*side+j)*channels+ci)*width+n] = float32(sum)
					}
				}
			}
		}
	}
}

// RowAlign is 1, or the height of Winograd's output tiles. Computing an output in
// windows of rows gives the same bits as computing it at once if windows start at
// multiples of it and are no lower.
func (c *Conv) RowAlign() int {
	if c.winograd != nil {
		return c.winograd.M
	}
	return 1
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
	*Conv
	*Transforms
	scratch
	dst, src View

	rows, cols int // tiles
	blockRows  int // parts that the tile rows of an image are cut into
	parts      int // parts that the output channels are cut into

	run      int                                // floats of an input row that a pixel of depth stands for
	vectors  int                                // the same in whole vectors
	channels int                                // of a pixel of the transformed input, all groups
	depthW   int                                // pixels of a row after space-to-depth; 0 where every tile reads the source
	inPoint  int                                // floats between the matrices of transformed inputs
	outPoint int                                // floats between the matrices of products
	layout   struct{ in, out, depth, edge int } // offsets in scratch
}

func (c *Conv) bindWinograd(dst, src View, threads int) (workers.Task, error) {
	s, a := c.shape, c.winograd
	if src.Halo < s.Pad {
		return nil, fmt.Errorf("convolution: halo %d of the source is less than the padding %d", src.Halo, s.Pad)
	}
	if dst.H < a.M || dst.W < a.M {
		return nil, fmt.Errorf("convolution: output %v is smaller than Winograd's %d×%d tiles", dst, a.M, a.M)
	}
	t := &winogradTask{Conv: c, Transforms: &c.set.Winograd[a.R], dst: dst, src: src}
	points := c.points()
	t.rows, t.cols = (dst.H+a.M-1)/a.M, (dst.W+a.M-1)/a.M
	lanes := c.set.Lanes
	up := func(n int) int { return (n + lanes - 1) / lanes * lanes }
	t.run = s.Stride * s.In
	t.vectors = up(t.run)
	t.channels = up(s.Stride * t.run)
	if s.Stride > 1 || t.vectors > t.run {
		t.depthW = dst.W + a.R - 1
	}
	width := c.set.Wide.Width
	// Two thirds of the cache for transformed inputs and products leave room for weights. More
	// weights than that come from behind it once a block: fewer blocks then.
	budget := Level2() * 2 / 3
	if 4*len(c.panels) > Level2() {
		budget = Level2()
	}
	rows := budget / (4 * points * t.cols * (t.channels + width))
	t.blockRows = min((t.rows+max(rows, 1)-1)/max(rows, 1), max(t.rows/2, 1)) // two rows at least: the last may overlap
	chunks := dst.N * t.blockRows
	for t.parts = 1; t.parts < len(c.blocks) && threads > 1 && (chunks*t.parts)%threads != 0 && chunks*t.parts < 4*threads; {
		t.parts++
	}

	tiles := (t.rows + t.blockRows - 1) / t.blockRows * t.cols
	t.inPoint, t.outPoint = oddLines(tiles*t.channels), oddLines(tiles*width)
	size := 0
	reserve := func(n int) int {
		at := size
		size += (n + 15) / 16 * 16
		return at
	}
	t.layout.in = reserve(points * t.inPoint)
	t.layout.out = reserve(points * t.outPoint)
	t.layout.edge = reserve(a.M * a.M * width)
	if t.depthW > 0 {
		t.layout.depth = reserve(a.N()*t.depthW*t.channels + t.vectors) // the last run may go beyond
	}
	t.scratch = newScratch(threads, size)
	return t, nil
}

// oddLines rounds a stride up to an odd number of cache lines: powers of two would
// map all matrices to the same few sets of the cache.
func oddLines(floats int) int { return (floats+15)/16*16 | 16 }

func (t *winogradTask) Chunks() int { return t.dst.N * t.blockRows * t.parts }

func (t *winogradTask) Chunk(worker, i int) {
	if i == 0 {
		t.dst.zeroHalo()
	}
	part, block := i%t.parts, i/t.parts
	n, block := block/t.blockRows, block%t.blockRows
	first, last := block*t.rows/t.blockRows, (block+1)*t.rows/t.blockRows
	buf := t.of(worker)
	t.input(buf, n, first, last)
	tiles := (last - first) * t.cols
	for b := part * len(t.blocks) / t.parts; b < (part+1)*len(t.blocks)/t.parts; b++ {
		t.multiply(buf, &t.blocks[b], tiles)
		t.output(buf, &t.blocks[b], n, first, last)
	}
}

// outRow is the first output row of a row of tiles.
func (t *winogradTask) outRow(row int) int { return min(row*t.winograd.M, t.dst.H-t.winograd.M) }

// full is how many tiles of a row lie side by side; one more may overlap the last.
func (t *winogradTask) full() int { return t.dst.W / t.winograd.M }

// input transforms the inputs of tile rows first to last-1 of image n.
func (t *winogradTask) input(buf []float32, n, first, last int) {
	m, src := t.winograd.M, t.src
	in := buf[t.layout.in:]
	for row := first; row < last; row++ {
		y := t.outRow(row)
		var data []float32
		srcRow, pixel := src.Row, src.Pixel
		if t.depthW > 0 {
			data, srcRow, pixel = buf[t.layout.depth:], t.depthW*t.channels, t.channels
			t.spaceToDepth(data, n, y)
		} else {
			data = src.Data[src.Index(n, y-t.shape.Pad, -t.shape.Pad, 0):]
		}
		full := t.full()
		t.Input(&in[0], &data[0], full, t.channels, srcRow, pixel, m*pixel, t.inPoint, t.channels)
		if full < t.cols {
			t.Input(&in[full*t.channels], &data[(t.dst.W-m)*pixel], 1, t.channels, srcRow, pixel, 0, t.inPoint, t.channels)
		}
		in = in[t.cols*t.channels:]
	}
}

// spaceToDepth writes the input of the tiles of output row y of image n: rows of pixels,
// each of which stands for Stride×Stride of src, one row of them after the other. What
// follows them in the last vector is anything: no product reads what becomes of it. With
// stride 1 it only makes room for whole vectors.
func (t *winogradTask) spaceToDepth(out []float32, n, y int) {
	s, src := t.shape, t.src
	step := s.Stride * src.Pixel
	// Rows that only taps without a weight reach may not exist, or not yet.
	rows := max(src.H, (t.dst.H-1)*s.Stride-s.Pad+s.KH)
	for i := range t.winograd.N() {
		iy, x := (y+i)*s.Stride-s.Pad, 0
		if iy+s.Stride <= rows && (s.Stride == 1 || src.Pixel == s.In) {
			// Whole pixels: all columns exist, and memory behind the last for the rest of a vector.
			at := src.Index(n, iy, -s.Pad, 0)
			spare := len(src.Data) - (at + (s.Stride-1)*src.Row + t.vectors)
			x = max(min((src.W+2*s.Pad)/s.Stride, t.depthW, (spare+step)/step), 0)
			if x > 0 {
				t.set.SpaceToDepth(&out[0], &src.Data[at], x, s.Stride, t.vectors, step, src.Row, t.channels, t.run)
			}
		}
		for ; x < t.depthW; x++ {
			px := out[x*t.channels:][:t.channels]
			clear(px)
			for p := range s.Stride {
				for q := range s.Stride {
					ix := x*s.Stride + q - s.Pad
					if iy+p < rows && ix < src.W {
						copy(px[p*t.run+q*s.In:], src.Data[src.Index(n, iy+p, ix, 0):][:s.In])
					}
				}
			}
		}
		out = out[t.depthW*t.channels:]
	}
}

// multiply computes the products of one block of output channels: n² matrix
// products. Tiles of two heights take two calls, for a few points at a time, so that the
// second finds their weights in the level-1 cache; both prefetch the next points'.
func (t *winogradTask) multiply(buf []float32, b *convBlock, tiles int) {
	k, width := t.winogradIn(), b.tile.Width
	height, taller, lower := b.tile.cut(tiles)
	pace := pace(width, taller+lower)
	points := t.points()
	step := min(max(pointBytes/(4*k*width), 1), points)
	for p := 0; p < points; p += step {
		n := min(step, points-p)
		in, out := buf[t.layout.in+p*t.inPoint+b.in:], buf[t.layout.out+p*t.outPoint:]
		w, ahead := t.panels[b.weights+p*k*width:], t.panels[min(b.weights+(p+n)*k*width, len(t.panels)-1):]
		if taller > 0 {
			b.tile.Product[height](&out[0], &in[0], &w[0], &ahead[0], n, k, taller, t.inPoint, t.outPoint, t.channels, pace)
			done := taller * (height + 1)
			in, out = in[done*t.channels:], out[done*width:]
			ahead = ahead[min(n*k*width*taller/(taller+lower), len(ahead)-1):]
		}
		b.tile.Product[height-1](&out[0], &in[0], &w[0], &ahead[0], n, k, lower, t.inPoint, t.outPoint, t.channels, pace)
	}
}

// output transforms the products of one block of output channels.
func (t *winogradTask) output(buf []float32, b *convBlock, n, first, last int) {
	m, width := t.winograd.M, b.tile.Width
	bias := &t.bias[b.bias]
	full := t.full()
	products := buf[t.layout.out:]
	for y := first; y < last; y++ {
		oy := t.outRow(y)
		if b.width == width {
			dst := t.dst.Index(n, oy, 0, b.out)
			t.Output(&t.dst.Data[dst], &products[0], bias, full, width, t.outPoint, width, t.dst.Row, t.dst.Pixel, m*t.dst.Pixel, t.lo)
			if full < t.cols {
				t.Output(&t.dst.Data[dst+(t.dst.W-m)*t.dst.Pixel], &products[full*width], bias, 1, width, t.outPoint, width, t.dst.Row, t.dst.Pixel, 0, t.lo)
			}
		} else {
			// A kernel always writes the tile's full width: go through a buffer.
			edge := buf[t.layout.edge:]
			for x := range t.cols {
				t.Output(&edge[0], &products[x*width], bias, 1, width, t.outPoint, width, m*width, width, 0, t.lo)
				ox := min(x*m, t.dst.W-m)
				for i := range m {
					for j := range m {
						copy(t.dst.Data[t.dst.Index(n, oy+i, ox+j, b.out):][:b.width], edge[(i*m+j)*width:])
					}
				}
			}
		}
		products = products[t.cols*width:]
	}
}
