package layer

import (
	"firebench/kernels"
	"firebench/kernels/workers"
)

// A Dense layer is fully connected: H×W×C to 1×1×Out. Its weights are in C, H, W
// order per output, as Caffe and PyTorch flatten. The result is of type Type, see [Typed].
type Dense struct {
	Out  int
	Type kernels.Type
}

// Op returns dense.
func (Dense) Op() string { return "dense" }

// ConvShape implements Weighted: the kernel is the whole input.
func (d Dense) ConvShape(in Shape) kernels.ConvShape {
	return kernels.ConvShape{In: in.C, Out: d.Out, KH: in.H, KW: in.W, Stride: 1, Groups: 1}
}

// OutShape implements Layer.
func (d Dense) OutShape(in []Shape) (Shape, error) { return convOut(d, in, d.Type) }

// Cost implements Layer.
func (d Dense) Cost(in []Shape) kernels.Cost { return convCost(d, in[0], d.Type) }

// Bind implements Layer.
func (d Dense) Bind(b Binding) ([]workers.Task, error) { return convBind(b) }

// As implements Typed.
func (d Dense) As(t kernels.Type) Layer {
	d.Type = t
	return d
}

func (Dense) fuser() {}
