package arm64

import (
	"fmt"

	"firebench/asmgen/vec"
)

// rows addresses n rows by as few registers as possible: row i begins at
// bases[i/per] plus i%per strides.
type rows struct {
	m       *Machine
	per     int
	strides []vec.R // strides[i] is i strides; 0 has none
	bases   []vec.R
}

func (m *Machine) Rows(name string, stride vec.R, n int) vec.Rows {
	bases := func(per int) int { return (n + per - 1) / per }
	r := &rows{m: m, per: n, strides: []vec.R{nil, stride}}
	for per := n - 1; per > 1; per-- {
		if bases(per)+per < bases(r.per)+r.per {
			r.per = per
		}
	}
	for i := 2; i < r.per; i++ {
		s := vec.Named(m, fmt.Sprintf("%d·%s", i, m.NameOf(stride)), m.Ctx.GP64())
		m.addShifted(s, r.strides[i-1], stride, 0)
		r.strides = append(r.strides, s)
	}
	for i := 0; i < n; i += r.per {
		r.bases = append(r.bases, vec.Named(m, fmt.Sprintf("%s %d", name, i), m.Ctx.GP64()))
	}
	return r
}

func (r *rows) Start(p vec.R) {
	r.m.move(r.bases[0], p)
	for i, b := range r.bases[1:] {
		r.m.addShifted(b, r.bases[i], r.strides[r.per-1], 0)
		r.m.AddTo(b, r.strides[1])
	}
}

// at returns the operands that address row i; x is nil for no offset.
func (r *rows) at(i int) (base, x vec.R) { return r.bases[i/r.per], r.strides[i%r.per] }

func (m *Machine) LoadRow(tile vec.Rows, i int) vec.V {
	base, x := tile.(*rows).at(i)
	if x == nil {
		return m.Load(base, 0)
	}
	return m.LoadAt(base, x)
}

// loadSteps loads the next steps values of row i.
func (f float32s) loadSteps(r *rows, i, steps int) vec.V {
	m := f.m
	base, x := r.at(i)
	switch {
	case steps == f.Lanes():
		return m.LoadRow(r, i)
	case steps != 1:
		panic(fmt.Sprintf("arm64: outer products of %d steps", steps))
	}
	v := m.Ctx.XMM()
	if x == nil {
		m.emit("FMOVS (R{1}), F{0}", out(v), in(base))
	} else {
		m.emit("FMOVS (R{1})(R{2}), F{0}", out(v), in(base), in(x))
	}
	return v
}

func (m *Machine) StoreRow(v vec.V, tile vec.Rows, i int) {
	base, x := tile.(*rows).at(i)
	if x == nil {
		m.Store(v, base, 0)
	} else {
		m.StoreAt(v, base, x)
	}
}

const (
	// head is how many loads come before the first multiply-add, and ahead how many
	// multiply-adds lie between another load and the first use of what it loads: an
	// in-order core waits for the rest of a load's latency, others do not mind. The best
	// of those tried, by llvm-mca's model of Cortex-A55 (asmgen/mca).
	head  = 5
	ahead = 8
)

// An action is a part of Outer: a load of a row's inputs, a load of a vector of
// weights, or a multiply-add.
type action struct {
	kind    actionKind
	row     int
	weights int // the vector of weights, counted from w
	step    int
	vector  int
}

type actionKind int

const (
	loadRow actionKind = iota
	loadWeights
	multiply
)

// schedule orders the parts of Outer for a tile whose rows have as many
// accumulators as vectors: multiply-adds step by step, and the loads between them. It also
// returns how many registers are in use beside the accumulators.
func schedule(rows, vectors, steps int) (list []action, scratch int) {
	var macs, loads []action
	for k := range steps {
		for row := range rows {
			for v := range vectors {
				macs = append(macs, action{multiply, row, k*vectors + v, k, v})
			}
		}
	}

	// Loads in the order in which their results are first used, and when that is.
	var needed []int
	lastRow, lastWeights := map[int]int{}, map[int]int{}
	for i, mac := range macs {
		if _, ok := lastWeights[mac.weights]; !ok {
			loads, needed = append(loads, action{kind: loadWeights, weights: mac.weights}), append(needed, i)
		}
		if _, ok := lastRow[mac.row]; !ok {
			loads, needed = append(loads, action{kind: loadRow, row: mac.row}), append(needed, i)
		}
		lastRow[mac.row], lastWeights[mac.weights] = i, i
	}

	// What must be loaded is, and one load more if its time has come.
	live := 0
	for i, mac := range macs {
		for early := true; len(loads) > 0 && (needed[0] <= i || i == 0 && live < head || early && needed[0] <= i+ahead); {
			early = needed[0] <= i
			list = append(list, loads[0])
			live++
			loads, needed = loads[1:], needed[1:]
		}
		scratch = max(scratch, live)
		list = append(list, mac)
		if lastRow[mac.row] == i {
			live--
		}
		if lastWeights[mac.weights] == i {
			live--
		}
	}
	return list, scratch
}

// OuterRegisters counts for blocks of as many steps as a vector has lanes; single steps
// need no more.
func (f float32s) OuterRegisters(rows, vectors int) int {
	_, scratch := schedule(rows, vectors, f.Lanes())
	return scratch
}

// Outer multiplies by lane: a vector of each row holds the inputs of as many
// steps as it has lanes. A broadcast per row and step would take a slot that
// multiply-adds need.
func (f float32s) Outer(acc [][]vec.V, tile vec.Rows, w vec.R, steps int) {
	m, r := f.m, tile.(*rows)
	vectors := len(acc[0])
	inputs, weights := make([]vec.V, len(acc)), make([]vec.V, steps*vectors)
	list, _ := schedule(len(acc), vectors, steps)
	for _, s := range list {
		switch s.kind {
		case loadRow:
			inputs[s.row] = vec.Named(m, "inputs", f.loadSteps(r, s.row, steps))
		case loadWeights:
			weights[s.weights] = vec.Named(m, "weights", m.Load(w, s.weights))
		case multiply:
			m.word("fmla", []ref{inout(acc[s.row][s.vector]), in(weights[s.weights]), in(inputs[s.row])}, s.step)
		}
	}
	m.SkipVectors(w, steps*vectors)
	for _, b := range r.bases {
		f.Skip(b, steps)
	}
}
