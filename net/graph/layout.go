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

	// within is the value that holds this one, in the channels from channel on: the result of a
	// concatenation, or the input of a part. It is none for values with a buffer of their own.
	within, channel int
}

// none is no value.
const none = -1

// A layout says which values share memory, and how. Where in the arena that memory
// lies is decided afterwards, by assign.
type layout struct {
	table
	values []value
}

// newLayout fuses activations, makes identities aliases of their inputs, and places values in
// concatenations, and parts in what they are of.
func newLayout(t table) *layout {
	l := &layout{table: t, values: make([]value, len(t.infos)+1)}
	for v := range l.values {
		l.values[v].alias, l.values[v].within = v, none
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
		switch n := n.Layer.(type) {
		case layer.Concatenation:
			l.join(i, n)
		case layer.Part:
			l.values[i+1].within, l.values[i+1].channel = l.target(t.args[i][0]), n.FirstOf()
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

// produced reports whether node i has a result of its own, and not the memory of another value as a part
// of that, or as what is the same.
func (l *layout) produced(i int) bool {
	_, part := l.producer(i + 1).(layer.Part)
	return l.target(i+1) == i+1 && !part
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

// join places inputs of concatenation i in its result. Other nodes may read them there, but not the
// caller, and no value has two places.
func (l *layout) join(i int, c layer.Concatenation) {
	for j, a := range l.args[i] {
		v := l.target(a)
		if v == 0 || !l.produced(v-1) || l.values[v].within != none || l.values[v].output || l.fed(v) || l.reads(i, v) != 1 {
			continue
		}
		l.values[v].within, l.values[v].channel = i+1, c.FirstChannel(l.infos[i].In, j)
	}
}

// reads returns how many of node i's inputs are value v.
func (l *layout) reads(i, v int) int {
	n := 0
	for _, a := range l.args[i] {
		if l.target(a) == v {
			n++
		}
	}
	return n
}

// fed reports whether the caller writes v.
func (l *layout) fed(v int) bool {
	_, ok := l.producer(v).(layer.Feed)
	return ok || v == 0
}

// place returns the value whose buffer holds v, and v's first channel in it.
func (l *layout) place(v int) (root, channel int) {
	v = l.target(v)
	for l.values[v].within != none {
		channel += l.values[v].channel
		v = l.values[v].within
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

// pinned returns the values that are never overwritten in a run: those that the caller writes, the
// network's outputs and its logits.
func (l *layout) pinned() []int {
	pinned := append([]int{l.logits()}, l.outputs...)
	for v := range l.values {
		if l.fed(v) {
			pinned = append(pinned, v)
		}
	}
	return pinned
}

// images returns how many images of a batch a value has.
func (l *layout) images(v, batch int) int {
	if l.reduced[v] {
		return 1
	}
	return batch
}

// copied returns the shapes of those inputs of concatenation i that are copied to its result,
// because they are not produced there.
func (l *layout) copied(i int) []layer.Shape {
	var shapes []layer.Shape
	for j, a := range l.args[i] {
		if l.values[l.target(a)].within != i+1 {
			shapes = append(shapes, l.infos[i].In[j])
		}
	}
	return shapes
}
