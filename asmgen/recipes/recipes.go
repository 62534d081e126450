// Package recipes describes the kernels, one family per file, each once for all
// instruction sets: a recipe drives a vec.Machine and never names an instruction.
package recipes

import "firebench/asmgen/vec"

// A Tile is the part of an output that a kernel computes at a time: for sums of
// products Rows × Cols of them, for Winograd's transforms the sides of its inputs and
// its outputs. Families without a tile leave it zero.
type Tile struct{ Rows, Cols int }

// A Recipe is one kernel family.
type Recipe struct {
	File string // of this package, named in the generated headers; also the generated files' name
	// Table is the signature of the tile's functions if they do the same for different
	// heights: it asks for a list of them.
	Table string
	// Emit writes the family's functions for a tile and returns their names. e is what the
	// values are that it reads.
	Emit func(m vec.Machine, e vec.Element, t Tile) []string
}

// narrow reports whether vectors are of the size that the smallest cores have, too.
func narrow(m vec.Vectors) bool { return m.Size() <= 16 }

// distance loads an argument that counts values, in bytes: addresses count bytes.
func distance(m vec.Functions, e vec.Elements, param string) vec.R {
	d := m.Arg(param)
	e.ToBytes(d)
	return d
}

// distances loads two of them.
func distances(m vec.Functions, e vec.Elements, a, b string) (vec.R, vec.R) {
	x, y := m.Arg(a), m.Arg(b)
	e.ToBytes(x)
	e.ToBytes(y)
	return x, y
}

// vectors loads an argument that counts values, in vectors.
func vectors(m vec.Functions, e vec.Elements, param string) vec.R {
	n := m.Arg(param)
	e.ToVectors(n)
	return n
}

// A step moves a pointer on by n distances.
type step struct {
	p, distance vec.R
	n           int
}

// eachPixel walks along a row, for as many pixels as the argument says: after each the
// pointers step on to the next.
func eachPixel(m vec.Core, steps []step, body func()) {
	m.LoopArg("pixel", "For each pixel of the row", "pixels", func() {
		body()
		m.Comment("On to the next pixel")
		for _, s := range steps {
			m.AddMulTo(s.p, s.distance, s.n)
		}
	})
}

// eachVector walks along the channels of a pixel, n vectors: after each the pointers, or
// distances from them, skip it.
func eachVector(m vec.Core, n vec.R, pointers []vec.R, body func()) {
	m.Loop("vector", "For each vector of channels", n, func() {
		body()
		for _, p := range pointers {
			m.SkipVectors(p, 1)
		}
	})
}

// eachBlock walks along n vectors, as many at a time as unroll says while they last.
func eachBlock(m vec.Core, n vec.R, unroll int, pointers []vec.R, body func(n int)) {
	m.Steps("vector", "For each vector", n, unroll, func(n int) {
		body(n)
		for _, p := range pointers {
			m.SkipVectors(p, n)
		}
	})
}
