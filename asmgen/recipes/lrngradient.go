package recipes

import "firebench/asmgen/vec"

// LRNGradient is the gradient of local response normalization, in two passes over a row behind LRNSquare: what a
// channel gets of others needs their terms at every alignment.
var LRNGradient = Recipe{"lrngradient", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	lrnTerms(m, m.Float32())
	lrnGradient(m, m.Float32())
	return []string{"LRNTerms", "LRNGradient"}
}}

func lrnTerms(m vec.Core, f vec.Float32) {
	m.Func("LRNTerms", "func(dst, terms, src, grad, squares *float32, pixels, channels, dstPixel, srcPixel, gradPixel, squaresPixel, size int, scale, k float32)",
		"LRNTerms begins the gradient of LRN for a row of pixels; it equals",
		"",
		"	for p := range pixels {",
		"		for c := range channels {",
		"			sum := float32(0)",
		"			for j := range size {",
		"				sum += squares[p*squaresPixel+c+j]",
		"			}",
		"			d := fma(scale, sum, k)",
		"			dst[p*dstPixel+c] = grad[p*gradPixel+c] / (sqrt(d) * sqrt(sqrt(d)))",
		"			terms[p*squaresPixel+c] = src[p*srcPixel+c] * dst[p*dstPixel+c] / d",
		"		}",
		"	}")
	dst, terms := m.Arg("dst"), m.Arg("terms")
	src, grad, squares := m.Arg("src"), m.Arg("grad"), m.Arg("squares")
	dstPixel, srcPixel := distances(m, f, "dstPixel", "srcPixel")
	gradPixel, squaresPixel := distances(m, f, "gradPixel", "squaresPixel")
	scale, k := f.SplatArg("scale"), f.SplatArg("k")
	eachPixel(m, []step{{dst, dstPixel, 1}, {terms, squaresPixel, 1}, {src, srcPixel, 1}, {grad, gradPixel, 1}, {squares, squaresPixel, 1}}, func() {
		x := vec.Named(m, "channel", m.Int(0))
		eachVector(m, vectors(m, f, "channels"), []vec.R{x}, func() {
			sum := neighbours(m, f, squares, x, "square")
			m.Comment("Divide by the power 3/4, the root times its own root, and by the power itself")
			d := vec.Named(m, "d", m.Copy(k))
			f.AddMulTo(d, scale, sum)
			root := vec.Named(m, "root", f.Sqrt(d))
			f.MulBy(root, f.Sqrt(root))
			g := m.LoadAt(grad, x)
			f.DivBy(g, root)
			m.StoreAt(g, dst, x)
			f.MulBy(g, m.LoadAt(src, x))
			f.DivBy(g, d)
			m.StoreAt(g, terms, x)
		})
	})
	m.Return()
}

func lrnGradient(m vec.Core, f vec.Float32) {
	m.Func("LRNGradient", "func(dst, src, terms *float32, pixels, channels, dstPixel, srcPixel, termsPixel, size int, factor float32)",
		"LRNGradient subtracts what each channel changes of those around it; it equals",
		"",
		"	for p := range pixels {",
		"		for c := range channels {",
		"			sum := float32(0)",
		"			for j := range size {",
		"				sum += terms[p*termsPixel+c+j]",
		"			}",
		"			dst[p*dstPixel+c] = fma(-float32(src[p*srcPixel+c]*factor), sum, dst[p*dstPixel+c])",
		"		}",
		"	}")
	dst, src := m.Arg("dst"), m.Arg("src")
	terms := m.Arg("terms")
	dstPixel, srcPixel := distances(m, f, "dstPixel", "srcPixel")
	termsPixel := distance(m, f, "termsPixel")
	factor := f.SplatArg("factor")
	eachPixel(m, []step{{dst, dstPixel, 1}, {src, srcPixel, 1}, {terms, termsPixel, 1}}, func() {
		x := vec.Named(m, "channel", m.Int(0))
		eachVector(m, vectors(m, f, "channels"), []vec.R{x}, func() {
			sum := neighbours(m, f, terms, x, "term")
			m.Comment("Subtract what this channel has in them")
			v := m.LoadAt(src, x)
			f.MulBy(v, factor)
			y := m.LoadAt(dst, x)
			f.SubMulFrom(y, v, sum)
			m.StoreAt(y, dst, x)
		})
	})
	m.Return()
}
