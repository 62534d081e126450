package kernels

import (
	"fmt"

	"firebench/kernels/scalar"
	"firebench/kernels/workers"
)

// An lrnTask is a local response normalization bound to its views; a chunk is some rows.
type lrnTask struct {
	rowChunks
	f32      *F32
	shape    LRNShape
	dst, src View

	// The scratch memory holds the squares of one row. Each pixel has Size/2 zeros before and
	// behind its channels, so that the kernel need not know where the channels end.
	scratch
	pixel int // float32 values of a pixel in scratch
}

// BindLRN prepares local response normalization of src across channels.
func BindLRN(set *Set, s LRNShape, dst, src View, threads int) (workers.Task, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if err := checkSame(dst, src); err != nil {
		return nil, fmt.Errorf("LRN: %w", err)
	}
	t := &lrnTask{rowChunks: splitRows(dst, 1, threads), f32: set.F32, shape: s, dst: dst, src: src}
	t.pixel = src.C + s.Size - 1
	t.scratch = newScratch[float32](threads, src.W*t.pixel)
	return t, nil
}

func (t *lrnTask) Chunk(worker, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	src, dst, sq, size := t.src, t.dst, scratchOf[float32](&t.scratch, worker), t.shape.Size
	out, in := Data[float32](dst), Data[float32](src)
	body := src.C / t.f32.Lanes * t.f32.Lanes
	tail := src.C - body
	for x := range src.W {
		clear(sq[x*t.pixel:][:size/2])
		clear(sq[x*t.pixel+size/2+src.C:][:size/2])
	}
	scale := t.shape.Alpha / float32(size)
	first, last := t.rows(i)
	for row := first; row < last; row++ {
		n, y := row/src.H, row%src.H
		a, d := src.Index(n, y, 0, 0), dst.Index(n, y, 0, 0)
		if body > 0 {
			t.f32.LRNSquare(&sq[size/2], &in[a], src.W, body, src.Pixel, t.pixel)
		}
		if tail > 0 {
			scalar.LRNSquare(&sq[size/2+body], &in[a+body], src.W, tail, src.Pixel, t.pixel)
		}
		if body > 0 {
			t.f32.LRN(&out[d], &in[a], &sq[0], src.W, body, src.Pixel, dst.Pixel, t.pixel, size, scale, t.shape.K)
		}
		if tail > 0 {
			scalar.LRN(&out[d+body], &in[a+body], &sq[body], src.W, tail, src.Pixel, dst.Pixel, t.pixel, size, scale, t.shape.K)
		}
	}
}
