package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/winograd"
)

// TestSpaceToDepth calls the kernels with runs that lie apart, that follow each other and that
// overlap, both within a pixel and from pixel to pixel.
func TestSpaceToDepth(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		t.Run("f32", func(t *testing.T) { testSpaceToDepth(t, set.F32.SpaceToDepth, set.F32.Lanes) })
		t.Run("u8", func(t *testing.T) { testSpaceToDepth(t, set.U8.SpaceToDepth, set.U8.Bytes) })
	})
}

// testSpaceToDepth calls a kernel with one and two times lanes channels.
func testSpaceToDepth[T float32 | uint8](t *testing.T, kernel func(dst, src *T, pixels, runs, channels, srcPixel, srcRow, dstPixel, dstRun int), lanes int) {
	const maxPixels, maxRuns, gap = 3, 3, 3
	wide := 2*lanes + gap
	dstMem, srcMem := guarded(t, 2*maxPixels*maxRuns*wide), guarded(t, 2*maxPixels*maxRuns*wide)
	for channels := lanes; channels <= 2*lanes; channels += lanes {
		for pixels := 1; pixels <= maxPixels; pixels++ {
			for runs := 1; runs <= maxRuns; runs++ {
				for i, run := range []int{channels, channels + gap, max(channels-gap, 1)} {
					pixel := []int{runs * run, runs*run + gap}[i%2]
					srcPixel, srcRow := []int{channels, 2}[i%2], maxPixels*wide
					for side := range sides {
						src := sliceOf[T](srcMem, side, (runs-1)*srcRow+(pixels-1)*srcPixel+channels)
						for i := range src {
							src[i] = T(i % 251)
						}
						dst := sliceOf[T](dstMem, side, (pixels-1)*pixel+(runs-1)*run+channels)
						want := slices.Clone(dst)
						for p := range pixels {
							for r := range runs {
								copy(want[p*pixel+r*run:], src[p*srcPixel+r*srcRow:][:channels])
							}
						}
						kernel(&dst[0], &src[0], pixels, runs, channels, srcPixel, srcRow, pixel, run)
						compare(t, fmt.Sprintf("%d pixels of %d runs of %d channels, %d apart, %s", pixels, runs, channels, run, sides[side]), dst, want)
					}
				}
			}
		}
	}
}

// TestWinogradTransforms compares the transforms of a set with the loops that Transforms
// documents them by, between guard pages.
func TestWinogradTransforms(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for r, k := range set.F32.Winograd {
			if (k.Outputs > 0) != (r >= 3 && r <= 5) {
				t.Fatalf("Winograd[%d] has %d outputs", r, k.Outputs)
			}
			if k.Outputs > 0 {
				t.Run(fmt.Sprintf("taps=%d", r), func(t *testing.T) { testTransforms(t, set.F32.Lanes, k, winograd.New(k.Outputs, r)) })
			}
		}
	})
}

// testTransforms compares one pair of transforms with its loops.
func testTransforms(t *testing.T, lanes int, k kernels.Transforms, a *winograd.Algorithm) {
	const maxTiles, gap, rounds = 3, 3, 4
	n, m, bt, at := a.N(), a.M, a.BT.Float(), a.AT.Float()
	terms := 2*(n-1) + 1 // each of two passes sums up to n-1 terms; the bias is one more
	wide := 3 * lanes
	size := max(n*n*maxTiles*(wide+gap)+n*n*gap, n*((maxTiles-1)*n+n+gap)*(wide+gap))
	dstMem, srcMem, biasMem := guarded(t, size), guarded(t, size), guarded(t, wide)
	random := kerneltest.Random(1, size)
	biases := kerneltest.Random(2, wide)
	for channels := lanes; channels <= wide; channels += lanes {
		for tiles := 1; tiles <= maxTiles; tiles++ {
			for round := range 2 * rounds {
				// Gaps between pixels, rows, tiles and matrices, in different combinations.
				side, extra := round%2, func(i int) int { return gap * (round / 2 >> i & 1) }
				what := fmt.Sprintf("%d tiles × %d channels, round %d", tiles, channels, round)

				pixel := channels + extra(0)
				for _, step := range []int{2, m, n} { // from tile to tile; they overlap, but for the last
					row := ((tiles-1)*step+n)*pixel + extra(1)
					tile := channels + extra(1)
					matrix := tiles*tile + extra(0)
					src := srcMem.load(side, random[:(n-1)*row+((tiles-1)*step+n-1)*pixel+channels])
					dst := dstMem.blank(side, (n*n-1)*matrix+(tiles-1)*tile+channels)
					k.Input(&dst[0], &src[0], tiles, channels, row, pixel, step*pixel, matrix, tile)
					view := kernels.View{Memory: kernels.Bytes(dst), N: 1, H: n * n, W: tiles, C: channels, Row: matrix, Pixel: tile}
					var want, abs []float64
					for p := range n * n {
						for i := range tiles {
							for c := range channels {
								sum, mag := separable(bt[p/n], bt[p%n], func(k, l int) float32 { return src[k*row+l*pixel+i*step*pixel+c] })
								want, abs = append(want, sum), append(abs, mag)
							}
						}
					}
					kerneltest.Compare(t, "input of "+what, view, want, kerneltest.SumBound(terms, abs))
					kerneltest.Unwritten(t, "input of "+what, view)
				}

				lower := [...]float32{negInf, 0}[round/2%2]
				tile := channels + extra(1)
				matrix := tiles*tile + extra(0)
				dstTile := m*pixel + extra(0)
				row := tiles*dstTile + extra(1)
				src := srcMem.load(side, random[:(n*n-1)*matrix+(tiles-1)*tile+channels])
				dst := dstMem.blank(side, (m-1)*row+(tiles-1)*dstTile+(m-1)*pixel+channels)
				bias := biasMem.load(side, biases[:channels])
				k.Output(&dst[0], &src[0], &bias[0], tiles, channels, matrix, tile, row, pixel, dstTile, lower)
				view := kernels.View{Memory: kernels.Bytes(dst), N: tiles, H: m, W: m, C: channels, Batch: dstTile, Row: row, Pixel: pixel}
				var want, abs []float64
				for p := range tiles {
					for i := range m {
						for j := range m {
							for c := range channels {
								sum, mag := separable(at[i], at[j], func(k, l int) float32 { return src[(k*n+l)*matrix+p*tile+c] })
								b := float64(bias[c])
								want, abs = append(want, max(sum+b, float64(lower))), append(abs, mag+math.Abs(b))
							}
						}
					}
				}
				kerneltest.Compare(t, "output of "+what, view, want, kerneltest.SumBound(terms, abs))
				kerneltest.Unwritten(t, "output of "+what, view)
				if t.Failed() {
					return
				}
			}
		}
	}
}

// separable returns Σ left[k]·right[l]·x(k, l) over k and l, and the same sum of absolute values.
func separable(left, right []float64, x func(k, l int) float32) (sum, abs float64) {
	for k, a := range left {
		for l, b := range right {
			v := a * b * float64(x(k, l))
			sum += v
			abs += math.Abs(v)
		}
	}
	return sum, abs
}
