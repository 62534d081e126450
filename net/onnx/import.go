package onnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"firebench/kernels"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/layer"
)

// The versions of ONNX's operators that can be read.
const (
	minOpset = 7
	maxOpset = 22
)

// Limits that keep the time in proportion to the size of the file.
const (
	maxUses  = 64 // layers that compute weights of their own from the same tensor
	maxSteps = 64 // that are folded into one layer
)

// Open reads the network in an ONNX file, of opset 7 to 22. Its weights stay in the file, or in others of
// its folder, until somebody asks for those of a layer. The files are closed when the weights are garbage.
//
// The input is N×C×H×W, where N is 1 or any number. Nodes that no output needs are left out, and so are
// those that change no number of an image. BatchNormalization, and an Add of a constant for each channel,
// become part of the weights before them. Where the file's outputs are x and Softmax(x), the softmax is
// the output of the model, and x is what [graph.Plan.Logits] returns.
//
// Between DequantizeLinear and QuantizeLinear, a sum, a mean, or a layer whose weights are int8 as well
// computes with quantized values. These are those of ONNX's QLinear operators bit for bit. Activations
// of int8 become uint8, and so weights of uint8 int8, where their zero point is 128. All else computes in
// float32, also layers whose weights have another zero point than 0 (of uint8: 128), and QLinearConv with
// such is refused.
//
// The weights also fit models of other names that have the same layers: how those pad images, and which
// way sizes of poolings are rounded, is then for the file to say, and the preprocessor if the file names
// one. Errors name the file, the node and what is supported.
func Open(path string) (*graph.Model, graph.Weights, error) {
	c, err := read(path)
	if err != nil {
		return nil, nil, err
	}
	im := &importer{
		content:   c,
		model:     &graph.Model{Preprocessor: c.metadata[keyPreprocessor], Head: c.metadata[keyHead]},
		operands:  map[string]*operand{},
		readers:   map[string][]*node{},
		outputs:   map[string]bool{},
		taken:     map[string]int{graph.Input: 1},
		shapes:    map[string]layer.Shape{},
		params:    map[string]*params{},
		converted: map[conversion]string{},
	}
	if err := im.run(); err != nil {
		c.close()
		return nil, nil, files.Error(path, err)
	}
	return im.model, &weights{path: path, model: im.model, params: im.params}, nil
}

// An importer turns the nodes of a file into the layers of a model.
type importer struct {
	*content
	model     *graph.Model
	operands  map[string]*operand // by their names in the file
	readers   map[string][]*node  // that an output needs
	outputs   map[string]bool
	taken     map[string]int // names of layers, and how many wanted each
	shapes    map[string]layer.Shape
	params    map[string]*params // by layer
	converted map[conversion]string
}

// An operand is what a name in the file stands for: a constant, or what a layer computes.
type operand struct {
	constant *constant

	layer    string // or graph.Input
	dims     []int  // in the file, where the layer's result may be reshaped, but stays in the order N×C×H×W
	integers bool   // the file has integers here, as between QuantizeLinear and DequantizeLinear
	fresh    bool   // nothing but this operand has the layer's result
}

// A conversion is of the result of a layer to a type.
type conversion struct {
	layer string
	to    kernels.Type
}

// run fills in the model.
func (im *importer) run() error {
	name := im.metadata[keyModel]
	if name == "" {
		name = encodeName(strings.TrimSuffix(filepath.Base(im.path), ".onnx"))
	}
	im.model.Name = name
	if classes := im.metadata[keyClasses]; classes != "" {
		if err := json.Unmarshal([]byte(classes), &im.model.Classes); err != nil {
			return fmt.Errorf("metadata %s: expected an array of strings in JSON: %w", keyClasses, err)
		}
	}
	if im.opset < minOpset || im.opset > maxOpset {
		return fmt.Errorf("opset %d, expected %d to %d", im.opset, minOpset, maxOpset)
	}
	if err := im.input(); err != nil {
		return err
	}
	nodes, err := im.live()
	if err != nil {
		return err
	}
	// Constants come first, so that nodes know those that nodes behind them read.
	var rest []*node
	for _, n := range nodes {
		if slices.ContainsFunc(n.inputs, func(s string) bool { return s != "" && !im.isConstant(s) }) {
			rest = append(rest, n)
		} else if err := im.lower(n); err != nil {
			return err
		}
	}
	for _, n := range rest {
		if err := im.lower(n); err != nil {
			return err
		}
	}
	if err := im.finish(); err != nil {
		return err
	}
	if err := im.share(); err != nil {
		return err
	}
	_, err = im.model.Infer()
	return err
}

