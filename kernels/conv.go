package kernels

import (
	"fmt"
	"math"

	"firebench/kernels/winograd"
	"firebench/kernels/workers"
)

// A Conv is a convolution with packed weights, for the direct algorithm or for
// Winograd's. It is immutable and may be bound to any number of views.
type Conv struct {
	set      *Set
	shape    ConvShape
	winograd *winograd.Algorithm // nil for the direct algorithm
	lo       float32             // 0 with ReLU, else -Inf
	blocks   []convBlock
	panels   []float32 // packed weights, see pack and packWinograd
	bias     []float32 // packed biases: a tile's width a block
}

// A convBlock is one column of tiles: the output channels that share a panel.
type convBlock struct {
	tile    *Tile
	in      int // first input channel of its group
	out     int // first output channel
	width   int // output channels, at most tile.Width
	weights int // offset in panels
	bias    int // offset in bias
}

// NewConv packs the weights of a convolution for the kernels of set. weights is
// OIHW, s.Weights() values; bias has s.Out values or is nil for none; relu appends
// max(0, ·).
func NewConv(set *Set, s ConvShape, weights, bias []float32, relu bool) (*Conv, error) {
	if err := s.checkWeights(weights, bias); err != nil {
		return nil, err
	}
	c := &Conv{set: set, shape: s, lo: lowest(relu)}
	c.cut(s.K(), bias)
	c.pack(weights)
	return c, nil
}

// lowest is the value that results are raised to: 0 for ReLU, -Inf for none.
func lowest(relu bool) float32 {
	if relu {
		return 0
	}
	return float32(math.Inf(-1))
}

// checkWeights checks the shape and that the weights fit it.
func (s ConvShape) checkWeights(weights, bias []float32) error {
	if err := s.Check(); err != nil {
		return err
	}
	if len(weights) != s.Weights() {
		return fmt.Errorf("convolution: %d weights, expected %d for %d×%d×%d×%d", len(weights), s.Weights(), s.Out, s.In/s.Groups, s.KH, s.KW)
	}
	if bias != nil && len(bias) != s.Out {
		return fmt.Errorf("convolution: %d biases, expected %d", len(bias), s.Out)
	}
	return nil
}

// Shape returns the shape that the weights were packed for.
func (c *Conv) Shape() ConvShape { return c.shape }

// Bytes returns the size of the packed weights and biases.
func (c *Conv) Bytes() int64 { return 4 * int64(len(c.panels)+len(c.bias)) }

// Executed returns the multiply-adds that computing an h×w image takes, lanes and tiles
// beyond the output included: more than the direct algorithm needs where they are
// wasted, fewer with Winograd's, whose transforms do not count.
func (c *Conv) Executed(h, w int) int64 {
	oh, ow := c.shape.OutSize(h, w)
	rows, k := oh*ow, c.shape.K()
	switch {
	case c.winograd != nil:
		m := c.winograd.M
		rows, k = c.points()*((oh+m-1)/m)*((ow+m-1)/m), c.winogradIn()
	case c.shape.KH == 1 && c.shape.KW == 1 && c.shape.Stride == 1:
		rows = h * w // the ring that padding adds takes none
	}
	return int64(rows) * int64(k) * int64(len(c.bias))
}

// convTask is a convolution bound to its views.
type convTask struct {
	*Conv
	dst, src  View
	interior  View  // dst without the ring of a padded 1×1 convolution
	offsets   []int // where each segment starts, from the window's first input
	segLen    int
	srcStride int // from output pixel to output pixel in src
	dstStride int // and in dst

	// The output is cut into lines: its rows, or, where source and destination
	// have no gaps, equal parts of all its pixels, or, where an image has one pixel,
	// all images, so that a batch of dense layers is a matrix product.
	lines      int
	linePixels int // 0: parts of flatPixels
	flatPixels int

	lineStep int // lines a chunk
	back     int // runs of lines in the second part, which is numbered backwards
	maxLine  int // pixels
	scratch      // a line of a tile that is wider than its block
}

// chunkMACs is the least work of a chunk, so that claiming one stays below 1 %.
const chunkMACs = 1 << 19

