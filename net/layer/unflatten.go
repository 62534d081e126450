package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// An Unflatten makes an image of H×W pixels of one pixel, which has all values of channel 0, row by row, then
// those of channel 1, …: the order in which dense layers have their weights.
type Unflatten struct{ H, W int }

// Op returns unflatten.
func (Unflatten) Op() string { return "unflatten" }

// OutShape implements Layer.
func (u Unflatten) OutShape(in []Shape) (Shape, error) {
	if err := floats(in, 1); err != nil {
		return Shape{}, err
	}
	if s := in[0]; s.H != 1 || s.W != 1 || u.H < 1 || u.W < 1 || s.C%u.H != 0 || s.C/u.H%u.W != 0 {
		return Shape{}, fmt.Errorf("input %v, expected one pixel for %d×%d", s, u.H, u.W)
	}
	return Shape{H: u.H, W: u.W, C: in[0].C / u.H / u.W}, nil
}

// Cost implements Layer.
func (Unflatten) Cost(in []Shape) kernels.Cost { return traffic(in[0], in[0]) }

// Bind implements Layer.
func (u Unflatten) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindUnflatten(b.Dst, b.Src[0], b.Threads))
}

// Pass implements Backward.
func (Unflatten) Pass() Pass { return GradInput }
