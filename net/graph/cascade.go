package graph

import (
	"math"
	"slices"

	"firebench/kernels"
	"firebench/net/layer"
)

// A value that does not fit a core's level-2 cache has left it when the next layer reads it. A
// cascade is a run of nodes through which bands of a few rows pass instead, one after the other,
// so that what a node computes is still in the cache when the next node reads it (Alwani et al.,
// "Fused-layer CNN accelerators", 2016). Two convolutions a and b with 3×3 kernels, of 9 rows, in
// three bands:
//
//	     band 0      band 1      band 2
//	a    rows 0-3    rows 4-6    rows 7-8
//	b    rows 0-2    rows 3-5    rows 6-8
//
// Row 2 of b reads the rows 1 to 3 of a, so that a is one row ahead. When band 1 begins, b still
// needs the rows 2 and 3 of a: these move to the start of a's buffer, which never has to hold
// more than five rows, halo included. The words for this:
//
//   - a band is some consecutive rows of the result, and those rows of the other values that
//     have to be computed for them;
//   - a value is inner if only the cascade's own nodes read it, so that its buffer need not hold
//     all rows, and outer otherwise;
//   - a part is a range of rows of the cascade's result, of one image, that one thread computes,
//     band by band, with all that it needs of the inner values. These stay in the cache of that
//     thread's core; rows that two parts need are computed twice;
//   - a piece is the work of one node in one band of one part;
//   - a slot is what one thread has: buffers for the inner values, and pieces to run in order.
//
// This file decides which nodes form cascades and plans their bands; cascade_run.go binds and
// runs the pieces.

// A cascade is a run of nodes that bands of rows pass through.
type cascade struct {
	first, last int    // nodes
	bands       int    // of a part
	parts       []part // of an image
	slots       int
}

// A part has the schedule of each value that the cascade computes, by the value that owns the
// buffer.
type part map[int]*schedule

// A schedule says which rows of a value a part computes, and which the value's buffer holds, in
// each band. Rows are numbered as in the image; those of the halo have numbers below 0 and from
// H on.
type schedule struct {
	shape   layer.Shape
	halo    int
	align   int      // bands end at multiples of align
	tail    int      // a band that does not end with the last row leaves at least tail rows
	outer   bool     // others read the value too, the caller or nodes behind the cascade, or compute some of it
	height  int      // rows of an inner value's buffer, which holds one image, halo included
	start   int      // the first row that the part computes
	end     []int    // by band: the row behind the last that is computed
	top     []int    // by band: the first row that the buffer holds
	readers []reader // in the cascade
}

// A reader is a node that reads rows of a value by its kernel.
type reader struct {
	kernel, stride, pad int
	out                 *schedule // of the node's result
}

// from returns the first row that r reads when it computes its rows from y on.
func (r reader) from(y int) int { return y*r.stride - r.pad }

// to returns the row behind the last that r reads when it computes its rows below y. A row that
// is computed from padding alone counts as one that reads a row of the image.
func (r reader) to(y int) int { return (y-1)*r.stride + max(r.kernel-r.pad, 1) }

// begin returns the first row that band k computes.
func (s *schedule) begin(k int) int {
	if k == 0 {
		return s.start
	}
	return s.end[k-1]
}

// bottom returns the row behind the last that the buffer holds after band k.
func (s *schedule) bottom(k int) int {
	if s.end[k] == s.shape.H {
		return s.end[k] + s.halo
	}
	return s.end[k]
}

// cascades returns the cascades that are worth it; convs are the packed layers by
// node.
func (l *layout) cascades(convs map[int]kernels.Conv, batch, threads int) []*cascade {
	var out []*cascade
	for first := 0; first < len(l.infos); {
		if !l.banded(first) {
			first++
			continue
		}
		last := first
		for !l.endsCascade(last) && last+1 < len(l.infos) && l.banded(last+1) {
			last++
		}
		next := last + 1
		for last > first && l.idle(last) {
			last--
		}
		if c := l.cascade(first, last, convs, batch, threads); c != nil {
			out = append(out, c)
		}
		first = next
	}
	return out
}

// banded reports whether node i can compute bands of rows, or has nothing to do.
func (l *layout) banded(i int) bool {
	if l.reduced[i+1] {
		return false
	}
	switch n := l.infos[i].Layer.(type) {
	case layer.Windowed:
		_, _, _, ok := n.Window(l.infos[i].In)
		return ok
	case layer.Concatenation:
		return len(l.copied(i)) == 0
	}
	return l.idle(i)
}

// idle reports whether node i has nothing to do, whatever its inputs: it is an identity, fused into another
// one, a part, or a feed.
func (l *layout) idle(i int) bool { return !l.produced(i) || l.fed(i+1) }

// endsCascade reports whether a cascade should end with node i, a pooling: its result is so
// much smaller than its input that keeping it in the cache gains little.
func (l *layout) endsCascade(i int) bool {
	n, ok := l.infos[i].Layer.(layer.Windowed)
	if !ok || l.owners[i] >= 0 {
		return false
	}
	_, stride, _, _ := n.Window(l.infos[i].In)
	return stride > 1
}

