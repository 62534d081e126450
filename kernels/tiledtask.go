package kernels

// tiledTask is the task of a convolution by tiles whose sums start at the biases and run over all inputs,
// or over those that have weights.
type tiledTask struct {
	*packed[float32, float32]
	strips
	out, in []float32        // the memory of the views
	scratch                  // the outputs of a strip, for blocks that are narrower than their tile
	height  func(*block) int // of a block's tile

	// tiles computes so many tiles of one block, one behind the other, that are height pixels high.
	// dst and src begin with the first output and input. prefetch and prefetchStep are ConvFunc's.
	tiles func(b *block, height int, dst, src []float32, prefetch *float32, dstStride, tiles, prefetchStep int)
}

// newTiledTask returns a task whose tiles have the heights of those of kernels, without its function tiles.
func newTiledTask[F any](c *packed[float32, float32], kernels *Tiles[F], dst, src View, threads int) (*tiledTask, error) {
	strips, err := newStrips(c.problem, c.blocks, kernels.Wide.Height(), 1, dst, src, threads)
	if err != nil {
		return nil, err
	}
	t := &tiledTask{packed: c, strips: strips, out: Data[float32](dst), in: Data[float32](src)}
	t.height = func(b *block) int { return kernels.of(b).Height() }
	t.scratch = newScratch[float32](threads, t.edge())
	return t, nil
}

// Chunk computes one block of output channels for a group of strips.
func (t *tiledTask) Chunk(worker, i int) {
	if i == 0 {
		t.dst.fillHalo()
		t.fillBorder()
	}
	first, _, group := t.place(i)
	b := &t.packed.blocks[first]
	from, to := t.group(group)
	height := t.height(b)
	tiles := (t.maxStrip + height - 1) / height
	prefetch := t.prefetch(b, b.rows, (to-from)*tiles)
	for strip := from; strip < to; strip++ {
		dst, src, pixels := t.strip(strip)
		t.compute(worker, b, prefetch.start((strip-from)*tiles), prefetch.step, dst+b.out, src+b.in, pixels)
	}
}

// compute computes pixels output pixels of one block; dst and src are the indices of their
// first output and input.
func (t *tiledTask) compute(worker int, b *block, prefetch *float32, prefetchStep, dst, src, pixels int) {
	if b.width == b.tile {
		t.split(b, t.out[dst:], t.in[src:], prefetch, t.dstStride, pixels, prefetchStep)
		return
	}
	// A tile always writes its full width, which is more than the block has: let it write to
	// a buffer, and copy the block's channels from there.
	edge := scratchOf[float32](&t.scratch, worker)
	t.split(b, edge, t.in[src:], prefetch, b.tile, pixels, prefetchStep)
	for p := range pixels {
		copy(t.out[dst+p*t.dstStride:][:b.width], edge[p*b.tile:])
	}
}

// split divides pixels among tiles of two heights.
func (t *tiledTask) split(b *block, dst, src []float32, prefetch *float32, dstStride, pixels, prefetchStep int) {
	height, taller, shorter := split(pixels, t.height(b))
	if taller > 0 {
		t.tiles(b, height+1, dst, src, prefetch, dstStride, taller, prefetchStep)
		done := taller * (height + 1)
		dst, src = dst[done*dstStride:], src[done*t.srcStride:]
	}
	t.tiles(b, height, dst, src, prefetch, dstStride, shorter, prefetchStep)
}

// fillBorder writes the pixels of a padded 1×1 convolution whose window is all padding: each is the
// bias, after ReLU if the convolution has one.
func (t *tiledTask) fillBorder() {
	lower := lowerBound(t.problem.ReLU)
	t.eachBorder(func(n, y, x int) {
		px := Pixel[float32](t.dst, n, y, x)
		for _, b := range t.packed.blocks {
			for i, v := range t.bias[b.bias:][:b.width] {
				px[b.out+i] = max(v, lower)
			}
		}
	})
}
