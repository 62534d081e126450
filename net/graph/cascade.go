package graph

import (
	"math"
	"slices"

	"firebench/kernels"
	"firebench/net/layer"
)

// A cascade is a run of nodes that take one band of rows after the other through
// all of them, so that what one computes is still in the level-2 cache when the
// next reads it (Alwani et al., "Fused-layer CNN accelerators", 2016). Values that only
// the cascade's own nodes read keep just the rows that are still needed.
//
// Threads share a cascade by its result's rows: each computes a part, and what it
// needs for that, on its own, in its own buffers. Values thus stay in the cache of
// the core that computed them; the rows that two parts need are computed twice.
type cascade struct {
	first, last int             // nodes
	bands       int             // of a part
	parts       []map[int]*rows // by the value that owns the buffer
	slots       int             // sets of inner buffers: one a thread
}

// rows tells how far a buffer's values are computed, band by band. Rows are
// numbered as in the image; the halo's have numbers below 0 and from H on.
type rows struct {
	shape   layer.Shape
	halo    int
	align   int         // bands end at multiples of it
	tail    int         // a band ends with the last row or leaves at least as many
	outer   bool        // nodes behind the cascade read it too, or the caller does
	height  int         // of an inner buffer, which holds one image, in rows, halo included
	start   int         // the first row that the part computes
	hi      []int       // rows below are computed after the band
	base    []int       // the first row that is still needed in the band
	readers []rowReader // in the cascade
}

// A rowReader is a node that reads a buffer through windows.
type rowReader struct {
	kernel, stride, pad int
	out                 *rows
}

// from returns the first row that r reads when it computes its rows from y on.
func (r rowReader) from(y int) int { return y*r.stride - r.pad }

// to returns the row behind the last that r reads to compute its rows below y; a
// window of padding alone counts as one that reads a row.
func (r rowReader) to(y int) int { return (y-1)*r.stride + max(r.kernel-r.pad, 1) }

// prev returns how far the value was computed before band k.
func (r *rows) prev(k int) int {
	if k == 0 {
		return r.start
	}
	return r.hi[k-1]
}

// cascades returns the cascades that are worth it; convs are the packed layers by
// node.
func (l *layout) cascades(convs map[int]kernels.Conv, batch, threads int) []*cascade {
	var out []*cascade
	for first := 0; first < len(l.infos); {
		if !l.windowed(first) {
			first++
			continue
		}
		last := first
		for !l.cut(last) && last+1 < len(l.infos) && l.windowed(last+1) {
			last++
		}
		if s := l.cascade(first, last, convs, batch, threads); s != nil {
			out = append(out, s)
		}
		first = last + 1
	}
	return out
}

// windowed reports whether node i can compute bands of rows, or has nothing to do.
func (l *layout) windowed(i int) bool {
	switch n := l.infos[i].Layer.(type) {
	case layer.Windowed:
		_, _, _, ok := n.Window(l.infos[i].In)
		return ok
	case layer.InPlace:
		return len(l.copied(i)) == 0
	}
	return l.target(i+1) != i+1
}

// cut reports whether a cascade should end with node i: behind a pooling, which
// leaves little to pass on.
func (l *layout) cut(i int) bool {
	n, ok := l.infos[i].Layer.(layer.Windowed)
	if !ok || l.owners[i] >= 0 {
		return false
	}
	_, stride, _, _ := n.Window(l.infos[i].In)
	return stride > 1
}

