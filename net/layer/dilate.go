package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// A Dilate puts Stride-1 zeros between the pixels of its input: H×W become
// ((H−1)·Stride+1)×((W−1)·Stride+1). The gradient by the input of a convolution with that stride is then
// one of stride 1.
type Dilate struct{ Stride int }

// Op returns dilate.
func (Dilate) Op() string { return "dilate" }

// OutShape implements Layer.
func (d Dilate) OutShape(in []Shape) (Shape, error) {
	if err := floats(in, 1); err != nil {
		return Shape{}, err
	}
	if d.Stride < 1 || d.Stride > maxElems {
		return Shape{}, fmt.Errorf("stride is %d, expected at least 1", d.Stride)
	}
	out := in[0]
	out.H, out.W = (out.H-1)*d.Stride+1, (out.W-1)*d.Stride+1
	return out, out.Check()
}

// Cost implements Layer.
func (d Dilate) Cost(in []Shape) kernels.Cost {
	out, _ := d.OutShape(in)
	return traffic(out, in...)
}

// Bind implements Layer.
func (d Dilate) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindDilate(b.Dst, b.Src[0], d.Stride, b.Threads))
}

// Pass implements Backward.
func (Dilate) Pass() Pass { return GradInput }
