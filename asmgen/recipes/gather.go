package recipes

import "firebench/asmgen/vec"

// Gather moves inputs of QConv together, those that have weights: to uint8 values, and to int16.
var Gather = Recipe{"gather", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	u := m.Uint8()
	gather(m, "Gather", "dst[p*dstStride+to[c]+i] = ", u.StoreGathered)
	gather(m, "GatherWiden", "*int16(&dst[p*dstStride+to[c]+2*i]) = ", u.StoreGatheredWide)
	return []string{"Gather", "GatherWiden"}
}}

// gatherUnroll is how many pixels are under way at once.
const gatherUnroll = 4

func gather(m vec.Machine, name, assign string, store func(v vec.V, rows vec.Rows, i int)) {
	m.Func(name, "func(dst, src, places *uint8, from, to *int32, chunks, pixels, srcStride, dstStride int)",
		name+" moves inputs of some pixels together, 16 at a time; it equals, in this order,",
		"",
		"	for c := range chunks {",
		"		for p := range pixels {",
		"			for i := range 16 {",
		"				"+assign+"src[p*srcStride+from[c]+places[16*c+i]]",
		"			}",
		"		}",
		"	}")
	dst, src, places := m.Arg("dst"), m.Arg("src"), m.Arg("places")
	from, to := m.Arg("from"), m.Arg("to")
	srcStride, dstStride := m.Arg("srcStride"), m.Arg("dstStride")
	inputs, outputs := m.Rows("input row", srcStride, gatherUnroll), m.Rows("output row", dstStride, gatherUnroll)
	m.LoopArg("chunk", "For each chunk of inputs", "chunks", func() {
		order := vec.Named(m, "order", m.Uint8().LoadPlaces(places))
		m.SkipBytes(places, vec.Gathered)
		input := vec.Named(m, "input", m.LoadInt32(from, 0))
		m.AddTo(input, src)
		m.SkipInt32s(from, 1)
		output := vec.Named(m, "output", m.LoadInt32(to, 0))
		m.AddTo(output, dst)
		m.SkipInt32s(to, 1)
		m.Steps("pixel", "For each pixel", vec.Named(m, "pixels left", m.Arg("pixels")), gatherUnroll, func(n int) {
			inputs.Start(input)
			outputs.Start(output)
			for i := range n {
				store(m.Uint8().GatherRow(inputs, i, order), outputs, i)
			}
			m.AddMulTo(input, srcStride, n)
			m.AddMulTo(output, dstStride, n)
		})
	})
	m.Return()
}
