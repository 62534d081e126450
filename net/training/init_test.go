package training

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/squeezenet"
	"firebench/net/weights"
)

// moments returns the mean and the standard deviation, and the largest |value|.
func moments(values []float32) (mean, deviation, most float64) {
	for _, x := range values {
		mean += float64(x) / float64(len(values))
		most = max(most, math.Abs(float64(x)))
	}
	for _, x := range values {
		deviation += (float64(x) - mean) * (float64(x) - mean) / float64(len(values))
	}
	return mean, math.Sqrt(deviation), most
}

// TestInitMoments: weights have the mean 0 and the standard deviation of their distribution, within four standard errors, and
// its limits. Biases are 0. Seeds, names and dimensions make other weights, and nothing else does.
func TestInitMoments(t *testing.T) {
	p := graph.Param{Node: "conv", Dims: [4]int{128, 16, 3, 3}}
	const fanIn, n = 144, 128 * 144
	for _, c := range []struct {
		name            string
		init            Initializer
		deviation, most float64
	}{
		{"xavier", Xavier, math.Sqrt(1. / fanIn), math.Sqrt(3. / fanIn)},
		{"he", He, math.Sqrt(2. / fanIn), math.Inf(1)},
		{"gaussian", Gaussian(0.01), 0.01, math.Inf(1)},
		{"orthonormal", Orthonormal, math.Sqrt(1. / fanIn), 1},
	} {
		w := Initial(3, func(graph.Param) Initializer { return c.init })
		l, err := w.Layer(p)
		if err != nil {
			t.Fatal(err)
		}
		mean, deviation, most := moments(l.Values)
		if math.Abs(mean) > 4*c.deviation/math.Sqrt(n) || math.Abs(deviation/c.deviation-1) > 4/math.Sqrt(2*n) || most > c.most*1.0000001 {
			t.Errorf("%s: mean %g, standard deviation %g, largest %g, want 0, %g, %g", c.name, mean, deviation, most, c.deviation, c.most)
		}
		if c.name == "xavier" && most < 0.99*c.most {
			t.Errorf("xavier: largest %g, want up to %g", most, c.most)
		}
		if len(l.Bias) != 128 || slices.ContainsFunc(l.Bias, func(b float32) bool { return b != 0 }) {
			t.Errorf("%s: biases %v", c.name, l.Bias)
		}
		again, _ := w.Layer(p)
		if !slices.Equal(again.Values, l.Values) {
			t.Errorf("%s: the second time other weights", c.name)
		}
		for _, other := range []struct {
			seed uint64
			p    graph.Param
		}{{4, p}, {3, graph.Param{Node: "conw", Dims: p.Dims}}, {3, graph.Param{Node: "conv", Dims: [4]int{128, 144, 1, 1}}}} {
			o, _ := Initial(other.seed, func(graph.Param) Initializer { return c.init }).Layer(other.p)
			if slices.Equal(o.Values[:8], l.Values[:8]) {
				t.Errorf("%s: seed %d, %v: the same weights as seed 3, %v", c.name, other.seed, other.p, p)
			}
		}
	}
}

// TestOrthonormal: the channels' weights have length 1 and are orthogonal, as many as there are dimensions.
func TestOrthonormal(t *testing.T) {
	for _, d := range [][2]int{{4, 9}, {9, 4}, {7, 1}, {300, 280}} {
		out, fanIn := d[0], d[1]
		if testing.Short() && out > 256 {
			continue
		}
		l, err := Initial(1, func(graph.Param) Initializer { return Orthonormal }).Layer(graph.Param{Node: "conv", Dims: [4]int{out, fanIn, 1, 1}})
		if err != nil {
			t.Fatal(err)
		}
		block := min(fanIn, 256)
		for i := range out {
			for j := i - i%block; j <= i; j++ {
				sum, want := 0.0, 0.0
				for k := range fanIn {
					sum += float64(l.Values[i*fanIn+k]) * float64(l.Values[j*fanIn+k])
				}
				if i == j {
					want = 1
				}
				if math.Abs(sum-want) > 1e-6 {
					t.Fatalf("%d×%d: product of channels %d and %d is %g, want %g", out, fanIn, i, j, sum, want)
				}
			}
		}
	}
}

