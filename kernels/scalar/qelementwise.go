package scalar

import "math"

// QAdd adds values of two quantized types; the result is of a third one.
func QAdd(dst, a, b *uint8, n int, zeroA, zeroB int32, scaleA, scaleB, lower, upper float32, zero int32) {
	y := vec(b, 0, n)
	z := vec(dst, 0, n)
	for i, x := range vec(a, 0, n) {
		sum := float32(float32(int32(x)-zeroA)*scaleA) + float32(float32(int32(y[i])-zeroB)*scaleB)
		z[i] = round(sum, lower, upper, zero)
	}
}

// QClamp sets dst[i] = max(src[i], uint8(lower)).
func QClamp(dst, src *uint8, n int, lower int32) {
	y := vec(dst, 0, n)
	for i, x := range vec(src, 0, n) {
		y[i] = max(x, uint8(lower))
	}
}

// Quantize sets dst[i] to the integer that stands for src[i].
func Quantize(dst *uint8, src *float32, n int, scale float32, zero int32) {
	lower, upper := float32(0-zero), float32(255-zero)
	y := vec(dst, 0, n)
	for i, x := range vec(src, 0, n) {
		if x != x {
			x = 0 // a conversion of NaN to an integer depends on the architecture
		}
		y[i] = round(x/scale, lower, upper, zero)
	}
}

// Dequantize sets dst[i] to the number that src[i] stands for.
func Dequantize(dst *float32, src *uint8, n int, scale float32, zero int32) {
	y := vec(dst, 0, n)
	for i, x := range vec(src, 0, n) {
		y[i] = float32(int32(x)-zero) * scale
	}
}

// Requantize is the function requantize in the documentation of kernels.QConvFunc, of any product.
func Requantize(acc int32, scale float32, lower, zero int32) uint8 {
	return round(float32(float32(acc)*scale), float32(lower-zero), float32(255-zero), zero)
}

// round rounds x, which is no NaN, to the integer that stands for it.
func round(x, lower, upper float32, zero int32) uint8 {
	return uint8(int32(math.RoundToEven(float64(min(max(x, lower), upper)))) + zero)
}
