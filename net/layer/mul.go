package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// A Mul is the product of two inputs of the same size, value by value: a dropout while training, where
// the second one is its mask.
type Mul struct{}

// Op returns mul.
func (Mul) Op() string { return "mul" }

// OutShape implements Layer.
func (Mul) OutShape(in []Shape) (Shape, error) { return alike(in, 2) }

// Cost implements Layer.
func (Mul) Cost(in []Shape) kernels.Cost { return traffic(in[0], in...) }

// Bind implements Layer.
func (Mul) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindMul(b.Set, b.Dst, b.Src[0], b.Src[1], b.Threads))
}

// Window implements Windowed.
func (Mul) Window([]Shape) (kernel, stride, pad int, ok bool) { return 1, 1, 0, true }

// Gradient implements Differentiable.
func (Mul) Gradient(_ []Shape, i int) ([]Operation, error) {
	return operation(Mul{}, Upstream, Operand(1-i))
}

// alike is floats for layers whose inputs and result have one shape.
func alike(in []Shape, want int) (Shape, error) {
	if err := floats(in, want); err != nil {
		return Shape{}, err
	}
	for _, s := range in[1:] {
		if s != in[0] {
			return Shape{}, fmt.Errorf("inputs %v and %v differ", in[0], s)
		}
	}
	return in[0], nil
}
