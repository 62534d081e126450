package kernels

import (
	"fmt"

	"firebench/kernels/workers"
)

// direct computes each output as convolution is defined: one chain of multiply-adds.
var direct = algorithm{
	name: "direct",
	cycles: func(set *Set, p Problem, cache int) (int, bool) {
		if !p.floats() {
			return 0, false
		}
		// A core issues two vector multiply-adds a cycle, unless it waits for the weights.
		oh, ow := p.OutSize(p.H, p.W)
		return max(oh*ow*p.K()*vectors(p.Out, set.F32.Lanes)/2, stream(p.Weights(), cache)), true
	},
	pack: func(set *Set, p Problem, w Weights) (Conv, error) {
		c := &directConv{newPacked[float32, float32](&set.F32.Conv, p, p.K()), set.F32}
		packBias(c.bias, c.blocks, w.Bias)
		k := p.K()
		for _, b := range c.blocks {
			packPanel(c.panels[b.weights:][:k*b.tile], w.Values[b.out*k:][:b.width*k], b.tile, p.In/p.Groups, p.KH*p.KW)
		}
		return c, nil
	},
}

// A directConv has panels whose rows run over (kernel row, kernel column, input channel).
type directConv struct {
	packed[float32, float32]
	f32 *F32
}

func (c *directConv) Algorithm() string { return direct.name }

func (c *directConv) Executed() int64 {
	p := c.problem
	oh, ow := p.OutSize(p.H, p.W)
	if p.Halo() < p.Pad {
		oh, ow = p.H, p.W // the border that the padding adds takes no multiply-add
	}
	return int64(oh*ow) * int64(p.K()) * int64(len(c.bias))
}

func (c *directConv) RowAlign() int   { return 1 }
func (c *directConv) KernelRows() int { return c.problem.KH }

// directTask is a direct convolution bound to its views.
type directTask struct {
	*directConv
	dst, src  View
	out, in   []float32 // their memory
	interior  View      // dst without the border of a padded 1×1 convolution, see border
	offsets   []int     // where each run of contiguous inputs starts, from the window's first input
	run       int       // inputs in a run
	srcStride int       // float32 values in src from one output pixel's window to the next one's
	dstStride int       // float32 values in dst from one output pixel to the next

	// The output pixels are divided into strips. A strip is a row of the output. A 1×1
	// convolution whose views have no gaps has strips of almost equal length instead, which
	// do not end with the rows. Where the output is one pixel, as in a dense layer, all images
	// are one strip, so that a batch is one matrix product.
	strips      int
	stripPixels int // pixels of a strip; 0 where the strips are parts of flatPixels
	flatPixels  int // pixels of all strips together, where stripPixels is 0
	maxStrip    int // pixels of the longest strip

	stripStep int // strips in a group; a chunk is one group for one block
	back      int // groups in the second half of the strips, see place
	scratch       // the outputs of a strip, for blocks that are narrower than their tile
}

// chunkMACs is the least number of multiply-adds in a chunk: claiming a chunk then costs less
// than 1 % of computing it.
const chunkMACs = 1 << 19

// Bind implements Conv. A 1×1 convolution with stride 1 needs no halo: its padding only adds a
// border to the output, which is written without a multiplication.
func (c *directConv) Bind(dst, src View, threads int) (workers.Task, error) {
	if err := c.problem.checkBind(dst, src); err != nil {
		return nil, err
	}
	s := c.problem.ConvShape
	t := &directTask{directConv: c, dst: dst, src: src, out: Data[float32](dst), in: Data[float32](src), interior: dst, srcStride: s.Stride * src.Pixel, dstStride: dst.Pixel}
	if s.Halo() < s.Pad {
		if oh, _ := s.OutSize(src.H, src.W); dst.H != oh {
			return nil, fmt.Errorf("convolution: 1×1 with padding %d to %d rows, expected all %d", s.Pad, dst.H, oh)
		}
		t.interior.Offset = dst.Index(0, s.Pad, s.Pad, 0)
		t.interior.H, t.interior.W = src.H, src.W
		s.Pad = 0
	}
	t.src.Offset = src.Index(0, -s.Pad, -s.Pad, 0)

	// A run is as long as the inputs of a window are contiguous in memory.
	in := s.In / s.Groups
	switch {
	case src.Pixel != in:
		t.run = in
		for y := range s.KH {
			for x := range s.KW {
				t.offsets = append(t.offsets, y*src.Row+x*src.Pixel)
			}
		}
	case src.Row == s.KW*in:
		t.run = s.KH * s.KW * in
		t.offsets = []int{0}
	default:
		t.run = s.KW * in
		for y := range s.KH {
			t.offsets = append(t.offsets, y*src.Row)
		}
	}

	out := t.interior
	total := out.N * out.H * out.W
	switch {
	case out.H == 1 && out.W == 1:
		t.strips, t.stripPixels, t.maxStrip = 1, out.N, out.N
		t.srcStride, t.dstStride = src.Batch, dst.Batch
	case s.KH == 1 && s.KW == 1 && s.Stride == 1 && src.flat() && out.flat():
		// With eight tiles in a strip, calls are rare and little is lost at a strip's end,
		// where tiles are lower.
		t.flatPixels = total
		t.strips = max(1, total/(8*c.f32.Conv.Wide.Height()))
		t.maxStrip = total/t.strips + 1
	default:
		t.strips, t.stripPixels, t.maxStrip = out.N*out.H, out.W, out.W
	}

	work := total * s.K() * s.Out
	chunks := len(c.blocks)
	if threads > 1 {
		chunks = max(1, min(work/chunkMACs, 16*threads))
	}
	perBlock := max(1, min(t.strips, (chunks+len(c.blocks)-1)/len(c.blocks)))
	t.stripStep = (t.strips + perBlock - 1) / perBlock
	if threads > 1 {
		t.back = t.stripChunks() / 2
	}

	edge := 0
	for _, b := range c.blocks {
		if b.width < b.tile {
			edge = max(edge, t.maxStrip*b.tile)
		}
	}
	t.scratch = newScratch[float32](threads, edge)
	return t, nil
}

