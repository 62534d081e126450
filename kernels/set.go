package kernels

// A ConvFunc computes tiles·M output pixels × W output channels of a convolution, where M and
// W are the tile's height and width. Offsets and strides count float32 values:
//
//	for t := range tiles {
//		for m := range M {
//			for n := range W {
//				acc := bias[n]
//				k := 0
//				for r := range runs {
//					for j := range runLen {
//						acc = fma(src[(t*M+m)*srcStride+offsets[r]+j], weights[k*W+n], acc)
//						k++
//					}
//				}
//				dst[(t*M+m)*dstStride+n] = max(acc, lower)
//			}
//		}
//	}
//
// A run is a contiguous stretch of inputs: those of a kernel row or, with groups, of one kernel
// pixel. lower is 0 for ReLU, -Inf for none; a NaN in acc stays. runs, runLen and tiles are at
// least 1.
//
// The function also prefetches weights that are needed later: prefetchStep bytes in each step of
// a sum, from prefetch on. No result depends on prefetch or prefetchStep; prefetch may be nil.
type ConvFunc = func(dst, src, weights, bias, prefetch *float32, offsets *int, runs, runLen, srcStride, dstStride, tiles, prefetchStep int, lower float32)

// A RowConvFunc computes what a ConvFunc does with weights of which only some rows are stored, those
// that are not zero. Offsets are those of the inputs of these rows:
//
//	for t := range tiles {
//		for m := range M {
//			for n := range W {
//				acc := bias[n]
//				for j := range k {
//					acc = fma(src[(t*M+m)*srcStride+offsets[j]], weights[j*W+n], acc)
//				}
//				dst[(t*M+m)*dstStride+n] = max(acc, lower)
//			}
//		}
//	}
//
// k is at least 0, and tiles at least 1; prefetch and prefetchStep are as in a ConvFunc.
type RowConvFunc = func(dst, src, weights, bias, prefetch *float32, offsets *int32, k, srcStride, dstStride, tiles, prefetchStep int, lower float32)

// A WConvFunc computes what a ConvFunc does, from weights of another type, with a factor for each
// channel:
//
//	for t := range tiles {
//		for m := range M {
//			for n := range W {
//				acc := float32(0)
//				k := 0
//				for r := range runs {
//					for j := range runLen {
//						acc = fma(src[(t*M+m)*srcStride+offsets[r]+j], value(weights[k*W+n]), acc)
//						k++
//					}
//				}
//				dst[(t*M+m)*dstStride+n] = max(fma(acc, scale[n], bias[n]), lower)
//			}
//		}
//	}
//
// The value of an int8 weight is the same number, and that of an uint16 weight is that of a float16
// with these bits.
type WConvFunc[Weight uint16 | int8] = func(dst, src *float32, weights *Weight, bias, scale *float32, offsets *int, runs, runLen, srcStride, dstStride, tiles int, lower float32)

// A BatchMatMulFunc computes a batch of matrix products of one shape. Each has tiles·M rows and
// W columns, where M and W are the tile's height and width, and sums of k terms. Strides count
// float32 values:
//
//	for b := range batch {
//		for t := range tiles {
//			for m := range M {
//				for n := range W {
//					acc := 0
//					for j := range k {
//						acc = fma(src[b*srcMatrix+(t*M+m)*srcStride+j], weights[(b*k+j)*W+n], acc)
//					}
//					dst[b*dstMatrix+(t*M+m)*W+n] = acc
//				}
//			}
//		}
//	}
//
// batch, k and tiles are at least 1; prefetch and prefetchStep are as in a ConvFunc.
type BatchMatMulFunc = func(dst, src, weights, prefetch *float32, batch, k, tiles, srcMatrix, dstMatrix, srcStride, prefetchStep int)