// cascade plans the bands of nodes first to last, nil if they are not worth it.
func (l *layout) cascade(first, last int, convs map[int]kernels.Conv, batch, threads int) *cascade {
	values := l.computed(first, last, convs)
	if values == nil {
		return nil
	}
	inner, outer := 0, 0 // bytes of the values that need not outlive the cascade; number of the others
	for _, r := range values {
		if r.outer {
			outer++
		} else {
			inner += int(r.shape.Bytes())
		}
	}
	end, _ := l.place(last + 1)
	if values[end] == nil || !values[end].outer {
		return nil
	}
	weights := 0
	for i := first; i <= last; i++ {
		if c := convs[i]; c != nil {
			weights += int(c.Bytes())
		}
	}
	n := bands(inner, weights, values[end].shape.H)
	// In a batch it may be worth it to take images through the cascade one by one, all
	// their values together being so much larger: unless the weights are larger still.
	oneByOne := batch > threads && batch%threads == 0 && inner > weights
	if n < 2 && !oneByOne {
		return nil
	}
	s := &cascade{first: first, last: last, slots: 1}
	// Whole images to each thread, if they come out even; else parts of each image,
	// unless parts would write the same rows of a value that others read.
	parts := 1
	switch {
	case batch%threads == 0:
		s.slots = threads
	case outer == 1 && values[end].shape.H/threads > 2*(values[end].tail+values[end].align):
		s.slots, parts = threads, threads
	default:
		return nil // too little for all threads to share
	}
	s.bands = max((n+parts-1)/parts, 1)
	cuts := s.cuts(l, convs, end, parts)
	for part := range parts {
		s.parts = append(s.parts, s.part(l, convs, end, cuts[part], cuts[part+1]))
	}
	if s.twice() > maxTwice {
		return nil
	}
	// Every slot has room for every part.
	for root := range s.parts[0] {
		height := 0
		for _, values := range s.parts {
			height = max(height, values[root].height)
		}
		for _, values := range s.parts {
			values[root].height = height
		}
	}
	return s
}

// part plans the part that computes the rows from one of the result, value end, to another.
func (s *cascade) part(l *layout, convs map[int]kernels.Conv, end, from, to int) map[int]*rows {
	values := l.computed(s.first, s.last, convs)
	s.schedule(l, values, values[end], from, to)
	return values
}

// cuts returns the rows of the result, value end, at which parts begin, and the row behind
// the last: near equal parts, where the larger of two parts executes the fewest multiply-adds.
// Equal parts need not, as the rows before them begin at multiples of a tile.
func (s *cascade) cuts(l *layout, convs map[int]kernels.Conv, end, parts int) []int {
	const reach = 3
	r := l.computed(s.first, s.last, convs)[end]
	cuts := make([]int, parts+1)
	for k := range parts {
		cuts[k] = k * r.shape.H / parts / r.align * r.align
	}
	cuts[parts] = r.shape.H
	work := func(from, to int) int64 {
		values := s.part(l, convs, end, from, to)
		total := int64(0)
		for i := s.first; i <= s.last; i++ {
			if c := convs[i]; c != nil {
				n := l.infos[i]
				root, _ := l.place(i + 1)
				computed := values[root].hi[s.bands-1] - values[root].start
				total += c.Executed() * int64(computed) / int64(n.Out.H)
			}
		}
		return total
	}
	for k := 1; k < parts; k++ {
		equal, least := cuts[k], int64(math.MaxInt64)
		for d := range 2*reach + 1 {
			if d%2 == 1 {
				d = -d - 1 // 0, -2, 2, -4, 4, …: nearest first
			}
			cut := equal + d/2*r.align
			if cut-cuts[k-1] <= r.tail+r.align || cuts[k+1]-cut <= r.tail+r.align {
				continue
			}
			if n := max(work(cuts[k-1], cut), work(cut, cuts[k+1])); n < least {
				cuts[k], least = cut, n
			}
		}
	}
	return cuts
}

// maxTwice is the share of a value's rows that two parts may both compute: threads lose no
// more by reading what another one has computed. It is a variable for tests.
var maxTwice = 1.0 / 16

// twice returns the largest share of a value's rows that more than one part computes.
func (s *cascade) twice() float64 {
	most := 0.0
	for root, r := range s.parts[0] {
		n := -r.shape.H
		for _, values := range s.parts {
			part := values[root]
			n += part.hi[s.bands-1] - part.start
		}
		most = max(most, float64(n)/float64(r.shape.H))
	}
	return most
}

