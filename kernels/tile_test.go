package kernels_test

import (
	"fmt"
	"math"
	"testing"
	"unsafe"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
)

// TestConvTiles calls every height of every tile, those of the gradient of weights among them. The vector kernels must equal one chain of fused
// multiply-adds bit for bit, which makes them equal to each other. The scalar kernels must equal a
// chain that rounds each product, too. All must be within the bound of the exact sum, or the bound
// would be wrong.
func TestConvTiles(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for i, name := range []string{"wide", "narrow"} {
			conv := [...]kernels.Tile[kernels.ConvFunc]{set.F32.Conv.Wide, set.F32.Conv.Narrow}[i]
			rowConv := [...]kernels.Tile[kernels.RowConvFunc]{set.F32.RowConv.Wide, set.F32.RowConv.Narrow}[i]
			matMul := [...]kernels.Tile[kernels.BatchMatMulFunc]{set.F32.BatchMatMul.Wide, set.F32.BatchMatMul.Narrow}[i]
			if conv.Width%set.F32.Lanes != 0 {
				t.Errorf("the %s tile is %d channels wide, no multiple of %d lanes", name, conv.Width, set.F32.Lanes)
			}
			for i, f := range conv.Funcs {
				t.Run(fmt.Sprintf("%s=%dx%d", name, i+1, conv.Width), func(t *testing.T) {
					testConvTile(t, f, i+1, conv.Width, mulAdd(set.ISA))
					testConvTileNaN(t, f, i+1, conv.Width)
				})
			}
			if rowConv.Height() != conv.Height() || rowConv.Width != conv.Width {
				t.Fatalf("the %s tile is %d×%d for rows, %d×%d for convolutions", name, rowConv.Height(), rowConv.Width, conv.Height(), conv.Width)
			}
			for i, f := range rowConv.Funcs {
				t.Run(fmt.Sprintf("rowconv %s=%dx%d", name, i+1, rowConv.Width), func(t *testing.T) {
					testRowConvTile(t, f, i+1, rowConv.Width, mulAdd(set.ISA))
				})
			}
			if matMul.Height() != conv.Height() || matMul.Width != conv.Width {
				t.Fatalf("the %s tile is %d×%d for matrix products, %d×%d for convolutions", name, matMul.Height(), matMul.Width, conv.Height(), conv.Width)
			}
			for i, f := range matMul.Funcs {
				t.Run(fmt.Sprintf("batchmatmul %s=%dx%d", name, i+1, matMul.Width), func(t *testing.T) {
					testBatchMatMul(t, f, i+1, matMul.Width, mulAdd(set.ISA))
				})
			}
			gradient := [...]kernels.Tile[kernels.WeightGradientFunc]{set.F32.WeightGradient.Wide, set.F32.WeightGradient.Narrow}[i]
			for i, f := range gradient.Funcs {
				t.Run(fmt.Sprintf("weightgradient %s=%dx%d", name, i+1, gradient.Width), func(t *testing.T) {
					testWeightGradientTile(t, f, i+1, gradient.Width, mulAdd(set.ISA))
				})
			}
		}
	})
}

