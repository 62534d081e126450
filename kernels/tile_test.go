package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
)

// TestConvTiles calls every height of every convolution tile. The vector
// kernels must equal one chain of fused multiply-adds bit for bit, which makes
// them equal to each other; so must the scalar ones, their product rounded too.
// Both are also within the bound of the exact sum, or the bound is wrong.
func TestConvTiles(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for i, tile := range []kernels.Tile{set.F32.Wide, set.F32.Narrow} {
			name := [...]string{"wide", "narrow"}[i]
			if tile.Width%set.F32.Lanes != 0 {
				t.Errorf("the %s tile is %d channels wide, no multiple of %d lanes", name, tile.Width, set.F32.Lanes)
			}
			for i, f := range tile.Conv {
				t.Run(fmt.Sprintf("%s=%dx%d", name, i+1, tile.Width), func(t *testing.T) {
					testConvTile(t, f, i+1, tile.Width, mulAdd(set.ISA))
					testConvTileNaN(t, f, i+1, tile.Width)
				})
			}
			if len(tile.BatchMatMul) != tile.Height() {
				t.Fatalf("the %s tile has %d heights for products, %d for convolutions", name, len(tile.BatchMatMul), tile.Height())
			}
			for i, f := range tile.BatchMatMul {
				t.Run(fmt.Sprintf("product %s=%dx%d", name, i+1, tile.Width), func(t *testing.T) {
					testBatchMatMul(t, f, i+1, tile.Width, mulAdd(set.ISA))
				})
			}
		}
	})
}

func testConvTile(t *testing.T, f kernels.ConvFunc, height, width int, mulAdd func(x, y, z float32) float32) {
	const maxSegs, maxLen, maxTiles, gap = 3, 9, 3, 5
	pixels := maxTiles * height
	values := kerneltest.Random(1, 2*maxSegs*(pixels*(maxLen+gap)+maxLen))
	panel := kerneltest.Random(2, maxSegs*maxLen*width)
	biases := kerneltest.Random(3, width)
	dstMem := guarded(t, pixels*(width+gap))
	srcMem := guarded(t, len(values))
	weightMem := guarded(t, len(panel))
	biasMem := guarded(t, width)
	offsetMem := guarded(t, 2*maxSegs)

	for segs := 1; segs <= maxSegs; segs++ {
		for segLen := 1; segLen <= maxLen; segLen++ {
			for tiles := 1; tiles <= maxTiles; tiles++ {
				pixels := tiles * height
				// Windows that follow each other, overlap, and lie apart.
				for i, srcStride := range []int{segLen, (segLen + 1) / 2, segLen + gap} {
					for side := range sides {
						dstStride := width + (tiles+i)%2*gap
						lo := negInf
						if (segs+segLen+tiles+i)%2 == 0 {
							lo = 0
						}
						// The segments lie apart, in no order.
						segment := (pixels-1)*srcStride + segLen
						offsets := []int{0, 2 * segment, segment}[:segs]
						if segs == 2 {
							offsets = []int{segment + gap, 0}
						}
						size := 0
						for _, off := range offsets {
							size = max(size, off+segment)
						}

						src := srcMem.load(side, values[:size])
						weights := weightMem.load(side, panel[:segs*segLen*width])
						bias := biasMem.load(side, biases)
						off := offsetMem.loadInts(side, offsets)
						dst := dstMem.blank(side, (pixels-1)*dstStride+width)
						f(&dst[0], &src[0], &weights[0], &bias[0], &weights[0], &off[0], segs, segLen, srcStride, dstStride, tiles, 7, lo)

						what := fmt.Sprintf("segs=%d segLen=%d tiles=%d srcStride=%d dstStride=%d lo=%v, %s", segs, segLen, tiles, srcStride, dstStride, lo, sides[side])
						sums := make([]float64, pixels*width)
						mags := make([]float64, pixels*width)
						rows(t, what, dst, pixels, width, dstStride, func(m, n int) float64 {
							acc := bias[n]
							sum, mag := float64(acc), math.Abs(float64(acc))
							k := 0
							for s := range segs {
								for j := range segLen {
									a, b := src[m*srcStride+offsets[s]+j], weights[k*width+n]
									acc = mulAdd(a, b, acc)
									sum += float64(a) * float64(b)
									mag += math.Abs(float64(a) * float64(b))
									k++
								}
							}
							sums[m*width+n] = max(sum, float64(lo))
							mags[m*width+n] = mag
							return float64(max(acc, lo))
						}, nil)
						k := segs * segLen
						rows(t, what+", exact sum", dst, pixels, width, dstStride,
							func(m, n int) float64 { return sums[m*width+n] },
							func(m, n int) float64 { return kerneltest.Tolerance(k, mags[m*width+n]) })
						if t.Failed() {
							return
						}
					}
				}
			}
		}
	}
}

