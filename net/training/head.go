package training

import (
	"fmt"
	"slices"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// NewHead returns the rewrite that gives a network other classes: the last layer with weights before the main output gets that many
// output channels, new weights, and biases of 0. All other weights stay.
func NewHead(classes int, seed uint64, by Initializer) graph.Rewrite {
	return func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
		fail := func(err error) (*graph.Model, graph.Weights, error) {
			return nil, nil, fmt.Errorf("training: %s: new head: %w", m.Name, err)
		}
		if classes < 2 {
			return fail(fmt.Errorf("%d classes, expected 2 or more", classes))
		}
		at, err := Head(m)
		if err != nil {
			return nil, nil, err
		}
		c := m.Clone()
		node := &c.Nodes[at]
		switch l := node.Layer.(type) {
		case layer.Conv:
			l.Out = classes
			node.Layer = l
		case layer.Dense:
			l.Out = classes
			node.Layer = l
		}
		params, err := c.Params()
		if err != nil {
			return fail(err)
		}
		i := slices.IndexFunc(params, func(p graph.Param) bool { return p.Node == node.Name })
		if i < 0 {
			return fail(fmt.Errorf("layer %s has the weights of %s", node.Name, node.Weights))
		}
		head, err := Initial(seed, func(graph.Param) Initializer { return by }).Layer(params[i])
		if err != nil {
			return fail(err)
		}
		return c, newHead{w, params[i], head}, nil
	}
}

// Head returns the index of the node of m whose results are the scores of classes, before poolings and a softmax: the last
// one with weights.
func Head(m *graph.Model) (int, error) {
	nodes := inputsNamed(m)
	name := nodes[len(nodes)-1].Name
	if len(m.Outputs) > 0 {
		name = m.Outputs[0]
	}
	for {
		i := slices.IndexFunc(nodes, func(n graph.Node) bool { return n.Name == name })
		if i < 0 {
			return 0, fmt.Errorf("training: %s: no layer has weights, expected one that scores classes", m.Name)
		}
		n := nodes[i]
		switch n.Layer.(type) {
		case layer.Conv, layer.Dense:
			return i, nil
		}
		if len(n.Inputs) != 1 {
			return 0, fmt.Errorf("training: %s: node %s has %d inputs, expected one on the way from the scores of classes to the result", m.Name, n.Name, len(n.Inputs))
		}
		name = n.Inputs[0]
	}
}

// newHead are weights of which one layer is new.
type newHead struct {
	graph.Weights
	param graph.Param
	head  kernels.Weights
}

// Layer implements graph.Weights.
func (w newHead) Layer(p graph.Param) (kernels.Weights, error) {
	if p == w.param {
		return w.head, nil
	}
	return w.Weights.Layer(p)
}

// Codebook implements graph.Shared: what the other weights share they go on sharing.
func (w newHead) Codebook(p graph.Param) (codebook []float32, codes []uint8, ok bool) {
	if s, ok := graph.SharedOf(w.Weights); ok && p != w.param {
		return s.Codebook(p)
	}
	return nil, nil, false
}
