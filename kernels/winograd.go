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
// channels; see winogradConv. The kernel must be square and have 3 to 5 taps along a side, in each
// phase, and the output must be at least as large as the outputs of a tile.
//
// The errors are larger than the direct algorithm's, and depend on all inputs of a tile:
// WinogradBound bounds them. On random data with up to a hundred channels they are about
// 7·10⁻⁶ of the largest output; they grow with the square root of the number of channels. A
// NaN or an infinity spreads over all outputs of the tiles that read it.
var winogradAlgorithm = algorithm{
	name: "winograd",
	cycles: func(set *Set, p Problem, cache int) (int, bool) {
		a := winogradFor(set, p.ConvShape)
		if a == nil || !winogradFits(a, p) || !p.floats() {
			return 0, false
		}
		tiles, elements := tileCount(a, p), a.N()*a.N()
		in := p.In * p.Stride * p.Stride
		inVectors, outVectors := vectors(in, set.F32.Lanes), vectors(p.Out, set.F32.Lanes)
		// Each matrix product ends with stores. A sum over few channels is too short to hide
		// them; they cost as much as five more channels.
		products := elements * tiles * (in/p.Groups + 5) * outVectors / 2
		transforms := tiles * elements * (inputCycles*inVectors + outputCycles*outVectors) / 36
		return max(products, stream(elements*p.Out*in/p.Groups*Float32.Size(), cache)) + transforms, true
	},
	pack:   packLoaded(newFloatWinograd),
	loader: newFloatWinograd,
}

// A floatWinograd is a winogradConv of float32 values.
type floatWinograd struct {
	*winogradConv[float32, float32, float32]
}

func newFloatWinograd(set *Set, p Problem) Loader {
	f, a := set.F32, winogradFor(set, p.ConvShape)
	transforms := &f.Winograd[a.R]
	c := newWinograd(&f.BatchMatMul, p, a, winogradKernels[float32, float32, float32]{
		lanes:        f.Lanes,
		input:        transforms.Input,
		spaceToDepth: f.SpaceToDepth,
		copied:       f.Lanes,
		// This leaves the rest of the cache to the weights.
		budget: Level2() * 2 / 3,
	})
	lower := lowerBound(p.ReLU)
	c.output = func(dst, src *float32, column, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile int) {
		transforms.Output(dst, src, &c.bias[column], tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile, lower)
	}
	return floatWinograd{c}
}

// Load implements Loader.
func (c floatWinograd) Load(w Weights) error { return c.load(w, false) }

// LoadTransposed implements Loader.
func (c floatWinograd) LoadTransposed(w Weights) error { return c.load(w, true) }

func (c floatWinograd) load(w Weights, transposed bool) error {
	o, bias, err := c.problem.order(w, transposed)
	if err != nil {
		return err
	}
	packChannels(c.bias, c.blocks, bias)
	packKernels(c.winogradConv, w.Values, o)
	return nil
}

// winogradTaps returns the number of taps along a side of a kernel, ⌈KH/Stride⌉ in each phase of the
// image, or 0 if Winograd's algorithm is not for the shape.
func winogradTaps(s ConvShape) int {
	if s.KH != s.KW || s.Stride > 1 && s.Groups > 1 {
		return 0
	}
	return (s.KH + s.Stride - 1) / s.Stride
}

// winogradFor returns the F(m, r) for a convolution of images that are large enough, or nil if
// there is none.
func winogradFor(set *Set, s ConvShape) *winograd.Algorithm {
	r := winogradTaps(s)
	if r >= len(set.F32.Winograd) || set.F32.Winograd[r].Outputs == 0 {
		return nil
	}
	return winograd.New(set.F32.Winograd[r].Outputs, r)
}

// winogradFits reports whether p has as many outputs as a tile of F(m, r), along each side.
func winogradFits(a *winograd.Algorithm, p Problem) bool {
	oh, ow := p.OutSize(p.H, p.W)
	return oh >= a.M && ow >= a.M
}

