package kernels

import (
	"fmt"

	"firebench/kernels/scalar"
	"firebench/kernels/workers"
)

// An lrnGradientTask is the gradient of a local response normalization's input, bound to its views; a chunk is
// some rows.
type lrnGradientTask struct {
	rowChunks
	f32            *F32
	shape          LRNShape
	dst, src, grad View

	// The scratch memory holds the squares and then the terms of one row. Each pixel has Size/2 zeros before
	// and behind its channels, so that the kernels need not know where the channels end.
	scratch
	pixel int // float32 values of a pixel in scratch
}

// BindLRNGradient prepares dst, the gradient of src, the input of a local response normalization across
// channels, from the gradient grad of its result. With d the base of the power that an LRNShape describes,
//
//	dst[c] = grad[c]·d[c]^-Beta - 2·Alpha/Size·Beta · src[c] · Σ src[c+j]·grad[c+j]·d[c+j]^(-Beta-1),  |j| <= Size/2
func BindLRNGradient(set *Set, s LRNShape, dst, src, grad View, threads int) (workers.Task, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if err := checkSame(dst, src, grad); err != nil {
		return nil, fmt.Errorf("gradient of LRN: %w", err)
	}
	t := &lrnGradientTask{rowChunks: splitRows(dst, 1, threads), f32: set.F32, shape: s, dst: dst, src: src, grad: grad}
	t.pixel = src.C + s.Size - 1
	t.scratch = newScratch[float32](threads, 2*src.W*t.pixel)
	return t, nil
}

func (t *lrnGradientTask) Chunk(worker, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	src, dst, grad, size := t.src, t.dst, t.grad, t.shape.Size
	sq := scratchOf[float32](&t.scratch, worker)
	terms := sq[src.W*t.pixel:]
	out, in, g := Data[float32](dst), Data[float32](src), Data[float32](grad)
	body := src.C / t.f32.Lanes * t.f32.Lanes
	tail := src.C - body
	for x := range 2 * src.W {
		clear(sq[x*t.pixel:][:size/2])
		clear(sq[x*t.pixel+size/2+src.C:][:size/2])
	}
	scale := t.shape.Alpha / float32(size)
	factor := 2 * scale * t.shape.Beta
	first, last := t.rows(i)
	for row := first; row < last; row++ {
		n, y := row/src.H, row%src.H
		a, d, b := src.Index(n, y, 0, 0), dst.Index(n, y, 0, 0), grad.Index(n, y, 0, 0)
		if body > 0 {
			t.f32.LRNSquare(&sq[size/2], &in[a], src.W, body, src.Pixel, t.pixel)
		}
		if tail > 0 {
			scalar.LRNSquare(&sq[size/2+body], &in[a+body], src.W, tail, src.Pixel, t.pixel)
		}
		if body > 0 {
			t.f32.LRNTerms(&out[d], &terms[size/2], &in[a], &g[b], &sq[0], src.W, body, dst.Pixel, src.Pixel, grad.Pixel, t.pixel, size, scale, t.shape.K)
		}
		if tail > 0 {
			scalar.LRNTerms(&out[d+body], &terms[size/2+body], &in[a+body], &g[b+body], &sq[body], src.W, tail, dst.Pixel, src.Pixel, grad.Pixel, t.pixel, size, scale, t.shape.K)
		}
		if body > 0 {
			t.f32.LRNGradient(&out[d], &in[a], &terms[0], src.W, body, dst.Pixel, src.Pixel, t.pixel, size, factor)
		}
		if tail > 0 {
			scalar.LRNGradient(&out[d+body], &in[a+body], &terms[body], src.W, tail, dst.Pixel, src.Pixel, t.pixel, size, factor)
		}
	}
}
