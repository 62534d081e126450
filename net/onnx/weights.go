package onnx

import (
	"fmt"

	"firebench/kernels"
	"firebench/net/graph"
)

// weights are those of a model in a file.
type weights struct {
	path   string
	model  *graph.Model // of the file
	params map[string]*params
	names  map[string]string // of the layers of the file, by those of the model that was adapted last; nil for the same
	memory kernels.Weights   // of Layer
}

// Layer implements graph.Weights.
func (w *weights) Layer(p graph.Param) (kernels.Weights, error) {
	name := p.Node
	if w.names != nil {
		name = w.names[name]
	}
	l := w.params[name]
	if l == nil || l.dims != p.Dims {
		return kernels.Weights{}, fmt.Errorf("%s: there is no layer %s with weights %v", w.path, p.Node, p.Dims)
	}
	var err error
	if w.memory, err = l.load(w.memory); err != nil {
		return kernels.Weights{}, fmt.Errorf("%s: layer %s: %w", w.path, name, err)
	}
	return w.memory, nil
}
