// Package layer holds the kinds of layers that networks are built from: what
// shape comes out, what it costs, and which kernels compute it. One file is one
// kind; package graph puts layers together.
package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// A Shape is the size of one image's activations, H×W pixels with C channels, and how
// their numbers are stored; as float32 by default. The batch size belongs to the compiled plan.
type Shape struct {
	H, W, C int
	Type    kernels.Type
}

// maxElems bounds activations to 1 GiB, so that a hostile table is refused before
// anything is allocated or overflows.
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

// Check reports a shape that is empty or has more than 2²⁸ values, or a type that there is not.
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
	// other; none when the result is there already.
	Bind(b Binding) ([]workers.Task, error)
}

// A Binding is the memory and the machinery that a layer's tasks work with.
type Binding struct {
	Set     *kernels.Set
	Threads int
	Conv    kernels.Conv   // the packed weights of a Weighted layer, activation included
	ReLU    bool           // rectify the result; only ever set for a Fuser
	Dst     kernels.View   // of the shape that OutShape returned
	Src     []kernels.View // one per input
}

// What else a plan should know of a layer, the layer says by the interfaces that it implements.
// A plan asks for these and never for a kind of layers.
type (
	// A Weighted layer has weights. All such layers are convolutions to the kernels.
	Weighted interface {
		Layer

		// ConvShape returns the convolution that the layer is on that input.
		ConvShape(in Shape) kernels.ConvShape
	}

	// An Activation is a function of each value that a Fuser before it can apply.
	Activation interface {
		Layer
		activation()
	}

	// A Fuser is a layer whose kernels can apply the Activation that follows it.
	Fuser interface {
		Layer
		fuser()
	}

	// An Identity changes nothing at inference: its result is its input.
	Identity interface {
		Layer
		identity()
	}

	// An InPlace layer has nothing to do for those of its inputs that are produced where
	// its result is: input i in the channels from Channel(in, i) on.
	InPlace interface {
		Layer
		Channel(in []Shape, i int) int
	}

	// A Normalizer turns scores of classes, the logits, into probabilities.
	Normalizer interface {
		Layer
		normalizer()
	}

	// A Windowed layer computes any rows of its result from some rows of its inputs, so
	// that a plan can take a band of rows through several layers while it is in a cache.
	Windowed interface {
		Layer

		// Window returns which rows output row y needs on inputs of these shapes:
		// y·stride-pad to y·stride-pad+kernel-1, those outside the image being
		// padding. ok is false if the parameters do not allow windows.
		Window(in []Shape) (kernel, stride, pad int, ok bool)
	}
)

// inputs checks the number of inputs and their shapes.
func inputs(in []Shape, want int) error {
	if len(in) != want {
		return fmt.Errorf("%d inputs, expected %d", len(in), want)
	}
	for _, s := range in {
		if err := s.Check(); err != nil {
			return fmt.Errorf("input: %w", err)
		}
		if s.Type.Element != kernels.Float32 {
			return fmt.Errorf("input %v, expected %v", s, kernels.Float32)
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

// bound adapts the kernels' one task to Bind's result.
func bound(t workers.Task, err error) ([]workers.Task, error) {
	if err != nil {
		return nil, err
	}
	return []workers.Task{t}, nil
}
