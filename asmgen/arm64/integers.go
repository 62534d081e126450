package arm64

import (
	"fmt"
	"slices"

	"firebench/asmgen/vec"
)

func (m *Machine) Int16() vec.Int16 { return int16s{integers{elements{m, vec.S16}, "H8"}} }
func (m *Machine) Int32() vec.Int32 { return int32s{integers{elements{m, vec.S32}, "S4"}} }
func (m *Machine) Uint8() vec.Uint8 { return uint8s{integers{elements{m, vec.U8}, "B16"}} }

// integers implements vec.VectorIntegers.
type integers struct {
	elements
	arrangement string // of a vector's lanes, in Go's notation
}

// SplatArg repeats the low bits of the argument.
func (e integers) SplatArg(param string) vec.V {
	v := vec.Named(e.m, param, e.m.Ctx.XMM())
	e.m.emit("FMOVS "+e.m.param(param)+", F{0}", out(v))
	e.m.emit(fmt.Sprintf("VDUP V{0}.%c[0], V{0}.%s", e.arrangement[0], e.arrangement), inout(v))
	return v
}

// do adds an instruction on whole vectors, whose operands follow dst in GNU's order.
func (e integers) do(opcode string, dst ref, v ...ref) {
	format := opcode
	for i := len(v); i > 0; i-- {
		format += fmt.Sprintf(" V{%d}.%s,", i, e.arrangement)
	}
	e.m.emit(fmt.Sprintf("%s V{0}.%s", format, e.arrangement), append([]ref{dst}, v...)...)
}

func (e integers) Add(a, b vec.V) vec.V {
	r := e.m.Ctx.XMM()
	e.do("VADD", out(r), in(a), in(b))
	return r
}

func (e integers) Sub(a, b vec.V) vec.V {
	r := e.m.Ctx.XMM()
	e.do("VSUB", out(r), in(a), in(b))
	return r
}

func (e integers) AddTo(dst, v vec.V)   { e.do("VADD", inout(dst), in(dst), in(v)) }
func (e integers) SubFrom(dst, v vec.V) { e.do("VSUB", inout(dst), in(dst), in(v)) }

func (e integers) ShiftLeft(v vec.V, n int) vec.V {
	r := e.m.Ctx.XMM()
	e.do(fmt.Sprintf("VSHL $%d,", imm(n, 0, 8*e.elem.Size-1, 1)), out(r), in(v))
	return r
}

// pack narrows the lanes of a by an instruction, and those of b by its second form.
func (e integers) pack(instruction string, a, b vec.V) vec.V {
	r := e.m.Ctx.XMM()
	e.m.word(instruction, []ref{out(r), in(a)})
	e.m.word(instruction+"2", []ref{inout(r), in(b)})
	return r
}

// int16s implements vec.Int16.
type int16s struct{ integers }

func (e int16s) Widen(p vec.R, i int) vec.V {
	v := e.m.Ctx.XMM()
	e.m.emit(fmt.Sprintf("FMOVD %d(R{1}), F{0}", imm(i*e.Lanes(), 0, 4095*e.Lanes(), e.Lanes())), out(v), in(p))
	return e.widen(v)
}

func (e int16s) WidenRow(tile vec.Rows, i int) vec.V {
	return e.widen(e.m.loadPart("FMOVD", tile.(*rows), i))
}

// widen makes int16 values of the uint8 values in the low half of a vector.
func (e int16s) widen(v vec.V) vec.V {
	e.m.emit("VUXTL V{0}.B8, V{0}.H8", inout(v))
	return v
}

func (e int16s) AddSaturated(dst, v vec.V) { e.m.word("sqadd", []ref{inout(dst), in(dst), in(v)}) }
func (e int16s) Pack(a, b vec.V) vec.V     { return e.pack("sqxtun", a, b) }

// int32s implements vec.Int32.
type int32s struct{ integers }

func (e int32s) Splat(c int) vec.V {
	r, v := e.m.Ctx.GP64(), e.m.Ctx.XMM()
	e.m.emit(fmt.Sprintf("MOVD $%#x, R{0}", uint32(c)), out(r))
	e.m.emit("VDUP R{1}, V{0}.S4", out(v), in(r))
	return v
}

