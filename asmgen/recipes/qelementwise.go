package recipes

import "firebench/asmgen/vec"

// QElementwise is Add and ReLU of quantized values, and what makes them from float32
// values and the reverse.
var QElementwise = Recipe{"qelementwise", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	qAdd(m)
	qClamp(m)
	quantize(m)
	dequantize(m)
	return []string{"QAdd", "QClamp", "Quantize", "Dequantize"}
}}

// quarters is how many vectors of int32 or float32 a vector of uint8 values becomes. They
// are independent of each other: a round of one vector of uint8 values is enough.
const quarters = 4

func qAdd(m vec.Machine) {
	m.Func("QAdd", "func(dst, a, b *uint8, n int, zeroA, zeroB int32, scaleA, scaleB, lower, upper float32, zero int32)",
		"QAdd adds two tensors; it equals, with a rounding after each operation,",
		"",
		"	for i := range n {",
		"		x := float32(int32(a[i])-zeroA)*scaleA + float32(int32(b[i])-zeroB)*scaleB",
		"		dst[i] = uint8(int32(roundToEven(min(max(x, lower), upper))) + zero)",
		"	}")
	i, f := m.Int32(), m.Float32()
	dst, a, b := m.Arg("dst"), m.Arg("a"), m.Arg("b")
	zeroA, zeroB := i.SplatArg("zeroA"), i.SplatArg("zeroB")
	scaleA, scaleB := f.SplatArg("scaleA"), f.SplatArg("scaleB")
	r := rounding{f.SplatArg("lower"), f.SplatArg("upper"), i.SplatArg("zero")}
	eachBlock(m, vectors(m, m.Uint8(), "n"), 1, []vec.R{a, b, dst}, func(int) {
		i.Narrow(each(quarters, func(v int) vec.V {
			x := number(m, a, v, zeroA, scaleA)
			f.AddTo(x, number(m, b, v, zeroB, scaleB))
			return r.round(m, x)
		}), dst, 0)
	})
	m.Return()
}

func qClamp(m vec.Machine) {
	m.Func("QClamp", "func(dst, src *uint8, n int, lower int32)",
		"QClamp raises what is less than lower; it equals",
		"",
		"	for i := range n {",
		"		dst[i] = max(src[i], uint8(lower))",
		"	}")
	raise(m, m.Uint8(), func() vec.V { return m.Uint8().SplatArg("lower") })
}

func quantize(m vec.Machine) {
	m.Func("Quantize", "func(dst *uint8, src *float32, n int, scale float32, zero int32)",
		"Quantize makes integers of numbers, of NaN zero; it equals",
		"",
		"	for i := range n {",
		"		dst[i] = uint8(int32(roundToEven(min(max(src[i]/scale, 0-zero), 255-zero))) + zero)",
		"	}")
	i, f := m.Int32(), m.Float32()
	dst, src := m.Arg("dst"), m.Arg("src")
	scale := f.SplatArg("scale")
	r := wholeRange(m)
	eachBlock(m, vectors(m, m.Uint8(), "n"), 1, []vec.R{dst}, func(int) {
		i.Narrow(each(quarters, func(v int) vec.V {
			x := m.Load(src, v)
			f.ClearNaN(x)
			f.DivBy(x, scale)
			return r.round(m, x)
		}), dst, 0)
		m.SkipVectors(src, quarters)
	})
	m.Return()
}

func dequantize(m vec.Machine) {
	m.Func("Dequantize", "func(dst *float32, src *uint8, n int, scale float32, zero int32)",
		"Dequantize makes numbers of integers; it equals",
		"",
		"	for i := range n {",
		"		dst[i] = float32(int32(src[i])-zero) * scale",
		"	}")
	dst, src := m.Arg("dst"), m.Arg("src")
	scale, zero := m.Float32().SplatArg("scale"), m.Int32().SplatArg("zero")
	eachBlock(m, vectors(m, m.Uint8(), "n"), 1, []vec.R{src}, func(int) {
		for v := range quarters {
			m.Store(number(m, src, v, zero, scale), dst, v)
		}
		m.SkipVectors(dst, quarters)
	})
	m.Return()
}

// number loads vector v of quantized values from p on, as the numbers that they stand for.
func number(m vec.Machine, p vec.R, v int, zero, scale vec.V) vec.V {
	i, f := m.Int32(), m.Float32()
	x := i.ToFloat(i.Sub(i.Widen(p, v), zero))
	f.MulBy(x, scale)
	return x
}

// A rounding makes integers of numbers that are in units of the scale already; it is the end of
// requantize.
type rounding struct{ lower, upper, zero vec.V }

// wholeRange is the rounding to all values of uint8, with the argument zero.
func wholeRange(m vec.Machine) rounding {
	i := m.Int32()
	zero := i.SplatArg("zero")
	r := rounding{i.ToFloat(i.Sub(m.Zero(), zero)), i.ToFloat(i.Sub(i.Splat(255), zero)), zero}
	m.Name("lower", r.lower)
	m.Name("upper", r.upper)
	return r
}

// round returns the integers of x, which it overwrites.
func (r rounding) round(m vec.Machine, x vec.V) vec.V {
	f, i := m.Float32(), m.Int32()
	f.MaxWith(x, r.lower)
	f.MinWith(x, r.upper)
	y := i.Round(x)
	i.AddTo(y, r.zero)
	return y
}
