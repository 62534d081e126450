// Package ref computes what every kernel must compute, by the textbook's loops, with sums in
// float64. It is written to be compared with the definition of each operation, and shares no
// trick with the optimized code: padding is a check of indices instead of a halo, weights stay in
// their original order, and nothing is fused, divided into tiles or reordered. Only tests import
// it.
//
// No function reads the halo of its view. Results are dense NHWC: element (n, y, x, c) of an
// output of oh×ow pixels with k channels is out[((n*oh+y)*ow+x)*k+c]. Functions panic for a shape
// that its Check method refuses, or that does not fit the view: the test is wrong.
package ref

import (
	"fmt"
	"math"

	"firebench/kernels"
)

// Conv returns the convolution of src with weights in OIHW order (out,
// in/groups, kh, kw) plus bias (nil means zero), followed by max(0, v) when
// relu is set. A NaN passes through relu.
//
// The second result holds |bias| + Σ|a·b| of each output: the scale of the
// rounding error of any float32 evaluation of the same sum.
func Conv(s kernels.ConvShape, src kernels.View, weights, bias []float32, relu bool) (out, abs []float64) {
	must(s.Check())
	if src.C != s.In {
		panic(fmt.Sprintf("ref: convolution of %d channels on a view of %d", s.In, src.C))
	}
	if len(weights) != s.Weights() {
		panic(fmt.Sprintf("ref: %d weights, want %d", len(weights), s.Weights()))
	}
	oh, ow := s.OutSize(src.H, src.W)
	out = make([]float64, 0, src.N*oh*ow*s.Out)
	abs = make([]float64, 0, cap(out))

	in, outs := s.In/s.Groups, s.Out/s.Groups // channels of one group
	window := make([]float64, s.K())          // the inputs of one group's outputs at one pixel, in the order of the weights
	for n := range src.N {
		for y := range oh {
			for x := range ow {
				for o := range s.Out {
					if o%outs == 0 {
						first := o / outs * in // the first input channel of o's group
						for k := range window {
							i, kh, kw := k/(s.KH*s.KW), k/s.KW%s.KH, k%s.KW
							window[k] = pixel(src, n, y*s.Stride-s.Pad.Top+kh, x*s.Stride-s.Pad.Left+kw, first+i)
						}
					}
					var sum, mag float64
					if bias != nil {
						sum = float64(bias[o])
						mag = math.Abs(sum)
					}
					for k, a := range window {
						b := float64(weights[o*len(window)+k])
						sum += a * b
						mag += math.Abs(a * b)
					}
					if relu && sum < 0 {
						sum = 0
					}
					out = append(out, sum)
					abs = append(abs, mag)
				}
			}
		}
	}
	return out, abs
}

// WeightGradient returns the gradient of a convolution's weights, in OIHW order, followed by that of its
// biases: the sums over all pixels of grad, the gradient of its output, times the input that the weight is
// multiplied by there. The second result holds Σ|a·b| of each.
func WeightGradient(s kernels.ConvShape, src, grad kernels.View) (out, abs []float64) {
	must(s.Check())
	in, outs := s.In/s.Groups, s.Out/s.Groups
	sum := func(o int, input func(n, y, x int) float64) {
		var sum, mag float64
		for n := range grad.N {
			for y := range grad.H {
				for x := range grad.W {
					v := pixel(grad, n, y, x, o) * input(n, y*s.Stride-s.Pad.Top, x*s.Stride-s.Pad.Left)
					sum += v
					mag += math.Abs(v)
				}
			}
		}
		out, abs = append(out, sum), append(abs, mag)
	}
	for o := range s.Out {
		for i := range in {
			for kh := range s.KH {
				for kw := range s.KW {
					sum(o, func(n, y, x int) float64 { return pixel(src, n, y+kh, x+kw, o/outs*in+i) })
				}
			}
		}
	}
	for o := range s.Out {
		sum(o, func(int, int, int) float64 { return 1 })
	}
	return out, abs
}

// MaxPool returns the largest value of each window, which is clipped to the image, so that
// padding is never the largest value. If there is a NaN in the window, the result is NaN.
func MaxPool(s kernels.PoolShape, src kernels.View) []float64 {
	oh, ow := s.OutSize(src.H, src.W)
	out := make([]float64, 0, src.N*oh*ow*src.C)
	for n := range src.N {
		for y := range oh {
			for x := range ow {
				w := windowAt(s, src, y, x)
				for c := range src.C {
					m := math.Inf(-1)
					w.each(src, func(y, x int) {
						m = math.Max(m, pixel(src, n, y, x, c)) // NaN if one of them is NaN
					})
					out = append(out, m)
				}
			}
		}
	}
	return out
}

