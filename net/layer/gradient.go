package layer

import "firebench/kernels"

// A Pass is what part of training a layer belongs to.
type Pass string

// The passes, as benchmark names use them.
const (
	Forward    Pass = "forward"
	GradInput  Pass = "grad-input"  // gradients of the loss by the layers' inputs
	GradWeight Pass = "grad-weight" // gradients of the loss by the layers' weights and biases
)

// An Operand is what a step of a gradient reads: the input of that number of the layer whose gradient
// it is, or one of the constants.
type Operand int

// The operands that are no inputs of the layer.
const (
	Upstream Operand = -1 - iota // the gradient of the loss by the layer's result
	Result                       // the layer's result
	Before                       // the result of the operation before
)

// An Operation is a step of a gradient: a layer and what it reads.
type Operation struct {
	Layer    Layer
	Operands []Operand
}

// A Differentiable layer knows the gradient of the loss by its inputs, given that by its result.
type Differentiable interface {
	Layer

	// Gradient returns the operations that compute the gradient by input i, for inputs of these
	// shapes. The last gives the result; without any, the gradient is Upstream itself.
	Gradient(in []Shape, i int) ([]Operation, error)
}

// A Trainable layer knows the gradient of the loss by its weights.
type Trainable interface {
	Weighted

	// WeightGradient returns the Reduction that computes the gradient from the layer's input, of that
	// shape, and Upstream. Its result is one pixel. The channels are the weights, in the order of
	// kernels.Weights, and then the biases.
	WeightGradient(in Shape) (Layer, error)
}

// A Transposed layer computes the gradient by the input of a layer, with the weights of that one
// transposed, see kernels.Loader.
type Transposed interface {
	Weighted

	// Forward returns the convolution that the other layer computes.
	Forward() kernels.ConvShape
}

// A Selector gives some of the values of its input, the largest ones, so that an Activation may as well
// follow it as precede it.
type Selector interface {
	Layer
	selector()
}

// A Backward layer is part of a gradient.
type Backward interface {
	Layer
	Pass() Pass
}

// A Reduction sums something over all images of a batch, so that its result is one image.
type Reduction interface {
	Layer
	reduction()
}

// A Feed has no inputs. The caller writes its result before a run, which keeps it, as it does with the
// network's input.
type Feed interface {
	Layer
	feed()
}

// A Part is some channels of its input, whose memory it shares.
type Part interface {
	Layer

	// FirstOf returns the channel of the input that is the first of the result.
	FirstOf() int
}

// A Padded layer that is not Weighted reads pixels around its inputs, which must be zero.
type Padded interface {
	Layer

	// Halo returns how many pixels on all sides of inputs of these shapes the layer reads.
	Halo(in []Shape) int
}

// An Algorithmic layer has no packed weights, and still more than one algorithm.
type Algorithmic interface {
	Layer

	// Algorithms returns the names of the algorithms that can compute the layer, and which of them should
	// be the fastest. Binding.Algo is used if it is one of them.
	Algorithms(set *kernels.Set, in []Shape) (candidates []string, pick string)
}

// operation is a gradient of one step.
func operation(l Layer, operands ...Operand) ([]Operation, error) {
	return []Operation{{l, operands}}, nil
}
