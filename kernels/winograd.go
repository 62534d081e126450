package kernels

import (
	"fmt"
	"unsafe"

	"firebench/kernels/winograd"
	"firebench/kernels/workers"
)

const (
	// maxTile is the number of inputs along a side of the largest tile.
	maxTile = 8

	// callBytes bounds the weights that one call of BatchMatMul uses, in bytes, so that they are
	// still in the level-1 cache for the call that follows; see multiply.
	callBytes = 8 << 10

	// lineFloats is the number of float32 values in a cache line.
	lineFloats = align / int(unsafe.Sizeof(float32(0)))
)

// The cycles in which the two transforms handle one vector of channels of a 6×6 tile, with its 36
// elements, on a core that issues two vector multiply-adds a cycle: counted in the generated
// code and measured; see results/.
const (
	inputCycles  = 95
	outputCycles = 85
)

// winogradAlgorithm is Winograd's F(m×m, r×r), which needs (m+r-1)² multiplications for m²
// outputs instead of m²·r² (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
// 2015): F(4×4, 3×3), F(5×5, 4×4) or F(4×4, 5×5). A convolution with stride s is computed as one
// with stride 1: the s² phases of the image, each with every s-th row and column, become
// channels. The kernel must be square and have 3 to 5 taps along a side, in each phase, and the
// output must be at least as large as the outputs of a tile.
//
// The errors are larger than the direct algorithm's, and depend on all inputs of a tile:
// WinogradBound bounds them. On random data with up to a hundred channels they are about
// 7·10⁻⁶ of the largest output; they grow with the square root of the number of channels. A
// NaN or an infinity spreads over all outputs of the tiles that read it.
var winogradAlgorithm = algorithm{
	name: "winograd",
	cycles: func(set *Set, p Problem, cache int) (int, bool) {
		a := winogradFor(set, p.ConvShape)
		oh, ow := p.OutSize(p.H, p.W)
		if a == nil || oh < a.M || ow < a.M || !p.floats() {
			return 0, false
		}
		elements := a.N() * a.N()
		tiles := tileCount(a, oh, ow)
		in := p.In * p.Stride * p.Stride
		inVectors, outVectors := vectors(in, set.F32.Lanes), vectors(p.Out, set.F32.Lanes)
		// Each matrix product ends with stores. A sum over few channels is too short to hide
		// them; they cost as much as five more channels.
		products := elements * tiles * (in/p.Groups + 5) * outVectors / 2
		transforms := tiles * elements * (inputCycles*inVectors + outputCycles*outVectors) / 36
		return max(products, stream(elements*p.Out*in/p.Groups*Float32.Size(), cache)) + transforms, true
	},
	pack: func(set *Set, p Problem, w Weights) (Conv, error) {
		a := winogradFor(set, p.ConvShape)
		k := p.In / p.Groups * p.Stride * p.Stride
		c := &winogradConv{newPacked[float32, float32](&set.F32.BatchMatMul, p, a.N()*a.N()*k), set.F32, a, k}
		packChannels(c.bias, c.blocks, w.Bias)
		c.packWeights(w.Values)
		return c, nil
	},
}

// winogradFor returns the F(m, r) for a convolution of images that are large enough, or nil if
// there is none: r is the number of taps along a side of the kernel, ⌈KH/Stride⌉ in each phase of
// the image.
func winogradFor(set *Set, s ConvShape) *winograd.Algorithm {
	if s.KH != s.KW || s.Stride > 1 && s.Groups > 1 {
		return nil
	}
	r := (s.KH + s.Stride - 1) / s.Stride
	if r >= len(set.F32.Winograd) || set.F32.Winograd[r].Outputs == 0 {
		return nil
	}
	return winograd.New(set.F32.Winograd[r].Outputs, r)
}

// tileCount returns how many tiles cover oh×ow outputs.
func tileCount(a *winograd.Algorithm, oh, ow int) int {
	return (oh + a.M - 1) / a.M * ((ow + a.M - 1) / a.M)
}

// A winogradConv has panels of transformed weights.
type winogradConv struct {
	packed[float32, float32]
	f32 *F32
	f   *winograd.Algorithm // F(m, r)
	k   int                 // terms of a sum: input channels in a group, all phases counted
}

func (c *winogradConv) Algorithm() string { return winogradAlgorithm.name }

