package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// Product is the tile of Conv without what only convolutions need: the matrix products
// of Winograd's algorithm, many of one shape whose sums are short. Functions Product1xN
// to ProductMxN for a tile of M×N.
var Product = Recipe{"product", productSignature, func(m vec.Machine, t Tile) []string {
	return heights("Product", m, t, productTile)
}}

const productSignature = "func(dst, src, weights, next *float32, points, k, tiles, srcPoint, dstPoint, srcStride, pace int)"

func productTile(m vec.Machine, name string, rows, cols int) {
	m.Func(name, productSignature,
		append([]string{
			fmt.Sprintf("%s computes points matrix products of tiles × %d rows and %d columns; it equals", name, rows, cols),
			"",
			"	for p := range points {",
			"		for t := range tiles {",
			fmt.Sprintf("			for m := range %d {", rows),
			fmt.Sprintf("				for n := range %d {", cols),
			"					acc := 0",
			"					for j := range k {",
			fmt.Sprintf("						acc = fma(src[p*srcPoint+(t*%d+m)*srcStride+j], weights[(p*k+j)*%d+n], acc)", rows, cols),
			"					}",
			fmt.Sprintf("					dst[p*dstPoint+(t*%d+m)*%d+n] = acc", rows, cols),
			"				}",
			"			}",
			"		}",
			"	}"}, paceDoc(rows)...)...)
	l := inner{m: m, rows: rows, cols: cols}
	stride := m.Int("srcStride")
	m.Bytes(stride)
	l.tile = m.Rows(stride, rows)
	if rows > nearRows {
		l.next, l.pace = m.Int("next"), m.Int("pace")
	}
	m.LoopParam("point", "points", func() {
		src := m.Int("src")
		m.Loop("tile", m.Int("tiles"), func() {
			l.acc = make([][]vec.V, rows)
			for i := range rows {
				for range cols / m.Lanes() {
					l.acc[i] = append(l.acc[i], m.Zero())
				}
			}
			l.w = m.Int("weights")
			l.tile.Start(src)
			m.AddMul(src, stride, rows)
			l.steps(m.Int("k"))
			dst := m.Int("dst")
			for i, row := range l.acc {
				for v := range row {
					m.Store(row[v], dst, i*len(row)+v)
				}
			}
			m.AddFloats(dst, rows*cols)
			m.SetInt("dst", dst)
		})
		// A tile ends where the next point's weights begin.
		m.SetInt("weights", l.w)
		src, srcPoint := m.Int("src"), m.Int("srcPoint")
		m.Bytes(srcPoint)
		m.AddInt(src, srcPoint)
		m.SetInt("src", src)
		// dst went through the tiles.
		dst, dstPoint := m.Int("dst"), m.Int("dstPoint")
		moved := m.Count(rows * cols)
		m.Times(moved, m.Int("tiles"))
		m.SubInt(dstPoint, moved)
		m.Bytes(dstPoint)
		m.AddInt(dst, dstPoint)
		m.SetInt("dst", dst)
	})
	m.Return()
}
