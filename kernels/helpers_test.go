package kernels_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"unsafe"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/workers"
)

// A layout is how a tensor lies in memory: inside a halo, in pixels that hold more channels than
// its own, or in larger images.
type layout struct {
	halo          int
	before, after int // other channels of each pixel
	right, below  int // other pixels of each image
}

// layouts are the layouts of an operand that let the loops take different ways through its memory.
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
	values []float32       // of a source: dense NHWC
	zeros  kernels.Padding // of a source: the pixels of the halo that hold zeros
}

// size returns the number of values that the tensor's memory holds.
func (x tensor) size() int {
	return kernels.ViewSize(x.n, x.h+x.below, x.w+x.right, x.before+x.c+x.after, x.halo)
}

// view lays the tensor out over data. Everything in data becomes NaN, except for the values and the
// zeros of a source.
func (x tensor) view(data []float32) kernels.View {
	v := kernels.ViewOf(kernels.Type{}, kernels.Bytes(data), x.n, x.h+x.below, x.w+x.right, x.before+x.c+x.after, x.halo).Channels(x.before, x.c)
	v.H, v.W = x.h, x.w
	kerneltest.Poison(data)
	if x.values == nil {
		return v
	}
	values := x.values
	for n := range v.N {
		for y := -x.zeros.Top; y < v.H+x.zeros.Bottom; y++ {
			for i := -x.zeros.Left; i < v.W+x.zeros.Right; i++ {
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

// dense returns the view of a source without halo or gaps, in memory of its own, for ref.
func (x tensor) dense() kernels.View {
	x.layout, x.zeros = layout{}, kernels.Padding{}
	return x.view(make([]float32, x.size()))
}

// random returns a dense source.
func random(seed uint64, n, h, w, c int) tensor {
	return tensor{n: n, h: h, w: w, c: c, values: kerneltest.Random(seed, n*h*w*c)}
}

// in returns the tensor with layout l.
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

// sides names the two slices of a slab.
var sides = [2]string{"low end", "high end"}

// A slab is memory for the same values twice: one slice begins right behind an unreadable page, the
// other ends right before one.
type slab [2][]float32

// guarded returns a slab for n values.
func guarded(t testing.TB, n int) slab {
	low, high := kerneltest.Guard(t, n)
	return slab{low, high}
}

// slice returns the n values of one side that touch the unreadable page.
func (s slab) slice(side, n int) []float32 {
	if side == 0 {
		return s[0][:n:n]
	}
	return s[1][len(s[1])-n:]
}

// load returns a slice that touches the unreadable page and holds values.
func (s slab) load(side int, values []float32) []float32 {
	c := s.slice(side, len(values))
	copy(c, values)
	return c
}

// loadInts is load for integers.
func (s slab) loadInts(side int, values []int) []int {
	const floats = int(unsafe.Sizeof(0) / unsafe.Sizeof(float32(0)))
	c := s.slice(side, floats*len(values))
	ints := unsafe.Slice((*int)(unsafe.Pointer(unsafe.SliceData(c))), len(values))
	copy(ints, values)
	return ints
}

// blank returns a slice of n values that touches the unreadable page and is poisoned.
func (s slab) blank(side, n int) []float32 {
	c := s.slice(side, n)
	kerneltest.Poison(c)
	return c
}

// run runs a task on a number of threads.
func run(task workers.Task, threads int) {
	pool := workers.NewPool(threads)
	defer pool.Close()
	pool.Run(context.Background(), task)
}

// exercise binds and runs one operation twice: first the memory of every operand and the scratch
// memory begin right behind an unreadable page, then they end right before one. It checks what
// every operation must do: write all of the output, fill its halo with zeros, and touch nothing
// else. check must compare the output with the expected values.
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

// compareRows compares a matrix of rows×cols values, whose rows are stride apart, with
// want(row, col): they may differ by bound(row, col), or not at all if bound is nil. It also checks
// that the poisoned values between the rows were not written.
func compareRows(t *testing.T, what string, got []float32, rows, cols, stride int, want func(r, c int) float64, bound func(r, c int) float64) {
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

// mulAdd returns the multiply-add of an instruction set: it is rounded once, but twice in the
// scalar kernels.
func mulAdd(isa kernels.ISA) func(x, y, z float32) float32 {
	if isa == kernels.Scalar {
		return func(x, y, z float32) float32 { return float32(x*y) + z }
	}
	return ref.FMA
}

// channelCounts returns multiples of the lanes around the numbers of vectors that kernels may
// handle in one step of a loop.
func channelCounts(set *kernels.Set) []int {
	var counts []int
	for _, vectors := range []int{1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17} {
		counts = append(counts, vectors*set.F32.Lanes)
	}
	return counts
}

// checkError checks that err mentions all parts, or that it is nil if there are no parts.
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