// elements returns the number of elements of a tile: it has as many inputs as products.
func (c *winogradConv) elements() int { return c.f.N() * c.f.N() }

func (c *winogradConv) Executed() int64 {
	oh, ow := c.problem.OutSize(c.problem.H, c.problem.W)
	return int64(c.elements()*tileCount(c.f, oh, ow)) * int64(c.k) * int64(len(c.bias))
}

// RowAlign implements Conv. An output has the same bits only in the same tile, so the tiles of a
// part must lie as they do in the whole output.
func (c *winogradConv) RowAlign() int { return c.f.M }

// KernelRows implements Conv. R rows of each phase of the image are read, even where the kernel has
// no taps for the last of them.
func (c *winogradConv) KernelRows() int { return c.f.R * c.problem.Stride }

// packWeights fills the panels with the transformed kernels G·g·Gᵀ, computed in float64 and rounded
// once. A panel has, for each element of a tile, a row per input channel, phase by phase; a row
// has one weight for each output channel of the block.
func (c *winogradConv) packWeights(weights []float32) {
	s, side := c.problem.ConvShape, c.f.N()
	in, taps := s.In/s.Groups, s.KH*s.KW
	var g [maxTile][maxTile]float64
	for i, row := range c.f.G.Float() {
		copy(g[i][:], row)
	}
	for _, b := range c.blocks {
		width := b.tile
		panel := c.panels[b.weights:][:side*side*c.k*width]
		for ci := range c.k {
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
						panel[((i*side+j)*c.k+ci)*width+n] = float32(sum)
					}
				}
			}
		}
	}
}

// A winogradTask is a Winograd convolution bound to its views. A chunk takes some rows of tiles
// through all steps, for some of the output channels, so that the values between the steps stay
// in the level-2 cache. It transforms the inputs to n² matrices [tile][input channel], one for
// each of the n×n elements of a tile. Then, for one block of output channels after the other, it
// multiplies each matrix by the element's matrix of weights, and transforms the products to
// outputs.
//
// If the tiles do not divide the output, the last tile of each row, and the last row of tiles,
// move back and overlap their neighbours, so that no tile reads beyond the padding. A chunk
// computes tiles that overlap in a fixed order, and no other chunk has any of them: the outputs
// that are written twice do not depend on the order of the chunks.
type winogradTask struct {
	*winogradConv
	*Transforms
	scratch
	dst, src View
	out, in  []float32 // their memory

	rows, cols   int // tiles of an image, along each side
	rowParts     int // parts that the rows of tiles are divided into, one for a chunk
	channelParts int // parts that the blocks of output channels are divided into, one for a chunk

	// What a tile reads is either the source itself or, if the stride is not 1 or the channels
	// are not whole vectors, what spaceToDepth makes of it. All sizes count float32 values.
	depthW   int // pixels of a row that spaceToDepth makes; 0 if tiles read the source
	run      int // values that such a pixel takes from one row of the source
	padded   int // run, rounded up to whole vectors
	channels int // channels of a transformed pixel: Stride runs, rounded up to whole vectors

	inMatrix  int                                // from one matrix of transformed inputs to the next
	outMatrix int                                // from one matrix of products to the next
	layout    struct{ in, out, depth, edge int } // where each buffer begins in scratch
}

