package layer

import (
	"cmp"
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// A MaxPool takes the maximum of windows that are Kernel pixels high and KernelW pixels wide, 0 for
// as wide as high, clipped to the image. Stride 0 means 1; Ceil rounds the output size up, as Caffe
// does. The result has the type of the input.
type MaxPool struct {
	Kernel, KernelW, Stride int
	Pad                     kernels.Padding
	Ceil                    bool
}

// Op returns maxpool.
func (MaxPool) Op() string { return "maxpool" }

// OutShape implements Layer.
func (p MaxPool) OutShape(in []Shape) (Shape, error) {
	if err := numbers(in, 1); err != nil {
		return Shape{}, err
	}
	return poolOut(p.shape(), in, in[0].Type)
}

// Cost implements Layer.
func (p MaxPool) Cost(in []Shape) kernels.Cost { return poolCost(p.shape(), in[0], in[0].Type) }

// Bind implements Layer.
func (p MaxPool) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindMaxPool(b.Set, p.shape(), b.Dst, b.Src[0], b.Threads))
}

func (p MaxPool) shape() kernels.PoolShape {
	return kernels.PoolShape{KH: p.Kernel, KW: cmp.Or(p.KernelW, p.Kernel), Stride: cmp.Or(p.Stride, 1), Pad: p.Pad, Ceil: p.Ceil}
}

// poolOut is OutShape of MaxPool and AvgPool, whose results are of type t.
func poolOut(s kernels.PoolShape, in []Shape, t kernels.Type) (Shape, error) {
	if err := typed(in, 1, t); err != nil {
		return Shape{}, err
	}
	if s.KH < 1 { // to the kernels, 0 is global pooling, which has its own layer
		return Shape{}, fmt.Errorf("window is %d×%d, expected at least 1×1", s.KH, s.KW)
	}
	if err := s.Check(); err != nil {
		return Shape{}, err
	}
	oh, ow := s.OutSize(in[0].H, in[0].W)
	if oh < 1 || ow < 1 {
		return Shape{}, fmt.Errorf("a %d×%d window does not fit into %v with padding %v", s.KH, s.KW, in[0], s.Pad)
	}
	out := Shape{oh, ow, in[0].C, t}
	return out, out.Check()
}

// poolCost is Cost of MaxPool, AvgPool and GlobalAvgPool, whose results are of type t.
func poolCost(s kernels.PoolShape, in Shape, t kernels.Type) kernels.Cost {
	oh, ow := s.OutSize(in.H, in.W)
	return traffic(Shape{oh, ow, in.C, t}, in)
}

// Window implements Windowed.
func (p MaxPool) Window(in []Shape) (kernel, stride, pad int, ok bool) {
	return poolWindow(p.shape())
}

// poolWindow is Window of MaxPool and AvgPool. Windows that are clipped at the top have fewer rows
// than others, so there must be no padding above. Below and beside the image there may be.
func poolWindow(s kernels.PoolShape) (kernel, stride, pad int, ok bool) {
	return s.KH, s.Stride, 0, s.Pad.Top == 0
}

func (MaxPool) selector() {}
