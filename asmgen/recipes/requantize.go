package recipes

import "firebench/asmgen/vec"

// A requantizer is the end of requantize of kernels.QConvFunc, by the arguments lower and zero: it makes
// uint8 of values that are at most upper, rounded. It packs them first: then one instruction works on
// the values of four vectors.
type requantizer struct {
	m     vec.Machine
	lower vec.V // as bytes
}

func newRequantizer(m vec.Machine) requantizer {
	m.Comment("The lower bound of outputs, as bytes")
	d := m.Int32()
	bound := d.Round(m.Float32().SplatArg("lower"))
	d.AddTo(bound, d.SplatArg("zero"))
	bound = d.Pack(bound, bound)
	return requantizer{m, vec.Named(m, "lower", m.Int16().Pack(bound, bound))}
}

// zero loads the zero point as int16.
func (r requantizer) zero() vec.V {
	zero := r.m.Int32().SplatArg("zero")
	return vec.Named(r.m, "zero", r.m.Int32().Pack(zero, zero))
}

// store stores the lanes of up to four vectors of int32 values, perRow of them from the start of each
// row on.
func (r requantizer) store(vs []vec.V, zero vec.V, rows vec.Rows, perRow int) {
	d, w, u := r.m.Int32(), r.m.Int16(), r.m.Uint8()
	last := len(vs) - 1
	a := d.Pack(vs[0], vs[min(1, last)])
	w.AddTo(a, zero)
	b := a
	if last > 1 {
		b = d.Pack(vs[2], vs[last])
		w.AddTo(b, zero)
	}
	a = w.Pack(a, b)
	u.MaxWith(a, r.lower)
	u.StorePacked(a, rows, len(vs)/perRow, perRow)
}