func (c *winogradConv) Bind(dst, src View, threads int) (workers.Task, error) {
	if err := c.problem.checkBind(dst, src); err != nil {
		return nil, err
	}
	s, a := c.problem.ConvShape, c.f
	if dst.H < a.M || dst.W < a.M {
		return nil, fmt.Errorf("convolution: output %v is smaller than Winograd's %d×%d tiles", dst, a.M, a.M)
	}
	t := &winogradTask{winogradConv: c, Transforms: &c.f32.Winograd[a.R], dst: dst, src: src, out: Data[float32](dst), in: Data[float32](src)}
	elements := c.elements()
	t.rows, t.cols = (dst.H+a.M-1)/a.M, (dst.W+a.M-1)/a.M
	lanes := c.f32.Lanes
	t.run = s.Stride * s.In
	t.padded = vectors(t.run, lanes) * lanes
	t.channels = vectors(s.Stride*t.run, lanes) * lanes
	if s.Stride > 1 || t.padded > t.run {
		t.depthW = dst.W + a.R - 1
	}
	width := c.f32.BatchMatMul.Wide.Width
	// Transformed inputs and products take two thirds of the cache and leave the rest to the
	// weights. If the weights are larger than the cache, every part of the rows reads them anew
	// from beyond it: there should be fewer parts then, which fill the whole cache.
	budget := Level2() * 2 / 3
	if len(Bytes(c.panels)) > Level2() {
		budget = Level2()
	}
	rows := max(budget/(Float32.Size()*elements*t.cols*(t.channels+width)), 1)
	// A part has two rows of tiles at least if there are two: the last two may overlap, and must
	// be in one chunk.
	t.rowParts = min((t.rows+rows-1)/rows, max(t.rows/2, 1))
	chunks := dst.N * t.rowParts
	for t.channelParts = 1; t.channelParts < len(c.blocks) && threads > 1 && (chunks*t.channelParts)%threads != 0 && chunks*t.channelParts < 4*threads; {
		t.channelParts++
	}

	tiles := (t.rows + t.rowParts - 1) / t.rowParts * t.cols
	t.inMatrix, t.outMatrix = oddLines(tiles*t.channels), oddLines(tiles*width)
	size := 0
	reserve := func(n int) int {
		at := size
		size += (n + lineFloats - 1) / lineFloats * lineFloats
		return at
	}
	t.layout.in = reserve(elements * t.inMatrix)
	t.layout.out = reserve(elements * t.outMatrix)
	t.layout.edge = reserve(a.M * a.M * width)
	if t.depthW > 0 {
		t.layout.depth = reserve(a.N()*t.depthW*t.channels + t.padded) // the kernel writes the last run padded
	}
	t.scratch = newScratch[float32](threads, size)
	return t, nil
}

// oddLines rounds a stride of float32 values up to an odd number of cache lines. A stride that
// is a multiple of a large power of two would map all matrices to the same few sets of the cache.
func oddLines(stride int) int { return (stride+lineFloats-1)/lineFloats*lineFloats | lineFloats }

func (t *winogradTask) Chunks() int { return t.dst.N * t.rowParts * t.channelParts }

func (t *winogradTask) Chunk(worker, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	channelPart, i := i%t.channelParts, i/t.channelParts
	rowPart, n := i%t.rowParts, i/t.rowParts
	first, last := rowPart*t.rows/t.rowParts, (rowPart+1)*t.rows/t.rowParts
	buf := scratchOf[float32](&t.scratch, worker)
	t.input(buf, n, first, last)
	tiles := (last - first) * t.cols
	for b := channelPart * len(t.blocks) / t.channelParts; b < (channelPart+1)*len(t.blocks)/t.channelParts; b++ {
		t.multiply(buf, &t.blocks[b], tiles)
		t.output(buf, &t.blocks[b], n, first, last)
	}
}

// outRow returns the first output row of a row of tiles. The last row of tiles ends with the
// output.
func (t *winogradTask) outRow(row int) int { return min(row*t.f.M, t.dst.H-t.f.M) }

// full returns how many tiles of a row lie side by side. One more follows if they do not fill the
// row; it overlaps the last of them.
func (t *winogradTask) full() int { return t.dst.W / t.f.M }

// input transforms the inputs of the rows of tiles from first to last-1 of image n.
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
			data = t.in[src.Index(n, y-t.problem.Pad, -t.problem.Pad, 0):]
		}
		full := t.full()
		t.Input(&in[0], &data[0], full, t.channels, srcRow, pixel, m*pixel, t.inMatrix, t.channels)
		if full < t.cols {
			t.Input(&in[full*t.channels], &data[(t.dst.W-m)*pixel], 1, t.channels, srcRow, pixel, 0, t.inMatrix, t.channels)
		}
		in = in[t.cols*t.channels:]
	}
}