// testBatchMatMul compares one height of a tile with the loops of BatchMatMulFunc, bit for bit.
func testBatchMatMul(t *testing.T, f kernels.BatchMatMulFunc, height, width int, mulAdd func(x, y, z float32) float32) {
	const maxPoints, maxK, maxTiles, gap = 3, 9, 3, 5
	values := kerneltest.Random(1, maxPoints*(maxTiles*height*(maxK+gap)+gap))
	panel := kerneltest.Random(2, maxPoints*maxK*width)
	dstMem := guarded(t, maxPoints*(maxTiles*height*width+gap))
	srcMem := guarded(t, len(values))
	weightMem := guarded(t, len(panel))
	for points := 1; points <= maxPoints; points++ {
		for k := 1; k <= maxK; k++ {
			for tiles := 1; tiles <= maxTiles; tiles++ {
				rowCount := tiles * height
				for side := range sides {
					srcStride := k + points%2*gap
					// The points lie apart, and in the destination in no order: backwards.
					srcPoint := (rowCount-1)*srcStride + k + k%2*gap
					dstPoint := rowCount*width + tiles%2*gap
					src := srcMem.load(side, values[:(points-1)*srcPoint+(rowCount-1)*srcStride+k])
					weights := weightMem.load(side, panel[:points*k*width])
					dst := dstMem.blank(side, (points-1)*dstPoint+rowCount*width)
					last := (points - 1) * dstPoint
					f(&dst[last], &src[0], &weights[0], &weights[0], points, k, tiles, srcPoint, -dstPoint, srcStride, 7)
					for p := range points {
						at := last - p*dstPoint
						part := dst[at:min(at+dstPoint, len(dst))]
						rows(t, fmt.Sprintf("point %d of %d, k=%d tiles=%d, %s", p, points, k, tiles, sides[side]), part, rowCount, width, width, func(m, n int) float64 {
							acc := float32(0)
							for j := range k {
								acc = mulAdd(src[p*srcPoint+m*srcStride+j], weights[(p*k+j)*width+n], acc)
							}
							return float64(acc)
						}, nil)
					}
					if t.Failed() {
						return
					}
				}
			}
		}
	}
}

// testConvTileNaN puts a NaN into one pixel at a time, and then into one bias:
// it must fill that row, or that column, of the tile and nothing else, with ReLU
// and without.
func testConvTileNaN(t *testing.T, f kernels.ConvFunc, height, width int) {
	nan := float32(math.NaN())
	src := kerneltest.Random(1, height)
	weights := kerneltest.Random(2, width)
	bias := kerneltest.Random(3, width)
	dst := make([]float32, height*width)
	offset := 0
	check := func(lo float32, what string, at int) {
		t.Helper()
		f(&dst[0], &src[0], &weights[0], &bias[0], nil, &offset, 1, 1, 1, width, 1, 0, lo)
		rows(t, fmt.Sprintf("NaN in %s %d, lo=%v", what, at, lo), dst, height, width, width,
			func(m, n int) float64 {
				return float64(max(ref.FMA(src[m], weights[n], bias[n]), lo))
			},
			func(m, n int) float64 {
				return kerneltest.Tolerance(1, math.Abs(float64(src[m])*float64(weights[n]))+math.Abs(float64(bias[n])))
			})
	}
	for _, lo := range []float32{negInf, 0} {
		for m := range src {
			keep := src[m]
			src[m] = nan
			check(lo, "pixel", m)
			src[m] = keep
		}
		for n := range bias {
			keep := bias[n]
			bias[n] = nan
			check(lo, "bias", n)
			bias[n] = keep
		}
	}
}
