package scalar

// MaxPool3x3s2 computes the maximum over each of a row of 3×3 windows with stride 2.
func MaxPool3x3s2(dst, src *float32, pixels, channels, srcRow, srcPixel, dstPixel int) {
	maxPool3x3s2(dst, src, pixels, channels, srcRow, srcPixel, dstPixel)
}

// MaxPool computes the maximum over one window of rows×cols pixels.
func MaxPool(dst, src *float32, rows, cols, channels, srcRow, srcPixel int) {
	maxPool(dst, src, rows, cols, channels, srcRow, srcPixel)
}

func maxPool3x3s2[T float32 | uint8](dst, src *T, pixels, channels, srcRow, srcPixel, dstPixel int) {
	for p := range pixels {
		maxPool(&vec(dst, p*dstPixel, 1)[0], &vec(src, 2*p*srcPixel, 1)[0], 3, 3, channels, srcRow, srcPixel)
	}
}

func maxPool[T float32 | uint8](dst, src *T, rows, cols, channels, srcRow, srcPixel int) {
	y := vec(dst, 0, channels)
	copy(y, vec(src, 0, channels))
	for i := range rows {
		for j := range cols {
			for c, x := range vec(src, i*srcRow+j*srcPixel, channels) {
				y[c] = max(y[c], x)
			}
		}
	}
}

// AvgPool computes the sum over one window of rows×cols pixels, times scale.
func AvgPool(dst, src *float32, rows, cols, channels, srcRow, srcPixel int, scale float32) {
	y := vec(dst, 0, channels)
	clear(y)
	for i := range rows {
		for j := range cols {
			for c, x := range vec(src, i*srcRow+j*srcPixel, channels) {
				y[c] += x
			}
		}
	}
	for c := range y {
		y[c] *= scale
	}
}
