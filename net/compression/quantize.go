package compression

import (
	"fmt"
	"slices"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// Options say how [Quantize] works.
type Options struct {
	Keep       []string // the nodes that stay float32
	WeightBits int      // 8 or 7: weights are from -127 to 127, or from -63 to 63; 0 means 8
}

// Check returns an error unless o fits m: Keep must name nodes of it.
func (o Options) Check(m *graph.Model) error {
	if o.WeightBits != 0 && o.WeightBits != 8 && o.WeightBits != 7 {
		return fmt.Errorf("weights of %d bits, expected 8 or 7", o.WeightBits)
	}
	for _, name := range o.Keep {
		if !slices.ContainsFunc(m.Nodes, func(n graph.Node) bool { return n.Name == name }) {
			return fmt.Errorf("keep: there is no node %s", name)
		}
	}
	return nil
}

// limit returns the largest integer of a weight.
func (o Options) limit() float32 {
	if o.WeightBits == 7 {
		return 63
	}
	return 127
}

// IsQuantized reports whether any value of a network, whose nodes infos describes, is quantized.
func IsQuantized(infos []graph.Info) bool {
	return slices.ContainsFunc(infos, func(i graph.Info) bool { return i.Out.Type.Element != kernels.Float32 })
}

// Quantize returns the rewrite that quantizes a float32 network with c, a calibration of it. Layers
// with weights, sums and means give results of the types in c. Weights have a scale for each output
// channel, by which the largest becomes ±127 or ±63. A layer that keeps the type of its inputs, such
// as a pooling, computes with quantized values, too, unless all its inputs are float32.
//
// A value that is read in its other form is converted once: by a node x.quantize or x.dequantize,
// where x is the value's name. Outputs of the network are float32.
//
// The rewrite fails if c is not a calibration of the network, and if o does not fit it, see
// [Options.Check].
func Quantize(c *Calibration, o Options) graph.Rewrite {
	return func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
		fail := func(err error) (*graph.Model, graph.Weights, error) {
			return nil, nil, fmt.Errorf("compression: %s: %w", m.Name, err)
		}
		if err := o.Check(m); err != nil {
			return fail(err)
		}
		if err := c.Check(m); err != nil {
			return fail(fmt.Errorf("calibration: %w", err))
		}
		values, err := valuesOf(m)
		if err != nil {
			return fail(err)
		}
		q := quantizer{model: m.Clone(), types: map[string]kernels.Type{}, quantized: map[string]bool{}, converted: map[string]string{}}
		q.model.Nodes = nil
		for _, v := range c.Values {
			q.types[v.Name] = v.Type()
		}
		weighted := map[string]bool{} // whose weights quantized layers use
		for i, n := range m.Nodes {
			v := values[i+1]
			_, typed := n.Layer.(layer.Typed)
			if !slices.Contains(o.Keep, n.Name) && (typed || v.keepsType && slices.ContainsFunc(v.inputs, q.isQuantized)) {
				q.quantized[n.Name] = true
				if n.Weights != "" {
					weighted[n.Weights] = true
				} else {
					weighted[n.Name] = true
				}
			}
			q.add(n, v.inputs)
		}
		q.outputs()
		if _, err := q.model.Infer(); err != nil {
			return fail(err)
		}
		return q.model, scaled{w, weighted, o.limit()}, nil
	}
}

// A quantizer is a quantized model in the making.
type quantizer struct {
	model     *graph.Model
	types     map[string]kernels.Type
	quantized map[string]bool   // the values that are quantized, by name
	converted map[string]string // the nodes that convert values to the other form
}

func (q *quantizer) isQuantized(name string) bool { return q.quantized[name] }

// add appends a node that reads inputs, in the form that it needs.
func (q *quantizer) add(n graph.Node, inputs []string) {
	quantized := q.quantized[n.Name]
	n.Inputs = nil
	for _, in := range inputs {
		n.Inputs = append(n.Inputs, q.as(in, quantized))
	}
	if l, ok := n.Layer.(layer.Typed); ok && quantized {
		n.Layer = l.As(q.types[n.Name])
	}
	q.model.Nodes = append(q.model.Nodes, n)
}

// as returns the name of a value in quantized form, or as float32. It appends a node that converts
// the value, if that is necessary and there is none yet.
func (q *quantizer) as(name string, quantized bool) string {
	if q.quantized[name] == quantized {
		return name
	}
	if n, ok := q.converted[name]; ok {
		return n
	}
	n := graph.Node{Name: name + ".dequantize", Layer: layer.Dequantize{}, Inputs: []string{name}}
	if quantized {
		n.Name, n.Layer = name+".quantize", layer.Quantize{Type: q.types[name]}
	}
	q.model.Nodes = append(q.model.Nodes, n)
	q.converted[name] = n.Name
	return n.Name
}

// outputs makes the outputs float32.
func (q *quantizer) outputs() {
	if len(q.model.Outputs) == 0 {
		q.as(q.model.Nodes[len(q.model.Nodes)-1].Name, false) // the result is the last node
	}
	for i, name := range q.model.Outputs {
		q.model.Outputs[i] = q.as(name, false)
	}
}

// scaled are weights with scales for the layers that are quantized.
type scaled struct {
	graph.Weights
	quantized map[string]bool // by node
	limit     float32
}

// Layer implements graph.Weights.
func (s scaled) Layer(p graph.Param) (kernels.Weights, error) {
	w, err := s.Weights.Layer(p)
	if err != nil || !s.quantized[p.Node] {
		return w, err
	}
	k := p.Dims[1] * p.Dims[2] * p.Dims[3]
	if len(w.Values) != p.Dims[0]*k {
		return w, nil // graph.Compile says that they do not fit
	}
	w.Scales = make([]float32, p.Dims[0])
	for c := range w.Scales {
		largest := float32(0)
		for _, v := range w.Values[c*k : (c+1)*k] {
			largest = max(largest, v, -v)
		}
		w.Scales[c] = largest / s.limit
	}
	return w, nil
}
