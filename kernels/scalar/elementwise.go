package scalar

import "math"

// Add sets dst[i] = max(a[i]+b[i], lower).
func Add(dst, a, b *float32, n int, lower float32) {
	y := vec(b, 0, n)
	z := vec(dst, 0, n)
	for i, x := range vec(a, 0, n) {
		z[i] = max(x+y[i], lower)
	}
}

// ReLU sets dst[i] = max(src[i], 0).
func ReLU(dst, src *float32, n int) {
	y := vec(dst, 0, n)
	for i, x := range vec(src, 0, n) {
		y[i] = max(x, 0)
	}
}

// Mul sets dst[i] = a[i] * b[i].
func Mul(dst, a, b *float32, n int) {
	y := vec(b, 0, n)
	z := vec(dst, 0, n)
	for i, x := range vec(a, 0, n) {
		z[i] = x * y[i]
	}
}

// ReLUGradient sets dst[i] = grad[i] where y[i] > 0, and 0 elsewhere.
func ReLUGradient(dst, y, grad *float32, n int) {
	g := vec(grad, 0, n)
	z := vec(dst, 0, n)
	for i, v := range vec(y, 0, n) {
		if v > 0 {
			z[i] = g[i]
		} else {
			z[i] = 0
		}
	}
}

// LRNSquare sets each channel of a row of pixels to its square.
func LRNSquare(dst, src *float32, pixels, channels, srcPixel, dstPixel int) {
	for p := range pixels {
		y := vec(dst, p*dstPixel, channels)
		for c, x := range vec(src, p*srcPixel, channels) {
			y[c] = x * x
		}
	}
}

// LRN divides each channel of a row of pixels by (k + scale·Σ squares)^0.75.
func LRN(dst, src, squares *float32, pixels, channels, srcPixel, dstPixel, squaresPixel, size int, scale, k float32) {
	for p := range pixels {
		y := vec(dst, p*dstPixel, channels)
		sq := vec(squares, p*squaresPixel, channels+size-1)
		for c, x := range vec(src, p*srcPixel, channels) {
			sum := sq[c]
			for _, v := range sq[c+1 : c+size] {
				sum += v
			}
			d := k + float32(scale*sum)
			root := sqrt(d)
			y[c] = x / (root * sqrt(root))
		}
	}
}

func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }
