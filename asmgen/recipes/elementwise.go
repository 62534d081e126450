package recipes

import "firebench/asmgen/vec"

// Elementwise is Add, the residual connection, ReLU and its gradient, and Mul, which is dropout and its gradient.
var Elementwise = Recipe{"elementwise", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	add(m, m.Float32())
	relu(m, m.Float32())
	reluGradient(m, m.Float32())
	mul(m, m.Float32())
	return []string{"Add", "ReLU", "ReLUGradient", "Mul"}
}}

// elementwiseUnroll is how many vectors a round takes, so that what moves pointers and
// counts hardly matters.
const elementwiseUnroll = 4

func add(m vec.Core, f vec.Float32) {
	m.Func("Add", "func(dst, a, b *float32, n int, lower float32)",
		"Add adds two tensors; it equals",
		"",
		"	for i := range n {",
		"		dst[i] = max(a[i]+b[i], lower)",
		"	}")
	dst, a, b := m.Arg("dst"), m.Arg("a"), m.Arg("b")
	lower := f.SplatArg("lower")
	eachBlock(m, vectors(m, f, "n"), elementwiseUnroll, []vec.R{a, b, dst}, func(n int) {
		for v := range n {
			x := m.Load(a, v)
			f.AddTo(x, m.Load(b, v))
			f.MaxWith(x, lower)
			m.Store(x, dst, v)
		}
	})
	m.Return()
}

func relu(m vec.Core, f vec.Float32) {
	m.Func("ReLU", "func(dst, src *float32, n int)",
		"ReLU clears what is negative and keeps NaN; it equals",
		"",
		"	for i := range n {",
		"		dst[i] = max(src[i], 0)",
		"	}")
	raise(m, f, func() vec.V { return vec.Named(m, "zero", m.Zero()) })
}

// raise is the body of a function whose results are at least a bound.
func raise(m vec.Core, e ordered, bound func() vec.V) {
	dst, src := m.Arg("dst"), m.Arg("src")
	lower := bound()
	eachBlock(m, vectors(m, e, "n"), elementwiseUnroll, []vec.R{src, dst}, func(n int) {
		for v := range n {
			x := m.Load(src, v)
			e.MaxWith(x, lower)
			m.Store(x, dst, v)
		}
	})
	m.Return()
}

func mul(m vec.Core, f vec.Float32) {
	m.Func("Mul", "func(dst, a, b *float32, n int)",
		"Mul multiplies two tensors element by element; it equals",
		"",
		"	for i := range n {",
		"		dst[i] = a[i] * b[i]",
		"	}")
	dst, a, b := m.Arg("dst"), m.Arg("a"), m.Arg("b")
	eachBlock(m, vectors(m, f, "n"), elementwiseUnroll, []vec.R{a, b, dst}, func(n int) {
		for v := range n {
			x := m.Load(a, v)
			f.MulBy(x, m.Load(b, v))
			m.Store(x, dst, v)
		}
	})
	m.Return()
}

func reluGradient(m vec.Core, f vec.Float32) {
	m.Func("ReLUGradient", "func(dst, y, grad *float32, n int)",
		"ReLUGradient clears the gradient where the result y is not positive; it equals",
		"",
		"	for i := range n {",
		"		dst[i] = 0",
		"		if y[i] > 0 {",
		"			dst[i] = grad[i]",
		"		}",
		"	}")
	dst, y, grad := m.Arg("dst"), m.Arg("y"), m.Arg("grad")
	zero := vec.Named(m, "zero", m.Zero())
	eachBlock(m, vectors(m, f, "n"), elementwiseUnroll, []vec.R{y, grad, dst}, func(n int) {
		for v := range n {
			m.Store(f.SelectGreater(m.Load(y, v), zero, m.Load(grad, v)), dst, v)
		}
	})
	m.Return()
}
