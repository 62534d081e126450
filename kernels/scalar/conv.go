package scalar

import (
	"math"
	"unsafe"
)

// Conv1x4 computes 1 output pixel × 4 channels at a time.
func Conv1x4(dst, src, weights, bias, _ *float32, offsets *int, runs, runLen, srcStride, dstStride, tiles, _ int, lower float32) {
	b := (*[4]float32)(unsafe.Pointer(bias))
	for t := range tiles {
		c0, c1, c2, c3 := b[0], b[1], b[2], b[3]
		w := vec(weights, 0, 4*runs*runLen)
		for _, off := range unsafe.Slice(offsets, runs) {
			for _, x := range vec(src, t*srcStride+off, runLen) {
				c0 += float32(x * w[0])
				c1 += float32(x * w[1])
				c2 += float32(x * w[2])
				c3 += float32(x * w[3])
				w = w[4:]
			}
		}
		store4(vec(dst, t*dstStride, 4), c0, c1, c2, c3, lower)
	}
}

// Conv2x4 computes 2 output pixels × 4 channels at a time. Eight sums hide the latency of the
// additions and still leave registers for the factors.
func Conv2x4(dst, src, weights, bias, _ *float32, offsets *int, runs, runLen, srcStride, dstStride, tiles, _ int, lower float32) {
	b := (*[4]float32)(unsafe.Pointer(bias))
	for t := range tiles {
		c0, c1, c2, c3 := b[0], b[1], b[2], b[3]
		d0, d1, d2, d3 := b[0], b[1], b[2], b[3]
		w := vec(weights, 0, 4*runs*runLen)
		for _, off := range unsafe.Slice(offsets, runs) {
			xs := vec(src, 2*t*srcStride+off, runLen)
			ys := vec(src, (2*t+1)*srcStride+off, runLen)
			for k, x := range xs {
				y := ys[k]
				w0, w1, w2, w3 := w[0], w[1], w[2], w[3]
				w = w[4:]
				c0 += float32(x * w0)
				c1 += float32(x * w1)
				c2 += float32(x * w2)
				c3 += float32(x * w3)
				d0 += float32(y * w0)
				d1 += float32(y * w1)
				d2 += float32(y * w2)
				d3 += float32(y * w3)
			}
		}
		store4(vec(dst, 2*t*dstStride, 4), c0, c1, c2, c3, lower)
		store4(vec(dst, (2*t+1)*dstStride, 4), d0, d1, d2, d3, lower)
	}
}

// store4 stores four sums, each raised to lower if it is less.
func store4(dst []float32, c0, c1, c2, c3, lower float32) {
	dst[0], dst[1], dst[2], dst[3] = max(c0, lower), max(c1, lower), max(c2, lower), max(c3, lower)
}

// BatchMatMul1x4 computes 1 row × 4 columns at a time.
func BatchMatMul1x4(dst, src, weights, _ *float32, batch, k, tiles, srcMatrix, dstMatrix, srcStride, _ int) {
	batchMatMul(Conv1x4, dst, src, weights, batch, k, tiles, srcMatrix, dstMatrix, srcStride)
}

// BatchMatMul2x4 computes 2 rows × 4 columns at a time.
func BatchMatMul2x4(dst, src, weights, _ *float32, batch, k, tiles, srcMatrix, dstMatrix, srcStride, _ int) {
	batchMatMul(Conv2x4, dst, src, weights, batch, k, tiles, srcMatrix, dstMatrix, srcStride)
}

// A tile is Conv1x4 or Conv2x4.
type tile = func(dst, src, weights, bias, prefetch *float32, offsets *int, runs, runLen, srcStride, dstStride, tiles, prefetchStep int, lower float32)

// A matrix product is a convolution without a bias, whose windows are one run that starts at the
// pixel itself.
var (
	noBias   [4]float32
	noOffset int
)

// batchMatMul computes each product of a batch by a tile of width 4.
func batchMatMul(conv tile, dst, src, weights *float32, batch, k, tiles, srcMatrix, dstMatrix, srcStride int) {
	for b := range batch {
		conv(&vec(dst, b*dstMatrix, 1)[0], &vec(src, b*srcMatrix, 1)[0], &vec(weights, b*k*4, 1)[0], &noBias[0], nil,
			&noOffset, 1, k, srcStride, 4, tiles, 0, float32(math.Inf(-1)))
	}
}