// A SpMMFunc multiplies a sparse matrix by a dense one with W columns. Each row of the sparse matrix has
// some values, whose columns ascend, and a bias:
//
//	next := 0
//	for r := range rows {
//		for n := range W {
//			acc := bias[r]
//			for j := range counts[r] {
//				acc = fma(values[next+j], src[columns[next+j]*W+n], acc)
//			}
//			dst[r*W+n] = max(acc, lower)
//		}
//		next += counts[r]
//	}
//
// rows is at least 1; a row may have no values. lower is as in a ConvFunc.
type SpMMFunc = func(dst, src, values, bias *float32, columns, counts *uint8, rows int, lower float32)

// A SpMMAddFunc is a [SpMMFunc] whose sums start at dst[r*W+n] instead of the bias.
type SpMMAddFunc = func(dst, src, values *float32, columns, counts *uint8, rows int, lower float32)

// A WeightGradientFunc adds the products of M inputs × W gradients, at each of some pixels, to their sums, where
// M and W are the tile's height and width; the inputs of tiles lie beside each other. Strides count float32
// values:
//
//	for t := range tiles {
//		for m := range M {
//			for n := range W {
//				acc := start[t*startTile+m*W+n]
//				for i := range images {
//					for y := range rows {
//						for x := range cols {
//							acc = fma(src[i*srcImage+y*srcRow+x*srcPixel+t*M+m], grad[((i*rows+y)*cols+x)*W+n], acc)
//						}
//					}
//				}
//				dst[(t*M+m)*W+n] = acc
//			}
//		}
//	}
//
// tiles, images, rows and cols are at least 1.
//
// The function also prefetches as many values as four vectors have, from prefetch on, moving on by prefetchStep: in
// each round of four pixels of a row, or of two if vectors have 16 lanes. No result depends on them.
type WeightGradientFunc = func(dst, start, src, grad, prefetch *float32, tiles, startTile, images, rows, cols, srcImage, srcRow, srcPixel, prefetchStep int)

// Transforms are the kernels before and after the matrix products of Winograd's algorithm
// F(Outputs×Outputs, r×r), whose tiles have n×n inputs, n = Outputs+r-1. The sums below have no
// stated order: it is the same in all generated kernels, and may differ in the scalar ones, so that
// these round differently. Strides count float32 values.
type Transforms struct {
	Outputs int // along a side of a tile

	// Input transforms the inputs of a row of tiles by the matrix BT of
	// winograd.New(Outputs, r):
	//
	//	for t := range tiles {
	//		for c := range channels {
	//			for i := range n {
	//				for j := range n {
	//					dst[(i*n+j)*dstMatrix+t*dstTile+c] = Σ BT[i][k]*BT[j][l]*src[k*srcRow+l*srcPixel+t*srcTile+c] // over k, l
	//				}
	//			}
	//		}
	//	}
	Input func(dst, src *float32, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile int)

	// Output transforms the products of a row of tiles, n² for each tile and channel, to output
	// pixels, by the matrix AT of winograd.New(Outputs, r):
	//
	//	for t := range tiles {
	//		for c := range channels {
	//			for i := range Outputs {
	//				for j := range Outputs {
	//					y := bias[c] + Σ AT[i][k]*AT[j][l]*src[(k*n+l)*srcMatrix+t*srcTile+c] // over k, l
	//					dst[i*dstRow+j*dstPixel+t*dstTile+c] = max(y, lower)
	//				}
	//			}
	//		}
	//	}
	Output func(dst, src, bias *float32, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile int, lower float32)
}

