package cli

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firebench/net/compression"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/onnx"
	"firebench/net/preprocess"
	"firebench/net/weights"
)

// modelExt is what the name of a file with a model ends in, usually.
const modelExt = ".onnx"

// isFile reports whether name is that of a file with a model, not of one of package models. A file that is
// called like a model is ./NAME.
func isFile(name string) bool {
	if _, err := models.Lookup(name); err == nil {
		return false
	}
	_, err := os.Stat(name)
	return err == nil || strings.EqualFold(filepath.Ext(name), modelExt) || strings.ContainsAny(name, "/"+string(filepath.Separator))
}

// lookup returns the model of a name that is not a file's.
func lookup(name string) (*graph.Model, error) {
	m, err := models.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("%w, or a FILE%s", err, modelExt)
	}
	return m, nil
}

// Open opens the weights. If -model is a file, it also opens that, and sets Model, Quantized and Type.
func (n *Network) Open() (graph.Weights, error) {
	w := weights.Random(seed)
	if n.file != "" {
		var err error
		if n.Model, w, err = onnx.Open(n.file); err != nil {
			return nil, err
		}
		if err := n.adoptType(); err != nil {
			return nil, fmt.Errorf("%s: %w", n.file, err)
		}
	}
	if n.Weights == "" {
		return w, nil
	}
	return weights.Open(n.Weights)
}

// OpenClassifier is Open for commands that need probabilities. Model is then what the weights were trained
// for, with a softmax behind it if it ends in scores, as PyTorch exports it.
func (n *Network) OpenClassifier() (graph.Weights, error) {
	w, err := n.Open()
	if err != nil {
		return nil, err
	}
	n.Model, w, err = graph.Rewrite(classifier).Apply(n.Model, w)
	return w, err
}

// classifier adds a node to m, a softmax, unless its main output is that of one. There must be one number
// for each class.
func classifier(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
	infos, err := m.Infer()
	if err != nil {
		return nil, nil, err
	}
	main := len(infos) - 1
	if len(m.Outputs) > 0 {
		main = slices.IndexFunc(infos, func(i graph.Info) bool { return i.Name == m.Outputs[0] })
	}
	if out := infos[main].Out; out.H != 1 || out.W != 1 || out.C < 2 {
		return nil, nil, fmt.Errorf("%s: its result is %v, expected a number for each class, 1×1×C", m.Name, out)
	}
	if _, ok := infos[main].Layer.(layer.Probabilistic); ok {
		return m, w, nil
	}
	m = m.Clone()
	name := "prob"
	for slices.ContainsFunc(infos, func(i graph.Info) bool { return i.Name == name }) {
		name += ".softmax"
	}
	m.Nodes = append(m.Nodes, graph.Node{Name: name, Layer: layer.Softmax{}, Inputs: []string{infos[main].Name}})
	if len(m.Outputs) > 0 {
		m.Outputs[0] = name
	}
	_, err = m.Infer()
	return m, w, err
}

// Preprocessor returns what turns a picture into the input of m, which is Model or what the weights
// adapted it to: that of -preprocessor, else m's.
func (n *Network) Preprocessor(m *graph.Model) (*preprocess.Preprocessor, error) {
	name := cmp.Or(n.preprocessor, m.Preprocessor)
	if name == "" {
		return nil, fmt.Errorf("%s: it does not say how a picture becomes its input, expected -preprocessor with one of %s",
			cmp.Or(n.file, m.Name), strings.Join(preprocess.Names(), ", "))
	}
	p, err := preprocess.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmp.Or(n.file, m.Name), err)
	}
	if made := (layer.Shape{H: p.Side(), W: p.Side(), C: 3}); m.Input != made {
		return nil, fmt.Errorf("%s: its input is %v, but preprocessor %s makes %v", cmp.Or(n.file, m.Name), m.Input, name, made)
	}
	return p, nil
}

// adoptType sets Quantized and Type by the values of a file's model, and checks the flags against them.
func (n *Network) adoptType() error {
	infos, err := n.Model.Infer()
	if err != nil {
		return err
	}
	n.Quantized = compression.IsQuantized(infos)
	switch given := func(name string) bool { return n.given[name] }; {
	case !n.Quantized:
		return n.checkCalibrate()
	case n.given["type"] && n.Type != Int8:
		return fmt.Errorf("-type %s: its values are quantized, expected -type %s", n.Type, Int8)
	case slices.ContainsFunc(int8Flags, given):
		return fmt.Errorf("-%s: its values are quantized already", int8Flags[slices.IndexFunc(int8Flags, given)])
	}
	n.Type = Int8
	return nil
}
