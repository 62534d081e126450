package layer

import (
	"firebench/kernels"
	"firebench/kernels/workers"
)

// A GlobalAvgPool averages all pixels of a channel: H×W×C to 1×1×C. The result is of type Type, see
// [Typed].
type GlobalAvgPool struct{ Type kernels.Type }

// Op returns avgpool.
func (GlobalAvgPool) Op() string { return "avgpool" }

// OutShape implements Layer.
func (p GlobalAvgPool) OutShape(in []Shape) (Shape, error) {
	if err := typed(in, 1, p.Type); err != nil {
		return Shape{}, err
	}
	return Shape{1, 1, in[0].C, p.Type}, nil
}

// Cost implements Layer.
func (p GlobalAvgPool) Cost(in []Shape) kernels.Cost {
	return poolCost(kernels.PoolShape{}, in[0], p.Type)
}

// Bind implements Layer.
func (GlobalAvgPool) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindAvgPool(b.Set, kernels.PoolShape{}, b.Dst, b.Src[0], b.Threads))
}

// As implements Typed.
func (p GlobalAvgPool) As(t kernels.Type) Layer {
	p.Type = t
	return p
}
