package kernels_test

import (
	"fmt"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/workers"
)

// testLRNGradient compares the gradient of a normalization in the given layouts with the reference.
func testLRNGradient(t *testing.T, set *kernels.Set, s kernels.LRNShape, src tensor, dstLayout, srcLayout layout, threads int) {
	t.Run(fmt.Sprintf("%dx%dx%dx%d_size%d", src.n, src.h, src.w, src.c, s.Size), func(t *testing.T) {
		grad := random(2, src.n, src.h, src.w, src.c)
		want, abs := ref.LRNGradient(s, src.dense(), grad.dense())
		dst := tensor{n: src.n, h: src.h, w: src.w, c: src.c}
		exercise(t, threads, dst.in(dstLayout), []tensor{src.in(srcLayout), grad.in(dstLayout)},
			func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
				return kernels.BindLRNGradient(set, s, dst, srcs[0], srcs[1], threads)
			},
			func(side string, got kernels.View) {
				// The base of the power takes Size+2 roundings, as in LRN, and is in a term to the power of
				// 1.75; the roots, quotients and products take seven more, and the sum of the terms
				// takes Size.
				kerneltest.Compare(t, side, got, want, kerneltest.SumBound(2*(s.Size+2)+7+s.Size, abs))
			})
	})
}

// TestLRNGradientChannels has channel counts around multiples of the vector.
func TestLRNGradientChannels(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, size := range []int{1, 3, 5, 7} {
			for c := 1; c <= 40; c++ {
				testLRNGradient(t, set, alexLRN(size), random(1, 1, 2, 3, c), layout{}, layout{}, 1)
			}
			for _, c := range kerneltest.Sizes(set.F32.Lanes, 4*set.F32.Lanes, 8*set.F32.Lanes) {
				testLRNGradient(t, set, alexLRN(size), random(1, 1, 2, 3, c), layout{}, layout{}, 1)
			}
		}
		// A Size that is larger than the number of channels.
		testLRNGradient(t, set, alexLRN(31), random(1, 1, 2, 3, 9), layout{}, layout{}, 1)
		// The published constants.
		testLRNGradient(t, set, kernels.LRNShape{Size: 5, Alpha: 1e-4, Beta: 0.75, K: 1}, random(1, 1, 3, 3, 96), layout{}, layout{}, 1)
	})
}

// TestLRNGradientLayouts reads from and writes to every layout, in batches, on one thread and on several.
func TestLRNGradientLayouts(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for i, dst := range layouts {
			for j, src := range layouts {
				t.Run(fmt.Sprintf("layouts=%d,%d", i, j), func(t *testing.T) {
					testLRNGradient(t, set, alexLRN(5), random(1, 1+j%2, 3, 4, 21), dst, src, 1+(i+j)%2)
				})
			}
		}
		for threads := 1; threads <= 3; threads++ {
			testLRNGradient(t, set, alexLRN(5), random(1, 2, 30, 29, 67), layout{halo: 1}, layout{}, threads)
		}
	})
}

// TestLRNGradientErrors: a shape or views that do not fit are an error that says what was expected.
func TestLRNGradientErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	view := func(n, c int) kernels.View { return kernels.NewView(kernels.Type{}, n, 2, 3, c, 0) }
	for _, c := range []struct {
		name           string
		size           int
		dst, src, grad kernels.View
		want           []string
	}{
		{"good", 5, view(1, 4), view(1, 4), view(1, 4), nil},
		{"even", 4, view(1, 4), view(1, 4), view(1, 4), []string{"Size is 4"}},
		{"source", 5, view(1, 4), view(1, 5), view(1, 4), []string{"1×2×3×5", "1×2×3×4"}},
		{"gradient", 5, view(1, 4), view(1, 4), view(1, 3), []string{"1×2×3×3", "1×2×3×4"}},
		{"batch", 5, view(1, 4), view(1, 4), view(2, 4), []string{"images"}},
	} {
		_, err := kernels.BindLRNGradient(set, alexLRN(c.size), c.dst, c.src, c.grad, 1)
		checkError(t, c.name, err, c.want)
	}
}
