package scalar

import (
	"math"
	"unsafe"
)

// F16Conv1x4 computes 1 output pixel × 4 channels at a time.
func F16Conv1x4(dst, src *float32, weights *uint16, bias, scale *float32, offsets *int, runs, runLen, srcStride, dstStride, tiles int, lower float32) {
	wconv(Float16, dst, src, weights, bias, scale, offsets, runs, runLen, srcStride, dstStride, tiles, lower)
}

// S8Conv1x4 computes 1 output pixel × 4 channels at a time.
func S8Conv1x4(dst, src *float32, weights *int8, bias, scale *float32, offsets *int, runs, runLen, srcStride, dstStride, tiles int, lower float32) {
	wconv(func(w int8) float32 { return float32(w) }, dst, src, weights, bias, scale, offsets, runs, runLen, srcStride, dstStride, tiles, lower)
}

// wconv computes 1 output pixel × 4 channels at a time, from weights whose values a function tells.
func wconv[W any](value func(W) float32, dst, src *float32, weights *W, bias, scale *float32, offsets *int, runs, runLen, srcStride, dstStride, tiles int, lower float32) {
	b, s := (*[4]float32)(unsafe.Pointer(bias)), (*[4]float32)(unsafe.Pointer(scale))
	for t := range tiles {
		var c0, c1, c2, c3 float32
		w := vec(weights, 0, 4*runs*runLen)
		for _, off := range unsafe.Slice(offsets, runs) {
			for _, x := range vec(src, t*srcStride+off, runLen) {
				c0 += float32(x * value(w[0]))
				c1 += float32(x * value(w[1]))
				c2 += float32(x * value(w[2]))
				c3 += float32(x * value(w[3]))
				w = w[4:]
			}
		}
		store4(vec(dst, t*dstStride, 4), float32(c0*s[0])+b[0], float32(c1*s[1])+b[1], float32(c2*s[2])+b[2], float32(c3*s[3])+b[3], lower)
	}
}

// Float16 returns the value of a float16 of IEEE 754: a sign, 5 bits of exponent, 10 bits of fraction.
func Float16(h uint16) float32 {
	sign, magnitude := uint32(h>>15)<<31, uint32(h&0x7fff)
	if magnitude < 1<<10 { // zero, or a subnormal number, in steps of 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(magnitude)/(1<<24)))
	}
	const infinity = 31 << 10
	if magnitude >= infinity {
		return math.Float32frombits(sign | 255<<23 | magnitude&1023<<13)
	}
	return math.Float32frombits(sign | (magnitude+(127-15)<<10)<<13)
}
