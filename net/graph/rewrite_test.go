package graph_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/weights"
)

// halve is a Rewrite: it splits each dense layer into one of its first weights to rank outputs, and
// one that adds up pairs of these.
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

// halved answers for what halve makes: a holds every row of weights twice, halved, and b adds them up.
type halved struct{ graph.Weights }

func (h halved) Layer(p graph.Param) (w, b []float32, err error) {
	if name, ok := strings.CutSuffix(p.Node, ".a"); ok {
		p.Node, p.Dims[0] = name, p.Dims[0]/2
		w, _, err = h.Weights.Layer(p)
		w = slices.Concat(w, w)
		for i := range w {
			w[i] /= 2
		}
		return w, make([]float32, 2*p.Dims[0]), err
	}
	name, ok := strings.CutSuffix(p.Node, ".b")
	if !ok {
		return h.Weights.Layer(p)
	}
	out := p.Dims[0]
	w = make([]float32, out*2*out)
	for o := range out {
		w[o*2*out+o], w[o*2*out+out+o] = 1, 1
	}
	_, b, err = h.Weights.Layer(graph.Param{Node: name, Dims: [4]int{out, 6, 1, 1}})
	return w, b, err
}

// TestRewrite: a rewritten model compiles and runs like any other, in the old one's place.
func TestRewrite(t *testing.T) {
	var rewrite graph.Rewrite = halve
	m := small(layer.Shape{H: 1, W: 1, C: 6}, node("f", layer.Dense{Out: 4}), node("r", relu), node("g", layer.Concat{}, "r", "r"))
	m.Head, m.Outputs = "f", []string{"g", "r"}
	before := m.Clone()
	w := weights.Random(1)
	rewritten, rw, err := rewrite(m, w)
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

// TestOutputs: every output keeps its values to the end of a run, as it is before an
// activation that follows, and Output is the first.
func TestOutputs(t *testing.T) {
	m := small(image, node("a", conv), node("r", relu), node("b", conv), node("c", conv), node("z", layer.Concat{}, "b", "c"), node("p", layer.Softmax{}))
	w := random(t, m)
	keep := small(image, slices.Clone(m.Nodes)...)
	for _, outputs := range [][]string{{"p"}, {"p", "a"}, {"a", "r", "p"}, {"p", "b", "c"}, {"z", "p"}} {
		m.Outputs = outputs
		p := compile(t, m, w, graph.Options{})
		run(t, p)
		keep.Outputs = outputs
		all := compile(t, keep, w, graph.Options{KeepAll: true})
		run(t, all)
		views := p.Outputs()
		if len(views) != len(outputs) {
			t.Fatalf("%q: %d outputs", outputs, len(views))
		}
		for i, name := range outputs {
			want, ok := all.Node(name)
			if !ok {
				t.Fatalf("no node %s", name)
			}
			if got := dense(views[i]); !slices.Equal(got, dense(want)) {
				t.Errorf("%q: output %s differs from the node", outputs, name)
			}
			if name == "a" && !slices.ContainsFunc(dense(views[i]), func(v float64) bool { return v < 0 }) {
				t.Errorf("%q: the values of a are rectified", outputs)
			}
		}
		if !slices.Equal(dense(p.Output()), dense(views[0])) {
			t.Errorf("%q: Output is not the first", outputs)
		}
		logits := p.Logits()
		if outputs[0] == "p" && logits.C != 8 || outputs[0] != "p" && !slices.Equal(dense(logits), dense(views[0])) {
			t.Errorf("%q: the logits have %d channels", outputs, logits.C)
		}
	}
	for _, outputs := range [][]string{{"x"}, {"input"}, {"p", "p"}, {"a"}} {
		m.Outputs = outputs
		if _, err := m.Infer(); err == nil {
			t.Errorf("outputs %q: no error", outputs)
		}
	}
}

// TestSharedWeights: nodes that share weights give what nodes with copies of them give, and
// the weights are asked for, packed and counted once.
func TestSharedWeights(t *testing.T) {
	nodes := []graph.Node{
		node("a", layer.Conv{Out: 3, Kernel: 3, Pad: 1}), node("r", relu),
		node("b", layer.Conv{Out: 3, Kernel: 3, Pad: 1}), node("s", relu),
		node("c", layer.Conv{Out: 3, Kernel: 3, Stride: 2}), node("d", layer.Conv{Out: 3, Kernel: 3, Pad: 1}),
	}
	m := small(image, nodes...)
	copies := random(t, m)
	for _, n := range []string{"b", "c", "d"} {
		copies[n] = copies["a"]
	}
	want := compile(t, m, copies, graph.Options{})
	run(t, want)
	shared := small(image, slices.Clone(nodes)...)
	for _, i := range []int{2, 4, 5} {
		shared.Nodes[i].Weights = "a"
	}
	p := compile(t, shared, once{stored{"a": copies["a"]}, map[string]bool{}}, graph.Options{})
	run(t, p)
	if !slices.Equal(dense(p.Output()), dense(want.Output())) {
		t.Error("shared weights and copies give different results")
	}
	// a and b are the same problem: there are three packed forms for four nodes.
	if got, all := p.WeightBytes(), want.WeightBytes(); got >= all {
		t.Errorf("%d bytes of weights, %d with copies", got, all)
	}
	params, err := shared.Params()
	if err != nil || len(params) != 1 || params[0].Node != "a" {
		t.Errorf("parameters %v, %v, want those of a", params, err)
	}
	total := int64(0)
	for _, s := range p.Steps() {
		total += s.Cost.Params
	}
	if total != 3*3*9+3 {
		t.Errorf("%d parameters, want %d", total, 3*3*9+3)
	}
	for what, change := range map[string]func(m *graph.Model){
		"expected an earlier node":      func(m *graph.Model) { m.Nodes[0].Weights = "d" },
		"with weights of its own":       func(m *graph.Model) { m.Nodes[4].Weights = "b" },
		"weights of a: relu has none":   func(m *graph.Model) { m.Nodes[1].Weights = "a" },
		"they are [3 3 3 3], expected":  func(m *graph.Model) { m.Nodes[2].Layer = layer.Conv{Out: 3, Kernel: 1} },
		`weights of "r": expected`:      func(m *graph.Model) { m.Nodes[2].Weights = "r" },
		`weights of "nobody": expected`: func(m *graph.Model) { m.Nodes[2].Weights = "nobody" },
	} {
		bad := shared.Clone()
		change(bad)
		if _, err := bad.Infer(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("error %v, want one with %q", err, what)
		}
	}
}

// once are weights that are asked for no more than once.
type once struct {
	stored
	asked map[string]bool
}

func (o once) Layer(p graph.Param) (w, b []float32, err error) {
	if o.asked[p.Node] {
		return nil, nil, fmt.Errorf("asked for %s again", p.Node)
	}
	o.asked[p.Node] = true
	return o.stored.Layer(p)
}

func (o once) Adapt(m *graph.Model) *graph.Model { return m }
