package onnx

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebench/net/graph"
)

// A build is a model file in the making. Its input is x, 1×channels×h×w.
type build struct {
	opset        int64
	input        []int64
	nodes        []message
	initializers []message
	outputs      []string
	metadata     map[string]string
}

// newBuild returns a file with an input of those dimensions and nothing else.
func newBuild(input ...int64) *build { return &build{opset: 17, input: input} }

// node adds a node. Names are separated by spaces; _ is an empty one.
func (b *build) node(op, inputs, outputs string, attributes ...message) *build {
	var n message
	for _, s := range strings.Fields(inputs) {
		n.text(nodeInput, strings.Trim(s, "_"))
	}
	for _, s := range strings.Fields(outputs) {
		n.text(nodeOutput, s)
	}
	if domain, name, ok := strings.Cut(op, ":"); ok {
		n.text(nodeDomain, domain)
		op = name
	}
	n.text(nodeOp, op)
	for _, a := range attributes {
		n.message(nodeAttribute, a)
	}
	b.nodes = append(b.nodes, n)
	return b
}

// tensorOf returns an encoded tensor with raw values.
func tensorOf(name string, values any, dims ...int64) message {
	var t message
	for _, d := range dims {
		t.number(tensorDims, d)
	}
	types := int64(0)
	switch values.(type) {
	case []float32:
		types = float32s
	case []uint8:
		types = uint8s
	case []int8:
		types = int8s
	case []int32:
		types = int32s
	case []int64:
		types = int64s
	}
	raw, err := binary.Append(nil, binary.LittleEndian, values)
	if err != nil {
		panic(err)
	}
	t.number(tensorType, types)
	t.text(tensorName, name)
	t.text(tensorRaw, string(raw))
	return t
}

// tensor adds an initializer: a vector of the values unless there are other dims. A dimension of 0 stands for a scalar.
func (b *build) tensor(name string, values any, dims ...int64) *build {
	if len(dims) == 0 {
		dims = []int64{int64(binary.Size(values) / binary.Size(first(values)))}
	}
	if slices.Equal(dims, []int64{0}) {
		dims = nil
	}
	b.initializers = append(b.initializers, tensorOf(name, values, dims...))
	return b
}

// first returns the first of some values.
func first(values any) any {
	switch v := values.(type) {
	case []float32:
		return v[0]
	case []uint8:
		return v[0]
	case []int8:
		return v[0]
	case []int32:
		return v[0]
	case []int64:
		return v[0]
	}
	panic("no numbers")
}

// scale adds a scale NAME.s and a zero point NAME.z.
func (b *build) scale(name string, scale float32, zero uint8) *build {
	return b.tensor(name+".s", []float32{scale}, 0).tensor(name+".z", []uint8{zero}, 0)
}

// output adds outputs.
func (b *build) output(names ...string) *build {
	b.outputs = append(b.outputs, names...)
	return b
}

// valueInfo returns an encoded ValueInfoProto of float32 values.
func valueInfo(name string, dims []int64) message {
	var shape, tensor, typ, v message
	for _, d := range dims {
		var dim message
		if d < 0 {
			dim.text(dimParam, "N")
		} else {
			dim.number(dimValue, d)
		}
		shape.message(shapeDim, dim)
	}
	tensor.number(tensorTypeElement, float32s)
	tensor.message(tensorTypeShape, shape)
	typ.message(typeTensor, tensor)
	v.text(valueName, name)
	v.message(valueType, typ)
	return v
}

// encode returns the file.
func (b *build) encode() message {
	var g, m, o message
	for _, n := range b.nodes {
		g.message(graphNode, n)
	}
	for _, t := range b.initializers {
		g.message(graphInitializer, t)
	}
	g.message(graphInput, valueInfo("x", b.input))
	for _, name := range b.outputs {
		g.message(graphOutput, valueInfo(name, nil))
	}
	o.number(opsetVersion, b.opset)
	m.number(modelIRVersion, irVersion)
	m.message(modelGraph, g)
	m.message(modelOpset, o)
	for key, value := range b.metadata {
		var e message
		e.text(entryKey, key)
		e.text(entryValue, value)
		m.message(modelMetadata, e)
	}
	return m
}

// write writes the file and returns its path.
func (b *build) write(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "net.onnx")
	if err := os.WriteFile(path, b.encode(), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// open imports the file.
func (b *build) open(t testing.TB) (*graph.Model, graph.Weights) {
	t.Helper()
	m, w, err := Open(b.write(t))
	if err != nil {
		t.Fatal(err)
	}
	return m, w
}

// These are attributes that only tests write.

func textAttribute(name, value string) message {
	var a message
	a.text(attributeName, name)
	a.text(attributeBytes, value)
	a.number(attributeType, 3)
	return a
}

func tensorAttribute(name string, value message) message {
	var a message
	a.text(attributeName, name)
	a.message(attributeTensor, value)
	a.number(attributeType, 4)
	return a
}

func floatsAttribute(name string, values ...float32) message {
	var a message
	a.text(attributeName, name)
	for _, v := range values {
		a.fixed32(attributeFloats, math.Float32bits(v))
	}
	a.number(attributeType, 6)
	return a
}