// testConvTile compares one height of a tile with the loops of ConvFunc, bit for bit.
func testConvTile(t *testing.T, f kernels.ConvFunc, height, width int, mulAdd func(x, y, z float32) float32) {
	const maxRuns, maxRunLen, maxTiles, gap = 3, 9, 3, 5
	pixels := maxTiles * height
	values := kerneltest.Random(1, 2*maxRuns*(pixels*(maxRunLen+gap)+maxRunLen))
	panel := kerneltest.Random(2, maxRuns*maxRunLen*width)
	biases := kerneltest.Random(3, width)
	dstMem := guarded(t, pixels*(width+gap))
	srcMem := guarded(t, len(values))
	weightMem := guarded(t, len(panel))
	biasMem := guarded(t, width)
	offsetMem := guarded(t, 2*maxRuns)

	for runs := 1; runs <= maxRuns; runs++ {
		for runLen := 1; runLen <= maxRunLen; runLen++ {
			for tiles := 1; tiles <= maxTiles; tiles++ {
				pixels := tiles * height
				// Windows that follow each other, overlap, and lie apart.
				for i, srcStride := range []int{runLen, (runLen + 1) / 2, runLen + gap} {
					for side := range sides {
						dstStride := width + (tiles+i)%2*gap
						lower := negInf
						if (runs+runLen+tiles+i)%2 == 0 {
							lower = 0
						}
						// The runs of a window lie apart, and in no order. extent is what the
						// same run of all windows spans.
						extent := (pixels-1)*srcStride + runLen
						offsets := []int{0, 2 * extent, extent}[:runs]
						if runs == 2 {
							offsets = []int{extent + gap, 0}
						}
						size := 0
						for _, off := range offsets {
							size = max(size, off+extent)
						}

						src := srcMem.load(side, values[:size])
						weights := weightMem.load(side, panel[:runs*runLen*width])
						bias := biasMem.load(side, biases)
						off := offsetMem.loadInts(side, offsets)
						dst := dstMem.blank(side, (pixels-1)*dstStride+width)
						f(&dst[0], &src[0], &weights[0], &bias[0], &weights[0], &off[0], runs, runLen, srcStride, dstStride, tiles, 7, lower)

						what := fmt.Sprintf("runs=%d runLen=%d tiles=%d srcStride=%d dstStride=%d lower=%v, %s", runs, runLen, tiles, srcStride, dstStride, lower, sides[side])
						sums := make([]float64, pixels*width)
						mags := make([]float64, pixels*width)
						compareRows(t, what, dst, pixels, width, dstStride, func(m, n int) float64 {
							acc := bias[n]
							sum, mag := float64(acc), math.Abs(float64(acc))
							k := 0
							for r := range runs {
								for j := range runLen {
									a, b := src[m*srcStride+offsets[r]+j], weights[k*width+n]
									acc = mulAdd(a, b, acc)
									sum += float64(a) * float64(b)
									mag += math.Abs(float64(a) * float64(b))
									k++
								}
							}
							sums[m*width+n] = max(sum, float64(lower))
							mags[m*width+n] = mag
							return float64(max(acc, lower))
						}, nil)
						k := runs * runLen
						compareRows(t, what+", exact sum", dst, pixels, width, dstStride,
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

// testRowConvTile compares one height of a tile with the loops of RowConvFunc, bit for bit. Offsets are in
// no order, and without any there is no memory for weights.
func testRowConvTile(t *testing.T, f kernels.RowConvFunc, height, width int, mulAdd func(x, y, z float32) float32) {
	const maxK, maxTiles, gap = 9, 3, 5
	pixels := maxTiles * height
	values := kerneltest.Random(1, (pixels-1)*(maxK+gap)+maxK)
	panel := kerneltest.Random(2, maxK*width)
	biases := kerneltest.Random(3, width)
	dstMem := guarded(t, pixels*(width+gap))
	srcMem := guarded(t, len(values))
	weightMem := guarded(t, len(panel))
	biasMem := guarded(t, width)
	offsetMem := guarded(t, maxK)
	for k := range maxK + 1 {
		for tiles := 1; tiles <= maxTiles; tiles++ {
			pixels := tiles * height
			for side := range sides {
				srcStride, dstStride := max(k, 1)+k%2*gap, width+tiles%2*gap
				lower := negInf
				if (k+tiles)%2 == 0 {
					lower = 0
				}
				src := srcMem.load(side, values[:(pixels-1)*srcStride+max(k, 1)])
				weights := weightMem.load(side, panel[:k*width])
				bias := biasMem.load(side, biases)
				offsets := unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(offsetMem.slice(side, k)))), k)
				for j := range offsets {
					offsets[j] = int32((j*7 + 3) % k)
				}
				dst := dstMem.blank(side, (pixels-1)*dstStride+width)
				f(&dst[0], &src[0], unsafe.SliceData(weights), &bias[0], unsafe.SliceData(weights), unsafe.SliceData(offsets), k, srcStride, dstStride, tiles, 7, lower)
				compareRows(t, fmt.Sprintf("k=%d tiles=%d lower=%v, %s", k, tiles, lower, sides[side]), dst, pixels, width, dstStride, func(m, n int) float64 {
					acc := bias[n]
					for j := range k {
						acc = mulAdd(src[m*srcStride+int(offsets[j])], weights[j*width+n], acc)
					}
					return float64(max(acc, lower))
				}, nil)
				if t.Failed() {
					return
				}
			}
		}
	}
}

// testBatchMatMul compares one height of a tile with the loops of BatchMatMulFunc, bit for bit.
func testBatchMatMul(t *testing.T, f kernels.BatchMatMulFunc, height, width int, mulAdd func(x, y, z float32) float32) {
	const maxBatch, maxK, maxTiles, gap = 3, 9, 3, 5
	values := kerneltest.Random(1, maxBatch*(maxTiles*height*(maxK+gap)+gap))
	panel := kerneltest.Random(2, maxBatch*maxK*width)
	dstMem := guarded(t, maxBatch*(maxTiles*height*width+gap))
	srcMem := guarded(t, len(values))
	weightMem := guarded(t, len(panel))
	for batch := 1; batch <= maxBatch; batch++ {
		for k := 1; k <= maxK; k++ {
			for tiles := 1; tiles <= maxTiles; tiles++ {
				rowCount := tiles * height
				for side := range sides {
					srcStride := k + batch%2*gap
					// The matrices lie apart, and those of the destination lie backwards.
					srcMatrix := (rowCount-1)*srcStride + k + k%2*gap
					dstMatrix := rowCount*width + tiles%2*gap
					src := srcMem.load(side, values[:(batch-1)*srcMatrix+(rowCount-1)*srcStride+k])
					weights := weightMem.load(side, panel[:batch*k*width])
					dst := dstMem.blank(side, (batch-1)*dstMatrix+rowCount*width)
					last := (batch - 1) * dstMatrix
					f(&dst[last], &src[0], &weights[0], &weights[0], batch, k, tiles, srcMatrix, -dstMatrix, srcStride, 7)
					for b := range batch {
						at := last - b*dstMatrix
						part := dst[at:min(at+dstMatrix, len(dst))]
						compareRows(t, fmt.Sprintf("matrix %d of %d, k=%d tiles=%d, %s", b, batch, k, tiles, sides[side]), part, rowCount, width, width, func(m, n int) float64 {
							acc := float32(0)
							for j := range k {
								acc = mulAdd(src[b*srcMatrix+m*srcStride+j], weights[(b*k+j)*width+n], acc)
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

// testWeightGradientTile compares one height of a tile with the loops of WeightGradientFunc, bit for bit.
func testWeightGradientTile(t *testing.T, f kernels.WeightGradientFunc, height, width int, mulAdd func(x, y, z float32) float32) {
	const maxTiles, maxImages, maxRows, maxCols, gap = 2, 2, 2, 9, 3
	maxPixels := maxImages * maxRows * maxCols
	values := kerneltest.Random(1, maxPixels*(maxTiles*height+gap)+maxImages*maxRows*gap)
	gradients := kerneltest.Random(2, maxPixels*width)
	sums := kerneltest.Random(3, maxTiles*height*width)
	dstMem, startMem := guarded(t, len(sums)), guarded(t, len(sums))
	srcMem, gradMem := guarded(t, len(values)), guarded(t, len(gradients))
	for cols := 1; cols <= maxCols; cols++ {
		for round := range 16 {
			bit := func(i int) int { return round >> i & 1 }
			side, tiles, images, rows := bit(0), 1+bit(1), 1+bit(2), 1+bit(3)
			// Pixels that follow each other, overlap, and lie apart; images and rows that do so, too.
			srcPixel := []int{tiles * height, max(tiles*height/2, 1), tiles*height + gap}[cols%3]
			srcRow := cols*srcPixel + bit(1)*gap
			srcImage := rows*srcRow - bit(3)
			startTile := bit(0) * height * width
			src := srcMem.load(side, values[:(images-1)*srcImage+(rows-1)*srcRow+(cols-1)*srcPixel+tiles*height])
			grad := gradMem.load(side, gradients[:images*rows*cols*width])
			start := startMem.load(side, sums[:(tiles-1)*startTile+height*width])
			dst := dstMem.blank(side, tiles*height*width)
			f(&dst[0], &start[0], &src[0], &grad[0], &grad[0], tiles, startTile, images, rows, cols, srcImage, srcRow, srcPixel, 7)
			compareRows(t, fmt.Sprintf("tiles=%d images=%d rows=%d cols=%d, %s", tiles, images, rows, cols, sides[side]), dst, tiles*height, width, width, func(m, n int) float64 {
				acc := start[m/height*startTile+m%height*width+n]
				for p := range images * rows * cols {
					at := p/(rows*cols)*srcImage + p/cols%rows*srcRow + p%cols*srcPixel
					acc = mulAdd(src[at+m], grad[p*width+n], acc)
				}
				return float64(acc)
			}, nil)
			if t.Failed() {
				return
			}
		}
	}
	// The sums may stay where they are.
	src, grad := values[:height], gradients[:width]
	in, out := kerneltest.Random(3, height*width), kerneltest.Random(3, height*width)
	f(&out[0], &out[0], &src[0], &grad[0], &grad[0], 1, 0, 1, 1, 1, 0, 0, 0, 0)
	compareRows(t, "in place", out, height, width, width, func(m, n int) float64 {
		return float64(mulAdd(src[m], grad[n], in[m*width+n]))
	}, nil)
}

// TestPackSum compares the kernel with its loops, bit for bit.
func TestPackSum(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		const maxPixels, gap = 5, 3
		for _, channels := range channelCounts(set) {
			srcMem, dstMem, sumMem := guarded(t, maxPixels*(channels+gap)), guarded(t, maxPixels*(channels+gap)), guarded(t, channels)
			values, before := kerneltest.Random(1, maxPixels*(channels+gap)), kerneltest.Random(2, channels)
			for pixels := 1; pixels <= maxPixels; pixels++ {
				for side := range sides {
					srcPixel, dstPixel := channels+pixels%2*gap, channels+side*gap
					src := srcMem.load(side, values[:(pixels-1)*srcPixel+channels])
					dst, sums := dstMem.blank(side, (pixels-1)*dstPixel+channels), sumMem.load(side, before)
					set.F32.PackSum(&dst[0], &sums[0], &src[0], pixels, channels, srcPixel, dstPixel)
					what := fmt.Sprintf("%d pixels of %d channels, %s", pixels, channels, sides[side])
					compareRows(t, what, dst, pixels, channels, dstPixel, func(p, c int) float64 { return float64(src[p*srcPixel+c]) }, nil)
					compareRows(t, "sums of "+what, sums, 1, channels, channels, func(_, c int) float64 {
						sum := before[c]
						for p := range pixels {
							sum += src[p*srcPixel+c]
						}
						return float64(sum)
					}, nil)
					if t.Failed() {
						return
					}
				}
			}
		}
	})
}

// testConvTileNaN puts a NaN into one pixel at a time, and then into one bias at a time. With
// ReLU and without, the NaN must fill the pixel's row of the tile, or the bias's column, and
// nothing else.
func testConvTileNaN(t *testing.T, f kernels.ConvFunc, height, width int) {
	nan := float32(math.NaN())
	src := kerneltest.Random(1, height)
	weights := kerneltest.Random(2, width)
	bias := kerneltest.Random(3, width)
	dst := make([]float32, height*width)
	offset := 0
	check := func(lower float32, what string, at int) {
		t.Helper()
		f(&dst[0], &src[0], &weights[0], &bias[0], nil, &offset, 1, 1, 1, width, 1, 0, lower)
		compareRows(t, fmt.Sprintf("NaN in %s %d, lower=%v", what, at, lower), dst, height, width, width,
			func(m, n int) float64 {
				return float64(max(ref.FMA(src[m], weights[n], bias[n]), lower))
			},
			func(m, n int) float64 {
				return kerneltest.Tolerance(1, math.Abs(float64(src[m])*float64(weights[n]))+math.Abs(float64(bias[n])))
			})
	}
	for _, lower := range []float32{negInf, 0} {
		for m := range src {
			keep := src[m]
			src[m] = nan
			check(lower, "pixel", m)
			src[m] = keep
		}
		for n := range bias {
			keep := bias[n]
			bias[n] = nan
			check(lower, "bias", n)
			bias[n] = keep
		}
	}
}
