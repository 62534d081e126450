package scalar

import "unsafe"

// RowConv1x4 computes 1 output pixel × 4 channels at a time.
func RowConv1x4(dst, src, weights, bias, _ *float32, offsets *int32, k, srcStride, dstStride, tiles, _ int, lower float32) {
	b := (*[4]float32)(unsafe.Pointer(bias))
	for t := range tiles {
		c0, c1, c2, c3 := b[0], b[1], b[2], b[3]
		w := vec(weights, 0, 4*k)
		for _, off := range unsafe.Slice(offsets, k) {
			x := vec(src, t*srcStride+int(off), 1)[0]
			c0 += float32(x * w[0])
			c1 += float32(x * w[1])
			c2 += float32(x * w[2])
			c3 += float32(x * w[3])
			w = w[4:]
		}
		store4(vec(dst, t*dstStride, 4), c0, c1, c2, c3, lower)
	}
}

// RowConv2x4 computes 2 output pixels × 4 channels at a time.
func RowConv2x4(dst, src, weights, bias, _ *float32, offsets *int32, k, srcStride, dstStride, tiles, _ int, lower float32) {
	b := (*[4]float32)(unsafe.Pointer(bias))
	for t := range tiles {
		c0, c1, c2, c3 := b[0], b[1], b[2], b[3]
		d0, d1, d2, d3 := b[0], b[1], b[2], b[3]
		w := vec(weights, 0, 4*k)
		for _, off := range unsafe.Slice(offsets, k) {
			x := vec(src, 2*t*srcStride+int(off), 1)[0]
			y := vec(src, (2*t+1)*srcStride+int(off), 1)[0]
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
		store4(vec(dst, 2*t*dstStride, 4), c0, c1, c2, c3, lower)
		store4(vec(dst, (2*t+1)*dstStride, 4), d0, d1, d2, d3, lower)
	}
}
