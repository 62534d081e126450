// Package graph compiles networks. A [Model] is a table of layers; [Compile]
// checks it, fuses and places what it can, and gives a [Plan] that runs on the
// kernels of one instruction set without allocating.
package graph

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"firebench/kernels"
	"firebench/net/layer"
)

// Input is the name by which nodes refer to the network's input.
const Input = "input"

// A Model is a network without weights.
type Model struct {
	Name         string
	Input        layer.Shape
	Preprocessor string   // the name of what turns a picture into the input, see package preprocess
	Head         string   // the first node of the classifier, "" for none
	Classes      []string // what the channels of the main output stand for; nil: nothing that the model knows
	Outputs      []string // the nodes whose results the caller reads, the main output first; none means the last node
	Nodes        []Node   // in the order in which they run
}

// A Node is one layer of a model and says where its inputs come from.
type Node struct {
	Name    string
	Layer   layer.Layer
	Inputs  []string // earlier nodes or [Input]; none means the node before, or [Input] for the first node, unless the layer is a Feed
	Weights string   // an earlier node whose weights this node uses as well, or transposed; "" means weights of its own
}

// An Info is what Infer knows about a node.
type Info struct {
	Name  string
	Layer layer.Layer
	In    []layer.Shape
	Out   layer.Shape
	Cost  kernels.Cost // of one image; it has no parameters if the weights are another node's
	Stage string
	Pass  layer.Pass
}

// Stages that are not named after their output side.
const (
	Stem = "stem" // everything up to the first layer with weights, and the activation behind it
	Head = "head" // everything from Model.Head on
)

// Infer checks the whole table and returns one Info per node. Stages make networks
// comparable: they are [Stem], [Head], and for nodes in between the size of the output as text,
// "55", or "55x27" where height and width differ. The stages of gradients are their passes. A node
// that reads gradients belongs to the pass of these.
//
// It reports names that benchmarks cannot carry, that are missing or taken twice;
// inputs that are unknown or come later; shapes that do not fit; weights of other nodes that are
// missing or have other dimensions; nodes that read both values of images and sums over images;
// outputs that are unknown or named twice; nodes whose result neither a node nor the caller reads;
// and another number of classes than channels. Errors name the model and the node.
func (m *Model) Infer() ([]Info, error) {
	t, err := m.table()
	return t.infos, err
}

// A Param says which weights a node needs. There is a bias per output channel besides.
type Param struct {
	Node string
	Dims [4]int // output channels, input channels of one group, kernel height, kernel width
}

// Params returns the weights that the model needs, in the order of the nodes. Nodes that use
// another node's weights have none.
func (m *Model) Params() ([]Param, error) {
	t, err := m.table()
	if err != nil {
		return nil, err
	}
	var params []Param
	for i := range t.infos {
		if t.owners[i] == i {
			params = append(params, t.param(i))
		}
	}
	return params, nil
}

// A table is a checked model. Values are numbered: 0 is the network's input, i+1
// the result of node i.
type table struct {
	input   layer.Shape
	infos   []Info
	args    [][]int // the values that each node reads
	reduced []bool  // by value: whether there is one for all images of a batch
	outputs []int   // the values that the caller reads, the main one first
	owners  []int   // the node whose weights each node uses; -1 without weights
}

// shape returns the shape of a value.
func (t *table) shape(v int) layer.Shape {
	if v == 0 {
		return t.input
	}
	return t.infos[v-1].Out
}

// problem returns the convolution that node i, which has weights, computes.
func (t *table) problem(i int) kernels.Problem {
	n := t.infos[i]
	in := n.In[0]
	return kernels.Problem{
		ConvShape: n.Layer.(layer.Weighted).ConvShape(in),
		H:         in.H, W: in.W,
		Src: in.Type, Dst: n.Out.Type,
	}
}

// param returns the weights that node i, which has some, needs. If it uses those of another node
// transposed, they are that node's.
func (t *table) param(i int) Param {
	s := t.problem(i).ConvShape
	if transposed, ok := t.infos[i].Layer.(layer.Transposed); ok {
		s = transposed.Forward()
	}
	return Param{t.infos[i].Name, [4]int{s.Out, s.In / s.Groups, s.KH, s.KW}}
}

// table checks the model.
func (m *Model) table() (t table, err error) {
	if err := checkName(m.Name); err != nil {
		return table{}, fmt.Errorf("graph: model: %w", err)
	}
	fail := func(err error) (table, error) {
		return table{}, fmt.Errorf("graph: %s: %w", m.Name, err)
	}
	if err := m.Input.Check(); err != nil {
		return fail(fmt.Errorf("input: %w", err))
	}
	if len(m.Nodes) == 0 {
		return fail(errors.New("no nodes"))
	}

	values := map[string]int{Input: 0}
	for i, n := range m.Nodes {
		if err := checkName(n.Name); err != nil {
			return fail(fmt.Errorf("node %d: %w", i, err))
		}
		if _, taken := values[n.Name]; taken {
			return fail(fmt.Errorf("node %d: the name %s is taken", i, n.Name))
		}
		values[n.Name] = i + 1
	}
	head, ok := len(m.Nodes), true
	if m.Head != "" {
		if head, ok = values[m.Head]; !ok || head == 0 {
			return fail(fmt.Errorf("head: there is no node %s", m.Head))
		}
		head--
	}

	t.input, t.reduced = m.Input, []bool{false}
	read := make([]bool, len(m.Nodes)+1)
	for i, n := range m.Nodes {
		args, err := t.node(n, i, values)
		if err == nil {
			err = t.own(n, i, values)
		}
		if err != nil {
			return fail(fmt.Errorf("node %s: %w", n.Name, err))
		}
		for _, a := range args {
			read[a] = true
		}
	}
	for _, name := range m.Outputs {
		v, ok := values[name]
		if !ok || v == 0 || slices.Contains(t.outputs, v) {
			return fail(fmt.Errorf("output %q: expected the name of a node, once", name))
		}
		t.outputs = append(t.outputs, v)
		read[v] = true
	}
	if len(m.Outputs) == 0 {
		t.outputs = []int{len(m.Nodes)}
		read[len(m.Nodes)] = true
	}
	for i, n := range m.Nodes {
		if !read[i+1] {
			return fail(fmt.Errorf("node %s: nothing reads its result", n.Name))
		}
	}
	if main := t.shape(t.outputs[0]); len(m.Classes) > 0 && len(m.Classes) != main.C {
		return fail(fmt.Errorf("%d classes and an output of %v", len(m.Classes), main))
	}
	t.nameStages(head)
	return t, nil
}

