package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// A Slice is C channels of its input, from First on.
type Slice struct{ First, C int }

// Op returns slice.
func (Slice) Op() string { return "slice" }

// OutShape implements Layer.
func (s Slice) OutShape(in []Shape) (Shape, error) {
	if err := inputs(in, 1); err != nil {
		return Shape{}, err
	}
	if s.First < 0 || s.C < 1 || s.C > in[0].C-s.First {
		return Shape{}, fmt.Errorf("%d channels from %d on of %v", s.C, s.First, in[0])
	}
	out := in[0]
	out.C = s.C
	return out, nil
}

// Cost implements Layer.
func (Slice) Cost([]Shape) kernels.Cost { return kernels.Cost{} }

// Bind implements Layer.
func (Slice) Bind(Binding) ([]workers.Task, error) { return nil, nil }

// FirstOf implements Part.
func (s Slice) FirstOf() int { return s.First }
