// Package layer holds the kinds of layers that networks are built from: what
// shape comes out, what it costs, and which kernels compute it. One file is one
// kind; package graph puts layers together.
package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// A Shape is the size of one image's activations, H×W pixels with C channels, and the type in
// which they are stored, by default float32. The batch size belongs to the compiled plan.
type Shape struct {
	H, W, C int
	Type    kernels.Type
}

// maxElems bounds activations to 1 GiB, so that a hostile table is refused before
// any memory is allocated and before a size overflows.
const maxElems = 1 << 28

// Elems returns the number of values.
func (s Shape) Elems() int { return s.H * s.W * s.C }

// Bytes returns the size of the values.
func (s Shape) Bytes() int64 { return int64(s.Elems()) * int64(s.Type.Element.Size()) }

// String returns the shape as height×width×channels, followed by the type if it is not float32.
func (s Shape) String() string {
	if s.Type == (kernels.Type{}) {
		return fmt.Sprintf("%d×%d×%d", s.H, s.W, s.C)
	}
	return fmt.Sprintf("%d×%d×%d %v", s.H, s.W, s.C, s.Type)
}

// As returns the shape with values of type t.
func (s Shape) As(t kernels.Type) Shape {
	s.Type = t
	return s
}

// Check returns an error if the shape is empty or has more than 2²⁸ values, or if its type is
// not one of package kernels.
func (s Shape) Check() error {
	if s.H < 1 || s.W < 1 || s.C < 1 {
		return fmt.Errorf("shape %v is empty", s)
	}
	// Dividing cannot overflow.
	if maxElems/s.H/s.W/s.C == 0 {
		return fmt.Errorf("shape %v has more than %d values", s, maxElems)
	}
	return s.Type.Check()
}

// A Layer is one operation of a network. Its fields are parameters, not weights,
// so layers are plain values that models may share.
type Layer interface {
	// Op names the operation in benchmarks: conv3x3, maxpool, dense, ….
	Op() string

	// OutShape returns the shape of the result, or why the layer cannot work on in.
	OutShape(in []Shape) (Shape, error)

	// Cost returns what one image costs, given input shapes that OutShape accepts.
	Cost(in []Shape) kernels.Cost

	// Bind returns the tasks that compute b.Dst from b.Src, to be run one after the
	// other. There are none if nothing is left to compute.
	Bind(b Binding) ([]workers.Task, error)
}

// A Binding is the memory and the machinery that a layer's tasks work with.
type Binding struct {
	Set     *kernels.Set
	Algo    string         // that the caller of Compile wants, see kernels.Algorithms
	Threads int            // that share the tasks
	Conv    kernels.Conv   // the packed weights of a Weighted layer, with ReLU
	ReLU    bool           // apply max(x, 0) to the result; set for a Fuser only
	Dst     kernels.View   // of the shape that OutShape returned
	Src     []kernels.View // one per input
}

// Below is the list of all that a plan can ask of a layer besides the methods of Layer. It asks
// for these interfaces and never for a type of layer, so that a new layer gets what it
// implements:
//
//	Weighted       has weights                              Conv, Dense
//	Activation     can be fused into the layer before it    ReLU
//	Fuser          an Activation can be fused into it       Conv, Dense, Add
//	Identity       does nothing at inference                Dropout
//	Concatenation  its inputs can be produced in place      Concat
//	Probabilistic  its inputs are the logits                Softmax
//	Windowed       computes bands of rows                   Conv, MaxPool, AvgPool, LRN, ReLU, Add, Quantize, Dequantize
//	Typed          can give results of another type         Conv, Dense, AvgPool, GlobalAvgPool, Add
//
// Training adds these, see gradient.go:
//
//	Feed           has values that the caller writes        Placeholder
//	Part           is some channels of its input            Slice
//	Differentiable has gradients by its inputs              Conv, Dense, MaxPool, AvgPool, GlobalAvgPool, LRN, ReLU, Concat, Add, Dropout, Mul
//	Trainable      has a gradient by its weights            Conv, Dense
//	Selector       may change places with an Activation     MaxPool
//	Backward       is part of a gradient                    ConvGradient, …, WeightGradient
//	Transposed     uses another layer's weights transposed  ConvGradient, DenseGradient
//	Reduction      sums over the images of a batch          WeightGradient
//	Padded         reads pixels around its inputs           WeightGradient
//	Algorithmic    is computed by one of some algorithms    WeightGradient

