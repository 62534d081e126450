package graph_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// pointwise keeps the shape of image.
var pointwise = layer.Conv{Out: 3, Kernel: 1}

// using is a node that uses the weights of another one.
func using(owner string, n graph.Node) graph.Node {
	n.Weights = owner
	return n
}

// A total is a Reduction that keeps the shape of its input. Only its shape matters.
type total struct{ layer.WeightGradient }

func (total) Op() string { return "total" }

func (total) OutShape(in []layer.Shape) (layer.Shape, error) { return in[0], nil }

func (total) Cost([]layer.Shape) kernels.Cost { return kernels.Cost{} }

func TestInferErrors(t *testing.T) {
	tests := []struct {
		name  string
		model *graph.Model
		want  string
	}{
		{"no name", &graph.Model{Input: image, Nodes: []graph.Node{node("a", relu)}}, "graph: model: the name is empty"},
		{"bad model name", &graph.Model{Name: "net-1", Input: image, Nodes: []graph.Node{node("a", relu)}}, `graph: model: name "net-1"`},
		{"no nodes", small(image), "graph: small: no nodes"},
		{"empty input", small(layer.Shape{H: 9, W: 0, C: 3}, node("a", relu)), "graph: small: input: shape 9×0×3 is empty"},
		{"huge input", small(layer.Shape{H: 1 << 30, W: 1 << 30, C: 3}, node("a", relu)), "graph: small: input: shape"},
		{"empty name", small(image, node("", relu)), "node 0: the name is empty"},
		{"slash", small(image, node("fire2/add", relu)), `node 0: name "fire2/add"`},
		{"space", small(image, node("a b", relu)), `node 0: name "a b"`},
		{"control character", small(image, node("a\x00", relu)), `node 0: name "a\x00"`},
		{"procs suffix", small(image, node("relu-12", relu)), `node 0: name "relu-12": expected no -digits`},
		{"only a suffix", small(image, node("-1", relu)), `node 0: name "-1"`},
		{"duplicate", small(image, node("a", relu), node("a", relu)), "node 1: the name a is taken"},
		{"reserved", small(image, node("input", relu)), "node 0: the name input is taken"},
		{"no layer", small(image, node("a", nil)), "node a: it has no layer"},
		{"unknown input", small(image, node("a", relu, "b")), `node a: unknown input "b"`},
		{"cycle of one", small(image, node("a", relu, "a")), "node a: it reads its own result"},
		{"cycle of two", small(image, node("a", relu, "b"), node("b", relu, "a")), "node a: input b comes later"},
		{"forward reference", small(image, node("a", relu, "b"), node("b", relu, "input")), "node a: input b comes later"},
		{"dead node", small(image, node("a", relu), node("b", relu, "input")), "node a: nothing reads its result"},
		{"unknown head", &graph.Model{Name: "small", Input: image, Head: "fc", Nodes: []graph.Node{node("a", relu)}}, "head: there is no node fc"},
		{"input as head", &graph.Model{Name: "small", Input: image, Head: "input", Nodes: []graph.Node{node("a", relu)}}, "head: there is no node input"},
		{"classes", &graph.Model{Name: "small", Input: image, Classes: []string{"x"}, Nodes: []graph.Node{node("a", conv)}}, "1 classes and an output of 9×11×4"},
		{"groups", small(image, node("a", conv), node("b", layer.Conv{Out: 4, Kernel: 1, Groups: 3})), "node b: conv1x1: convolution: 3 groups"},
		{"channel mismatch", small(image, node("a", conv), node("b", layer.Add{}, "a", "input")), "node b: add: inputs 9×11×4 and 9×11×3 differ"},
		{"size mismatch", small(image, node("a", layer.MaxPool{Kernel: 2}), node("b", layer.Concat{}, "a", "input")), "node b: concat: inputs 8×10×3 and 9×11×3 differ"},
		{"missing input", small(image, node("a", layer.Add{})), "node a: add: 1 inputs, expected 2"},
		{"images and a sum over them", small(image, node("a", pointwise), node("s", total{}), node("b", layer.Add{}, "a", "s")), "node b: of the inputs a and s, one is a sum over images"},
		{"a sum of sums", small(image, node("a", pointwise), node("s", total{}), node("t", total{})), "node t: total: input s is a sum over images already"},
		{"an input for a feed", small(image, node("a", layer.Placeholder{Shape: image}, "input")), "node a: placeholder: 1 inputs, expected none"},
		{"no part", small(image, node("a", layer.Slice{First: 2, C: 2})), "node a: slice: 2 channels from 2 on of 9×11×3"},
		{"transposed weights of nobody", small(image, node("a", layer.ConvGradient{Of: pointwise, In: image})), "node a: conv1x1: it uses another node's weights, but names none"},
		{"transposed weights that do not fit", small(image, node("a", pointwise), using("a", node("b", layer.ConvGradient{Of: pointwise, In: layer.Shape{H: 9, W: 11, C: 4}}))),
			"node b: weights of a: they are [3 3 1 1], expected [3 4 1 1]"},
		{"kernel too large", small(image, node("a", layer.Conv{Out: 4, Kernel: 12})), "node a: conv12x12: a 12×12 kernel does not fit"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.model.Infer()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Infer: error %v, want one with %q", err, test.want)
			}
			if _, perr := test.model.Params(); fmt.Sprint(perr) != fmt.Sprint(err) {
				t.Errorf("Params: error %v, Infer has %v", perr, err)
			}
			if _, cerr := graph.Compile(test.model, stored{}, graph.Options{}); fmt.Sprint(cerr) != fmt.Sprint(err) {
				t.Errorf("Compile: error %v, Infer has %v", cerr, err)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "fire2.expand3x3", "alexnet-owt", "net-1a", "12", "größe"} {
		m := small(image, node(name, relu))
		m.Name = name
		if _, err := m.Infer(); err != nil {
			t.Error(err)
		}
	}
}

func TestStages(t *testing.T) {
	m := small(layer.Shape{H: 12, W: 12, C: 3},
		node("blur", layer.AvgPool{Kernel: 3, Pad: kernels.Pad(1)}),
		node("conv1", conv),
		node("relu1", relu),
		node("norm1", layer.LRN{Size: 3, Alpha: 1, Beta: 0.75, K: 1}),
		node("pool1", layer.MaxPool{Kernel: 2, Stride: 2}),
		node("conv2", conv),
		node("relu2", relu),
		node("pool2", layer.MaxPool{Kernel: 3, Stride: 3}),
		node("fc", layer.Dense{Out: 5}),
		node("prob", layer.Softmax{}),
	)
	stages := func() string {
		t.Helper()
		infos, err := m.Infer()
		if err != nil {
			t.Fatal(err)
		}
		var s []string
		for _, n := range infos {
			s = append(s, n.Stage)
		}
		return strings.Join(s, " ")
	}
	if got, want := stages(), "stem stem stem 12 6 6 6 2 1 1"; got != want {
		t.Errorf("stages are %s, want %s", got, want)
	}
	m.Head = "fc"
	if got, want := stages(), "stem stem stem 12 6 6 6 2 head head"; got != want {
		t.Errorf("stages are %s, want %s", got, want)
	}
	m.Input.W = 18
	if got, want := stages(), "stem stem stem 12x18 6x9 6x9 6x9 2x3 head head"; got != want {
		t.Errorf("stages are %s, want %s", got, want)
	}
}

func TestParams(t *testing.T) {
	m := small(image,
		node("conv", layer.Conv{Out: 6, Kernel: 3, Groups: 3}),
		node("pool", layer.MaxPool{Kernel: 2, Stride: 2}),
		node("fc1", layer.Dense{Out: 5}),
		node("fc2", layer.Dense{Out: 7}),
	)
	got, err := m.Params()
	want := []graph.Param{
		{Node: "conv", Dims: [4]int{6, 1, 3, 3}},
		{Node: "fc1", Dims: [4]int{5, 6, 3, 4}},
		{Node: "fc2", Dims: [4]int{7, 5, 1, 1}},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Params() = %v, %v, want %v", got, err, want)
	}
}

func TestInfer(t *testing.T) {
	got, err := small(image, node("a", conv), node("b", layer.Concat{}, "a", "input")).Infer()
	if err != nil {
		t.Fatal(err)
	}
	a := layer.Shape{H: 9, W: 11, C: 4}
	want := []graph.Info{
		{Name: "a", Layer: conv, In: []layer.Shape{image}, Out: a, Stage: "stem", Pass: layer.Forward, Cost: conv.Cost([]layer.Shape{image})},
		{Name: "b", Layer: layer.Concat{}, In: []layer.Shape{a, image}, Out: layer.Shape{H: 9, W: 11, C: 7}, Stage: "9x11", Pass: layer.Forward, Cost: layer.Concat{}.Cost([]layer.Shape{a, image})},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Infer() =\n%+v, want\n%+v", got, want)
	}
}
