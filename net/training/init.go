package training

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"firebench/kernels"
	"firebench/net/graph"
)

// An Initializer fills the weights of a layer, of which fanIn belong to each output channel, before it is trained. It draws
// numbers from r alone.
type Initializer func(weights []float32, fanIn int, r *rand.Rand)

// Xavier draws weights evenly from −√(3/fan-in) to √(3/fan-in), which has the variance 1/fan-in, as Caffe's filler of that
// name. See Glorot and Bengio, https://proceedings.mlr.press/v9/glorot10a.html.
func Xavier(weights []float32, fanIn int, r *rand.Rand) {
	limit := math.Sqrt(3 / float64(fanIn))
	for i := range weights {
		weights[i] = float32((2*r.Float64() - 1) * limit)
	}
}

// He draws normally distributed weights of the variance 2/fan-in, for layers that a ReLU follows. See He et al.,
// https://arxiv.org/abs/1502.01852.
func He(weights []float32, fanIn int, r *rand.Rand) {
	Gaussian(math.Sqrt(2/float64(fanIn)))(weights, fanIn, r)
}

// Gaussian returns the initializer that draws normally distributed weights of a standard deviation.
func Gaussian(deviation float64) Initializer {
	return func(weights []float32, _ int, r *rand.Rand) {
		for i := range weights {
			weights[i] = float32(r.NormFloat64() * deviation)
		}
	}
}

// Orthonormal makes the weights of each output channel a vector of length 1, orthogonal to those of the channels before it,
// of which at most so many count as there are dimensions, and at most 256. See Saxe et al., https://arxiv.org/abs/1312.6120.
func Orthonormal(weights []float32, fanIn int, r *rand.Rand) {
	const most = 256 // more take long in large layers, and change little
	rows := min(fanIn, most)
	basis := make([][]float64, 0, rows)
	for from := 0; from < len(weights); from += fanIn {
		if len(basis) == rows {
			basis = basis[:0]
		}
		row := make([]float64, fanIn)
		for length := 0.0; length < 1e-3; { // what is left of a vector in few dimensions may be all rounding
			for i := range row {
				row[i] = r.NormFloat64() / math.Sqrt(float64(fanIn))
			}
			for range 2 { // once leaves rounding errors
				for _, b := range basis {
					axpy(row, -dot(row, b), b)
				}
			}
			length = math.Sqrt(dot(row, row))
			if length >= 1e-3 {
				for i := range row {
					row[i] /= length
				}
			}
		}
		basis = append(basis, row)
		for i, x := range row {
			weights[from+i] = float32(x)
		}
	}
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, x := range a {
		sum += float64(x * b[i])
	}
	return sum
}

// axpy adds a·x to y.
func axpy(y []float64, a float64, x []float64) {
	for i := range y {
		y[i] += float64(a * x[i])
	}
}

// Initial returns weights for any model to start training from: by says how those of a layer are drawn. Biases are 0. A layer's
// weights depend on the seed, its name and its dimensions alone.
func Initial(seed uint64, by func(p graph.Param) Initializer) graph.Weights { return initial{seed, by} }

type initial struct {
	seed uint64
	by   func(p graph.Param) Initializer
}

// Adapt returns m: the weights fit every model.
func (initial) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }

// Layer implements graph.Weights.
func (w initial) Layer(p graph.Param) (kernels.Weights, error) {
	fanIn := p.Dims[1] * p.Dims[2] * p.Dims[3]
	if p.Dims[0] < 1 || fanIn < 1 {
		return kernels.Weights{}, fmt.Errorf("training: layer %s has no weights: %v", p.Node, p.Dims)
	}
	values := make([]float32, p.Dims[0]*fanIn)
	w.by(p)(values, fanIn, rand.New(stream(w.seed, p)))
	return kernels.Weights{Values: values, Bias: make([]float32, p.Dims[0])}, nil
}

// stream returns the random numbers of a layer.
func stream(seed uint64, p graph.Param) *rand.PCG {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %v", p.Node, p.Dims)
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	h.Write(b[:])
	return rand.NewPCG(seed, h.Sum64())
}
