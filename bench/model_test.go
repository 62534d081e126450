package bench

import (
	"fmt"
	"testing"

	"firebench/bench/model"
	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/weights"
)

// A network is one that is benchmarked.
type network struct {
	*graph.Model
	weights graph.Weights
	types   []*numberType
}

// networks are those that are benchmarked: all of package models unless TestMain has opened a file.
var networks = func() []*network {
	var list []*network
	for _, m := range models.All() {
		list = append(list, &network{m, weights.Random(seed), numberTypes})
	}
	return list
}()

// lookup returns a network of package models.
func lookup(t testing.TB, name string) *network {
	t.Helper()
	for _, n := range networks {
		if n.Name == name {
			return n
		}
	}
	t.Fatalf("no network %s", name)
	return nil
}

// openModel makes the network in the file that FIREBENCH_MODEL names, if it names one, that which is
// benchmarked, and prints what the reader of the results must know of it.
func openModel() error {
	m, err := model.Open(".", "..") // go test runs benchmarks in their own folder
	if m == nil {
		return err
	}
	n := &network{m.Model, m.Weights, numberTypes}
	if m.Quantized {
		n.types = []*numberType{int8Type}
	}
	networks = []*network{n}
	for _, l := range m.Layers {
		fmt.Println(l)
	}
	return nil
}
