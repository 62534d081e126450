package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// Gradient implements Differentiable.
func (p MaxPool) Gradient([]Shape, int) ([]Operation, error) {
	return operation(MaxPoolGradient(p), 0, Result, Upstream)
}

// A MaxPoolGradient is the gradient by the input of a MaxPool. Its inputs are the MaxPool's input, its
// result, and the gradient by that: each window's goes to the first of its maxima, row by row.
type MaxPoolGradient MaxPool

// Op returns maxpool.
func (MaxPoolGradient) Op() string { return MaxPool{}.Op() }

// OutShape implements Layer.
func (p MaxPoolGradient) OutShape(in []Shape) (Shape, error) {
	if err := floats(in, 3); err != nil {
		return Shape{}, err
	}
	out, err := MaxPool(p).OutShape(in[:1])
	if err == nil && (in[1] != out || in[2] != out) {
		err = fmt.Errorf("result %v and gradient %v, expected %v", in[1], in[2], out)
	}
	return in[0], err
}

// Cost implements Layer.
func (MaxPoolGradient) Cost(in []Shape) kernels.Cost { return traffic(in[0], in...) }

// Bind implements Layer.
func (p MaxPoolGradient) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindMaxPoolGradient(b.Set, MaxPool(p).shape(), b.Dst, b.Src[0], b.Src[1], b.Src[2], b.Threads))
}

// Pass implements Backward.
func (MaxPoolGradient) Pass() Pass { return GradInput }

// Gradient implements Differentiable.
func (p AvgPool) Gradient(in []Shape, _ int) ([]Operation, error) {
	if p.Type != (kernels.Type{}) {
		return nil, fmt.Errorf("result of %v, expected %v", p.Type, kernels.Float32)
	}
	return operation(AvgPoolGradient{p, in[0].H, in[0].W}, Upstream)
}

// Gradient implements Differentiable.
func (p GlobalAvgPool) Gradient(in []Shape, _ int) ([]Operation, error) {
	if p.Type != (kernels.Type{}) {
		return nil, fmt.Errorf("result of %v, expected %v", p.Type, kernels.Float32)
	}
	return operation(AvgPoolGradient{H: in[0].H, W: in[0].W}, Upstream)
}

// An AvgPoolGradient is the gradient by the input, of H×W pixels, of Pool, or of a GlobalAvgPool if Pool is
// the zero value. It reads the gradient by the result.
type AvgPoolGradient struct {
	Pool AvgPool
	H, W int
}

// Op returns avgpool.
func (AvgPoolGradient) Op() string { return AvgPool{}.Op() }

// OutShape implements Layer.
func (p AvgPoolGradient) OutShape(in []Shape) (Shape, error) {
	if err := floats(in, 1); err != nil {
		return Shape{}, err
	}
	src := Shape{H: p.H, W: p.W, C: in[0].C}
	if err := src.Check(); err != nil {
		return Shape{}, err
	}
	out, err := GlobalAvgPool{}.OutShape([]Shape{src})
	if p.Pool != (AvgPool{}) {
		out, err = p.Pool.OutShape([]Shape{src})
	}
	if err == nil && in[0] != out {
		err = fmt.Errorf("gradient %v, expected %v", in[0], out)
	}
	return src, err
}

// Cost implements Layer.
func (p AvgPoolGradient) Cost(in []Shape) kernels.Cost {
	return traffic(Shape{H: p.H, W: p.W, C: in[0].C}, in...)
}

// Bind implements Layer.
func (p AvgPoolGradient) Bind(b Binding) ([]workers.Task, error) {
	shape := kernels.PoolShape{}
	if p.Pool != (AvgPool{}) {
		shape = p.Pool.shape()
	}
	return bound(kernels.BindAvgPoolGradient(b.Set, shape, b.Dst, b.Src[0], b.Threads))
}

// Pass implements Backward.
func (AvgPoolGradient) Pass() Pass { return GradInput }