// spaceToDepth writes the input of the row of tiles whose first output row is y, of image n. Each
// pixel that it writes holds the channels of Stride×Stride pixels of src, row by row, and is
// padded to whole vectors with arbitrary numbers: their transforms are never multiplied. With
// stride 1, the padding is all that changes.
func (t *winogradTask) spaceToDepth(out []float32, n, y int) {
	s, src := t.problem, t.src
	step := s.Stride * src.Pixel
	// Only taps without a weight read the rows from this one on, which lie below the image. They
	// count as zeros, because they may be outside the memory, or not yet written.
	rows := max(src.H, (t.dst.H-1)*s.Stride-s.Pad+s.KH)
	for i := range t.f.N() {
		iy, x := (y+i)*s.Stride-s.Pad, 0
		if iy+s.Stride <= rows && (s.Stride == 1 || src.Pixel == s.In) {
			// The kernel computes the pixels whose columns all exist, up to where it would read
			// whole vectors beyond the end of the memory.
			at := src.Index(n, iy, -s.Pad, 0)
			spare := len(t.in) - (at + (s.Stride-1)*src.Row + t.padded)
			x = max(min((src.W+2*s.Pad)/s.Stride, t.depthW, (spare+step)/step), 0)
			if x > 0 {
				t.f32.SpaceToDepth(&out[0], &t.in[at], x, s.Stride, t.padded, step, src.Row, t.channels, t.run)
			}
		}
		for ; x < t.depthW; x++ {
			px := out[x*t.channels:][:t.channels]
			clear(px)
			for p := range s.Stride {
				for q := range s.Stride {
					ix := x*s.Stride + q - s.Pad
					if iy+p < rows && ix < src.W {
						copy(px[p*t.run+q*s.In:], t.in[src.Index(n, iy+p, ix, 0):][:s.In])
					}
				}
			}
		}
		out = out[t.depthW*t.channels:]
	}
}

// multiply computes the n² matrix products of one block of output channels. Two calls compute the
// tiles of two heights. They do so for a few elements of the tile at a time, so that the second
// call finds the weights in the level-1 cache; both calls prefetch the weights of the elements
// that come next.
func (t *winogradTask) multiply(buf []float32, b *block, tiles int) {
	k, width := t.k, b.tile
	tile := t.f32.BatchMatMul.of(b)
	height, taller, shorter := tile.split(tiles)
	prefetchStep := prefetchBytes[float32](width, taller+shorter)
	elements := t.elements()
	step := min(max(callBytes/(Float32.Size()*k*width), 1), elements)
	for e := 0; e < elements; e += step {
		n := min(step, elements-e)
		in, out := buf[t.layout.in+e*t.inMatrix+b.in:], buf[t.layout.out+e*t.outMatrix:]
		w, next := t.panels[b.weights+e*k*width:], t.panels[min(b.weights+(e+n)*k*width, len(t.panels)-1):]
		if taller > 0 {
			tile.Funcs[height](&out[0], &in[0], &w[0], &next[0], n, k, taller, t.inMatrix, t.outMatrix, t.channels, prefetchStep)
			done := taller * (height + 1)
			in, out = in[done*t.channels:], out[done*width:]
			next = next[min(n*k*width*taller/(taller+shorter), len(next)-1):]
		}
		tile.Funcs[height-1](&out[0], &in[0], &w[0], &next[0], n, k, shorter, t.inMatrix, t.outMatrix, t.channels, prefetchStep)
	}
}

// output transforms the products of one block of output channels to outputs.
func (t *winogradTask) output(buf []float32, b *block, n, first, last int) {
	m, width := t.f.M, b.tile
	bias, lower := &t.bias[b.bias], lowerBound(t.problem.ReLU)
	full := t.full()
	products := buf[t.layout.out:]
	for y := first; y < last; y++ {
		oy := t.outRow(y)
		if b.width == width {
			dst := t.dst.Index(n, oy, 0, b.out)
			t.Output(&t.out[dst], &products[0], bias, full, width, t.outMatrix, width, t.dst.Row, t.dst.Pixel, m*t.dst.Pixel, lower)
			if full < t.cols {
				t.Output(&t.out[dst+(t.dst.W-m)*t.dst.Pixel], &products[full*width], bias, 1, width, t.outMatrix, width, t.dst.Row, t.dst.Pixel, 0, lower)
			}
		} else {
			// The kernel always writes the tile's full width, which is more than the block has:
			// let it write to a buffer, and copy the block's channels from there.
			edge := buf[t.layout.edge:]
			for x := range t.cols {
				t.Output(&edge[0], &products[x*width], bias, 1, width, t.outMatrix, width, m*width, width, 0, lower)
				ox := min(x*m, t.dst.W-m)
				for i := range m {
					for j := range m {
						copy(t.out[t.dst.Index(n, oy+i, ox+j, b.out):][:b.width], edge[(i*m+j)*width:])
					}
				}
			}
		}
		products = products[t.cols*width:]
	}
}
