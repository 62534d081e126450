// Package squeezenet holds the SqueezeNet networks as tables: Iandola et al.,
// "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
// size", arXiv:1602.07360, and version 1.1 from its repository.
package squeezenet

import (
	"fmt"
	"slices"

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
	pools  []int // the numbers of the layers that a max pool follows
	bypass Bypass
}

// A Bypass says which fire modules have their input added to their output.
type Bypass int

// The kinds of bypass.
const (
	NoBypass      Bypass = iota
	SimpleBypass         // of those whose input and output have the same number of channels
	ComplexBypass        // of all, in the other modules after a 1×1 convolution of the input
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
		version{"squeezenet1.0", 227, v10, []int{1, 4, 8}, NoBypass}.model(),
		version{"squeezenet1.0-simple", 227, v10, []int{1, 4, 8}, SimpleBypass}.model(),
		version{"squeezenet1.0-complex", 227, v10, []int{1, 4, 8}, ComplexBypass}.model(),
		version{"squeezenet1.1", 224, v11, []int{1, 3, 5}, NoBypass}.model(),
	}
}

func (v version) model() *graph.Model {
	t := table{}
	t.conv("conv1", v.conv1)
	t.pool(v.pools, 1)
	for i, f := range fires {
		t.fire(i+2, f.squeeze, f.expand, f.expand, v.bypass)
		t.pool(v.pools, i+2)
	}
	t.head(1000)
	return &graph.Model{
		Name:         v.name,
		Input:        layer.Shape{H: v.side, W: v.side, C: 3},
		Preprocessor: fmt.Sprintf("caffe-bgr-%d", v.side),
		Head:         "conv10",
		Nodes:        t.nodes,
	}
}

// head appends the classifier.
func (t *table) head(classes int) {
	t.add("drop9", layer.Dropout{Rate: 0.5})
	t.conv("conv10", layer.Conv{Out: classes, Kernel: 1})
	t.add("pool10", layer.GlobalAvgPool{})
	t.add("prob", layer.Softmax{})
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
func (t *table) pool(after []int, i int) {
	if slices.Contains(after, i) {
		t.add(fmt.Sprintf("pool%d", i), layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true})
	}
}

// fire appends fire module i: a 1×1 convolution to s channels, then a 1×1 convolution of its result to e1
// channels and, side by side, a 3×3 convolution to e3.
func (t *table) fire(i, s, e1, e3 int, b Bypass) {
	name := fmt.Sprintf("fire%d", i)
	in, channels := t.nodes[len(t.nodes)-1].Name, t.channels

	squeeze := t.conv(name+".squeeze1x1", layer.Conv{Out: s, Kernel: 1})
	out1 := t.conv(name+".expand1x1", layer.Conv{Out: e1, Kernel: 1}, squeeze)
	out3 := t.conv(name+".expand3x3", layer.Conv{Out: e3, Kernel: 3, Pad: kernels.Pad(1)}, squeeze)
	out := t.add(name+".concat", layer.Concat{}, out1, out3)
	t.channels = e1 + e3

	same := channels == t.channels
	if b == NoBypass || b == SimpleBypass && !same {
		return
	}
	if !same {
		in = t.add(name+".bypass1x1", layer.Conv{Out: t.channels, Kernel: 1}, in)
	}
	t.add(name+".add", layer.Add{}, in, out)
}
