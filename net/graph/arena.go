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

	relu   bool // the producer applies the ReLU that follows
	output bool // the caller reads it

	// concat is the concatenation that this value is a window of, from channel
	// on; 0, the network's input, is none.
	concat, channel int
}

// A layout says which values share memory, and how.
type layout struct {
	table
	values []value
}

// newLayout fuses activations, drops identities and puts concatenations in place.
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
		if c, ok := n.Layer.(layer.InPlace); ok {
			l.join(i, c)
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
	return !l.values[v].output && len(l.values[v].readers) == 1 && l.values[v].readers[0] == i
}

// fuse makes activation i part of the layer before if that has a kernel for it and
// nobody wants to see the values in between.
func (l *layout) fuse(i int) {
	v := l.target(l.args[i][0])
	if _, ok := l.producer(v).(layer.Fuser); !ok || !l.onlyReader(v, i) {
		return
	}
	relu := &l.values[i+1]
	l.values[v].relu = true
	l.values[v].readers, relu.readers = relu.readers, nil
	l.values[v].output = relu.output
	relu.alias = v
}

// join lets those inputs of node i that nobody else reads be produced in its result.
func (l *layout) join(i int, c layer.InPlace) {
	for j, a := range l.args[i] {
		if v := l.target(a); v > 0 && l.onlyReader(v, i) {
			l.values[v].concat, l.values[v].channel = i+1, c.Channel(l.infos[i].In, j)
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

// logits returns what the normalizer reads that the main output comes from, or the main
// output if it does not come from one.
func (l *layout) logits() int {
	v := l.target(l.outputs[0])
	if _, ok := l.producer(v).(layer.Normalizer); ok {
		return l.target(l.args[v-1][0])
	}
	return v
}

// pinned returns the values that are never overwritten in a run: the network's input, its
// outputs and its logits.
func (l *layout) pinned() []int { return append([]int{0, l.logits()}, l.outputs...) }

// copied returns the shapes of those inputs of in-place node i that are not produced in place.
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
	size        int64 // in bytes, a multiple of a cache line
	offset      int64 // into the arena
}

// cacheLine rounds a number of bytes up to whole cache lines.
func cacheLine(bytes int64) int64 { return (bytes + 63) / 64 * 64 }

// viewBytes is the size of a view of n images of a shape.
func viewBytes(n int, s layer.Shape, halo int) int64 {
	return int64(n) * int64(kernels.ViewSize(1, s.H, s.W, s.C, halo)) * int64(s.Type.Element.Size())
}

// buffers returns the buffers by the number of the value that owns each, nil for
// values that own none. With keep, all are in use for ever.
func (l *layout) buffers(batch int, keep bool, cascades []*cascade) []*buffer {
	buffers := make([]*buffer, len(l.values))
	for v := range l.values {
		if l.target(v) != v {
			continue
		}
		root, _ := l.place(v)
		b := buffers[root]
		if b == nil {
			b = &buffer{shape: l.shape(root), first: v - 1}
			buffers[root] = b
		}
		b.last = max(b.last, v-1)
		for _, i := range l.values[v].readers {
			b.last = max(b.last, i)
			b.halo = max(b.halo, halo(l.infos[i]))
		}
	}
	// What a cascade reads and writes is in use from its start to its end.
	for _, s := range cascades {
		for i := s.first; i <= s.last; i++ {
			for _, v := range append([]int{i + 1}, l.args[i]...) {
				root, _ := l.place(v)
				b := buffers[root]
				b.last = max(b.last, s.last)
				if s.parts[0][root] != nil {
					b.first = min(b.first, s.first)
				}
			}
		}
	}
	pinned := l.pinned()
	if keep {
		for v := range l.values {
			pinned = append(pinned, v)
		}
	}
	for _, v := range pinned {
		root, _ := l.place(v)
		buffers[root].first, buffers[root].last = -1, len(l.infos)
	}
	slots := map[int]int64{} // sizes of inner buffers
	for _, s := range cascades {
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
		size := viewBytes(batch, b.shape, b.halo)
		if n, ok := slots[root]; ok {
			size = n
		}
		b.size = cacheLine(size)
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
