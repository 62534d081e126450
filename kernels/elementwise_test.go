package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/workers"
)

// TestElementKernels compares the kernels of a set with the loops that F32 documents them by,
// between guard pages, also in place.
func TestElementKernels(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		counts := channelCounts(set)
		most := counts[len(counts)-1]
		x, y := kerneltest.Random(1, most), kerneltest.Random(2, most)
		dstMem, aMem, bMem := guarded(t, most), guarded(t, most), guarded(t, most)
		for _, n := range counts {
			for side := range sides {
				what := fmt.Sprintf("%d values, %s", n, sides[side])
				for _, lower := range []float32{negInf, 0} {
					add := func(_, i int) float64 { return float64(max(x[i]+y[i], lower)) }
					for _, where := range []string{"", ", dst = a", ", dst = b"} {
						a, b, dst := aMem.load(side, x[:n]), bMem.load(side, y[:n]), dstMem.blank(side, n)
						switch where {
						case ", dst = a":
							dst = a
						case ", dst = b":
							dst = b
						}
						set.F32.Add(&dst[0], &a[0], &b[0], n, lower)
						compareRows(t, "Add of "+what+where, dst, 1, n, n, add, nil)
					}
				}
				relu := func(_, i int) float64 { return float64(max(x[i], 0)) }
				a, dst := aMem.load(side, x[:n]), dstMem.blank(side, n)
				set.F32.ReLU(&dst[0], &a[0], n)
				compareRows(t, "ReLU of "+what, dst, 1, n, n, relu, nil)
				set.F32.ReLU(&a[0], &a[0], n)
				compareRows(t, "ReLU of "+what+", in place", a, 1, n, n, relu, nil)

				a, b := aMem.load(side, x[:n]), bMem.load(side, y[:n])
				kerneltest.Poison(dst)
				set.F32.Mul(&dst[0], &a[0], &b[0], n)
				compareRows(t, "Mul of "+what, dst, 1, n, n, func(_, i int) float64 { return float64(x[i] * y[i]) }, nil)
				kerneltest.Poison(dst)
				set.F32.ReLUGradient(&dst[0], &a[0], &b[0], n)
				compareRows(t, "ReLUGradient of "+what, dst, 1, n, n, func(_, i int) float64 { return float64(reluGradient(x[i], y[i])) }, nil)
			}
		}
	})
}

// An elementOp is an operation whose outputs depend on the elements at the same place in its
// sources.
type elementOp struct {
	name string
	srcs int
	bind func(set *kernels.Set, dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error)
	f    func(a, b float32) float32
}

var elementOps = []elementOp{
	{"add", 2, func(set *kernels.Set, dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error) {
		return kernels.BindAdd(set, dst, srcs[0], srcs[1], false, threads)
	}, func(a, b float32) float32 { return a + b }},
	{"addrelu", 2, func(set *kernels.Set, dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error) {
		return kernels.BindAdd(set, dst, srcs[0], srcs[1], true, threads)
	}, func(a, b float32) float32 { return max(a+b, 0) }},
	{"relu", 1, func(set *kernels.Set, dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error) {
		return kernels.BindReLU(set, dst, srcs[0], threads)
	}, func(a, _ float32) float32 { return max(a, 0) }},
	{"copy", 1, func(_ *kernels.Set, dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error) {
		return kernels.BindCopy(dst, srcs[0], threads)
	}, func(a, _ float32) float32 { return a }},
	{"mul", 2, func(set *kernels.Set, dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error) {
		return kernels.BindMul(set, dst, srcs[0], srcs[1], threads)
	}, func(a, b float32) float32 { return a * b }},
	{"relugradient", 2, func(set *kernels.Set, dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error) {
		return kernels.BindReLUGradient(set, dst, srcs[0], srcs[1], threads)
	}, reluGradient},
}

func reluGradient(y, grad float32) float32 {
	if y > 0 {
		return grad
	}
	return 0
}

// inputs returns the sources, dense. Some values are NaNs, infinities, zeros of both signs and the
// smallest number.
func (e elementOp) inputs(n, h, w, c int) []tensor {
	srcs := []tensor{random(1, n, h, w, c), random(2, n, h, w, c)}[:e.srcs]
	odd := []float32{float32(math.NaN()), float32(math.Inf(1)), negInf, 0, float32(math.Copysign(0, -1)), 0x1p-149}
	for i, src := range srcs {
		// The distances differ, so that every two of these values meet in the two sources,
		// and are so small that they get into every lane.
		for j := range src.values {
			if j%(3+i) == 0 {
				src.values[j] = odd[j/(3+i)%len(odd)]
			}
		}
	}
	return srcs
}

// want returns the expected values.
func (e elementOp) want(srcs []tensor) []float64 {
	out := make([]float64, len(srcs[0].values))
	for i := range out {
		out[i] = float64(e.f(srcs[0].values[i], srcs[len(srcs)-1].values[i]))
	}
	return out
}

// test runs the operation in the given layouts. The result must be exact, NaNs and infinities
// included.
func (e elementOp) test(t *testing.T, set *kernels.Set, n, h, w, c int, dst, a, b layout, threads int) {
	t.Run(fmt.Sprintf("%s=%dx%dx%dx%d", e.name, n, h, w, c), func(t *testing.T) {
		srcs := e.inputs(n, h, w, c)
		want := e.want(srcs)
		for i, l := range []layout{a, b}[:e.srcs] {
			srcs[i].layout = l
		}
		exercise(t, threads, tensor{n: n, h: h, w: w, c: c, layout: dst}, srcs,
			func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
				return e.bind(set, dst, srcs, threads)
			},
			func(side string, got kernels.View) { kerneltest.Compare(t, side, got, want, nil) })
	})
}

// TestElementSizes has rows whose lengths leave every remainder when divided by the vector's.
func TestElementSizes(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, e := range elementOps {
			for c := 1; c <= 40; c++ {
				e.test(t, set, 1, 2, 1, c, layout{}, layout{}, layout{}, 1)
				e.test(t, set, 1, 1, 3, c, layout{after: 1}, layout{}, layout{halo: 1}, 1)
			}
			for _, n := range kerneltest.Sizes(set.F32.Lanes, 4*set.F32.Lanes, 8*set.F32.Lanes, 16*set.F32.Lanes) {
				e.test(t, set, 1, 1, n, 1, layout{}, layout{}, layout{}, 1)
			}
		}
	})
}

// TestElementLayouts reads from and writes to every layout.
func TestElementLayouts(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, e := range elementOps {
			for i, dst := range layouts {
				for j, a := range layouts {
					b := layouts[(i+2*j)%len(layouts)]
					t.Run(fmt.Sprintf("layouts=%d,%d", i, j), func(t *testing.T) {
						e.test(t, set, 2, 3, 4, 19, dst, a, b, 1+(i+j)%2)
					})
				}
			}
		}
	})
}

// TestElementThreads has enough work for many chunks, on several threads.
func TestElementThreads(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, e := range elementOps {
			for threads := 1; threads <= 3; threads++ {
				e.test(t, set, 2, 31, 30, 65, layout{halo: 1}, layout{}, layout{}, threads)
				views := []kernels.View{kernels.NewView(kernels.Type{}, 2, 31, 30, 65, 0), kernels.NewView(kernels.Type{}, 2, 31, 30, 65, 0)}
				task, err := e.bind(set, kernels.NewView(kernels.Type{}, 2, 31, 30, 65, 0), views, threads)
				if err != nil {
					t.Fatal(err)
				}
				if chunks := task.Chunks(); threads > 1 && chunks < 2*threads {
					t.Errorf("%s: %d chunks for %d threads test nothing", e.name, chunks, threads)
				}
			}
		}
	})
}

// TestElementInPlace: ReLU and add may write where they read.
func TestElementInPlace(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, e := range elementOps {
			if e.name == "copy" {
				continue // must not work in place
			}
			for _, l := range layouts {
				for target := range e.srcs {
					srcs := e.inputs(2, 3, 4, 19)
					want := e.want(srcs)
					views := make([]kernels.View, len(srcs))
					for i, src := range srcs {
						src = src.in(l)
						views[i] = src.view(make([]float32, src.size()))
					}
					dst := views[target]
					task, err := e.bind(set, dst, views, 2)
					if err != nil {
						t.Fatal(err)
					}
					run(task, 2)
					what := fmt.Sprintf("%s into source %d, %+v", e.name, target, l)
					kerneltest.Compare(t, what, dst, want, nil)
					kerneltest.ZeroHalo(t, what, dst)
					kerneltest.Unwritten(t, what, dst)
				}
			}
		}
	})
}

// TestElementErrors: views that do not fit are an error that says what was expected.
func TestElementErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	good := kernels.NewView(kernels.Type{}, 2, 3, 4, 5, 0)
	for _, e := range elementOps {
		for _, c := range []struct {
			name string
			view kernels.View
			want []string
		}{
			{"good", kernels.NewView(kernels.Type{}, 2, 3, 4, 5, 1), nil},
			{"batch", kernels.NewView(kernels.Type{}, 1, 3, 4, 5, 0), []string{"images"}},
			{"height", kernels.NewView(kernels.Type{}, 2, 2, 4, 5, 0), []string{"2×2×4×5", "2×3×4×5"}},
			{"width", kernels.NewView(kernels.Type{}, 2, 3, 5, 5, 0), []string{"2×3×5×5", "2×3×4×5"}},
			{"channels", kernels.NewView(kernels.Type{}, 2, 3, 4, 4, 0), []string{"2×3×4×4", "2×3×4×5"}},
			{"empty", kernels.View{}, []string{"empty"}},
		} {
			_, err := e.bind(set, c.view, []kernels.View{good, good}, 1)
			checkError(t, e.name+", destination, "+c.name, err, c.want)
			for i := range e.srcs {
				srcs := []kernels.View{good, good}
				srcs[i] = c.view
				_, err := e.bind(set, good, srcs, 1)
				checkError(t, fmt.Sprintf("%s, source %d, %s", e.name, i, c.name), err, c.want)
			}
		}
	}
}
