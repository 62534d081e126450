package recipes

import "firebench/asmgen/vec"

// PackSum copies gradients to where the tile of WeightGradient reads them, and adds up those of the biases.
var PackSum = Recipe{"packsum", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	packSum(m, m.Float32())
	return []string{"PackSum"}
}}

// packUnroll is how many vectors of channels are under way at once: as many as the widest tile has, so that most calls
// read their pixels once.
const packUnroll = 2

func packSum(m vec.Core, f vec.Float32) {
	m.Func("PackSum", "func(dst, sums, src *float32, pixels, channels, srcPixel, dstPixel int)",
		"PackSum copies a row of pixels and adds up their channels; it equals",
		"",
		"	for p := range pixels {",
		"		for c := range channels {",
		"			dst[p*dstPixel+c] = src[p*srcPixel+c]",
		"			sums[c] += src[p*srcPixel+c]",
		"		}",
		"	}")
	dst, sums, src := m.Arg("dst"), m.Arg("sums"), m.Arg("src")
	srcPixel, dstPixel := distances(m, f, "srcPixel", "dstPixel")
	eachBlock(m, vectors(m, f, "channels"), packUnroll, []vec.R{dst, sums, src}, func(n int) {
		sum := each(n, func(v int) vec.V { return m.Load(sums, v) })
		vec.NameAll(m, "sum", sum)
		from, to := vec.Named(m, "from", m.CopyInt(src)), vec.Named(m, "to", m.CopyInt(dst))
		m.Loop("pixel", "For each pixel of the row", m.Arg("pixels"), func() {
			for v := range sum {
				x := vec.Named(m, "gradients", m.Load(from, v))
				m.Store(x, to, v)
				f.AddTo(sum[v], x)
			}
			m.AddTo(from, srcPixel)
			m.AddTo(to, dstPixel)
		})
		m.Comment("These channels are done")
		for v := range sum {
			m.Store(sum[v], sums, v)
		}
	})
	m.Return()
}
