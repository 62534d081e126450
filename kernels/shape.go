package kernels

import "fmt"

// A Padding is how many pixels are added to each side of an image.
type Padding struct{ Top, Left, Bottom, Right int }

// Pad returns the padding of n pixels on all four sides.
func Pad(n int) Padding { return Padding{n, n, n, n} }

// Max returns the largest of the four numbers.
func (p Padding) Max() int { return max(p.Top, p.Left, p.Bottom, p.Right) }

// min returns the smallest of the four numbers.
func (p Padding) min() int { return min(p.Top, p.Left, p.Bottom, p.Right) }

// String returns one number if all four are the same, and otherwise top,left,bottom,right.
func (p Padding) String() string {
	if p == Pad(p.Top) {
		return fmt.Sprint(p.Top)
	}
	return fmt.Sprintf("%d,%d,%d,%d", p.Top, p.Left, p.Bottom, p.Right)
}

// A ConvShape describes a two-dimensional convolution. In and Out count channels. The kernel has
// KH×KW taps; it moves by Stride pixels in both directions, over an image that is padded with Pad
// zeros (zero points, if values are quantized). Groups divides the input and the output channels
// into as many groups, and each output channel reads the inputs of its own group only; 1 is the
// ordinary convolution. A dense layer is a convolution whose kernel is as large as the image.
type ConvShape struct {
	In, Out, KH, KW, Stride int
	Pad                     Padding
	Groups                  int
}

// maxDim bounds each field of a shape and maxWeights the number of weights, so that sums of
// sizes fit an int even on 32-bit machines.
const (
	maxDim     = 1 << 20
	maxWeights = 1 << 30
)

// Check reports the first field that is out of range.
func (s ConvShape) Check() error {
	for _, f := range []struct {
		name       string
		v, minimum int
	}{{"In", s.In, 1}, {"Out", s.Out, 1}, {"KH", s.KH, 1}, {"KW", s.KW, 1}, {"Stride", s.Stride, 1}, {"Groups", s.Groups, 1}} {
		if f.v < f.minimum || f.v > maxDim {
			return fmt.Errorf("convolution: %s is %d, expected %d to %d", f.name, f.v, f.minimum, maxDim)
		}
	}
	if s.Pad.min() < 0 || s.Pad.Max() > maxDim {
		return fmt.Errorf("convolution: Pad is %v, expected 0 to %d", s.Pad, maxDim)
	}
	if s.In%s.Groups != 0 || s.Out%s.Groups != 0 {
		return fmt.Errorf("convolution: %d groups do not divide %d input and %d output channels", s.Groups, s.In, s.Out)
	}
	left := maxWeights
	for _, v := range []int{s.Out, s.In / s.Groups, s.KH, s.KW} {
		if left /= v; left == 0 {
			return fmt.Errorf("convolution: %d×%d×%d×%d weights, expected at most %d", s.Out, s.In/s.Groups, s.KH, s.KW, maxWeights)
		}
	}
	return nil
}

// OutSize returns the output's height and width for an image of h×w pixels. Rows and columns that
// are too few for another step of the kernel are ignored; a size is 0 if the kernel is larger than
// the padded image.
func (s ConvShape) OutSize(h, w int) (oh, ow int) {
	return floorOut(h+s.Pad.Top+s.Pad.Bottom, s.KH, s.Stride), floorOut(w+s.Pad.Left+s.Pad.Right, s.KW, s.Stride)
}

// K returns the number of multiply-adds in one output.
func (s ConvShape) K() int { return s.In / s.Groups * s.KH * s.KW }

// Weights returns the number of weights, biases excluded.
func (s ConvShape) Weights() int { return s.Out * s.K() }

// Halo returns how many pixels of zeros, or zero points, the source View needs on all sides of each
// image: the largest number of Pad, but 0 for a 1×1 kernel with stride 1. An output there has either
// a pixel of the image in its window or nothing but padding, which need not be read.
func (s ConvShape) Halo() int {
	if s.KH == 1 && s.KW == 1 && s.Stride == 1 {
		return 0
	}
	return s.Pad.Max()
}

// bordered reports whether all that the padding does is to add a border to the output, see Halo.
func (s ConvShape) bordered() bool { return s.Halo() < s.Pad.Max() }

