package arm64

import (
	"fmt"
	"math"

	"firebench/asmgen/vec"
)

func (m *Machine) Float32() vec.Float32 {
	return float32s{sums{elements{m, vec.F32}, vec.F32, 1, []string{"fmla"}}}
}

// elements implements vec.Elements.
type elements struct {
	m    *Machine
	elem vec.Element
}

func (e elements) Element() vec.Element { return e.elem }
func (e elements) Lanes() int           { return size / e.elem.Size }
func (e elements) ToVectors(n vec.R)    { e.m.DivBy(n, e.Lanes()) }
func (e elements) Skip(p vec.R, n int)  { e.m.skip(p, n*e.elem.Size) }
func (e elements) ToBytes(n vec.R) {
	if e.elem.Size > 1 {
		e.m.emit(fmt.Sprintf("LSL $%d, R{0}, R{0}", log2(e.elem.Size)), inout(n))
	}
}
func (e elements) Address(p, i vec.R) vec.R {
	r := e.m.Ctx.GP64()
	e.m.addShifted(r, p, i, log2(e.elem.Size))
	return r
}

// float32s implements vec.Float32.
type float32s struct{ sums }

func (f float32s) Splat(c float32) vec.V {
	r, v := f.m.Ctx.GP64(), f.m.Ctx.XMM()
	f.m.emit(fmt.Sprintf("MOVD $%#08x, R{0}", math.Float32bits(c)), out(r))
	f.m.emit("VDUP R{1}, V{0}.S4", out(v), in(r))
	return v
}

func (f float32s) SplatArg(param string) vec.V {
	v := vec.Named(f.m, param, f.m.Ctx.XMM())
	f.m.emit("FMOVS "+f.m.param(param)+", F{0}", out(v))
	f.m.emit("VDUP V{0}.S[0], V{0}.S4", inout(v))
	return v
}

func (f float32s) SplatAt(p vec.R) vec.V {
	v := f.m.Ctx.XMM()
	f.m.emit("VLD1R (R{1}), [V{0}.S4]", out(v), in(p))
	return v
}

// beside says how neighbouring inputs of so many rows come to registers: vector i has those of the rows from i·per on, and
// is loaded by opcodes[i] from input first[i] on. No load reads beyond the last input, so that vectors may overlap.
func beside(rows int) (per int, first []int, opcodes []string) {
	if rows < lanes {
		// Two inputs, and the one that is left.
		return 2, []int{0, 2}[:(rows+1)/2], [][]string{{"FMOVS"}, {"FMOVD"}, {"FMOVD", "FMOVS"}}[rows-1]
	}
	for row := 0; row < rows; row += lanes {
		first, opcodes = append(first, min(row, rows-lanes)), append(opcodes, "FMOVQ")
	}
	return lanes, first, opcodes
}

func (f float32s) OuterBeside(acc [][]vec.V, p, distance, w vec.R, steps int) {
	m, vectors := f.m, len(acc[0])
	per, first, opcodes := beside(len(acc))
	list, _ := schedule(len(acc), vectors, 1, steps, func(row, step int) int { return step*len(first) + row/per })
	inputs, weights := make([]vec.V, steps*len(first)), make([]vec.V, steps*vectors)
	for _, a := range list {
		switch a.kind {
		case loadInputs:
			i := a.inputs % len(first)
			v := vec.Named(m, "inputs", m.Ctx.XMM())
			m.emit(fmt.Sprintf("%s %d(R{1}), F{0}", opcodes[i], imm(first[i]*vec.F32.Size, 0, 255, 1)), out(v), in(p))
			inputs[a.inputs] = v
			if i == len(first)-1 {
				m.AddTo(p, distance)
			}
		case loadWeights:
			weights[a.weights] = vec.Named(m, "weights", m.Load(w, a.weights))
		case multiply:
			m.word("fmla", []ref{inout(acc[a.row][a.vector]), in(weights[a.weights]), in(inputs[a.inputs])}, a.row-first[a.row/per])
		}
	}
	m.SkipVectors(w, steps*vectors)
}

// rowAhead is how many loads come before the first multiply-add of AddMulRow, as many registers as
// they need.
const rowAhead = 4

func (f float32s) AddMulRow(sums []vec.V, factors vec.R, i int, row vec.R) {
	factor := vec.Named(f.m, "factor", f.m.Ctx.XMM())
	f.m.emit(fmt.Sprintf("FMOVS %d(R{1}), F{0}", imm(i*vec.F32.Size, 0, 16380, vec.F32.Size)), out(factor), in(factors))
	inputs := make([]vec.V, len(sums))
	for v := range len(sums) + rowAhead {
		if v < len(sums) {
			inputs[v] = f.m.Load(row, v)
		}
		if done := v - rowAhead; done >= 0 {
			f.m.word("fmla", []ref{inout(sums[done]), in(inputs[done]), in(factor)}, 0)
		}
	}
}

func (f float32s) Add(a, b vec.V) vec.V {
	r := f.m.Ctx.XMM()
	f.m.word("fadd", []ref{out(r), in(a), in(b)})
	return r
}

func (f float32s) Sub(a, b vec.V) vec.V {
	r := f.m.Ctx.XMM()
	f.m.word("fsub", []ref{out(r), in(a), in(b)})
	return r
}

func (f float32s) Sqrt(v vec.V) vec.V {
	r := f.m.Ctx.XMM()
	f.m.word("fsqrt", []ref{out(r), in(v)})
	return r
}

func (f float32s) AddTo(dst, v vec.V)   { f.m.word("fadd", []ref{inout(dst), in(dst), in(v)}) }
func (f float32s) SubFrom(dst, v vec.V) { f.m.word("fsub", []ref{inout(dst), in(dst), in(v)}) }
func (f float32s) MulBy(dst, v vec.V)   { f.m.word("fmul", []ref{inout(dst), in(dst), in(v)}) }
func (f float32s) DivBy(dst, v vec.V)   { f.m.word("fdiv", []ref{inout(dst), in(dst), in(v)}) }

// MaxWith makes dst NaN where either is NaN.
func (f float32s) MaxWith(dst, v vec.V) { f.m.word("fmax", []ref{inout(dst), in(dst), in(v)}) }

func (f float32s) MinWith(dst, v vec.V) { f.m.word("fmin", []ref{inout(dst), in(dst), in(v)}) }

func (f float32s) SelectEqual(a, b, v vec.V) vec.V   { return f.selected("fcmeq", a, b, v) }
func (f float32s) SelectGreater(a, b, v vec.V) vec.V { return f.selected("fcmgt", a, b, v) }

// selected returns v in the lanes where a comparison holds.
func (f float32s) selected(comparison string, a, b, v vec.V) vec.V {
	r := f.m.Ctx.XMM()
	f.m.word(comparison, []ref{out(r), in(a), in(b)})
	f.m.emit("VAND V{1}.B16, V{0}.B16, V{0}.B16", inout(r), in(v))
	return r
}

// ClearNaN clears the lanes that differ from themselves.
func (f float32s) ClearNaN(v vec.V) {
	mask := f.m.Ctx.XMM()
	f.m.word("fcmeq", []ref{out(mask), in(v), in(v)})
	f.m.emit("VAND V{1}.B16, V{0}.B16, V{0}.B16", inout(v), in(mask))
}

func (f float32s) SubMulFrom(dst, a, b vec.V) {
	f.m.emit("VFMLS V{2}.S4, V{1}.S4, V{0}.S4", inout(dst), in(a), in(b))
}
