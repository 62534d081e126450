package recipes

import "firebench/asmgen/vec"

// SpaceToDepth gathers the pixels that a stride steps over: it makes convolutions with a
// stride ones without.
var SpaceToDepth = Recipe{"spacetodepth", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	spaceToDepth(m, m.Float32(), "SpaceToDepth", "float32")
	return []string{"SpaceToDepth"}
}}

// QSpaceToDepth is SpaceToDepth for quantized values.
var QSpaceToDepth = Recipe{"spacetodepth", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	spaceToDepth(m, m.Uint8(), "QSpaceToDepth", "uint8")
	return []string{"QSpaceToDepth"}
}}

func spaceToDepth(m vec.Core, e vec.Elements, name, element string) {
	m.Func(name, "func(dst, src *"+element+", pixels, runs, channels, srcPixel, srcRow, dstPixel, dstRun int)",
		name+" makes a row of pixels from runs rows; it equals, in this order,",
		"",
		"	for p := range pixels {",
		"		for r := range runs {",
		"			for c := range channels {",
		"				dst[p*dstPixel+r*dstRun+c] = src[p*srcPixel+r*srcRow+c]",
		"			}",
		"		}",
		"	}")
	dst, src := m.Arg("dst"), m.Arg("src")
	srcPixel, srcRow := distances(m, e, "srcPixel", "srcRow")
	dstPixel, dstRun := distances(m, e, "dstPixel", "dstRun")
	channels := vectors(m, e, "channels")
	eachPixel(m, []step{{src, srcPixel, 1}, {dst, dstPixel, 1}}, func() {
		srcRun, dstRunAt := vec.Named(m, "src run", m.CopyInt(src)), vec.Named(m, "dst run", m.CopyInt(dst))
		m.Loop("run", "For each run of channels, each from the next row", m.Arg("runs"), func() {
			from, to := vec.Named(m, "from", m.CopyInt(srcRun)), vec.Named(m, "to", m.CopyInt(dstRunAt))
			eachVector(m, vec.Named(m, "vectors left", m.CopyInt(channels)), []vec.R{from, to}, func() {
				m.Store(m.Load(from, 0), to, 0)
			})
			m.AddTo(srcRun, srcRow)
			m.AddTo(dstRunAt, dstRun)
		})
	})
	m.Return()
}
