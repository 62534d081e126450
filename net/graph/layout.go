package graph

import "firebench/net/layer"

// A value is what the network's input or a node's result is in memory.
type value struct {
	// alias is the value that this one is the same as: the input of a dropout, or the result
	// of the layer that a ReLU is fused into. Every other value is its own alias.
	alias int

	// readers are the nodes that read the value, once for each input that it is. The readers
	// of an alias count for the value that it is the same as.
	readers []int

	relu   bool // the producer applies the ReLU that follows
	output bool // the caller reads the value

	// concat is the concatenation whose result holds this value, in the channels from
	// channel on. It is 0, the network's input, for values with a buffer of their own.
	concat, channel int
}

// A layout says which values share memory, and how. Where in the arena that memory
// lies is decided afterwards, by assign.
type layout struct {
	table
	values []value
}

// newLayout fuses activations, makes identities aliases of their inputs, and places values in
// concatenations.
func newLayout(t table) *layout {
	l := &layout{table: t, values: make([]value, len(t.infos)+1)}
	for v := range l.values {
		l.values[v].alias = v
	}
	for i, n := range t.infos {
		if _, ok := n.Layer.(layer.Identity); ok {
			l.values[i+1].alias = l.target(t.args[i][0])
			continue
		}
		for _, a := range t.args[i] {
			v := &l.values[l.target(a)]
			v.readers = append(v.readers, i)
		}
	}
	for _, v := range t.outputs {
		l.values[l.target(v)].output = true
	}
	for i, n := range t.infos {
		if _, ok := n.Layer.(layer.Activation); ok {
			l.fuse(i)
		}
	}
	for i, n := range t.infos {
		if c, ok := n.Layer.(layer.Concatenation); ok {
			l.join(i, c)
		}
	}
	return l
}

// target returns the value that v is the same as, v itself if it is no alias.
func (l *layout) target(v int) int {
	for l.values[v].alias != v {
		v = l.values[v].alias
	}
	return v
}

// producer returns the layer that computes a value, nil for the network's input.
func (l *layout) producer(v int) layer.Layer {
	if v == 0 {
		return nil
	}
	return l.infos[v-1].Layer
}

// readOnce reports whether one node reads v, as one of its inputs, and the caller does not.
func (l *layout) readOnce(v int) bool {
	return !l.values[v].output && len(l.values[v].readers) == 1
}

// fuse makes activation i part of the layer before it, if the kernels of that layer can apply
// it and nothing else reads the values in between.
func (l *layout) fuse(i int) {
	v := l.target(l.args[i][0])
	if _, ok := l.producer(v).(layer.Fuser); !ok || !l.readOnce(v) {
		return
	}
	relu := &l.values[i+1]
	l.values[v].relu = true
	l.values[v].readers, relu.readers = relu.readers, nil
	l.values[v].output = relu.output
	relu.alias = v
}

// join places those inputs of concatenation i that only it reads in its result.
func (l *layout) join(i int, c layer.Concatenation) {
	for j, a := range l.args[i] {
		if v := l.target(a); v > 0 && l.readOnce(v) {
			l.values[v].concat, l.values[v].channel = i+1, c.FirstChannel(l.infos[i].In, j)
		}
	}
}

// place returns the value whose buffer holds v, and v's first channel in it.
func (l *layout) place(v int) (root, channel int) {
	v = l.target(v)
	for l.values[v].concat != 0 {
		channel += l.values[v].channel
		v = l.values[v].concat
	}
	return v, channel
}

// logits returns the scores from which a Probabilistic layer computes the main output, or the
// main output itself if no such layer computes it.
func (l *layout) logits() int {
	v := l.target(l.outputs[0])
	if _, ok := l.producer(v).(layer.Probabilistic); ok {
		return l.target(l.args[v-1][0])
	}
	return v
}

// pinned returns the values that are never overwritten in a run: the network's input, its
// outputs and its logits.
func (l *layout) pinned() []int { return append([]int{0, l.logits()}, l.outputs...) }

// copied returns the shapes of those inputs of concatenation i that are copied to its result,
// because they are not produced there.
func (l *layout) copied(i int) []layer.Shape {
	var shapes []layer.Shape
	for j, a := range l.args[i] {
		if l.values[l.target(a)].concat != i+1 {
			shapes = append(shapes, l.infos[i].In[j])
		}
	}
	return shapes
}
