package kernels_test

import (
	"math"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
)

// A layout is how a tensor lies in memory: inside a halo, and as a window
// onto pixels that hold more channels than its own.
type layout struct {
	halo          int
	before, after int // other channels of each pixel
}

// A tensor is an operand of a test.
type tensor struct {
	n, h, w, c int
	layout
	values []float32 // of a source: dense NHWC
	zeros  int       // of a source: how many halo pixels hold zeros
}

// size returns the number of values that the tensor's memory holds.
func (x tensor) size() int {
	return kernels.ViewSize(x.n, x.h, x.w, x.before+x.c+x.after, x.halo)
}

// view lays the tensor out over data, which becomes NaN but for what a source
// defines.
func (x tensor) view(data []float32) kernels.View {
	v := kernels.ViewOf(data, x.n, x.h, x.w, x.before+x.c+x.after, x.halo).Channels(x.before, x.c)
	kerneltest.Poison(data)
	if x.values == nil {
		return v
	}
	values := x.values
	for n := range v.N {
		for y := -x.zeros; y < v.H+x.zeros; y++ {
			for i := -x.zeros; i < v.W+x.zeros; i++ {
				if px := v.Pixels(n, y, i); y < 0 || y >= v.H || i < 0 || i >= v.W {
					clear(px)
				} else {
					values = values[copy(px, values):]
				}
			}
		}
	}
	return v
}

// dense returns the view of a source in memory of its own, for ref.
func (x tensor) dense() kernels.View {
	x.layout, x.zeros = layout{}, 0
	return x.view(make([]float32, x.size()))
}

// random returns a dense source.
func random(seed uint64, n, h, w, c int) tensor {
	return tensor{n: n, h: h, w: w, c: c, values: kerneltest.Random(seed, n*h*w*c)}
}

// in returns the tensor laid out like that.
func (x tensor) in(l layout) tensor {
	x.layout = l
	return x
}

// guarded returns memory for n values behind and before an unreadable page.
func guarded(t testing.TB, n int) [2][]float32 {
	low, high := kerneltest.Guard(t, n)
	return [2][]float32{low, high}
}

// sides names the two results of guarded.
var sides = [2]string{"low end", "high end"}

// run executes a task on so many threads.
func run(task kernels.Task, threads int) {
	w := kernels.NewWorkers(threads)
	defer w.Close()
	w.Run(nil, task)
}

// exercise binds and runs one operation twice, with every operand's memory
// behind and then before an unreadable page. It checks what every operation
// owes: all of the output written, its halo zeroed, and nothing else touched.
// The result itself is the caller's to check.
func exercise(t *testing.T, threads int, dst tensor, srcs []tensor,
	bind func(dst kernels.View, srcs []kernels.View) (kernels.Task, error), check func(side string, got kernels.View)) {

	t.Helper()
	out := guarded(t, dst.size())
	in := make([][2][]float32, len(srcs))
	for i, src := range srcs {
		in[i] = guarded(t, src.size())
	}
	for side, name := range sides {
		got := dst.view(out[side])
		views := make([]kernels.View, len(srcs))
		for i, src := range srcs {
			views[i] = src.view(in[i][side])
		}
		task, err := bind(got, views)
		if err != nil {
			t.Fatal(err)
		}
		run(task, threads)
		check(name, got)
		kerneltest.Unwritten(t, name, got)
		kerneltest.ZeroHalo(t, name, got)
	}
}

// layouts are the ways for an operand to lie in memory that differ in how the
// loops walk over it.
var layouts = []layout{
	{},
	{halo: 1},
	{before: 3, after: 2},
	{halo: 2, before: 1},
	{halo: 1, after: 7},
}

// checkError checks that err mentions all parts, or is nil if there are none.
func checkError(t testing.TB, what string, err error, parts []string) {
	t.Helper()
	if err == nil {
		if len(parts) > 0 {
			t.Errorf("%s: no error, want one that mentions %q", what, parts)
		}
		return
	}
	if len(parts) == 0 {
		t.Errorf("%s: %v", what, err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: error %q does not mention %q", what, err, part)
		}
	}
}

var negInf = float32(math.Inf(-1))
