package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// RowConv is the tile of Conv for panels of weights of which only some rows are stored, those
// that are not zero: functions RowConv1xN to RowConvMxN for a tile of M×N.
var RowConv = Recipe{"rowconv", rowConvSignature, func(m vec.Machine, _ vec.Element, t Tile) []string {
	f := m.Float32()
	return heights("RowConv", m, f, f, t, func(t *sums, name string) { rowConv(t, f, name) })
}}

const rowConvSignature = "func(dst, src, weights, bias, prefetch *float32, offsets *int32, k, srcStride, dstStride, tiles, prefetchStep int, lower float32)"

// manyRows is the height of the tallest tiles that leave a register for the inputs of the next tile.
const manyRows = 14

func rowConv(t *sums, f vec.Float32, name string) {
	t.Func(name, rowConvSignature,
		append([]string{
			fmt.Sprintf("%s computes tiles × %d output pixels × %d channels; it equals", name, t.rows, t.cols),
			"",
			"	for t := range tiles {",
			fmt.Sprintf("		for m := range %d {", t.rows),
			fmt.Sprintf("			for n := range %d {", t.cols),
			"				acc := bias[n]",
			"				for j := range k {",
			fmt.Sprintf("					acc = fma(src[(t*%d+m)*srcStride+offsets[j]], weights[j*%d+n], acc)", t.rows, t.cols),
			"				}",
			fmt.Sprintf("				dst[(t*%d+m)*dstStride+n] = max(acc, lower)", t.rows),
			"			}",
			"		}",
			"	}"}, prefetchDoc(t.rows)...)...)
	t.scattered = true
	t.eachTile(f, prefetchesTiles(t) && t.rows <= manyRows, func() {
		src, offsets := t.Arg("src"), t.Arg("offsets")
		t.addSteps(t.Arg("k"), func(n int) {
			for i := range n {
				offset := vec.Named(t, "offset", t.LoadInt32(offsets, i))
				t.inputs.Start(vec.Named(t, "input", f.Address(src, offset)))
				f.OuterAt(t.sum, t.inputs, t.weights, i)
			}
			t.SkipInt32s(offsets, n)
			t.SkipVectors(t.weights, n*t.perRow())
		})
	}, func() { t.storeSums(f) })
}
