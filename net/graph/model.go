// Package graph compiles networks. A [Model] is a table of layers; [Compile]
// checks it, fuses and places what it can, and gives a [Plan] that runs on the
// kernels of one instruction set without allocating.
package graph

import (
	"errors"
	"fmt"
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
	Preprocessor string // what turns a picture into the input, see package preprocess
	Head         string // the first node of the classifier, "" for none
	Nodes        []Node // in the order in which they run
}

// A Node is one layer of a model and where its inputs come from: earlier nodes,
// or [Input]. No Inputs at all means the node before, for the first node the input.
type Node struct {
	Name   string
	Layer  layer.Layer
	Inputs []string
}

// An Info is what Infer knows about a node. Cost is one image's.
type Info struct {
	Name  string
	Layer layer.Layer
	In    []layer.Shape
	Out   layer.Shape
	Cost  kernels.Cost
	Stage string
}

// Stages that are not named after their output side.
const (
	Stem = "stem" // the first convolution and the ReLU on it
	Head = "head" // everything from Model.Head on
)

// Infer checks the whole table and returns one Info per node. Stages make networks
// comparable: [Stem], [Head], and in between the output's side as text ("55", or
// "55x27" where height and width differ).
//
// It reports names that benchmarks cannot carry, that are missing or taken twice;
// inputs that are unknown or come later; shapes that do not fit; and nodes whose
// result nothing reads. Errors name the model and the node.
func (m *Model) Infer() ([]Info, error) {
	t, err := m.table()
	return t.infos, err
}

// A Param tells which weights a node needs: Dims are output channels, input
// channels of one group, kernel height and width. There is a bias per output
// channel.
type Param struct {
	Node string
	Dims [4]int
}

// Params returns the weights that the model needs, in the order of its nodes.
func (m *Model) Params() ([]Param, error) {
	infos, err := m.Infer()
	if err != nil {
		return nil, err
	}
	var params []Param
	for _, n := range infos {
		if w, ok := n.Layer.(layer.Weighted); ok {
			params = append(params, param(n, w))
		}
	}
	return params, nil
}

func param(n Info, w layer.Weighted) Param {
	s := w.ConvShape(n.In[0])
	return Param{n.Name, [4]int{s.Out, s.In / s.Groups, s.KH, s.KW}}
}

// A table is a checked model. Values are numbered: 0 is the network's input, i+1
// the result of node i.
type table struct {
	infos []Info
	args  [][]int // the values that each node reads
}

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

	read := make([]bool, len(m.Nodes)+1)
	for i, n := range m.Nodes {
		args, info, err := m.node(i, values, t.infos)
		if err != nil {
			return fail(fmt.Errorf("node %s: %w", n.Name, err))
		}
		for _, a := range args {
			read[a] = true
		}
		t.args = append(t.args, args)
		t.infos = append(t.infos, info)
	}
	for i, n := range m.Nodes[:len(m.Nodes)-1] {
		if !read[i+1] {
			return fail(fmt.Errorf("node %s: nothing reads its result", n.Name))
		}
	}
	t.nameStages(head)
	return t, nil
}

// node checks node i, given the infos of those before it.
func (m *Model) node(i int, values map[string]int, infos []Info) (args []int, info Info, err error) {
	n := m.Nodes[i]
	if n.Layer == nil {
		return nil, Info{}, errors.New("it has no layer")
	}
	if len(n.Inputs) == 0 {
		args = []int{i}
	}
	for _, name := range n.Inputs {
		v, ok := values[name]
		switch {
		case !ok:
			return nil, Info{}, fmt.Errorf("unknown input %q", name)
		case v == i+1:
			return nil, Info{}, errors.New("it reads its own result")
		case v > i:
			return nil, Info{}, fmt.Errorf("input %s comes later in the table", name)
		}
		args = append(args, v)
	}
	info = Info{Name: n.Name, Layer: n.Layer}
	for _, a := range args {
		s := m.Input
		if a > 0 {
			s = infos[a-1].Out
		}
		info.In = append(info.In, s)
	}
	if info.Out, err = n.Layer.OutShape(info.In); err != nil {
		return nil, Info{}, fmt.Errorf("%s: %w", n.Layer.Op(), err)
	}
	info.Cost = n.Layer.Cost(info.In)
	return args, info, nil
}

// nameStages fills in the stages; the head starts at node head.
func (t *table) nameStages(head int) {
	stem := false // seen
	for i := range t.infos {
		n := &t.infos[i]
		_, conv := n.Layer.(layer.Conv)
		_, relu := n.Layer.(layer.ReLU)
		a := t.args[i][0]
		switch {
		case i >= head:
			n.Stage = Head
		case conv && !stem, relu && a > 0 && t.infos[a-1].Stage == Stem:
			n.Stage, stem = Stem, true
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
