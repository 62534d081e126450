package recipes

import "firebench/asmgen/vec"

// PoolGradient is the gradients of pooling, one window of any size a call: MaxPoolGradient and AvgPoolGradient.
var PoolGradient = Recipe{"poolgradient", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	maxPoolGradient(m, m.Float32())
	avgPoolGradient(m, m.Float32())
	return []string{"MaxPoolGradient", "AvgPoolGradient"}
}}

// maxPoolGradientUnroll is how many vectors of channels are under way at once: each has a chain of what is left
// of its gradient, and takes two registers.
const maxPoolGradientUnroll = 4

func maxPoolGradient(m vec.Core, f vec.Float32) {
	m.Func("MaxPoolGradient", "func(dst, src, top, grad *float32, rows, cols, channels, dstRow, dstPixel, srcRow, srcPixel int)",
		"MaxPoolGradient adds the gradient of one window's maximum to that of the first pixel that is it; it equals",
		"",
		"	for c := range channels {",
		"		g := grad[c]",
		"		for i := range rows {",
		"			for j := range cols {",
		"				if src[i*srcRow+j*srcPixel+c] == top[c] {",
		"					dst[i*dstRow+j*dstPixel+c] += g",
		"					g -= g",
		"				}",
		"			}",
		"		}",
		"	}")
	dst, src := m.Arg("dst"), m.Arg("src")
	top, grad := m.Arg("top"), m.Arg("grad")
	dstRow, dstPixel := betweenRows(m, f, "dstRow", "dstPixel")
	srcRow, srcPixel := betweenRows(m, f, "srcRow", "srcPixel")
	eachBlock(m, vectors(m, f, "channels"), maxPoolGradientUnroll, []vec.R{dst, src, top, grad}, func(n int) {
		tops := each(n, func(v int) vec.V { return m.Load(top, v) })
		vec.NameAll(m, "top", tops)
		left := each(n, func(v int) vec.V { return m.Load(grad, v) })
		vec.NameAll(m, "gradient left", left)
		to, from := vec.Named(m, "dst pixel", m.CopyInt(dst)), vec.Named(m, "src pixel", m.CopyInt(src))
		m.Loop("row", "For each row of the window", m.Arg("rows"), func() {
			m.Loop("pixel", "For each pixel of the row: the gradient, where it is the maximum", m.Arg("cols"), func() {
				for v := range n {
					g := f.SelectEqual(m.Load(from, v), tops[v], left[v])
					f.SubFrom(left[v], g)
					f.AddTo(g, m.Load(to, v))
					m.Store(g, to, v)
				}
				m.AddTo(from, srcPixel)
				m.AddTo(to, dstPixel)
			})
			m.AddTo(from, srcRow)
			m.AddTo(to, dstRow)
		})
	})
	m.Return()
}

// betweenRows loads the distances between rows and pixels of a window that is cols pixels wide. The first one
// becomes that from behind a row to the next row.
func betweenRows(m vec.Core, e vec.Elements, row, pixel string) (between, pixels vec.R) {
	between, pixels = distances(m, e, row, pixel)
	width := m.Arg("cols")
	m.MulBy(width, pixels)
	m.SubFrom(between, width)
	return between, pixels
}

func avgPoolGradient(m vec.Core, f vec.Float32) {
	m.Func("AvgPoolGradient", "func(dst, grad *float32, rows, cols, channels, dstRow, dstPixel int, scale float32)",
		"AvgPoolGradient adds the scaled gradient of one window's sum to that of its pixels; it equals",
		"",
		"	for i := range rows {",
		"		for j := range cols {",
		"			for c := range channels {",
		"				dst[i*dstRow+j*dstPixel+c] += float32(grad[c] * scale)",
		"			}",
		"		}",
		"	}")
	dst, grad := m.Arg("dst"), m.Arg("grad")
	dstRow, dstPixel := betweenRows(m, f, "dstRow", "dstPixel")
	scale := f.SplatArg("scale")
	eachBlock(m, vectors(m, f, "channels"), windowUnroll, []vec.R{dst, grad}, func(n int) {
		scaled := each(n, func(v int) vec.V {
			g := m.Load(grad, v)
			f.MulBy(g, scale)
			return g
		})
		vec.NameAll(m, "scaled gradient", scaled)
		pixel := vec.Named(m, "pixel", m.CopyInt(dst))
		m.Loop("row", "For each row of the window", m.Arg("rows"), func() {
			m.Loop("pixel", "For each pixel of the row", m.Arg("cols"), func() {
				for v, g := range scaled {
					m.Store(f.Add(m.Load(pixel, v), g), pixel, v)
				}
				m.AddTo(pixel, dstPixel)
			})
			m.AddTo(pixel, dstRow)
		})
	})
	m.Return()
}
