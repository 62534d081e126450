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

// place is where row i begins, as the operand of an instruction in Go's notation whose other
// register is {0}, and the registers of that operand.
func (r *rows) place(i int) (string, []ref) {
	base, x := r.at(i)
	if x == nil {
		return "(R{1})", []ref{in(base)}
	}
	return "(R{1})(R{2})", []ref{in(base), in(x)}
}

func (m *Machine) LoadRow(tile vec.Rows, i int) vec.V {
	base, x := tile.(*rows).at(i)
	if x == nil {
		return m.Load(base, 0)
	}
	return m.LoadAt(base, x)
}

// loadPart loads the low part of a vector from the start of row i.
func (m *Machine) loadPart(opcode string, r *rows, i int) vec.V {
	v := m.Ctx.XMM()
	place, refs := r.place(i)
	m.emit(opcode+" "+place+", F{0}", append([]ref{out(v)}, refs...)...)
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
	// of those tried, by llvm-mca's model of Cortex-A55 (asmgen/mca). convertAhead is how many lie
	// between making inputs signed, or weights wide, and their first use.
	head         = 5
	ahead        = 8
	convertAhead = 4
)

// An action is a part of Outer: a load of inputs, a load of a vector of
// weights, or a multiply-add.
type action struct {
	kind    actionKind
	row     int
	inputs  int // the vector of inputs
	weights int // the vector of weights, counted from w
	step    int
	vector  int
}

type actionKind int

const (
	loadInputs actionKind = iota
	loadWeights
	multiply
)

// schedule orders the parts of Outer for a tile whose rows have as many
// accumulators as vectors, and whose weights come in vectors for parts of them each:
// multiply-adds step by step, and the loads between them. inputs says which vector of inputs has that of a row
// and a step. It also returns how many registers are in use beside the accumulators.
func schedule(rows, vectors, parts, steps int, inputs func(row, step int) int) (list []action, scratch int) {
	var macs, loads []action
	for k := range steps {
		for row := range rows {
			for v := range vectors {
				macs = append(macs, action{multiply, row, inputs(row, k), (k*vectors + v) / parts, k, v})
			}
		}
	}

	// Loads in the order in which their results are first used, and when that is.
	var needed []int
	lastInputs, lastWeights := map[int]int{}, map[int]int{}
	for i, mac := range macs {
		if _, ok := lastWeights[mac.weights]; !ok {
			loads, needed = append(loads, action{kind: loadWeights, weights: mac.weights}), append(needed, i)
		}
		if _, ok := lastInputs[mac.inputs]; !ok {
			loads, needed = append(loads, action{kind: loadInputs, inputs: mac.inputs}), append(needed, i)
		}
		lastInputs[mac.inputs], lastWeights[mac.weights] = i, i
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
		if lastInputs[mac.inputs] == i {
			live--
		}
		if lastWeights[mac.weights] == i {
			live--
		}
	}
	return list, scratch
}

// ofRow is the vector of inputs that has those of a row for all steps.
func ofRow(row, _ int) int { return row }

// sums implements vec.Sums.
type sums struct {
	elements
	weight vec.Element
	group  int      // inputs that an accumulator's lane takes at a time
	words  []string // multiply-adds by lane, one for each accumulator that a vector of weights is for
}

// lanes is the number of values in an accumulator. It is also how many steps a block has: the lanes
// of a row's inputs, or half of them, are the multipliers of as many steps.
const lanes = 4

// sign is the bit that turns uint8 values into int8 values that are less by offset.
const (
	sign   = 0x80
	offset = 128
)

// signed reports whether inputs are made int8 before they are multiplied.
func (s sums) signed() bool { return s.elem == vec.U8 }

func (m *Machine) Dot(inputs, weights vec.Element) vec.Sums {
	switch {
	case inputs == vec.S16 && (weights == vec.S8 || weights == vec.S16):
		return sums{elements{m, vec.S16}, weights, 1, []string{"smlal", "smlal2"}}
	case inputs == vec.U8 && weights == vec.S8 && m.dotProduct:
		return sums{elements{m, vec.U8}, vec.S8, 4, []string{"sdot"}}
	case inputs == vec.F32 && (weights == vec.F16 || weights == vec.S8):
		return floatSums{sums{elements{m, vec.F32}, weights, 1, []string{"fmla"}}}
	}
	panic(fmt.Sprintf("arm64: no sums of products of %s and %s on this machine", inputs.Name, weights.Name))
}

func (s sums) Group() int          { return s.group }
func (s sums) Weight() vec.Element { return s.weight }

// widens reports whether weights have fewer bytes in memory than inputs.
func (s sums) widens() bool { return s.weight.Size < s.elem.Size }

func (s sums) Offset() int {
	if s.signed() {
		return offset
	}
	return 0
}

