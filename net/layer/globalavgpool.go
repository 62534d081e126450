package layer

import (
	"firebench/kernels"
	"firebench/kernels/workers"
)

// A GlobalAvgPool averages all pixels of a channel: H×W×C to 1×1×C.
type GlobalAvgPool struct{}

// Op returns avgpool.
func (GlobalAvgPool) Op() string { return "avgpool" }

// OutShape implements Layer.
func (GlobalAvgPool) OutShape(in []Shape) (Shape, error) {
	if err := floats(in, 1); err != nil {
		return Shape{}, err
	}
	return Shape{1, 1, in[0].C, in[0].Type}, nil
}

// Cost implements Layer.
func (GlobalAvgPool) Cost(in []Shape) kernels.Cost { return poolCost(kernels.PoolShape{}, in[0]) }

// Bind implements Layer.
func (GlobalAvgPool) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindAvgPool(b.Set, kernels.PoolShape{}, b.Dst, b.Src[0], b.Threads))
}
