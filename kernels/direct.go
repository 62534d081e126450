package kernels

import "firebench/kernels/workers"

// direct computes each output as convolution is defined: one chain of multiply-adds.
var direct = algorithm{
	name: "direct",
	cycles: func(set *Set, p Problem, cache int) (int, bool) {
		if !p.floats() {
			return 0, false
		}
		// A core issues two vector multiply-adds a cycle, unless it waits for the weights.
		oh, ow := p.OutSize(p.H, p.W)
		return max(oh*ow*p.K()*vectors(p.Out, set.F32.Lanes)/2, stream(p.Weights()*Float32.Size(), cache)), true
	},
	pack: func(set *Set, p Problem, w Weights) (Conv, error) {
		c := &directConv{newPacked[float32, float32](&set.F32.Conv, p, p.K()), set.F32}
		packChannels(c.bias, c.blocks, w.Bias)
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

func (c *directConv) Executed() int64 { return c.executed() }
func (c *directConv) RowAlign() int   { return 1 }
func (c *directConv) KernelRows() int { return c.problem.KH }

// directTask is a direct convolution bound to its views.
type directTask struct {
	*directConv
	strips
	out, in []float32 // the memory of the views
	scratch           // the outputs of a strip, for blocks that are narrower than their tile
}

// Bind implements Conv. A 1×1 convolution with stride 1 needs no halo: its padding only adds a
// border to the output, which is written without a multiplication.
func (c *directConv) Bind(dst, src View, threads int) (workers.Task, error) {
	strips, err := newStrips(c.problem, c.blocks, c.f32.Conv.Wide.Height(), 1, dst, src, threads)
	if err != nil {
		return nil, err
	}
	t := &directTask{directConv: c, strips: strips, out: Data[float32](dst), in: Data[float32](src)}
	t.scratch = newScratch[float32](threads, t.edge())
	return t, nil
}

// Chunk computes one block of output channels for a group of strips.
func (t *directTask) Chunk(worker, i int) {
	if i == 0 {
		t.dst.fillHalo()
		t.fillBorder()
	}
	first, _, group := t.place(i)
	b := &t.blocks[first]
	from, to := t.group(group)
	height := t.f32.Conv.of(b).Height()
	tiles := (t.maxStrip + height - 1) / height
	prefetch := t.prefetch(b, t.problem.K(), (to-from)*tiles)
	for strip := from; strip < to; strip++ {
		dst, src, pixels := t.strip(strip)
		t.compute(worker, b, prefetch.start((strip-from)*tiles), prefetch.step, dst+b.out, src+b.in, pixels)
	}
}

// compute computes pixels output pixels of one block; dst and src are the indices of their
// first output and input. prefetch and prefetchStep are ConvFunc's.
func (t *directTask) compute(worker int, b *block, prefetch *float32, prefetchStep, dst, src, pixels int) {
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

// fillBorder writes the pixels of a padded 1×1 convolution whose window is all padding: each is the
// bias, after ReLU if the convolution has one.
func (t *directTask) fillBorder() {
	lower := lowerBound(t.problem.ReLU)
	t.eachBorder(func(n, y, x int) {
		px := Pixel[float32](t.dst, n, y, x)
		for _, b := range t.blocks {
			for i, v := range t.bias[b.bias:][:b.width] {
				px[b.out+i] = max(v, lower)
			}
		}
	})
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
