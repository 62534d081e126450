package scalar

// QMaxPool3x3s2 computes the maximum over each of a row of 3×3 windows with stride 2.
func QMaxPool3x3s2(dst, src *uint8, pixels, channels, srcRow, srcPixel, dstPixel int) {
	maxPool3x3s2(dst, src, pixels, channels, srcRow, srcPixel, dstPixel)
}

// QMaxPool computes the maximum over one window of rows×cols pixels.
func QMaxPool(dst, src *uint8, rows, cols, channels, srcRow, srcPixel int) {
	maxPool(dst, src, rows, cols, channels, srcRow, srcPixel)
}

// QAvgPool computes the sum over one window of rows×cols pixels and requantizes it.
func QAvgPool(dst, src *uint8, rows, cols, channels, srcRow, srcPixel int, bias int32, scale float32, zero int32) {
	// Some channels at a time, so that their sums need no memory of the caller.
	var sums [64]int32
	for c := 0; c < channels; c += len(sums) {
		acc := sums[:min(len(sums), channels-c)]
		for i := range acc {
			acc[i] = bias
		}
		for i := range rows {
			for j := range cols {
				for k, x := range vec(src, i*srcRow+j*srcPixel+c, len(acc)) {
					acc[k] += int32(x)
				}
			}
		}
		y := vec(dst, c, len(acc))
		for i, sum := range acc {
			y[i] = Requantize(sum, scale, 0, zero)
		}
	}
}