func (e int32s) Widen(p vec.R, i int) vec.V {
	v := e.m.Ctx.XMM()
	e.m.emit(fmt.Sprintf("FMOVS %d(R{1}), F{0}", imm(i*e.Lanes(), 0, 4095*e.Lanes(), e.Lanes())), out(v), in(p))
	e.m.emit("VUXTL V{0}.B8, V{0}.H8", inout(v))
	e.m.emit("VUXTL V{0}.H4, V{0}.S4", inout(v))
	return v
}

func (e int32s) MulBy(dst, v vec.V) { e.m.word("mul", []ref{inout(dst), in(dst), in(v)}) }

func (e int32s) ToFloat(v vec.V) vec.V {
	r := e.m.Ctx.XMM()
	e.m.word("scvtf", []ref{out(r), in(v)})
	return r
}

func (e int32s) Round(v vec.V) vec.V {
	r := e.m.Ctx.XMM()
	e.m.word("fcvtns", []ref{out(r), in(v)})
	return r
}

// Narrow takes the even halves of lanes until bytes are left.
func (e int32s) Narrow(vs []vec.V, p vec.R, bytes int) {
	even := func(arrangement string, a, b vec.V) vec.V {
		r := e.m.Ctx.XMM()
		e.m.emit(fmt.Sprintf("VUZP1 V{2}.%[1]s, V{1}.%[1]s, V{0}.%[1]s", arrangement), out(r), in(a), in(b))
		return r
	}
	for vs := range slices.Chunk(vs, 4) {
		all := even("B16", even("H8", vs[0], vs[1]), even("H8", vs[2], vs[3]))
		e.m.emit(fmt.Sprintf("FMOVQ F{0}, %d(R{1})", imm(bytes, 0, 4095*size, size)), in(all), in(p))
		bytes += size
	}
}

func (e int32s) Pack(a, b vec.V) vec.V { return e.pack("sqxtn", a, b) }

// uint8s implements vec.Uint8.
type uint8s struct{ integers }

func (e uint8s) MaxWith(dst, v vec.V) { e.do("VUMAX", inout(dst), in(dst), in(v)) }

// StorePacked takes what it stores to the low end of a register: other lanes cannot be stored at the sum
// of two registers.
func (e uint8s) StorePacked(v vec.V, tile vec.Rows, n, perRow int) {
	m := e.m
	lane := map[int]string{1: "S", 2: "D"}[perRow]
	for i := range n {
		part := v
		if i > 0 {
			part = m.Ctx.XMM()
			m.emit(fmt.Sprintf("VDUP V{1}.%s[%d], V{0}.%[1]s%[3]d", lane, i, 4/perRow), out(part), in(v))
		}
		place, refs := tile.(*rows).place(i)
		m.emit("FMOV"+lane+" F{0}, "+place, append([]ref{in(part)}, refs...)...)
	}
}

func (e uint8s) GatherRow(tile vec.Rows, i int, places vec.V) vec.V {
	values, gathered := e.m.LoadRow(tile, i), e.m.Ctx.XMM()
	e.m.emit("VTBL V{2}.B16, [V{1}.B16], V{0}.B16", out(gathered), in(values), in(places))
	return gathered
}

func (e uint8s) LoadPlaces(p vec.R) vec.V { return e.m.Load(p, 0) }

func (e uint8s) StoreGathered(v vec.V, tile vec.Rows, i int) { e.m.StoreRow(v, tile, i) }

// StoreGatheredWide adds up a row's address: beside two registers there is no displacement for the second half.
func (e uint8s) StoreGatheredWide(v vec.V, tile vec.Rows, i int) {
	m := e.m
	p, x := tile.(*rows).at(i)
	if x != nil {
		p = m.AddMul(p, x, 1)
	}
	low, high := m.Ctx.XMM(), m.Ctx.XMM()
	m.emit("VUXTL V{1}.B8, V{0}.H8", out(low), in(v))
	m.emit("VUXTL2 V{1}.B16, V{0}.H8", out(high), in(v))
	m.Store(low, p, 0)
	m.Store(high, p, 1)
}
