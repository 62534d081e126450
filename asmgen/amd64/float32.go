package amd64

import (
	"github.com/mmcloughlin/avo/operand"

	"firebench/asmgen/vec"
)

func (m *Machine) Float32() vec.Float32 {
	return float32s{sums{
		elements:  elements{m, vec.F32},
		weight:    vec.F32,
		broadcast: m.Ctx.VBROADCASTSS,
		multiply:  func(sum, weights, input vec.V) { m.Ctx.VFMADD231PS(weights, input, sum) },
		embedded:  m.Ctx.VFMADD231PS_BCST,
	}}
}

// elements implements vec.Elements.
type elements struct {
	m    *Machine
	elem vec.Element
}

func (e elements) Element() vec.Element { return e.elem }
func (e elements) Lanes() int           { return e.m.size / e.elem.Size }
func (e elements) ToVectors(n vec.R)    { e.m.DivBy(n, e.Lanes()) }
func (e elements) Skip(p vec.R, n int)  { e.m.skip(p, n*e.elem.Size) }

func (e elements) ToBytes(n vec.R) {
	if e.elem.Size > 1 {
		e.m.Ctx.SHLQ(operand.U8(uint8(log2(e.elem.Size))), n)
	}
}

func (e elements) Address(p, i vec.R) vec.R {
	r := e.m.Ctx.GP64()
	e.m.Ctx.LEAQ(operand.Mem{Base: p, Index: i, Scale: uint8(e.elem.Size)}, r)
	return r
}

// float32s implements vec.Float32.
type float32s struct{ sums }

func (f float32s) Splat(c float32) vec.V       { return f.m.splat(operand.F32(c)) }
func (f float32s) SplatArg(param string) vec.V { return f.m.splatArg(param) }

func (f float32s) SplatAt(p vec.R) vec.V {
	v := f.m.vector()
	f.m.Ctx.VBROADCASTSS(operand.Mem{Base: p}, v)
	return v
}

func (f float32s) OuterBeside(acc [][]vec.V, inputs, distance, w vec.R, steps int) {
	for k := range steps {
		f.outerOf(acc, func(row int) operand.Mem { return operand.Mem{Base: inputs, Disp: row * vec.F32.Size} }, w, k)
		f.m.AddTo(inputs, distance)
	}
	f.m.skip(w, steps*len(acc[0])*f.m.size)
}

func (f float32s) AddMulRow(sums []vec.V, factors vec.R, i int, row vec.R) {
	factor := vec.Named(f.m, "factor", f.m.vector())
	f.m.Ctx.VBROADCASTSS(operand.Mem{Base: factors, Disp: i * vec.F32.Size}, factor)
	for v, sum := range sums {
		f.m.Ctx.VFMADD231PS(operand.Mem{Base: row, Disp: v * f.m.size}, factor, sum)
	}
}

func (f float32s) Add(a, b vec.V) vec.V {
	r := f.m.vector()
	f.m.Ctx.VADDPS(b, a, r)
	return r
}

func (f float32s) Sub(a, b vec.V) vec.V {
	r := f.m.vector()
	f.m.Ctx.VSUBPS(b, a, r)
	return r
}

func (f float32s) Sqrt(v vec.V) vec.V {
	r := f.m.vector()
	f.m.Ctx.VSQRTPS(v, r)
	return r
}

func (f float32s) AddTo(dst, v vec.V)   { f.m.Ctx.VADDPS(v, dst, dst) }
func (f float32s) SubFrom(dst, v vec.V) { f.m.Ctx.VSUBPS(v, dst, dst) }
func (f float32s) MulBy(dst, v vec.V)   { f.m.Ctx.VMULPS(v, dst, dst) }
func (f float32s) DivBy(dst, v vec.V)   { f.m.Ctx.VDIVPS(v, dst, dst) }

// MaxWith gives dst as the second source, which the instruction returns if either is
// NaN.
func (f float32s) MaxWith(dst, v vec.V) { f.m.Ctx.VMAXPS(dst, v, dst) }
func (f float32s) MinWith(dst, v vec.V) { f.m.Ctx.VMINPS(v, dst, dst) }

func (f float32s) SelectEqual(a, b, v vec.V) vec.V {
	const equal = 0
	return f.selected(equal, a, b, v)
}

func (f float32s) SelectGreater(a, b, v vec.V) vec.V {
	const greater = 30 // neither is NaN, and no exception
	return f.selected(greater, a, b, v)
}

// selected returns v in the lanes where a comparison holds. AVX-512 compares to mask registers.
func (f float32s) selected(comparison uint8, a, b, v vec.V) vec.V {
	r := f.m.vector()
	if f.m.wide() {
		mask := vec.Named(f.m, "mask", f.m.Ctx.K())
		f.m.Ctx.VCMPPS(operand.U8(comparison), b, a, mask)
		f.m.Ctx.VMOVAPS_Z(v, mask, r)
		return r
	}
	f.m.Ctx.VCMPPS(operand.U8(comparison), b, a, r)
	f.m.Ctx.VANDPS(v, r, r)
	return r
}

// ClearNaN clears the lanes that differ from themselves.
func (f float32s) ClearNaN(v vec.V) {
	if f.m.wide() {
		panic("amd64: no kernel of AVX-512 clears NaN")
	}
	const ordered = 7
	mask := f.m.vector()
	f.m.Ctx.VCMPPS(operand.U8(ordered), v, v, mask)
	f.m.Ctx.VANDPS(mask, v, v)
}

func (f float32s) SubMulFrom(dst, a, b vec.V) { f.m.Ctx.VFNMADD231PS(a, b, dst) }
