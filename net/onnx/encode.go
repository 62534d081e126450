package onnx

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"firebench/kernels"
	"firebench/net/graph"
)

// An initializer is a constant tensor of a file.
type initializer struct {
	name string
	typ  int64
	dims []int
	raw  []byte // its values, nil for weights, which are fetched while they are written
}

// size returns the size of the values.
func (t initializer) size() int64 {
	size := int64(1)
	switch t.typ {
	case float32s, int32s:
		size = 4
	case int64s:
		size = 8
	}
	for _, d := range t.dims {
		size *= int64(d)
	}
	return size
}

// head returns the encoded tensor without the values, which end it.
func (t initializer) head() (m message) {
	for _, d := range t.dims {
		m.number(tensorDims, int64(d))
	}
	m.number(tensorType, t.typ)
	m.text(tensorName, t.name)
	m.head(tensorRaw, t.size())
	return m
}

// field returns the encoded field of GraphProto without the values, which end it.
func (t initializer) field() (m message) {
	head := t.head()
	m.head(graphInitializer, int64(len(head))+t.size())
	return append(m, head...)
}

// parameters are the weights of one node, in all forms in which nodes use them.
type parameters struct {
	param graph.Param
	forms []form
}

// A form are the initializers that hold weights and biases: as float32, or as the integers of a
// quantized layer.
type form struct {
	problem kernels.Problem
	tensors []initializer // weights and biases; if quantized, each with its scales and zero points
	names   []string      // of weights and biases, as float32
}

// write writes the file. It knows the sizes of weights, which stand before them, without fetching
// them.
func (e *exporter) write(w io.Writer, weights graph.Weights) error {
	before := e.nodes
	before.text(graphName, e.model.Name)
	for _, t := range e.initializers {
		before = append(append(before, t.field()...), t.raw...)
	}
	var after message
	after.message(graphInput, e.values[0].info())
	for _, v := range e.outputs {
		after.message(graphOutput, v.info())
	}
	size := int64(len(before) + len(after))
	for _, p := range e.params {
		for _, f := range p.forms {
			for _, t := range f.tensors {
				size += int64(len(t.field())) + t.size()
			}
		}
	}
	var head message
	head.number(modelIRVersion, irVersion)
	head.text(modelProducer, "firebench")
	head.head(modelGraph, size)
	head = append(head, before...)

	out := bufio.NewWriter(w)
	out.Write(head) // Flush returns the first error of all writes
	for _, p := range e.params {
		w, err := weights.Layer(p.param)
		if err == nil {
			err = p.write(out, w)
		}
		if err != nil {
			return fmt.Errorf("node %s: %w", p.param.Node, err)
		}
	}
	out.Write(append(after, e.tail()...))
	return out.Flush()
}

// tail returns the fields of ModelProto behind the graph.
func (e *exporter) tail() (m message) {
	var version message
	version.number(opsetVersion, opset)
	m.message(modelOpset, version)
	classes := ""
	if len(e.model.Classes) > 0 {
		text, _ := json.Marshal(e.model.Classes) // of strings, which it always can
		classes = string(text)
	}
	for _, pair := range [][2]string{
		{keyModel, e.model.Name}, {keyPreprocessor, e.model.Preprocessor}, {keyHead, e.model.Head}, {keyClasses, classes},
	} {
		if pair[1] != "" {
			var entry message
			entry.text(entryKey, pair[0])
			entry.text(entryValue, pair[1])
			m.message(modelMetadata, entry)
		}
	}
	return m
}

// info returns the description of an input or output.
func (v *value) info() (m message) {
	var shape, tensor, typ message
	dim := func(n int) {
		var d message
		d.number(dimValue, int64(n))
		shape.message(shapeDim, d)
	}
	var batch message
	batch.text(dimParam, "N")
	shape.message(shapeDim, batch)
	if v.flat {
		dim(v.shape.Elems())
	} else {
		dim(v.shape.C)
		dim(v.shape.H)
		dim(v.shape.W)
	}
	if v.quantized() {
		tensor.number(tensorTypeElement, uint8s)
	} else {
		tensor.number(tensorTypeElement, float32s)
	}
	tensor.message(tensorTypeShape, shape)
	typ.message(typeTensor, tensor)
	m.text(valueName, v.name)
	m.message(valueType, typ)
	return m
}

// write writes w in all forms.
func (p *parameters) write(out *bufio.Writer, w kernels.Weights) error {
	if w.Bias == nil {
		w.Bias = make([]float32, p.param.Dims[0])
	}
	for _, f := range p.forms {
		if err := w.Check(f.problem.ConvShape); err != nil {
			return err
		}
		values, err := f.values(w)
		if err != nil {
			return err
		}
		for i, t := range f.tensors {
			out.Write(t.field())
			if err := put(out, values[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// values returns what the form's initializers hold for w.
func (f form) values(w kernels.Weights) ([]any, error) {
	if f.problem.Src == (kernels.Type{}) {
		return []any{w.Values, w.Bias}, nil
	}
	q, err := f.problem.Quantize(w)
	if err != nil {
		return nil, err
	}
	products := make([]float32, len(q.Scales))
	for c, s := range q.Scales {
		products[c] = f.problem.Src.Scale * s
	}
	return []any{
		q.Values, q.Scales, make([]int8, len(q.Scales)),
		q.Bias, products, make([]int32, len(q.Scales)),
	}, nil
}

// put writes a slice of numbers in little-endian order.
func put(out *bufio.Writer, values any) error {
	switch s := values.(type) {
	case []float32:
		return putAll(out, s)
	case []int8:
		return putAll(out, s)
	case []int32:
		return putAll(out, s)
	}
	panic(fmt.Sprintf("onnx: no tensors of %T", values))
}

func putAll[T float32 | int8 | int32](out *bufio.Writer, values []T) error {
	var raw []byte // of some of them, as there may be many
	for some := range slices.Chunk(values, 1<<13) {
		raw = bytesOf(raw[:0], some...)
		if _, err := out.Write(raw); err != nil {
			return err
		}
	}
	return nil
}
