package layer

import (
	"firebench/kernels"
	"firebench/kernels/workers"
)

// A ReLU is max(x, 0). Most ReLUs become part of the layer before them, see [Fuser]. The result has
// the type of the input.
type ReLU struct{}

// Op returns relu.
func (ReLU) Op() string { return "relu" }

// OutShape implements Layer.
func (ReLU) OutShape(in []Shape) (Shape, error) {
	if err := numbers(in, 1); err != nil {
		return Shape{}, err
	}
	return in[0], nil
}

// Cost implements Layer.
func (ReLU) Cost(in []Shape) kernels.Cost { return traffic(in[0], in...) }

// Bind implements Layer.
func (ReLU) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindReLU(b.Set, b.Dst, b.Src[0], b.Threads))
}

// Window implements Windowed.
func (ReLU) Window([]Shape) (kernel, stride, pad int, ok bool) { return 1, 1, 0, true }

func (ReLU) activation() {}
