package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// An Add is the sum of two inputs of the same size: a residual connection. Its result is of type
// Type, see [Typed].
type Add struct{ Type kernels.Type }

// Op returns add.
func (Add) Op() string { return "add" }

// OutShape implements Layer.
func (a Add) OutShape(in []Shape) (Shape, error) {
	if err := typed(in, 2, a.Type); err != nil {
		return Shape{}, err
	}
	if in[0].As(a.Type) != in[1].As(a.Type) {
		return Shape{}, fmt.Errorf("inputs %v and %v differ", in[0], in[1])
	}
	return in[0].As(a.Type), nil
}

// Cost implements Layer.
func (a Add) Cost(in []Shape) kernels.Cost { return traffic(in[0].As(a.Type), in...) }

// Bind implements Layer.
func (Add) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindAdd(b.Set, b.Dst, b.Src[0], b.Src[1], b.ReLU, b.Threads))
}

// As implements Typed.
func (a Add) As(t kernels.Type) Layer {
	a.Type = t
	return a
}

func (Add) fuser() {}

// Window implements Windowed.
func (Add) Window([]Shape) (kernel, stride, pad int, ok bool) { return 1, 1, 0, true }

// Gradient implements Differentiable.
func (a Add) Gradient([]Shape, int) ([]Operation, error) {
	if a.Type != (kernels.Type{}) {
		return nil, fmt.Errorf("result of %v, expected %v", a.Type, kernels.Float32)
	}
	return nil, nil
}
