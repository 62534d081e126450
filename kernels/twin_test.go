package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/winograd"
)

// The tests of this file call the functions of a Set one by one and compare
// them with the loops that set.go documents them by, written out here, with every
// operand against a guard page.

// mulAdd returns the multiply-add of the instruction set: rounded once, or for
// the scalar kernels twice.
func mulAdd(isa kernels.ISA) func(x, y, z float32) float32 {
	if isa == kernels.Scalar {
		return func(x, y, z float32) float32 { return float32(x*y) + z }
	}
	return ref.FMA
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

// channelCounts returns multiples of the lanes on both sides of what kernels
// may unroll by.
func channelCounts(set *kernels.Set) []int {
	var counts []int
	for _, vectors := range []int{1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17} {
		counts = append(counts, vectors*set.F32.Lanes)
	}
	return counts
}

// TestMaxPool3x3s2Row calls the kernel for rows of 3×3 windows.
func TestMaxPool3x3s2Row(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		const maxPixels, gap = 5, 3
		counts := channelCounts(set)
		wide := counts[len(counts)-1] + gap
		dstMem := guarded(t, maxPixels*wide)
		srcMem := guarded(t, 3*(2*maxPixels+2)*wide)
		values := kerneltest.Random(1, len(srcMem[0]))
		for _, channels := range counts {
			for pixels := 1; pixels <= maxPixels; pixels++ {
				for side := range sides {
					srcPixel, dstPixel := channels+pixels%2*gap, channels+channels/set.F32.Lanes%2*gap
					srcRow := (2*pixels + 2) * srcPixel
					src := srcMem.load(side, values[:2*srcRow+2*pixels*srcPixel+channels])
					dst := dstMem.blank(side, (pixels-1)*dstPixel+channels)
					set.F32.MaxPool3x3s2(&dst[0], &src[0], pixels, channels, srcRow, srcPixel, dstPixel)
					rows(t, fmt.Sprintf("%d pixels × %d channels, %s", pixels, channels, sides[side]), dst, pixels, channels, dstPixel, func(p, c int) float64 {
						best := negInf
						for i := range 3 {
							for j := range 3 {
								best = max(best, src[i*srcRow+(2*p+j)*srcPixel+c])
							}
						}
						return float64(best)
					}, nil)
				}
			}
		}
	})
}

// TestPoolWindow calls the kernels for one window of any size.
func TestPoolWindow(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		const maxSide, gap = 4, 3
		counts := channelCounts(set)
		wide := counts[len(counts)-1] + gap
		dstMem := guarded(t, wide)
		srcMem := guarded(t, maxSide*(maxSide+1)*wide)
		values := kerneltest.Random(1, len(srcMem[0]))
		for _, channels := range counts {
			for h := 1; h <= maxSide; h++ {
				for w := 1; w <= maxSide; w++ {
					for side := range sides {
						srcPixel := channels + (h+w)%2*gap
						srcRow := (w + h%2) * srcPixel
						src := srcMem.load(side, values[:(h-1)*srcRow+(w-1)*srcPixel+channels])
						what := fmt.Sprintf("%d×%d pixels × %d channels, %s", h, w, channels, sides[side])
						dst := dstMem.blank(side, channels)
						set.F32.MaxPool(&dst[0], &src[0], h, w, channels, srcRow, srcPixel)
						rows(t, "MaxPool of "+what, dst, 1, channels, channels, func(_, c int) float64 {
							best := negInf
							for i := range h {
								for j := range w {
									best = max(best, src[i*srcRow+j*srcPixel+c])
								}
							}
							return float64(best)
						}, nil)

						const scale = 0.3
						sum := func(c int, f func(float64) float64) (sum float64) {
							for i := range h {
								for j := range w {
									sum += f(float64(src[i*srcRow+j*srcPixel+c]))
								}
							}
							return sum * float64(float32(scale))
						}
						kerneltest.Poison(dst)
						set.F32.AvgPool(&dst[0], &src[0], h, w, channels, srcRow, srcPixel, scale)
						rows(t, "AvgPool of "+what, dst, 1, channels, channels,
							func(_, c int) float64 { return sum(c, func(x float64) float64 { return x }) },
							func(_, c int) float64 { return kerneltest.Tolerance(h*w, sum(c, math.Abs)) })
					}
				}
			}
		}
	})
}

