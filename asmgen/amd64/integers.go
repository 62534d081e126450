package amd64

import (
	"github.com/mmcloughlin/avo/operand"

	"firebench/asmgen/vec"
)

// integers implements vec.VectorIntegers, but for what broadcasts.
type integers struct {
	elements
	add, sub, shiftLeft, shiftRight func(ops ...operand.Op)
}

// apply returns a new register that an instruction sets.
func (i integers) apply(instruction func(ops ...operand.Op), operands ...operand.Op) vec.V {
	r := i.m.vector()
	instruction(append(operands, r)...)
	return r
}

func (i integers) Add(a, b vec.V) vec.V { return i.apply(i.add, b, a) }
func (i integers) Sub(a, b vec.V) vec.V { return i.apply(i.sub, b, a) }

func (i integers) ShiftLeft(v vec.V, n int) vec.V {
	return i.apply(i.shiftLeft, operand.U8(uint8(n)), v)
}

func (i integers) ShiftRight(v vec.V, n int) vec.V {
	return i.apply(i.shiftRight, operand.U8(uint8(n)), v)
}

func (i integers) AddTo(dst, v vec.V)   { i.add(v, dst, dst) }
func (i integers) SubFrom(dst, v vec.V) { i.sub(v, dst, dst) }

// int16s implements vec.Int16.
type int16s struct{ integers }

func (m *Machine) Int16() vec.Int16 {
	return int16s{integers{elements{m, vec.S16}, m.Ctx.VPADDW, m.Ctx.VPSUBW, m.Ctx.VPSLLW, m.Ctx.VPSRAW}}
}

// Splat broadcasts four bytes of read-only data, which hold c twice.
func (i int16s) Splat(c int) vec.V {
	low := uint32(uint16(c))
	return i.m.splat(operand.U32(low<<16 | low))
}

func (i int16s) SplatArg(param string) vec.V { return i.m.splatLow(param, i.m.Ctx.VPBROADCASTW) }

func (i int16s) Widen(p vec.R, n int) vec.V {
	return i.apply(i.m.Ctx.VPMOVZXBW, operand.Mem{Base: p, Disp: n * i.Lanes()})
}

func (i int16s) WidenRow(tile vec.Rows, n int) vec.V {
	return i.apply(i.m.Ctx.VPMOVZXBW, tile.(*rows).at(n, 0))
}

func (i int16s) AddSaturated(dst, v vec.V) { i.m.Ctx.VPADDSW(v, dst, dst) }

func (i int16s) Pack(a, b vec.V) vec.V { return i.apply(i.m.Ctx.VPACKUSWB, b, a) }

// int32s implements vec.Int32.
type int32s struct{ integers }

func (m *Machine) Int32() vec.Int32 {
	return int32s{integers{elements{m, vec.S32}, m.Ctx.VPADDD, m.Ctx.VPSUBD, m.Ctx.VPSLLD, m.Ctx.VPSRAD}}
}

func (i int32s) Splat(c int) vec.V           { return i.m.splat(operand.U32(uint32(c))) }
func (i int32s) SplatArg(param string) vec.V { return i.m.splatArg(param) }
func (i int32s) MulBy(dst, v vec.V)          { i.m.Ctx.VPMULLD(v, dst, dst) }
func (i int32s) ToFloat(v vec.V) vec.V       { return i.apply(i.m.Ctx.VCVTDQ2PS, v) }
func (i int32s) Round(v vec.V) vec.V         { return i.apply(i.m.Ctx.VCVTPS2DQ, v) }

func (i int32s) Widen(p vec.R, n int) vec.V {
	return i.apply(i.m.Ctx.VPMOVZXBD, operand.Mem{Base: p, Disp: n * i.Lanes()})
}

