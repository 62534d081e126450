package layer

import (
	"firebench/kernels"
	"firebench/kernels/workers"
)

// Gradient implements Differentiable.
func (l LRN) Gradient([]Shape, int) ([]Operation, error) {
	return operation(LRNGradient(l), 0, Upstream)
}

// An LRNGradient is the gradient by the input of an LRN. Its inputs are the LRN's input and the gradient
// by its result.
type LRNGradient struct {
	Size           int
	Alpha, Beta, K float32
}

// Op returns lrn.
func (LRNGradient) Op() string { return LRN{}.Op() }

// OutShape implements Layer.
func (l LRNGradient) OutShape(in []Shape) (Shape, error) {
	s, err := alike(in, 2)
	if err != nil {
		return Shape{}, err
	}
	return s, kernels.LRNShape(l).Check()
}

// Cost implements Layer.
func (LRNGradient) Cost(in []Shape) kernels.Cost { return traffic(in[0], in...) }

// Bind implements Layer.
func (l LRNGradient) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindLRNGradient(b.Set, kernels.LRNShape(l), b.Dst, b.Src[0], b.Src[1], b.Threads))
}

// Window implements Windowed.
func (LRNGradient) Window([]Shape) (kernel, stride, pad int, ok bool) { return 1, 1, 0, true }

// Pass implements Backward.
func (LRNGradient) Pass() Pass { return GradInput }
