package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// An Add is the sum of two inputs of the same shape: a residual connection.
type Add struct{}

// Op returns add.
func (Add) Op() string { return "add" }

// OutShape implements Layer.
func (Add) OutShape(in []Shape) (Shape, error) {
	if err := floats(in, 2); err != nil {
		return Shape{}, err
	}
	if in[0] != in[1] {
		return Shape{}, fmt.Errorf("inputs %v and %v differ", in[0], in[1])
	}
	return in[0], nil
}

// Cost implements Layer.
func (Add) Cost(in []Shape) kernels.Cost { return traffic(in[0], in...) }

// Bind implements Layer.
func (Add) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindAdd(b.Set, b.Dst, b.Src[0], b.Src[1], b.ReLU, b.Threads))
}

func (Add) fuser() {}

// Window implements Windowed.
func (Add) Window([]Shape) (kernel, stride, pad int, ok bool) { return 1, 1, 0, true }
