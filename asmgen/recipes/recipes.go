// Package recipes describes the kernels, one family per file, each once for all
// instruction sets: a recipe drives a vec.Machine and never names an instruction.
package recipes

import "firebench/asmgen/vec"

// A Tile is the part of an output that a kernel computes at a time: for
// convolutions Rows pixels × Cols channels. Families without a tile leave it zero.
type Tile struct{ Rows, Cols int }

// A Recipe is one kernel family.
type Recipe struct {
	File string // of this package, named in the generated headers; also the generated files' name
	// Table is the signature of the tile's functions if they do the same for different
	// heights: it asks for a list of them.
	Table string
	// Emit writes the family's functions for a tile and returns their names.
	Emit func(m vec.Machine, t Tile) []string
}
