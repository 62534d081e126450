package compression

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

// nodes describes the nodes of a model, each by its name, inputs and type.
func nodes(t *testing.T, m *graph.Model) []string {
	t.Helper()
	infos, err := m.Infer()
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for i, n := range infos {
		s = append(s, fmt.Sprintf("%s(%s) %v", n.Name, strings.Join(m.Nodes[i].Inputs, " "), n.Out.Type.Element))
	}
	return s
}

// TestQuantize has the nodes of tiny with some layers kept in float32, or none. An LRN and a softmax
// always are.
func TestQuantize(t *testing.T) {
	for _, test := range []struct {
		keep    []string
		outputs []string
		want    []string
	}{
		{nil, nil, []string{
			"input.quantize(input) u8", "a(input.quantize) u8", "a.relu(a) u8", "b(input.quantize) u8", "c(a.relu b) u8", "pool(c) u8", "drop(pool) u8",
			"drop.dequantize(drop) f32", "norm(drop.dequantize) f32", "norm.quantize(norm) u8", "sum(drop norm.quantize) u8", "mean(sum) u8", "d(mean) u8",
			"d.dequantize(d) f32", "prob(d.dequantize) f32",
		}},
		// A ReLU follows its convolution; a concatenation with one quantized input is quantized.
		{[]string{"a", "d"}, nil, []string{
			"a(input) f32", "a.relu(a) f32", "input.quantize(input) u8", "b(input.quantize) u8", "a.relu.quantize(a.relu) u8", "c(a.relu.quantize b) u8", "pool(c) u8", "drop(pool) u8",
			"drop.dequantize(drop) f32", "norm(drop.dequantize) f32", "norm.quantize(norm) u8", "sum(drop norm.quantize) u8", "mean(sum) u8",
			"mean.dequantize(mean) f32", "d(mean.dequantize) f32", "prob(d) f32",
		}},
		// No value is converted twice, nor one that nothing reads in the other form.
		{[]string{"a", "b", "mean"}, []string{"d", "prob", "sum", "mean"}, []string{
			"a(input) f32", "a.relu(a) f32", "b(input) f32", "c(a.relu b) f32", "pool(c) f32", "drop(pool) f32", "norm(drop) f32",
			"drop.quantize(drop) u8", "norm.quantize(norm) u8", "sum(drop.quantize norm.quantize) u8",
			"sum.dequantize(sum) f32", "mean(sum.dequantize) f32", "mean.quantize(mean) u8", "d(mean.quantize) u8", "d.dequantize(d) f32", "prob(d.dequantize) f32",
		}},
		{[]string{"a", "b", "sum", "mean", "d"}, nil, []string{
			"a(input) f32", "a.relu(a) f32", "b(input) f32", "c(a.relu b) f32", "pool(c) f32", "drop(pool) f32", "norm(drop) f32", "sum(drop norm) f32", "mean(sum) f32", "d(mean) f32", "prob(d) f32",
		}},
	} {
		m, w := tiny()
		m.Outputs, m.Head = test.outputs, "d"
		before := m.Clone()
		c := calibrate(t, m, w)
		q, _ := quantizeModel(t, c, Options{Keep: test.keep}, m, w)
		if got := nodes(t, q); !slices.Equal(got, test.want) {
			t.Errorf("keep %v: nodes\n%v, want\n%v", test.keep, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
		if !reflect.DeepEqual(m, before) {
			t.Fatalf("the rewrite changed its model to %+v", m)
		}
		if q.Head != "d" || q.Name != "tiny" {
			t.Errorf("model %s has the head %s", q.Name, q.Head)
		}
		want := slices.Clone(test.outputs)
		for i, name := range want {
			if name == "d" || name == "sum" {
				want[i] += ".dequantize"
			}
		}
		if !slices.Equal(q.Outputs, want) {
			t.Errorf("outputs %v, want %v", q.Outputs, want)
		}
		// Quantized values have the types of the calibration.
		infos, err := q.Infer()
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range infos {
			for _, v := range c.Values {
				if name := strings.TrimSuffix(n.Name, ".quantize"); name == v.Name && n.Out.Type.Element == kernels.Uint8 && n.Out.Type != v.Type() {
					t.Errorf("%s is of %v, want %v", n.Name, n.Out.Type, v.Type())
				}
			}
		}
	}
}

// TestQuantizeLast: the result is float32 if the last layer is quantized, too.
func TestQuantizeLast(t *testing.T) {
	m, w := tiny()
	m.Nodes = m.Nodes[:10]
	q, _ := quantizeModel(t, calibrate(t, m, w), Options{}, m, w)
	if got := nodes(t, q); got[len(got)-1] != "d.dequantize(d) f32" {
		t.Errorf("nodes %v", got)
	}
}

// TestScales: a channel's scale makes its largest weight 127, or 63.
func TestScales(t *testing.T) {
	m := &graph.Model{Name: "scales", Input: layer.Shape{H: 1, W: 1, C: 2}, Nodes: []graph.Node{
		node("a", layer.Conv{Out: 3, Kernel: 1}), node("b", layer.Conv{Out: 3, Kernel: 1}, "input"), node("c", layer.Conv{Out: 3, Kernel: 1}, "input"),
		node("z", layer.Concat{}, "a", "b", "c"),
	}}
	m.Nodes[1].Weights = "a"
	values := []float32{1, -3, 0, 0, 0.5, 0.25}
	w := stored{"a": {Values: values}, "c": {Values: values}}
	c := calibrate(t, m, w)
	for _, test := range []struct {
		o     Options
		a     []float32
		scale bool // whether c has scales
	}{
		{Options{}, []float32{3. / 127, 0, 0.5 / 127}, true},
		{Options{WeightBits: 8}, []float32{3. / 127, 0, 0.5 / 127}, true},
		{Options{WeightBits: 7, Keep: []string{"c"}}, []float32{3. / 63, 0, 0.5 / 63}, false},
		{Options{Keep: []string{"a", "c"}}, []float32{3. / 127, 0, 0.5 / 127}, false}, // b uses the weights of a
		{Options{Keep: []string{"a", "b", "c"}}, nil, false},
	} {
		q, qw := quantizeModel(t, c, test.o, m, w)
		params, err := q.Params()
		if err != nil || len(params) != 2 {
			t.Fatalf("weights of %v, error %v", params, err)
		}
		for i, p := range params {
			got, err := qw.Layer(p)
			if err != nil || !slices.Equal(got.Values, values) {
				t.Errorf("%+v: %s has the weights %v, error %v", test.o, p.Node, got.Values, err)
			}
			if i == 0 && !slices.Equal(got.Scales, test.a) || i == 1 && (got.Scales != nil) != test.scale {
				t.Errorf("%+v: %s has the scales %v", test.o, p.Node, got.Scales)
			}
		}
	}
	if w["a"].Scales != nil {
		t.Error("the rewrite changed its weights")
	}
	w["a"] = kernels.Weights{Values: values[:5:5]}
	if _, qw := quantizeModel(t, c, Options{}, m, w); true {
		if _, err := graph.Compile(m, qw, graph.Options{}); err == nil || !strings.Contains(err.Error(), "5 weights, expected 6") {
			t.Errorf("too few weights: error %v", err)
		}
	}
}

func TestQuantizeRefuses(t *testing.T) {
	m, w := tiny()
	c := calibrate(t, m, w)
	other := *c
	other.Model = "alexnet"
	for want, rewrite := range map[string]graph.Rewrite{
		"compression: tiny: keep: there is no node e":                         Quantize(c, Options{Keep: []string{"a", "e"}}),
		"compression: tiny: keep: there is no node input":                     Quantize(c, Options{Keep: []string{"input"}}),
		"compression: tiny: weights of 6 bits, expected 8 or 7":               Quantize(c, Options{WeightBits: 6}),
		`compression: tiny: calibration: model is "alexnet", expected "tiny"`: Quantize(&other, Options{}),
		"compression: tiny: calibration: images is 0, expected at least 1":    Quantize(&Calibration{Model: "tiny", Method: KL}, Options{}),
	} {
		if _, _, err := rewrite.Apply(m, w); err == nil || err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	m.Nodes[0].Name = "b.quantize"
	m.Nodes[1].Inputs = []string{"b.quantize"}
	w.(stored)["b.quantize"] = w.(stored)["a"]
	c = calibrate(t, m, w)
	if _, _, err := Quantize(c, Options{Keep: []string{"b"}}).Apply(m, w); err == nil || !strings.Contains(err.Error(), "the name b.quantize is taken") {
		t.Errorf("a node with the name of a conversion: error %v", err)
	}
}