// cascade plans the bands of nodes first to last. It returns nil if they are not worth it.
func (l *layout) cascade(first, last int, convs map[int]kernels.Conv, batch, threads int) *cascade {
	values := l.schedules(first, last, convs)
	end, _ := l.place(last + 1)
	if values[end] == nil {
		return nil
	}
	inner, outer := 0, 0 // the bytes of all values that the cascade reads again; the number of outer values
	for _, s := range values {
		if s.outer {
			outer++
		}
		if !s.outer || len(s.readers) > 0 {
			inner += int(s.shape.Bytes())
		}
	}
	weights := 0
	for i := first; i <= last; i++ {
		if conv := convs[i]; conv != nil {
			weights += int(conv.Bytes())
		}
	}
	n := bands(inner, weights, values[end].shape.H)
	// Even if one image fits the cache, a whole batch may not. Its images then pass through the
	// cascade one by one, unless reading all weights again for each costs more than that saves.
	oneByOne := batch > threads && batch%threads == 0 && inner > weights
	if n < 2 && !oneByOne {
		return nil
	}
	c := &cascade{first: first, last: last, slots: 1}
	parts := 1
	switch {
	case batch%threads == 0:
		c.slots = threads // which compute the same number of whole images each
	case outer == 1 && values[end].shape.H/threads > 2*(values[end].tail+values[end].align):
		// Each image is shared by all threads. With more outer values than the result, two parts
		// could write the same rows of one of them.
		c.slots, parts = threads, threads
	default:
		return nil // the result has too few rows to be shared by all threads
	}
	c.bands = max((n+parts-1)/parts, 1)
	starts := c.starts(l, convs, end, parts)
	for i := range parts {
		c.parts = append(c.parts, c.part(l, convs, end, starts[i], starts[i+1]))
	}
	if c.recomputed() > maxRecomputed {
		return nil
	}
	// The buffers of every slot have room for every part.
	for root := range c.parts[0] {
		height := 0
		for _, p := range c.parts {
			height = max(height, p[root].height)
		}
		for _, p := range c.parts {
			p[root].height = height
		}
	}
	return c
}

// part plans the part that computes the rows from to to-1 of the result, which is value end.
func (c *cascade) part(l *layout, convs map[int]kernels.Conv, end, from, to int) part {
	p := l.schedules(c.first, c.last, convs)
	c.schedule(l, p, p[end], from, to)
	return p
}

// starts returns the rows of the result, which is value end, with which the parts start, and the
// row behind the last one. Parts have nearly the same number of rows. Among the starts near those
// of equal parts, it chooses the one for which the larger part executes the fewest
// multiply-adds: as a part starts at a multiple of a tile in each value, equal numbers of rows are
// not equal work.
func (c *cascade) starts(l *layout, convs map[int]kernels.Conv, end, parts int) []int {
	const reach = 3 // in multiples of align
	result := l.schedules(c.first, c.last, convs)[end]
	starts := make([]int, parts+1)
	for k := range parts {
		starts[k] = k * result.shape.H / parts / result.align * result.align
	}
	starts[parts] = result.shape.H
	work := func(from, to int) int64 {
		p := c.part(l, convs, end, from, to)
		total := int64(0)
		for i := c.first; i <= c.last; i++ {
			if conv := convs[i]; conv != nil {
				n := l.infos[i]
				root, _ := l.place(i + 1)
				computed := p[root].end[c.bands-1] - p[root].start
				total += conv.Executed() * int64(computed) / int64(n.Out.H)
			}
		}
		return total
	}
	for k := 1; k < parts; k++ {
		equal, least := starts[k], int64(math.MaxInt64)
		for d := range 2*reach + 1 {
			if d%2 == 1 {
				d = -d - 1 // 0, -2, 2, -4, 4, …: nearest first
			}
			start := equal + d/2*result.align
			if start-starts[k-1] <= result.tail+result.align || starts[k+1]-start <= result.tail+result.align {
				continue
			}
			if n := max(work(starts[k-1], start), work(start, starts[k+1])); n < least {
				starts[k], least = start, n
			}
		}
	}
	return starts
}

// maxRecomputed is the largest share of a value's rows that may be computed by two parts. Beyond
// it, reading rows that another core has computed is cheaper than computing them again. It is a
// variable for tests.
var maxRecomputed = 1.0 / 16

// recomputed returns the largest share of a value's rows that more than one part computes.
func (c *cascade) recomputed() float64 {
	most := 0.0
	for root, s := range c.parts[0] {
		n := -s.shape.H
		for _, p := range c.parts {
			n += p[root].end[c.bands-1] - p[root].start
		}
		most = max(most, float64(n)/float64(s.shape.H))
	}
	return most
}

