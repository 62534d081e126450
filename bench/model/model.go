// Package model opens the network that is benchmarked instead of those of firebench/net/models: one in
// a file.
package model

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"firebench/compare/samples"
	"firebench/net/compression"
	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/onnx"
)

// Variable is the environment variable that names the file.
const Variable = "FIREBENCH_MODEL"

// A Model is a network in a file.
type Model struct {
	*graph.Model
	Weights   graph.Weights
	Quantized bool                  // its values are, so that it runs in int8 alone
	Layers    []samples.Description // for the reader of results; none if package models has the same layers by that name
}

// Open opens the ONNX file that FIREBENCH_MODEL names; the model is nil if it names none. A relative path is
// taken from the first of the folders that has such a file. A network that is called like one of package
// models, but has other layers, gets the name NAME.onnx.
func Open(folders ...string) (*Model, error) {
	name := os.Getenv(Variable)
	if name == "" {
		return nil, nil
	}
	m, err := open(find(name, folders))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Variable, err)
	}
	return m, nil
}

// find returns the path of a file in one of these folders, or name if it is in none of them.
func find(name string, folders []string) string {
	if filepath.IsAbs(name) {
		return name
	}
	for _, folder := range folders {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return name
}

func open(path string) (*Model, error) {
	table, w, err := onnx.Open(path)
	if err != nil {
		return nil, err
	}
	infos, err := table.Infer()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m := &Model{Model: table, Weights: w, Quantized: compression.IsQuantized(infos)}
	if m.Layers, err = samples.Describe(m.Model); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	known, err := models.Lookup(m.Name)
	if err != nil {
		return m, nil
	}
	layers, err := samples.Describe(known)
	if err != nil {
		return nil, err
	}
	if slices.Equal(layers, m.Layers) {
		m.Layers = nil
		return m, nil
	}
	m.Name += ".onnx"
	for i := range m.Layers {
		m.Layers[i].Net = m.Name
	}
	return m, nil
}