// GradientTransforms are the transforms before and after the matrix products of the gradient of weights by Winograd's algorithm,
// beside Transforms.Input of as many inputs. n is 6; the gradients of 4×4 outputs give those of 3×3 weights. What is said of
// the sums of Transforms holds for these.
type GradientTransforms struct {
	// Gradient transforms the gradients of a row of tiles by the matrix G of winograd.NewGradient(3, 4):
	//
	//	for t := range tiles {
	//		for c := range channels {
	//			for i := range n {
	//				for j := range n {
	//					dst[(i*n+j)*dstMatrix+t*dstTile+c] = Σ G[i][k]*G[j][l]*src[k*srcRow+l*srcPixel+t*srcTile+c] // over k, l
	//				}
	//			}
	//		}
	//	}
	Gradient func(dst, src *float32, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile int)

	// Weights transforms sums of products by the matrix AT of winograd.NewGradient(3, 4):
	//
	//	for t := range tiles {
	//		for c := range channels {
	//			for i := range 3 {
	//				for j := range 3 {
	//					sum := Σ AT[i][k]*AT[j][l]*src[(k*n+l)*srcMatrix+t*srcTile+c] // over k, l
	//					dst[(i*3+j)*dstMatrix+t*dstTile+c] = sum * scale
	//				}
	//			}
	//		}
	//	}
	Weights func(dst, src *float32, tiles, channels, srcMatrix, srcTile, dstMatrix, dstTile int, scale float32)
}

// A Set holds the kernels of one instruction set, by the element that they compute with. A
// set whose instruction set brings nothing new for an element has another set's kernels for it.
type Set struct {
	ISA ISA
	F32 *F32
	U8  *U8
}

