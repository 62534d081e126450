// Package squeezenet holds the SqueezeNet networks as tables: Iandola et al.,
// "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
// size", arXiv:1602.07360, and version 1.1 from its repository.
package squeezenet

import (
	"fmt"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// fires are fire2 to fire9, which are the same in all versions: the output channels of the
// squeeze layer, and of each of the two expand layers.
var fires = [...]struct{ squeeze, expand int }{
	{16, 64}, {16, 64}, {32, 128}, {32, 128}, {48, 192}, {48, 192}, {64, 256}, {64, 256},
}

// A version says in what one network differs from the others.
type version struct {
	name   string
	side   int // of the input
	conv1  layer.Conv
	pools  [3]int // the numbers of the layers that a max pool follows
	bypass bypass
}

// A bypass says which fire modules have their input added to their output.
type bypass int

const (
	noBypass      bypass = iota
	simpleBypass         // those whose input and output have the same number of channels
	complexBypass        // all, in the other modules after a 1×1 convolution of the input
)

// Models returns all versions, v1.0 without bypass first. The tables have no padding in
// conv10, like the paper. The published weights of v1.0 need a padding of 1 there; their Adapt
// sets it.
func Models() []*graph.Model {
	var (
		v10 = layer.Conv{Out: 96, Kernel: 7, Stride: 2}
		v11 = layer.Conv{Out: 64, Kernel: 3, Stride: 2}
	)
	return []*graph.Model{
		version{"squeezenet1.0", 227, v10, [3]int{1, 4, 8}, noBypass}.model(),
		version{"squeezenet1.0-simple", 227, v10, [3]int{1, 4, 8}, simpleBypass}.model(),
		version{"squeezenet1.0-complex", 227, v10, [3]int{1, 4, 8}, complexBypass}.model(),
		version{"squeezenet1.1", 224, v11, [3]int{1, 3, 5}, noBypass}.model(),
	}
}

func (v version) model() *graph.Model {
	t := table{}
	t.conv("conv1", v.conv1)
	t.pool(v.pools, 1)
	for i, f := range fires {
		t.fire(i+2, f.squeeze, f.expand, v.bypass)
		t.pool(v.pools, i+2)
	}
	t.add("drop9", layer.Dropout{Rate: 0.5})
	t.conv("conv10", layer.Conv{Out: 1000, Kernel: 1})
	t.add("pool10", layer.GlobalAvgPool{})
	t.add("prob", layer.Softmax{})
	return &graph.Model{
		Name:         v.name,
		Input:        layer.Shape{H: v.side, W: v.side, C: 3},
		Preprocessor: fmt.Sprintf("caffe-bgr-%d", v.side),
		Head:         "conv10",
		Nodes:        t.nodes,
	}
}

// A table is a list of nodes in the making.
type table struct {
	nodes    []graph.Node
	channels int // of the last node
}

// add appends a node that reads inputs, or the node before if there are none, and
// returns its name.
func (t *table) add(name string, l layer.Layer, inputs ...string) string {
	t.nodes = append(t.nodes, graph.Node{Name: name, Layer: l, Inputs: inputs})
	return name
}

// conv appends a convolution with its ReLU and returns the ReLU's name.
func (t *table) conv(name string, c layer.Conv, inputs ...string) string {
	t.channels = c.Out
	t.add(name, c, inputs...)
	return t.add(name+".relu", layer.ReLU{})
}

// pool appends a max pool if one follows layer i.
func (t *table) pool(after [3]int, i int) {
	for _, a := range after {
		if a == i {
			t.add(fmt.Sprintf("pool%d", i), layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true})
		}
	}
}

// fire appends fire module i: a 1×1 convolution to s channels, then a 1×1 and a 3×3 convolution
// of its result, side by side, to e channels each.
func (t *table) fire(i, s, e int, b bypass) {
	name := fmt.Sprintf("fire%d", i)
	in, channels := t.nodes[len(t.nodes)-1].Name, t.channels

	squeeze := t.conv(name+".squeeze1x1", layer.Conv{Out: s, Kernel: 1})
	e1 := t.conv(name+".expand1x1", layer.Conv{Out: e, Kernel: 1}, squeeze)
	e3 := t.conv(name+".expand3x3", layer.Conv{Out: e, Kernel: 3, Pad: kernels.Pad(1)}, squeeze)
	out := t.add(name+".concat", layer.Concat{}, e1, e3)
	t.channels = 2 * e

	same := channels == t.channels
	if b == noBypass || b == simpleBypass && !same {
		return
	}
	if !same {
		in = t.add(name+".bypass1x1", layer.Conv{Out: t.channels, Kernel: 1}, in)
	}
	t.add(name+".add", layer.Add{}, in, out)
}
