package scalar

import "unsafe"

// QConv1x4 computes 1 output pixel × 4 channels at a time.
func QConv1x4(dst, src, weights *uint8, bias *int32, scale *float32, _ *uint8, offsets *int, runs, groups, srcStride, dstStride, tiles, _ int, lower, zero int32) {
	b := (*[4]int32)(unsafe.Pointer(bias))
	s := (*[4]float32)(unsafe.Pointer(scale))
	for t := range tiles {
		c0, c1, c2, c3 := b[0], b[1], b[2], b[3]
		w := vec((*int8)(unsafe.Pointer(weights)), 0, 4*runs*groups)
		for _, off := range unsafe.Slice(offsets, runs) {
			for _, x := range vec(src, t*srcStride+off, groups) {
				c0 += int32(x) * int32(w[0])
				c1 += int32(x) * int32(w[1])
				c2 += int32(x) * int32(w[2])
				c3 += int32(x) * int32(w[3])
				w = w[4:]
			}
		}
		y := vec(dst, t*dstStride, 4)
		for n, acc := range [4]int32{c0, c1, c2, c3} {
			y[n] = Requantize(acc, s[n], lower, zero)
		}
	}
}

// QConv2x4 computes 2 output pixels × 4 channels at a time.
func QConv2x4(dst, src, weights *uint8, bias *int32, scale *float32, _ *uint8, offsets *int, runs, groups, srcStride, dstStride, tiles, _ int, lower, zero int32) {
	b := (*[4]int32)(unsafe.Pointer(bias))
	s := (*[4]float32)(unsafe.Pointer(scale))
	for t := range tiles {
		c0, c1, c2, c3 := b[0], b[1], b[2], b[3]
		d0, d1, d2, d3 := b[0], b[1], b[2], b[3]
		w := vec((*int8)(unsafe.Pointer(weights)), 0, 4*runs*groups)
		for _, off := range unsafe.Slice(offsets, runs) {
			xs := vec(src, 2*t*srcStride+off, groups)
			ys := vec(src, (2*t+1)*srcStride+off, groups)
			for k, x := range xs {
				x, y := int32(x), int32(ys[k])
				w0, w1, w2, w3 := int32(w[0]), int32(w[1]), int32(w[2]), int32(w[3])
				w = w[4:]
				c0 += x * w0
				c1 += x * w1
				c2 += x * w2
				c3 += x * w3
				d0 += y * w0
				d1 += y * w1
				d2 += y * w2
				d3 += y * w3
			}
		}
		x, y := vec(dst, 2*t*dstStride, 4), vec(dst, (2*t+1)*dstStride, 4)
		for n, acc := range [4]int32{c0, c1, c2, c3} {
			x[n] = Requantize(acc, s[n], lower, zero)
		}
		for n, acc := range [4]int32{d0, d1, d2, d3} {
			y[n] = Requantize(acc, s[n], lower, zero)
		}
	}
}

// QBatchMatMul1x4 computes 1 row × 4 columns at a time.
func QBatchMatMul1x4(dst *int32, src, weights, _ *int16, batch, groups, tiles, srcMatrix, dstMatrix, srcStride, _ int) {
	qbatchMatMul(dst, src, weights, batch, groups, tiles, srcMatrix, dstMatrix, srcStride)
}

// QBatchMatMul2x4 computes 2 rows × 4 columns at a time.
func QBatchMatMul2x4(dst *int32, src, weights, _ *int16, batch, groups, tiles, srcMatrix, dstMatrix, srcStride, _ int) {
	qbatchMatMul(dst, src, weights, batch, groups, 2*tiles, srcMatrix, dstMatrix, srcStride)
}

// qbatchMatMul computes each product of a batch, a row at a time.
func qbatchMatMul(dst *int32, src, weights *int16, batch, k, rows, srcMatrix, dstMatrix, srcStride int) {
	for b := range batch {
		for m := range rows {
			w := vec(weights, b*k*4, 4*k)
			var c0, c1, c2, c3 int32
			for _, x := range vec(src, b*srcMatrix+m*srcStride, k) {
				c0 += int32(x) * int32(w[0])
				c1 += int32(x) * int32(w[1])
				c2 += int32(x) * int32(w[2])
				c3 += int32(x) * int32(w[3])
				w = w[4:]
			}
			y := vec(dst, b*dstMatrix+m*4, 4)
			y[0], y[1], y[2], y[3] = c0, c1, c2, c3
		}
	}
}

// QPeakMACs is the number of multiply-adds in one round of QMACPeak.
const QPeakMACs = 8

// QMACPeak runs n rounds of eight independent multiply-adds of integers.
func QMACPeak(n int) {
	x := int32(n&1) + 2
	s0, s1, s2, s3, s4, s5, s6, s7 := x, x, x, x, x, x, x, x
	for range n {
		s0 = x + s0*x
		s1 = x + s1*x
		s2 = x + s2*x
		s3 = x + s3*x
		s4 = x + s4*x
		s5 = x + s5*x
		s6 = x + s6*x
		s7 = x + s7*x
	}
	intSink = s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7
}

// intSink keeps the compiler from dropping the sums.
//
//lint:ignore U1000 nobody reads it
var intSink int32

// Gather moves inputs of some pixels together, 16 at a time.
func Gather(dst, src, places *uint8, from, to *int32, chunks, pixels, srcStride, dstStride int) {
	for c := range chunks {
		from, to := int(vec(from, c, 1)[0]), int(vec(to, c, 1)[0])
		places := (*[16]uint8)(unsafe.Pointer(&vec(places, 16*c, 16)[0]))
		for p := range pixels {
			x := vec(src, p*srcStride+from, 16)
			y := vec(dst, p*dstStride+to, 16)
			for i, place := range places {
				y[i] = x[place]
			}
		}
	}
}
