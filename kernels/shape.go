package kernels

import "fmt"

// A ConvShape describes a two-dimensional convolution with square stride and
// padding, as in the papers: In and Out count channels, KH×KW is the kernel, Groups
// splits both channel ranges (1 = ordinary). A dense layer is a convolution whose
// kernel is the whole input.
type ConvShape struct {
	In, Out, KH, KW, Stride, Pad, Groups int
}

// maxDim bounds every size of a shape and maxWeights their product, so that sums
// of sizes fit an int even on 32-bit machines.
const (
	maxDim     = 1 << 20
	maxWeights = 1 << 30
)

// Check reports the first field that is out of range.
func (s ConvShape) Check() error {
	for _, f := range []struct {
		name     string
		v, least int
	}{{"In", s.In, 1}, {"Out", s.Out, 1}, {"KH", s.KH, 1}, {"KW", s.KW, 1}, {"Stride", s.Stride, 1}, {"Pad", s.Pad, 0}, {"Groups", s.Groups, 1}} {
		if f.v < f.least || f.v > maxDim {
			return fmt.Errorf("convolution: %s is %d, expected %d to %d", f.name, f.v, f.least, maxDim)
		}
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

// OutSize returns the output's height and width for an h×w input, rounded down;
// 0 or less when the kernel does not fit.
func (s ConvShape) OutSize(h, w int) (oh, ow int) {
	return floorOut(h, s.KH, s.Stride, s.Pad), floorOut(w, s.KW, s.Stride, s.Pad)
}

// K returns the number of products in one output: the length of its sum.
func (s ConvShape) K() int { return s.In / s.Groups * s.KH * s.KW }

// Weights returns the number of weights, biases excluded.
func (s ConvShape) Weights() int { return s.Out * s.K() }

// Halo returns the width of the halo of zeros that the source of the direct algorithm
// needs: the padding, but for a 1×1 kernel with stride 1, whose padding no input reaches.
func (s ConvShape) Halo() int {
	if s.KH == 1 && s.KW == 1 && s.Stride == 1 {
		return 0
	}
	return s.Pad
}

// A PoolShape describes a pooling window of KH×KW pixels; KH = 0 stands for the
// whole image (global pooling). Ceil rounds the output size up, as Caffe does.
type PoolShape struct {
	KH, KW, Stride, Pad int
	Ceil                bool
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
	if s.Pad < 0 || s.Pad >= min(s.KH, s.KW) {
		return fmt.Errorf("pooling: Pad is %d, expected less than the window %d×%d", s.Pad, s.KH, s.KW)
	}
	return nil
}

// OutSize returns the output's height and width for an h×w input. In ceil mode the
// last window must start inside the image or its left padding (the rule of Caffe
// and PyTorch). A window larger than the padded image gives 0 in both modes.
func (s PoolShape) OutSize(h, w int) (oh, ow int) {
	if s.KH == 0 {
		return 1, 1
	}
	size := func(n, k int) int {
		out := floorOut(n, k, s.Stride, s.Pad)
		if n+2*s.Pad < k {
			return 0
		}
		if s.Ceil && (out-1)*s.Stride+k < n+2*s.Pad && out*s.Stride < n+s.Pad {
			out++
		}
		return out
	}
	return size(h, s.KH), size(w, s.KW)
}

func floorOut(n, k, stride, pad int) int {
	if n+2*pad < k {
		return 0
	}
	return (n+2*pad-k)/stride + 1
}

// An LRNShape describes local response normalization across channels
// (Krizhevsky et al. 2012, section 3.3, with Caffe's scaling):
//
//	y[c] = x[c] / (K + Alpha/Size · Σ x[c+j]²)^Beta,  |j| <= Size/2
//
// Size is odd. Only Beta = 0.75 has a kernel: it needs square roots, no power.
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

// A Cost is what an operation has to do at least, independent of the algorithm.
type Cost struct {
	Params      int64 // weights and biases
	MACs        int64 // multiply-adds of the definition
	Weights     int64 // bytes of weights and biases, once each
	Activations int64 // bytes of input and output, once each
}

// Bytes returns the least traffic there is: input, output and weights, once each.
func (c Cost) Bytes() int64 { return c.Weights + c.Activations }

// Add returns the sum of two costs.
func (c Cost) Add(d Cost) Cost {
	return Cost{c.Params + d.Params, c.MACs + d.MACs, c.Weights + d.Weights, c.Activations + d.Activations}
}

// Batch returns the cost of n images: weights are read once for all.
func (c Cost) Batch(n int) Cost {
	c.MACs *= int64(n)
	c.Activations *= int64(n)
	return c
}
