package graph

import (
	"firebench/kernels"
	"firebench/net/layer"
)

// A segment is a run of nodes that take one band of rows after the other through
// all of them, so that what one computes is still in the level-2 cache when the
// next reads it. Values that only the segment's own nodes read keep just the rows
// that are still needed.
type segment struct {
	first, last int // nodes
	bands       int
	rows        map[int]*rows // by the value that owns the buffer
}

// rows tells how far a buffer's values are computed, band by band. Rows are
// numbered as in the image; the halo's have numbers below 0 and from H on.
type rows struct {
	shape   layer.Shape
	halo    int
	align   int         // bands end at multiples of it
	tail    int         // a band ends with the last row or leaves at least as many
	outer   bool        // nodes behind the segment read it too, or the caller does
	height  int         // of an inner buffer, which holds one image, in rows, halo included
	hi      []int       // rows below are computed after the band
	base    []int       // the first row that is still needed in the band
	readers []rowReader // in the segment
}

// A rowReader is a node that reads a buffer through windows.
type rowReader struct {
	kernel, stride, pad int
	out                 *rows
}

// from returns the first row that r reads when it computes its rows from y on.
func (r rowReader) from(y int) int { return y*r.stride - r.pad }

// to returns the row behind the last that r reads to compute its rows below y.
func (r rowReader) to(y int) int { return (y-1)*r.stride - r.pad + r.kernel }

// prev returns how far the value was computed before band k.
func (r *rows) prev(k int) int {
	if k == 0 {
		return 0
	}
	return r.hi[k-1]
}