// Bind prepares the convolution of src into dst on up to threads threads. Both are
// NHWC views of the shapes that c's shape implies; src.Halo must be at least the
// shape's Halo. A 1×1 convolution with stride 1 needs none: what its padding adds to
// the output is a ring of act(bias), which is written without a multiplication.
func (c *Conv) Bind(dst, src View, threads int) (workers.Task, error) {
	s := c.shape
	if err := checkViews(dst, src); err != nil {
		return nil, fmt.Errorf("convolution: %w", err)
	}
	oh, ow := s.OutSize(src.H, src.W)
	if !dst.fits(oh) || dst.W != ow || dst.C != s.Out || src.C != s.In {
		return nil, fmt.Errorf("convolution: %v to %v, expected %d input channels and output %d×%d×%d", src, dst, s.In, oh, ow, s.Out)
	}
	if c.winograd != nil {
		return c.bindWinograd(dst, src, threads)
	}
	t := &convTask{Conv: c, dst: dst, src: src, interior: dst, srcStride: s.Stride * src.Pixel, dstStride: dst.Pixel}
	if s.Halo() < s.Pad {
		if dst.H != oh {
			return nil, fmt.Errorf("convolution: 1×1 with padding %d to %d rows, expected all %d", s.Pad, dst.H, oh)
		}
		t.interior.Offset = dst.Index(0, s.Pad, s.Pad, 0)
		t.interior.H, t.interior.W = src.H, src.W
		s.Pad = 0
	}
	if src.Halo < s.Pad {
		return nil, fmt.Errorf("convolution: halo %d of the source is less than the padding %d", src.Halo, s.Pad)
	}
	t.src.Offset = src.Index(0, -s.Pad, -s.Pad, 0)

	// Segments: as long as memory is contiguous.
	in := s.In / s.Groups
	switch {
	case src.Pixel != in:
		t.segLen = in
		for y := range s.KH {
			for x := range s.KW {
				t.offsets = append(t.offsets, y*src.Row+x*src.Pixel)
			}
		}
	case src.Row == s.KW*in:
		t.segLen = s.KH * s.KW * in
		t.offsets = []int{0}
	default:
		t.segLen = s.KW * in
		for y := range s.KH {
			t.offsets = append(t.offsets, y*src.Row)
		}
	}

	out := t.interior
	total := out.N * out.H * out.W
	switch {
	case out.H == 1 && out.W == 1:
		t.lines, t.linePixels, t.maxLine = 1, out.N, out.N
		t.srcStride, t.dstStride = src.Batch, dst.Batch
	case s.KH == 1 && s.KW == 1 && s.Stride == 1 && src.flat() && out.flat():
		// Eight tiles a line keep the ragged end small and the call rare.
		t.flatPixels = total
		t.lines = max(1, total/(8*c.set.Wide.Height()))
		t.maxLine = total/t.lines + 1
	default:
		t.lines, t.linePixels, t.maxLine = out.N*out.H, out.W, out.W
	}

	work := total * s.K() * s.Out
	chunks := len(c.blocks)
	if threads > 1 {
		chunks = max(1, min(work/chunkMACs, 16*threads))
	}
	perBlock := max(1, min(t.lines, (chunks+len(c.blocks)-1)/len(c.blocks)))
	t.lineStep = (t.lines + perBlock - 1) / perBlock
	if threads > 1 {
		t.back = t.lineChunks() / 2
	}

	edge := 0
	for _, b := range c.blocks {
		if b.width < b.tile.Width {
			edge = max(edge, t.maxLine*b.tile.Width)
		}
	}
	t.scratch = newScratch(threads, edge)
	return t, nil
}

func (t *convTask) lineChunks() int { return (t.lines + t.lineStep - 1) / t.lineStep }

func (t *convTask) Chunks() int { return len(t.blocks) * t.lineChunks() }

// place returns the block of output channels and the run of lines that chunk i is. The
// lines are in two parts, so that threads which begin at both ends stay apart; in
// both, blocks change slowest: a panel stays in the cache while the lines pass.
func (t *convTask) place(i int) (b *convBlock, lines int) {
	front := t.lineChunks() - t.back
	if i < len(t.blocks)*front {
		return &t.blocks[i/front], i % front
	}
	i = t.Chunks() - 1 - i
	return &t.blocks[i/t.back], front + i%t.back
}

