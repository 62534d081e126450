package graph

import (
	"context"
	"runtime/pprof"

	"firebench/kernels"
	"firebench/kernels/workers"
	"firebench/net/layer"
)

// cascade binds the nodes of a cascade to windows of rows, band by band.
func (b *binder) cascade(s *cascade) error {
	first := len(b.steps)
	for i := s.first; i <= s.last; i++ {
		if _, ok := b.infos[i].Layer.(layer.InPlace); !ok && b.target(i+1) == i+1 {
			b.addStep(i)
		}
	}
	p := &pass{slots: make([][]piece, s.slots), labels: b.labels[first]}
	for image := range b.Batch {
		for part, values := range s.parts {
			slot := (image + part) % s.slots
			for k := range s.bands {
				if err := b.band(p, s, values, image, slot, k); err != nil {
					return err
				}
			}
		}
	}
	b.work = append(b.work, work{step: first, tasks: []workers.Task{p}, labels: p.labels})
	return nil
}

// band binds one band of one part of an image.
func (b *binder) band(p *pass, s *cascade, values map[int]*rows, image, slot, k int) error {
	prepared := map[int]bool{}
	for i := s.first; i <= s.last; i++ {
		if b.target(i+1) != i+1 {
			continue
		}
		root, _ := b.place(i + 1)
		r := values[root]
		var tasks []workers.Task
		var err error
		if !prepared[root] {
			prepared[root] = true
			if tasks, err = r.prepare(b.image(s, values, root, image, slot), k); err != nil {
				return err
			}
		}
		if _, ok := b.infos[i].Layer.(layer.InPlace); !ok && r.hi[k] > r.prev(k) {
			bound, err := b.rows(s, values, i, image, slot, k)
			if err != nil {
				return err
			}
			tasks = append(tasks, bound...)
		}
		for _, t := range tasks {
			p.slots[slot] = append(p.slots[slot], piece{t, b.stepLabels(i)})
		}
	}
	return nil
}

// image returns the buffer of a value that owns one, for one image.
func (b *binder) image(s *cascade, values map[int]*rows, root, image, slot int) kernels.View {
	if r := values[root]; r != nil && !r.outer {
		return r.buffer(b.memory(root)[int64(slot)*r.size():][:r.size()])
	}
	return b.view(root).Image(image)
}

// rows binds node i to the rows that it computes in band k.
func (b *binder) rows(s *cascade, values map[int]*rows, i, image, slot, k int) ([]workers.Task, error) {
	root, channel := b.place(i + 1)
	r := values[root]
	y, h := r.prev(k), r.hi[k]-r.prev(k)
	dst := r.window(b.image(s, values, root, image, slot), k, y, h).Channels(channel, b.infos[i].Out.C)
	kernel, stride, pad, _ := b.infos[i].Layer.(layer.Windowed).Window(b.infos[i].In)
	var src []kernels.View
	for _, a := range b.args[i] {
		root, channel := b.place(a)
		v := b.image(s, values, root, image, slot)
		last := b.shape(a).H // as many rows as there are, but for layers that keep the shape
		in := values[root]
		if in != nil {
			last = in.hi[k]
		}
		if kernel == 1 && stride == 1 && pad == 0 {
			last = y + h
		}
		if in != nil {
			v = in.window(v, k, y*stride, last-y*stride)
		} else {
			v = v.Rows(y*stride, last-y*stride)
		}
		src = append(src, v.Channels(channel, b.shape(a).C))
	}
	tasks, err := b.bind(i, 1, dst, src)
	for len(b.slots) <= slot {
		b.slots = append(b.slots, nil)
	}
	b.slots[slot] = append(b.slots[slot], tasks...)
	return tasks, err
}

// buffer is an inner value's memory as a view, in which row y of the image is row
// y + shift(k) in band k.
func (r *rows) buffer(memory []byte) kernels.View {
	return kernels.ViewOf(r.shape.Type, memory, 1, r.height-2*r.halo, r.shape.W, r.shape.C, r.halo)
}

// size is how many bytes the buffer has, a multiple of a cache line.
func (r *rows) size() int64 {
	s := r.shape
	s.H = r.height - 2*r.halo
	return cacheLine(viewBytes(1, s, r.halo))
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
	memory   []byte
	from, to int // row numbers from the buffer's start
	rows     int
	row      int // bytes of a row
}

func (move) Chunks() int { return 1 }

func (m move) Chunk(_, _ int) {
	copy(m.memory[m.to*m.row:], m.memory[m.from*m.row:(m.from+m.rows)*m.row])
}

// prepare returns the tasks that have to run before the nodes of band k write to
// the buffer v.
func (r *rows) prepare(v kernels.View, k int) ([]workers.Task, error) {
	var tasks []workers.Task
	if k == 0 && r.halo > 0 && (!r.outer || r.start == 0) {
		t, err := kernels.BindHalo(v)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, t)
	}
	if r.outer {
		return tasks, nil
	}
	if k > 0 && r.base[k] > r.base[k-1] && r.top(k-1) > r.base[k] {
		tasks = append(tasks, move{v.Memory, r.base[k] - r.base[k-1], 0, r.top(k-1) - r.base[k], v.Row * v.Element.Size()})
	}
	if r.halo > 0 && r.hi[k] == r.shape.H && (k == 0 || r.hi[k-1] < r.shape.H) {
		below := v
		below.Offset = (r.shape.H - r.base[k]) * v.Row
		below.H, below.W, below.Halo = r.halo, v.W+2*v.Halo, 0
		t, err := kernels.BindZero(below)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// A pass is a cascade's work: a chunk is what one slot does.
type pass struct {
	slots  [][]piece
	labels context.Context // the worker's own, to be put back
}

// A piece is a part of one node's work, bound for one thread.
type piece struct {
	task   workers.Task
	labels context.Context
}

func (p *pass) Chunks() int { return len(p.slots) }

func (p *pass) Chunk(_, slot int) {
	for _, piece := range p.slots[slot] {
		pprof.SetGoroutineLabels(piece.labels)
		for i := range piece.task.Chunks() {
			piece.task.Chunk(0, i)
		}
	}
	pprof.SetGoroutineLabels(p.labels)
}