// F32 holds the float32 kernels of an instruction set, one field per family. The arguments
// channels and n count channels and elements, and are multiples of Lanes; what is left over is part
// of a vector that overlaps the one before it, or this package calls the scalar kernels. Strides
// count float32 values.
type F32 struct {
	Lanes int // float32 values in a vector

	// Conv, RowConv and BatchMatMul have tiles of the same sizes. The narrow ones are one vector
	// wide, or the same as the wide ones.
	Conv        Tiles[ConvFunc]
	RowConv     Tiles[RowConvFunc]
	BatchMatMul Tiles[BatchMatMulFunc]

	// WeightGradient has tiles of its own.
	WeightGradient Tiles[WeightGradientFunc]

	// PackSum copies a row of pixels, and adds each channel to its sum:
	//
	//	for p := range pixels {
	//		for c := range channels {
	//			dst[p*dstPixel+c] = src[p*srcPixel+c]
	//			sums[c] += src[p*srcPixel+c]
	//		}
	//	}
	PackSum func(dst, sums, src *float32, pixels, channels, srcPixel, dstPixel int)

	// SpMM and SpMMAdd have a function for each number of vectors in a row of the dense matrix. Width is
	// that of a vector.
	SpMM    Tile[SpMMFunc]
	SpMMAdd []SpMMAddFunc

	// Transpose transposes a matrix; rows and cols are multiples of TransposeSide:
	//
	//	for r := range rows {
	//		for c := range cols {
	//			dst[c*dstStride+r] = src[r*srcStride+c]
	//		}
	//	}
	Transpose     func(dst, src *float32, rows, cols, dstStride, srcStride int)
	TransposeSide int

	// F16Conv and S8Conv have weights that are float16 and int8. They have one tile each, which is low.
	F16Conv Tiles[WConvFunc[uint16]]
	S8Conv  Tiles[WConvFunc[int8]]

	// MaxPool3x3s2 computes the maximum over each of a row of 3×3 windows with stride 2:
	//
	//	for p := range pixels {
	//		for c := range channels {
	//			for i := range 3 {
	//				for j := range 3 {
	//					dst[p*dstPixel+c] = max(dst[p*dstPixel+c], src[i*srcRow+(2*p+j)*srcPixel+c]) // from -Inf
	//				}
	//			}
	//		}
	//	}
	MaxPool3x3s2 func(dst, src *float32, pixels, channels, srcRow, srcPixel, dstPixel int)

	// MaxPool computes the maximum over one window of rows×cols pixels:
	//
	//	for c := range channels {
	//		for i := range rows {
	//			for j := range cols {
	//				dst[c] = max(dst[c], src[i*srcRow+j*srcPixel+c]) // from -Inf
	//			}
	//		}
	//	}
	MaxPool func(dst, src *float32, rows, cols, channels, srcRow, srcPixel int)

	// AvgPool computes the sum over one window of rows×cols pixels, times scale:
	//
	//	for c := range channels {
	//		for i := range rows {
	//			for j := range cols {
	//				dst[c] += src[i*srcRow+j*srcPixel+c] // from 0
	//			}
	//		}
	//		dst[c] *= scale
	//	}
	AvgPool func(dst, src *float32, rows, cols, channels, srcRow, srcPixel int, scale float32)

	// Add is the residual connection; lower is 0 for ReLU, -Inf for none:
	//
	//	for i := range n {
	//		dst[i] = max(a[i]+b[i], lower)
	//	}
	Add func(dst, a, b *float32, n int, lower float32)

	// ReLU keeps NaN:
	//
	//	for i := range n {
	//		dst[i] = max(src[i], 0)
	//	}
	ReLU func(dst, src *float32, n int)

	// LRNSquare sets each channel of a row of pixels to its square, which LRN needs:
	//
	//	for p := range pixels {
	//		for c := range channels {
	//			dst[p*dstPixel+c] = src[p*srcPixel+c] * src[p*srcPixel+c]
	//		}
	//	}
	LRNSquare func(dst, src *float32, pixels, channels, srcPixel, dstPixel int)

	// LRN normalizes a row of pixels. squares has size-1 channels more than src: size of them, from
	// channel c on, are added up for channel c of src:
	//
	//	for p := range pixels {
	//		for c := range channels {
	//			sum := squares[p*squaresPixel+c]
	//			for j := 1; j < size; j++ {
	//				sum += squares[p*squaresPixel+c+j]
	//			}
	//			d := fma(scale, sum, k)
	//			dst[p*dstPixel+c] = src[p*srcPixel+c] / (sqrt(d) * sqrt(sqrt(d)))
	//		}
	//	}
	LRN func(dst, src, squares *float32, pixels, channels, srcPixel, dstPixel, squaresPixel, size int, scale, k float32)

	// Mul is dropout, whose mask is b, and its gradient:
	//
	//	for i := range n {
	//		dst[i] = a[i] * b[i]
	//	}
	Mul func(dst, a, b *float32, n int)

	// ReLUGradient is the gradient of the input of a ReLU, whose result is y and its gradient grad. It is 0
	// where y is NaN:
	//
	//	for i := range n {
	//		dst[i] = 0
	//		if y[i] > 0 {
	//			dst[i] = grad[i]
	//		}
	//	}
	ReLUGradient func(dst, y, grad *float32, n int)

	// MaxPoolGradient adds the gradient of the maximum over one window of rows×cols pixels, which is top, to
	// that of the first pixel that has this value:
	//
	//	for c := range channels {
	//		g := grad[c]
	//		for i := range rows {
	//			for j := range cols {
	//				if src[i*srcRow+j*srcPixel+c] == top[c] {
	//					dst[i*dstRow+j*dstPixel+c] += g
	//					g -= g
	//				}
	//			}
	//		}
	//	}
	MaxPoolGradient func(dst, src, top, grad *float32, rows, cols, channels, dstRow, dstPixel, srcRow, srcPixel int)

	// MaxPool3x3s2Gradient does that for each of a row of windows of MaxPool3x3s2. In the second and third row of
	// src, it is the first to write to all pixels but the leftmost:
	//
	//	for p := range pixels {
	//		for c := range channels {
	//			g := grad[p*gradPixel+c]
	//			for i := range 3 {
	//				for j := range 3 {
	//					part := float32(0)
	//					if src[i*srcRow+(2*p+j)*srcPixel+c] == top[p*topPixel+c] {
	//						part = g
	//						g -= g
	//					}
	//					if i > 0 && j > 0 {
	//						dst[i*dstRow+(2*p+j)*dstPixel+c] = part
	//					} else {
	//						dst[i*dstRow+(2*p+j)*dstPixel+c] += part
	//					}
	//				}
	//			}
	//		}
	//	}
	MaxPool3x3s2Gradient func(dst, src, top, grad *float32, pixels, channels, dstRow, dstPixel, srcRow, srcPixel, topPixel, gradPixel int)

	// AvgPoolGradient adds the gradient of a scaled sum over one window of rows×cols pixels to that of its
	// pixels:
	//
	//	for i := range rows {
	//		for j := range cols {
	//			for c := range channels {
	//				dst[i*dstRow+j*dstPixel+c] += float32(grad[c] * scale)
	//			}
	//		}
	//	}
	AvgPoolGradient func(dst, grad *float32, rows, cols, channels, dstRow, dstPixel int, scale float32)

	// LRNTerms begins the gradient of LRN for a row of pixels, whose squares, size, scale and k are those of
	// LRN, and makes what LRNGradient needs:
	//
	//	for p := range pixels {
	//		for c := range channels {
	//			sum := squares[p*squaresPixel+c]
	//			for j := 1; j < size; j++ {
	//				sum += squares[p*squaresPixel+c+j]
	//			}
	//			d := fma(scale, sum, k)
	//			dst[p*dstPixel+c] = grad[p*gradPixel+c] / (sqrt(d) * sqrt(sqrt(d)))
	//			terms[p*squaresPixel+c] = src[p*srcPixel+c] * dst[p*dstPixel+c] / d
	//		}
	//	}
	LRNTerms func(dst, terms, src, grad, squares *float32, pixels, channels, dstPixel, srcPixel, gradPixel, squaresPixel, size int, scale, k float32)

	// LRNGradient completes it. terms has size-1 channels more than src: size of them, from channel c on, are
	// added up for channel c of src, as LRN adds up squares:
	//
	//	for p := range pixels {
	//		for c := range channels {
	//			sum := terms[p*termsPixel+c]
	//			for j := 1; j < size; j++ {
	//				sum += terms[p*termsPixel+c+j]
	//			}
	//			dst[p*dstPixel+c] = fma(-float32(src[p*srcPixel+c]*factor), sum, dst[p*dstPixel+c])
	//		}
	//	}
	LRNGradient func(dst, src, terms *float32, pixels, channels, dstPixel, srcPixel, termsPixel, size int, factor float32)

	// SpaceToDepth makes a row of pixels, each of which is a run of channels from each of runs
	// rows. Runs may overlap in dst: the order of the writes is that of these loops:
	//
	//	for p := range pixels {
	//		for r := range runs {
	//			for c := range channels {
	//				dst[p*dstPixel+r*dstRun+c] = src[p*srcPixel+r*srcRow+c]
	//			}
	//		}
	//	}
	SpaceToDepth func(dst, src *float32, pixels, runs, channels, srcPixel, srcRow, dstPixel, dstRun int)

	// Winograd[r] has the transforms for kernels of r×r taps; it is the zero value for an r that
	// there are none for.
	Winograd [6]Transforms

	// WinogradGradient has the transforms for the gradient of the weights of 3×3 kernels.
	WinogradGradient GradientTransforms

	// FMAPeak runs n rounds of PeakFMAs multiply-adds of float32 values, in vectors that depend
	// on nothing but registers: it measures how many the processor can do.
	FMAPeak  func(n int)
	PeakFMAs int

	// ReadPeak adds up n values, a multiple of 16·Lanes, to Lanes sums at dst: it measures how
	// fast the processor can read memory.
	ReadPeak func(dst, src *float32, n int)
}

