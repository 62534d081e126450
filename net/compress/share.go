package compress

import (
	"fmt"
	"slices"

	"firebench/kernels"
	"firebench/net/graph"
)

// ShareOptions say how [Share] chooses the values that weights share.
type ShareOptions struct {
	Bits   int            // of the codes: each layer has 2^Bits values at most, of which one is 0
	Layers map[string]int // the bits of some layers, by node
	Init   Init           // of k-means
	Seed   uint64         // of random numbers
}

const (
	minBits = 1
	maxBits = 8
)

// Check returns an error unless o fits m: Layers must name nodes of it that have weights of their own.
func (o ShareOptions) Check(m *graph.Model) error {
	bits := func(n int) error {
		if n < minBits || n > maxBits {
			return fmt.Errorf("codes of %d bits, expected %d to %d", n, minBits, maxBits)
		}
		return nil
	}
	if err := bits(o.Bits); err != nil {
		return fmt.Errorf("share: %w", err)
	}
	if err := o.Init.check(); err != nil {
		return fmt.Errorf("share: %w", err)
	}
	if err := checkLayers(m, o.Layers, bits); err != nil {
		return fmt.Errorf("share: %w", err)
	}
	return nil
}

// bits returns the bits of a layer's codes.
func (o ShareOptions) bits(node string) int {
	if n, ok := o.Layers[node]; ok {
		return n
	}
	return o.Bits
}

// A Codebook is weights whose layers have few different values.
type Codebook interface {
	graph.Weights

	// Codebook returns the values of a layer and, for each weight in the order of kernels.Weights, the place of
	// its value among them. The first value is 0. ok is false for layers that have no codebook. The slices
	// must not be changed.
	Codebook(p graph.Param) (table []float32, codes []uint8, ok bool)
}

// CodebookOf returns w, or the weights that graph.Rewrite.Apply made w from, as a Codebook; ok is false if they
// are none.
func CodebookOf(w graph.Weights) (c Codebook, ok bool) {
	for {
		if c, ok = w.(Codebook); ok {
			return c, true
		}
		u, ok := w.(interface{ Unwrap() graph.Weights })
		if !ok {
			return nil, false
		}
		w = u.Unwrap()
	}
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
		return kernels.Weights{}, fmt.Errorf("compress: shared weights of %s have no layer %s with weights %v", s.model.Name, p.Node, p.Dims)
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

// Codebook implements [Codebook].
func (s *shared) Codebook(p graph.Param) (table []float32, codes []uint8, ok bool) {
	l, ok := s.layers[p]
	return l.table, l.codes, ok
}

// Share returns the rewrite that gives the weights of each layer few values, by k-means on those that are not zero.
// Zeros stay zero, and biases stay as they are. The new weights are a [Codebook]. The model stays as it is.
func Share(o ShareOptions) graph.Rewrite {
	return func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
		fail := func(err error) (*graph.Model, graph.Weights, error) {
			return nil, nil, fmt.Errorf("compress: %s: %w", m.Name, err)
		}
		if err := o.Check(m); err != nil {
			return fail(err)
		}
		params, err := m.Params()
		if err != nil {
			return fail(err)
		}
		s := &shared{m, map[graph.Param]sharedLayer{}}
		for _, p := range params {
			l, err := w.Layer(p)
			if err == nil {
				err = checkValues(p, l)
			}
			if err != nil {
				return fail(err)
			}
			s.layers[p] = o.share(p, l)
		}
		return m, s, nil
	}
}

// share shares the values of a layer.
func (o ShareOptions) share(p graph.Param, w kernels.Weights) sharedLayer {
	points := newPoints(w.Values, nil)
	table := newCodebook(points.kMeans(points.start(o.Init, 1<<o.bits(p.Node)-1, o.Seed)))
	codes := make([]uint8, len(w.Values))
	for i, v := range w.Values {
		if v != 0 {
			codes[i] = table.nearest(float64(v))
		}
	}
	return sharedLayer{table.drop(codes), codes, slices.Clone(w.Bias)}
}
