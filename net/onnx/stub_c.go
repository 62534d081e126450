// Package onnx imports and exports models.
package onnx

import (
	"errors"

	"firebench/net/graph"
)

// Open is a stub.
func Open(path string) (*graph.Model, graph.Weights, error) {
	return nil, nil, errors.New(path + ": not yet")
}
