package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// PoolGradient is the gradients of pooling: MaxPoolGradient and AvgPoolGradient take one window of any size a
// call, MaxPool3x3s2Gradient a row of the windows that networks have.
var PoolGradient = Recipe{"poolgradient", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	maxPoolGradient(m, m.Float32())
	maxPool3x3s2Gradient(m, m.Float32())
	avgPoolGradient(m, m.Float32())
	return []string{"MaxPoolGradient", "MaxPool3x3s2Gradient", "AvgPoolGradient"}
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

func maxPool3x3s2Gradient(m vec.Core, f vec.Float32) {
	m.Func("MaxPool3x3s2Gradient", "func(dst, src, top, grad *float32, pixels, channels, dstRow, dstPixel, srcRow, srcPixel, topPixel, gradPixel int)",
		"MaxPool3x3s2Gradient adds the gradient of the maximum of each of a row of 3×3 windows, stride 2, to that of the first pixel that is it; it equals",
		"",
		"	for p := range pixels {",
		"		for c := range channels {",
		"			g := grad[p*gradPixel+c]",
		"			for i := range 3 {",
		"				for j := range 3 {",
		"					part := float32(0)",
		"					if src[i*srcRow+(2*p+j)*srcPixel+c] == top[p*topPixel+c] {",
		"						part = g",
		"						g -= g",
		"					}",
		"					if i > 0 && j > 0 {",
		"						dst[i*dstRow+(2*p+j)*dstPixel+c] = part",
		"					} else {",
		"						dst[i*dstRow+(2*p+j)*dstPixel+c] += part",
		"					}",
		"				}",
		"			}",
		"		}",
		"	}")
	dst, src := m.Arg("dst"), m.Arg("src")
	top, grad := m.Arg("top"), m.Arg("grad")
	dstRow, dstPixel := distances(m, f, "dstRow", "dstPixel")
	srcRow, srcPixel := distances(m, f, "srcRow", "srcPixel")
	m.Comment("From behind a row of a window to its next row")
	twice := m.AddMul(dstPixel, dstPixel, 1)
	m.SubFrom(dstRow, twice)
	twice = m.AddMul(srcPixel, srcPixel, 1)
	m.SubFrom(srcRow, twice)
	m.LoopArg("pixel", "For each window of the row", "pixels", func() {
		channel := vec.Named(m, "channel", m.Int(0))
		eachBlock(m, vectors(m, f, "channels"), maxPoolGradientUnroll, []vec.R{channel}, func(n int) {
			at := func(name string, p vec.R) vec.R {
				r := vec.Named(m, name, m.CopyInt(p))
				m.AddTo(r, channel)
				return r
			}
			p := at("top vector", top)
			tops := each(n, func(v int) vec.V { return m.Load(p, v) })
			vec.NameAll(m, "top", tops)
			p = at("grad vector", grad)
			left := each(n, func(v int) vec.V { return m.Load(p, v) })
			vec.NameAll(m, "gradient left", left)
			to, from := at("dst pixel", dst), at("src pixel", src)
			for i := range 3 {
				for j := range 3 {
					m.Comment(fmt.Sprintf("Pixel %d, %d of the window: the gradient, where it is the maximum", i, j))
					for v := range n {
						g := f.SelectEqual(m.Load(from, v), tops[v], left[v])
						f.SubFrom(left[v], g)
						if i == 0 || j == 0 {
							f.AddTo(g, m.Load(to, v))
						}
						m.Store(g, to, v)
					}
					if j < 2 {
						m.AddTo(from, srcPixel)
						m.AddTo(to, dstPixel)
					}
				}
				if i < 2 {
					m.AddTo(from, srcRow)
					m.AddTo(to, dstRow)
				}
			}
		})
		m.Comment("On to the next window")
		m.AddMulTo(src, srcPixel, 2)
		m.AddMulTo(dst, dstPixel, 2)
		topPixel, gradPixel := distances(m, f, "topPixel", "gradPixel")
		m.AddTo(top, topPixel)
		m.AddTo(grad, gradPixel)
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
