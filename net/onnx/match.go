package onnx

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"firebench/net/graph"
	"firebench/net/layer"
)

// Adapt implements graph.Weights for the model of the file, and for others that have the same layers in
// the same places, whatever their names. Dropouts, and softmax at the end, do not matter. How such a
// model pads images, and which way sizes of poolings are rounded, is for the file to say, and its
// preprocessor if the file names one. The size of the input is the model's; only dense layers depend
// on it.
func (w *weights) Adapt(m *graph.Model) (*graph.Model, error) {
	if reflect.DeepEqual(m.Nodes, w.model.Nodes) {
		w.names = nil
		return m, nil
	}
	fail := func(format string, args ...any) (*graph.Model, error) {
		return nil, fmt.Errorf("%s: weights do not fit the model %s: "+format, append([]any{w.path, m.Name}, args...)...)
	}
	ids := map[string]int{}
	ours, err := newStructure(m, ids)
	if err != nil {
		return nil, err
	}
	theirs, err := newStructure(w.model, ids)
	if err != nil {
		return nil, err
	}
	if a, b := ours.missing(theirs), theirs.missing(ours); a != "" || b != "" {
		return fail("it has %s where the file has %s", cmp.Or(a, "nothing"), cmp.Or(b, "nothing"))
	}
	match := ours.match(theirs)
	adapted := m.Clone()
	if w.model.Preprocessor != "" {
		adapted.Preprocessor = w.model.Preprocessor
	}
	names := map[string]string{}
	for i, n := range adapted.Nodes {
		j, ok := match[i]
		ok = ok && j >= 0
		if _, weighted := n.Layer.(layer.Weighted); weighted && !ok {
			return fail("the file has the layers, but other connections at %s", n.Name)
		}
		if !ok {
			continue
		}
		names[n.Name] = w.model.Nodes[j].Name
		if n.Weights != "" && names[n.Weights] != w.model.Nodes[j].Weights {
			return fail("the file has other weights than those of %s at %s", n.Weights, n.Name)
		}
		switch file := w.model.Nodes[j].Layer.(type) {
		case layer.Conv:
			l := n.Layer.(layer.Conv)
			l.Pad = file.Pad
			adapted.Nodes[i].Layer = l
		case layer.MaxPool, layer.AvgPool:
			adapted.Nodes[i].Layer = file
		}
	}
	w.names = names
	return adapted, nil
}

// A structure is a model as Adapt compares it. Values are numbered: 0 is the network's input, i+1 the
// result of node i.
type structure struct {
	infos []graph.Info
	args  [][]int // of each node, past dropouts
	ids   []int   // of values: equal ones are computed by equal layers from equal values
	main  int     // the value of the main output, before softmax
}

// newStructure returns the structure of m. Values get numbers from ids, by what computes them.
func newStructure(m *graph.Model, ids map[string]int) (*structure, error) {
	infos, err := m.Infer()
	if err != nil {
		return nil, err
	}
	s := &structure{infos: infos}
	id := func(key string) int {
		n, ok := ids[key]
		if !ok {
			n = len(ids)
			ids[key] = n
		}
		return n
	}
	s.ids = []int{id(fmt.Sprintf("input of %d channels %v", m.Input.C, m.Input.Type))}
	numbers, previous := map[string]int{graph.Input: 0}, 0
	for i, n := range m.Nodes {
		var args []int
		for _, in := range n.Inputs {
			args = append(args, numbers[in])
		}
		if len(args) == 0 {
			args = []int{previous}
		}
		number := i + 1
		var key []int
		for _, a := range args {
			key = append(key, s.ids[a])
		}
		if _, ok := n.Layer.(layer.Identity); ok {
			number = args[0] // nothing reads the identity itself
			s.ids = append(s.ids, s.ids[number])
		} else {
			if _, ok := n.Layer.(layer.Add); ok {
				slices.Sort(key)
			}
			s.ids = append(s.ids, id(fmt.Sprint(s.kind(i), key, n.Weights != "")))
		}
		numbers[n.Name], previous = number, number
		s.args = append(s.args, args)
	}
	s.main = previous
	if len(m.Outputs) > 0 {
		s.main = numbers[m.Outputs[0]]
	}
	for s.main > 0 && s.ignored(s.main-1) {
		s.main = s.args[s.main-1][0]
	}
	return s, nil
}

// ignored reports whether it does not matter if a node is there.
func (s *structure) ignored(i int) bool {
	switch s.infos[i].Layer.(type) {
	case layer.Identity, layer.Probabilistic:
		return true
	}
	return false
}

// kind returns the layer of a node without what a file may say differently, and its weights' dimensions.
func (s *structure) kind(i int) string {
	n := s.infos[i]
	var dims [4]int
	l := n.Layer
	switch n := n.Layer.(type) {
	case layer.Weighted:
		c := n.ConvShape(s.infos[i].In[0])
		dims = [4]int{c.Out, c.In / c.Groups, c.KH, c.KW}
		if conv, ok := n.(layer.Conv); ok {
			l = layer.Conv{Stride: c.Stride, Groups: c.Groups, Type: conv.Type}
		}
	case layer.MaxPool:
		l = layer.MaxPool{Kernel: n.Kernel, KernelW: cmp.Or(n.KernelW, n.Kernel), Stride: cmp.Or(n.Stride, 1)}
	case layer.AvgPool:
		l = layer.AvgPool{Kernel: n.Kernel, KernelW: cmp.Or(n.KernelW, n.Kernel), Stride: cmp.Or(n.Stride, 1), Type: n.Type}
	}
	return fmt.Sprintf("%T %v %d", l, l, dims)
}

// missing describes the first node that other has no equal of, "" if there is none.
func (s *structure) missing(other *structure) string {
	known := map[int]bool{}
	for _, id := range other.ids {
		known[id] = true
	}
	for i, n := range s.infos {
		if known[s.ids[i+1]] || s.ignored(i) {
			continue
		}
		d := fmt.Sprintf("%s, %s of %v", n.Name, n.Layer.Op(), n.Out)
		if w, ok := n.Layer.(layer.Weighted); ok {
			c := w.ConvShape(n.In[0])
			d += fmt.Sprintf(" with weights %d×%d×%d×%d, stride %d", c.Out, c.In/c.Groups, c.KH, c.KW, c.Stride)
		}
		return d
	}
	return ""
}

// match returns the nodes of other that compute the same as those of s, from the main output back to the
// input; -1 for a node with the task of several in other.
func (s *structure) match(other *structure) map[int]int {
	match := map[int]int{}
	type pair struct{ ours, theirs int } // values
	for next := []pair{{s.main, other.main}}; len(next) > 0; {
		p := next[len(next)-1]
		next = next[:len(next)-1]
		if p.ours == 0 || p.theirs == 0 || s.ids[p.ours] != other.ids[p.theirs] {
			continue
		}
		i, j := p.ours-1, p.theirs-1
		if before, ok := match[i]; ok {
			if before != j {
				match[i] = -1
			}
			continue
		}
		match[i] = j
		a, b := s.args[i], other.args[j]
		if _, ok := s.infos[i].Layer.(layer.Add); ok && s.ids[a[0]] != other.ids[b[0]] {
			b = []int{b[1], b[0]}
		}
		for k := range a {
			next = append(next, pair{a[k], b[k]})
		}
	}
	return match
}
