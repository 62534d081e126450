package recipes

import "firebench/asmgen/vec"

// Window is the general pooling, one window of any size a call: MaxPool and
// AvgPool, which is also the global one.
var Window = Recipe{"window", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	f := m.Float32()
	window(m, f, "MaxPool", "", f.MaxWith,
		"MaxPool computes the maximum over one window; it equals",
		"",
		"	for c := range channels {",
		"		top := src[c]",
		"		for i := range rows {",
		"			for j := range cols {",
		"				top = max(top, src[i*srcRow+j*srcPixel+c])",
		"			}",
		"		}",
		"		dst[c] = top",
		"	}")
	window(m, f, "AvgPool", "scale", f.AddTo,
		"AvgPool computes the scaled sum over one window; it equals",
		"",
		"	for c := range channels {",
		"		sum := float32(0)",
		"		for i := range rows {",
		"			for j := range cols {",
		"				sum += src[i*srcRow+j*srcPixel+c]",
		"			}",
		"		}",
		"		dst[c] = sum * scale",
		"	}")
	return []string{"MaxPool", "AvgPool"}
}}

// windowUnroll is how many vectors of channels are under way at once: enough
// independent chains to hide the latency of an addition.
const windowUnroll = 8

// window folds op over the pixels of a window. With a scale argument the fold
// starts at zero and is multiplied at the end, else it starts at the first pixel.
func window(m vec.Core, f vec.Float32, name, scale string, op func(dst, v vec.V), doc ...string) {
	signature := "func(dst, src *float32, rows, cols, channels, srcRow, srcPixel int)"
	if scale != "" {
		signature = "func(dst, src *float32, rows, cols, channels, srcRow, srcPixel int, " + scale + " float32)"
	}
	m.Func(name, signature, doc...)
	dst := m.Arg("dst")
	src := m.Arg("src")
	srcRow, srcPixel := distance(m, f, "srcRow"), distance(m, f, "srcPixel")
	eachBlock(m, vectors(m, f, "channels"), windowUnroll, []vec.R{src, dst}, func(n int) {
		results := make([]vec.V, n)
		for v := range results {
			if scale != "" {
				results[v] = m.Zero()
			} else {
				results[v] = m.Load(src, v)
			}
		}
		vec.NameAll(m, "result", results)
		row := vec.Named(m, "row", m.CopyInt(src))
		m.Loop("row", "For each row of the window", m.Arg("rows"), func() {
			pixel := vec.Named(m, "pixel", m.CopyInt(row))
			m.Loop("pixel", "For each pixel of the row", m.Arg("cols"), func() {
				for v := range results {
					op(results[v], m.Load(pixel, v))
				}
				m.AddTo(pixel, srcPixel)
			})
			m.AddTo(row, srcRow)
		})
		m.Comment("These channels are done")
		if scale != "" {
			s := f.SplatArg(scale)
			for v := range results {
				f.MulBy(results[v], s)
			}
		}
		for v := range results {
			m.Store(results[v], dst, v)
		}
	})
	m.Return()
}
