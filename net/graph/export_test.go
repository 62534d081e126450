package graph

import (
	"firebench/kernels"
	"firebench/net/layer"
)

// SetBands makes Compile cut every segment that has inner values into n bands, or
// into as many as there may be, whatever the sizes of its values and of the cache,
// until restore is called.
func SetBands(n int) (restore func()) {
	old := bands
	bands = func(inner, _, rows int) int {
		if inner == 0 {
			return 1
		}
		return min(n, rows/2)
	}
	return func() { bands = old }
}

// Bands is the rule that SetBands overrides.
func Bands(inner, weights, rows int) int { return bands(inner, weights, rows) }

// Slots returns, for every segment of the plan, how many pieces of work each thread
// has: a step's part of a band, or what prepares a buffer for it.
func Slots(p *Plan) [][]int {
	var slots [][]int
	for _, w := range p.work {
		if s, ok := w.tasks[0].(*pass); ok {
			var pieces []int
			for _, slot := range s.slots {
				pieces = append(pieces, len(slot))
			}
			slots = append(slots, pieces)
		}
	}
	return slots
}

// Placement returns the size of the buffers that are in use at the busiest node of
// a plan, which no arena can be smaller than, and the size of the arena that they
// get. Both are in bytes, scratch memory aside.
func Placement(m *Model, w Weights, o Options) (busiest, total int64) {
	t, err := m.table()
	if err == nil {
		err = o.resolve()
	}
	if err != nil {
		panic(err)
	}
	l := newLayout(t)
	convs := map[int]*kernels.Conv{}
	for i, n := range t.infos {
		if c, ok := n.Layer.(layer.Conv); ok { // bands have no other weights
			if convs[i], err = pack(o, n, c, w, false); err != nil {
				panic(err)
			}
		}
	}
	buffers := l.buffers(m.Input, o.Batch, false, l.segments(convs, o.Batch, o.Threads))
	return 4 * live(buffers, len(t.infos)), 4 * assign(buffers)
}

func live(buffers []*buffer, nodes int) int64 {
	most := int64(0)
	for i := range nodes {
		sum := int64(0)
		for _, b := range buffers {
			if b != nil && b.first <= i && i <= b.last {
				sum += b.size
			}
		}
		most = max(most, sum)
	}
	return most
}
