package compression

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"firebench/kernels"
	"firebench/net/graph"
)

// size returns the number of weights of a layer, zeros included.
func size(p graph.Param) int { return p.Dims[0] * p.Dims[1] * p.Dims[2] * p.Dims[3] }

// checkValues returns an error unless w has the weights of a layer, all of them finite.
func checkValues(p graph.Param, w kernels.Weights) error {
	if n := size(p); len(w.Values) != n {
		return fmt.Errorf("layer %s: %d weights, expected %d for %v", p.Node, len(w.Values), n, p.Dims)
	}
	for i, v := range w.Values {
		if v-v != 0 {
			return fmt.Errorf("layer %s: weight %d is %g, expected a finite value", p.Node, i, v)
		}
	}
	return nil
}

// sortedKeys returns the keys of a map in order, so that of several errors always the same is found.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
