package onnx

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// An exporter turns the layers of a model into the nodes of a file, in their order.
type exporter struct {
	model        *graph.Model
	infos        []graph.Info
	readers      []int    // of each value, those among the outputs included
	values       []*value // by number: 0 is the network's input, i+1 the result of node i
	numbers      map[string]int
	outputs      []*value
	names        []string // of the layers' nodes
	takenNodes   nameSet
	takenValues  nameSet
	nodes        message // fields of GraphProto
	initializers []initializer
	types        map[kernels.Type][]string // the names of their scale and zero point
	params       []*parameters             // in the order of the model's
}

// A value is what a node computes. In the file it is N×C×H×W, or, if it is flat, N×(C·H·W).
// Elementwise operations keep values flat.
type value struct {
	name  string      // as it is stored
	shape layer.Shape // as layers see it
	flat  bool

	real      string // the name of the value as float32, "" if there is none yet
	rectified bool   // what is stored is the result of the ReLU behind it, and real the value itself
	reshaped  *value // the same numbers, flat if this value is not
}

func newExporter(m *graph.Model, infos []graph.Info) *exporter {
	e := &exporter{
		model:   m,
		infos:   infos,
		readers: make([]int, len(infos)+1),
		numbers: map[string]int{graph.Input: 0},
		types:   map[kernels.Type][]string{},

		takenNodes:  nameSet{},
		takenValues: nameSet{graph.Input: true},
	}
	e.values = append(e.values, &value{name: graph.Input, shape: m.Input})
	for i, n := range infos {
		e.values = append(e.values, &value{shape: n.Out})
		e.numbers[n.Name] = i + 1
		e.names = append(e.names, e.takenNodes.unique(decodeName(n.Name)))
		for _, a := range e.args(i) {
			e.readers[a]++
		}
	}
	// Outputs come first, as they must have their names.
	output := func(v int, name string) {
		e.readers[v]++
		e.outputs = append(e.outputs, e.values[v])
		e.values[v].name = e.takenValues.unique(name)
	}
	last := len(infos)
	_, softmax := infos[last-1].Layer.(layer.Softmax)
	switch {
	case len(m.Outputs) > 0:
		for _, name := range m.Outputs {
			output(e.numbers[name], decodeName(name))
		}
	case softmax:
		if logits := e.args(last - 1)[0]; logits > 0 {
			output(logits, "logits")
		}
		output(last, "prob")
	default:
		output(last, decodeName(infos[last-1].Name))
	}
	for i, n := range infos {
		if v := e.values[i+1]; v.name == "" {
			v.name = e.takenValues.unique(decodeName(n.Name))
		}
	}
	return e
}

// args returns the numbers of the values that node i reads.
func (e *exporter) args(i int) []int {
	if len(e.model.Nodes[i].Inputs) == 0 {
		return []int{i}
	}
	var args []int
	for _, name := range e.model.Nodes[i].Inputs {
		args = append(args, e.numbers[name])
	}
	return args
}

// A nameSet is the names that are taken.
type nameSet map[string]bool

// unique returns name, with a number behind it if it is taken, and takes it.
func (n nameSet) unique(name string) string {
	free := name
	for i := 2; n[free]; i++ {
		free = fmt.Sprintf("%s_%d", name, i)
	}
	n[free] = true
	return free
}