// input finds the input of the network among those of the file, which may name initializers as well.
func (im *importer) input() error {
	for name, c := range im.initializers {
		im.operands[name] = &operand{constant: c}
	}
	var inputs []input
	for _, in := range im.inputs {
		if im.initializers[in.name] == nil {
			inputs = append(inputs, in)
		}
	}
	if len(inputs) != 1 {
		return fmt.Errorf("%d inputs besides the initializers, expected 1", len(inputs))
	}
	in := inputs[0]
	fail := func(what string) error {
		return fmt.Errorf("input %s has %s, expected floating-point numbers of N×C×H×W, where N is symbolic or 1 and C, H and W are known", label(in.name), what)
	}
	if t, ok := elements[in.element]; !ok || isInteger(t) {
		return fail(fmt.Sprintf("values of type %d", in.element))
	}
	if len(in.dims) != 4 {
		return fail(fmt.Sprintf("%d dimensions", len(in.dims)))
	}
	n, c, h, w := in.dims[0], in.dims[1], in.dims[2], in.dims[3]
	const most = 1 << 28
	if n > 1 || n == 0 || min(c, h, w) < 1 || max(c, h, w) > most {
		return fail("the dimensions " + symbolic(in.dims))
	}
	im.model.Input = layer.Shape{H: int(h), W: int(w), C: int(c)}
	if err := im.model.Input.Check(); err != nil {
		return fmt.Errorf("input %s: %w", label(in.name), err)
	}
	im.shapes[graph.Input] = im.model.Input
	im.operands[in.name] = &operand{layer: graph.Input, dims: []int{1, int(c), int(h), int(w)}}
	return nil
}

// symbolic returns dimensions in the form 1×3×?×?.
func symbolic(dims []int64) string {
	var s []string
	for _, d := range dims {
		if d < 0 {
			s = append(s, "?")
		} else {
			s = append(s, fmt.Sprint(d))
		}
	}
	return strings.Join(s, "×")
}

// live returns the nodes that the outputs need, in the order of the file, and lists their readers.
func (im *importer) live() ([]*node, error) {
	if len(im.content.outputs) == 0 {
		return nil, errors.New("no outputs")
	}
	producer := map[string]*node{}
	for _, n := range im.nodes {
		for _, out := range n.outputs {
			if out == "" {
				continue
			}
			if producer[out] != nil || im.operands[out] != nil {
				return nil, fmt.Errorf("node %s: something else has the name of its output %s", n, label(out))
			}
			producer[out] = n
		}
	}
	needed := map[*node]bool{}
	var next []*node
	need := func(name string) {
		if n := producer[name]; n != nil && !needed[n] {
			needed[n] = true
			next = append(next, n)
		}
	}
	for _, out := range im.content.outputs {
		im.outputs[out] = true
		need(out)
	}
	for len(next) > 0 {
		n := next[len(next)-1]
		next = next[:len(next)-1]
		for _, in := range n.inputs {
			need(in)
			im.readers[in] = append(im.readers[in], n)
		}
	}
	return slices.DeleteFunc(slices.Clone(im.nodes), func(n *node) bool { return !needed[n] }), nil
}

// isConstant reports whether a name is that of a constant, if what comes before it in the file is known.
func (im *importer) isConstant(name string) bool {
	o := im.operands[name]
	return o != nil && o.constant != nil
}

// String returns the node's name, or what it has instead of one, and its operator.
func (n *node) String() string {
	name := n.name
	if name == "" {
		name = n.outputs[0]
	}
	return fmt.Sprintf("%s (%s)", label(name), label(n.op))
}

