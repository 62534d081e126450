package kernels

import "firebench/kernels/scalar"

// qpacked is packed with what else the tiles of quantized values need.
type qpacked struct {
	packed[uint8, int32]
	u8     *U8
	scale  []float32 // factors of requantize: as many for each block as its tile is wide
	border []uint8   // the outputs of a padded 1×1 convolution whose window is all padding
}

// newQPacked packs all but the weights, for the kernels of u.
func newQPacked(u *U8, p Problem, q quantized, blocks []block) qpacked {
	c := qpacked{packed: newPacked[uint8, int32](p, blocks), u8: u}
	c.scale = Alloc[float32](len(c.bias))
	packChannels(c.bias, c.blocks, q.folded(p.Src.Zero-u.Offset))
	packChannels(c.scale, c.blocks, q.scale)
	if p.bordered() {
		for i, bias := range q.bias {
			c.border = append(c.border, scalar.Requantize(bias, q.scale[i], p.Dst.lower(p.ReLU), p.Dst.Zero))
		}
	}
	return c
}

func (c *qpacked) Executed() int64 { return c.executed() }
func (c *qpacked) RowAlign() int   { return 1 }
func (c *qpacked) KernelRows() int { return c.problem.KH }
func (c *qpacked) Bytes() int64    { return c.packed.Bytes() + int64(len(Bytes(c.scale))) }

// qtiledTask is tiledTask for quantized values.
type qtiledTask struct {
	*qpacked
	strips
	out, in []uint8 // the memory of the views
	window  int     // bytes from one output pixel's window to the next one's, in what the kernels read
	edgeAt  int     // where the outputs of narrow blocks begin in scratch
	scratch         // what the kernels read if it is not the source, and a strip's outputs, for blocks that are narrower than their tile
}

// newQTiledTask returns a task without a window and scratch memory, whose chunks have up to blockStep of
// these blocks.
func newQTiledTask(c *qpacked, blocks []block, blockStep int, dst, src View, threads int) (*qtiledTask, error) {
	strips, err := newStrips(c.problem, blocks, c.u8.Conv.Wide.Height(), blockStep, dst, src, threads)
	if err != nil {
		return nil, err
	}
	return &qtiledTask{qpacked: c, strips: strips, out: Data[uint8](dst), in: Data[uint8](src)}, nil
}

// compute computes pixels output pixels of one block; dst is the index of their first output.
// prefetch and prefetchStep are QConvFunc's.
func (t *qtiledTask) compute(worker int, b *block, prefetch *uint8, prefetchStep, dst int, inputs []uint8, pixels int) {
	if b.width == b.tile {
		t.conv(b, t.out[dst:], inputs, prefetch, t.dstStride, pixels, prefetchStep)
		return
	}
	// As for float32: the tile writes its full width.
	edge := scratchOf[uint8](&t.scratch, worker)[t.edgeAt:]
	t.conv(b, edge, inputs, prefetch, b.tile, pixels, prefetchStep)
	for p := range pixels {
		copy(t.out[dst+p*t.dstStride:][:b.width], edge[p*b.tile:])
	}
}

// conv calls the kernels for pixels output pixels of one block.
func (t *qtiledTask) conv(b *block, dst, src []uint8, prefetch *uint8, dstStride, pixels, prefetchStep int) {
	tile := t.u8.Conv.of(b)
	weights, bias, scale := &t.panels[b.weights], &t.bias[b.bias], &t.scale[b.bias]
	runs := len(t.offsets)
	groups := b.rows / t.u8.Conv.Group / runs
	lower, zero := t.problem.Dst.lower(t.problem.ReLU), t.problem.Dst.Zero
	height, taller, shorter := tile.split(pixels)
	if taller > 0 {
		tile.Funcs[height](&dst[0], &src[0], weights, bias, scale, prefetch, &t.offsets[0], runs, groups, t.window, dstStride, taller, prefetchStep, lower, zero)
		done := taller * (height + 1)
		dst, src = dst[done*dstStride:], src[done*t.window:]
	}
	tile.Funcs[height-1](&dst[0], &src[0], weights, bias, scale, prefetch, &t.offsets[0], runs, groups, t.window, dstStride, shorter, prefetchStep, lower, zero)
}

// fillBorder writes the pixels of a padded 1×1 convolution whose window is all padding.
func (t *qtiledTask) fillBorder() {
	t.eachBorder(func(n, y, x int) { copy(Pixel[uint8](t.dst, n, y, x), t.qpacked.border) })
}
