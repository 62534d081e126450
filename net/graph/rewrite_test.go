package graph_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/weights"
)

// halve is a Rewrite. It replaces each dense layer by two: one with twice the outputs, which
// computes half of each output twice, and one that adds up the two halves.
func halve(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
	m = m.Clone()
	for _, n := range slices.Clone(m.Nodes) {
		dense, ok := n.Layer.(layer.Dense)
		if !ok {
			continue
		}
		err := m.Replace(n.Name,
			graph.Node{Name: n.Name + ".a", Layer: layer.Dense{Out: 2 * dense.Out}},
			graph.Node{Name: n.Name + ".b", Layer: dense})
		if err != nil {
			return nil, nil, err
		}
	}
	return m, halved{w}, nil
}

// halved are the weights of a model that halve made. Layer .a has half of the old weights, twice;
// layer .b has ones where the two halves of an output are added up, and the old biases.
type halved struct{ graph.Weights }

func (h halved) Layer(p graph.Param) (kernels.Weights, error) {
	if name, ok := strings.CutSuffix(p.Node, ".a"); ok {
		p.Node, p.Dims[0] = name, p.Dims[0]/2
		w, err := h.Weights.Layer(p)
		w.Values, w.Bias = slices.Concat(w.Values, w.Values), nil
		for i := range w.Values {
			w.Values[i] /= 2
		}
		return w, err
	}
	name, ok := strings.CutSuffix(p.Node, ".b")
	if !ok {
		return h.Weights.Layer(p)
	}
	out := p.Dims[0]
	w, err := h.Weights.Layer(graph.Param{Node: name, Dims: [4]int{out, 6, 1, 1}})
	w.Values = make([]float32, out*2*out)
	for o := range out {
		w.Values[o*2*out+o], w.Values[o*2*out+out+o] = 1, 1
	}
	return w, err
}

// TestRewrite checks that a rewritten model compiles, runs and computes what the old model does.
func TestRewrite(t *testing.T) {
	var rewrite graph.Rewrite = halve
	m := small(layer.Shape{H: 1, W: 1, C: 6}, node("f", layer.Dense{Out: 4}), node("r", relu), node("g", layer.Concat{}, "r", "r"))
	m.Head, m.Outputs = "f", []string{"g", "r"}
	before := m.Clone()
	w := weights.Random(1)
	rewritten, rw, err := rewrite.Apply(m, w)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m, before) {
		t.Errorf("the rewrite changed its model to %+v", m)
	}
	if rewritten.Head != "f.a" {
		t.Errorf("the head begins with %s, want f.a", rewritten.Head)
	}
	old := compile(t, m, w, graph.Options{})
	run(t, old)
	p := compile(t, rewritten, rw, graph.Options{})
	run(t, p)
	var names []string
	for _, s := range p.Steps() {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "f.a f.b g" {
		t.Errorf("steps %s, want f.a f.b g", got)
	}
	for i, want := range old.Outputs() {
		kerneltest.Compare(t, fmt.Sprintf("output %d", i), p.Outputs()[i], dense(want), func(int) float64 { return 1e-5 })
	}
}

func TestReplaceErrors(t *testing.T) {
	m := small(image, node("a", conv), node("b", conv, "input"), node("s", layer.Add{}, "a", "b"))
	m.Nodes[1].Weights = "a"
	for name, want := range map[string]string{"x": "no node x", "a": "node b uses the weights of a"} {
		if err := m.Replace(name, node(name, conv)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Replace(%s): error %v, want %q", name, err, want)
		}
	}
	if err := m.Replace("s"); err == nil || !strings.Contains(err.Error(), "no nodes for s") {
		t.Errorf("nothing for s: error %v", err)
	}
}

// TestReplace: what a replacement reads, and what reads it.
func TestReplace(t *testing.T) {
	add := node("z", layer.Add{}, "b", "b")
	model := func(nodes ...graph.Node) *graph.Model {
		m := small(image, nodes...)
		m.Head, m.Outputs = "b", []string{"z", "b"}
		return m
	}
	for _, c := range []struct {
		what string
		old  graph.Node
		new  []graph.Node
		want []graph.Node
	}{
		{"it reads what the node read", node("b", conv, "input"), []graph.Node{node("c", conv), node("d", relu)},
			[]graph.Node{node("c", conv, "input"), node("d", relu)}},
		{"it says what it reads", node("b", conv, "input"), []graph.Node{node("c", conv, "a"), node("d", relu, "a")},
			[]graph.Node{node("c", conv, "a"), node("d", relu, "a")}},
		{"the node before", node("b", conv), []graph.Node{node("d", conv)}, []graph.Node{node("d", conv)}},
	} {
		m := model(node("a", conv), c.old, add)
		if err := m.Replace("b", c.new...); err != nil {
			t.Fatal(err)
		}
		want := small(image, slices.Concat([]graph.Node{node("a", conv)}, c.want, []graph.Node{node("z", layer.Add{}, "d", "d")})...)
		want.Head, want.Outputs = c.new[0].Name, []string{"z", "d"}
		if !reflect.DeepEqual(m, want) {
			t.Errorf("%s: %+v, want %+v", c.what, m, want)
		}
	}
	m := model(node("a", conv), node("b", conv, "a"), add)
	before := m.Clone()
	clone := m.Clone()
	clone.Outputs[0], clone.Nodes[1].Inputs[0], clone.Nodes[0].Name = "x", "x", "x"
	if !reflect.DeepEqual(m, before) {
		t.Errorf("a clone changes the model to %+v", m)
	}
}
