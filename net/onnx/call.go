package onnx

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"firebench/kernels"
	"firebench/net/layer"
	"firebench/net/tensor"
)

// An operator is how a node is imported.
type operator struct {
	min, max int // inputs, of which the first min are never left out; a max of 0 is no limit
	lower    func(c *call) (*operand, error)
}

// supported lists the operators.
func supported() string {
	return strings.Join(slices.Sorted(maps.Keys(operators)), ", ")
}

// A call is one node with its operands. Its methods for attributes keep the first error in err.
type call struct {
	*importer
	node *node
	args []*operand   // nil for inputs that are left out; the last is not
	to   kernels.Type // of the result, if the node says it itself
	err  error
}

// attribute returns the attribute of that name, or nil.
func (c *call) attribute(name string) *attribute {
	for _, a := range c.node.attributes {
		if a.name == name {
			a.used = true
			return a
		}
	}
	return nil
}

// int returns an attribute that is an integer.
func (c *call) int(name string, otherwise int) int {
	if a := c.attribute(name); a != nil {
		if a.int != int64(int32(a.int)) {
			c.fail(fmt.Errorf("%s is %d, expected a small number", name, a.int))
			return otherwise
		}
		return int(a.int)
	}
	return otherwise
}

// floatAttribute returns an attribute that is a number.
func (c *call) floatAttribute(name string, otherwise float32) float32 {
	if a := c.attribute(name); a != nil {
		if a.float-a.float != 0 {
			c.fail(fmt.Errorf("%s is %g, expected a finite number", name, a.float))
		}
		return a.float
	}
	return otherwise
}

// ints returns an attribute that is a list of n integers from min on, or n times otherwise.
func (c *call) ints(name string, n, min, otherwise int) []int {
	list := slices.Repeat([]int{otherwise}, n)
	a := c.attribute(name)
	if a == nil {
		return list
	}
	const most = 1 << 24
	bad := func(v int64) bool { return v < int64(min) || v > most }
	if len(a.ints) != n || slices.ContainsFunc(a.ints, bad) {
		c.fail(fmt.Errorf("%s is %d, expected %d numbers, from %d to %d", name, a.ints, n, min, most))
		return list
	}
	for i, v := range a.ints {
		list[i] = int(v)
	}
	return list
}

// expect fails unless an attribute that is an integer is left out or has the only value that is
// supported.
func (c *call) expect(name string, want int) {
	if v := c.int(name, want); v != want {
		c.fail(fmt.Errorf("%s is %d, expected %d", name, v, want))
	}
}

// ignore marks attributes that say nothing about the result.
func (c *call) ignore(names ...string) {
	for _, name := range names {
		c.attribute(name)
	}
}

func (c *call) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// arg returns an input, nil if it is left out.
func (c *call) arg(i int) *operand {
	if i < len(c.args) {
		return c.args[i]
	}
	return nil
}

// data returns an input that a layer computes.
func (c *call) data(i int) (*operand, error) {
	switch o := c.arg(i); {
	case o == nil:
		return nil, fmt.Errorf("input %d is missing", i)
	case o.constant != nil:
		return nil, fmt.Errorf("input %d is constant, expected what a node computes", i)
	default:
		return o, nil
	}
}

// constantArg returns an input that is constant, nil if it is left out.
func (c *call) constantArg(i int) (*constant, error) {
	o := c.arg(i)
	if o == nil {
		return nil, nil
	}
	if o.constant == nil {
		return nil, fmt.Errorf("input %d, %s, is not constant", i, label(c.node.inputs[i]))
	}
	return o.constant, nil
}

// needed is constantArg for an input that must not be left out.
func (c *call) needed(i int) (*constant, error) {
	k, err := c.constantArg(i)
	if err == nil && k == nil {
		err = fmt.Errorf("input %d is missing", i)
	}
	return k, err
}

// image returns an input that has the dimensions 1×C×H×W, and its shape.
func (c *call) image(i int) (*operand, layer.Shape, error) {
	o, err := c.data(i)
	if err != nil {
		return nil, layer.Shape{}, err
	}
	s := c.shapes[o.layer]
	if !slices.Equal(o.dims, imageDims(s)) {
		return nil, s, fmt.Errorf("input %d is %s, expected N×C×H×W as of %v", i, dims(o.dims), s)
	}
	return o, s, nil
}

// imageDims are the dimensions of an image in the file.
func imageDims(s layer.Shape) []int { return []int{1, s.C, s.H, s.W} }

func dims(d []int) string { return tensor.Stored{Dims: d}.Shape() }

