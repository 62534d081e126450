package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// QConv is Conv for quantized values: functions QConv1xN to QConvMxN for a tile of M×N. Its
// inputs are uint8, or int16 that were uint8, as the machine multiplies.
var QConv = Recipe{"qconv", qConvSignature, func(m vec.Machine, e vec.Element, t Tile) []string {
	return heights("QConv", m, m.Dot(e), m.Int32(), t, func(t *sums, name string) { qConv(t, m, name) })
}}

const qConvSignature = "func(dst, src, weights *uint8, bias *int32, scale *float32, prefetch *uint8, offsets *int, runs, groups, srcStride, dstStride, tiles, prefetchStep int, lower, upper float32, zero int32)"

func qConv(t *sums, m vec.Machine, name string) {
	types := map[vec.Element]string{vec.U8: "src is uint8 and weights are int8", vec.S16: "src and weights are int16"}
	group, at := t.products.Group(), ""
	if size := t.products.Element().Size; size > 1 {
		at = fmt.Sprintf("/%d", size)
	}
	input := fmt.Sprintf("int32(src[((t*%d+m)*srcStride+offsets[r])%s+j])", t.rows, at)
	if offset := t.products.Offset(); offset != 0 {
		input = fmt.Sprintf("(%s - %d)", input, offset)
	}
	t.Func(name, qConvSignature,
		append([]string{
			fmt.Sprintf("%s computes tiles × %d output pixels × %d channels; it equals", name, t.rows, t.cols),
			"",
			"	for t := range tiles {",
			fmt.Sprintf("		for m := range %d {", t.rows),
			fmt.Sprintf("			for n := range %d {", t.cols),
			"				acc, k := bias[n], 0",
			"				for r := range runs {",
			fmt.Sprintf("					for j := range %d * groups {", group),
			fmt.Sprintf("						acc += %s * int32(weights[(k/%d*%d+n)*%d+k%%%d])", input, group, t.cols, group, group),
			"						k++",
			"					}",
			"				}",
			"				x := min(max(float32(acc)*scale[n], lower), upper)",
			fmt.Sprintf("				dst[(t*%d+m)*dstStride+n] = uint8(int32(roundToEven(x)) + zero)", t.rows),
			"			}",
			"		}",
			"	}",
			"",
			fmt.Sprintf("where %s.", types[t.products.Element()]),
		}, prefetchDoc(t.rows)...)...)
	f, i := m.Float32(), m.Int32()
	t.convolve(m.Uint8(), "groups", func() func(row []vec.V, dst vec.R) {
		// In passes over all sums: they leave few registers for what all have in common.
		t.Comment("To float32, scaled")
		scale := t.Arg("scale")
		scales := make([]vec.V, t.perRow())
		for v := range scales {
			scales[v] = t.Load(scale, v)
		}
		vec.NameAll(t, "scales", scales)
		for _, row := range t.sum {
			for v := range row {
				row[v] = i.ToFloat(row[v])
				f.MulBy(row[v], scales[v])
			}
		}
		t.Comment("From lower to upper")
		lower, upper := f.SplatArg("lower"), f.SplatArg("upper")
		for _, row := range t.sum {
			for v := range row {
				f.MaxWith(row[v], lower)
				f.MinWith(row[v], upper)
			}
		}
		t.Comment("As integers, from the zero point on, these are the outputs")
		zero := i.SplatArg("zero")
		return func(row []vec.V, dst vec.R) {
			for v := range row {
				row[v] = i.Round(row[v])
				i.AddTo(row[v], zero)
			}
			i.Narrow(row, dst, 0)
		}
	})
}
