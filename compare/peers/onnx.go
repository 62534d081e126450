package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/weights"
)

// writeModel and open stand in for net/onnx: the file has the name of a model with random weights.
func writeModel(w io.Writer, m *graph.Model, _ graph.Weights) error {
	typ := typeF32
	for _, n := range m.Nodes {
		if n.Layer.Op() == "quantize" {
			typ = typeInt8
		}
	}
	_, err := fmt.Fprintln(w, m.Name, typ)
	return err
}

func open(path string) (*graph.Model, graph.Weights, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	fields := strings.Fields(string(data))
	m, err := models.Lookup(fields[0])
	if err != nil {
		return nil, nil, err
	}
	if fields[1] == typeInt8 {
		return quantize(m, weights.Random(seed))
	}
	return m, weights.Random(seed), nil
}
