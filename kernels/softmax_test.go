package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/workers"
)

// TestSoftmax compares softmax with the reference, for ordinary and for extreme values.
func TestSoftmax(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	odd := []tensor{
		{n: 1, h: 1, w: 1, c: 4, values: []float32{1e30, -1e30, 0, 1e30}}, // no overflow
		{n: 1, h: 1, w: 1, c: 3, values: []float32{-200, -100, 0}},        // vanishing
		{n: 1, h: 1, w: 2, c: 2, values: []float32{nan, 1, 2, 3}},         // one pixel only
		{n: 1, h: 1, w: 2, c: 2, values: []float32{inf, 1, negInf, 3}},
		{n: 1, h: 1, w: 1, c: 2, values: []float32{negInf, negInf}},
	}
	sizes := []tensor{random(1, 1, 1, 1, 1), random(1, 1, 1, 1, 1000), random(1, 2, 3, 4, 19), random(1, 3, 1, 1, 10)}
	for _, src := range append(odd, sizes...) {
		for _, threads := range []int{1, 3} {
			for i, l := range layouts {
				t.Run(fmt.Sprintf("%dx%dx%dx%d/threads=%d/layout=%d", src.n, src.h, src.w, src.c, threads, i), func(t *testing.T) {
					want := ref.Softmax(src.dense())
					dst := tensor{n: src.n, h: src.h, w: src.w, c: src.c}
					exercise(t, threads, dst.in(l), []tensor{src.in(layouts[(i+1)%len(layouts)])},
						func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
							return kernels.BindSoftmax(dst, srcs[0])
						},
						func(side string, got kernels.View) {
							// x - max is rounded to float32. exp turns this error into a relative
							// one, |x - max| times as large; results that are not too small to
							// matter have an x less than 16 below the largest. A few more
							// roundings follow.
							kerneltest.Compare(t, side, got, want, kerneltest.RelativeBound(16+4, want))
						})
				})
			}
		}
	}
	_, err := kernels.BindSoftmax(kernels.NewView(kernels.Type{}, 1, 1, 1, 4, 0), kernels.NewView(kernels.Type{}, 1, 1, 1, 5, 0))
	checkError(t, "channels", err, []string{"softmax", "1×1×1×5", "1×1×1×4"})
}
