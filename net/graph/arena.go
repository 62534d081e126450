package graph

import (
	"cmp"
	"slices"

	"firebench/kernels"
	"firebench/net/layer"
)

// A buffer is a piece of the arena: the memory of one value and of all values that lie in some of
// its channels.
type buffer struct {
	shape       layer.Shape
	halo        int
	first, last int   // the nodes between which it is in use, inclusive
	size        int64 // in bytes, a multiple of a cache line
	offset      int64 // into the arena
}

// cacheLine rounds a number of bytes up to whole cache lines.
func cacheLine(bytes int64) int64 { return (bytes + 63) / 64 * 64 }

// viewBytes returns the size of a view of n images of a shape.
func viewBytes(n int, s layer.Shape, halo int) int64 {
	return int64(n) * int64(kernels.ViewSize(1, s.H, s.W, s.C, halo)) * int64(s.Type.Element.Size())
}

// buffers returns the buffers by the number of the value that owns each, nil for
// values that own none. With keep, every buffer is in use all the time.
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
		for _, i := range l.values[v].readers {
			b.last = max(b.last, i)
			b.halo = max(b.halo, halo(l.infos[i]))
		}
	}
	// As bands take turns, all that a cascade reads and writes is in use at the same time. It is
	// enough to say so for the last node: other values are in use before or behind the cascade
	// only, or all through it.
	for _, c := range cascades {
		for i := c.first; i <= c.last; i++ {
			for _, v := range append([]int{i + 1}, l.args[i]...) {
				root, _ := l.place(v)
				buffers[root].last = max(buffers[root].last, c.last)
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
	inner := map[int]int64{} // the sizes of the buffers of cascades' inner values
	for _, c := range cascades {
		for root, s := range c.parts[0] {
			if !s.outer {
				inner[root] = int64(c.slots) * s.size()
			}
		}
	}
	for root, b := range buffers {
		if b == nil {
			continue
		}
		size := viewBytes(l.images(root, batch), b.shape, b.halo)
		if n, ok := inner[root]; ok {
			size = n
		}
		b.size = cacheLine(size)
	}
	return buffers
}

// halo returns how many pixels around its inputs a node reads. Convolutions and their gradients alone
// read any: pooling clips its windows to the image.
func halo(n Info) int {
	switch l := n.Layer.(type) {
	case layer.Weighted:
		return l.ConvShape(n.In[0]).Halo()
	case layer.Padded:
		return l.Halo(n.In)
	}
	return 0
}

// assign gives each buffer that is not nil its offset, so that buffers in use at the same
// time do not overlap, and returns the size of the arena. The offsets of the smallest arena
// are NP-hard to find. Placing the largest buffer first, and each at the lowest offset that is
// free, comes within a few percent of it on networks, whose large buffers are few.
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
