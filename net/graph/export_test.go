package graph

import (
	"math"
)

// SetBands makes Compile cut every cascade that has inner values into n bands, or
// into as many as there may be, whatever the sizes of its values and of the cache, and
// what parts of it compute twice, until restore is called.
func SetBands(n int) (restore func()) {
	old, oldTwice := bands, maxTwice
	maxTwice = math.Inf(1)
	bands = func(inner, _, rows int) int {
		if inner == 0 {
			return 1
		}
		return min(n, rows/2)
	}
	return func() { bands, maxTwice = old, oldTwice }
}

// SetMaxTwice sets the share of a value's rows that parts may compute twice, which SetBands
// does not bound, until SetBands's restore is called.
func SetMaxTwice(share float64) { maxTwice = share }

// MaxTwice is what SetMaxTwice overrides.
func MaxTwice() float64 { return maxTwice }

// Bands is the rule that SetBands overrides.
func Bands(inner, weights, rows int) int { return bands(inner, weights, rows) }

// Slots returns, for every cascade of the plan, how many pieces of work each thread
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
	l, cascades := planCascades(m, w, &o)
	buffers := l.buffers(o.Batch, false, cascades)
	return live(buffers, len(l.infos)), assign(buffers)
}

// Parts returns, for every cascade of a plan, which rows of its result the parts
// compute that an image is cut into: from one, inclusive, to another.
func Parts(m *Model, w Weights, o Options) [][][2]int {
	l, cascades := planCascades(m, w, &o)
	var all [][][2]int
	for _, s := range cascades {
		end, _ := l.place(s.last + 1)
		var parts [][2]int
		for _, values := range s.parts {
			r := values[end]
			parts = append(parts, [2]int{r.start, r.hi[s.bands-1]})
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
