package kernels_test

import (
	"math"
	"strings"
	"testing"
	"unsafe"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/workers"
)

// A layout is how a tensor lies in memory: inside a halo, as a window onto
// pixels that hold more channels than its own, or onto larger images.
type layout struct {
	halo          int
	before, after int // other channels of each pixel
	right, below  int // other pixels of each image
}

// layouts are the ways for an operand to lie in memory that differ in how the
// loops walk over it.
var layouts = []layout{
	{},
	{halo: 1},
	{before: 3, after: 2},
	{halo: 2, before: 1},
	{halo: 1, after: 7},
	{below: 1},
	{right: 2},
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
	return kernels.ViewSize(x.n, x.h+x.below, x.w+x.right, x.before+x.c+x.after, x.halo)
}

// view lays the tensor out over data, which becomes NaN but for what a source
// defines.
func (x tensor) view(data []float32) kernels.View {
	v := kernels.ViewOf(kernels.Type{}, kernels.Bytes(data), x.n, x.h+x.below, x.w+x.right, x.before+x.c+x.after, x.halo).Channels(x.before, x.c)
	v.H, v.W = x.h, x.w
	kerneltest.Poison(data)
	if x.values == nil {
		return v
	}
	values := x.values
	for n := range v.N {
		for y := -x.zeros; y < v.H+x.zeros; y++ {
			for i := -x.zeros; i < v.W+x.zeros; i++ {
				if px := kernels.Pixel[float32](v, n, y, i); y < 0 || y >= v.H || i < 0 || i >= v.W {
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

// values returns the elements of a view, dense NHWC.
func values(v kernels.View) []float32 {
	out := make([]float32, 0, v.N*v.H*v.W*v.C)
	for n := range v.N {
		for y := range v.H {
			for x := range v.W {
				out = append(out, kernels.Pixel[float32](v, n, y, x)...)
			}
		}
	}
	return out
}

// sides names the two parts of a slab.
var sides = [2]string{"low end", "high end"}

// A slab is memory for the same values twice: right behind and right before an
// unreadable page.
type slab [2][]float32

// guarded returns a slab for n values.
func guarded(t testing.TB, n int) slab {
	low, high := kerneltest.Guard(t, n)
	return slab{low, high}
}

// cut returns n values that touch the unreadable page on this side.
func (s slab) cut(side, n int) []float32 {
	if side == 0 {
		return s[0][:n:n]
	}
	return s[1][len(s[1])-n:]
}

// load cuts len(values) values and sets them.
func (s slab) load(side int, values []float32) []float32 {
	c := s.cut(side, len(values))
	copy(c, values)
	return c
}

// loadInts is load for integers.
func (s slab) loadInts(side int, values []int) []int {
	const floats = int(unsafe.Sizeof(0) / 4)
	c := s.cut(side, floats*len(values))
	ints := unsafe.Slice((*int)(unsafe.Pointer(unsafe.SliceData(c))), len(values))
	copy(ints, values)
	return ints
}

// blank cuts n values and poisons them.
func (s slab) blank(side, n int) []float32 {
	c := s.cut(side, n)
	kerneltest.Poison(c)
	return c
}

// run executes a task on so many threads.
func run(task workers.Task, threads int) {
	w := workers.NewPool(threads)
	defer w.Close()
	w.Run(nil, task)
}

// exercise binds and runs one operation twice, with every operand's memory, and
// scratch memory, behind and then before an unreadable page. It checks what every operation
// owes: all of the output written, its halo zeroed, and nothing else touched.
// The result itself is the caller's to check.
func exercise(t *testing.T, threads int, dst tensor, srcs []tensor,
	bind func(dst kernels.View, srcs []kernels.View) (workers.Task, error), check func(side string, got kernels.View)) {

	t.Helper()
	out := guarded(t, dst.size())
	in := make([]slab, len(srcs))
	for i, src := range srcs {
		in[i] = guarded(t, src.size())
	}
	var scratch []slab
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
		scratch = guardScratch(t, task, scratch, side)
		run(task, threads)
		check(name, got)
		kerneltest.Unwritten(t, name, got)
		kerneltest.ZeroHalo(t, name, got)
	}
}

// rows compares a matrix of rows×cols values, stride apart, with want(row, col)
// within bound(row, col), nil for exactly, and checks that the values between
// the rows are still as poisoned.
func rows(t *testing.T, what string, got []float32, rows, cols, stride int, want func(r, c int) float64, bound func(r, c int) float64) {
	t.Helper()
	v := kernels.View{Memory: kernels.Bytes(got), N: 1, H: 1, W: rows, C: cols, Batch: len(got), Row: len(got), Pixel: stride}
	flat := make([]float64, 0, rows*cols)
	for r := range rows {
		for c := range cols {
			flat = append(flat, want(r, c))
		}
	}
	var b func(i int) float64
	if bound != nil {
		b = func(i int) float64 { return bound(i/cols, i%cols) }
	}
	kerneltest.Compare(t, what, v, flat, b)
	kerneltest.Unwritten(t, what, v)
}

// mulAdd returns the multiply-add of the instruction set: rounded once, or for
// the scalar kernels twice.
func mulAdd(isa kernels.ISA) func(x, y, z float32) float32 {
	if isa == kernels.Scalar {
		return func(x, y, z float32) float32 { return float32(x*y) + z }
	}
	return ref.FMA
}

// channelCounts returns multiples of the lanes on both sides of what kernels
// may unroll by.
func channelCounts(set *kernels.Set) []int {
	var counts []int
	for _, vectors := range []int{1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17} {
		counts = append(counts, vectors*set.F32.Lanes)
	}
	return counts
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
