package layer

import (
	"firebench/kernels"
	"firebench/kernels/workers"
)

// A Softmax turns the channels of each pixel into probabilities.
type Softmax struct{}

// Op returns softmax.
func (Softmax) Op() string { return "softmax" }

// OutShape implements Layer.
func (Softmax) OutShape(in []Shape) (Shape, error) {
	if err := floats(in, 1); err != nil {
		return Shape{}, err
	}
	return in[0], nil
}

// Cost implements Layer.
func (Softmax) Cost(in []Shape) kernels.Cost { return traffic(in[0], in...) }

// Bind implements Layer.
func (Softmax) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindSoftmax(b.Dst, b.Src[0]))
}

func (Softmax) probabilistic() {}
