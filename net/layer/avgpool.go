package layer

import (
	"firebench/kernels"
	"firebench/kernels/workers"
)

// An AvgPool averages Kernel×Kernel windows. The divisor is the number of pixels of the window
// that lie in the padded image, as in Caffe. Stride 0 means 1; Ceil rounds the output
// size up. The result is of type Type, see [Typed].
type AvgPool struct {
	Kernel, Stride, Pad int
	Ceil                bool
	Type                kernels.Type
}

// Op returns avgpool.
func (AvgPool) Op() string { return "avgpool" }

// OutShape implements Layer.
func (p AvgPool) OutShape(in []Shape) (Shape, error) { return poolOut(p.shape(), in, p.Type) }

// Cost implements Layer.
func (p AvgPool) Cost(in []Shape) kernels.Cost { return poolCost(p.shape(), in[0], p.Type) }

// Bind implements Layer.
func (p AvgPool) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindAvgPool(b.Set, p.shape(), b.Dst, b.Src[0], b.Threads))
}

func (p AvgPool) shape() kernels.PoolShape {
	return MaxPool{p.Kernel, p.Stride, p.Pad, p.Ceil}.shape()
}

// As implements Typed.
func (p AvgPool) As(t kernels.Type) Layer {
	p.Type = t
	return p
}

// Window implements Windowed.
func (p AvgPool) Window(in []Shape) (kernel, stride, pad int, ok bool) {
	return p.shape().KH, p.shape().Stride, 0, p.Pad == 0
}
