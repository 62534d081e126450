package onnx_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/onnx"
	"firebench/net/protobuf"
	"firebench/net/weights"
)

// u8 returns a type of quantized values.
func u8(scale float32, zero int32) kernels.Type {
	return kernels.Type{Element: kernels.Uint8, Scale: scale, Zero: zero}
}

func node(name string, l layer.Layer, inputs ...string) graph.Node {
	return graph.Node{Name: name, Layer: l, Inputs: inputs}
}

// sharing returns n with the weights of another node.
func sharing(n graph.Node, owner string) graph.Node {
	n.Weights = owner
	return n
}

// table is a model of an image of 9×11 pixels and 4 channels.
func table(name string, outputs []string, nodes ...graph.Node) *graph.Model {
	return &graph.Model{Name: name, Input: layer.Shape{H: 9, W: 11, C: 4}, Outputs: outputs, Nodes: nodes}
}

// tables have every layer with every parameter.
func tables() []*graph.Model {
	lrn := layer.LRN{Size: 3, Alpha: 0.5, Beta: 0.75, K: 2}
	in, mid, out := u8(0.008, 128), u8(0.03, 0), u8(0.05, 100)
	sides := kernels.Padding{Top: 1, Left: 0, Bottom: 2, Right: 1}
	return []*graph.Model{
		table("convolutions", []string{"square", "sides", "groups", "border", "even"},
			node("square", layer.Conv{Out: 6, Kernel: 3, Pad: kernels.Pad(1)}, graph.Input),
			node("sides", layer.Conv{Out: 5, Kernel: 3, KernelW: 2, Stride: 2, Pad: sides}, graph.Input),
			node("groups", layer.Conv{Out: 6, Kernel: 1, KernelW: 3, Groups: 2}, graph.Input),
			node("border", layer.Conv{Out: 3, Kernel: 1, Pad: kernels.Pad(1)}, graph.Input),
			node("even", layer.Conv{Out: 2, Kernel: 2, Stride: 4, Groups: 2}, graph.Input),
		),
		table("pools", []string{"max", "maxsides", "avg", "avgsides", "excluded", "global", "clipped"},
			node("max", layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true}, graph.Input),
			node("maxsides", layer.MaxPool{Kernel: 3, KernelW: 2, Stride: 3, Pad: kernels.Padding{Top: 2, Left: 1, Right: 1}}, graph.Input),
			node("avg", layer.AvgPool{Kernel: 4, Stride: 3, Pad: kernels.Pad(1), Ceil: true}, graph.Input),
			node("avgsides", layer.AvgPool{Kernel: 3, KernelW: 2, Pad: kernels.Padding{Top: 2, Left: 1, Right: 1}}, graph.Input),
			node("excluded", layer.AvgPool{Kernel: 4, Stride: 3, Pad: kernels.Pad(1), Ceil: true, ExcludePad: true}, graph.Input),
			node("global", layer.GlobalAvgPool{}, graph.Input),
			node("clipped", layer.MaxPool{Kernel: 2, Stride: 5, Pad: kernels.Padding{Top: 1, Bottom: 1, Left: 0, Right: 1}, Ceil: true}, graph.Input),
		),
		table("elements", nil,
			node("norm", lrn),
			node("relu", layer.ReLU{}, graph.Input),
			node("sum", layer.Add{}, "norm", "relu"),
			node("drop", layer.Dropout{Rate: 0.25}),
			node("concat", layer.Concat{}, "drop", graph.Input, "relu"),
			node("prob", layer.Softmax{}),
		),
		table("flat", nil,
			node("fc1", layer.Dense{Out: 8}),
			node("relu1", layer.ReLU{}),
			node("drop1", layer.Dropout{Rate: 0.5}),
			node("fc2", layer.Dense{Out: 8}),
			node("sum", layer.Add{}, "fc2", "drop1"),
			node("concat", layer.Concat{}, "sum", "fc1"),
			node("conv", layer.Conv{Out: 8, Kernel: 1}),
			node("mixed", layer.Add{}, "conv", "fc1"),
			node("norm", lrn, "concat"),
			node("joined", layer.Concat{}, "fc2", "norm", "mixed"),
			node("fc3", layer.Dense{Out: 5}),
			node("prob", layer.Softmax{}),
		),
		table("shared", nil,
			node("a", layer.Conv{Out: 4, Kernel: 3, Pad: kernels.Pad(1)}),
			sharing(node("b", layer.Conv{Out: 4, Kernel: 3, Stride: 2}), "a"),
			node("pool", layer.GlobalAvgPool{}),
			node("c", layer.Dense{Out: 4}),
			sharing(node("d", layer.Conv{Out: 4, Kernel: 1}), "c"),
			sharing(node("e", layer.Dense{Out: 4}), "c"),
		),
		table("names", []string{"last", ":b:c", "logits"},
			node("a%20b", layer.ReLU{}),
			node(":b:c", layer.ReLU{}),
			node("logits", layer.Conv{Out: 3, Kernel: 1}),
			node("conv.weight", layer.ReLU{}, ":b:c"),
			node("conv", layer.Conv{Out: 3, Kernel: 1}),
			node("prob", layer.Softmax{}, "conv"),
			node("last", layer.Add{}, "prob", "logits"),
		),
		table("same-names", nil, // a file has one name for them
			node("b:c", layer.ReLU{}),
			node("b%2Fc", layer.ReLU{}),
		),
		table("softmax", nil, node("p", layer.Softmax{})),
		table("quantized", nil,
			node("input.quantize", layer.Quantize{Type: in}),
			node("conv1", layer.Conv{Out: 8, Kernel: 3, Pad: sides, Type: mid}),
			node("conv1.relu", layer.ReLU{}),
			node("pool1", layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true}),
			node("left", layer.Conv{Out: 8, Kernel: 1, Type: out}, "pool1"),
			node("left.relu", layer.ReLU{}),
			node("right", layer.Conv{Out: 8, Kernel: 3, Pad: kernels.Pad(1), Groups: 2, Type: out}, "pool1"),
			node("concat", layer.Concat{}, "left.relu", "right"),
			node("drop", layer.Dropout{Rate: 0.5}),
			node("conv2", layer.Conv{Out: 12, Kernel: 3, Type: out}),
			node("global", layer.GlobalAvgPool{Type: u8(0.02, 120)}),
			node("fc", layer.Dense{Out: 7, Type: u8(0.04, 90)}),
			node("fc.dequantize", layer.Dequantize{}),
			node("prob", layer.Softmax{}),
		),
		table("quantized-flat", nil,
			node("input.quantize", layer.Quantize{Type: in}),
			node("fc1", layer.Dense{Out: 8, Type: mid}),
			node("fc1.relu", layer.ReLU{}),
			node("drop1", layer.Dropout{Rate: 0.5}),
			node("fc2", layer.Dense{Out: 8, Type: mid}),
			node("conv", layer.Conv{Out: 8, Kernel: 1, Type: mid}),
			node("concat", layer.Concat{}, "conv", "fc2"),
			node("fc3", layer.Dense{Out: 5, Type: out}),
			node("fc3.dequantize", layer.Dequantize{}),
		),
		table("quantized-sums", []string{"sum.dequantize", "sum.relu.dequantize", "avg.dequantize", "mixed"},
			node("input.quantize", layer.Quantize{Type: in}),
			node("conv", layer.Conv{Out: 4, Kernel: 3, Pad: kernels.Pad(1), Type: out}),
			node("sum", layer.Add{Type: out}, "conv", "input.quantize"),
			node("sum.relu", layer.ReLU{}),
			node("avg", layer.AvgPool{Kernel: 3, Stride: 2, Pad: kernels.Pad(1), Type: in}),
			node("again", layer.Add{Type: mid}, "sum", "sum.relu"),
			node("again.relu", layer.ReLU{}),
			sharing(node("same", layer.Conv{Out: 4, Kernel: 3, Type: mid}, "again.relu"), "conv"),
			node("same.dequantize", layer.Dequantize{}),
			node("mixed", layer.Dense{Out: 3}),
			node("sum.dequantize", layer.Dequantize{}, "sum"),
			node("sum.relu.dequantize", layer.Dequantize{}, "sum.relu"),
			node("avg.dequantize", layer.Dequantize{}, "avg"),
		),
		table("quantized-shared", []string{"sum.dequantize", "e"},
			node("input.quantize", layer.Quantize{Type: in}),
			node("a", layer.Conv{Out: 4, Kernel: 1, Type: in}),
			sharing(node("b", layer.Conv{Out: 4, Kernel: 1, Type: in}), "a"),
			sharing(node("c", layer.Conv{Out: 4, Kernel: 1, Type: mid}), "a"),
			sharing(node("d", layer.Conv{Out: 4, Kernel: 1, Type: mid}), "a"),
			node("d.relu", layer.ReLU{}),
			node("sum", layer.Add{Type: out}, "d", "d.relu"),
			node("sum.dequantize", layer.Dequantize{}),
			sharing(node("e", layer.Conv{Out: 4, Kernel: 1}), "a"),
		),
		table("quantized-output", nil,
			node("input.quantize", layer.Quantize{Type: in}),
			node("pool", layer.MaxPool{Kernel: 2, Stride: 2}),
		),
	}
}

