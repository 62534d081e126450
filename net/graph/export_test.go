package graph

import (
	"math"
)

// SetBands makes Compile take n bands through every cascade that has inner values, or as many
// as there may be, until restore is called. The sizes of the values and of the cache do not count,
// nor does how many rows are computed by two parts.
func SetBands(n int) (restore func()) {
	old, oldMax := bands, maxRecomputed
	maxRecomputed = math.Inf(1)
	bands = func(inner, _, rows int) int {
		if inner == 0 {
			return 1
		}
		return min(n, rows/2)
	}
	return func() { bands, maxRecomputed = old, oldMax }
}

// SetMaxRecomputed sets the largest share of a value's rows that two parts may compute, which
// SetBands does not bound, until the restore of SetBands is called.
func SetMaxRecomputed(share float64) { maxRecomputed = share }

// MaxRecomputed is what SetMaxRecomputed overrides.
func MaxRecomputed() float64 { return maxRecomputed }

// Bands is the rule that SetBands overrides.
func Bands(inner, weights, rows int) int { return bands(inner, weights, rows) }

// Slots returns, for every cascade of the plan, how many pieces each slot has: the work of a
// node in a band, or what prepares a buffer for it.
func Slots(p *Plan) [][]int {
	var slots [][]int
	for _, w := range p.work {
		if s, ok := w.tasks[0].(*cascadeTask); ok {
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
	l, cascades := planCascades(m, w, &o)
	buffers := l.buffers(o.Batch, false, cascades)
	return live(buffers, len(l.infos)), assign(buffers)
}

// Parts returns, for every cascade of a plan, which rows of its result each part of an image
// computes: the first, and the one behind the last.
func Parts(m *Model, w Weights, o Options) [][][2]int {
	l, cascades := planCascades(m, w, &o)
	var all [][][2]int
	for _, c := range cascades {
		result, _ := l.place(c.last + 1)
		var parts [][2]int
		for _, p := range c.parts {
			parts = append(parts, [2]int{p[result].start, p[result].end[c.bands-1]})
		}
		all = append(all, parts)
	}
	return all
}

// planCascades does what Compile does until the cascades are known.
func planCascades(m *Model, w Weights, o *Options) (*layout, []*cascade) {
	t, err := m.table()
	if err == nil {
		err = o.resolve()
	}
	if err != nil {
		panic(err)
	}
	l := newLayout(t)
	convs, err := l.pack(w, *o)
	if err != nil {
		panic(err)
	}
	return l, l.cascades(convs, o.Batch, o.Threads)
}

// live returns the size of the buffers that are in use at the busiest node.
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