// AvgPool returns the mean of each window: the sum of the window's pixels inside the image,
// divided by the number of its pixels inside the padded image, as in Caffe, or inside the image
// with ExcludePad. The second result is the mean of the absolute values, which is the scale of the
// rounding error.
func AvgPool(s kernels.PoolShape, src kernels.View) (out, abs []float64) {
	oh, ow := s.OutSize(src.H, src.W)
	out = make([]float64, 0, src.N*oh*ow*src.C)
	abs = make([]float64, 0, cap(out))
	for n := range src.N {
		for y := range oh {
			for x := range ow {
				w := windowAt(s, src, y, x)
				area := float64((w.y1 - w.y0) * (w.x1 - w.x0))
				if s.ExcludePad {
					area = 0
					w.each(src, func(y, x int) { area++ })
				}
				for c := range src.C {
					var sum, mag float64
					w.each(src, func(y, x int) {
						a := pixel(src, n, y, x, c)
						sum += a
						mag += math.Abs(a)
					})
					out = append(out, sum/area)
					abs = append(abs, mag/area)
				}
			}
		}
	}
	return out, abs
}

// LRN returns local response normalization across channels, as in AlexNet: x / (K + Alpha/Size ·
// Σx²)^Beta. The sum is over those of the Size channels around x that exist.
func LRN(s kernels.LRNShape, src kernels.View) []float64 {
	out := make([]float64, 0, src.N*src.H*src.W*src.C)
	for n := range src.N {
		for y := range src.H {
			for x := range src.W {
				for c := range src.C {
					var sum float64
					for i := max(c-s.Size/2, 0); i <= min(c+s.Size/2, src.C-1); i++ {
						a := pixel(src, n, y, x, i)
						sum += a * a
					}
					scale := float64(s.K) + float64(s.Alpha)/float64(s.Size)*sum
					out = append(out, pixel(src, n, y, x, c)/math.Pow(scale, float64(s.Beta)))
				}
			}
		}
	}
	return out
}

// Softmax returns exp(x) / Σexp over the channels of each pixel.
func Softmax(src kernels.View) []float64 {
	out := make([]float64, 0, src.N*src.H*src.W*src.C)
	for n := range src.N {
		for y := range src.H {
			for x := range src.W {
				// Subtracting the largest value prevents an overflow and does not change the
				// result.
				m := math.Inf(-1)
				for c := range src.C {
					m = math.Max(m, pixel(src, n, y, x, c))
				}
				var sum float64
				for c := range src.C {
					sum += math.Exp(pixel(src, n, y, x, c) - m)
				}
				for c := range src.C {
					out = append(out, math.Exp(pixel(src, n, y, x, c)-m)/sum)
				}
			}
		}
	}
	return out
}

// pixel returns element (n, y, x, c), or zero if it is outside the image.
func pixel(v kernels.View, n, y, x, c int) float64 {
	if y < 0 || y >= v.H || x < 0 || x >= v.W {
		return 0
	}
	return float64(kernels.At[float32](v, n, y, x, c))
}

// A window is the part of the padded image that one output of a pooling depends on: rows y0 to
// y1-1 and columns x0 to x1-1. They are numbered as in the image, so that padding has numbers
// below zero, or beyond the last row and column.
type window struct{ y0, y1, x0, x1 int }

// windowAt returns the window of output pixel (y, x).
func windowAt(s kernels.PoolShape, src kernels.View, y, x int) window {
	if s.KH == 0 { // global
		return window{0, src.H, 0, src.W}
	}
	y0, x0 := y*s.Stride-s.Pad.Top, x*s.Stride-s.Pad.Left
	return window{
		y0, min(y0+s.KH, src.H+s.Pad.Bottom),
		x0, min(x0+s.KW, src.W+s.Pad.Right),
	}
}

// each calls f for every pixel of the window that is in the image.
func (w window) each(v kernels.View, f func(y, x int)) {
	for y := max(w.y0, 0); y < min(w.y1, v.H); y++ {
		for x := max(w.x0, 0); x < min(w.x1, v.W); x++ {
			f(y, x)
		}
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
