package graph

import (
	"fmt"
	"slices"
)

// A Rewrite makes a new model from m, and from w the weights of the new model's nodes. It
// quantizes, factorizes or prunes, or adds the nodes that compute gradients. It changes neither
// m nor w. The new model is compiled and runs like any other.
type Rewrite func(m *Model, w Weights) (*Model, Weights, error)

// Apply rewrites the model that w was trained for, see Weights.Adapt, and w. The new weights fit
// the new model as it is: a Rewrite need not adapt it, nor do the old weights have to know it.
func (r Rewrite) Apply(m *Model, w Weights) (*Model, Weights, error) {
	m, err := w.Adapt(m)
	if err != nil {
		return nil, nil, err
	}
	if m, w, err = r(m, adapted{w}); err != nil {
		return nil, nil, err
	}
	return m, adapted{w}, nil
}

// adapted are weights of a model that needs no adapting any more.
type adapted struct{ Weights }

func (adapted) Adapt(m *Model) (*Model, error) { return m, nil }

// Clone returns a copy of m that a Rewrite may change. It shares only the layers with m, which
// are values that nothing changes.
func (m *Model) Clone() *Model {
	c := *m
	c.Classes = slices.Clone(m.Classes)
	c.Outputs = slices.Clone(m.Outputs)
	c.Nodes = slices.Clone(m.Nodes)
	for i := range c.Nodes {
		c.Nodes[i].Inputs = slices.Clone(c.Nodes[i].Inputs)
	}
	return &c
}

// Replace puts nodes in the place of the node of that name, the old node. The first of nodes reads
// the old node's inputs unless it has Inputs of its own. Nodes and Outputs that named the old node
// as an input or output name the last of nodes, and if Head named it, Head names the first. Replace
// fails if there is no such node, or if other nodes use its weights.
func (m *Model) Replace(name string, nodes ...Node) error {
	at := slices.IndexFunc(m.Nodes, func(n Node) bool { return n.Name == name })
	if at < 0 {
		return fmt.Errorf("graph: %s: replace: there is no node %s", m.Name, name)
	}
	if len(nodes) == 0 {
		return fmt.Errorf("graph: %s: replace: no nodes for %s", m.Name, name)
	}
	for _, n := range m.Nodes {
		if n.Weights == name {
			return fmt.Errorf("graph: %s: replace: node %s uses the weights of %s", m.Name, n.Name, name)
		}
	}
	nodes = slices.Clone(nodes)
	if len(nodes[0].Inputs) == 0 {
		nodes[0].Inputs = slices.Clone(m.Nodes[at].Inputs)
	}
	last := nodes[len(nodes)-1].Name
	rename := func(names []string) {
		for i := range names {
			if names[i] == name {
				names[i] = last
			}
		}
	}
	rename(m.Outputs)
	for i := range m.Nodes {
		rename(m.Nodes[i].Inputs)
	}
	if m.Head == name {
		m.Head = nodes[0].Name
	}
	m.Nodes = slices.Replace(m.Nodes, at, at+1, nodes...)
	return nil
}