// A QConvFunc computes tiles·M output pixels × W output channels of a quantized convolution, where M
// and W are the tile's height and width, G its group, and Offset that of U8. Weights are int8.
// Inputs are uint8 if U8.Widen is nil, else int16, in little-endian order. Strides and offsets
// count bytes; the loops below are written for inputs of one byte:
//
//	for t := range tiles {
//		for m := range M {
//			for n := range W {
//				acc := bias[n]
//				k := 0
//				for r := range runs {
//					for j := range groups {
//						for g := range G {
//							acc += (int32(src[(t*M+m)*srcStride+offsets[r]+j*G+g]) - Offset) * int32(weights[(k*W+n)*G+g])
//						}
//						k++
//					}
//				}
//				dst[(t*M+m)*dstStride+n] = requantize(acc, scale[n], lower, zero)
//			}
//		}
//	}
//
// where the sums are exact modulo 2³², and requantize is
//
//	uint8(min(max(roundToEven(float32(acc)*scale)+zero, lower), 255))
//
// with a product in float32. Rounded, it must be an int32; sets without this condition say so in
// U8.AnyProduct. zero and lower are 0 to 255. runs, groups and tiles are at least 1. prefetch and
// prefetchStep are as in a ConvFunc.
type QConvFunc = func(dst, src, weights *uint8, bias *int32, scale *float32, prefetch *uint8, offsets *int, runs, groups, srcStride, dstStride, tiles, prefetchStep int, lower, zero int32)

