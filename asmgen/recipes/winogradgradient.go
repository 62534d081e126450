package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
	"firebench/kernels/winograd"
)

// WinogradGradient is the transforms of the gradient of a convolution's weights, beside that of inputs, for tiles of
// tile.Rows inputs and tile.Cols weights on a side. The gradients of a tile's outputs are the taps of a
// filter, whose outputs are the gradients of the weights.
var WinogradGradient = Recipe{"winogradgradient", "", func(m vec.Machine, _ vec.Element, t Tile) []string {
	f, a := m.Float32(), winograd.NewGradient(t.Cols, t.Rows+1-t.Cols)
	gradient, weights := fmt.Sprintf("WinogradGradient%dx%d", t.Rows, t.Cols), fmt.Sprintf("WinogradWeights%dx%d", t.Rows, t.Cols)
	winogradGradient(m, f, gradient, a)
	winogradWeights(m, f, weights, a)
	return []string{gradient, weights}
}}

func winogradGradient(m vec.Core, f vec.Float32, name string, a *winograd.Algorithm) {
	n := a.N()
	m.Func(name, "func(dst, src *float32, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile int)",
		fmt.Sprintf("%s transforms the gradients of a row of tiles, %d×%d pixels each; with the", name, a.R, a.R),
		fmt.Sprintf("matrix G of winograd.NewGradient(%d, %d) it equals, but for rounding,", a.M, a.R),
		"",
		"	for t := range tiles {",
		"		for c := range channels {",
		fmt.Sprintf("			for i := range %d {", n),
		fmt.Sprintf("				for j := range %d {", n),
		fmt.Sprintf("					dst[(i*%d+j)*dstMatrix+t*dstTile+c] = Σ G[i][k]*G[j][l]*src[k*srcRow+l*srcPixel+t*srcTile+c] // over k, l", n),
		"				}",
		"			}",
		"		}",
		"	}")
	t := transform{name: "G", program: opposites{a.G, newSplats(m, f, a.G)}}
	src, dst := m.Arg("src"), m.Arg("dst")
	srcRow, srcPixel := distances(m, f, "srcRow", "srcPixel")
	dstMatrix := distance(m, f, "dstMatrix")
	in, out := m.Rows("in row", srcRow, a.R), m.Rows("out", dstMatrix, n)
	eachTile(m, []cursor{{src, "srcTile", f}, {dst, "dstTile", f}}, func() {}, func() {
		eachVector(m, vectors(m, f, "channels"), []vec.R{src, dst}, func() {
			t.bothSides(m, a.R, columns(m, in, src, srcPixel), matrices(m, out, dst, dstMatrix, n))
		})
	})
	m.Return()
}

func winogradWeights(m vec.Core, f vec.Float32, name string, a *winograd.Algorithm) {
	n := a.N()
	m.Func(name, "func(dst, src *float32, tiles, channels, srcMatrix, srcTile, dstMatrix, dstTile int, scale float32)",
		fmt.Sprintf("%s transforms sums of products to the gradients of %d×%d weights", name, a.M, a.M),
		fmt.Sprintf("each; with the matrix AT of winograd.NewGradient(%d, %d) it equals, but for rounding,", a.M, a.R),
		"",
		"	for t := range tiles {",
		"		for c := range channels {",
		fmt.Sprintf("			for i := range %d {", a.M),
		fmt.Sprintf("				for j := range %d {", a.M),
		fmt.Sprintf("					sum := Σ AT[i][k]*AT[j][l]*src[(k*%d+l)*srcMatrix+t*srcTile+c] // over k, l", n),
		fmt.Sprintf("					dst[(i*%d+j)*dstMatrix+t*dstTile+c] = sum * scale", a.M),
		"				}",
		"			}",
		"		}",
		"	}")
	splats := newSplats(m, f, a.AT, "scale")
	t := transform{name: "AT", program: powers{a.AT, splats}, single: splats.few()} // there are more factors than registers for two rows
	src, dst := m.Arg("src"), m.Arg("dst")
	srcMatrix, dstMatrix := distances(m, f, "srcMatrix", "dstMatrix")
	down := vec.Named(m, fmt.Sprintf("%d·srcMatrix", n), m.Int(0)) // from row to row of a column of the tile
	m.AddMulTo(down, srcMatrix, n)
	in, out := m.Rows("in row", down, n), m.Rows("out", dstMatrix, a.M)
	eachTile(m, []cursor{{src, "srcTile", f}, {dst, "dstTile", f}}, func() {}, func() {
		eachVector(m, vectors(m, f, "channels"), []vec.R{src, dst}, func() {
			store := matrices(m, out, dst, dstMatrix, a.M)
			t.bothSides(m, n, columns(m, in, src, srcMatrix), func(i int) func(j int, v vec.V) {
				store := store(i)
				return func(j int, v vec.V) {
					f.MulBy(v, splats.param("scale"))
					store(j, v)
				}
			})
		})
	})
	m.Return()
}
