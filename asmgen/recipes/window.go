package recipes

import "firebench/asmgen/vec"

// Window is the general pooling, one window of any size a call: MaxPool and
// AvgPool, which is also the global one.
var Window = Recipe{"window", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	maxPool(m, m.Float32(), "MaxPool", "float32")
	avgPool(m, m.Float32())
	return []string{"MaxPool", "AvgPool"}
}}

// windowUnroll is how many vectors of channels are under way at once: enough
// independent chains to hide the latency of an addition.
const windowUnroll = 8

// maxPool emits the function name for values that have the Go type goType.
func maxPool(m vec.Core, e ordered, name, goType string) {
	m.Func(name, "func(dst, src *"+goType+", rows, cols, channels, srcRow, srcPixel int)",
		name+" computes the maximum over one window; it equals",
		"",
		"	for c := range channels {",
		"		top := src[c]",
		"		for i := range rows {",
		"			for j := range cols {",
		"				top = max(top, src[i*srcRow+j*srcPixel+c])",
		"			}",
		"		}",
		"		dst[c] = top",
		"	}")
	window(m, e, windowUnroll, fold{
		start: func(n int, src vec.R) []vec.V {
			return each(n, func(v int) vec.V { return m.Load(src, v) })
		},
		step: func(tops []vec.V, pixel vec.R) {
			for v, top := range tops {
				e.MaxWith(top, m.Load(pixel, v))
			}
		},
		end: func(tops []vec.V, dst vec.R) {
			for v, top := range tops {
				m.Store(top, dst, v)
			}
		},
	})
}

func avgPool(m vec.Core, f vec.Float32) {
	m.Func("AvgPool", "func(dst, src *float32, rows, cols, channels, srcRow, srcPixel int, scale float32)",
		"AvgPool computes the scaled sum over one window; it equals",
		"",
		"	for c := range channels {",
		"		sum := float32(0)",
		"		for i := range rows {",
		"			for j := range cols {",
		"				sum += src[i*srcRow+j*srcPixel+c]",
		"			}",
		"		}",
		"		dst[c] = sum * scale",
		"	}")
	window(m, f, windowUnroll, fold{
		start: func(n int, _ vec.R) []vec.V {
			return each(n, func(int) vec.V { return m.Zero() })
		},
		step: func(sums []vec.V, pixel vec.R) {
			for v, sum := range sums {
				f.AddTo(sum, m.Load(pixel, v))
			}
		},
		end: func(sums []vec.V, dst vec.R) {
			scale := f.SplatArg("scale")
			for _, sum := range sums {
				f.MulBy(sum, scale)
			}
			for v, sum := range sums {
				m.Store(sum, dst, v)
			}
		},
	})
}

// A fold is what window does with the pixels of a window, for n vectors of channels.
type fold struct {
	start func(n int, src vec.R) []vec.V     // the results before the first pixel, where src points to
	step  func(results []vec.V, pixel vec.R) // takes a pixel into them
	end   func(results []vec.V, dst vec.R)   // stores n vectors
}

// each returns the vectors that f makes for 0 to n-1.
func each(n int, f func(i int) vec.V) []vec.V {
	vs := make([]vec.V, n)
	for i := range vs {
		vs[i] = f(i)
	}
	return vs
}

// window is the body of a function that folds the pixels of a window, for unroll vectors of channels
// at a time.
func window(m vec.Core, e vec.Elements, unroll int, f fold) {
	dst := m.Arg("dst")
	src := m.Arg("src")
	srcRow, srcPixel := distance(m, e, "srcRow"), distance(m, e, "srcPixel")
	eachBlock(m, vectors(m, e, "channels"), unroll, []vec.R{src, dst}, func(n int) {
		results := f.start(n, src)
		vec.NameAll(m, "result", results)
		row := vec.Named(m, "row", m.CopyInt(src))
		m.Loop("row", "For each row of the window", m.Arg("rows"), func() {
			pixel := vec.Named(m, "pixel", m.CopyInt(row))
			m.Loop("pixel", "For each pixel of the row", m.Arg("cols"), func() {
				f.step(results, pixel)
				m.AddTo(pixel, srcPixel)
			})
			m.AddTo(row, srcRow)
		})
		m.Comment("These channels are done")
		f.end(results, dst)
	})
	m.Return()
}
