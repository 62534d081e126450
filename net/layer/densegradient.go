package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// Gradient implements Differentiable.
func (d Dense) Gradient(in []Shape, _ int) ([]Operation, error) {
	if d.Type != (kernels.Type{}) {
		return nil, fmt.Errorf("result of %v, expected %v", d.Type, kernels.Float32)
	}
	flat := Operation{DenseGradient{d, in[0]}, []Operand{Upstream}}
	if in[0].H == 1 && in[0].W == 1 {
		return []Operation{flat}, nil
	}
	return []Operation{flat, {Unflatten{in[0].H, in[0].W}, []Operand{Before}}}, nil
}

// WeightGradient implements Trainable.
func (d Dense) WeightGradient(in Shape) (Layer, error) { return weightGradient(d, in, d.Type) }

// A DenseGradient is the gradient by the input, of shape In, of the dense layer Of, as one pixel that has
// all values of channel 0, then those of channel 1, …, as the weights have. It reads the gradient by the result.
type DenseGradient struct {
	Of Dense
	In Shape
}

// Op returns dense.
func (DenseGradient) Op() string { return Dense{}.Op() }

// Forward implements Transposed.
func (d DenseGradient) Forward() kernels.ConvShape { return d.Of.ConvShape(d.In) }

// ConvShape implements Weighted.
func (d DenseGradient) ConvShape(Shape) kernels.ConvShape {
	return kernels.ConvShape{In: d.Of.Out, Out: d.In.Elems(), KH: 1, KW: 1, Stride: 1, Groups: 1}
}

// OutShape implements Layer.
func (d DenseGradient) OutShape(in []Shape) (Shape, error) {
	if err := floats(in, 1); err != nil {
		return Shape{}, err
	}
	out, err := d.Of.OutShape([]Shape{d.In})
	if err != nil {
		return Shape{}, err
	}
	if in[0] != out {
		return Shape{}, fmt.Errorf("gradient %v, expected %v", in[0], out)
	}
	return convOut(d, in, kernels.Type{})
}

// Cost implements Layer.
func (d DenseGradient) Cost(in []Shape) kernels.Cost { return convCost(d, in[0], kernels.Type{}) }

// Bind implements Layer.
func (d DenseGradient) Bind(b Binding) ([]workers.Task, error) { return convBind(b) }

// Pass implements Backward.
func (DenseGradient) Pass() Pass { return GradInput }