// A Weighted layer has weights. For the kernels, all such layers are convolutions.
type Weighted interface {
	Layer

	// ConvShape returns the convolution that the layer computes of an input of that shape.
	ConvShape(in Shape) kernels.ConvShape
}

// An Activation is a function of each value that the kernels of a Fuser before it can apply. The
// kernels know one such function, max(x, 0).
type Activation interface {
	Layer
	activation()
}

// A Fuser is a layer whose kernels can apply the Activation that follows it, see Binding.ReLU.
type Fuser interface {
	Layer
	fuser()
}

// An Identity returns its input unchanged at inference, so that the two can share memory.
type Identity interface {
	Layer
	identity()
}

// A Concatenation lines up the channels of its inputs. The layers before it can write to its
// result directly; its tasks copy only those inputs that lie elsewhere.
type Concatenation interface {
	Layer

	// FirstChannel returns the channel of the result with which input i begins.
	FirstChannel(in []Shape, i int) int
}

// A Probabilistic layer turns the scores of classes, the logits, into probabilities.
type Probabilistic interface {
	Layer
	probabilistic()
}

// A Windowed layer can compute any rows of its result from some rows of its inputs, so that a
// band of rows can pass through several layers while it is in the cache.
type Windowed interface {
	Layer

	// Window says which rows of inputs of these shapes row y of the result is computed from:
	// those from y·stride-pad to y·stride-pad+kernel-1. Rows outside the image are padding.
	// ok is false if the layer's parameters do not allow this.
	Window(in []Shape) (kernel, stride, pad int, ok bool)
}

// A Typed layer computes float32 from float32, where its type is the zero value, or quantized values
// from quantized inputs, whose types may differ from each other and from that of the result.
type Typed interface {
	Layer

	// As returns the layer whose result is of type t.
	As(t kernels.Type) Layer
}

// quantized reports whether values of type t are what layers compute with: bytes that have a scale.
func quantized(t kernels.Type) bool { return t.Element == kernels.Uint8 && t.Scale > 0 }

// inputs checks the number of inputs and their shapes; they may be of any type.
func inputs(in []Shape, want int) error {
	if len(in) != want {
		return fmt.Errorf("%d inputs, expected %d", len(in), want)
	}
	for _, s := range in {
		if err := s.Check(); err != nil {
			return fmt.Errorf("input: %w", err)
		}
	}
	return nil
}

// floats is inputs for layers that compute with float32.
func floats(in []Shape, want int) error {
	if err := inputs(in, want); err != nil {
		return err
	}
	for _, s := range in {
		if s.Type.Element != kernels.Float32 {
			return fmt.Errorf("input %v, expected %v", s, kernels.Float32)
		}
	}
	return nil
}

// numbers is inputs for layers that compute with float32 and with quantized values.
func numbers(in []Shape, want int) error {
	if err := inputs(in, want); err != nil {
		return err
	}
	for _, s := range in {
		if s.Type.Element != kernels.Float32 && !quantized(s.Type) {
			return fmt.Errorf("input %v, expected %v or quantized %v", s, kernels.Float32, kernels.Uint8)
		}
	}
	return nil
}

// typed is numbers for layers whose result is of type t.
func typed(in []Shape, want int, t kernels.Type) error {
	if err := numbers(in, want); err != nil {
		return err
	}
	if err := t.Check(); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	if t.Element != kernels.Float32 && !quantized(t) {
		return fmt.Errorf("result of %v, expected %v or quantized %v", t, kernels.Float32, kernels.Uint8)
	}
	for _, s := range in {
		if s.Type.Element != t.Element {
			return fmt.Errorf("input %v and a result of %v, expected both %v or both quantized", s, t, kernels.Float32)
		}
	}
	return nil
}

// traffic is the cost of a layer that has no weights: reading its inputs and
// writing its result.
func traffic(out Shape, in ...Shape) kernels.Cost {
	n := out.Bytes()
	for _, s := range in {
		n += s.Bytes()
	}
	return kernels.Cost{Activations: n}
}

// bound turns the result of a kernel's Bind, one task, into that of Layer.Bind.
func bound(t workers.Task, err error) ([]workers.Task, error) {
	if err != nil {
		return nil, err
	}
	return []workers.Task{t}, nil
}
