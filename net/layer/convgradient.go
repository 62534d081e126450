package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// Gradient implements Differentiable. The gradient by the input of a strided convolution is that of a
// convolution of stride 1 whose results the stride leaves out have no gradient.
func (c Conv) Gradient(in []Shape, _ int) ([]Operation, error) {
	if c.Type != (kernels.Type{}) {
		return nil, fmt.Errorf("result of %v, expected %v", c.Type, kernels.Float32)
	}
	l := ConvGradient{c, in[0]}
	if stride := c.ConvShape(in[0]).Stride; stride > 1 {
		return []Operation{{Dilate{stride}, []Operand{Upstream}}, {l, []Operand{Before}}}, nil
	}
	return operation(l, Upstream)
}

// WeightGradient implements Trainable.
func (c Conv) WeightGradient(in Shape) (Layer, error) { return weightGradient(c, in, c.Type) }

// A ConvGradient is the gradient by the input, of shape In, of the convolution Of. It reads the gradient
// by the result, dilated by the stride, and is the convolution of that with the weights of Of transposed.
type ConvGradient struct {
	Of Conv
	In Shape
}

// Op returns conv1x1, conv3x3, …, as that of the convolution.
func (c ConvGradient) Op() string { return c.Of.Op() }

// Forward implements Transposed.
func (c ConvGradient) Forward() kernels.ConvShape { return c.Of.ConvShape(c.In) }

// ConvShape implements Weighted. It is the zero value if there is no such convolution.
func (c ConvGradient) ConvShape(Shape) kernels.ConvShape {
	s, _, _ := c.Forward().Transposed(c.In.H, c.In.W)
	return s
}

// OutShape implements Layer.
func (c ConvGradient) OutShape(in []Shape) (Shape, error) {
	if err := floats(in, 1); err != nil {
		return Shape{}, err
	}
	out, err := c.Of.OutShape([]Shape{c.In})
	if err != nil {
		return Shape{}, err
	}
	dilated, err := Dilate{c.Forward().Stride}.OutShape([]Shape{out})
	if err != nil {
		return Shape{}, err
	}
	if in[0] != dilated {
		return Shape{}, fmt.Errorf("gradient %v, expected %v", in[0], dilated)
	}
	_, crop, err := c.Forward().Transposed(c.In.H, c.In.W)
	if err != nil {
		return Shape{}, err
	}
	dilated.H -= crop.Top + crop.Bottom
	dilated.W -= crop.Left + crop.Right
	return convOut(c, []Shape{dilated}, kernels.Type{})
}

// Cost implements Layer. The multiply-adds are those of the convolution.
func (c ConvGradient) Cost(in []Shape) kernels.Cost {
	cost := traffic(c.In, in...)
	cost.MACs = c.Of.Cost([]Shape{c.In}).MACs
	cost.Weights = 4 * int64(c.Forward().Weights())
	return cost
}

// Bind implements Layer.
func (c ConvGradient) Bind(b Binding) ([]workers.Task, error) {
	_, crop, err := c.Forward().Transposed(c.In.H, c.In.W)
	if err != nil {
		return nil, err
	}
	return bound(b.Conv.Bind(b.Dst, b.Src[0].Crop(crop), b.Threads))
}

// Window implements Windowed.
func (c ConvGradient) Window([]Shape) (kernel, stride, pad int, ok bool) {
	s, crop, err := c.Forward().Transposed(c.In.H, c.In.W)
	return s.KH, 1, s.Pad.Top, err == nil && crop == kernels.Padding{} && s.Halo() == s.Pad.Max()
}

// Pass implements Backward.
func (ConvGradient) Pass() Pass { return GradInput }

// A WeightGradient is the gradient by the weights and biases of the layer Of, whose input has the shape In.
// It reads that input and the gradient by the result. See [Trainable].
type WeightGradient struct {
	Of Weighted
	In Shape
}

// weightGradient is WeightGradient of layers whose result is of type t.
func weightGradient(l Weighted, in Shape, t kernels.Type) (Layer, error) {
	if t != (kernels.Type{}) {
		return nil, fmt.Errorf("result of %v, expected %v", t, kernels.Float32)
	}
	return WeightGradient{l, in}, nil
}

// Op returns that of the layer.
func (g WeightGradient) Op() string { return g.Of.Op() }

// OutShape implements Layer.
func (g WeightGradient) OutShape(in []Shape) (Shape, error) {
	if err := floats(in, 2); err != nil {
		return Shape{}, err
	}
	out, err := g.Of.OutShape([]Shape{g.In})
	if err != nil {
		return Shape{}, err
	}
	if in[0] != g.In || in[1] != out {
		return Shape{}, fmt.Errorf("inputs %v and %v, expected %v and %v", in[0], in[1], g.In, out)
	}
	s := g.Of.ConvShape(g.In)
	out = Shape{H: 1, W: 1, C: s.Weights() + s.Out}
	return out, out.Check()
}

// Cost implements Layer. The multiply-adds are those of the layer.
func (g WeightGradient) Cost(in []Shape) kernels.Cost {
	s := g.Of.ConvShape(g.In)
	return kernels.Cost{
		MACs:        g.Of.Cost([]Shape{g.In}).MACs,
		Weights:     4 * int64(s.Weights()+s.Out),
		Activations: in[0].Bytes() + in[1].Bytes(),
	}
}

// Bind implements Layer.
func (g WeightGradient) Bind(b Binding) ([]workers.Task, error) {
	return kernels.BindWeightGradient(b.Set, b.Algo, g.Of.ConvShape(g.In), b.Dst, b.Src[0], b.Src[1], b.Threads)
}

// Algorithms implements Algorithmic.
func (g WeightGradient) Algorithms(set *kernels.Set, _ []Shape) (candidates []string, pick string) {
	p := kernels.Problem{ConvShape: g.Of.ConvShape(g.In), H: g.In.H, W: g.In.W}
	return kernels.WeightGradientCandidates(p), kernels.PickWeightGradient(set, p)
}

// Halo implements Padded.
func (g WeightGradient) Halo([]Shape) int { return g.Of.ConvShape(g.In).Halo() }

// Pass implements Backward.
func (WeightGradient) Pass() Pass { return GradWeight }

func (WeightGradient) reduction() {}
