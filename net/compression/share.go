package compression

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"

	"firebench/kernels"
	"firebench/net/graph"
)

// ShareOptions say how [Share] chooses the values that weights share.
type ShareOptions struct {
	// Bits are those of the codes: each layer has 2^Bits values at most, of which one is 0. With a budget of bytes,
	// 0 means 8.
	Bits   int
	Layers map[string]int // the bits of some layers, by node
	Init   Init           // of k-means
	Seed   uint64         // of random numbers

	// Images calibrate: each is one input as the network expects it, which must not change until the next is asked
	// for. Then values and codes are chosen so that the outputs of the layers change least in these images, biases
	// are changed so that the outputs stay the same in the mean, and weights may become zero. Without images,
	// values are the means of the weights that share them.
	Images iter.Seq2[kernels.View, error]

	// Bytes is how many bytes the file may have that [weights.WriteFBW] writes; 0 is no bound. It needs
	// images. They also say how much an error in each layer changes the network's result, and so where bits are
	// worth most.
	Bytes int

	// Set has the kernels of the network that runs on the images, on all processors; nil is the best of the
	// machine. All vector kernels give the same results.
	Set *kernels.Set

	// Done is called for each layer in their order, unless it is nil.
	Done func(SharedLayer)
}

// A SharedLayer is what sharing made of a layer.
type SharedLayer struct {
	Node   string
	Values int // different ones that are not zero

	// Error is the squared error of the layer's outputs as a share of their variance, in the images, or without
	// images the squared error of the weights as a share of the squared weights.
	Error float64

	// Divergence is by how much this error changes the network's probabilities, as their Kullback-Leibler divergence
	// in nats. It is known with a budget of bytes only.
	Divergence float64
}

const maxBits = 8

// plan is how the network runs on the images. Direct convolutions have the same bits on all vector kernels, and so
// have the statistics that values and codes are chosen by; which other algorithm is picked depends on the machine.
func (o ShareOptions) plan() graph.Options {
	return graph.Options{Set: o.Set, Algo: kernels.Algorithms()[0]}
}

// Check returns an error unless o fits m: Layers must name nodes of it that have weights of their own.
func (o ShareOptions) Check(m *graph.Model) error {
	bits := func(n int) error {
		if n < 1 || n > maxBits {
			return fmt.Errorf("codes of %d bits, expected 1 to %d", n, maxBits)
		}
		return nil
	}
	var err error
	switch {
	case o.Bytes < 0:
		err = fmt.Errorf("a budget of %d bytes, expected 1 or more (0: none)", o.Bytes)
	case o.Bytes > 0 && o.Images == nil:
		err = errors.New("a budget of bytes needs images to calibrate with")
	case o.Bytes == 0 || o.Bits != 0:
		err = bits(o.Bits)
	}
	if err == nil {
		err = o.Init.check()
	}
	if err == nil {
		err = checkLayers(m, o.Layers, bits)
	}
	if err != nil {
		return fmt.Errorf("share: %w", err)
	}
	return nil
}

// values returns how many values a layer may have that are not zero.
func (o ShareOptions) values(node string) int {
	bits, ok := o.Layers[node]
	if !ok {
		bits = cmp.Or(o.Bits, maxBits)
	}
	return 1<<bits - 1
}

// shared are weights with codebooks.
type shared struct {
	model  *graph.Model
	layers map[graph.Param]sharedLayer
}

type sharedLayer struct {
	table codebook
	codes []uint8
	bias  []float32
}

func (s *shared) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }

// Layer implements graph.Weights.
func (s *shared) Layer(p graph.Param) (kernels.Weights, error) {
	l, ok := s.layers[p]
	if !ok {
		return kernels.Weights{}, fmt.Errorf("compression: shared weights of %s have no layer %s with weights %v", s.model.Name, p.Node, p.Dims)
	}
	return kernels.Weights{Values: l.values(), Bias: l.bias}, nil
}

func (l sharedLayer) values() []float32 {
	values := make([]float32, len(l.codes))
	for i, code := range l.codes {
		values[i] = l.table[code]
	}
	return values
}

// Codebook implements [graph.Shared].
func (s *shared) Codebook(p graph.Param) (table []float32, codes []uint8, ok bool) {
	l, ok := s.layers[p]
	return l.table, l.codes, ok
}

// Share returns the rewrite that gives the weights of each layer few values, by k-means on those that are not zero.
// Zeros stay zero. The new weights are a [Codebook]. The model stays as it is.
//
// The result depends on nothing but the model, the weights and the options, not on the number of processors. All
// weights are in memory, with images several times.
func Share(o ShareOptions) graph.Rewrite {
	return func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
		fail := func(err error) (*graph.Model, graph.Weights, error) {
			return nil, nil, fmt.Errorf("compression: %s: %w", m.Name, err)
		}
		if err := o.Check(m); err != nil {
			return fail(err)
		}
		if o.Done == nil {
			o.Done = func(SharedLayer) {}
		}
		f := o.plain
		if o.Images != nil {
			f = o.compensated
		}
		s := &shared{m, map[graph.Param]sharedLayer{}}
		if err := f(m, w, s.layers); err != nil {
			return fail(err)
		}
		return m, s, nil
	}
}

// plain shares the values of all layers by k-means.
func (o ShareOptions) plain(m *graph.Model, w graph.Weights, layers map[graph.Param]sharedLayer) error {
	params, err := m.Params()
	if err != nil {
		return err
	}
	for _, p := range params {
		l, err := w.Layer(p)
		if err == nil {
			err = checkValues(p, l)
		}
		if err != nil {
			return err
		}
		points := newPoints(l.Values, nil)
		table := newCodebook(points.kMeans(points.start(o.Init, o.values(p.Node), o.Seed)))
		codes := make([]uint8, len(l.Values))
		errors, squares := 0.0, 0.0
		for i, v := range l.Values {
			if v != 0 {
				codes[i] = table.nearest(float64(v))
			}
			d := float64(v) - float64(table[codes[i]])
			errors += d * d
			squares += float64(v) * float64(v)
		}
		s := sharedLayer{table.drop(codes), codes, slices.Clone(l.Bias)}
		layers[p] = s
		o.Done(SharedLayer{Node: p.Node, Values: len(s.table) - 1, Error: fraction(errors, squares)})
	}
	return nil
}

// fraction returns a part of all; nothing is no part of nothing.
func fraction(part, all float64) float64 {
	if part == 0 {
		return 0
	}
	return part / all
}
