package recipes

import "firebench/asmgen/vec"

// LRN is local response normalization across channels with the exponent 0.75, in
// two passes over a row: squares first, because sums over neighbouring channels
// need them at every alignment. Square roots and division are exact on every
// machine; approximations would differ between them.
var LRN = Recipe{"lrn", "", func(m vec.Machine, _ Tile) []string {
	m.Func("LRNSquare", "func(dst, src *float32, pixels, channels, srcPixel, dstPixel int)",
		"LRNSquare squares the channels of a row of pixels; it equals",
		"",
		"	for p := range pixels {",
		"		for c := range channels {",
		"			dst[p*dstPixel+c] = src[p*srcPixel+c] * src[p*srcPixel+c]",
		"		}",
		"	}")
	dst, src := m.Int("dst"), m.Int("src")
	srcPixel, dstPixel := m.Int("srcPixel"), m.Int("dstPixel")
	m.Bytes(srcPixel)
	m.Bytes(dstPixel)
	m.LoopParam("pixel", "pixels", func() {
		x := m.ZeroInt()
		n := m.Int("channels")
		m.Vectors(n)
		m.Loop("channel", n, func() {
			v := m.LoadX(src, x)
			m.Mul(v, v)
			m.StoreX(v, dst, x)
			m.AddVectors(x, 1)
		})
		m.AddInt(src, srcPixel)
		m.AddInt(dst, dstPixel)
	})
	m.Return()

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
	dst, src = m.Int("dst"), m.Int("src")
	squares := m.Int("squares")
	srcPixel, dstPixel = m.Int("srcPixel"), m.Int("dstPixel")
	m.Bytes(srcPixel)
	m.Bytes(dstPixel)
	squaresPixel := m.Int("squaresPixel")
	m.Bytes(squaresPixel)
	scale, k := m.Splat("scale"), m.Splat("k")
	m.LoopParam("pixel", "pixels", func() {
		x := m.ZeroInt()
		n := m.Int("channels")
		m.Vectors(n)
		m.Loop("channel", n, func() {
			sum := m.Zero()
			q := m.CopyInt(squares)
			size := m.Int("size")
			m.Loop("neighbour", size, func() {
				m.Add(sum, m.LoadX(q, x))
				m.AddFloats(q, 1)
			})
			d := m.Copy(k)
			m.MulAdd(d, scale, sum)
			root := m.Sqrt(d)
			m.Mul(root, m.Sqrt(root))
			y := m.LoadX(src, x)
			m.Div(y, root)
			m.StoreX(y, dst, x)
			m.AddVectors(x, 1)
		})
		m.AddInt(src, srcPixel)
		m.AddInt(dst, dstPixel)
		m.AddInt(squares, squaresPixel)
	})
	m.Return()
	return []string{"LRNSquare", "LRN"}
}}
