package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// BatchMatMul is the tile of Conv without what only convolutions need, for a batch of matrix
// products of one shape whose sums are short, as Winograd's algorithm has them. Functions
// BatchMatMul1xN to BatchMatMulMxN for a tile of M×N.
var BatchMatMul = Recipe{"batchmatmul", batchMatMulSignature, func(m vec.Machine, _ vec.Element, t Tile) []string {
	f := m.Float32()
	return heights("BatchMatMul", m, f, f, t, batchMatMul)
}}

const batchMatMulSignature = "func(dst, src, weights, prefetch *float32, batch, k, tiles, srcMatrix, dstMatrix, srcStride, prefetchStep int)"

func batchMatMul(t *sums, name string) {
	t.Func(name, batchMatMulSignature,
		append([]string{
			fmt.Sprintf("%s computes a batch of products of matrices with tiles × %d rows and %d columns; it equals", name, t.rows, t.cols),
			"",
			"	for b := range batch {",
			"		for t := range tiles {",
			fmt.Sprintf("			for m := range %d {", t.rows),
			fmt.Sprintf("				for n := range %d {", t.cols),
			"					acc := 0",
			"					for j := range k {",
			fmt.Sprintf("						acc = fma(src[b*srcMatrix+(t*%d+m)*srcStride+j], weights[(b*k+j)*%d+n], acc)", t.rows, t.cols),
			"					}",
			fmt.Sprintf("					dst[b*dstMatrix+(t*%d+m)*%d+n] = acc", t.rows, t.cols),
			"				}",
			"			}",
			"		}",
			"	}"}, prefetchDoc(t.rows)...)...)
	t.matMul("k")
}

// matMul emits the body of the function. Its arguments count values, and steps is the one that
// says how many steps a sum has.
func (t *sums) matMul(steps string) {
	t.begin(t.products)
	t.LoopArg("matrix", "For each product of the batch", "batch", func() {
		src := t.Arg("src")
		t.Loop("tile", fmt.Sprintf("For each tile of %d×%d, rows by columns", t.rows, t.cols), t.Arg("tiles"), func() {
			t.start("The sums start at zero", func(int) (row []vec.V) {
				for range t.perRow() {
					row = append(row, t.Zero())
				}
				return row
			})
			t.weights = t.Arg("weights")
			t.inputs.Start(src)
			t.AddMulTo(src, t.stride, t.rows)
			t.addProducts(t.Arg(steps))
			t.Comment("The sums are the outputs")
			dst := t.Arg("dst")
			for i, row := range t.sum {
				for v := range row {
					t.Store(row[v], dst, i*len(row)+v)
				}
			}
			t.accumulators.Skip(dst, t.rows*t.cols)
			t.SetArg("dst", dst)
		})
		t.Comment("A tile ends where the next matrix of weights begins; dst went through the tiles")
		t.SetArg("weights", t.weights)
		src, srcMatrix := t.Arg("src"), distance(t, t.products, "srcMatrix")
		t.AddTo(src, srcMatrix)
		t.SetArg("src", src)
		dst, dstMatrix := t.Arg("dst"), t.Arg("dstMatrix")
		done := vec.Named(t, "done", t.Int(t.rows*t.cols))
		t.MulBy(done, t.Arg("tiles"))
		t.SubFrom(dstMatrix, done)
		t.accumulators.ToBytes(dstMatrix)
		t.AddTo(dst, dstMatrix)
		t.SetArg("dst", dst)
	})
	t.Return()
}