// tileCount returns how many tiles cover the outputs of p.
func tileCount(a *winograd.Algorithm, p Problem) int {
	oh, ow := p.OutSize(p.H, p.W)
	return (oh + a.M - 1) / a.M * ((ow + a.M - 1) / a.M)
}

// winogradKernels are what a convolution by Winograd's algorithm calls: E is the type of inputs and
// outputs, T that of transformed inputs and weights, and P that of products.
type winogradKernels[E, T, P number] struct {
	// input is Transforms.Input; it takes multiples of lanes channels.
	lanes int
	input func(dst *T, src *E, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile int)

	// output is Transforms.Output with the biases from column on, and all that is the same for
	// the whole convolution.
	output func(dst *E, src *P, column, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile int)

	// spaceToDepth is F32.SpaceToDepth; it takes multiples of copied channels.
	copied       int
	spaceToDepth func(dst, src *E, pixels, runs, channels, srcPixel, srcRow, dstPixel, dstRun int)

	// budget is how many bytes of transformed inputs and products a chunk should have.
	budget int
}

// winogradProducts are the tiles of BatchMatMul.
type winogradProducts[T, P number] = Tiles[func(dst *P, src, weights, prefetch *T, batch, k, tiles, srcMatrix, dstMatrix, srcStride, prefetchStep int)]

// A winogradConv has panels of transformed weights.
//
// F(m, r) computes convolutions with stride 1 and r taps. Others are sums of such convolutions. In
// one dimension, an output of one with stride s is
//
//	y[i] = Σ w[k]·x[s·i+k] // over k
//
// Each tap k is s·(o+t) + p for one of s phases p, one of the first taps o of subkernels, and one of r
// taps t, so that
//
//	y[i] = Σ w[s·(o+t)+p] · x[s·(i+t) + s·o+p] // over p, o and t
//
// where the sum over t is a convolution with stride 1 of an image that has every s-th pixel of x,
// from s·o+p on. The image of each phase and each subkernel is thus like a further input channel.
// The difference is where they come from: phases lie in the same pixels of what makeDepth makes, and a
// subkernel reads the pixels of another one o pixels further on.
//
// Where the taps are no multiple of r, the last subkernel moves back and ends with the kernel, so
// that it reads no other pixels than the kernel. The taps that the one before it has, too, are zeros.
type winogradConv[E, T, P number] struct {
	packed[T, P]
	winogradKernels[E, T, P]
	products   *winogradProducts[T, P]
	f          *winograd.Algorithm // F(m, r)
	g          [][]float64         // its matrix G
	taps       int                 // of a phase, along a side
	subkernels []int               // the first tap o of each, along a side
	k          int                 // terms of a sum: input channels in a group, for all phases and subkernels, and zeros up to whole groups of a product
}

// newWinograd returns a convolution without its weights, biases and output transform.
func newWinograd[E, T, P number](products *winogradProducts[T, P], p Problem, f *winograd.Algorithm, kernels winogradKernels[E, T, P]) *winogradConv[E, T, P] {
	taps := winogradTaps(p.ConvShape)
	subkernels := subkernels(taps, f.R)
	k := vectors(p.In/p.Groups*p.Stride*p.Stride*len(subkernels)*len(subkernels), products.Group) * products.Group
	return &winogradConv[E, T, P]{newPacked[T, P](p, newBlocks(products, p.ConvShape, f.N()*f.N()*k)), kernels, products, f, f.G.Float(), taps, subkernels, k}
}

// subkernels returns the first tap of each subkernel of r taps, see winogradConv.
func subkernels(taps, r int) []int {
	var first []int
	for o := 0; o < taps; o += r {
		first = append(first, min(o, taps-r))
	}
	return first
}

func (c *winogradConv[E, T, P]) Algorithm() string { return winogradAlgorithm.name }

// elements returns the number of elements of a tile: it has as many inputs as products.
func (c *winogradConv[E, T, P]) elements() int { return c.f.N() * c.f.N() }

