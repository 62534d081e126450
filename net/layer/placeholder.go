package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// A Placeholder is a value that the caller writes before a run: labels, or the mask of a dropout.
type Placeholder struct{ Shape Shape }

// Op returns placeholder.
func (Placeholder) Op() string { return "placeholder" }

// OutShape implements Layer.
func (p Placeholder) OutShape(in []Shape) (Shape, error) {
	if len(in) != 0 {
		return Shape{}, fmt.Errorf("%d inputs, expected none", len(in))
	}
	return p.Shape, p.Shape.Check()
}

// Cost implements Layer.
func (Placeholder) Cost([]Shape) kernels.Cost { return kernels.Cost{} }

// Bind implements Layer.
func (Placeholder) Bind(Binding) ([]workers.Task, error) { return nil, nil }

func (Placeholder) feed() {}
