package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// peakFMAs is the number of vector multiply-adds in a round of FMAPeak: more than
// the two pipes × five cycles of latency of any core with wide vectors known so far,
// and few enough for sixteen registers. Cores with narrow vectors have up to four
// pipes × four cycles.
func peakFMAs(m vec.Vectors) int {
	if narrow(m) {
		return 24
	}
	return 12
}

// Peak measures the machine: FMAPeak its arithmetic, ReadPeak its memory.
var Peak = Recipe{"peak", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	fmaPeak(m, m.Float32())
	readPeak(m, m.Float32())
	return []string{"FMAPeak", "ReadPeak"}
}}

func fmaPeak(m vec.Core, f vec.Float32) {
	m.Func("FMAPeak", "func(n int)",
		fmt.Sprintf("FMAPeak runs n rounds, n >= 1, of %d independent multiply-adds of vectors in", peakFMAs(m)),
		"registers, all zero.")
	peak(m, f)
}

// peak emits the body of a function that does nothing but multiply-adds.
func peak(m vec.Core, f vec.Sums) {
	n := m.Arg("n")
	x := vec.Named(m, "zero", m.Zero())
	sums := make([]vec.V, peakFMAs(m))
	for i := range sums {
		sums[i] = m.Copy(x)
	}
	vec.NameAll(m, "sum", sums)
	m.Loop("round", "For each round: a multiply-add to each sum", n, func() {
		for _, sum := range sums {
			f.AddMulTo(sum, x, x)
		}
	})
	m.Return()
}

func readPeak(m vec.Core, f vec.Float32) {
	const block, chains = 16, 8 // vectors that a round reads, sums that do not wait for each other
	m.Func("ReadPeak", "func(dst, src *float32, n int)",
		"ReadPeak adds n values up; with L lanes in a vector it equals",
		"",
		"	for i := range n {",
		"		dst[i%L] += src[i] // from 0, in an order of its own",
		"	}",
		"",
		fmt.Sprintf("n is a positive multiple of %d·L.", block))
	dst, src := m.Arg("dst"), m.Arg("src")
	blocks := vectors(m, f, "n")
	m.DivBy(blocks, block)
	sums := make([]vec.V, chains)
	for i := range sums {
		sums[i] = m.Zero()
	}
	vec.NameAll(m, "sum", sums)
	m.Loop("block", fmt.Sprintf("For each block of %d vectors", block), blocks, func() {
		for v := range block {
			f.AddTo(sums[v%chains], m.Load(src, v))
		}
		m.SkipVectors(src, block)
	})
	m.Comment("The sum of the sums")
	for _, sum := range sums[1:] {
		f.AddTo(sums[0], sum)
	}
	m.Store(sums[0], dst, 0)
	m.Return()
}
