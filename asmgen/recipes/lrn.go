package recipes

import "firebench/asmgen/vec"

// LRN is local response normalization across channels with the exponent 0.75, in
// two passes over a row: squares first, because sums over neighbouring channels
// need them at every alignment. Square roots and division are exact on every
// machine; approximations would differ between them.
var LRN = Recipe{"lrn", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	lrnSquare(m, m.Float32())
	lrn(m, m.Float32())
	return []string{"LRNSquare", "LRN"}
}}

func lrnSquare(m vec.Core, f vec.Float32) {
	m.Func("LRNSquare", "func(dst, src *float32, pixels, channels, srcPixel, dstPixel int)",
		"LRNSquare squares the channels of a row of pixels; it equals",
		"",
		"	for p := range pixels {",
		"		for c := range channels {",
		"			dst[p*dstPixel+c] = src[p*srcPixel+c] * src[p*srcPixel+c]",
		"		}",
		"	}")
	dst, src := m.Arg("dst"), m.Arg("src")
	srcPixel, dstPixel := distances(m, f, "srcPixel", "dstPixel")
	eachPixel(m, []step{{src, srcPixel, 1}, {dst, dstPixel, 1}}, func() {
		x := vec.Named(m, "channel", m.Int(0))
		eachVector(m, vectors(m, f, "channels"), []vec.R{x}, func() {
			v := m.LoadAt(src, x)
			f.MulBy(v, v)
			m.StoreAt(v, dst, x)
		})
	})
	m.Return()
}

func lrn(m vec.Core, f vec.Float32) {
	m.Func("LRN", "func(dst, src, squares *float32, pixels, channels, srcPixel, dstPixel, squaresPixel, size int, scale, k float32)",
		"LRN normalizes a row of pixels; it equals",
		"",
		"	for p := range pixels {",
		"		for c := range channels {",
		"			sum := float32(0)",
		"			for j := range size {",
		"				sum += squares[p*squaresPixel+c+j]",
		"			}",
		"			d := fma(scale, sum, k)",
		"			dst[p*dstPixel+c] = src[p*srcPixel+c] / (sqrt(d) * sqrt(sqrt(d)))",
		"		}",
		"	}")
	dst, src := m.Arg("dst"), m.Arg("src")
	squares := m.Arg("squares")
	srcPixel, dstPixel := distances(m, f, "srcPixel", "dstPixel")
	squaresPixel := distance(m, f, "squaresPixel")
	scale, k := f.SplatArg("scale"), f.SplatArg("k")
	eachPixel(m, []step{{src, srcPixel, 1}, {dst, dstPixel, 1}, {squares, squaresPixel, 1}}, func() {
		x := vec.Named(m, "channel", m.Int(0))
		eachVector(m, vectors(m, f, "channels"), []vec.R{x}, func() {
			sum := neighbours(m, f, squares, x, "square")
			m.Comment("Divide by the power 3/4: the root times its own root")
			d := vec.Named(m, "d", m.Copy(k))
			f.AddMulTo(d, scale, sum)
			root := vec.Named(m, "root", f.Sqrt(d))
			f.MulBy(root, f.Sqrt(root))
			y := m.LoadAt(src, x)
			f.DivBy(y, root)
			m.StoreAt(y, dst, x)
		})
	})
	m.Return()
}

// neighbours adds up as many neighbouring channels as the argument size says, from address p + x on. what is
// what p has of each.
func neighbours(m vec.Core, f vec.Float32, p, x vec.R, what string) vec.V {
	sum := vec.Named(m, "sum", m.Zero())
	q := vec.Named(m, "neighbour", m.CopyInt(p))
	m.Loop("neighbour", "For each neighbouring channel: add its "+what, m.Arg("size"), func() {
		f.AddTo(sum, m.LoadAt(q, x))
		f.Skip(q, 1)
	})
	return sum
}
