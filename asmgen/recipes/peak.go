package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// peakFMAs is the number of vector multiply-adds in a round of FMAPeak: more than
// the two pipes × five cycles of latency of any core with wide vectors known so far,
// and few enough for sixteen registers. Cores with narrow vectors have up to four
// pipes × four cycles.
func peakFMAs(m vec.Machine) int {
	if m.Lanes() == 4 {
		return 24
	}
	return 12
}

// Peak measures the machine: FMAPeak its arithmetic, ReadPeak its memory.
var Peak = Recipe{"peak", "", func(m vec.Machine, _ Tile) []string {
	m.Func("FMAPeak", "func(n int)",
		fmt.Sprintf("FMAPeak runs n rounds, n >= 1, of %d independent multiply-adds of vectors in", peakFMAs(m)),
		"registers, all zero.")
	n := m.Int("n")
	x := m.Zero()
	acc := make([]vec.V, peakFMAs(m))
	for i := range acc {
		acc[i] = m.Copy(x)
	}
	m.Loop("round", n, func() {
		for _, a := range acc {
			m.MulAdd(a, x, x)
		}
	})
	m.Return()

	const vectors, sums = 16, 8
	m.Func("ReadPeak", "func(dst, src *float32, n int)",
		"ReadPeak adds n values up; with L lanes in a vector it equals",
		"",
		"	for i := range n {",
		"		dst[i%L] += src[i] // from 0, in an order of its own",
		"	}",
		"",
		fmt.Sprintf("n is a positive multiple of %d·L.", vectors))
	dst, src := m.Int("dst"), m.Int("src")
	blocks := m.Int("n")
	m.Vectors(blocks)
	m.Halve(blocks, 4)
	acc = acc[:sums]
	for i := range acc {
		acc[i] = m.Zero()
	}
	m.Loop("block", blocks, func() {
		for v := range vectors {
			m.Add(acc[v%sums], m.Load(src, v))
		}
		m.AddVectors(src, vectors)
	})
	for i := 1; i < sums; i++ {
		m.Add(acc[0], acc[i])
	}
	m.Store(acc[0], dst, 0)
	m.Return()
	return []string{"FMAPeak", "ReadPeak"}
}}
