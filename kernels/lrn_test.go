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

// TestLRNKernels compares the two kernels of local response normalization with the loops that F32
// documents them by, between guard pages.
func TestLRNKernels(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		const maxPixels, maxSize, gap = 3, 9, 3
		counts := channelCounts(set)
		wide := counts[len(counts)-1] + max(gap, maxSize-1)
		dstMem, srcMem, squareMem := guarded(t, maxPixels*wide), guarded(t, maxPixels*wide), guarded(t, maxPixels*wide)
		values := kerneltest.Random(1, len(srcMem[0]))
		squared := kerneltest.Random(2, len(squareMem[0]))
		for i, x := range squared {
			squared[i] = x * x
		}
		for _, channels := range counts {
			for pixels := 1; pixels <= maxPixels; pixels++ {
				for side := range sides {
					srcPixel, dstPixel := channels+pixels%2*gap, channels+channels/set.F32.Lanes%2*gap
					src := srcMem.load(side, values[:(pixels-1)*srcPixel+channels])
					dst := dstMem.blank(side, (pixels-1)*dstPixel+channels)
					what := fmt.Sprintf("%d pixels × %d channels, %s", pixels, channels, sides[side])
					set.F32.LRNSquare(&dst[0], &src[0], pixels, channels, srcPixel, dstPixel)
					compareRows(t, "LRNSquare of "+what, dst, pixels, channels, dstPixel, func(p, c int) float64 {
						x := src[p*srcPixel+c]
						return float64(x * x)
					}, nil)

					for size := 1; size <= maxSize; size += 2 {
						const scale, k = 0.125, 1.5
						squaresPixel := channels + size - 1
						squares := squareMem.load(side, squared[:pixels*squaresPixel])
						kerneltest.Poison(dst)
						set.F32.LRN(&dst[0], &src[0], &squares[0], pixels, channels, srcPixel, dstPixel, squaresPixel, size, scale, k)
						want := func(p, c int) float64 {
							var sum float64
							for _, sq := range squares[p*squaresPixel+c:][:size] {
								sum += float64(sq)
							}
							return float64(src[p*srcPixel+c]) / math.Pow(scale*sum+k, 0.75)
						}
						// The sum and k take size roundings, the roots and their product
						// three, and the division one.
						compareRows(t, fmt.Sprintf("LRN %d of %s", size, what), dst, pixels, channels, dstPixel, want,
							func(p, c int) float64 { return kerneltest.Tolerance(size+4, math.Abs(want(p, c))) })
					}
				}
			}
		}
	})
}

// testLRN compares a normalization in the given layouts with the reference.
func testLRN(t *testing.T, set *kernels.Set, s kernels.LRNShape, src tensor, dstLayout, srcLayout layout, threads int) {
	t.Run(fmt.Sprintf("%dx%dx%dx%d_size%d", src.n, src.h, src.w, src.c, s.Size), func(t *testing.T) {
		want := ref.LRN(s, src.dense())
		dst := tensor{n: src.n, h: src.h, w: src.w, c: src.c}
		exercise(t, threads, dst.in(dstLayout), []tensor{src.in(srcLayout)},
			func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
				return kernels.BindLRN(set, s, dst, srcs[0], threads)
			},
			func(side string, got kernels.View) {
				// The squares take one rounding; their sum, multiplied by Alpha/Size,
				// which is rounded, and added to K, takes Size and one more; the roots and
				// their product take three, and the division one. All terms are
				// positive, so that the errors are relative.
				kerneltest.Compare(t, side, got, want, kerneltest.RelativeBound(s.Size+6, want))
			})
	})
}

// alexLRN returns AlexNet's normalization with another size, and with an alpha that is large
// enough to matter.
func alexLRN(size int) kernels.LRNShape {
	return kernels.LRNShape{Size: size, Alpha: 0.5, Beta: 0.75, K: 2}
}