// segments returns the segments that are worth it; convs are the packed layers by
// node.
func (l *layout) segments(convs map[int]*kernels.Conv) []*segment {
	var out []*segment
	for first := 0; first < len(l.infos); {
		if !l.windowed(first) {
			first++
			continue
		}
		last := first
		for !l.cut(last) && last+1 < len(l.infos) && l.windowed(last+1) {
			last++
		}
		if s := l.segment(first, last, convs); s != nil {
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
	case layer.Concat:
		return len(l.copied(i)) == 0
	}
	return l.target(i+1) != i+1
}

// cut reports whether a segment should end with node i: behind a pooling, which
// leaves little to pass on.
func (l *layout) cut(i int) bool {
	n, ok := l.infos[i].Layer.(layer.MaxPool)
	return ok && n.Stride > 1
}

// segment plans the bands of nodes first to last, nil if they are not worth it.
func (l *layout) segment(first, last int, convs map[int]*kernels.Conv) *segment {
	s := &segment{first: first, last: last, rows: map[int]*rows{}}
	// The buffers that the segment computes, and who reads them.
	inner := 0 // bytes of the values that need not outlive the segment
	for i := first; i <= last; i++ {
		if l.target(i+1) != i+1 {
			continue
		}
		root, _ := l.window(i + 1)
		r := s.rows[root]
		if r == nil {
			r = &rows{shape: l.infos[root-1].Out, align: 1}
			s.rows[root] = r
		}
		if c := convs[i]; c != nil {
			r.align = lcm(r.align, c.RowAlign())
		}
		r.tail = max(r.tail, r.align, tail(l.infos[i]))
	}
	for root, r := range s.rows {
		for v := range l.values {
			if owner, _ := l.window(v); owner != root || l.target(v) != v {
				continue
			}
			if v-1 < first || v-1 > last {
				return nil // a concatenation reaches beyond the segment
			}
			for _, i := range l.values[v].readers {
				if _, ok := l.infos[i].Layer.(layer.Concat); ok && i >= first && i <= last {
					continue
				}
				r.halo = max(r.halo, halo(l.infos[i]))
				if i < first || i > last {
					r.outer = true
					continue
				}
				kernel, stride, pad, _ := l.infos[i].Layer.(layer.Windowed).Window(l.infos[i].In)
				if c := convs[i]; c != nil && c.Algo() == kernels.Winograd {
					kernel = (kernel + stride - 1) / stride * stride // whole phases
				}
				out, _ := l.window(i + 1)
				r.readers = append(r.readers, rowReader{kernel, stride, pad, s.rows[out]})
			}
		}
		for _, v := range []int{len(l.infos), l.softmaxInput()} {
			if owner, _ := l.window(v); owner == root {
				r.outer = true
			}
		}
		if !r.outer {
			inner += 4 * r.shape.Elems()
		}
	}
	end, _ := l.window(last + 1)
	if s.rows[end] == nil || !s.rows[end].outer {
		return nil
	}
	weights := 0
	for i := first; i <= last; i++ {
		if c := convs[i]; c != nil {
			weights += int(c.Bytes())
		}
	}
	s.bands = bands(inner, weights, s.rows[end].shape.H)
	if s.bands < 2 {
		return nil
	}
	s.schedule(end, l)
	return s
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

// schedule computes, band by band, how far each value has to be: backwards from
// equal parts of the last one.
func (s *segment) schedule(end int, l *layout) {
	var order []*rows // consumers first
	for i := s.last; i >= s.first; i-- {
		if root, _ := l.window(i + 1); s.rows[root] != nil && l.target(i+1) == i+1 {
			r := s.rows[root]
			if len(order) == 0 || order[len(order)-1] != r {
				order = append(order, r)
			}
		}
	}
	for k := range s.bands {
		done := map[*rows]bool{}
		for _, r := range order {
			if done[r] {
				continue
			}
			done[r] = true
			need := 0
			if r == s.rows[end] {
				need = (k + 1) * r.shape.H / s.bands
			}
			for _, reader := range r.readers {
				need = max(need, reader.to(reader.out.hi[k]))
			}
			need = (max(need, r.prev(k)) + r.align - 1) / r.align * r.align
			if k == s.bands-1 || need > r.shape.H-r.tail {
				need = r.shape.H
			}
			r.hi = append(r.hi, need)
		}
	}
	for _, r := range s.rows {
		for k := range s.bands {
			base := -r.halo
			if k > 0 {
				base = r.prev(k)
				for _, reader := range r.readers {
					base = min(base, reader.from(reader.out.prev(k)))
				}
				base = max(base, r.base[k-1])
			}
			r.base = append(r.base, base)
			r.height = max(r.height, r.top(k)-base, 2*r.halo+1)
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

// buffer is an inner value's memory as a view, in which row y of the image is row
// y + shift(k) in band k.
func (r *rows) buffer(memory []float32) kernels.View {
	return kernels.ViewOf(memory, 1, r.height-2*r.halo, r.shape.W, r.shape.C, r.halo)
}

func (r *rows) shift(k int) int { return -r.base[k] - r.halo }

// window returns rows y to y+h-1 of band k of the buffer v.
func (r *rows) window(v kernels.View, k, y, h int) kernels.View {
	w := v.Rows(0, 1)
	w.Offset += (y + r.shift(k)) * v.Row
	w.H = h
	return w
}

// A move slides the rows that a band still needs to the start of their buffer.
type move struct {
	data     []float32
	from, to int // row numbers from the buffer's start
	rows     int
	row      int // values in a row
}

func (move) Chunks() int { return 1 }

func (m move) Chunk(_, _ int) {
	copy(m.data[m.to*m.row:], m.data[m.from*m.row:(m.from+m.rows)*m.row])
}

// A zero clears the rows of a halo.
type zero struct{ data []float32 }

func (zero) Chunks() int      { return 1 }
func (z zero) Chunk(_, _ int) { clear(z.data) }

// prepare returns the tasks that have to run before the nodes of band k write to
// the buffer v.
func (r *rows) prepare(v kernels.View, k int) ([]kernels.Task, error) {
	var tasks []kernels.Task
	if k == 0 && r.halo > 0 {
		t, err := kernels.BindZeroHalo(v)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, t)
	}
	if r.outer {
		return tasks, nil
	}
	row, memory := v.Row, v.Data
	if k > 0 && r.base[k] > r.base[k-1] && r.top(k-1) > r.base[k] {
		tasks = append(tasks, move{memory, r.base[k] - r.base[k-1], 0, r.top(k-1) - r.base[k], row})
	}
	if r.halo > 0 && r.hi[k] == r.shape.H && (k == 0 || r.hi[k-1] < r.shape.H) {
		at := (r.shape.H - r.base[k]) * row
		tasks = append(tasks, zero{memory[at : at+r.halo*row]})
	}
	return tasks, nil
}
