package samples

import (
	"fmt"
	"slices"
	"strings"

	"firebench/kernels"
	"firebench/net/compress"
	"firebench/net/graph"
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
// layers. All that is known about it beforehand comes from the model's table.
type Part struct {
	Net  *Network
	Kind Kind
	Name string       // empty for the whole network
	Op   string       // layers only
	Out  layer.Shape  // of the last layer
	Cost kernels.Cost // of one image in float32; none for a layer that only converts types in int8

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
}

// Find returns the part of that kind and name, or nil.
func (n *Network) Find(k Kind, name string) *Part { return n.byName[k][name] }

// Networks returns the facts about every model, in the models' order.
func Networks() ([]*Network, error) {
	var nets []*Network
	for _, m := range models.All() {
		infos, err := m.Infer()
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", m.Name, err)
		}
		quantized, err := quantize(m, infos)
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", m.Name, err)
		}
		n := &Network{Name: m.Name}
		for k := range n.byName {
			n.byName[k] = make(map[string]*Part)
		}
		n.Whole = n.add(Net, "")
		for _, info := range quantized { // which has all layers of the other
			for _, p := range n.parts(info) {
				p.int8 = p.int8.Add(info.Cost)
			}
		}
		for _, info := range infos {
			for _, p := range n.parts(info) {
				p.Cost = p.Cost.Add(info.Cost)
			}
		}
		nets = append(nets, n)
	}
	return nets, nil
}

// quantize returns the nodes of the quantized form of a model. They do not depend on the calibration.
func quantize(m *graph.Model, infos []graph.Info) ([]graph.Info, error) {
	c := &compress.Calibration{Model: m.Name, Method: compress.Default, Images: 1, Values: []compress.Value{{Name: graph.Input, Scale: 1}}}
	for _, info := range infos {
		c.Values = append(c.Values, compress.Value{Name: info.Name, Scale: 1})
	}
	q, _, err := compress.Quantize(c, compress.Options{})(m, nil)
	if err != nil {
		return nil, err
	}
	return q.Infer()
}

// parts returns the parts that a node belongs to.
func (n *Network) parts(info graph.Info) []*Part {
	l := n.add(Layer, info.Name)
	l.Op = info.Layer.Op()
	parts := []*Part{l, n.add(Stage, info.Stage), n.Whole}
	for _, p := range parts {
		p.Out = info.Out
	}
	return parts
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

// Lookup returns the network of that name; the error lists the names that there are.
func Lookup(nets []*Network, name string) (*Network, error) {
	if i := slices.IndexFunc(nets, func(n *Network) bool { return n.Name == name }); i >= 0 {
		return nets[i], nil
	}
	var known []string
	for _, n := range nets {
		known = append(known, n.Name)
	}
	return nil, fmt.Errorf("unknown network %q, expected one of %s", name, strings.Join(known, ", "))
}
