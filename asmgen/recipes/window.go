package recipes

import "firebench/asmgen/vec"

// Window is the general pooling, one window of any size a call: MaxPool and
// AvgPool, which is also the global one.
var Window = Recipe{"window", "", func(m vec.Machine, _ Tile) []string {
	window(m, "MaxPool", "", m.Max,
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
	window(m, "AvgPool", "scale", m.Add,
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
func window(m vec.Machine, name, scale string, op func(dst, v vec.V), doc ...string) {
	signature := "func(dst, src *float32, rows, cols, channels, srcRow, srcPixel int)"
	if scale != "" {
		signature = "func(dst, src *float32, rows, cols, channels, srcRow, srcPixel int, " + scale + " float32)"
	}
	m.Func(name, signature, doc...)
	dst := m.Int("dst")
	src := m.Int("src")
	row := m.Int("srcRow")
	m.Bytes(row)
	pixel := m.Int("srcPixel")
	m.Bytes(pixel)
	channels := m.Int("channels")
	m.Vectors(channels)
	m.Steps("channels", channels, windowUnroll, func(n int) {
		acc := make([]vec.V, n)
		for v := range acc {
			if scale != "" {
				acc[v] = m.Zero()
			} else {
				acc[v] = m.Load(src, v)
			}
		}
		p := m.CopyInt(src)
		rows := m.Int("rows")
		m.Loop("row", rows, func() {
			q := m.CopyInt(p)
			cols := m.Int("cols")
			m.Loop("col", cols, func() {
				for v := range acc {
					op(acc[v], m.Load(q, v))
				}
				m.AddInt(q, pixel)
			})
			m.AddInt(p, row)
		})
		if scale != "" {
			s := m.Splat(scale)
			for v := range acc {
				m.Mul(acc[v], s)
			}
		}
		for v := range acc {
			m.Store(acc[v], dst, v)
		}
		m.AddVectors(src, n)
		m.AddVectors(dst, n)
	})
	m.Return()
}
