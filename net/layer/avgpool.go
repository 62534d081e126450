package layer

import (
	"firebench/kernels"
	"firebench/kernels/workers"
)

// An AvgPool averages windows that are Kernel pixels high and KernelW pixels wide, 0 for as wide as
// high. The divisor is the number of pixels of the window that lie in the padded image, as in Caffe,
// or, with ExcludePad, in the image. Stride 0 means 1; Ceil rounds the output size up. The result is
// of type Type, see [Typed].
type AvgPool struct {
	Kernel, KernelW, Stride int
	Pad                     kernels.Padding
	Ceil, ExcludePad        bool
	Type                    kernels.Type
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
	s := MaxPool{p.Kernel, p.KernelW, p.Stride, p.Pad, p.Ceil}.shape()
	s.ExcludePad = p.ExcludePad
	return s
}

// As implements Typed.
func (p AvgPool) As(t kernels.Type) Layer {
	p.Type = t
	return p
}

// Window implements Windowed.
func (p AvgPool) Window(in []Shape) (kernel, stride, pad int, ok bool) {
	return poolWindow(p.shape())
}