// text describes a file in lines: one for each node, initializer, input, output and entry of the
// metadata. It checks what every file must have: each value has one name, is there before it is read, and
// initializers have as many bytes as their dimensions say.
func text(t *testing.T, file []byte) string {
	t.Helper()
	p := parser{T: t, values: map[string]bool{"": true}}
	m := protobuf.NewMessage(bytes.NewReader(file), int64(len(file)))
	for _, f := range p.fields(m) {
		switch f.Number {
		case 1:
			p.line("ir %d", p.number(f))
		case 2:
			p.line("producer %s", p.string(f))
		case 7:
			p.graph(p.message(f))
		case 8:
			opset := p.fields(p.message(f))
			p.line("opset %d", p.number(opset[0]))
		case 14:
			entry := p.fields(p.message(f))
			p.line("metadata %s: %s", p.string(entry[0]), p.string(entry[1]))
		default:
			t.Errorf("field %d of the model", f.Number)
		}
	}
	return p.text.String()
}

// A parser makes the text of a file.
type parser struct {
	*testing.T
	text   strings.Builder
	values map[string]bool
}

func (p *parser) line(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n", args...) }

func must[V any](p *parser, v V, err error) V {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
	return v
}

func (p *parser) fields(m protobuf.Message) (fields []protobuf.Field) {
	for f, err := range m.Fields() {
		fields = append(fields, must(p, f, err))
	}
	return fields
}

func (p *parser) number(f protobuf.Field) int64 {
	v, err := f.Varint()
	return int64(must(p, v, err))
}

func (p *parser) string(f protobuf.Field) string {
	s, err := f.String()
	return must(p, s, err)
}

func (p *parser) message(f protobuf.Field) protobuf.Message {
	m, err := f.Message()
	return must(p, m, err)
}

// read checks that a node may read a value.
func (p *parser) read(name string) {
	if !p.values[name] {
		p.Errorf("there is no value %q yet", name)
	}
}

// define checks that no value has the name yet.
func (p *parser) define(name string) {
	if p.values[name] {
		p.Errorf("two values have the name %q", name)
	}
	p.values[name] = true
}

func (p *parser) graph(m protobuf.Message) {
	fields := p.fields(m)
	for _, f := range fields { // initializers and inputs, which nodes may read, are behind them
		switch f.Number {
		case 5:
			p.tensor(f)
		case 11:
			name, text := p.value(f)
			p.define(name)
			p.line("input %s", text)
		}
	}
	for _, f := range fields {
		switch f.Number {
		case 1:
			p.node(f)
		case 2:
			p.line("graph %s", p.string(f))
		case 12:
			name, text := p.value(f)
			p.read(name)
			p.line("output %s", text)
		case 5, 11:
		default:
			p.Errorf("field %d of the graph", f.Number)
		}
	}
}

func (p *parser) tensor(f protobuf.Field) {
	var dims []string
	var name string
	typ, elems, size := int64(0), int64(1), int64(0)
	for _, f := range p.fields(p.message(f)) {
		switch f.Number {
		case 1:
			elems *= p.number(f)
			dims = append(dims, fmt.Sprint(p.number(f)))
		case 2:
			typ = p.number(f)
		case 8:
			name = p.string(f)
		case 9:
			size = f.Size()
		default:
			p.Errorf("field %d of a tensor", f.Number)
		}
	}
	sizes := map[int64]int64{1: 4, 2: 1, 3: 1, 6: 4, 7: 8}
	if want := elems * sizes[typ]; size != want {
		p.Errorf("initializer %s: %d bytes, want %d", name, size, want)
	}
	p.define(name)
	p.line("%s = %s", name, strings.Join(append([]string{types[typ]}, dims...), " "))
}

// types are the names of TensorProto.DataType.
var types = map[int64]string{1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64"}

// value returns the name and the description of an input or output.
func (p *parser) value(f protobuf.Field) (name, text string) {
	fields := p.fields(p.message(f))
	name = p.string(fields[0])
	tensor := p.fields(p.message(p.fields(p.message(fields[1]))[0]))
	var dims []string
	for _, d := range p.fields(p.message(tensor[1])) {
		dim := p.fields(p.message(d))[0]
		if dim.Number == 2 {
			dims = append(dims, p.string(dim))
		} else {
			dims = append(dims, fmt.Sprint(p.number(dim)))
		}
	}
	return name, fmt.Sprintf("%s %s %s", name, types[p.number(tensor[0])], strings.Join(dims, "×"))
}

func (p *parser) node(f protobuf.Field) {
	var in, out, attributes []string
	var name, op string
	for _, f := range p.fields(p.message(f)) {
		switch f.Number {
		case 1:
			p.read(p.string(f))
			in = append(in, p.string(f))
		case 2:
			p.define(p.string(f))
			out = append(out, p.string(f))
		case 3:
			name = p.string(f)
		case 4:
			op = p.string(f)
		case 5:
			attributes = append(attributes, " "+p.attribute(f))
		default:
			p.Errorf("field %d of a node", f.Number)
		}
	}
	p.line("%s: %s = %s(%s)%s", name, strings.Join(out, ", "), op, strings.Join(in, ", "), strings.Join(attributes, ""))
}

func (p *parser) attribute(f protobuf.Field) string {
	var name string
	var values []any
	typ, types := int64(0), map[protowire.Number]int64{2: 1, 3: 2, 8: 7}
	for _, f := range p.fields(p.message(f)) {
		switch f.Number {
		case 1:
			name = p.string(f)
		case 2:
			bits, err := f.Fixed32()
			values = append(values, fmt.Sprintf("%#v", math.Float32frombits(must(p, bits, err))))
		case 3, 8:
			values = append(values, p.number(f))
		case 20:
			if p.number(f) != typ {
				p.Errorf("attribute %s: type %d, want %d", name, p.number(f), typ)
			}
		default:
			p.Errorf("field %d of an attribute", f.Number)
		}
		typ = cmp.Or(types[f.Number], typ)
	}
	if typ == 7 {
		return fmt.Sprintf("%s=%v", name, values)
	}
	return fmt.Sprintf("%s=%v", name, values[0])
}

var update = flag.Bool("update", false, "rewrite the golden files")

// TestWriteText compares the files of all tables with a golden description of them.
func TestWriteText(t *testing.T) {
	var got strings.Builder
	for _, m := range tables() {
		fmt.Fprintln(&got, text(t, export(t, network{m, weights.Random(1)})))
	}
	golden := filepath.Join("testdata", "tables.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Fatalf("%s:%d: (go test -update accepts it)\ngot  %s\nwant %s", golden, i+1, gotLines[i], wantLines[i])
		}
	}
	if len(gotLines) != len(wantLines) {
		t.Errorf("%d lines, %s has %d", len(gotLines), golden, len(wantLines))
	}
}

// numbers are weights with which every number is another one.
type numbers struct{ scales []float32 }

func (n numbers) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }

