package layer

import (
	"firebench/kernels"
	"firebench/kernels/workers"
)

// An AvgPool averages Kernel×Kernel windows. The divisor is the number of pixels of the window
// that lie in the padded image, as in Caffe. Stride 0 means 1; Ceil rounds the output
// size up.
type AvgPool struct {
	Kernel, Stride, Pad int
	Ceil                bool
}

// Op returns avgpool.
func (AvgPool) Op() string { return "avgpool" }

// OutShape implements Layer.
func (p AvgPool) OutShape(in []Shape) (Shape, error) { return poolOut(p.shape(), in) }

// Cost implements Layer.
func (p AvgPool) Cost(in []Shape) kernels.Cost { return poolCost(p.shape(), in[0]) }

// Bind implements Layer.
func (p AvgPool) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindAvgPool(b.Set, p.shape(), b.Dst, b.Src[0], b.Threads))
}

func (p AvgPool) shape() kernels.PoolShape { return MaxPool(p).shape() }

// Window implements Windowed.
func (p AvgPool) Window(in []Shape) (kernel, stride, pad int, ok bool) {
	return p.shape().KH, p.shape().Stride, 0, p.Pad == 0
}
