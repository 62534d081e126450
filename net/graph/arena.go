package graph

import (
	"cmp"
	"slices"

	"firebench/kernels"
	"firebench/net/layer"
)

// A value is what the network's input or a node's result is in memory.
type value struct {
	// alias is the value whose memory this one shares as a whole (the input of a
	// dropout, the layer that a ReLU is fused into), itself otherwise.
	alias int

	// readers are the nodes that use the value's memory. An alias has none: they
	// count for its target.
	readers []int

	relu bool // the producer applies the ReLU that follows

	// concat is the concatenation that this value is a window of, from channel
	// on; 0, the network's input, is none.
	concat, channel int
}

// A layout says which values share memory, and how.
type layout struct {
	table
	values []value
}

// newLayout fuses ReLUs, drops dropouts and puts concatenations in place. That the
// caller reads the network's result needs no care here: in a table without dead
// nodes, nothing else does.
func newLayout(t table) *layout {
	l := &layout{table: t, values: make([]value, len(t.infos)+1)}
	for v := range l.values {
		l.values[v].alias = v
	}
	for i, n := range t.infos {
		if _, ok := n.Layer.(layer.Dropout); ok {
			l.values[i+1].alias = l.target(t.args[i][0])
			continue
		}
		for _, a := range t.args[i] {
			v := &l.values[l.target(a)]
			v.readers = append(v.readers, i)
		}
	}
	for i, n := range t.infos {
		if _, ok := n.Layer.(layer.ReLU); ok {
			l.fuse(i)
		}
	}
	for i, n := range t.infos {
		if _, ok := n.Layer.(layer.Concat); ok {
			l.place(i)
		}
	}
	return l
}

// target follows aliases.
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

// onlyReader reports whether node i, and nothing else, reads v, and reads it once.
func (l *layout) onlyReader(v, i int) bool {
	return len(l.values[v].readers) == 1 && l.values[v].readers[0] == i
}

// fuse makes ReLU node i part of the layer before if that has a kernel for it and
// nobody wants to see the values in between.
func (l *layout) fuse(i int) {
	v := l.target(l.args[i][0])
	if _, ok := l.producer(v).(layer.Rectifier); !ok || !l.onlyReader(v, i) {
		return
	}
	relu := &l.values[i+1]
	l.values[v].relu = true
	l.values[v].readers, relu.readers = relu.readers, nil
	relu.alias = v
}

// place lets those inputs of concatenation i that nobody else reads be produced
// in their windows of the result.
func (l *layout) place(i int) {
	channel := 0
	for j, a := range l.args[i] {
		if v := l.target(a); v > 0 && l.onlyReader(v, i) {
			l.values[v].concat, l.values[v].channel = i+1, channel
		}
		channel += l.infos[i].In[j].C
	}
}

// window returns the value whose buffer holds v, and v's first channel in it.
func (l *layout) window(v int) (root, channel int) {
	v = l.target(v)
	for l.values[v].concat != 0 {
		channel += l.values[v].channel
		v = l.values[v].concat
	}
	return v, channel
}

// softmaxInput returns the value that the softmax at the end of the network reads,
// or the network's result if it does not end in one.
func (l *layout) softmaxInput() int {
	v := l.target(len(l.infos))
	if _, ok := l.producer(v).(layer.Softmax); ok {
		return l.target(l.args[v-1][0])
	}
	return v
}

// copied returns the shapes of those inputs of concatenation i that are not
// produced in place.
func (l *layout) copied(i int) []layer.Shape {
	var shapes []layer.Shape
	for j, a := range l.args[i] {
		if l.values[l.target(a)].concat != i+1 {
			shapes = append(shapes, l.infos[i].In[j])
		}
	}
	return shapes
}

// A buffer is the memory of one value and of all values that are windows of it.
type buffer struct {
	shape       layer.Shape
	halo        int
	first, last int   // the nodes between which it is in use, inclusive
	size        int64 // in float32 values, a multiple of a cache line
	offset      int64 // into the arena
}

// line is a cache line in float32 values.
const line = 64 / 4

// buffers returns the buffers by the number of the value that owns each, nil for
// values that own none. With keep, all are in use for ever; the network's input,
// result and logits always are.
func (l *layout) buffers(input layer.Shape, batch int, keep bool, segments []*segment) []*buffer {
	buffers := make([]*buffer, len(l.values))
	for v := range l.values {
		if l.target(v) != v {
			continue
		}
		root, _ := l.window(v)
		b := buffers[root]
		if b == nil {
			b = &buffer{shape: input, first: v - 1}
			if root > 0 {
				b.shape = l.infos[root-1].Out
			}
			buffers[root] = b
		}
		b.last = max(b.last, v-1)
		for _, i := range l.values[v].readers {
			b.last = max(b.last, i)
			b.halo = max(b.halo, halo(l.infos[i]))
		}
	}
	// What a segment reads and writes is in use from its start to its end.
	for _, s := range segments {
		for i := s.first; i <= s.last; i++ {
			for _, v := range append([]int{i + 1}, l.args[i]...) {
				root, _ := l.window(v)
				b := buffers[root]
				b.last = max(b.last, s.last)
				if s.parts[0][root] != nil {
					b.first = min(b.first, s.first)
				}
			}
		}
	}
	pinned := []int{0, len(l.infos), l.softmaxInput()}
	if keep {
		for v := range l.values {
			pinned = append(pinned, v)
		}
	}
	for _, v := range pinned {
		root, _ := l.window(v)
		buffers[root].first, buffers[root].last = -1, len(l.infos)
	}
	slots := map[int]int64{} // sizes of inner buffers
	for _, s := range segments {
		for root, r := range s.parts[0] {
			if !r.outer {
				slots[root] = int64(s.slots) * r.size()
			}
		}
	}
	for root, b := range buffers {
		if b == nil {
			continue
		}
		size := int64(batch) * int64(kernels.ViewSize(1, b.shape.H, b.shape.W, b.shape.C, b.halo))
		if n, ok := slots[root]; ok {
			size = n
		}
		b.size = (size + line - 1) / line * line
	}
	return buffers
}

// halo returns how many pixels around its input a node reads. Pooling clips its
// windows, and padded 1×1 convolutions need not read zeros.
func halo(n Info) int {
	if w, ok := n.Layer.(layer.Weighted); ok {
		return w.ConvShape(n.In[0]).Halo()
	}
	return 0
}

// assign gives each buffer (nil ones aside) its offset, so that buffers in use at the same
// time do not overlap, and returns the size of the whole. The best offsets are
// NP-hard to find; largest first, each to the lowest place that is free, comes
// within a few percent of it on networks, whose large buffers are few.
func assign(buffers []*buffer) int64 {
	bySize := slices.DeleteFunc(slices.Clone(buffers), func(b *buffer) bool { return b == nil })
	slices.SortStableFunc(bySize, func(a, b *buffer) int { return cmp.Compare(b.size, a.size) })
	total := int64(0)
	var placed []*buffer // by offset
	for _, b := range bySize {
		for _, p := range placed {
			if p.last < b.first || b.last < p.first {
				continue
			}
			if b.offset+b.size <= p.offset {
				break
			}
			b.offset = max(b.offset, p.offset+p.size)
		}
		total = max(total, b.offset+b.size)
		at, _ := slices.BinarySearchFunc(placed, b, func(p, b *buffer) int { return cmp.Compare(p.offset, b.offset) })
		placed = slices.Insert(placed, at, b)
	}
	return total
}