func (n numbers) Layer(p graph.Param) (kernels.Weights, error) {
	w := kernels.Weights{Scales: n.scales}
	for i := range p.Dims[0] * p.Dims[1] * p.Dims[2] * p.Dims[3] {
		w.Values = append(w.Values, float32(i)-10)
	}
	for i := range p.Dims[0] {
		w.Bias = append(w.Bias, float32(i)/8+1)
	}
	return w, nil
}

// TestWriteWeights checks the bytes of weights.
func TestWriteWeights(t *testing.T) {
	check := func(file []byte, name string, want any) {
		t.Helper()
		data, err := binary.Append(nil, binary.LittleEndian, want)
		if err != nil {
			t.Fatal(err)
		}
		tensor := append([]byte{0x42, byte(len(name))}, name...)        // field 8, the name
		tensor = append(append(tensor, 0x4a, byte(len(data))), data...) // field 9, the values
		if !bytes.Contains(file, tensor) {
			t.Errorf("no tensor %s of %v", name, want)
		}
	}
	values := []float32{-10, -9, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5}

	file := export(t, network{table("float", nil, node("c", layer.Conv{Out: 4, Kernel: 1})), numbers{}})
	check(file, "c.weight", values)
	check(file, "c.bias", []float32{1, 1.125, 1.25, 1.375})
	file = export(t, network{table("float", nil, node("c", layer.Conv{Out: 4, Kernel: 1})), bad{weights: kernels.Weights{Values: values}}})
	check(file, "c.weight", values)
	check(file, "c.bias", make([]float32, 4))

	m := table("quantized", nil,
		node("q", layer.Quantize{Type: u8(0.5, 3)}),
		node("c", layer.Conv{Out: 4, Kernel: 1, Type: u8(0.25, 7)}),
		node("d", layer.Dequantize{}))
	file = export(t, network{m, numbers{[]float32{0.5, 0.5, 1, 2}}})
	check(file, "c.weight.quantized", []int8{-20, -18, -16, -14, -12, -10, -8, -6, -2, -1, 0, 1, 1, 2, 2, 2})
	check(file, "c.weight.scale", []float32{0.5, 0.5, 1, 2})
	check(file, "c.weight.zero_point", make([]int8, 4))
	check(file, "c.bias.quantized", []int32{4, 4, 2, 1}) // 4, 4.5, 2.5, 1.375
	check(file, "c.bias.scale", []float32{0.25, 0.25, 0.5, 1})
	check(file, "c.bias.zero_point", make([]int32, 4))
	check(file, "q.scale", []float32{0.5})
	check(file, "q.zero_point", []byte{3})
	check(file, "c.scale", []float32{0.25})
	check(file, "c.zero_point", []byte{7})
}

