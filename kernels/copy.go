package kernels

import (
	"fmt"

	"firebench/kernels/workers"
)

// copyTask is a copy bound to its views; a chunk is some rows.
type copyTask struct {
	rowChunks
	dst, src View
}

// BindCopy prepares dst = src, for a value that its producer cannot write where it is needed.
// Both are NHWC views of one shape and one type, whatever it is; it is an error if they are not.
// The halo of dst is filled.
func BindCopy(dst, src View, threads int) (workers.Task, error) {
	err := checkViews(dst, src)
	if err == nil {
		err = checkShapes(dst, src)
	}
	if err == nil {
		err = checkTypes(dst, src)
	}
	if err != nil {
		return nil, fmt.Errorf("copy: %w", err)
	}
	return &copyTask{splitRows(dst, 1, threads), dst, src}, nil
}

func (t *copyTask) Chunk(_, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	// A row is one run of memory, unless its pixels have other channels between them.
	run, runs := t.dst.C, t.dst.W
	if t.dst.Pixel == run && t.src.Pixel == run {
		run, runs = run*runs, 1
	}
	size := t.dst.Element.Size()
	first, last := t.rows(i)
	for row := first; row < last; row++ {
		n, y := row/t.dst.H, row%t.dst.H
		for x := range runs {
			copy(t.dst.Memory[t.dst.Index(n, y, x, 0)*size:][:run*size], t.src.Memory[t.src.Index(n, y, x, 0)*size:][:run*size])
		}
	}
}

// Copy sets dst = src at once, as the task of [BindCopy] does.
func Copy(dst, src View) error {
	t, err := BindCopy(dst, src, 1)
	if err != nil {
		return err
	}
	for i := range t.Chunks() {
		t.Chunk(0, i)
	}
	return nil
}
