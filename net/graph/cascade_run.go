package graph

import (
	"context"
	"runtime/pprof"

	"firebench/kernels"
	"firebench/kernels/workers"
	"firebench/net/layer"
)

// A cascadeTask is the work of a cascade. A chunk is what one slot does.
type cascadeTask struct {
	slots  [][]piece
	labels context.Context // what a worker's labels must be when a chunk ends
}

// A piece is one task of a node in a band, bound for one thread.
type piece struct {
	task   workers.Task
	labels context.Context
}

func (t *cascadeTask) Chunks() int { return len(t.slots) }

func (t *cascadeTask) Chunk(_, slot int) {
	for _, piece := range t.slots[slot] {
		pprof.SetGoroutineLabels(piece.labels)
		for i := range piece.task.Chunks() {
			piece.task.Chunk(0, i)
		}
	}
	pprof.SetGoroutineLabels(t.labels)
}

// cascade binds the nodes of a cascade to rows of their values, band by band.
func (b *binder) cascade(c *cascade) error {
	first := len(b.steps)
	for i := c.first; i <= c.last; i++ {
		if b.computes(i) {
			b.addStep(i)
		}
	}
	t := &cascadeTask{slots: make([][]piece, c.slots), labels: b.labels[first]}
	for image := range b.Batch {
		for i, p := range c.parts {
			slot := (image + i) % c.slots
			for k := range c.bands {
				if err := b.band(t, c, p, image, slot, k); err != nil {
					return err
				}
			}
		}
	}
	b.work = append(b.work, work{step: first, tasks: []workers.Task{t}, labels: t.labels})
	return nil
}

// computes reports whether node i of a cascade computes anything. An idle node does not, nor does a
// concatenation, whose inputs are all produced in its result.
func (b *binder) computes(i int) bool {
	_, concat := b.infos[i].Layer.(layer.Concatenation)
	return !concat && !b.idle(i)
}

// band binds band k of one part of an image and appends the pieces to those of the slot.
func (b *binder) band(t *cascadeTask, c *cascade, p part, image, slot, k int) error {
	prepared := map[int]bool{}
	for i := c.first; i <= c.last; i++ {
		root, _ := b.place(i + 1)
		s := p[root]
		if s == nil || b.idle(i) {
			continue
		}
		var tasks []workers.Task
		var err error
		if !prepared[root] {
			prepared[root] = true
			if tasks, err = s.prepare(b.image(p, root, image, slot), k); err != nil {
				return err
			}
		}
		if b.computes(i) && s.end[k] > s.begin(k) {
			bound, err := b.nodeBand(p, i, image, slot, k)
			if err != nil {
				return err
			}
			tasks = append(tasks, bound...)
		}
		for _, task := range tasks {
			t.slots[slot] = append(t.slots[slot], piece{task, b.stepLabels(i)})
		}
	}
	return nil
}

// image returns one image of the buffer that value root owns. If the value is inner, that is the
// slot's buffer.
func (b *binder) image(p part, root, image, slot int) kernels.View {
	if s := p[root]; s != nil && !s.outer {
		return s.buffer(b.memory(root)[int64(slot)*s.size():][:s.size()])
	}
	return b.view(root).Image(image)
}

// nodeBand binds node i to the rows that it computes in band k.
func (b *binder) nodeBand(p part, i, image, slot, k int) ([]workers.Task, error) {
	root, channel := b.place(i + 1)
	y, end := p[root].begin(k), p[root].end[k]
	dst := p[root].rows(b.image(p, root, image, slot), k, y, end).Channels(channel, b.infos[i].Out.C)
	kernel, stride, _, _ := b.infos[i].Layer.(layer.Windowed).Window(b.infos[i].In)
	var src []kernels.View
	for _, a := range b.args[i] {
		root, channel := b.place(a)
		v := b.image(p, root, image, slot)
		// Kernels read as many of the rows that there are as they need, but layers that keep the
		// shape expect as many as they compute.
		s, last := p[root], b.shape(a).H
		if s != nil {
			last = s.end[k]
		}
		if kernel == 1 && stride == 1 {
			last = min(last, end)
		}
		if s != nil {
			v = s.rows(v, k, y*stride, last)
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

// buffer returns an inner value's memory as a view. In band k, its first row, halo included, is
// row top[k] of the image.
func (s *schedule) buffer(memory []byte) kernels.View {
	return kernels.ViewOf(s.shape.Type, memory, 1, s.height-2*s.halo, s.shape.W, s.shape.C, s.halo)
}

// size returns how many bytes the buffer of an inner value has, a multiple of a cache line.
func (s *schedule) size() int64 {
	shape := s.shape
	shape.H = s.height - 2*s.halo
	return cacheLine(viewBytes(1, shape, s.halo))
}

// rows returns the image's rows from y to end-1 as v, the value's buffer, holds them in band k.
func (s *schedule) rows(v kernels.View, k, y, end int) kernels.View {
	w := v.Rows(0, 1)
	w.Offset += (y - s.top[k] - s.halo) * v.Row
	w.H = end - y
	return w
}

// A move slides the rows that a band still needs to the start of their buffer.
type move struct {
	memory     []byte
	from, rows int // counted from the start of the buffer
	row        int // bytes of a row
}

func (move) Chunks() int { return 1 }

func (m move) Chunk(_, _ int) {
	copy(m.memory, m.memory[m.from*m.row:(m.from+m.rows)*m.row])
}

// prepare returns the tasks that have to run before the nodes of band k write to the value's
// buffer v. They move the rows that are still needed, and clear the halo: all of it in the first
// band, and the rows below the image when the buffer gets to hold these.
func (s *schedule) prepare(v kernels.View, k int) ([]workers.Task, error) {
	var tasks []workers.Task
	if k == 0 && s.halo > 0 && (!s.outer || s.start == 0) {
		t, err := kernels.BindHalo(v)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, t)
	}
	if s.outer {
		return tasks, nil
	}
	if k > 0 && s.top[k] > s.top[k-1] && s.bottom(k-1) > s.top[k] {
		tasks = append(tasks, move{v.Memory, s.top[k] - s.top[k-1], s.bottom(k-1) - s.top[k], v.Row * v.Element.Size()})
	}
	if s.halo > 0 && s.end[k] == s.shape.H && s.begin(k) < s.shape.H {
		below := v
		below.Offset = (s.shape.H - s.top[k]) * v.Row
		below.H, below.W, below.Halo = s.halo, v.W+2*v.Halo, 0
		t, err := kernels.BindZero(below)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}
