// Package models is the list of all networks.
package models

import (
	"fmt"
	"slices"
	"strings"

	"firebench/net/alexnet"
	"firebench/net/graph"
	"firebench/net/squeezenet"
)

// All returns every model for ImageNet's classes, in a fixed order. The tables are the caller's to change.
func All() []*graph.Model {
	return slices.Concat(
		squeezenet.Models(),
		alexnet.Models(),
	)
}

// Lookup returns the model of that name: one of All, or one that squeezenet.ParseMicro knows, with the ten
// classes of CIFAR-10. The error lists the names that there are.
func Lookup(name string) (*graph.Model, error) {
	if strings.HasPrefix(name, squeezenet.Small) {
		m, err := squeezenet.ParseMicro(name)
		if err != nil {
			return nil, err
		}
		return m.New(10)
	}
	var names []string
	for _, m := range All() {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return nil, fmt.Errorf("unknown model %q, expected one of %s, %s", name, strings.Join(names, ", "), squeezenet.Small)
}
