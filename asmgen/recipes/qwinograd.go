package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
	"firebench/kernels/winograd"
)

// QWinogradInput is WinogradInput for quantized values, in integers: uint8 inputs to int16 values.
var QWinogradInput = Recipe{"qwinograd", "", func(m vec.Machine, _ vec.Element, t Tile) []string {
	name := fmt.Sprintf("QWinogradInput%d", t.Rows)
	qWinogradInput(m, name, winograd.NewInteger(1, t.Rows))
	return []string{name}
}}

// QWinograd is Winograd for quantized values: int32 products to uint8 outputs.
var QWinograd = Recipe{"qwinograd", "", func(m vec.Machine, _ vec.Element, t Tile) []string {
	name := fmt.Sprintf("QWinogradOutput%dx%d", t.Rows, t.Cols)
	qWinogradOutput(m, name, winograd.NewInteger(t.Cols, t.Rows+1-t.Cols))
	return []string{name}
}}

func qWinogradInput(m vec.Machine, name string, a *winograd.Algorithm) {
	n := a.N()
	u, w := m.Uint8(), m.Int16()
	m.Func(name, "func(dst *int16, src *uint8, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile int)",
		fmt.Sprintf("%s transforms the inputs of a row of tiles, %d×%d pixels each; with the", name, n, n),
		fmt.Sprintf("matrix BT of winograd.NewInteger(m, %d-m) it equals, in int16,", n+1),
		"",
		"	for t := range tiles {",
		"		for c := range channels {",
		fmt.Sprintf("			for i := range %d {", n),
		fmt.Sprintf("				for j := range %d {", n),
		fmt.Sprintf("					dst[(i*%d+j)*dstMatrix+t*dstTile+c] = Σ BT[i][k]*BT[j][l]*src[k*srcRow+l*srcPixel+t*srcTile+c] // over k, l", n),
		"				}",
		"			}",
		"		}",
		"	}")
	t := transform{name: "BT", program: bt6{w}}
	src, dst := m.Arg("src"), m.Arg("dst")
	srcRow, srcPixel := distances(m, u, "srcRow", "srcPixel")
	dstMatrix := distance(m, w, "dstMatrix")
	in, out := m.Rows("in row", srcRow, n), m.Rows("out", dstMatrix, n)
	eachTile(m, []cursor{{src, "srcTile", u}, {dst, "dstTile", w}}, func() {}, func() {
		m.Loop("vector", "For each vector of channels", vectors(m, w, "channels"), func() {
			var p vec.R
			t.bothSides(m, n,
				func(j int) func(i int) vec.V {
					if j == 0 {
						p = vec.Named(m, "column", m.CopyInt(src))
					} else {
						m.AddTo(p, srcPixel)
					}
					in.Start(p)
					return func(i int) vec.V { return w.WidenRow(in, i) }
				},
				func(i int) func(j int, v vec.V) {
					q := vec.Named(m, "row", m.CopyInt(dst))
					m.AddMulTo(q, dstMatrix, i*n)
					out.Start(q)
					return func(j int, v vec.V) { m.StoreRow(v, out, j) }
				})
			u.Skip(src, w.Lanes())
			w.Skip(dst, w.Lanes())
		})
	})
	m.Return()
}

func qWinogradOutput(m vec.Machine, name string, a *winograd.Algorithm) {
	n := a.N()
	u, d, f := m.Uint8(), m.Int32(), m.Float32()
	m.Func(name, "func(dst *uint8, src, bias *int32, scale *float32, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile int, lower, zero int32)",
		fmt.Sprintf("%s transforms the products of a row of tiles to %d×%d output", name, a.M, a.M),
		fmt.Sprintf("pixels each; with the matrix AT of winograd.NewInteger(%d, %d) it equals, in int32,", a.M, a.R),
		"",
		"	for t := range tiles {",
		"		for c := range channels {",
		fmt.Sprintf("			for i := range %d {", a.M),
		fmt.Sprintf("				for j := range %d {", a.M),
		fmt.Sprintf("					acc := (bias[c] + Σ AT[i][k]*AT[j][l]*src[(k*%d+l)*srcMatrix+t*srcTile+c]) * %#x // over k, l", n, winograd.Inverse9),
		"					x := int32(roundToEven(float32(acc)*scale[c])) + zero",
		"					dst[i*dstRow+j*dstPixel+t*dstTile+c] = uint8(min(max(x, lower), 255))",
		"				}",
		"			}",
		"		}",
		"	}")
	src, dst := m.Arg("src"), m.Arg("dst")
	srcMatrix := distance(m, d, "srcMatrix")
	dstPixel := distance(m, u, "dstPixel")
	down := vec.Named(m, fmt.Sprintf("%d·srcMatrix", n), m.Int(0)) // from row to row of a column of the tile
	m.AddMulTo(down, srcMatrix, n)
	in, out := m.Rows("in row", down, n), m.Rows("out pixel", dstPixel, a.M)
	eachTile(m, []cursor{{src, "srcTile", d}, {dst, "dstTile", u}}, func() {
		prefetchOutputs(m, u, dst, dstPixel, a.M, 1) // of all outputs of a pixel
	}, func() {
		bias, scale := m.Arg("bias"), m.Arg("scale")
		outputs := map[int][]vec.V{} // by row
		t := transform{name: "AT", program: at6{d, a.M}, done: func(rows []int) {
			each := func(f func(v *vec.V)) {
				for _, i := range rows {
					for j := range outputs[i] {
						f(&outputs[i][j])
					}
				}
			}
			m.Comment("Requantized, in passes over all outputs so far")
			inverse := vec.Named(m, "inverse of 9", d.Splat(winograd.Inverse9))
			each(func(v *vec.V) { d.MulBy(*v, inverse) })
			each(func(v *vec.V) { *v = d.ToFloat(*v) })
			scales := vec.Named(m, "scales", m.Load(scale, 0))
			each(func(v *vec.V) { f.MulBy(*v, scales) })
			each(func(v *vec.V) { *v = d.Round(*v) })
			r := newRequantizer(m, d.SplatArg("lower"))
			zero := r.zero()
			for _, i := range rows {
				q := vec.Named(m, "row", m.CopyInt(dst))
				if i > 0 {
					m.AddMulTo(q, m.Arg("dstRow"), i)
				}
				out.Start(q)
				r.store(outputs[i], zero, out, 1)
			}
		}}
		m.Loop("vector", "For each vector of channels", vectors(m, d, "channels"), func() {
			var p vec.R
			t.bothSides(m, n,
				func(j int) func(i int) vec.V {
					if j == 0 {
						p = vec.Named(m, "column", m.CopyInt(src))
					} else {
						m.AddTo(p, srcMatrix)
					}
					in.Start(p)
					return func(i int) vec.V {
						v := m.LoadRow(in, i)
						if i == 1 && j == 1 {
							d.AddTo(v, m.Load(bias, 0)) // reaches each output once
						}
						return v
					}
				},
				func(i int) func(j int, v vec.V) {
					outputs[i] = make([]vec.V, a.M)
					return func(j int, v vec.V) { outputs[i][j] = v }
				})
			m.SkipVectors(src, 1)
			m.SkipVectors(bias, 1)
			m.SkipVectors(scale, 1)
			u.Skip(dst, d.Lanes())
		})
	})
	m.Return()
}