// schedules returns the values that nodes first to last compute, with the nodes among these that
// read them, but without any bands yet. It returns nil if one of the values is computed from what lies
// beside it in a concatenation.
func (l *layout) schedules(first, last int, convs map[int]kernels.Conv) part {
	values := part{}
	for i := first; i <= last; i++ {
		if l.idle(i) {
			continue
		}
		root, _ := l.place(i + 1)
		s := values[root]
		if s == nil {
			s = &schedule{shape: l.infos[root-1].Out, align: 1}
			values[root] = s
		}
		if conv := convs[i]; conv != nil {
			s.align = lcm(s.align, conv.RowAlign())
		}
		s.tail = max(s.tail, s.align, tail(l.infos[i]))
	}
	for root, s := range values {
		for v := range l.values {
			if owner, _ := l.place(v); owner != root || l.target(v) != v {
				continue
			}
			if l.produced(v-1) && (v-1 < first || v-1 > last) {
				s.outer = true // it holds what others compute
			}
			for _, i := range l.values[v].readers {
				s.halo = max(s.halo, halo(l.infos[i]))
				if !l.produced(i) {
					continue // a part of the value: its readers count
				}
				if i > last {
					s.outer = true
					continue
				}
				n, ok := l.infos[i].Layer.(layer.Windowed)
				if !ok {
					continue // a concatenation in whose result the value lies, or a part of the value
				}
				kernel, stride, pad, _ := n.Window(l.infos[i].In)
				if conv := convs[i]; conv != nil {
					kernel = conv.KernelRows()
				}
				out, _ := l.place(i + 1)
				if out == root && kernel == 1 && stride == 1 && pad == 0 {
					continue // it reads and writes the same rows
				}
				s.readers = append(s.readers, reader{kernel, stride, pad, values[out]})
			}
		}
		for _, v := range l.pinned() {
			if owner, _ := l.place(v); owner == root {
				s.outer = true
			}
		}
	}
	// If what is computed from a value lies beside it in the memory of a concatenation, the two would
	// need different rows of that.
	order := l.order(first, last, values)
	for k, s := range order {
		for _, r := range s.readers {
			if !slices.Contains(order[:k], r.out) {
				return nil
			}
		}
	}
	return values
}

// order returns the values that nodes first to last compute, each behind all values that are computed from
// it.
func (l *layout) order(first, last int, values part) []*schedule {
	var order []*schedule
	for i := last; i >= first; i-- {
		if root, _ := l.place(i + 1); values[root] != nil && !slices.Contains(order, values[root]) {
			order = append(order, values[root])
		}
	}
	return order
}

// lcm returns the least common multiple.
func lcm(a, b int) int {
	n := a
	for n%b != 0 {
		n += a
	}
	return n
}

// tail returns how many rows at the end of node n's result cannot be computed without the row
// before them, because their windows end in the padding or behind the image.
func tail(n Info) int {
	w, ok := n.Layer.(layer.Windowed)
	if !ok {
		return 0
	}
	kernel, stride, pad, _ := w.Window(n.In)
	return n.Out.H - (n.In[0].H-max(kernel-pad, 1))/stride
}

// bands returns how many bands keep the inner values, of so many bytes, within half of the
// level-2 cache; weights, inputs and outputs need the other half. There is one band if the
// weights, which every band reads, do not fit into half of the cache. Bands have at least two
// rows, as smaller pieces of work are inefficient. It is a variable for tests, whose networks
// are small.
var bands = func(inner, weights, rows int) int {
	budget := kernels.Level2() / 2
	if weights > budget {
		return 1
	}
	return min((inner+budget-1)/budget, rows/2)
}

// schedule plans the part that computes the rows from to to-1 of the cascade's result: with which
// row each value starts, where it ends in each band, and which rows its buffer holds. Bands are
// equal in the result; what they need of the other values follows from it, last node first.
func (c *cascade) schedule(l *layout, values part, result *schedule, from, to int) {
	whole := from == 0 && to == result.shape.H
	order := l.order(c.first, c.last, values)
	for _, s := range order {
		s.start = s.shape.H
		if s == result {
			s.start = from
		}
		for _, r := range s.readers {
			s.start = min(s.start, r.from(r.out.start))
		}
		if whole {
			s.start = 0
		}
		s.start = max(min(s.start, s.shape.H-s.tail), 0) / s.align * s.align
	}
	for k := range c.bands {
		for _, s := range order {
			need := 0
			if s == result {
				need = from + (k+1)*(to-from)/c.bands
			}
			for _, r := range s.readers {
				need = max(need, r.to(r.out.end[k]))
			}
			need = (max(need, s.begin(k)) + s.align - 1) / s.align * s.align
			if need > s.shape.H-s.tail || whole && k == c.bands-1 {
				need = s.shape.H
			}
			s.end = append(s.end, need)
		}
	}
	for _, s := range order {
		for k := range c.bands {
			top := s.begin(k)
			for _, r := range s.readers {
				top = min(top, r.from(r.out.begin(k)))
			}
			s.top = append(s.top, top)
			s.height = max(s.height, s.bottom(k)-s.top[k], 2*s.halo+1)
		}
		// A buffer with room for all rows holds all of them in every band, and moves none.
		if all := s.shape.H + 2*s.halo; s.outer || s.height >= all {
			s.height = all
			for k := range s.top {
				s.top[k] = -s.halo
			}
		}
	}
}
