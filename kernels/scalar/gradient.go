package scalar

// MaxPoolGradient adds the gradient of a window's maximum to that of its first pixel that is the maximum.
func MaxPoolGradient(dst, src, top, grad *float32, rows, cols, channels, dstRow, dstPixel, srcRow, srcPixel int) {
	tops, grads := vec(top, 0, channels), vec(grad, 0, channels)
	for c, g := range grads {
		for i := range rows {
			for j := range cols {
				if vec(src, i*srcRow+j*srcPixel+c, 1)[0] == tops[c] {
					vec(dst, i*dstRow+j*dstPixel+c, 1)[0] += g
					g -= g
				}
			}
		}
	}
}

// MaxPool3x3s2Gradient does that for each of a row of 3×3 windows with stride 2. In the second and third row,
// it is the first to write to all pixels but the leftmost.
func MaxPool3x3s2Gradient(dst, src, top, grad *float32, pixels, channels, dstRow, dstPixel, srcRow, srcPixel, topPixel, gradPixel int) {
	for p := range pixels {
		tops := vec(top, p*topPixel, channels)
		for c, g := range vec(grad, p*gradPixel, channels) {
			for i := range 3 {
				for j := range 3 {
					part := float32(0)
					if vec(src, i*srcRow+(2*p+j)*srcPixel+c, 1)[0] == tops[c] {
						part = g
						g -= g
					}
					y := &vec(dst, i*dstRow+(2*p+j)*dstPixel+c, 1)[0]
					if i > 0 && j > 0 {
						*y = part
					} else {
						*y += part
					}
				}
			}
		}
	}
}

// AvgPoolGradient adds the scaled gradient of a window's mean to that of all its pixels.
func AvgPoolGradient(dst, grad *float32, rows, cols, channels, dstRow, dstPixel int, scale float32) {
	g := vec(grad, 0, channels)
	for i := range rows {
		for j := range cols {
			y := vec(dst, i*dstRow+j*dstPixel, channels)
			for c, x := range g {
				y[c] += float32(x * scale)
			}
		}
	}
}

// LRNTerms sets dst to the gradient of a row of pixels times what LRN multiplies their values by, and terms
// to what LRNGradient adds up.
func LRNTerms(dst, terms, src, grad, squares *float32, pixels, channels, dstPixel, srcPixel, gradPixel, squaresPixel, size int, scale, k float32) {
	for p := range pixels {
		y, t := vec(dst, p*dstPixel, channels), vec(terms, p*squaresPixel, channels)
		g := vec(grad, p*gradPixel, channels)
		sq := vec(squares, p*squaresPixel, channels+size-1)
		for c, x := range vec(src, p*srcPixel, channels) {
			sum := sq[c]
			for _, v := range sq[c+1 : c+size] {
				sum += v
			}
			d := k + float32(scale*sum)
			root := sqrt(d)
			y[c] = g[c] / (root * sqrt(root))
			t[c] = float32(x*y[c]) / d
		}
	}
}

// LRNGradient subtracts the influence of each channel of a row of pixels on those around it.
func LRNGradient(dst, src, terms *float32, pixels, channels, dstPixel, srcPixel, termsPixel, size int, factor float32) {
	for p := range pixels {
		y := vec(dst, p*dstPixel, channels)
		t := vec(terms, p*termsPixel, channels+size-1)
		for c, x := range vec(src, p*srcPixel, channels) {
			sum := t[c]
			for _, v := range t[c+1 : c+size] {
				sum += v
			}
			y[c] -= float32(float32(x*factor) * sum)
		}
	}
}
