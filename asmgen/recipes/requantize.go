package recipes

import "firebench/asmgen/vec"

// A requantizer is the end of requantize of kernels.QConvFunc: it makes uint8 of values that are
// rounded, by the argument zero. It packs them first: then one instruction works on the values of four
// vectors.
type requantizer struct {
	m     vec.Machine
	lower vec.V // as bytes
}

// newRequantizer takes the lower bound of outputs, as int32.
func newRequantizer(m vec.Machine, lower vec.V) requantizer {
	lower = m.Int32().Pack(lower, lower)
	return requantizer{m, vec.Named(m, "lower", m.Int16().Pack(lower, lower))}
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
	w.AddSaturated(a, zero)
	b := a
	if last > 1 {
		b = d.Pack(vs[2], vs[last])
		w.AddSaturated(b, zero)
	}
	a = w.Pack(a, b)
	u.MaxWith(a, r.lower)
	u.StorePacked(a, rows, len(vs)/perRow, perRow)
}
