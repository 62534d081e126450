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
