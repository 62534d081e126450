package kerneltest

import (
	"math"
	"testing"

	"firebench/kernels"
)

// Compare reports an error if an element of got differs from want by more than bound(i), where i
// is the element's index in want; if bound is nil, no element may differ. want is dense NHWC and
// has got's shape. A NaN equals only a NaN, and an infinity only itself. The message counts the
// elements that differ and shows the first and the worst.
func Compare(t testing.TB, what string, got kernels.View, want []float64, bound func(i int) float64) {
	t.Helper()
	if n := got.N * got.H * got.W * got.C; n != len(want) {
		t.Errorf("%s: the view is %d×%d×%d×%d = %d elements, want %d", what, got.N, got.H, got.W, got.C, n, len(want))
		return
	}
	type miss struct {
		i, n, y, x, c           int
		got, want, bound, ratio float64
	}
	var first, worst miss
	count, i := 0, 0
	for n := range got.N {
		for y := range got.H {
			for x := range got.W {
				for c := range got.C {
					m := miss{i: i, n: n, y: y, x: x, c: c, got: float64(kernels.At[float32](got, n, y, x, c)), want: want[i]}
					if bound != nil {
						m.bound = bound(i)
					}
					i++
					if same(m.got, m.want, m.bound) {
						continue
					}
					// A difference is as bad as it is large beside its bound. A NaN or an
					// infinity in the place of a number, or the reverse, is the worst.
					m.ratio = math.Abs(m.got-m.want) / m.bound
					if math.IsNaN(m.ratio) {
						m.ratio = math.Inf(1)
					}
					if count == 0 {
						first, worst = m, m
					}
					if m.ratio > worst.ratio {
						worst = m
					}
					count++
				}
			}
		}
	}
	if count == 0 {
		return
	}
	show := func(which string, m miss) {
		t.Helper()
		t.Errorf("%s: %s of %d wrong elements out of %d, (n=%d y=%d x=%d c=%d): got %v, want %v, off by %.3g, bound %.3g",
			what, which, count, len(want), m.n, m.y, m.x, m.c, float32(m.got), m.want, math.Abs(m.got-m.want), m.bound)
	}
	show("first", first)
	if worst.i != first.i {
		show("worst", worst)
	}
}

// same reports whether got is want, within bound.
func same(got, want, bound float64) bool {
	if math.IsNaN(want) || math.IsNaN(got) {
		return math.IsNaN(want) && math.IsNaN(got)
	}
	return got == want || !math.IsInf(want, 0) && math.Abs(got-want) <= bound
}

// SumBound returns the bound for [Compare] of sums of k products each, whose
// absolute values add up to abs. See [Tolerance].
func SumBound(k int, abs []float64) func(i int) float64 {
	return func(i int) float64 { return Tolerance(k, abs[i]) }
}

// RelativeBound returns the bound for [Compare] of results that were rounded k times and not
// subtracted from each other, so that their errors are relative to want.
func RelativeBound(k int, want []float64) func(i int) float64 {
	return func(i int) float64 { return Tolerance(k, math.Abs(want[i])) }
}

// Unwritten reports an error if v's memory was written anywhere outside the view and its halo:
// all other memory must still be as [Poison] left it.
func Unwritten(t testing.TB, what string, v kernels.View) {
	t.Helper()
	inside := make([]bool, len(kernels.Data[float32](v)))
	eachPixel(v, func(n, y, x int, _ bool) {
		i := v.Index(n, y, x, 0)
		for c := range v.C {
			inside[i+c] = true
		}
	})
	for i, f := range kernels.Data[float32](v) {
		if !inside[i] && !isCanary(f) {
			t.Errorf("%s: wrote %v outside its view, at element %d of %d (offset %d, pixel stride %d, row stride %d)",
				what, f, i, len(kernels.Data[float32](v)), v.Offset, v.Pixel, v.Row)
			return
		}
	}
}

// ZeroHalo reports an error unless v's halo is all zeros, or all zero points of uint8.
func ZeroHalo(t testing.TB, what string, v kernels.View) {
	t.Helper()
	bad := false
	eachPixel(v, func(n, y, x int, halo bool) {
		if !halo || bad {
			return
		}
		for c := range v.C {
			f := float32(0)
			if v.Element == kernels.Uint8 {
				f = float32(int32(kernels.At[uint8](v, n, y, x, c)) - v.Zero)
			} else {
				f = kernels.At[float32](v, n, y, x, c)
			}
			if f != 0 {
				t.Errorf("%s: the halo holds %v at (n=%d y=%d x=%d c=%d) around %d×%d", what, f, n, y, x, c, v.H, v.W)
				bad = true
				return
			}
		}
	})
}

// eachPixel calls f for every pixel of v, halo included.
func eachPixel(v kernels.View, f func(n, y, x int, halo bool)) {
	for n := range v.N {
		for y := -v.Halo; y < v.H+v.Halo; y++ {
			for x := -v.Halo; x < v.W+v.Halo; x++ {
				f(n, y, x, y < 0 || y >= v.H || x < 0 || x >= v.W)
			}
		}
	}
}
