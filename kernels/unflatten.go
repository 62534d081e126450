package kernels

import (
	"fmt"

	"firebench/kernels/workers"
)

// unflattenTask is bound to its views; a chunk is some rows.
type unflattenTask struct {
	rowChunks
	dst, src View
}

// BindUnflatten prepares dst from src, whose images are one pixel each: channel (c·H + y)·W + x of src is
// channel c of pixel y, x in dst. Dense layers flatten in that order. Values are float32.
func BindUnflatten(dst, src View, threads int) (workers.Task, error) {
	if err := checkFloats(dst, src); err != nil {
		return nil, fmt.Errorf("unflatten: %w", err)
	}
	if src.H != 1 || src.W != 1 || src.C != dst.H*dst.W*dst.C {
		return nil, fmt.Errorf("unflatten: %v to %v, expected one pixel with as many channels", src, dst)
	}
	return &unflattenTask{splitRows(dst, 1, threads), dst, src}, nil
}

func (t *unflattenTask) Chunk(_, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	dst, src := t.dst, t.src
	first, last := t.rows(i)
	for row := first; row < last; row++ {
		n, y := row/dst.H, row%dst.H
		in := Pixel[float32](src, n, 0, 0)[y*dst.W:]
		for x := range dst.W {
			for c := range dst.C {
				Pixel[float32](dst, n, y, x)[c] = in[c*dst.H*dst.W+x]
			}
		}
	}
}