// TestLSUV: the results of each layer have the variance 1 on the pictures, on branches, before a ReLU, and where two layers
// have the same weights, on the first.
func TestLSUV(t *testing.T) {
	conv := layer.Conv{Out: 6, Kernel: 3, Pad: kernels.Pad(1)}
	m := &graph.Model{Name: "net", Input: layer.Shape{H: 7, W: 9, C: 3}, Nodes: []graph.Node{
		{Name: "conv1", Layer: conv},
		{Name: "relu1", Layer: layer.ReLU{}},
		{Name: "conv2", Layer: conv},
		{Name: "conv3", Layer: conv, Inputs: []string{"relu1"}, Weights: "conv2"},
		{Name: "add", Layer: layer.Add{}, Inputs: []string{"conv2", "conv3"}},
		{Name: "relu2", Layer: layer.ReLU{}},
		{Name: "fc", Layer: layer.Dense{Out: 40}},
		{Name: "prob", Layer: layer.Softmax{}},
	}}
	pictures := kerneltest.Random(1, 5*7*9*3)
	for i := range pictures {
		pictures[i] = 100*pictures[i] + 50
	}
	p, err := LSUV(m, 1, pictures, graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range p.layers {
		got, err := resultVariance(upTo(m, l.Node), p, pictures, graph.Options{Batch: 5})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(got-1) > 1e-4 {
			t.Errorf("layer %s: variance %g, want 1", l.Node, got)
		}
	}
	for _, c := range []struct {
		pictures []float32
		want     string
	}{
		{nil, "training: LSUV: pictures of 0 values, expected a multiple of 189 for 7×9×3"},
		{make([]float32, 190), "training: LSUV: pictures of 190 values, expected a multiple of 189 for 7×9×3"},
		{make([]float32, 189), "training: LSUV: layer conv1: its results have the variance 0, expected more than 0"},
	} {
		if _, err := LSUV(m, 1, c.pictures, graph.Options{}); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// TestUpTo: the layers that a node needs, and another one for its weights alone.
func TestUpTo(t *testing.T) {
	conv := layer.Conv{Out: 3, Kernel: 1}
	m := &graph.Model{Name: "net", Input: layer.Shape{H: 2, W: 2, C: 3}, Nodes: []graph.Node{
		{Name: "a", Layer: conv},
		{Name: "b", Layer: conv, Inputs: []string{graph.Input}},
		{Name: "c", Layer: conv, Inputs: []string{graph.Input}, Weights: "a"},
		{Name: "d", Layer: layer.Concat{}, Inputs: []string{"a", "b", "c"}},
	}}
	for node, want := range map[string]string{"a": "[a] [a]", "c": "[a c] [c a]", "d": "[a b c d] [d]"} {
		part := upTo(m, node)
		if _, err := part.Infer(); err != nil {
			t.Error(err)
		}
		var names []string
		for _, n := range part.Nodes {
			names = append(names, n.Name)
		}
		if got := fmt.Sprint(names, part.Outputs); got != want {
			t.Errorf("up to %s: %s, want %s", node, got, want)
		}
	}
}

// TestNewHead: the last layer has the new classes and new weights, the others keep theirs, and what they share.
func TestNewHead(t *testing.T) {
	m := squeezenet.Models()[0]
	old := weights.Random(1)
	c, w, err := NewHead(5, 7, Gaussian(0.01)).Apply(m, old)
	if err != nil {
		t.Fatal(err)
	}
	p := newParams(t, c, w)
	infos, err := c.Infer()
	if err != nil {
		t.Fatal(err)
	}
	if got := infos[len(infos)-1].Out; got.C != 5 {
		t.Errorf("the result is %v, want 5 classes", got)
	}
	for _, l := range p.layers {
		was, _ := old.Layer(l.Param)
		if same := slices.Equal(was.Values, l.all[:l.weights()]); same != (l.Node != "conv10") {
			t.Errorf("layer %s: same weights is %v", l.Node, same)
		}
	}
	conv10 := p.layers[len(p.layers)-1]
	if _, deviation, _ := moments(conv10.all[:conv10.weights()]); math.Abs(deviation-0.01) > 0.001 || conv10.all[5*512] != 0 {
		t.Errorf("conv10: standard deviation %g, bias %g", deviation, conv10.all[5*512])
	}

	m = dense(2, 1, 2)
	s := shared{stored{"fc1": {Values: []float32{3, 0}}, "fc2": {Values: []float32{1, 2}}}, []float32{0, 3}, []uint8{1, 0}}
	if c, w, err = NewHead(3, 1, He).Apply(m, s); err != nil {
		t.Fatal(err)
	}
	p = newParams(t, c, w)
	if p.layers[0].codes == nil || p.layers[1].codes != nil {
		t.Error("codebooks got lost, or the new head has one")
	}

	two := dense(2, 1, 2)
	two.Nodes[1].Weights = "fc1"
	two.Nodes[1].Layer = layer.Dense{Out: 1}
	two.Nodes[1].Inputs = []string{graph.Input}
	two.Outputs = []string{"fc2", "fc1"}
	for _, c := range []struct {
		m       *graph.Model
		classes int
		want    string
	}{
		{m, 1, "training: dense: new head: 1 classes, expected 2 or more"},
		{&graph.Model{Name: "none", Input: m.Input, Nodes: []graph.Node{{Name: "relu", Layer: layer.ReLU{}}}}, 3, "training: none: no layer has weights, expected one that scores classes"},
		{&graph.Model{Name: "sum", Input: m.Input, Nodes: append(dense(2, 2, 2).Nodes, graph.Node{Name: "add", Layer: layer.Add{}, Inputs: []string{"fc1", "fc2"}})}, 3, "training: sum: node add has 2 inputs, expected one on the way from the scores of classes to the result"},
		{two, 3, "training: dense: new head: graph: dense: node fc2: weights of fc1: they are [1 2 1 1], expected [3 2 1 1]"},
	} {
		if _, _, err := NewHead(c.classes, 1, He).Apply(c.m, weights.Random(1)); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}