// TestElementKernels calls the kernels for runs of values, in place too.
func TestElementKernels(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		counts := channelCounts(set)
		most := counts[len(counts)-1]
		x, y := kerneltest.Random(1, most), kerneltest.Random(2, most)
		dstMem, aMem, bMem := guarded(t, most), guarded(t, most), guarded(t, most)
		for _, n := range counts {
			for side := range sides {
				what := fmt.Sprintf("%d values, %s", n, sides[side])
				for _, lo := range []float32{negInf, 0} {
					add := func(_, i int) float64 { return float64(max(x[i]+y[i], lo)) }
					for _, where := range []string{"", ", dst = a", ", dst = b"} {
						a, b, dst := aMem.load(side, x[:n]), bMem.load(side, y[:n]), dstMem.blank(side, n)
						switch where {
						case ", dst = a":
							dst = a
						case ", dst = b":
							dst = b
						}
						set.F32.Add(&dst[0], &a[0], &b[0], n, lo)
						rows(t, "Add of "+what+where, dst, 1, n, n, add, nil)
					}
				}
				relu := func(_, i int) float64 { return float64(max(x[i], 0)) }
				a, dst := aMem.load(side, x[:n]), dstMem.blank(side, n)
				set.F32.ReLU(&dst[0], &a[0], n)
				rows(t, "ReLU of "+what, dst, 1, n, n, relu, nil)
				set.F32.ReLU(&a[0], &a[0], n)
				rows(t, "ReLU of "+what+", in place", a, 1, n, n, relu, nil)
			}
		}
	})
}

// TestLRNKernels calls the two halves of local response normalization.
func TestLRNKernels(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
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
					rows(t, "LRNSquare of "+what, dst, pixels, channels, dstPixel, func(p, c int) float64 {
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
						// The size roundings of the sum and k, three of the roots and
						// their product, and one of the division.
						rows(t, fmt.Sprintf("LRN %d of %s", size, what), dst, pixels, channels, dstPixel, want,
							func(p, c int) float64 { return kerneltest.Tolerance(size+4, math.Abs(want(p, c))) })
					}
				}
			}
		}
	})
}

// separable returns Σ left[i][k]·right[j][l]·x(k, l) over k and l, and the same of
// absolute values.
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

// TestSpaceToDepth calls the kernel with runs that lie apart, follow each other and
// overlap, within a pixel and from pixel to pixel.
func TestSpaceToDepth(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		const maxPixels, maxRuns, gap = 3, 3, 3
		wide := 2*set.F32.Lanes + gap
		dstMem, srcMem := guarded(t, 2*maxPixels*maxRuns*wide), guarded(t, 2*maxPixels*maxRuns*wide)
		random := kerneltest.Random(1, len(srcMem[0]))
		for channels := set.F32.Lanes; channels <= 2*set.F32.Lanes; channels += set.F32.Lanes {
			for pixels := 1; pixels <= maxPixels; pixels++ {
				for runs := 1; runs <= maxRuns; runs++ {
					for i, run := range []int{channels, channels + gap, max(channels-gap, 1)} {
						pixel := []int{runs * run, runs*run + gap}[i%2]
						srcPixel, srcRow := []int{channels, 2}[i%2], maxPixels*wide
						for side := range sides {
							src := srcMem.load(side, random[:(runs-1)*srcRow+(pixels-1)*srcPixel+channels])
							dst := dstMem.blank(side, (pixels-1)*pixel+(runs-1)*run+channels)
							want := slices.Clone(dst)
							set.F32.SpaceToDepth(&dst[0], &src[0], pixels, runs, channels, srcPixel, srcRow, pixel, run)
							for p := range pixels {
								for r := range runs {
									for c := range channels {
										want[p*pixel+r*run+c] = src[p*srcPixel+r*srcRow+c]
									}
								}
							}
							for i := range want {
								if math.Float32bits(dst[i]) != math.Float32bits(want[i]) {
									t.Fatalf("%d pixels of %d runs of %d channels, %d apart, %s: dst[%d] is %v, want %v", pixels, runs, channels, run, sides[side], i, dst[i], want[i])
								}
							}
						}
					}
				}
			}
		}
	})
}