// computed returns the values that own a buffer and that nodes first to last
// compute, with who reads them; nil if a concatenation reaches beyond these nodes.
func (l *layout) computed(first, last int, convs map[int]kernels.Conv) map[int]*rows {
	values := map[int]*rows{}
	for i := first; i <= last; i++ {
		if l.target(i+1) != i+1 {
			continue
		}
		root, _ := l.place(i + 1)
		r := values[root]
		if r == nil {
			r = &rows{shape: l.infos[root-1].Out, align: 1}
			values[root] = r
		}
		if c := convs[i]; c != nil {
			r.align = lcm(r.align, c.RowAlign())
		}
		r.tail = max(r.tail, r.align, tail(l.infos[i]))
	}
	for root, r := range values {
		for v := range l.values {
			if owner, _ := l.place(v); owner != root || l.target(v) != v {
				continue
			}
			if v-1 < first || v-1 > last {
				return nil
			}
			for _, i := range l.values[v].readers {
				if _, ok := l.infos[i].Layer.(layer.InPlace); ok && i >= first && i <= last {
					continue
				}
				r.halo = max(r.halo, halo(l.infos[i]))
				if i < first || i > last {
					r.outer = true
					continue
				}
				kernel, stride, pad, _ := l.infos[i].Layer.(layer.Windowed).Window(l.infos[i].In)
				if c := convs[i]; c != nil {
					kernel = c.KernelRows()
				}
				out, _ := l.place(i + 1)
				r.readers = append(r.readers, rowReader{kernel, stride, pad, values[out]})
			}
		}
		for _, v := range l.pinned() {
			if owner, _ := l.place(v); owner == root {
				r.outer = true
			}
		}
	}
	return values
}

// lcm returns the least common multiple.
func lcm(a, b int) int {
	n := a
	for n%b != 0 {
		n += a
	}
	return n
}

// tail returns how many rows at the end of node n's result cannot be computed
// without the ones before: their windows end in the padding or behind the image.
func tail(n Info) int {
	w, ok := n.Layer.(layer.Windowed)
	if !ok {
		return 0
	}
	kernel, stride, pad, _ := w.Window(n.In)
	return n.Out.H - (n.In[0].H-max(kernel-pad, 1))/stride
}

// bands returns how many bands keep inner bytes of values within half of the
// level-2 cache: weights, inputs and outputs pass through it as well. Every band
// reads all weights; where these do not stay in the cache, it is not worth it.
// Bands of less than two rows would do too much in small pieces. It is a variable
// for tests, whose networks are small.
var bands = func(inner, weights, rows int) int {
	budget := kernels.Level2() / 2
	if weights > budget {
		return 1
	}
	return min((inner+budget-1)/budget, rows/2)
}

// schedule computes where the values of a part begin and, band by band, how far each
// has to be: backwards from rows from to to-1 of the last one, in equal bands.
func (s *cascade) schedule(l *layout, values map[int]*rows, end *rows, from, to int) {
	whole := from == 0 && to == end.shape.H
	var order []*rows // each value once, behind all that read it
	for i := s.last; i >= s.first; i-- {
		if root, _ := l.place(i + 1); l.target(i+1) == i+1 && !slices.Contains(order, values[root]) {
			order = append(order, values[root])
		}
	}
	for _, r := range order {
		r.start = r.shape.H
		if r == end {
			r.start = from
		}
		for _, reader := range r.readers {
			r.start = min(r.start, reader.from(reader.out.start))
		}
		if whole {
			r.start = 0
		}
		r.start = max(min(r.start, r.shape.H-r.tail), 0) / r.align * r.align
	}
	for k := range s.bands {
		for _, r := range order {
			need := 0
			if r == end {
				need = from + (k+1)*(to-from)/s.bands
			}
			for _, reader := range r.readers {
				need = max(need, reader.to(reader.out.hi[k]))
			}
			need = (max(need, r.prev(k)) + r.align - 1) / r.align * r.align
			if need > r.shape.H-r.tail || whole && k == s.bands-1 {
				need = r.shape.H
			}
			r.hi = append(r.hi, need)
		}
	}
	for _, r := range order {
		for k := range s.bands {
			base := r.prev(k)
			for _, reader := range r.readers {
				base = min(base, reader.from(reader.out.prev(k)))
			}
			switch {
			case k > 0:
				base = max(base, r.base[k-1])
			case r.start == 0:
				base = -r.halo
			}
			r.base = append(r.base, max(base, -r.halo))
			r.height = max(r.height, r.top(k)-r.base[k], 2*r.halo+1)
		}
		if full := r.shape.H + 2*r.halo; r.outer || r.height >= full {
			r.height = full
			for k := range r.base {
				r.base[k] = -r.halo
			}
		}
	}
}

// top returns the row behind the last that the buffer holds after band k.
func (r *rows) top(k int) int {
	if r.hi[k] == r.shape.H {
		return r.hi[k] + r.halo
	}
	return r.hi[k]
}