// node checks node i and adds it to the table, which holds the nodes before it.
func (t *table) node(n Node, i int, values map[string]int) (args []int, err error) {
	if n.Layer == nil {
		return nil, errors.New("it has no layer")
	}
	if _, feed := n.Layer.(layer.Feed); len(n.Inputs) == 0 && !feed {
		args = []int{i}
	}
	for _, name := range n.Inputs {
		v, ok := values[name]
		switch {
		case !ok:
			return nil, fmt.Errorf("unknown input %q", name)
		case v == i+1:
			return nil, errors.New("it reads its own result")
		case v > i:
			return nil, fmt.Errorf("input %s comes later in the table", name)
		}
		args = append(args, v)
	}
	info := Info{Name: n.Name, Layer: n.Layer, Pass: layer.Forward}
	reduced := false
	for j, a := range args {
		info.In = append(info.In, t.shape(a))
		if a > 0 && t.infos[a-1].Pass != layer.Forward {
			info.Pass = t.infos[a-1].Pass
		}
		if reduced = t.reduced[a]; reduced != t.reduced[args[0]] {
			return nil, fmt.Errorf("of the inputs %s and %s, one is a sum over images", n.Inputs[0], n.Inputs[j])
		}
	}
	if b, ok := n.Layer.(layer.Backward); ok {
		info.Pass = b.Pass()
	}
	if info.Out, err = n.Layer.OutShape(info.In); err != nil {
		return nil, fmt.Errorf("%s: %w", n.Layer.Op(), err)
	}
	if _, ok := n.Layer.(layer.Reduction); ok {
		if reduced {
			return nil, fmt.Errorf("%s: input %s is a sum over images already", n.Layer.Op(), t.infos[args[0]-1].Name)
		}
		reduced = true
	}
	t.reduced = append(t.reduced, reduced)
	info.Cost = n.Layer.Cost(info.In)
	t.args = append(t.args, args)
	t.infos = append(t.infos, info)
	return args, nil
}

// own finds out whose weights node i uses, and checks that they fit.
func (t *table) own(n Node, i int, values map[string]int) error {
	_, weighted := n.Layer.(layer.Weighted)
	_, transposed := n.Layer.(layer.Transposed)
	owner := i
	switch v, ok := values[n.Weights]; {
	case n.Weights == "" && !weighted:
		owner = -1
	case n.Weights == "" && transposed:
		return fmt.Errorf("%s: it uses another node's weights, but names none", n.Layer.Op())
	case n.Weights == "":
	case !weighted:
		return fmt.Errorf("weights of %s: %s has none", n.Weights, n.Layer.Op())
	case !ok || v == 0 || v > i || t.owners[v-1] != v-1:
		return fmt.Errorf("weights of %q: expected an earlier node with weights of its own", n.Weights)
	default:
		owner = v - 1
		if own, other := t.param(i).Dims, t.param(owner).Dims; own != other {
			return fmt.Errorf("weights of %s: they are %v, expected %v", n.Weights, other, own)
		}
		t.infos[i].Cost.Params = 0
	}
	t.owners = append(t.owners, owner)
	return nil
}

// nameStages fills in the stages; the head starts at node head.
func (t *table) nameStages(head int) {
	weighted := func(n Info) bool { _, ok := n.Layer.(layer.Weighted); return ok }
	first := slices.IndexFunc(t.infos[:head], weighted) // -1 in a model without a stem
	for i := range t.infos {
		n := &t.infos[i]
		_, activation := n.Layer.(layer.Activation)
		switch {
		case n.Pass != layer.Forward:
			n.Stage = string(n.Pass)
		case i >= head:
			n.Stage = Head
		case i <= first, activation && t.args[i][0] > 0 && t.infos[t.args[i][0]-1].Stage == Stem:
			n.Stage = Stem
		case n.Out.H == n.Out.W:
			n.Stage = fmt.Sprint(n.Out.H)
		default:
			n.Stage = fmt.Sprintf("%dx%d", n.Out.H, n.Out.W)
		}
	}
}

// checkName reports a name that cannot be a value in a benchmark's name: '/' starts
// the next key there, and -digits at the end is taken for GOMAXPROCS.
func checkName(s string) error {
	if s == "" {
		return errors.New("the name is empty")
	}
	bad := func(r rune) bool { return r == '/' || unicode.IsSpace(r) || !unicode.IsPrint(r) }
	if strings.ContainsFunc(s, bad) {
		return fmt.Errorf("name %q: expected no slash, space or control character", s)
	}
	digits := strings.TrimRight(s, "0123456789")
	if len(digits) < len(s) && strings.HasSuffix(digits, "-") {
		return fmt.Errorf("name %q: expected no -digits at the end", s)
	}
	return nil
}
