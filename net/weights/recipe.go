package weights

import (
	"fmt"
	"reflect"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// A recipe says in what a model as it was trained differs from the table of its name. What
// a recipe does not say stays as it is in the table.
type recipe struct {
	height, width int                        // of the input
	preprocessor  string                     // what turns a picture into the input that the weights expect
	padding       map[string]kernels.Padding // of convolutions, by node
	ceil          map[string]bool            // whether poolings round sizes up, by node
}

// apply returns a copy of m by the recipe.
func (r recipe) apply(m *graph.Model) *graph.Model {
	c := m.Clone()
	if r.height > 0 {
		c.Input.H, c.Input.W = r.height, r.width
	}
	if r.preprocessor != "" {
		c.Preprocessor = r.preprocessor
	}
	for i, n := range c.Nodes {
		pad, padded := r.padding[n.Name]
		ceil, rounded := r.ceil[n.Name]
		switch l := n.Layer.(type) {
		case layer.Conv:
			if padded {
				l.Pad = pad
			}
			c.Nodes[i].Layer = l
		case layer.MaxPool:
			if rounded {
				l.Ceil = ceil
			}
			c.Nodes[i].Layer = l
		case layer.AvgPool:
			if rounded {
				l.Ceil = ceil
			}
			c.Nodes[i].Layer = l
		}
	}
	return c
}

// adapt is apply for weights of a published network. It is an error if m is another one.
func (r recipe) adapt(m, network *graph.Model) (*graph.Model, error) {
	adapted := r.apply(m)
	if at, ok := difference(adapted.Nodes, r.apply(network).Nodes); ok {
		return nil, fmt.Errorf("weights of %s do not fit the model %s, which differs from %q on", network.Name, m.Name, at)
	}
	return adapted, nil
}

// difference returns the name of the first node in which got and want differ, and whether there
// is such a node.
func difference(got, want []graph.Node) (at string, ok bool) {
	for i, n := range got {
		if i >= len(want) || !reflect.DeepEqual(n, want[i]) {
			return n.Name, true
		}
	}
	if len(got) < len(want) {
		return want[len(got)].Name, true
	}
	return "", false
}
