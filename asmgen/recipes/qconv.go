package recipes

import (
	"fmt"
	"slices"

	"firebench/asmgen/vec"
)

// QConv is Conv for quantized values: functions QConv1xN to QConvMxN for a tile of M×N. Its
// inputs are uint8, or int16 that were uint8, as the machine multiplies; its weights are int8.
var QConv = Recipe{"qconv", qConvSignature, func(m vec.Machine, e vec.Element, t Tile) []string {
	return heights("QConv", m, m.Dot(e, vec.S8), m.Int32(), t, func(t *sums, name string) { qConv(t, m, name) })
}}

const qConvSignature = "func(dst, src, weights *uint8, bias *int32, scale *float32, prefetch *uint8, offsets *int, runs, groups, srcStride, dstStride, tiles, prefetchStep int, lower, zero int32)"

func qConv(t *sums, m vec.Machine, name string) {
	types := map[vec.Element]string{vec.U8: "uint8", vec.S16: "int16"}
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
			"				x := int32(roundToEven(float32(acc)*scale[n])) + zero",
			fmt.Sprintf("				dst[(t*%d+m)*dstStride+n] = uint8(min(max(x, lower), 255))", t.rows),
			"			}",
			"		}",
			"	}",
			"",
			fmt.Sprintf("where src is %s and weights are int8.", types[t.products.Element()]),
		}, prefetchDoc(t.rows)...)...)
	f, i := m.Float32(), m.Int32()
	t.convolve(m.Uint8(), "groups", func() {
		t.Comment("The sums as float32, scaled, as integers")
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
				row[v] = i.Round(row[v])
			}
		}
		t.Comment("From the zero point on, from lower to 255, these are the outputs")
		r := newRequantizer(m, i.SplatArg("lower"))
		zero := r.zero()
		dst, dstStride := t.Arg("dst"), t.Arg("dstStride")
		n := min(4/t.perRow(), t.rows) // rows that are packed to one vector
		rows := t.Rows("output row", dstStride, n)
		for group := range slices.Chunk(t.sum, n) {
			rows.Start(dst)
			r.store(slices.Concat(group...), zero, rows, t.perRow())
			t.AddMulTo(dst, dstStride, len(group))
		}
		t.SetArg("dst", dst)
	})
}
