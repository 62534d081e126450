package recipes

import "firebench/asmgen/vec"

// QPool is the pooling of quantized values: both kinds of maxima, and averages.
var QPool = Recipe{"qpool", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	maxPool3x3s2(m, m.Uint8(), "QMaxPool3x3s2", "uint8")
	maxPool(m, m.Uint8(), "QMaxPool", "uint8")
	qAvgPool(m)
	return []string{"QMaxPool3x3s2", "QMaxPool", "QAvgPool"}
}}

// qAvgPoolUnroll is how many vectors of uint8 values are under way at once; each is
// four of int32 sums.
const qAvgPoolUnroll = 2

func qAvgPool(m vec.Machine) {
	m.Func("QAvgPool", "func(dst, src *uint8, rows, cols, channels, srcRow, srcPixel int, bias int32, scale float32, zero int32)",
		"QAvgPool computes the requantized sum over one window; it equals",
		"",
		"	for c := range channels {",
		"		acc := bias",
		"		for i := range rows {",
		"			for j := range cols {",
		"				acc += int32(src[i*srcRow+j*srcPixel+c])",
		"			}",
		"		}",
		"		dst[c] = requantize(acc, scale, 0, zero) // see kernels.QConvFunc",
		"	}")
	i, f := m.Int32(), m.Float32()
	bias, scale := i.SplatArg("bias"), f.SplatArg("scale")
	r := wholeRange(m)
	window(m, m.Uint8(), qAvgPoolUnroll, fold{
		start: func(n int, _ vec.R) []vec.V {
			return each(quarters*n, func(int) vec.V { return m.Copy(bias) })
		},
		step: func(sums []vec.V, pixel vec.R) {
			for v, sum := range sums {
				i.AddTo(sum, i.Widen(pixel, v))
			}
		},
		end: func(sums []vec.V, dst vec.R) {
			i.Narrow(each(len(sums), func(v int) vec.V {
				x := i.ToFloat(sums[v])
				f.MulBy(x, scale)
				return r.round(m, x)
			}), dst, 0)
		},
	})
}