// adapting are weights of a model whose convolution has a padding.
type adapting struct{ graph.Weights }

func (adapting) Adapt(m *graph.Model) (*graph.Model, error) {
	m = m.Clone()
	m.Nodes[0].Layer = layer.Conv{Out: 4, Kernel: 1, Pad: kernels.Pad(1)}
	return m, nil
}

// TestWriteAdapts: what is written is the model that the weights were trained for.
func TestWriteAdapts(t *testing.T) {
	m := table("net", nil, node("c", layer.Conv{Out: 4, Kernel: 1}))
	if got := text(t, export(t, network{m, adapting{numbers{}}})); !strings.Contains(got, "output c float32 N×4×11×13") {
		t.Errorf("the file is\n%s", got)
	}
}

// bad are weights that are wrong in one way.
type bad struct {
	adapt, layer error
	weights      kernels.Weights
}

func (b bad) Adapt(m *graph.Model) (*graph.Model, error) { return m, b.adapt }

func (b bad) Layer(graph.Param) (kernels.Weights, error) { return b.weights, b.layer }

// noOperator is a layer that ONNX does not know.
type noOperator struct{ layer.ReLU }

func (noOperator) Op() string { return "new" }

// full is a full disk.
type full struct{ left int }

var errFull = errors.New("no space")

