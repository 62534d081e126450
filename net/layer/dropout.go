package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// A Dropout is the identity at inference, and its result has the memory of its input, and so its
// type. No scaling is needed, as training scales the values that it does not drop.
type Dropout struct{ Rate float32 }

// Op returns dropout.
func (Dropout) Op() string { return "dropout" }

// OutShape implements Layer.
func (d Dropout) OutShape(in []Shape) (Shape, error) {
	if err := inputs(in, 1); err != nil {
		return Shape{}, err
	}
	if !(d.Rate >= 0 && d.Rate < 1) {
		return Shape{}, fmt.Errorf("dropout rate is %g, expected 0 <= rate < 1", d.Rate)
	}
	return in[0], nil
}

// Cost implements Layer.
func (Dropout) Cost([]Shape) kernels.Cost { return kernels.Cost{} }

// Bind implements Layer.
func (Dropout) Bind(Binding) ([]workers.Task, error) { return nil, nil }

func (Dropout) identity() {}

// Gradient implements Differentiable.
func (Dropout) Gradient([]Shape, int) ([]Operation, error) { return nil, nil }