func (c *winogradConv[E, T, P]) Executed() int64 {
	return int64(c.elements()*tileCount(c.f, c.problem)) * int64(c.k) * int64(len(c.bias))
}

// RowAlign implements Conv. An output has the same bits only in the same tile, so the tiles of a
// part must lie as they do in the whole output.
func (c *winogradConv[E, T, P]) RowAlign() int { return c.f.M }

// KernelRows implements Conv. As many rows of each phase of the image are read, even where the kernel
// has no taps for the last of them.
func (c *winogradConv[E, T, P]) KernelRows() int { return c.taps * c.problem.Stride }

// packKernels fills the panels with the transformed kernels G·g·Gᵀ, computed in float64 and rounded
// once; integers are exact. A panel has, for each element of a tile, a row per group of input channels,
// subkernel by subkernel and, in each, phase by phase; a row has a group of weights for each output
// channel of the block.
func packKernels[W, E, T, P number](c *winogradConv[E, T, P], weights []W, o order) {
	s, r, group := c.problem.ConvShape, c.f.R, c.products.Group
	in, elements := s.In/s.Groups, c.elements()
	phases, subs := s.Stride*s.Stride, len(c.subkernels)
	// The elements lie far apart in a panel, often a multiple of 4 KiB. Those of some output channels are
	// collected, so that they are written side by side.
	var taps kernelTaps
	var transformed transformedKernels[T]
	for i := range c.blocks {
		b := &c.blocks[i]
		width, at := b.tile, o.at(b.out)
		for ci := range in * phases * subs * subs {
			sub, phase, ch := ci/in/phases, ci/in%phases, ci%in
			for n := 0; n < b.width; n += kernelsAtATime {
				count := min(kernelsAtATime, b.width-n)
				for i := range count {
					first := at + (n+i)*o.out + ch*o.in
					if phases == 1 && subs == 1 {
						for t := range r * r {
							taps[t] = float64(weights[first+t*o.tap])
						}
					} else {
						taps = kernelTaps{}
						c.eachTap(sub, phase, func(t, of int) { taps[t] = float64(weights[first+of*o.tap]) })
					}
					if c.f.R == 3 && c.f.M == 4 && c.f.Scale == 1 {
						transformKernel6x3(&transformed, i, &taps)
					} else {
						transformKernel(&transformed, i, &taps, c.g)
					}
				}
				row := c.panels[b.weights+(ci/group*width+n)*group+ci%group:]
				for e := range elements {
					out := row[e*c.k*width:]
					if group == 1 {
						copy(out, transformed[e][:count])
						continue
					}
					for i, v := range transformed[e][:count] {
						out[i*group] = v
					}
				}
			}
		}
	}
}

const (
	maxTaps        = 5  // along a side of the largest subkernel
	kernelsAtATime = 16 // that packKernels transforms: as many weights of a tile's element fill a cache line
)

// kernelTaps are the taps of a subkernel, row by row.
type kernelTaps [maxTaps * maxTaps]float64

// transformedKernels are kernels by element of a tile.
type transformedKernels[T number] [maxTile * maxTile][kernelsAtATime]T

// eachTap calls f for the taps of a subkernel that have weights: t is the index of one in the subkernel, and of
// in the kernel.
func (c *winogradConv[E, T, P]) eachTap(sub, phase int, f func(t, of int)) {
	s, r, subs := c.problem.ConvShape, c.f.R, len(c.subkernels)
	py, px := phase/s.Stride, phase%s.Stride
	oy, ox := c.subkernels[sub/subs], c.subkernels[sub%subs]
	for y := sub/subs*r - oy; y < r && (oy+y)*s.Stride+py < s.KH; y++ {
		for x := sub%subs*r - ox; x < r && (ox+x)*s.Stride+px < s.KW; x++ {
			f(y*r+x, ((oy+y)*s.Stride+py)*s.KW+(ox+x)*s.Stride+px)
		}
	}
}