// TestLRNChannels has channel counts around multiples of the vector.
func TestLRNChannels(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, size := range []int{1, 3, 5, 7} {
			for c := 1; c <= 40; c++ {
				testLRN(t, set, alexLRN(size), random(1, 1, 2, 3, c), layout{}, layout{}, 1)
			}
			for _, c := range kerneltest.Sizes(set.F32.Lanes, 4*set.F32.Lanes, 8*set.F32.Lanes) {
				testLRN(t, set, alexLRN(size), random(1, 1, 2, 3, c), layout{}, layout{}, 1)
			}
		}
		// A Size that is larger than the number of channels.
		testLRN(t, set, alexLRN(31), random(1, 1, 2, 3, 9), layout{}, layout{}, 1)
		// The published constants.
		testLRN(t, set, kernels.LRNShape{Size: 5, Alpha: 1e-4, Beta: 0.75, K: 1}, random(1, 1, 3, 3, 96), layout{}, layout{}, 1)
	})
}

// TestLRNLayouts reads from and writes to every layout, in batches.
func TestLRNLayouts(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for n := 1; n <= 2; n++ {
			for i, dst := range layouts {
				for j, src := range layouts {
					t.Run(fmt.Sprintf("layouts=%d,%d", i, j), func(t *testing.T) {
						testLRN(t, set, alexLRN(5), random(1, n, 3, 4, 21), dst, src, 1+(i+j)%2)
					})
				}
			}
		}
	})
}

// TestLRNThreads has enough work for many chunks, on several threads.
func TestLRNThreads(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for threads := 1; threads <= 3; threads++ {
			src := random(1, 2, 30, 29, 67)
			testLRN(t, set, alexLRN(5), src, layout{halo: 1}, layout{}, threads)
			task, err := kernels.BindLRN(set, alexLRN(5), kernels.NewView(kernels.Type{}, 2, 30, 29, 67, 0), src.dense(), threads)
			if err != nil {
				t.Fatal(err)
			}
			if chunks := task.Chunks(); threads > 1 && chunks < 2*threads {
				t.Errorf("%d chunks for %d threads test nothing", chunks, threads)
			}
		}
	})
}

// TestLRNErrors: a shape or views that do not fit are an error that says what was expected.
func TestLRNErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	shape := func(change func(*kernels.LRNShape)) kernels.LRNShape {
		s := alexLRN(5)
		change(&s)
		return s
	}
	a, b := kernels.NewView(kernels.Type{}, 1, 2, 3, 4, 0), kernels.NewView(kernels.Type{}, 1, 2, 3, 4, 0)
	for _, c := range []struct {
		name     string
		shape    kernels.LRNShape
		dst, src kernels.View
		want     []string
	}{
		{"good", alexLRN(5), a, b, nil},
		{"even", shape(func(s *kernels.LRNShape) { s.Size = 4 }), a, b, []string{"Size is 4", "odd"}},
		{"none", shape(func(s *kernels.LRNShape) { s.Size = -1 }), a, b, []string{"Size is -1"}},
		{"large", shape(func(s *kernels.LRNShape) { s.Size = 257 }), a, b, []string{"Size is 257"}},
		{"beta", shape(func(s *kernels.LRNShape) { s.Beta = 0.5 }), a, b, []string{"Beta is 0.5", "0.75"}},
		{"K", shape(func(s *kernels.LRNShape) { s.K = 0 }), a, b, []string{"K is 0"}},
		{"alpha", shape(func(s *kernels.LRNShape) { s.Alpha = -1 }), a, b, []string{"Alpha -1"}},
		{"channels", alexLRN(5), a, kernels.NewView(kernels.Type{}, 1, 2, 3, 5, 0), []string{"1×2×3×5", "1×2×3×4"}},
		{"batch", alexLRN(5), a, kernels.NewView(kernels.Type{}, 2, 2, 3, 4, 0), []string{"images"}},
	} {
		_, err := kernels.BindLRN(set, c.shape, c.dst, c.src, 1)
		checkError(t, c.name, err, c.want)
	}
}