// Narrow stores vectors one by one with AVX-512, and as many as fill a register with AVX2.
func (i int32s) Narrow(vs []vec.V, p vec.R, bytes int) {
	c := i.m.Ctx
	for len(vs) > 0 {
		at := operand.Mem{Base: p, Disp: bytes}
		n := 1
		switch {
		case i.m.wide():
			c.VPMOVDB(vs[0], at)
		case len(vs) >= 4:
			n = 4
			t, order := i.pack(c.VPACKUSWB, i.pack(c.VPACKSSDW, vs[0], vs[1]), i.pack(c.VPACKSSDW, vs[2], vs[3])), i.m.vector()
			c.VMOVUPS(i.m.constant(packed...), order)
			c.VPERMD(t, order, t)
			c.VMOVUPS(t, at)
		case len(vs) >= 2:
			n = 2
			t, high := i.pack(c.VPACKSSDW, vs[0], vs[1]), c.XMM()
			c.VEXTRACTI128(operand.U8(1), t, high)
			c.VPACKUSWB(high, t.AsX(), t.AsX())
			c.VPSHUFD(operand.U8(0xD8), t.AsX(), t.AsX()) // 0, 2, 1, 3
			c.VMOVUPS(t.AsX(), at)
		default:
			t := c.XMM()
			c.VEXTRACTI128(operand.U8(1), vs[0], t)
			c.VPACKSSDW(t, vs[0].AsX(), t)
			c.VPACKUSWB(t, t, t)
			c.VMOVQ(t, at)
		}
		vs, bytes = vs[n:], bytes+n*i.Lanes()
	}
}

func (i int32s) Pack(a, b vec.V) vec.V { return i.apply(i.m.Ctx.VPACKSSDW, b, a) }

// packed is the order, for VPERMD, that puts four vectors of int32 in theirs after they have been
// packed to bytes, half by half.
var packed = []operand.Constant{
	operand.U32(0), operand.U32(4), operand.U32(1), operand.U32(5), operand.U32(2), operand.U32(6), operand.U32(3), operand.U32(7),
}

// pack narrows a and b by one of the instructions that do so for each half of a vector by itself.
func (i int32s) pack(instruction func(ops ...operand.Op), a, b vec.V) vec.V {
	return i.apply(instruction, b, a)
}

// uint8s implements vec.Uint8.
type uint8s struct{ elements }

func (m *Machine) Uint8() vec.Uint8 { return uint8s{elements{m, vec.U8}} }

func (u uint8s) SplatArg(param string) vec.V { return u.m.splatLow(param, u.m.Ctx.VPBROADCASTB) }
func (u uint8s) MaxWith(dst, v vec.V)        { u.m.Ctx.VPMAXUB(v, dst, dst) }

// StorePacked finds four bytes of each of the four vectors in each 16 bytes of v. With AVX-512 it puts
// together what belongs together by one permutation, with AVX2 without one, because its order would take a
// register.
func (u uint8s) StorePacked(v vec.V, tile vec.Rows, n int) {
	c, r := u.m.Ctx, tile.(*rows)
	if u.m.wide() {
		order, all := u.m.vector(), u.m.vector()
		c.VMOVUPS(u.m.constant(packedWide...), order)
		c.VPERMD(v, order, all)
		for i := range n { // a plain store of part of Z16 to Z31 would need AVX512VL
			c.VEXTRACTI32X4(operand.U8(uint8(i)), all, r.at(i, 0))
		}
		return
	}
	high, pair := c.XMM(), c.XMM()
	c.VEXTRACTI128(operand.U8(1), v, high)
	c.VPUNPCKLDQ(high, v.AsX(), pair)
	c.VMOVQ(pair, r.at(0, 0))
	c.VMOVHPS(pair, r.at(1, 0))
	c.VPUNPCKHDQ(high, v.AsX(), pair)
	c.VMOVQ(pair, r.at(2, 0))
	if n > 3 {
		c.VMOVHPS(pair, r.at(3, 0))
	}
}

// packedWide is packed for AVX-512.
var packedWide = []operand.Constant{
	operand.U32(0), operand.U32(4), operand.U32(8), operand.U32(12), operand.U32(1), operand.U32(5), operand.U32(9), operand.U32(13),
	operand.U32(2), operand.U32(6), operand.U32(10), operand.U32(14), operand.U32(3), operand.U32(7), operand.U32(11), operand.U32(15),
}