// A PoolShape describes a pooling with windows of KH×KW pixels that lie Stride pixels apart, on an
// image that is padded with Pad pixels. KH = 0 and KW = 0 stand for one window that is the whole
// image (global pooling). Ceil rounds the output size up, as Caffe does. ExcludePad keeps the
// padding out of the number of pixels that a mean is divided by; it changes no maximum.
type PoolShape struct {
	KH, KW, Stride   int
	Pad              Padding
	Ceil, ExcludePad bool
}

// Check reports the first field that is out of range.
func (s PoolShape) Check() error {
	if s.KH == 0 && s.KW == 0 {
		return nil
	}
	if s.KH < 1 || s.KW < 1 || s.KH > maxDim || s.KW > maxDim {
		return fmt.Errorf("pooling: window is %d×%d, expected at least 1×1", s.KH, s.KW)
	}
	if s.Stride < 1 || s.Stride > maxDim {
		return fmt.Errorf("pooling: Stride is %d, expected at least 1", s.Stride)
	}
	// With more padding, the first or the last window would have no pixel of the image.
	if s.Pad.min() < 0 || max(s.Pad.Top, s.Pad.Bottom) >= s.KH || max(s.Pad.Left, s.Pad.Right) >= s.KW {
		return fmt.Errorf("pooling: Pad is %v, expected less than the window %d×%d", s.Pad, s.KH, s.KW)
	}
	return nil
}

// OutSize returns the output's height and width for an image of h×w pixels. With Ceil, the last
// window may reach beyond the padded image, but must start inside the image or its left or upper
// padding (the rule of Caffe and PyTorch). A size is 0 if the window is larger than the padded
// image.
func (s PoolShape) OutSize(h, w int) (oh, ow int) {
	if s.KH == 0 {
		return 1, 1
	}
	size := func(n, before, after, k int) int {
		padded := before + n + after
		out := floorOut(padded, k, s.Stride)
		if s.Ceil && out > 0 && (out-1)*s.Stride+k < padded && out*s.Stride < before+n {
			out++
		}
		return out
	}
	return size(h, s.Pad.Top, s.Pad.Bottom, s.KH), size(w, s.Pad.Left, s.Pad.Right, s.KW)
}

// floorOut returns how many windows of k pixels, stride apart, lie in n pixels.
func floorOut(n, k, stride int) int {
	if n < k {
		return 0
	}
	return (n-k)/stride + 1
}

// An LRNShape describes local response normalization across channels
// (Krizhevsky et al. 2012, section 3.3, with Caffe's scaling):
//
//	y[c] = x[c] / (K + Alpha/Size · Σ x[c+j]²)^Beta,  |j| <= Size/2
//
// Channels that do not exist count as 0. Size is odd. There are kernels for Beta = 0.75 only,
// which square roots compute without a power function.
type LRNShape struct {
	Size           int
	Alpha, Beta, K float32
}

// Check reports the first field that is out of range.
func (s LRNShape) Check() error {
	if s.Size < 1 || s.Size > 255 || s.Size%2 == 0 {
		return fmt.Errorf("LRN: Size is %d, expected an odd number from 1 to 255", s.Size)
	}
	if s.Beta != 0.75 {
		return fmt.Errorf("LRN: Beta is %g, expected 0.75", s.Beta)
	}
	if !(s.K > 0) || !(s.Alpha >= 0) {
		return fmt.Errorf("LRN: K is %g and Alpha %g, expected K > 0 and Alpha >= 0", s.K, s.Alpha)
	}
	return nil
}

// A Cost is the least that an operation must compute and move, whatever the algorithm.
type Cost struct {
	Params      int64 // number of weights and biases
	MACs        int64 // multiply-adds in the operation's definition
	Weights     int64 // bytes of weights and biases, each read once
	Activations int64 // bytes of input and output, each read or written once
}

// Bytes returns the bytes that must be read and written at least.
func (c Cost) Bytes() int64 { return c.Weights + c.Activations }

// Add returns the sum of two costs.
func (c Cost) Add(d Cost) Cost {
	return Cost{c.Params + d.Params, c.MACs + d.MACs, c.Weights + d.Weights, c.Activations + d.Activations}
}

// Batch returns the cost of n images, given the cost c of one: the weights are read once for all.
func (c Cost) Batch(n int) Cost {
	c.MACs *= int64(n)
	c.Activations *= int64(n)
	return c
}