// layer appends the nodes of layer i.
func (e *exporter) layer(i int) error {
	var in []*value
	for _, a := range e.args(i) {
		in = append(in, e.values[a])
	}
	info, name, out := e.infos[i], e.names[i], e.values[i+1]
	out.rectified = e.rectified(i)
	one := func(op string, attributes ...message) {
		out.flat = in[0].flat
		e.compute(out, op, name, []string{e.real(in[0])}, attributes...)
	}
	several := func(op string, attributes ...message) {
		out.flat = !slices.ContainsFunc(in, func(v *value) bool { return !v.flat })
		var reals []string
		for _, v := range in {
			reals = append(reals, e.real(e.as(v, out.flat)))
		}
		e.compute(out, op, name, reals, attributes...)
	}
	// Layers that look at pixels, not only at channels, have no flat inputs.
	switch info.Layer.(type) {
	case layer.Dense:
		in[0] = e.as(in[0], true)
	case layer.Conv, layer.MaxPool, layer.AvgPool, layer.GlobalAvgPool, layer.LRN:
		in[0] = e.as(in[0], false)
	}
	switch l := info.Layer.(type) {
	case layer.Conv:
		s := l.ConvShape(info.In[0])
		e.compute(out, "Conv", name, append([]string{e.real(in[0])}, e.weights(i)...),
			ints("kernel_shape", s.KH, s.KW), ints("strides", s.Stride, s.Stride), pads(s.Pad), integer("group", s.Groups))
	case layer.Dense:
		out.flat = true
		e.compute(out, "Gemm", name, append([]string{e.real(in[0])}, e.weights(i)...), integer("transB", 1))
	case layer.MaxPool:
		one("MaxPool", window(l, info.In[0], info.Out)...)
	case layer.AvgPool:
		w := window(layer.MaxPool{Kernel: l.Kernel, KernelW: l.KernelW, Stride: l.Stride, Pad: l.Pad, Ceil: l.Ceil}, info.In[0], info.Out)
		one("AveragePool", append(w, flag("count_include_pad", !l.ExcludePad))...)
	case layer.GlobalAvgPool:
		one("GlobalAveragePool")
	case layer.LRN:
		one("LRN", float("alpha", l.Alpha), float("beta", l.Beta), float("bias", l.K), integer("size", l.Size))
	case layer.ReLU:
		one("Relu")
	case layer.Softmax:
		one("Softmax", integer("axis", 1))
	case layer.Dropout:
		ratio := e.constant(out.name+".ratio", float32s, bytesOf(nil, l.Rate))
		out.flat = in[0].flat
		e.compute(out, "Dropout", name, []string{e.real(in[0]), ratio})
	case layer.Concat:
		several("Concat", integer("axis", 1))
	case layer.Add:
		several("Add")
	case layer.Quantize:
		out.flat = in[0].flat
		e.node("QuantizeLinear", name, append([]string{in[0].name}, e.typeOf(out)...), out.name)
	case layer.Dequantize:
		out.flat, out.real = in[0].flat, out.name
		e.node("DequantizeLinear", name, append([]string{in[0].name}, e.typeOf(in[0])...), out.name)
	default:
		return fmt.Errorf("%s: there is no operator of ONNX for %T", info.Layer.Op(), l)
	}
	return nil
}

// window returns the attributes that MaxPool and AveragePool share.
func window(p layer.MaxPool, in, out layer.Shape) []message {
	kw, stride := cmp.Or(p.KernelW, p.Kernel), cmp.Or(p.Stride, 1)
	h, w := p.Pad.Top+in.H+p.Pad.Bottom-p.Kernel, p.Pad.Left+in.W+p.Pad.Right-kw
	// Rounding up gives no window that starts behind the image. Readers differ about this; where
	// nothing is left of the rounding, they need not know of it.
	floor := out.H == h/stride+1 && out.W == w/stride+1
	round := out.H == (h+stride-1)/stride+1 && out.W == (w+stride-1)/stride+1
	return []message{
		ints("kernel_shape", p.Kernel, kw), ints("strides", stride, stride), pads(p.Pad),
		flag("ceil_mode", p.Ceil && (round || !floor)),
	}
}

func pads(p kernels.Padding) message { return ints("pads", p.Top, p.Left, p.Bottom, p.Right) }

// rectified reports whether the result of node i, which is quantized, is read by nothing but a ReLU
// that the node's kernels apply. Other engines do the same if the two stand side by side, and if 0 is
// the lowest number there is.
func (e *exporter) rectified(i int) bool {
	if _, ok := e.infos[i].Layer.(layer.Fuser); !ok || !e.values[i+1].quantized() || e.values[i+1].shape.Type.Zero != 0 || e.readers[i+1] != 1 {
		return false
	}
	for j := i + 1; j < len(e.infos); j++ {
		if slices.Contains(e.args(j), i+1) {
			_, relu := e.infos[j].Layer.(layer.ReLU)
			return relu
		}
	}
	return false
}

// compute appends a node that computes out in float32, and one that quantizes the result if out is
// quantized.
func (e *exporter) compute(out *value, op, name string, inputs []string, attributes ...message) {
	if !out.quantized() {
		out.real = out.name
		e.node(op, name, inputs, out.name, attributes...)
		return
	}
	real := e.takenValues.unique(out.name + ".real")
	e.node(op, name, inputs, real, attributes...)
	if out.rectified {
		out.real = real
		return
	}
	e.node("QuantizeLinear", e.takenNodes.unique(out.name+".QuantizeLinear"), append([]string{real}, e.typeOf(out)...), out.name)
}

// real returns the name of a value as float32. It appends the node that computes it, if there is none
// yet.
func (e *exporter) real(v *value) string {
	if v.real == "" && !v.quantized() {
		v.real = v.name // the network's input
	}
	if v.real == "" {
		v.real = e.takenValues.unique(v.name + ".DequantizeLinear")
		e.helper("DequantizeLinear", append([]string{v.name}, e.typeOf(v)...), v.real)
	}
	return v.real
}

