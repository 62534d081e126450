package kernels

// A ConvFunc computes tiles·M output pixels × W output channels of a convolution,
// M and W being the tile's height and width; all sizes count float32 values:
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
// A run is a contiguous stretch of inputs: a kernel row, or a kernel pixel with
// groups. lower is 0 for ReLU, -Inf for none; a NaN in acc stays. runs, runLen and
// tiles are at least 1.
//
// Meanwhile weights that are needed later are prefetched: prefetchStep bytes, from prefetch
// on, in each step of a sum. Neither changes a result.
type ConvFunc = func(dst, src, weights, bias, prefetch *float32, offsets *int, runs, runLen, srcStride, dstStride, tiles, prefetchStep int, lower float32)

// A BatchMatMulFunc computes a batch of matrix products of one shape, each with
// tiles·M rows, W columns and sums of k terms:
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
// batch, k and tiles are at least 1; prefetch and prefetchStep are ConvFunc's.
type BatchMatMulFunc = func(dst, src, weights, prefetch *float32, batch, k, tiles, srcMatrix, dstMatrix, srcStride, prefetchStep int)

// Transforms are the kernels around the products of Winograd's algorithm
// F(Outputs×Outputs, r×r), whose tiles have n×n inputs, n = Outputs+r-1. The order of
// their additions, and so their rounding, is the recipe's.
type Transforms struct {
	Outputs int

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

	// Output transforms the n² products of each of a row of tiles to output pixels, by
	// the matrix AT:
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

// A Set holds the kernels of one instruction set, by the element that they compute with. A
// set may share another's: the instructions that one set adds to another need not concern
// all elements.
type Set struct {
	ISA ISA
	F32 *F32
}

// F32 holds the float32 kernels of an instruction set, one field per family. Channel
// and element counts (channels, n) are multiples of Lanes; the loops in this
// package give the rest to the scalar kernels.
type F32 struct {
	Lanes int // float32 values in a vector

	// Wide is the tile for most layers. Narrow, of one vector, wastes nothing where the
	// channels left are too few for Wide; it may be the same.
	Wide, Narrow Tile

	// MaxPool3x3s2 computes a row of 3×3 windows, stride 2:
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

	// MaxPool computes one window of rows×cols pixels, AvgPool the same with a sum in
	// the place of the maximum, times scale:
	//
	//	for c := range channels {
	//		for i := range rows {
	//			for j := range cols {
	//				dst[c] = max(dst[c], src[i*srcRow+j*srcPixel+c]) // from -Inf
	//			}
	//		}
	//	}
	MaxPool func(dst, src *float32, rows, cols, channels, srcRow, srcPixel int)
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

	// LRNSquare prepares a row of pixels for LRN:
	//
	//	for p := range pixels {
	//		for c := range channels {
	//			dst[p*dstPixel+c] = src[p*srcPixel+c] * src[p*srcPixel+c]
	//		}
	//	}
	LRNSquare func(dst, src *float32, pixels, channels, srcPixel, dstPixel int)

	// LRN normalizes a row of pixels; squares[0] is the first of the size channels that
	// channel 0 takes into account:
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

	// SpaceToDepth makes a row of pixels from runs rows, in this order; where runs
	// overlap, later ones win:
	//
	//	for p := range pixels {
	//		for r := range runs {
	//			for c := range channels {
	//				dst[p*dstPixel+r*dstRun+c] = src[p*srcPixel+r*srcRow+c]
	//			}
	//		}
	//	}
	SpaceToDepth func(dst, src *float32, pixels, runs, channels, srcPixel, srcRow, dstPixel, dstRun int)

	// Winograd[r] transforms what Winograd's algorithm for kernels of r×r taps reads and
	// writes; the zero value where there is none.
	Winograd [6]Transforms

	// FMAPeak runs n rounds of PeakFMAs independent vector multiply-adds on
	// registers: the processor's upper bound. ReadPeak adds up n values (a multiple of
	// 16·Lanes) into Lanes sums at dst: the bound of reading memory.
	FMAPeak  func(n int)
	PeakFMAs int
	ReadPeak func(dst, src *float32, n int)
}