func (f *full) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestWriteErrors(t *testing.T) {
	conv := table("net", nil, node("c", layer.Conv{Out: 4, Kernel: 1}))
	typed := table("net", nil, node("q", layer.Quantize{Type: u8(1, 0)}), node("c", layer.Conv{Out: 4, Kernel: 1, Type: u8(1, 0)}))
	err := errors.New("bad file")
	nan := make([]float32, 16)
	nan[9] = float32(math.NaN())
	for _, test := range []struct {
		model   *graph.Model
		weights graph.Weights
		want    string
	}{
		{conv, bad{adapt: err}, "onnx: net: bad file"},
		{conv, bad{layer: err}, "onnx: net: node c: bad file"},
		{conv, bad{weights: kernels.Weights{Values: make([]float32, 15)}}, "onnx: net: node c: convolution: 15 weights, expected 16 for 4×4×1×1"},
		{conv, bad{weights: kernels.Weights{Values: make([]float32, 16), Bias: make([]float32, 5)}}, "onnx: net: node c: convolution: 5 biases, expected 4"},
		{typed, bad{weights: kernels.Weights{Values: nan}}, "onnx: net: node c: convolution: channel 2: a weight is NaN, expected a finite number"},
		{table("net", nil), numbers{}, "graph: net: no nodes"},
		{table("net", nil, node("n", noOperator{})), numbers{}, "onnx: net: node n: new: there is no operator of ONNX for onnx_test.noOperator"},
	} {
		if err := onnx.Write(io.Discard, test.model, test.weights); err == nil || err.Error() != test.want {
			t.Errorf("error %q, want %q", err, test.want)
		}
	}
	size := len(export(t, network{conv, numbers{}}))
	for _, left := range []int{0, size - 1} {
		if err := onnx.Write(&full{left}, conv, numbers{}); !errors.Is(err, errFull) {
			t.Errorf("%d bytes of room for %d: error %v", left, size, err)
		}
	}
	if err := onnx.Write(&full{size}, conv, numbers{}); err != nil {
		t.Error(err)
	}
}

// TestWriteMemory: the weights are not copied.
func TestWriteMemory(t *testing.T) {
	const size = 1 << 20
	m := &graph.Model{Name: "net", Input: layer.Shape{H: 1, W: 1, C: size / 16}, Nodes: []graph.Node{node("a", layer.Dense{Out: 16})}}
	w := bad{weights: kernels.Weights{Values: make([]float32, size)}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := onnx.Write(io.Discard, m, w); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > size/4 {
		t.Errorf("%d bytes allocated for %d of weights", n, 4*size)
	}
}
