package kernels

import (
	"fmt"

	"firebench/kernels/scalar"
	"firebench/kernels/workers"
)

// lrnTask is a local response normalization bound to its views; a chunk is a run
// of rows.
type lrnTask struct {
	rowChunks
	set      *Set
	shape    LRNShape
	dst, src View
	scratch      // one row of x², each pixel between Size/2 zeros: the kernel does not look where channels end
	pixel    int // floats of a pixel in scratch
}

// BindLRN prepares local response normalization of src across channels.
func BindLRN(set *Set, s LRNShape, dst, src View, threads int) (workers.Task, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if err := checkSame(dst, src); err != nil {
		return nil, fmt.Errorf("LRN: %w", err)
	}
	t := &lrnTask{rowChunks: splitRows(dst, 1, threads), set: set, shape: s, dst: dst, src: src}
	t.pixel = src.C + s.Size - 1
	t.scratch = newScratch(threads, src.W*t.pixel)
	return t, nil
}

func (t *lrnTask) Chunk(worker, i int) {
	if i == 0 {
		t.dst.zeroHalo()
	}
	src, dst, sq, size := t.src, t.dst, t.of(worker), t.shape.Size
	body := src.C / t.set.Lanes * t.set.Lanes
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
			t.set.LRNSquare(&sq[size/2], &src.Data[a], src.W, body, src.Pixel, t.pixel)
		}
		if tail > 0 {
			scalar.LRNSquare(&sq[size/2+body], &src.Data[a+body], src.W, tail, src.Pixel, t.pixel)
		}
		if body > 0 {
			t.set.LRN(&dst.Data[d], &src.Data[a], &sq[0], src.W, body, src.Pixel, dst.Pixel, t.pixel, size, scale, t.shape.K)
		}
		if tail > 0 {
			scalar.LRN(&dst.Data[d+body], &src.Data[a+body], &sq[body], src.W, tail, src.Pixel, dst.Pixel, t.pixel, size, scale, t.shape.K)
		}
	}
}
