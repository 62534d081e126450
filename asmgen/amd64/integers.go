package amd64

import (
	"slices"

	"github.com/mmcloughlin/avo/operand"

	"firebench/asmgen/vec"
)

// integers implements vec.VectorIntegers, but for what broadcasts.
type integers struct {
	elements
	add, sub, shiftLeft func(ops ...operand.Op)
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

func (i integers) AddTo(dst, v vec.V)   { i.add(v, dst, dst) }
func (i integers) SubFrom(dst, v vec.V) { i.sub(v, dst, dst) }

// int16s implements vec.Int16.
type int16s struct{ integers }

func (m *Machine) Int16() vec.Int16 {
	return int16s{integers{elements{m, vec.S16}, m.Ctx.VPADDW, m.Ctx.VPSUBW, m.Ctx.VPSLLW}}
}

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
	return int32s{integers{elements{m, vec.S32}, m.Ctx.VPADDD, m.Ctx.VPSUBD, m.Ctx.VPSLLD}}
}

func (i int32s) Splat(c int) vec.V           { return i.m.splat(operand.U32(uint32(c))) }
func (i int32s) SplatArg(param string) vec.V { return i.m.splatArg(param) }
func (i int32s) MulBy(dst, v vec.V)          { i.m.Ctx.VPMULLD(v, dst, dst) }
func (i int32s) ToFloat(v vec.V) vec.V       { return i.apply(i.m.Ctx.VCVTDQ2PS, v) }
func (i int32s) Round(v vec.V) vec.V         { return i.apply(i.m.Ctx.VCVTPS2DQ, v) }

func (i int32s) Widen(p vec.R, n int) vec.V {
	return i.apply(i.m.Ctx.VPMOVZXBD, operand.Mem{Base: p, Disp: n * i.Lanes()})
}

func (i int32s) Narrow(vs []vec.V, p vec.R, bytes int) {
	m := i.m
	for four := range slices.Chunk(vs, 4) {
		all := m.Int16().Pack(i.Pack(four[0], four[1]), i.Pack(four[2], four[3]))
		m.Ctx.VMOVUPS(m.inOrder(all), operand.Mem{Base: p, Disp: bytes})
		bytes += m.size
	}
}

// Pack works on 16 bytes of each vector by itself.
func (i int32s) Pack(a, b vec.V) vec.V { return i.apply(i.m.Ctx.VPACKSSDW, b, a) }

// inOrder returns the bytes of four vectors that were packed to v, one vector after the other:
// packing leaves four bytes of each in each 16 bytes.
func (m *Machine) inOrder(v vec.V) vec.V {
	var order []operand.Constant
	for vector := range 4 {
		for i := vector; i < m.size/4; i += 4 {
			order = append(order, operand.U32(uint32(i)))
		}
	}
	o, all := m.vector(), m.vector()
	m.Ctx.VMOVUPS(m.constant(order...), o)
	m.Ctx.VPERMD(v, o, all)
	return all
}

// uint8s implements vec.Uint8.
type uint8s struct{ elements }

func (m *Machine) Uint8() vec.Uint8 { return uint8s{elements{m, vec.U8}} }

func (u uint8s) SplatArg(param string) vec.V {
	r, v := u.m.Ctx.GP32(), vec.Named(u.m, param, u.m.vector())
	u.m.Ctx.MOVL(u.m.Param(param), r)
	u.m.Ctx.VMOVD(r, v.AsX())
	u.m.Ctx.VPBROADCASTB(v.AsX(), v)
	return v
}

func (u uint8s) MaxWith(dst, v vec.V) { u.m.Ctx.VPMAXUB(v, dst, dst) }

// StorePacked does without inOrder for AVX2, which has few registers.
func (u uint8s) StorePacked(v vec.V, tile vec.Rows, n, perRow int) {
	c, r := u.m.Ctx, tile.(*rows)
	if u.m.wide() {
		all := u.m.inOrder(v)
		extract := map[int]func(...operand.Op){1: c.VEXTRACTI32X4, 2: c.VEXTRACTI64X4}[perRow]
		for i := range n { // a plain store of part of Z16 to Z31 would need AVX512VL
			extract(operand.U8(uint8(i)), all, r.at(i, 0))
		}
		return
	}
	high, pair := c.XMM(), c.XMM()
	c.VEXTRACTI128(operand.U8(1), v, high)
	c.VPUNPCKLDQ(high, v.AsX(), pair)
	for i := range n {
		if i*perRow == 2 {
			c.VPUNPCKHDQ(high, v.AsX(), pair)
		}
		switch {
		case perRow == 2:
			c.VMOVUPS(pair, r.at(i, 0))
		case i%2 == 0:
			c.VMOVQ(pair, r.at(i, 0))
		default:
			c.VMOVHPS(pair, r.at(i, 0))
		}
	}
}

// Gathered values are the low 16 bytes of a vector.

func (u uint8s) GatherRow(tile vec.Rows, i int, places vec.V) vec.V {
	values, gathered := u.m.vector(), u.m.vector()
	u.m.Ctx.VMOVUPS(tile.(*rows).at(i, 0), values.AsX())
	u.m.Ctx.VPSHUFB(places.AsX(), values.AsX(), gathered.AsX())
	return gathered
}

func (u uint8s) LoadPlaces(p vec.R) vec.V {
	v := u.m.vector()
	u.m.Ctx.VMOVUPS(operand.Mem{Base: p}, v.AsX())
	return v
}

func (u uint8s) StoreGathered(v vec.V, tile vec.Rows, i int) {
	u.m.Ctx.VMOVUPS(v.AsX(), tile.(*rows).at(i, 0))
}

func (u uint8s) StoreGatheredWide(v vec.V, tile vec.Rows, i int) {
	wide := u.m.vector()
	u.m.Ctx.VPMOVZXBW(v.AsX(), wide.AsY())
	u.m.Ctx.VMOVUPS(wide.AsY(), tile.(*rows).at(i, 0))
}
