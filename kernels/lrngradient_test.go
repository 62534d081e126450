package kernels_test

import (
	"fmt"
	"math"
	"slices"
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

// TestLRNGradientLayouts reads from and writes to every layout, in batches.
func TestLRNGradientLayouts(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for i, dst := range layouts {
			for j, src := range layouts {
				t.Run(fmt.Sprintf("layouts=%d,%d", i, j), func(t *testing.T) {
					testLRNGradient(t, set, alexLRN(5), random(1, 1+j%2, 3, 4, 21), dst, src, 1+(i+j)%2)
				})
			}
		}
	})
}

// TestLRNGradientDigest: the bits are the same on any number of threads, and on all instruction sets with a fused
// multiply-add.
func TestLRNGradientDigest(t *testing.T) {
	want := map[bool]string{}
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for threads := 1; threads <= 3; threads++ {
			src, grad := random(1, 2, 24, 25, 64), random(2, 2, 24, 25, 64)
			dst := kernels.NewView(kernels.Type{}, 2, 24, 25, 64, 1)
			task, err := kernels.BindLRNGradient(set, alexLRN(5), dst, src.dense(), grad.dense(), threads)
			if err != nil {
				t.Fatal(err)
			}
			if chunks := task.Chunks(); chunks < threads {
				t.Errorf("%d chunks for %d threads test nothing", chunks, threads)
			}
			run(task, threads)
			fused := set.ISA != kernels.Scalar
			if want[fused] == "" {
				want[fused] = digest(values(dst))
			}
			if got := digest(values(dst)); got != want[fused] {
				t.Errorf("%d threads: digest %s, want %s", threads, got, want[fused])
			}
		}
	})
}

// TestLRNGradientKernels compares the two kernels with the loops that F32 documents them by, between guard
// pages: exactly, but for what the multiply-adds of the scalar kernels round.
func TestLRNGradientKernels(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		const pixels, gap, scale, k = 2, 3, 0.125, 1.5
		mulAdd, sqrt := mulAdd(set.ISA), func(x float32) float32 { return float32(math.Sqrt(float64(x))) }
		counts := channelCounts(set)
		size := pixels * (counts[len(counts)-1] + 2*gap + 6)
		dstMem, termsMem, srcMem, gradMem, squareMem := guarded(t, size), guarded(t, size), guarded(t, size), guarded(t, size), guarded(t, size)
		x, g, sq := kerneltest.Random(1, size), kerneltest.Random(2, size), kerneltest.Random(3, size)
		for i := range sq {
			sq[i] *= sq[i]
		}
		for i, channels := range counts {
			for side := range sides {
				size := 1 + 2*((i+side)%4)
				dstPixel, srcPixel, gradPixel, squaresPixel := channels+i%2*gap, channels+i/2%2*gap, channels+(i+side)%2*2*gap, channels+size-1
				at := func(pixel int) int { return (pixels-1)*pixel + channels }
				dst, terms := dstMem.blank(side, at(dstPixel)), termsMem.blank(side, at(squaresPixel))
				src, grad := srcMem.load(side, x[:at(srcPixel)]), gradMem.load(side, g[:at(gradPixel)])
				squares := squareMem.load(side, sq[:at(squaresPixel)+size-1])
				set.F32.LRNTerms(&dst[0], &terms[0], &src[0], &grad[0], &squares[0], pixels, channels, dstPixel, srcPixel, gradPixel, squaresPixel, size, scale, k)
				what := fmt.Sprintf("%d channels, size %d, %s", channels, size, sides[side])
				sum := func(values []float32, p, c int) (sum float32) {
					for _, v := range values[p*squaresPixel+c:][:size] {
						sum += v
					}
					return sum
				}
				base := func(p, c int) float32 { return mulAdd(scale, sum(squares, p, c), k) }
				first := func(p, c int) float32 {
					root := sqrt(base(p, c))
					return grad[p*gradPixel+c] / float32(root*sqrt(root))
				}
				compareRows(t, "LRNTerms of "+what, dst, pixels, channels, dstPixel, func(p, c int) float64 { return float64(first(p, c)) }, nil)
				compareRows(t, "terms of "+what, terms, pixels, channels, squaresPixel, func(p, c int) float64 {
					return float64(float32(first(p, c)*src[p*srcPixel+c]) / base(p, c))
				}, nil)

				want := slices.Clone(dst)
				for p := range pixels {
					for c := range channels {
						y := &want[p*dstPixel+c]
						*y = mulAdd(-float32(src[p*srcPixel+c]*scale), sum(squares, p, c), *y)
					}
				}
				set.F32.LRNGradient(&dst[0], &src[0], &squares[0], pixels, channels, dstPixel, srcPixel, squaresPixel, size, scale)
				compareRows(t, "LRNGradient of "+what, dst, pixels, channels, dstPixel, func(p, c int) float64 { return float64(want[p*dstPixel+c]) }, nil)
			}
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
