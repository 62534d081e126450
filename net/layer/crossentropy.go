package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// A CrossEntropy is the loss of one image: -Σ target·log softmax(logits) over the classes. Its inputs are
// the logits and the target, a distribution over the classes, of one pixel each; its result is one number.
type CrossEntropy struct{}

// Op returns cross-entropy.
func (CrossEntropy) Op() string { return "cross-entropy" }

// OutShape implements Layer.
func (CrossEntropy) OutShape(in []Shape) (Shape, error) {
	if _, err := classes(in); err != nil {
		return Shape{}, err
	}
	return Shape{H: 1, W: 1, C: 1}, nil
}

// Cost implements Layer.
func (CrossEntropy) Cost(in []Shape) kernels.Cost { return traffic(Shape{H: 1, W: 1, C: 1}, in...) }

// Bind implements Layer.
func (CrossEntropy) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindCrossEntropy(b.Dst, b.Src[0], b.Src[1]))
}

// A CrossEntropyGradient is the gradient of CrossEntropy by the logits, from the same inputs:
// softmax(logits)·Σ target − target.
type CrossEntropyGradient struct{}

// Op returns cross-entropy.
func (CrossEntropyGradient) Op() string { return CrossEntropy{}.Op() }

// OutShape implements Layer.
func (CrossEntropyGradient) OutShape(in []Shape) (Shape, error) { return classes(in) }

// Cost implements Layer.
func (CrossEntropyGradient) Cost(in []Shape) kernels.Cost { return traffic(in[0], in...) }

// Bind implements Layer.
func (CrossEntropyGradient) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindCrossEntropyGradient(b.Dst, b.Src[0], b.Src[1]))
}

// Pass implements Backward.
func (CrossEntropyGradient) Pass() Pass { return GradInput }

// classes is alike for logits and target.
func classes(in []Shape) (Shape, error) {
	s, err := alike(in, 2)
	if err == nil && (s.H != 1 || s.W != 1) {
		err = fmt.Errorf("logits %v, expected one pixel", s)
	}
	return s, err
}
