package main

import (
	"fmt"

	"firebench/kernels"
	"firebench/net/layer"
	"firebench/net/models"
)

// A kind says how much of a network a benchmark times.
type kind uint8

const (
	wholeNet kind = iota
	stagePart
	layerPart
)

// A part is what one benchmark times: a network, one of its stages or one of its
// layers. All that is known about it beforehand comes from the model's table.
type part struct {
	net   *network
	kind  kind
	name  string // empty for the whole network
	order int    // position in the network
	op    string // layers only
	out   layer.Shape
	cost  kernels.Cost // of one image
}

// A network is a model and its parts, in network order.
type network struct {
	name   string
	order  int
	whole  *part
	stages []*part
	layers []*part
	byName [3]map[string]*part // indexed by kind
}

// find returns the part of that kind and name, or nil.
func (n *network) find(k kind, name string) *part { return n.byName[k][name] }

// networks returns the facts about every model, in the models' order.
func networks() ([]*network, error) {
	var nets []*network
	for i, m := range models.All() {
		infos, err := m.Infer()
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", m.Name, err)
		}
		n := &network{name: m.Name, order: i}
		for k := range n.byName {
			n.byName[k] = make(map[string]*part)
		}
		n.whole = n.add(wholeNet, "")
		for _, info := range infos {
			l := n.add(layerPart, info.Name)
			l.op = info.Layer.Op()
			for _, p := range []*part{l, n.add(stagePart, info.Stage), n.whole} {
				p.out = info.Out // of a stage and of the network: the last layer's
				p.cost = p.cost.Add(info.Cost)
			}
		}
		nets = append(nets, n)
	}
	return nets, nil
}

// add returns the part of that kind and name, which it makes when there is none.
func (n *network) add(k kind, name string) *part {
	if p := n.byName[k][name]; p != nil {
		return p
	}
	p := &part{net: n, kind: k, name: name}
	switch k {
	case stagePart:
		p.order = len(n.stages)
		n.stages = append(n.stages, p)
	case layerPart:
		p.order = len(n.layers)
		n.layers = append(n.layers, p)
	}
	n.byName[k][name] = p
	return p
}
