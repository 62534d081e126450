package recipes

import "firebench/asmgen/vec"

// SpaceToDepth gathers the pixels that a stride steps over: it makes convolutions with a
// stride ones without.
var SpaceToDepth = Recipe{"spacetodepth", "", func(m vec.Machine, _ Tile) []string {
	m.Func("SpaceToDepth", "func(dst, src *float32, pixels, runs, channels, srcPixel, srcRow, dstPixel, dstRun int)",
		"SpaceToDepth makes a row of pixels from runs rows; it equals, in this order,",
		"",
		"	for p := range pixels {",
		"		for r := range runs {",
		"			for c := range channels {",
		"				dst[p*dstPixel+r*dstRun+c] = src[p*srcPixel+r*srcRow+c]",
		"			}",
		"		}",
		"	}")
	dst, src := m.Int("dst"), m.Int("src")
	pixel, row := m.Int("srcPixel"), m.Int("srcRow")
	m.Bytes(pixel)
	m.Bytes(row)
	toPixel, toRun := m.Int("dstPixel"), m.Int("dstRun")
	m.Bytes(toPixel)
	m.Bytes(toRun)
	vectors := m.Int("channels")
	m.Vectors(vectors)
	m.LoopParam("pixel", "pixels", func() {
		p, q := m.CopyInt(src), m.CopyInt(dst)
		m.Loop("run", m.Int("runs"), func() {
			from, to := m.CopyInt(p), m.CopyInt(q)
			m.Loop("vector", m.CopyInt(vectors), func() {
				m.Store(m.Load(from, 0), to, 0)
				m.AddVectors(from, 1)
				m.AddVectors(to, 1)
			})
			m.AddInt(p, row)
			m.AddInt(q, toRun)
		})
		m.AddInt(src, pixel)
		m.AddInt(dst, toPixel)
	})
	m.Return()
	return []string{"SpaceToDepth"}
}}
