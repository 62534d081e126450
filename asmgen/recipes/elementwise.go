package recipes

import "firebench/asmgen/vec"

// Elementwise is Add, the residual connection, and ReLU.
var Elementwise = Recipe{"elementwise", "", func(m vec.Machine, _ Tile) []string {
	const unroll = 4

	m.Func("Add", "func(dst, a, b *float32, n int, lo float32)",
		"Add adds two tensors; it equals",
		"",
		"	for i := range n {",
		"		dst[i] = max(a[i]+b[i], lo)",
		"	}")
	dst, a, b := m.Int("dst"), m.Int("a"), m.Int("b")
	lo := m.Splat("lo")
	n := m.Int("n")
	m.Vectors(n)
	m.Steps("vector", n, unroll, func(n int) {
		for v := range n {
			x := m.Load(a, v)
			m.Add(x, m.Load(b, v))
			m.Max(x, lo)
			m.Store(x, dst, v)
		}
		m.AddVectors(a, n)
		m.AddVectors(b, n)
		m.AddVectors(dst, n)
	})
	m.Return()

	m.Func("ReLU", "func(dst, src *float32, n int)",
		"ReLU clears what is negative and keeps NaN; it equals",
		"",
		"	for i := range n {",
		"		dst[i] = max(src[i], 0)",
		"	}")
	dst, src := m.Int("dst"), m.Int("src")
	zero := m.Zero()
	n = m.Int("n")
	m.Vectors(n)
	m.Steps("vector", n, unroll, func(n int) {
		for v := range n {
			x := m.Load(src, v)
			m.Max(x, zero)
			m.Store(x, dst, v)
		}
		m.AddVectors(src, n)
		m.AddVectors(dst, n)
	})
	m.Return()
	return []string{"Add", "ReLU"}
}}
