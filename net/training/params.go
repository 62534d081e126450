package training

import (
	"errors"
	"fmt"
	"slices"

	"firebench/kernels"
	"firebench/net/graph"
)

// Params are the weights and biases of a model, in memory where they can be changed. They are [graph.Weights] of that
// model, and [graph.Shared] if weights share values.
type Params struct {
	model  *graph.Model
	layers []values
	index  map[string]int // of a layer, by node
}

// values are the weights of a layer, in the order of kernels.Weights, and then its biases. Gradients have the same order.
type values struct {
	graph.Param
	all      []float32
	kept     []bool    // the weights that may be other than 0, or nil for all
	codebook []float32 // the values of the weights, of which the first is 0, or nil
	codes    []uint8   // for each weight, the place of its value in codebook
}

// weights returns how many of the values are no biases.
func (v *values) weights() int { return len(v.all) - v.Dims[0] }

// NewParams returns a copy of w, the weights of m. If some of them share values, see [graph.Shared], they go on sharing
// them: weights with one code stay equal, and those with code 0 stay 0.
func NewParams(m *graph.Model, w graph.Weights) (*Params, error) {
	fail := func(err error) (*Params, error) { return nil, fmt.Errorf("training: %s: %w", m.Name, err) }
	m, err := w.Adapt(m)
	if err != nil {
		return nil, err
	}
	params, err := m.Params()
	if err != nil {
		return nil, err
	}
	if len(params) == 0 {
		return fail(errors.New("no layer has weights"))
	}
	p := &Params{model: m, index: map[string]int{}}
	shared, isShared := graph.SharedOf(w)
	for i, param := range params {
		l, err := w.Layer(param)
		if err != nil {
			return fail(err)
		}
		v, err := newValues(param, l)
		if err == nil && isShared {
			if codebook, codes, ok := shared.Codebook(param); ok {
				err = v.share(codebook, codes)
			}
		}
		if err != nil {
			return fail(fmt.Errorf("layer %s: %w", param.Node, err))
		}
		p.layers = append(p.layers, v)
		p.index[param.Node] = i
	}
	return p, nil
}

// newValues copies the weights of a layer.
func newValues(p graph.Param, l kernels.Weights) (values, error) {
	weights, biases := p.Dims[0]*p.Dims[1]*p.Dims[2]*p.Dims[3], p.Dims[0]
	switch {
	case l.Scales != nil:
		return values{}, errors.New("its weights are quantized, expected float32")
	case len(l.Values) != weights || l.Bias != nil && len(l.Bias) != biases:
		return values{}, fmt.Errorf("%d weights and %d biases, expected %d and %d", len(l.Values), len(l.Bias), weights, biases)
	}
	v := values{Param: p, all: make([]float32, weights+biases)}
	copy(v.all, l.Values)
	copy(v.all[weights:], l.Bias)
	return v, nil
}

// share ties the weights to a codebook, whose values they must have.
func (v *values) share(codebook []float32, codes []uint8) error {
	if len(codes) != v.weights() || len(codebook) == 0 || codebook[0] != 0 {
		return fmt.Errorf("%d codes for %d values, expected %d for at least one, of which the first is 0", len(codes), len(codebook), v.weights())
	}
	for i, code := range codes {
		if int(code) >= len(codebook) || codebook[code] != v.all[i] {
			return fmt.Errorf("weight %d is %g, which is not value %d of its codebook", i, v.all[i], code)
		}
	}
	v.codebook, v.codes = slices.Clone(codebook), slices.Clone(codes)
	return nil
}

// Model returns the model that the weights are for.
func (p *Params) Model() *graph.Model { return p.model }

// Adapt implements [graph.Weights]. It returns m if the layers with weights are those of p's model.
func (p *Params) Adapt(m *graph.Model) (*graph.Model, error) {
	params, err := m.Params()
	if err != nil {
		return nil, err
	}
	for i, want := range params {
		if j, ok := p.index[want.Node]; !ok || p.layers[j].Param != want {
			return nil, fmt.Errorf("training: weights of %s do not fit the model %s: layer %s with weights %v is number %d", p.model.Name, m.Name, want.Node, want.Dims, i)
		}
	}
	if len(params) != len(p.layers) {
		return nil, fmt.Errorf("training: weights of %s, which are of %d layers, do not fit the model %s, where %d have some", p.model.Name, len(p.layers), m.Name, len(params))
	}
	return m, nil
}

// Layer implements [graph.Weights]. What it returns shares memory with p. It does not allocate.
func (p *Params) Layer(param graph.Param) (kernels.Weights, error) {
	i, ok := p.index[param.Node]
	if !ok || p.layers[i].Param != param {
		return kernels.Weights{}, fmt.Errorf("training: weights of %s have no layer %s with weights %v", p.model.Name, param.Node, param.Dims)
	}
	v := &p.layers[i]
	n := v.weights()
	return kernels.Weights{Values: v.all[:n:n], Bias: v.all[n:]}, nil
}

// Codebook implements [graph.Shared].
func (p *Params) Codebook(param graph.Param) (codebook []float32, codes []uint8, ok bool) {
	i, ok := p.index[param.Node]
	if !ok || p.layers[i].Param != param || p.layers[i].codebook == nil {
		return nil, nil, false
	}
	return p.layers[i].codebook, p.layers[i].codes, true
}

// Mask makes weights zero and lets them stay so, as those that were pruned must: kept says of a node's weights which may
// be other than zero. Nodes that it does not name are not changed. A compression.Mask is such a mask.
func (p *Params) Mask(kept map[string][]bool) error {
	for node, k := range kept {
		i, ok := p.index[node]
		if !ok {
			return fmt.Errorf("training: mask: %s has no layer %s with weights", p.model.Name, node)
		}
		if n := p.layers[i].weights(); len(k) != n {
			return fmt.Errorf("training: mask of layer %s: of %d weights, expected %d", node, len(k), n)
		}
	}
	for node, k := range kept {
		p.layers[p.index[node]].mask(k)
	}
	return nil
}

// mask implements Mask. Where nothing is masked, there is no mask; a codebook has its zeros already.
func (v *values) mask(kept []bool) {
	if !slices.Contains(kept, false) {
		return
	}
	v.kept = slices.Clone(kept)
	for i, keep := range kept {
		if !keep {
			v.all[i] = 0
			if v.codes != nil {
				v.codes[i] = 0
			}
		}
	}
}

// Tie lets weights that are equal stay so, as those must that were shared, of files that do not say so: in layers that have
// at most 255 values besides 0, each for two weights or more on average. Layers that have a codebook keep it.
func (p *Params) Tie() {
	for i := range p.layers {
		p.layers[i].tie()
	}
}

const maxShared = 255 // values besides 0 that have a code of a byte

// tie implements Tie.
func (v *values) tie() {
	if v.codebook != nil {
		return
	}
	weights := v.all[:v.weights()]
	codebook, places := []float32{0}, map[float32]uint8{0: 0}
	others := 0 // weights other than 0
	for _, w := range weights {
		if w != 0 {
			others++
		}
		if _, ok := places[w]; !ok {
			if len(codebook) > maxShared {
				return
			}
			places[w] = uint8(len(codebook))
			codebook = append(codebook, w)
		}
	}
	if others < 2*(len(codebook)-1) || others == 0 {
		return
	}
	v.codebook, v.codes = codebook, make([]uint8, len(weights))
	for i, w := range weights {
		v.codes[i] = places[w]
	}
}
