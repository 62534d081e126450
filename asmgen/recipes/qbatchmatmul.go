package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// QBatchMatMul is BatchMatMul of int16 values, whose sums are int32. Functions QBatchMatMul1xN
// to QBatchMatMulMxN for a tile of M×N.
var QBatchMatMul = Recipe{"qbatchmatmul", qBatchMatMulSignature, func(m vec.Machine, e vec.Element, t Tile) []string {
	return heights("QBatchMatMul", m, m.Dot(e, e), m.Int32(), t, qBatchMatMul)
}}

const qBatchMatMulSignature = "func(dst *int32, src, weights, prefetch *int16, batch, groups, tiles, srcMatrix, dstMatrix, srcStride, prefetchStep int)"

func qBatchMatMul(t *sums, name string) {
	group := t.products.Group()
	t.Func(name, qBatchMatMulSignature,
		append([]string{
			fmt.Sprintf("%s computes a batch of products of matrices with tiles × %d rows and %d columns; it equals", name, t.rows, t.cols),
			"",
			fmt.Sprintf("	k := %d * groups", group),
			"	for b := range batch {",
			"		for t := range tiles {",
			fmt.Sprintf("			for m := range %d {", t.rows),
			fmt.Sprintf("				for n := range %d {", t.cols),
			"					acc := int32(0)",
			"					for j := range k {",
			fmt.Sprintf("						acc += int32(src[b*srcMatrix+(t*%d+m)*srcStride+j]) * int32(weights[((b*k+j)/%d*%d+n)*%d+j%%%d])", t.rows, group, t.cols, group, group),
			"					}",
			fmt.Sprintf("					dst[b*dstMatrix+(t*%d+m)*%d+n] = acc", t.rows, t.cols),
			"				}",
			"			}",
			"		}",
			"	}"}, prefetchDoc(t.rows)...)...)
	t.matMul("groups")
}
