package samples

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"firebench/kernels"
	"firebench/net/layer"
	"firebench/net/models"
)

// A Kind says how much of a network a benchmark times.
type Kind uint8

// The kinds, after BenchmarkNet, BenchmarkStage and BenchmarkLayer.
const (
	Net Kind = iota
	Stage
	Layer
)

// A Part is what one benchmark times: a network, one of its stages or one of its
// layers. All that is known about it beforehand comes from the model's table or, if package models has
// none, from the file.
type Part struct {
	Net  *Network
	Kind Kind
	Name string       // empty for the whole network
	Op   string       // layers only
	Out  layer.Shape  // of the last layer
	Cost kernels.Cost // of one image in float32, see Description

	int8 kernels.Cost // the same in int8
}

// CostOf returns the cost of one image with a type. The multiply-adds are the same.
func (p *Part) CostOf(typ string) kernels.Cost {
	if typ == Int8 {
		return p.int8
	}
	return p.Cost
}

// A Network is a model and its parts, in the order in which they run, in float32 and in int8.
type Network struct {
	Name   string
	Whole  *Part
	Stages []*Part
	Layers []*Part
	byName [3]map[string]*Part // indexed by kind
	layers []Description
}

// Find returns the part of that kind and name, or nil.
func (n *Network) Find(k Kind, name string) *Part { return n.byName[k][name] }

// Networks returns the facts about every model, in the models' order.
func Networks() ([]*Network, error) {
	var nets []*Network
	for _, m := range models.All() {
		layers, err := Describe(m)
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", m.Name, err)
		}
		nets = append(nets, newNetwork(layers))
	}
	return nets, nil
}

// newNetwork returns the network of these layers; there is one at least.
func newNetwork(layers []Description) *Network {
	n := &Network{Name: layers[0].Net, layers: layers}
	for k := range n.byName {
		n.byName[k] = make(map[string]*Part)
	}
	n.Whole = n.add(Net, "")
	for _, d := range layers {
		l := n.add(Layer, d.Layer)
		l.Op = d.Op
		for _, p := range []*Part{l, n.add(Stage, d.Stage), n.Whole} {
			p.Out = d.Out
			p.Cost = p.Cost.Add(d.F32)
			p.int8 = p.int8.Add(d.Int8)
		}
	}
	return n
}

// add returns the part of that kind and name, which it makes when there is none.
func (n *Network) add(k Kind, name string) *Part {
	if p := n.byName[k][name]; p != nil {
		return p
	}
	p := &Part{Net: n, Kind: k, Name: name}
	switch k {
	case Stage:
		n.Stages = append(n.Stages, p)
	case Layer:
		n.Layers = append(n.Layers, p)
	}
	n.byName[k][name] = p
	return p
}

// ErrUnknownNetwork says that there is no network of a name.
var ErrUnknownNetwork = errors.New("unknown network")

// Lookup returns the network of that name; the error, an ErrUnknownNetwork, lists the names that there are.
func Lookup(nets []*Network, name string) (*Network, error) {
	if i := slices.IndexFunc(nets, func(n *Network) bool { return n.Name == name }); i >= 0 {
		return nets[i], nil
	}
	var known []string
	for _, n := range nets {
		known = append(known, n.Name)
	}
	return nil, fmt.Errorf("%w %q, expected one of %s", ErrUnknownNetwork, name, strings.Join(known, ", "))
}