// channelAxis returns the axis of o that has the channels, or -1 if none has them alone.
func (c *call) channelAxis(o *operand) int {
	s := c.shapes[o.layer]
	if slices.Equal(o.dims, imageDims(s)) {
		return 1
	}
	if s.H*s.W != 1 {
		return -1
	}
	if s.C == 1 {
		return len(o.dims) - 1
	}
	return slices.Index(o.dims, s.C)
}

// axis returns the attribute axis of an input with so many dimensions.
func (c *call) axis(otherwise, rank int) int {
	axis := c.int("axis", otherwise)
	if axis < 0 {
		axis += rank
	}
	return axis
}

// layerName returns the name of the layer that the node becomes.
func (c *call) layerName() string {
	return c.name(encodeName(c.node.name), encodeName(c.node.outputs[0]))
}

// dequantized reports whether an operand is quantized, and whether the file has it as floating-point numbers.
func (c *call) dequantized(o *operand) bool {
	return !o.integers && c.shapes[o.layer].Type != kernels.Type{}
}

// layer appends the layer that the node becomes, which computes in float32.
func (c *call) layer(l layer.Layer, args ...*operand) (*operand, error) {
	var inputs []string
	for _, o := range args {
		if o.integers {
			return nil, errIntegers
		}
		in, err := c.importer.float(o.layer)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, in)
	}
	return c.append(l, inputs...)
}

var errIntegers = errors.New("an input has integers, expected those of DequantizeLinear")

// append appends a layer that reads the results of others as they are.
func (c *call) append(l layer.Layer, inputs ...string) (*operand, error) {
	name := c.layerName()
	if err := c.add(name, l, inputs...); err != nil {
		return nil, err
	}
	return &operand{layer: name, dims: imageDims(c.shapes[name]), fresh: true}, nil
}

// keep appends a layer whose result has the type of its input.
func (c *call) keep(l layer.Layer, o *operand) (*operand, error) {
	out, err := c.append(l, o.layer)
	if err != nil {
		return nil, err
	}
	out.integers = o.integers
	return out, nil
}

// typed appends a layer that computes with quantized values if all its inputs are quantized and its result
// will be, and in float32 otherwise.
func (c *call) typed(l layer.Typed, args ...*operand) (*operand, error) {
	t, ok := c.resultType()
	for _, o := range args {
		ok = ok && c.dequantized(o)
	}
	if !ok {
		return c.layer(l, args...)
	}
	var inputs []string
	for _, o := range args {
		inputs = append(inputs, o.layer)
	}
	return c.append(l.As(t), inputs...)
}

// resultType returns the type that the node gives its result, or that its readers need, and whether there
// is one.
func (c *call) resultType() (kernels.Type, bool) {
	if c.to != (kernels.Type{}) {
		return c.to, true
	}
	return c.neededType(c.node.outputs[0])
}

// neededType returns the type that all readers of a value need it in, and whether there is one: they are
// QuantizeLinear, maybe behind nodes that quantized values pass as well.
func (im *importer) neededType(name string) (t kernels.Type, ok bool) {
	if im.outputs[name] || len(im.readers[name]) == 0 {
		return t, false
	}
	for _, n := range im.readers[name] {
		var other kernels.Type
		switch ok = false; {
		case n.op == "QuantizeLinear":
			other, ok = im.quantizedType(n)
		case passing[n.op], n.op == "Add" && slices.ContainsFunc(n.inputs, im.isConstant): // that is a bias
			other, ok = im.neededType(n.outputs[0])
		}
		if !ok || t != (kernels.Type{}) && t != other {
			return kernels.Type{}, false
		}
		t = other
	}
	return t, true
}

// passing are the operators of one operand that do to quantized values what they do to real ones.
var passing = map[string]bool{
	"Cast": true, "Clip": true, "Dropout": true, "Flatten": true, "Identity": true, "MaxPool": true, "Relu": true,
	"Reshape": true, "Squeeze": true, "Transpose": true, "Unsqueeze": true,
}

// quantizedType returns the type of the result of a QuantizeLinear, and whether it has one that
// activations can have.
func (im *importer) quantizedType(n *node) (kernels.Type, bool) {
	var scale, zero *constant
	if len(n.inputs) > 1 && im.isConstant(n.inputs[1]) {
		scale = im.operands[n.inputs[1]].constant
	}
	if len(n.inputs) > 2 && im.isConstant(n.inputs[2]) {
		zero = im.operands[n.inputs[2]].constant
	}
	if scale == nil || len(n.inputs) > 2 && n.inputs[2] != "" && zero == nil {
		return kernels.Type{}, false
	}
	element, err := n.outputElement()
	if err != nil {
		return kernels.Type{}, false
	}
	q, err := newQuantizing(scale, zero, element, nil, 0)
	if err != nil {
		return kernels.Type{}, false
	}
	t, err := q.activations()
	return t, err == nil
}
