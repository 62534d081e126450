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

// A Set holds the kernels of one instruction set, by the element that they compute with. A
// set whose instruction set brings nothing new for an element has another set's kernels for it.
type Set struct {
	ISA ISA
	F32 *F32
}

// F32 holds the float32 kernels of an instruction set, one field per family. The arguments
// channels and n count channels and elements, and are multiples of Lanes; for the channels that
// are left over, this package calls the scalar kernels. Strides count float32 values.
type F32 struct {
	Lanes int // float32 values in a vector

	// Wide is the tile for most output channels. Narrow is one vector wide, for the last channels
	// of a layer, of which Wide would waste a part; it may be the same tile as Wide.
	Wide, Narrow Tile

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

	// FMAPeak runs n rounds of PeakFMAs multiply-adds of float32 values, in vectors that depend
	// on nothing but registers: it measures how many the processor can do.
	FMAPeak  func(n int)
	PeakFMAs int

	// ReadPeak adds up n values, a multiple of 16·Lanes, to Lanes sums at dst: it measures how
	// fast the processor can read memory.
	ReadPeak func(dst, src *float32, n int)
}