// transformKernel sets kernel n of dst to the transform of r×r taps by the matrix G.
func transformKernel[T number](dst *transformedKernels[T], n int, taps *kernelTaps, g [][]float64) {
	side, r := len(g), len(g[0])
	for i := range side {
		var half [maxTaps]float64 // row i of G·g
		for x := range r {
			for y, v := range g[i] {
				half[x] += float64(v * taps[y*r+x])
			}
		}
		for j := range side {
			sum := 0.0
			for x, v := range g[j] {
				sum += float64(half[x] * v)
			}
			dst[i*side+j][n] = T(sum)
		}
	}
}

// transformKernel6x3 is transformKernel for F(4, 3), whose rows of G are, but for a factor, (1, x, x²) for the
// points x = 0, ±1, ±2 and infinity.
func transformKernel6x3[T number](dst *transformedKernels[T], n int, taps *kernelTaps) {
	var half [6][3]float64 // G·g
	for x := range 3 {
		half[0][x], half[1][x], half[2][x], half[3][x], half[4][x], half[5][x] = transform6x3(taps[x], taps[3+x], taps[6+x])
	}
	for i := range half {
		row := dst[6*i:][:6]
		a, b, c, d, e, f := transform6x3(half[i][0], half[i][1], half[i][2])
		row[0][n], row[1][n], row[2][n], row[3][n], row[4][n], row[5][n] = T(a), T(b), T(c), T(d), T(e), T(f)
	}
}