// Chunk computes one block of output channels for a run of lines.
func (t *convTask) Chunk(worker, i int) {
	if i == 0 {
		t.dst.zeroHalo()
		t.ring()
	}
	b, run := t.place(i)
	first := run * t.lineStep
	last := min(first+t.lineStep, t.lines)
	tiles := (t.maxLine + b.tile.Height() - 1) / b.tile.Height()
	ahead := t.ahead(b, t.shape.K(), (last-first)*tiles)
	for line := first; line < last; line++ {
		next := ahead.at((line - first) * tiles)
		if t.linePixels > 0 {
			n, y := line/t.interior.H, line%t.interior.H
			src := t.src.Index(n, y*t.shape.Stride, 0, b.in)
			t.line(worker, b, next, ahead.pace, t.interior.Index(n, y, 0, b.out), src, t.linePixels)
		} else {
			p0 := line * t.flatPixels / t.lines
			p1 := (line + 1) * t.flatPixels / t.lines
			t.line(worker, b, next, ahead.pace, t.interior.Offset+p0*t.dst.Pixel+b.out, t.src.Offset+p0*t.src.Pixel+b.in, p1-p0)
		}
	}
}

// An ahead is the panel behind the one in use, as it is prefetched: in equal parts by
// the tiles that use the other, so that it comes from memory without a burst.
type ahead struct {
	weights []float32 // from that panel on
	step    int       // floats a tile
	pace    int       // bytes a step of a tile's sum
}

// ahead is for tiles with sums of k terms that all use block b.
func (c *Conv) ahead(b *convBlock, k, tiles int) ahead {
	panel := k * b.tile.Width
	if b.weights+panel == len(c.panels) {
		return ahead{weights: c.panels[b.weights:]}
	}
	return ahead{c.panels[b.weights+panel:], panel / tiles, pace(b.tile.Width, tiles)}
}

// pace is how many bytes a step of each of tiles must prefetch for all of them to
// prefetch a panel of as many rows as their sums have steps.
func pace(width, tiles int) int { return (4*width + tiles - 1) / tiles }

// at is where the tile with a number begins.
func (a ahead) at(tile int) *float32 { return &a.weights[min(tile*a.step, len(a.weights)-1)] }

// line computes pixels output pixels of one block, from indices into the two
// views' memory.
func (t *convTask) line(worker int, b *convBlock, next *float32, pace, dst, src, pixels int) {
	w, bias := &t.panels[b.weights], &t.bias[b.bias]
	if b.width == b.tile.Width {
		b.tile.conv(t.dst.Data[dst:], t.src.Data[src:], w, bias, next, t.offsets, t.segLen, t.srcStride, t.dstStride, pixels, pace, t.lo)
		return
	}
	// A tile always writes its full width: go through a buffer of that width.
	edge := t.of(worker)
	b.tile.conv(edge, t.src.Data[src:], w, bias, next, t.offsets, t.segLen, t.srcStride, b.tile.Width, pixels, pace, t.lo)
	for p := range pixels {
		copy(t.dst.Data[dst+p*t.dstStride:][:b.width], edge[p*b.tile.Width:])
	}
}

// cut divides n pixels into tiles of almost equal height: taller ones of height+1
// and then lower ones of height.
func (t *Tile) cut(n int) (height, taller, lower int) {
	tiles := (n + t.Height() - 1) / t.Height()
	return n / tiles, n % tiles, tiles - n%tiles
}

// conv computes pixels output pixels.
func (t *Tile) conv(dst, src []float32, weights, bias, next *float32, offsets []int, segLen, srcStride, dstStride, pixels, pace int, lo float32) {
	height, taller, lower := t.cut(pixels)
	if taller > 0 {
		t.Conv[height](&dst[0], &src[0], weights, bias, next, &offsets[0], len(offsets), segLen, srcStride, dstStride, taller, pace, lo)
		done := taller * (height + 1)
		dst, src = dst[done*dstStride:], src[done*srcStride:]
	}
	t.Conv[height-1](&dst[0], &src[0], weights, bias, next, &offsets[0], len(offsets), segLen, srcStride, dstStride, lower, pace, lo)
}

// ring writes act(bias) to the pixels that only the padding of a 1×1 convolution
// reaches.
func (t *convTask) ring() {
	pad := t.shape.Pad
	if t.interior.H == t.dst.H {
		return
	}
	for n := range t.dst.N {
		for y := range t.dst.H {
			for x := 0; x < t.dst.W; x++ {
				if y >= pad && y < t.dst.H-pad && x == pad {
					x = t.dst.W - pad
				}
				px := t.dst.Pixels(n, y, x)
				for _, b := range t.blocks {
					for i, v := range t.bias[b.bias:][:b.width] {
						px[b.out+i] = max(v, t.lo)
					}
				}
			}
		}
	}
}