// TestWinogradTransforms calls the kernels around the products of Winograd
// convolutions. Each pass is a sum of up to n-1 terms; the bias is one more.
func TestWinogradTransforms(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
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

func testTransforms(t *testing.T, lanes int, k kernels.Transforms, a *winograd.Algorithm) {
	const maxTiles, gap, rounds = 3, 3, 4
	n, m, bt, at := a.N(), a.M, a.BT.Float(), a.AT.Float()
	terms := 2*(n-1) + 1
	wide := 3 * lanes
	size := max(n*n*maxTiles*(wide+gap)+n*n*gap, n*((maxTiles-1)*n+n+gap)*(wide+gap))
	dstMem, srcMem, biasMem := guarded(t, size), guarded(t, size), guarded(t, wide)
	random := kerneltest.Random(1, size)
	biases := kerneltest.Random(2, wide)
	for channels := lanes; channels <= wide; channels += lanes {
		for tiles := 1; tiles <= maxTiles; tiles++ {
			for round := range 2 * rounds {
				// Gaps between pixels, rows, tiles and points, one kind at a time.
				side, extra := round%2, func(i int) int { return gap * (round / 2 >> i & 1) }
				what := fmt.Sprintf("%d tiles × %d channels, round %d", tiles, channels, round)

				pixel := channels + extra(0)
				for _, step := range []int{2, m, n} { // from tile to tile; they overlap, but for the last
					row := ((tiles-1)*step+n)*pixel + extra(1)
					tile := channels + extra(1)
					point := tiles*tile + extra(0)
					src := srcMem.load(side, random[:(n-1)*row+((tiles-1)*step+n-1)*pixel+channels])
					dst := dstMem.blank(side, (n*n-1)*point+(tiles-1)*tile+channels)
					k.Input(&dst[0], &src[0], tiles, channels, row, pixel, step*pixel, point, tile)
					view := kernels.View{Memory: kernels.Bytes(dst), N: 1, H: n * n, W: tiles, C: channels, Row: point, Pixel: tile}
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

				lo := [...]float32{negInf, 0}[round/2%2]
				tile := channels + extra(1)
				point := tiles*tile + extra(0)
				dstTile := m*pixel + extra(0)
				row := tiles*dstTile + extra(1)
				src := srcMem.load(side, random[:(n*n-1)*point+(tiles-1)*tile+channels])
				dst := dstMem.blank(side, (m-1)*row+(tiles-1)*dstTile+(m-1)*pixel+channels)
				bias := biasMem.load(side, biases[:channels])
				k.Output(&dst[0], &src[0], &bias[0], tiles, channels, point, tile, row, pixel, dstTile, lo)
				view := kernels.View{Memory: kernels.Bytes(dst), N: tiles, H: m, W: m, C: channels, Batch: dstTile, Row: row, Pixel: pixel}
				var want, abs []float64
				for p := range tiles {
					for i := range m {
						for j := range m {
							for c := range channels {
								sum, mag := separable(at[i], at[j], func(k, l int) float32 { return src[(k*n+l)*point+p*tile+c] })
								b := float64(bias[c])
								want, abs = append(want, max(sum+b, float64(lo))), append(abs, mag+math.Abs(b))
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

// TestPeakKernels: what measures the machine must do the work that it claims.
func TestPeakKernels(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		if set.F32.PeakFMAs < 1 {
			t.Errorf("PeakFMAs is %d", set.F32.PeakFMAs)
		}
		set.F32.FMAPeak(1000)

		for blocks := 1; blocks <= 5; blocks++ {
			n := blocks * 16 * set.F32.Lanes
			values := kerneltest.Random(1, n)
			src, dst := guarded(t, n), guarded(t, set.F32.Lanes)
			for side, name := range sides {
				copy(src[side], values)
				set.F32.ReadPeak(&dst[side][0], &src[side][0], n)
				var want, mag, got float64
				for _, x := range values {
					want += float64(x)
					mag += math.Abs(float64(x))
				}
				for _, sum := range dst[side] {
					got += float64(sum)
				}
				if tol := kerneltest.Tolerance(n, mag); !(math.Abs(got-want) <= tol) {
					t.Errorf("ReadPeak of %d values, %s: the lanes add up to %v, want %v, bound %g", n, name, got, want, tol)
				}
			}
		}
	})
}