// transform6x3 returns the product of G and three taps.
func transform6x3(x, y, z float64) (zero, one, minusOne, two, minusTwo, infinity float64) {
	even, odd := float64((x+z)*(-1./6)), float64(y*(-1./6))
	even2, odd2 := float64(x*(1./24))+float64(z*(1./6)), float64(y*(1./12))
	return x * (1. / 4), even + odd, even - odd, even2 + odd2, even2 - odd2, z
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
type winogradTask[E, T, P number] struct {
	*winogradConv[E, T, P]
	scratch
	dst, src View
	out, in  []E // their memory

	rows, cols   int // tiles of an image, along each side
	rowParts     int // parts that the rows of tiles are divided into, one for a chunk
	channelParts int // parts that the blocks of output channels are divided into, one for a chunk

	// What a tile reads is either the source itself or, if the stride is not 1 or the channels
	// are not whole vectors, what makeDepth makes of it. All sizes count values.
	depthW     int // pixels of a row that makeDepth makes; 0 if tiles read the source
	run        int // values that such a pixel takes from one row of the source
	padded     int // run, rounded up to what spaceToDepth copies
	depthPixel int // channels of such a pixel: Stride runs, rounded up to whole vectors

	// Each subkernel has transformed inputs of its own. Those for one group of channels lie side by side,
	// so that a sum reads them as one run; if there is but one subkernel, all groups are transformed
	// together, as one section.
	sections  int // of the channels of a pixel
	section   int // channels in one
	transform int // section, rounded up to whole vectors, which are transformed at a time
	channels  int // of a transformed pixel: all sections of all subkernels, rounded up to whole vectors

	inMatrix  int                                // from one matrix of transformed inputs to the next
	outMatrix int                                // from one matrix of products to the next
	layout    struct{ in, out, depth, edge int } // where each buffer begins in scratch, in bytes
}

// winogradBuffers are the scratch memory of a winogradTask.
type winogradBuffers[E, T, P number] struct {
	in    []T // transformed inputs, by matrix, tile and channel
	out   []P // products of one block, by matrix, tile and channel
	depth []E // inputs of all rows of tiles, see makeDepth
	edge  []E // outputs of a tile, see transformOutput
}

func (c *winogradConv[E, T, P]) Bind(dst, src View, threads int) (workers.Task, error) {
	if err := c.problem.checkBind(dst, src); err != nil {
		return nil, err
	}
	s, a := c.problem.ConvShape, c.f
	if dst.H < a.M || dst.W < a.M {
		return nil, fmt.Errorf("convolution: output %v is smaller than Winograd's %d×%d tiles", dst, a.M, a.M)
	}
	t := &winogradTask[E, T, P]{winogradConv: c, dst: dst, src: src, out: cast[E](dst.Memory), in: cast[E](src.Memory)}
	elements := c.elements()
	t.rows, t.cols = (dst.H+a.M-1)/a.M, (dst.W+a.M-1)/a.M
	t.run = s.Stride * s.In
	t.padded = vectors(t.run, c.copied) * c.copied
	t.depthPixel = vectors(s.Stride*t.run, c.lanes) * c.lanes
	t.sections = 1
	if len(c.subkernels) > 1 {
		t.sections = s.Groups
	}
	t.section = s.Stride * t.run / t.sections
	t.transform = vectors(t.section, c.lanes) * c.lanes
	// What is rounded up of one section is overwritten with the next one, and behind the last there is room for it.
	t.channels = vectors((len(c.subkernels)*len(c.subkernels)*t.sections-1)*t.section+t.transform, c.lanes) * c.lanes
	if s.Stride > 1 || t.transform > t.section {
		t.depthW = dst.W + c.taps - 1
	}
	width := c.products.Wide.Width
	transformed, product := int(unsafe.Sizeof(T(0))), int(unsafe.Sizeof(P(0)))
	// If the weights are larger than the cache, every part of the rows reads them anew from beyond
	// it: there should be fewer parts then, which fill the whole cache.
	budget := c.budget
	if len(Bytes(c.panels)) > Level2() {
		budget = Level2()
	}
	rows := max(budget/(elements*t.cols*(transformed*t.channels+product*width)), 1)
	// The last part has two rows of tiles at least if there are two: they may overlap, and must be
	// in one chunk.
	t.rowParts = min((t.rows+rows-1)/rows, max(t.rows-1, 1))
	chunks := dst.N * t.rowParts
	for t.channelParts = 1; t.channelParts < len(c.blocks) && threads > 1 && (chunks*t.channelParts)%threads != 0 && chunks*t.channelParts < 4*threads; {
		t.channelParts++
	}

	tiles := (t.rows + t.rowParts - 1) / t.rowParts * t.cols
	t.inMatrix, t.outMatrix = spread[T](tiles*t.channels), spread[P](tiles*width)
	size := 0
	reserve := func(bytes int) int {
		at := size
		size += vectors(bytes, align) * align
		return at
	}
	element := int(unsafe.Sizeof(E(0)))
	t.layout.in = reserve(transformed * elements * t.inMatrix)
	t.layout.out = reserve(product * elements * t.outMatrix)
	t.layout.edge = reserve(element * a.M * a.M * width)
	t.layout.depth = size
	if t.depthW > 0 {
		depthH := ((t.rows+t.rowParts-1)/t.rowParts)*a.M + c.taps - 1
		// The last run is written, and the last section read, rounded up.
		t.layout.depth = reserve(element * (depthH*t.depthW*t.depthPixel + t.padded))
	}
	t.scratch = newScratch[uint8](threads, size)
	return t, nil
}

// buffers returns a worker's scratch memory.
func (t *winogradTask[E, T, P]) buffers(worker int) winogradBuffers[E, T, P] {
	buf := scratchOf[uint8](&t.scratch, worker)
	return winogradBuffers[E, T, P]{
		in:    cast[T](buf[t.layout.in:]),
		out:   cast[P](buf[t.layout.out:]),
		depth: cast[E](buf[t.layout.depth:]),
		edge:  cast[E](buf[t.layout.edge:]),
	}
}

// spread rounds a stride of values up to a number of cache lines that is no multiple of four. One that
// is a multiple of a large power of two would map all matrices to the same few sets of the cache.
func spread[T number](stride int) int {
	line := align / int(unsafe.Sizeof(T(0)))
	lines := vectors(stride, line)
	if lines%4 == 0 {
		lines++
	}
	return lines * line
}

func (t *winogradTask[E, T, P]) Chunks() int { return t.dst.N * t.rowParts * t.channelParts }

func (t *winogradTask[E, T, P]) Chunk(worker, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	channelPart, i := i%t.channelParts, i/t.channelParts
	rowPart, n := i%t.rowParts, i/t.rowParts
	first, last := rowPart*t.rows/t.rowParts, (rowPart+1)*t.rows/t.rowParts
	buf := t.buffers(worker)
	t.transformInput(&buf, n, first, last)
	tiles := (last - first) * t.cols
	for b := channelPart * len(t.blocks) / t.channelParts; b < (channelPart+1)*len(t.blocks)/t.channelParts; b++ {
		t.multiply(&buf, &t.blocks[b], tiles)
		t.transformOutput(&buf, &t.blocks[b], n, first, last)
	}
}

// outRow returns the first output row of a row of tiles. The last row of tiles ends with the
// output.
func (t *winogradTask[E, T, P]) outRow(row int) int { return min(row*t.f.M, t.dst.H-t.f.M) }

// full returns how many tiles of a row lie side by side. One more follows if they do not fill the
// row; it overlaps the last of them.
func (t *winogradTask[E, T, P]) full() int { return t.dst.W / t.f.M }

// transformInput transforms the inputs of the rows of tiles from first to last-1 of image n.
func (t *winogradTask[E, T, P]) transformInput(buf *winogradBuffers[E, T, P], n, first, last int) {
	top, data := t.outRow(first), buf.depth
	srcRow, pixel := t.depthW*t.depthPixel, t.depthPixel
	if t.depthW > 0 {
		t.makeDepth(data, n, top, t.outRow(last-1)-top+t.f.M+t.taps-1)
	} else {
		data = t.in[t.src.Index(n, top-t.problem.Pad.Top, -t.problem.Pad.Left, 0):]
		srcRow, pixel = t.src.Row, t.src.Pixel
	}
	in := buf.in
	for row := first; row < last; row++ {
		data, channel := data[(t.outRow(row)-top)*srcRow:], 0
		for section := range t.sections {
			for _, oy := range t.subkernels {
				for _, ox := range t.subkernels {
					t.transformTiles(in[channel:], data[oy*srcRow+ox*pixel+section*t.section:], srcRow, pixel)
					channel += t.section
				}
			}
		}
		in = in[t.cols*t.channels:]
	}
}

// transformTiles transforms a section of the channels of a row of tiles.
func (t *winogradTask[E, T, P]) transformTiles(in []T, data []E, srcRow, pixel int) {
	m, full := t.f.M, t.full()
	t.input(&in[0], &data[0], full, t.transform, srcRow, pixel, m*pixel, t.inMatrix, t.channels)
	if full < t.cols {
		t.input(&in[full*t.channels], &data[(t.dst.W-m)*pixel], 1, t.transform, srcRow, pixel, 0, t.inMatrix, t.channels)
	}
}

// makeDepth writes as many rows of the inputs of image n, from those of output row y on. Each
// pixel that it writes holds the channels of Stride×Stride pixels of src, row by row, and is
// padded to whole vectors with arbitrary numbers: their transforms are never multiplied, or by the
// zeros that fill up a group of weights. With stride 1, the padding is all that changes.
func (t *winogradTask[E, T, P]) makeDepth(out []E, n, y, count int) {
	s, src := t.problem, t.src
	step := s.Stride * src.Pixel
	// Only taps without a weight read the rows from this one on, which lie below the image. They
	// count as zeros, because they may be outside the memory, or not yet written.
	rows := max(src.H, (t.dst.H-1)*s.Stride-s.Pad.Top+s.KH)
	for i := range count {
		iy, x := (y+i)*s.Stride-s.Pad.Top, 0
		if iy+s.Stride <= rows && (s.Stride == 1 || src.Pixel == s.In) {
			// The kernel computes the pixels whose columns all exist, up to where it would read
			// whole vectors beyond the end of the memory.
			at := src.Index(n, iy, -s.Pad.Left, 0)
			spare := len(t.in) - (at + (s.Stride-1)*src.Row + t.padded)
			x = max(min((s.Pad.Left+src.W+s.Pad.Right)/s.Stride, t.depthW, (spare+step)/step), 0)
			if x > 0 {
				t.spaceToDepth(&out[0], &t.in[at], x, s.Stride, t.padded, step, src.Row, t.depthPixel, t.run)
			}
		}
		for ; x < t.depthW; x++ {
			px := out[x*t.depthPixel:][:t.depthPixel]
			clear(px)
			for p := range s.Stride {
				for q := range s.Stride {
					ix := x*s.Stride + q - s.Pad.Left
					if iy+p < rows && ix < src.W+s.Pad.Right {
						copy(px[p*t.run+q*s.In:], t.in[src.Index(n, iy+p, ix, 0):][:s.In])
					}
				}
			}
		}
		out = out[t.depthW*t.depthPixel:]
	}
}

// multiply computes the n² matrix products of one block of output channels. Two calls compute the
// tiles of two heights. They do so for a few elements of the tile at a time, so that the second
// call finds the weights in the level-1 cache; both calls prefetch the weights of the elements
// that come next.
func (t *winogradTask[E, T, P]) multiply(buf *winogradBuffers[E, T, P], b *block, tiles int) {
	k, width, group := t.k, b.tile, t.products.Group
	tile := t.products.of(b)
	height, taller, shorter := tile.split(tiles)
	prefetchStep := prefetchBytes[T](width*group, taller+shorter)
	elements := t.elements()
	step := min(max(callBytes/(int(unsafe.Sizeof(T(0)))*k*width), 1), elements)
	for e := 0; e < elements; e += step {
		n := min(step, elements-e)
		in, out := buf.in[e*t.inMatrix+b.in*len(t.subkernels)*len(t.subkernels):], buf.out[e*t.outMatrix:]
		w, next := t.panels[b.weights+e*k*width:], t.panels[min(b.weights+(e+n)*k*width, len(t.panels)-1):]
		if taller > 0 {
			tile.Funcs[height](&out[0], &in[0], &w[0], &next[0], n, k/group, taller, t.inMatrix, t.outMatrix, t.channels, prefetchStep)
			done := taller * (height + 1)
			in, out = in[done*t.channels:], out[done*width:]
			next = next[min(n*k*width*taller/(taller+shorter), len(next)-1):]
		}
		tile.Funcs[height-1](&out[0], &in[0], &w[0], &next[0], n, k/group, shorter, t.inMatrix, t.outMatrix, t.channels, prefetchStep)
	}
}

// transformOutput transforms the products of one block of output channels to outputs.
func (t *winogradTask[E, T, P]) transformOutput(buf *winogradBuffers[E, T, P], b *block, n, first, last int) {
	m, width := t.f.M, b.tile
	full := t.full()
	products := buf.out
	for y := first; y < last; y++ {
		oy := t.outRow(y)
		if b.width == width {
			dst := t.dst.Index(n, oy, 0, b.out)
			t.output(&t.out[dst], &products[0], b.bias, full, width, t.outMatrix, width, t.dst.Row, t.dst.Pixel, m*t.dst.Pixel)
			if full < t.cols {
				t.output(&t.out[dst+(t.dst.W-m)*t.dst.Pixel], &products[full*width], b.bias, 1, width, t.outMatrix, width, t.dst.Row, t.dst.Pixel, 0)
			}
		} else {
			// The kernel always writes the tile's full width, which is more than the block has:
			// let it write to a buffer, and copy the block's channels from there.
			for x := range t.cols {
				t.output(&buf.edge[0], &products[x*width], b.bias, 1, width, t.outMatrix, width, m*width, width, 0)
				ox := min(x*m, t.dst.W-m)
				for i := range m {
					for j := range m {
						copy(t.out[t.dst.Index(n, oy+i, ox+j, b.out):][:b.width], buf.edge[(i*m+j)*width:])
					}
				}
			}
		}
		products = products[t.cols*width:]
	}
}
