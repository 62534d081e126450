package layer

import (
	"firebench/kernels"
	"firebench/kernels/workers"
)

// An LRN is local response normalization across channels, see
// [kernels.LRNShape].
type LRN struct {
	Size           int
	Alpha, Beta, K float32
}

// Op returns lrn.
func (LRN) Op() string { return "lrn" }

// OutShape implements Layer.
func (l LRN) OutShape(in []Shape) (Shape, error) {
	if err := floats(in, 1); err != nil {
		return Shape{}, err
	}
	if err := kernels.LRNShape(l).Check(); err != nil {
		return Shape{}, err
	}
	return in[0], nil
}

// Cost implements Layer.
func (LRN) Cost(in []Shape) kernels.Cost { return traffic(in[0], in...) }

// Bind implements Layer.
func (l LRN) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindLRN(b.Set, kernels.LRNShape(l), b.Dst, b.Src[0], b.Threads))
}

// Window implements Windowed.
func (LRN) Window([]Shape) (kernel, stride, pad int, ok bool) { return 1, 1, 0, true }
