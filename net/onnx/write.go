package onnx

import (
	"fmt"
	"io"

	"firebench/net/graph"
)

// Write writes the model that weights were trained for, see [graph.Weights], as a file of ONNX: opset
// 17, with the images of a batch of any size N, N×C×H×W, as its input. Equal models and weights give equal
// bytes.
//
// The results of a model that ends in softmax are logits and prob; those in Model.Outputs, or the last
// node's, have the nodes' names. The file's metadata have the model's name, its preprocessor, its
// head and the names of its classes.
//
// Quantized values are uint8 tensors, and what computes with them stands between DequantizeLinear and
// QuantizeLinear (QDQ). Weights are the int8, and biases the int32 numbers that the kernels compute
// with, see [kernels.Problem.Quantize]. An engine that turns this into integer arithmetic as that of
// QLinearConv gets the same integers as Firebench; one that computes in float32 may round a few
// differently.
//
// The weights of one layer at a time are in memory. Errors name the model and the node.
func Write(w io.Writer, m *graph.Model, weights graph.Weights) error {
	fail := func(err error) error { return fmt.Errorf("onnx: %s: %w", m.Name, err) }
	adapted, err := weights.Adapt(m)
	if err != nil {
		return fail(err)
	}
	m = adapted
	infos, err := m.Infer()
	if err != nil {
		return err // which names the model
	}
	e := newExporter(m, infos)
	for i := range infos {
		if err := e.layer(i); err != nil {
			return fail(fmt.Errorf("node %s: %w", infos[i].Name, err))
		}
	}
	if err := e.write(w, weights); err != nil {
		return fail(err)
	}
	return nil
}
