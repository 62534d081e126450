package scalar

import (
	"math"
	"unsafe"
)

// QConvSaturating1x4 is QConv1x4, but the sum of each two neighbouring products of a sum, over the ends
// of runs, is limited to 16 bits before it is added up, as VPMADDUBSW does. See kernels.Saturating.
func QConvSaturating1x4(dst, src, weights *uint8, bias *int32, scale *float32, _ *uint8, offsets *int, runs, groups, srcStride, dstStride, tiles, _ int, lower, zero int32) {
	b := (*[4]int32)(unsafe.Pointer(bias))
	s := (*[4]float32)(unsafe.Pointer(scale))
	for t := range tiles {
		c0, c1, c2, c3 := b[0], b[1], b[2], b[3]
		w := vec((*int8)(unsafe.Pointer(weights)), 0, 4*runs*groups)
		last, half := int32(0), false // the input that is still alone, and whether there is one
		for _, off := range unsafe.Slice(offsets, runs) {
			for _, x := range vec(src, t*srcStride+off, groups) {
				if !half {
					last, half = int32(x), true
					continue
				}
				half = false
				x := int32(x)
				v := (*[8]int8)(w)
				w = w[8:]
				c0 += saturate(last*int32(v[0]) + x*int32(v[4]))
				c1 += saturate(last*int32(v[1]) + x*int32(v[5]))
				c2 += saturate(last*int32(v[2]) + x*int32(v[6]))
				c3 += saturate(last*int32(v[3]) + x*int32(v[7]))
			}
		}
		if half {
			// A product alone fits 16 bits.
			c0 += last * int32(w[0])
			c1 += last * int32(w[1])
			c2 += last * int32(w[2])
			c3 += last * int32(w[3])
		}
		y := vec(dst, t*dstStride, 4)
		for n, acc := range [4]int32{c0, c1, c2, c3} {
			y[n] = Requantize(acc, s[n], lower, zero)
		}
	}
}

// saturate limits x to 16 bits.
func saturate(x int32) int32 {
	if x != int32(int16(x)) {
		x = x>>31 ^ math.MaxInt16
	}
	return x
}