// as returns a value in the form that is flat, or in the one that is not. It appends the nodes that
// are necessary, if there are none yet.
func (e *exporter) as(v *value, flat bool) *value {
	if v.flat == flat {
		return v
	}
	if v.reshaped == nil {
		r := &value{name: e.takenValues.unique(v.name + ".reshape"), shape: v.shape, flat: flat, reshaped: v}
		v.reshaped = r
		if flat {
			e.compute(r, "Flatten", e.takenNodes.unique(r.name), []string{e.real(v)}, integer("axis", 1))
		} else {
			axes := e.constant(r.name+".axes", int64s, bytesOf[int64](nil, 2, 3), 2)
			e.compute(r, "Unsqueeze", e.takenNodes.unique(r.name), []string{e.real(v), axes})
		}
	}
	return v.reshaped
}

func (v *value) quantized() bool { return v.shape.Type != kernels.Type{} }

// typeOf returns the names of the scale and the zero point of a quantized value.
func (e *exporter) typeOf(v *value) []string {
	t := v.shape.Type
	if e.types[t] == nil {
		e.types[t] = []string{
			e.constant(v.name+".scale", float32s, bytesOf(nil, t.Scale)),
			e.constant(v.name+".zero_point", uint8s, []byte{byte(t.Zero)}),
		}
	}
	return e.types[t]
}

// constant adds an initializer and returns its name. It is a scalar if it has no dimensions.
func (e *exporter) constant(name string, typ int64, raw []byte, dims ...int) string {
	name = e.takenValues.unique(name)
	e.initializers = append(e.initializers, initializer{name, typ, dims, raw})
	return name
}

// weights returns the names of the weights and biases of node i, for which it adds what is necessary.
func (e *exporter) weights(i int) []string {
	info := e.infos[i]
	l := info.Layer.(layer.Weighted)
	in := info.In[0]
	problem := kernels.Problem{ConvShape: l.ConvShape(in), H: in.H, W: in.W, Src: in.Type, Dst: info.Out.Type}
	s := problem.ConvShape

	owner := cmp.Or(e.model.Nodes[i].Weights, info.Name)
	at := slices.IndexFunc(e.params, func(p *parameters) bool { return p.param.Node == owner })
	if at < 0 {
		at = len(e.params)
		e.params = append(e.params, &parameters{param: graph.Param{Node: owner, Dims: [4]int{s.Out, s.In / s.Groups, s.KH, s.KW}}})
	}
	p := e.params[at]

	// Nodes share weights. Those of quantized ones are other numbers, which depend on types.
	dims := p.param.Dims[:]
	if _, dense := l.(layer.Dense); dense {
		dims = []int{s.Out, s.K()}
	}
	for _, f := range p.forms {
		if f.problem.Src == problem.Src && f.problem.Dst == problem.Dst && len(f.tensors[0].dims) == len(dims) {
			return f.names
		}
	}
	name := decodeName(info.Name)
	f := form{problem: problem}
	add := func(kind string, typ int64, dims ...int) string {
		t := initializer{e.takenValues.unique(name + kind), typ, dims, nil}
		f.tensors = append(f.tensors, t)
		return t.name
	}
	if in.Type == (kernels.Type{}) {
		f.names = []string{add(".weight", float32s, dims...), add(".bias", float32s, s.Out)}
	} else {
		for _, t := range []struct {
			kind string
			typ  int64
			dims []int
		}{{".weight", int8s, dims}, {".bias", int32s, []int{s.Out}}} {
			real := e.takenValues.unique(name + t.kind)
			inputs := []string{
				add(t.kind+".quantized", t.typ, t.dims...),
				add(t.kind+".scale", float32s, s.Out),
				add(t.kind+".zero_point", t.typ, s.Out),
			}
			e.helper("DequantizeLinear", inputs, real, integer("axis", 0))
			f.names = append(f.names, real)
		}
	}
	p.forms = append(p.forms, f)
	return f.names
}

// helper appends a node that is no layer of the model. It is named after its result.
func (e *exporter) helper(op string, inputs []string, output string, attributes ...message) {
	e.node(op, e.takenNodes.unique(output), inputs, output, attributes...)
}

// node appends a node.
func (e *exporter) node(op, name string, inputs []string, output string, attributes ...message) {
	var n message
	for _, in := range inputs {
		n.text(nodeInput, in)
	}
	n.text(nodeOutput, output)
	n.text(nodeName, name)
	n.text(nodeOp, op)
	for _, a := range attributes {
		n.message(nodeAttribute, a)
	}
	e.nodes.message(graphNode, n)
}

func integer(name string, v int) (a message) {
	a.text(attributeName, name)
	a.number(attributeInt, int64(v))
	a.number(attributeType, isInt)
	return a
}

func flag(name string, set bool) message {
	if set {
		return integer(name, 1)
	}
	return integer(name, 0)
}

func ints(name string, values ...int) (a message) {
	a.text(attributeName, name)
	for _, v := range values {
		a.number(attributeInts, int64(v))
	}
	a.number(attributeType, isInts)
	return a
}

func float(name string, v float32) (a message) {
	a.text(attributeName, name)
	a.fixed32(attributeFloat, math.Float32bits(v))
	a.number(attributeType, isFloat)
	return a
}