func (t *directTask) stripChunks() int { return (t.strips + t.stripStep - 1) / t.stripStep }

func (t *directTask) Chunks() int { return len(t.blocks) * t.stripChunks() }

// place returns the block of output channels and the group of strips that chunk i computes.
// Chunks are numbered through the first half of the groups from the front, and through the
// second half from the back, because threads take chunks from both ends: each thread then
// stays in one half. Within a half, the chunks of a block follow each other, so that the
// block's panel stays in the cache.
func (t *directTask) place(i int) (b *block, group int) {
	front := t.stripChunks() - t.back
	if i < len(t.blocks)*front {
		return &t.blocks[i/front], i % front
	}
	i = t.Chunks() - 1 - i
	return &t.blocks[i/t.back], front + i%t.back
}

// Chunk computes one block of output channels for a group of strips.
func (t *directTask) Chunk(worker, i int) {
	if i == 0 {
		t.dst.fillHalo()
		t.border()
	}
	b, group := t.place(i)
	first := group * t.stripStep
	last := min(first+t.stripStep, t.strips)
	height := t.f32.Conv.of(b).Height()
	tiles := (t.maxStrip + height - 1) / height
	prefetch := t.prefetch(b, t.problem.K(), (last-first)*tiles)
	for strip := first; strip < last; strip++ {
		weights := prefetch.start((strip - first) * tiles)
		if t.stripPixels > 0 {
			n, y := strip/t.interior.H, strip%t.interior.H
			src := t.src.Index(n, y*t.problem.Stride, 0, b.in)
			t.strip(worker, b, weights, prefetch.step, t.interior.Index(n, y, 0, b.out), src, t.stripPixels)
		} else {
			p0 := strip * t.flatPixels / t.strips
			p1 := (strip + 1) * t.flatPixels / t.strips
			t.strip(worker, b, weights, prefetch.step, t.interior.Offset+p0*t.dst.Pixel+b.out, t.src.Offset+p0*t.src.Pixel+b.in, p1-p0)
		}
	}
}

// strip computes pixels output pixels of one block; dst and src are the indices of their
// first output and input. prefetch and prefetchStep are ConvFunc's.
func (t *directTask) strip(worker int, b *block, prefetch *float32, prefetchStep, dst, src, pixels int) {
	w, bias, lower := &t.panels[b.weights], &t.bias[b.bias], lowerBound(t.problem.ReLU)
	if b.width == b.tile {
		t.f32.conv(b, t.out[dst:], t.in[src:], w, bias, prefetch, t.offsets, t.run, t.srcStride, t.dstStride, pixels, prefetchStep, lower)
		return
	}
	// A tile always writes its full width, which is more than the block has: let it write to
	// a buffer, and copy the block's channels from there.
	edge := scratchOf[float32](&t.scratch, worker)
	t.f32.conv(b, edge, t.in[src:], w, bias, prefetch, t.offsets, t.run, t.srcStride, b.tile, pixels, prefetchStep, lower)
	for p := range pixels {
		copy(t.out[dst+p*t.dstStride:][:b.width], edge[p*b.tile:])
	}
}

// border writes the pixels of a padded 1×1 convolution whose window is all padding: each is the
// bias, after ReLU if the convolution has one.
func (t *directTask) border() {
	pad := t.problem.Pad
	if t.interior.H == t.dst.H {
		return
	}
	for n := range t.dst.N {
		for y := range t.dst.H {
			for x := 0; x < t.dst.W; x++ {
				if y >= pad && y < t.dst.H-pad && x == pad {
					x = t.dst.W - pad
				}
				px := Pixel[float32](t.dst, n, y, x)
				for _, b := range t.blocks {
					for i, v := range t.bias[b.bias:][:b.width] {
						px[b.out+i] = max(v, lowerBound(t.problem.ReLU))
					}
				}
			}
		}
	}
}

// conv computes pixels output pixels of one block; see ConvFunc for its arguments.
func (f *F32) conv(b *block, dst, src []float32, weights, bias, prefetch *float32, offsets []int, runLen, srcStride, dstStride, pixels, prefetchStep int, lower float32) {
	t := f.Conv.of(b)
	height, taller, shorter := t.split(pixels)
	if taller > 0 {
		t.Funcs[height](&dst[0], &src[0], weights, bias, prefetch, &offsets[0], len(offsets), runLen, srcStride, dstStride, taller, prefetchStep, lower)
		done := taller * (height + 1)
		dst, src = dst[done*dstStride:], src[done*srcStride:]
	}
	t.Funcs[height-1](&dst[0], &src[0], weights, bias, prefetch, &offsets[0], len(offsets), runLen, srcStride, dstStride, shorter, prefetchStep, lower)
}
