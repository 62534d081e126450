package kernels

import (
	"fmt"

	"firebench/kernels/scalar"
	"firebench/kernels/workers"
)

// An elementTask applies f to every run of elements that is contiguous in all its views; a
// chunk is some rows.
type elementTask struct {
	rowChunks
	dst, a, b View
	f         func(t *elementTask, dst, a, b []float32)
	f32       *F32
	lower     float32
}

func bindElements(name string, t *elementTask, threads int) (workers.Task, error) {
	if err := checkSame(t.dst, t.a, t.b); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t.rowChunks = splitRows(t.dst, 1, threads)
	return t, nil
}

func (t *elementTask) Chunk(_, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	// A run is a whole row, or one pixel if a view has only some channels of its memory.
	run, runs := t.dst.C, t.dst.W
	if t.dst.Pixel == run && t.a.Pixel == run && t.b.Pixel == run {
		run, runs = run*runs, 1
	}
	dst, a, b := Data[float32](t.dst), Data[float32](t.a), Data[float32](t.b)
	first, last := t.rows(i)
	for row := first; row < last; row++ {
		n, y := row/t.dst.H, row%t.dst.H
		for x := range runs {
			t.f(t, dst[t.dst.Index(n, y, x, 0):][:run], a[t.a.Index(n, y, x, 0):][:run], b[t.b.Index(n, y, x, 0):][:run])
		}
	}
}

// BindAdd prepares dst = a + b, the residual connection, or dst = max(a+b, 0) with relu.
// dst may be a or b.
func BindAdd(set *Set, dst, a, b View, relu bool, threads int) (workers.Task, error) {
	return bindElements("add", &elementTask{dst: dst, a: a, b: b, f32: set.F32, lower: lowerBound(relu), f: func(t *elementTask, dst, a, b []float32) {
		body := len(dst) / t.f32.Lanes * t.f32.Lanes
		if body > 0 {
			t.f32.Add(&dst[0], &a[0], &b[0], body, t.lower)
		}
		if body < len(dst) {
			scalar.Add(&dst[body], &a[body], &b[body], len(dst)-body, t.lower)
		}
	}}, threads)
}

// BindReLU prepares dst = max(src, 0). dst may be src.
func BindReLU(set *Set, dst, src View, threads int) (workers.Task, error) {
	return bindElements("ReLU", &elementTask{dst: dst, a: src, b: src, f32: set.F32, f: func(t *elementTask, dst, a, _ []float32) {
		body := len(dst) / t.f32.Lanes * t.f32.Lanes
		if body > 0 {
			t.f32.ReLU(&dst[0], &a[0], body)
		}
		if body < len(dst) {
			scalar.ReLU(&dst[body], &a[body], len(dst)-body)
		}
	}}, threads)
}