// lower finds what the outputs of a node stand for. It appends a layer to the model if one has to
// compute them.
func (im *importer) lower(n *node) error {
	fail := func(err error) error { return fmt.Errorf("node %s: %w", n, err) }
	op, ok := operators[n.op]
	if !ok {
		return fail(fmt.Errorf("the operator is not supported, expected one of %s", supported()))
	}
	c := &call{importer: im, node: n}
	for _, in := range n.inputs {
		o := im.operands[in]
		if o == nil && in != "" {
			return fail(fmt.Errorf("it reads %s, which nothing before it computes", label(in)))
		}
		c.args = append(c.args, o)
	}
	for len(c.args) > 0 && c.args[len(c.args)-1] == nil { // left out
		c.args = c.args[:len(c.args)-1]
	}
	if len(c.args) < op.min || len(c.args) > op.max && op.max > 0 {
		return fail(fmt.Errorf("%d inputs, expected %d to %d", len(c.args), op.min, max(op.min, op.max)))
	}
	for i, o := range c.args {
		if o == nil && i < op.min {
			return fail(fmt.Errorf("input %d is missing", i))
		}
	}
	for i, out := range n.outputs {
		if i > 0 && (im.outputs[out] || len(im.readers[out]) > 0) {
			return fail(fmt.Errorf("output %d is read, supported is output 0", i))
		}
	}
	out, err := op.lower(c)
	if err == nil {
		err = c.err
	}
	if err != nil {
		return fail(err)
	}
	for _, a := range n.attributes {
		if !a.used {
			return fail(fmt.Errorf("attribute %s is not supported", label(a.name)))
		}
	}
	im.operands[n.outputs[0]] = out
	return nil
}

// name returns a layer's name that is not taken yet, and takes it.
func (im *importer) name(candidates ...string) string {
	var name string
	for _, c := range candidates {
		if name = c; c != "" && im.taken[c] == 0 {
			break
		}
	}
	for free := name; im.taken[name] > 0; name = fmt.Sprintf("%s_%d", free, im.taken[free]) {
		im.taken[free]++
	}
	im.taken[name] = 1
	return name
}

// add appends a layer that reads the results of others.
func (im *importer) add(name string, l layer.Layer, inputs ...string) error {
	var in []layer.Shape
	for _, i := range inputs {
		in = append(in, im.shapes[i])
	}
	out, err := l.OutShape(in)
	if err != nil {
		return err
	}
	im.shapes[name] = out
	im.model.Nodes = append(im.model.Nodes, graph.Node{Name: name, Layer: l, Inputs: inputs})
	return nil
}

// float returns the layer that has the result of a layer as float32. It appends one that converts it, if
// necessary.
func (im *importer) float(name string) (string, error) { return im.as(name, kernels.Type{}) }

// as returns the layer that has the result of a layer in type t. It appends those that convert it, if
// necessary.
func (im *importer) as(name string, t kernels.Type) (string, error) {
	if im.shapes[name].Type == t {
		return name, nil
	}
	if converted, ok := im.converted[conversion{name, t}]; ok {
		return converted, nil
	}
	l, suffix, from := layer.Layer(layer.Dequantize{}), ".dequantize", name
	if t != (kernels.Type{}) {
		l, suffix = layer.Quantize{Type: t}, ".quantize"
		var err error
		if from, err = im.float(name); err != nil {
			return "", err
		}
	}
	converted := im.name(name + suffix)
	if err := im.add(converted, l, from); err != nil {
		return "", err
	}
	im.converted[conversion{name, t}] = converted
	return converted, nil
}

// finish finds the outputs of the model, when it has all layers.
func (im *importer) finish() error {
	if len(im.model.Nodes) == 0 {
		return errors.New("no layers")
	}
	var outputs []string
	for _, name := range im.content.outputs {
		fail := func(err error) error { return fmt.Errorf("output %s: %w", label(name), err) }
		o := im.operands[name]
		switch {
		case o == nil:
			return fail(errors.New("no node computes it"))
		case o.constant != nil:
			return fail(errors.New("it is constant"))
		case o.integers:
			return fail(errors.New("it has integers, expected floating-point numbers"))
		case o.layer == graph.Input:
			return fail(errors.New("it is the input"))
		}
		converted, err := im.float(o.layer)
		if err != nil {
			return fail(err)
		}
		if !slices.Contains(outputs, converted) {
			outputs = append(outputs, converted)
		}
	}
	if _, ok := im.shapes[im.model.Head]; !ok || im.model.Head == graph.Input {
		im.model.Head = "" // another program may have renamed or replaced nodes
	}
	last := im.model.Nodes[len(im.model.Nodes)-1]
	if len(outputs) == 2 && slices.Contains(outputs, last.Name) {
		logits := outputs[0]
		if logits == last.Name {
			logits = outputs[1]
		}
		if _, ok := last.Layer.(layer.Softmax); ok && last.Inputs[0] == logits {
			return nil
		}
	}
	if len(outputs) > 1 {
		im.model.Outputs = outputs
	}
	return nil
}
