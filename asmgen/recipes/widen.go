package recipes

import "firebench/asmgen/vec"

// Widen makes the inputs of QConv where they are int16.
var Widen = Recipe{"widen", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	i, u := m.Int16(), m.Uint8()
	m.Func("Widen", "func(dst *int16, src *uint8, n int)",
		"Widen makes int16 values of uint8 values; it equals",
		"",
		"	for i := range n {",
		"		dst[i] = int16(src[i])",
		"	}")
	dst, src := m.Arg("dst"), m.Arg("src")
	m.Loop("block", "For each block of two vectors of outputs", vectors(m, u, "n"), func() {
		for v := range 2 {
			m.Store(i.Widen(src, v), dst, v)
		}
		m.SkipVectors(src, 1)
		m.SkipVectors(dst, 2)
	})
	m.Return()
	return []string{"Widen"}
}}