// bt6 is the matrix BT of tiles with six inputs on a side: with
//
//	e := x4 - x2
//	o := x3 - x1
//
// its rows are
//
//	4·x0 - 5·x2 + x4 = 4·(x0 - x2) + e
//	(x4 - 4·x2) + (x3 - 4·x1)
//	(x4 - 4·x2) - (x3 - 4·x1)
//	e + 2·o
//	e - 2·o
//	4·x1 - 5·x3 + x5 = (x5 - x3) - 4·o
type bt6 struct{ vec.VectorIntegers }

func (bt6) fresh() {}

// groups are pairs, whatever the size: they share most.
func (bt6) groups(int) [][]int { return [][]int{{1, 2}, {3, 4}, {0, 5}} }

func (b bt6) apply(rows []int, load func(i int) vec.V, store func(i int, v vec.V)) {
	x := once(load)
	if wanted(rows, 1) {
		even, odd := b.Sub(x(4), b.ShiftLeft(x(2), 2)), b.Sub(x(3), b.ShiftLeft(x(1), 2))
		store(1, b.Add(even, odd))
		store(2, b.Sub(even, odd))
	}
	if !wanted(rows, 3) && !wanted(rows, 0) {
		return
	}
	e, o := b.Sub(x(4), x(2)), b.Sub(x(3), x(1))
	o2 := b.Add(o, o)
	if wanted(rows, 3) {
		store(3, b.Add(e, o2))
		store(4, b.Sub(e, o2))
	}
	if wanted(rows, 0) {
		first, last := b.ShiftLeft(b.Sub(x(0), x(2)), 2), b.Sub(x(5), x(3))
		b.AddTo(first, e)
		store(0, first)
		b.SubFrom(last, b.Add(o2, o2))
		store(5, last)
	}
}

// at6 is the matrix AT of tiles with six products and 3 or 4 outputs on a side: with
//
//	s1, d1 := x1 + x2, x1 - x2
//	s3, d3 := x3 + x4, x3 - x4
//
// its rows are, of 4 outputs,
//
//	x0 + s1 + s3
//	d1 + 2·d3
//	s1 + 4·s3
//	d1 + 8·d3 + 4·x5 = d1 + 4·(2·d3 + x5)
//
// and of 3, whose last is s1 + 4·s3 + 4·x5.
type at6 struct {
	vec.VectorIntegers
	outputs int
}

func (at6) fresh() {}

// groups are the even rows and the odd ones.
func (a at6) groups(int) [][]int {
	if a.Lanes() == 16 {
		if a.outputs == 3 {
			return [][]int{{0, 1, 2}}
		}
		return [][]int{{0, 1, 2, 3}}
	}
	if a.outputs == 3 {
		return [][]int{{0, 2}, {1}}
	}
	return [][]int{{0, 2}, {1, 3}}
}

func (a at6) apply(rows []int, load func(i int) vec.V, store func(i int, v vec.V)) {
	x := once(load)
	// row stores row i, v + 4·(w + x5), without x5 if that is not the last one.
	row := func(i int, v, w vec.V) {
		if i == a.outputs-1 {
			w = a.Add(w, x(5))
		}
		w = a.ShiftLeft(w, 2)
		a.AddTo(w, v)
		store(i, w)
	}
	if wanted(rows, 0) {
		s1, s3 := a.Add(x(1), x(2)), a.Add(x(3), x(4))
		first := a.Add(x(0), s1)
		a.AddTo(first, s3)
		store(0, first)
		row(2, s1, s3)
	}
	if wanted(rows, 1) {
		d1, d3 := a.Sub(x(1), x(2)), a.Sub(x(3), x(4))
		d3 = a.Add(d3, d3)
		store(1, a.Add(d1, d3))
		if a.outputs > 3 {
			row(3, d1, d3)
		}
	}
}