// A QBatchMatMulFunc is a [BatchMatMulFunc] of int16 values, whose sums are int32, exact modulo 2³². It
// has sums of G·groups terms, where G is the tile's group. Strides count values:
//
//	for b := range batch {
//		for t := range tiles {
//			for m := range M {
//				for n := range W {
//					acc := int32(0)
//					for j := range groups {
//						for g := range G {
//							acc += int32(src[b*srcMatrix+(t*M+m)*srcStride+j*G+g]) * int32(weights[((b*groups+j)*W+n)*G+g])
//						}
//					}
//					dst[b*dstMatrix+(t*M+m)*W+n] = acc
//				}
//			}
//		}
//	}
type QBatchMatMulFunc = func(dst *int32, src, weights, prefetch *int16, batch, groups, tiles, srcMatrix, dstMatrix, srcStride, prefetchStep int)

// QTransforms are [Transforms] of quantized convolutions, in integers. What they compute is exact
// modulo 2¹⁶ and 2³², so all sets agree. The matrices are those of winograd.NewInteger(Outputs, r),
// n is 6; strides count values.
type QTransforms struct {
	Outputs int // along a side of a tile

	// Input transforms the inputs of a row of tiles by the matrix BT:
	//
	//	for t := range tiles {
	//		for c := range channels {
	//			for i := range n {
	//				for j := range n {
	//					dst[(i*n+j)*dstMatrix+t*dstTile+c] = int16(Σ BT[i][k]*BT[j][l]*int32(src[k*srcRow+l*srcPixel+t*srcTile+c])) // over k, l
	//				}
	//			}
	//		}
	//	}
	//
	// channels is a multiple of U8.Input.
	Input func(dst *int16, src *uint8, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile int)

	// Output transforms the products of a row of tiles, n² for each tile and channel, to output
	// pixels, by the matrix AT. The sum is 576 times one of the convolution, and so is bias; what is left of
	// this factor by the product with 0x38e38e39, the inverse of 9 modulo 2³², is 64, which scale makes good for:
	//
	//	for t := range tiles {
	//		for c := range channels {
	//			for i := range Outputs {
	//				for j := range Outputs {
	//					acc := (bias[c] + Σ AT[i][k]*AT[j][l]*src[(k*n+l)*srcMatrix+t*srcTile+c]) * 0x38e38e39 // over k, l
	//					dst[i*dstRow+j*dstPixel+t*dstTile+c] = requantize(acc, scale[c], lower, zero)
	//				}
	//			}
	//		}
	//	}
	//
	// channels is a multiple of U8.Lanes. The product with scale, rounded, must be an int32. zero and
	// lower are 0 to 255.
	Output func(dst *uint8, src, bias *int32, scale *float32, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile int, lower, zero int32)
}

