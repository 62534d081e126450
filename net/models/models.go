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

// All returns every model in a fixed order. The tables are the caller's to change.
func All() []*graph.Model {
	return slices.Concat(
		squeezenet.Models(),
		alexnet.Models(),
	)
}

// Lookup returns the model of that name; the error lists the names that there are.
func Lookup(name string) (*graph.Model, error) {
	var names []string
	for _, m := range All() {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return nil, fmt.Errorf("unknown model %q, expected one of %s", name, strings.Join(names, ", "))
}
