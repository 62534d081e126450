package ref

import (
	"math"

	"firebench/kernels"
)

// MaxPoolGradient returns the gradient of src, the input of a maximum pooling whose output has the gradient
// grad: each window's goes to the first of its pixels, row by row, that has the largest value. The second
// result is the sum of the absolute values.
func MaxPoolGradient(s kernels.PoolShape, src, grad kernels.View) (out, abs []float64) {
	out = make([]float64, src.N*src.H*src.W*src.C)
	abs = make([]float64, len(out))
	for n := range grad.N {
		for y := range grad.H {
			for x := range grad.W {
				w := windowAt(s, src, y, x)
				for c := range grad.C {
					top, at := math.Inf(-1), -1
					w.each(src, func(y, x int) {
						if v := pixel(src, n, y, x, c); at < 0 || v > top {
							top, at = v, ((n*src.H+y)*src.W+x)*src.C+c
						}
					})
					g := pixel(grad, n, y, x, c)
					out[at] += g
					abs[at] += math.Abs(g)
				}
			}
		}
	}
	return out, abs
}

// AvgPoolGradient returns the gradient of the input of an average pooling, which has h×w pixels, and whose
// output has the gradient grad: each window's is divided by the number that its sum is divided by, and goes to
// all its pixels. The second result is the sum of the absolute values.
func AvgPoolGradient(s kernels.PoolShape, h, w int, grad kernels.View) (out, abs []float64) {
	out = make([]float64, grad.N*h*w*grad.C)
	abs = make([]float64, len(out))
	image := kernels.View{H: h, W: w}
	for n := range grad.N {
		for y := range grad.H {
			for x := range grad.W {
				win := windowAt(s, image, y, x)
				area := float64((win.y1 - win.y0) * (win.x1 - win.x0))
				if s.ExcludePad {
					area = 0
					win.each(image, func(y, x int) { area++ })
				}
				for c := range grad.C {
					g := pixel(grad, n, y, x, c) / area
					win.each(image, func(y, x int) {
						out[((n*h+y)*w+x)*grad.C+c] += g
						abs[((n*h+y)*w+x)*grad.C+c] += math.Abs(g)
					})
				}
			}
		}
	}
	return out, abs
}

// LRNGradient returns the gradient of src, the input of a local response normalization whose output has the
// gradient grad: for each channel the sum, over the channels around it, of the derivatives of theirs. The
// second result is the sum of the absolute values.
func LRNGradient(s kernels.LRNShape, src, grad kernels.View) (out, abs []float64) {
	alpha, beta := float64(s.Alpha)/float64(s.Size), float64(s.Beta)
	for n := range src.N {
		for y := range src.H {
			for x := range src.W {
				base := make([]float64, src.C)
				for c := range base {
					base[c] = float64(s.K)
					for i := max(c-s.Size/2, 0); i <= min(c+s.Size/2, src.C-1); i++ {
						base[c] += alpha * pixel(src, n, y, x, i) * pixel(src, n, y, x, i)
					}
				}
				for c := range base {
					sum := pixel(grad, n, y, x, c) / math.Pow(base[c], beta)
					mag := math.Abs(sum)
					for i := max(c-s.Size/2, 0); i <= min(c+s.Size/2, src.C-1); i++ {
						d := -2 * alpha * beta * pixel(src, n, y, x, c) * pixel(src, n, y, x, i) * pixel(grad, n, y, x, i) / math.Pow(base[i], beta+1)
						sum += d
						mag += math.Abs(d)
					}
					out, abs = append(out, sum), append(abs, mag)
				}
			}
		}
	}
	return out, abs
}
