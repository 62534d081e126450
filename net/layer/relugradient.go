package layer

import (
	"firebench/kernels"
	"firebench/kernels/workers"
)

// Gradient implements Differentiable.
func (ReLU) Gradient([]Shape, int) ([]Operation, error) {
	return operation(ReLUGradient{}, Result, Upstream)
}

// A ReLUGradient is the gradient by the input of a ReLU. Its inputs are the ReLU's result and the gradient
// by that: it passes on the latter where the former is positive.
type ReLUGradient struct{}

// Op returns relu.
func (ReLUGradient) Op() string { return ReLU{}.Op() }

// OutShape implements Layer.
func (ReLUGradient) OutShape(in []Shape) (Shape, error) { return alike(in, 2) }

// Cost implements Layer.
func (ReLUGradient) Cost(in []Shape) kernels.Cost { return traffic(in[0], in...) }

// Bind implements Layer.
func (ReLUGradient) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindReLUGradient(b.Set, b.Dst, b.Src[0], b.Src[1], b.Threads))
}

// Window implements Windowed.
func (ReLUGradient) Window([]Shape) (kernel, stride, pad int, ok bool) { return 1, 1, 0, true }

// Pass implements Backward.
func (ReLUGradient) Pass() Pass { return GradInput }