func (s sums) AddMulTo(dst, weights, inputs vec.V) {
	refs := []ref{inout(dst), in(weights), in(inputs)}
	switch s.elem {
	case vec.F32:
		s.m.emit("VFMLA V{2}.S4, V{1}.S4, V{0}.S4", refs...)
	case vec.S16:
		s.m.word("smlal.4h", refs)
	case vec.U8:
		s.m.word("sdot.16b", refs)
	}
}

// OuterRegisters counts for blocks; single steps need no more.
func (s sums) OuterRegisters(rows, vectors int) int {
	_, scratch := schedule(rows, vectors, len(s.words), lanes, ofRow)
	if s.signed() {
		scratch++
	}
	return scratch
}

// Outer multiplies by lane: a vector of each row holds the inputs of as many
// steps as a block has. A broadcast per row and step would take a slot that
// multiply-adds need.
func (s sums) Outer(acc [][]vec.V, tile vec.Rows, w vec.R, steps int) {
	r := tile.(*rows)
	s.outer(acc, r, w, 0, steps)
	s.m.skip(w, steps*len(acc[0])/len(s.words)*s.weightBytes())
	for _, b := range r.bases {
		s.Skip(b, steps*s.group)
	}
}

func (s sums) OuterAt(acc [][]vec.V, tile vec.Rows, w vec.R, k int) {
	s.outer(acc, tile.(*rows), w, k, 1)
}

// outer adds steps outer products: of the first inputs of each row, and the weights from row k on.
func (s sums) outer(acc [][]vec.V, r *rows, w vec.R, k, steps int) {
	m := s.m
	vectors, parts := len(acc[0]), len(s.words)
	if vectors%parts != 0 {
		panic(fmt.Sprintf("arm64: weights for %d accumulators, vectors of weights are for %d", vectors, parts))
	}
	var flip vec.V
	if s.signed() {
		flip = vec.Named(m, "sign", m.Ctx.XMM())
		m.emit(fmt.Sprintf("VMOVI $%d, V{0}.B16", sign), out(flip))
	}
	flipped, widened := 0, 0 // rows whose inputs have been made signed, vectors of weights that have been made wide
	inputs, weights := make([]vec.V, len(acc)), make([]vec.V, steps*vectors/parts)
	list, _ := schedule(len(acc), vectors, parts, steps, ofRow)
	for _, a := range list {
		switch a.kind {
		case loadInputs:
			inputs[a.inputs] = vec.Named(m, "inputs", s.loadSteps(r, a.inputs, steps))
		case loadWeights:
			weights[a.weights] = vec.Named(m, "weights", s.loadWeights(w, k*vectors/parts+a.weights))
		case multiply:
			for s.signed() && flipped < len(acc) && inputs[flipped] != nil && (flipped-a.row)*vectors <= a.vector+convertAhead {
				m.emit("VEOR V{1}.B16, V{0}.B16, V{0}.B16", inout(inputs[flipped]), in(flip))
				flipped++
			}
			now := (a.step*len(acc)+a.row)*vectors + a.vector
			for s.widens() && widened < len(weights) && weights[widened] != nil && widened*parts/vectors*len(acc)*vectors+widened*parts%vectors <= now+convertAhead {
				m.word("sxtl", []ref{inout(weights[widened]), in(weights[widened])})
				widened++
			}
			m.word(s.words[a.vector%parts], []ref{inout(acc[a.row][a.vector]), in(weights[a.weights]), in(inputs[a.inputs])}, a.step)
		}
	}
}

// weightBytes is how many bytes of memory have the weights of a vector.
func (s sums) weightBytes() int { return s.Lanes() * s.weight.Size }

// loadWeights loads the weights of vector i from w on, where they are to be widened to its low half.
func (s sums) loadWeights(w vec.R, i int) vec.V {
	if !s.widens() {
		return s.m.Load(w, i)
	}
	v := s.m.Ctx.XMM()
	s.m.emit(fmt.Sprintf("FMOVD %d(R{1}), F{0}", imm(i*s.weightBytes(), 0, 4095*s.weightBytes(), s.weightBytes())), out(v), in(w))
	return v
}

// loadSteps loads the inputs of the next steps of row i.
func (s sums) loadSteps(r *rows, i, steps int) vec.V {
	if steps != 1 && steps != lanes {
		panic(fmt.Sprintf("arm64: outer products of %d steps", steps))
	}
	switch steps * s.group * s.elem.Size {
	case 16:
		return s.m.LoadRow(r, i)
	case 8:
		return s.m.loadPart("FMOVD", r, i)
	case 4:
		return s.m.loadPart("FMOVS", r, i)
	}
	// Go's assembler has no load of two bytes to a vector register.
	n, v := s.m.Ctx.GP64(), s.m.Ctx.XMM()
	place, refs := r.place(i)
	s.m.emit("MOVHU "+place+", R{0}", append([]ref{out(n)}, refs...)...)
	s.m.emit("FMOVS R{1}, F{0}", out(v), in(n))
	return v
}
