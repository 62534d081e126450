package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// Transpose transposes a matrix, in squares whose sides are a vector.
var Transpose = Recipe{"transpose", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	f := m.Float32()
	side := f.Lanes()
	m.Func("Transpose", "func(dst, src *float32, rows, cols, dstStride, srcStride int)",
		fmt.Sprintf("Transpose transposes a matrix. rows and cols are multiples of %d; it equals", side),
		"",
		"	for r := range rows {",
		"		for c := range cols {",
		"			dst[c*dstStride+r] = src[r*srcStride+c]",
		"		}",
		"	}")
	dstStride, srcStride := distances(m, f, "dstStride", "srcStride")
	inputs, outputs := m.Rows("input row", srcStride, side), m.Rows("output row", dstStride, side)
	rows := vectors(m, f, "rows")
	m.Loop("rows", fmt.Sprintf("For each %d rows", side), rows, func() {
		src, dst := m.Arg("src"), m.Arg("dst")
		cols := vectors(m, f, "cols")
		m.Loop("square", "For each square of them", cols, func() {
			inputs.Start(src)
			square := make([]vec.V, side)
			for i := range square {
				square[i] = m.LoadRow(inputs, i)
			}
			outputs.Start(dst)
			for i, column := range m.Transpose(square) {
				m.StoreRow(column, outputs, i)
			}
			m.SkipVectors(src, 1)
			m.AddMulTo(dst, dstStride, side)
		})
		m.Comment("On to the next rows")
		src, dst = m.Arg("src"), m.Arg("dst")
		m.AddMulTo(src, srcStride, side)
		m.SkipVectors(dst, 1)
		m.SetArg("src", src)
		m.SetArg("dst", dst)
	})
	m.Return()
	return []string{"Transpose"}
}}