// U8 holds the kernels of an instruction set for quantized values, which are uint8. All sets compute
// the same bits. The arguments channels and n count channels and elements, and are multiples of
// Bytes unless a field says otherwise. Strides count values. requantize is that of [QConvFunc].
type U8 struct {
	Lanes int // int32 values in a vector
	Input int // int16 values in a vector of QTransforms.Input
	Bytes int // uint8 values that the kernels without a tile handle at a time

	// AnyProduct says that Conv does without the condition of QConvFunc on products.
	AnyProduct bool

	Conv        Tiles[QConvFunc]
	BatchMatMul Tiles[QBatchMatMulFunc]

	// Offset is what Conv subtracts from each input. It is 128 where both factors must be int8, and
	// 0 elsewhere.
	Offset int32

	// Widen makes the inputs of Conv where they are int16. It is nil where they are uint8.
	//
	//	for i := range n {
	//		dst[i] = int16(src[i])
	//	}
	Widen func(dst *int16, src *uint8, n int)

	// Gather makes the inputs of Conv from some inputs of each pixel, 16 at a time. Strides, from and to count
	// bytes. What it writes for a chunk beyond the inputs that are wanted, the next chunk may overwrite; places are 0 to 15:
	//
	//	for c := range chunks {
	//		for p := range pixels {
	//			for i := range 16 {
	//				dst[p*dstStride+to[c]+i] = src[p*srcStride+from[c]+places[16*c+i]] // to[c]+2*i where they are int16
	//			}
	//		}
	//	}
	//
	// chunks is at least 1, and so is pixels.
	Gather func(dst, src, places *uint8, from, to *int32, chunks, pixels, srcStride, dstStride int)

	// SpaceToDepth is that of F32.
	SpaceToDepth func(dst, src *uint8, pixels, runs, channels, srcPixel, srcRow, dstPixel, dstRun int)

	// Winograd[r] has the transforms for kernels of r×r taps; it is the zero value for an r that
	// there are none for.
	Winograd [6]QTransforms

	// MaxPool3x3s2 and MaxPool are those of F32, from 0.
	MaxPool3x3s2 func(dst, src *uint8, pixels, channels, srcRow, srcPixel, dstPixel int)
	MaxPool      func(dst, src *uint8, rows, cols, channels, srcRow, srcPixel int)

	// AvgPool computes the sum over one window of rows×cols pixels and requantizes it:
	//
	//	for c := range channels {
	//		acc := bias
	//		for i := range rows {
	//			for j := range cols {
	//				acc += int32(src[i*srcRow+j*srcPixel+c])
	//			}
	//		}
	//		dst[c] = requantize(acc, scale, 0, zero) // of any product
	//	}
	AvgPool func(dst, src *uint8, rows, cols, channels, srcRow, srcPixel int, bias int32, scale float32, zero int32)

	// Add is the residual connection. No multiplication is fused with an addition:
	//
	//	for i := range n {
	//		x := float32(int32(a[i])-zeroA)*scaleA + float32(int32(b[i])-zeroB)*scaleB
	//		dst[i] = uint8(int32(roundToEven(min(max(x, lower), upper))) + zero)
	//	}
	Add func(dst, a, b *uint8, n int, zeroA, zeroB int32, scaleA, scaleB, lower, upper float32, zero int32)

	// Clamp is ReLU, whose lower bound is the zero point:
	//
	//	for i := range n {
	//		dst[i] = max(src[i], uint8(lower))
	//	}
	Clamp func(dst, src *uint8, n int, lower int32)

	// Quantize is ONNX's QuantizeLinear; NaN becomes zero:
	//
	//	for i := range n {
	//		dst[i] = uint8(int32(roundToEven(min(max(src[i]/scale, 0-zero), 255-zero))) + zero)
	//	}
	Quantize func(dst *uint8, src *float32, n int, scale float32, zero int32)

	// Dequantize is ONNX's DequantizeLinear:
	//
	//	for i := range n {
	//		dst[i] = float32(int32(src[i])-zero) * scale
	//	}
	Dequantize func(dst *float32, src *uint8, n int, scale float32, zero int32)

	// MACPeak runs n rounds of PeakMACs multiply-adds of the form that Conv uses, in vectors that
	// depend on nothing but registers: it measures how many the processor can do.
	MACPeak  func(n int)
	PeakMACs int
}
