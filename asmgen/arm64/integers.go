package arm64

import (
	"fmt"

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

func (e integers) Splat(c int) vec.V {
	r, v := e.m.Ctx.GP64(), e.m.Ctx.XMM()
	e.m.emit(fmt.Sprintf("MOVD $%#x, R{0}", uint64(c)&(1<<(8*e.elem.Size)-1)), out(r))
	e.m.emit("VDUP R{1}, V{0}."+e.arrangement, out(v), in(r))
	return v
}

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

func (e integers) ShiftRight(v vec.V, n int) vec.V {
	r := e.m.Ctx.XMM()
	e.m.word(map[string]string{"H8": "sshr.8h", "S4": "sshr.4s"}[e.arrangement], []ref{out(r), in(v)}, n)
	return r
}

// widen loads half a vector, a quarter or less of uint8 values and widens them until there is one
// in each lane.
func (e integers) widen(p vec.R, i int) vec.V {
	v := e.m.Ctx.XMM()
	bytes := e.Lanes()
	opcode := map[int]string{8: "FMOVD", 4: "FMOVS"}[bytes]
	e.m.emit(fmt.Sprintf("%s %d(R{1}), F{0}", opcode, imm(i*bytes, 0, 4095*bytes, bytes)), out(v), in(p))
	e.m.emit("VUXTL V{0}.B8, V{0}.H8", inout(v))
	if e.elem.Size == 4 {
		e.m.emit("VUXTL V{0}.H4, V{0}.S4", inout(v))
	}
	return v
}

// int16s implements vec.Int16.
type int16s struct{ integers }

func (e int16s) Widen(p vec.R, i int) vec.V { return e.widen(p, i) }

// int32s implements vec.Int32.
type int32s struct{ integers }

func (e int32s) Widen(p vec.R, i int) vec.V { return e.widen(p, i) }
func (e int32s) MulBy(dst, v vec.V)         { e.m.word("mul", []ref{inout(dst), in(dst), in(v)}) }

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

// Narrow takes the even halves of lanes until bytes are left, of as many vectors at a time as fill
// one, and of what is left.
func (e int32s) Narrow(vs []vec.V, p vec.R, bytes int) {
	m := e.m
	for len(vs) > 0 {
		n := 1
		for n < 4 && 2*n <= len(vs) {
			n *= 2
		}
		even := func(arrangement string, a, b vec.V) vec.V {
			r := m.Ctx.XMM()
			m.emit(fmt.Sprintf("VUZP1 V{2}.%[1]s, V{1}.%[1]s, V{0}.%[1]s", arrangement), out(r), in(a), in(b))
			return r
		}
		low := even("H8", vs[0], vs[min(1, n-1)])
		high := low
		if n == 4 {
			high = even("H8", vs[2], vs[3])
		}
		store := map[int]string{1: "FMOVS", 2: "FMOVD", 4: "FMOVQ"}[n]
		size := n * e.Lanes()
		m.emit(fmt.Sprintf("%s F{0}, %d(R{1})", store, imm(bytes, 0, 4095*size, size)), in(even("B16", low, high)), in(p))
		vs, bytes = vs[n:], bytes+size
	}
}

// uint8s implements vec.Uint8.
type uint8s struct{ integers }

func (e uint8s) MaxWith(dst, v vec.V) { e.do("VUMAX", inout(dst), in(dst), in(v)) }

func (e int16s) WidenRow(rows vec.Rows, i int) vec.V       { panic("arm64: no WidenRow") }
func (e int16s) AddSaturated(dst, v vec.V)                 { panic("arm64: no AddSaturated") }
func (e int16s) Pack(a, b vec.V) vec.V                     { panic("arm64: no Pack") }
func (e int32s) Pack(a, b vec.V) vec.V                     { panic("arm64: no Pack") }
func (e uint8s) StorePacked(v vec.V, rows vec.Rows, n int) { panic("arm64: no StorePacked") }
