package main

import (
	"firebench/asmgen/amd64"
	"firebench/asmgen/arm64"
	"firebench/asmgen/recipes"
	"firebench/asmgen/vec"
)

// catalog is the only list of kernels. A row stands for one kernel of every family in it,
// reading values (weights, where they alone are not float32) of one type, on every instruction set in it; a package of generated files is all that rows say of its
// name.
var catalog = []row{
	// Tiles, each for convolutions, with all rows of weights and with some, for batches of matrix products, and for
	// the gradient of weights.
	{sums, vec.F32, recipes.Tile{Rows: 6, Cols: 16}, isas{"avx2"}},
	{sums, vec.F32, recipes.Tile{Rows: 14, Cols: 8}, isas{"avx2"}},
	{sums, vec.F32, recipes.Tile{Rows: 14, Cols: 32}, isas{"avx512"}},
	{sums, vec.F32, recipes.Tile{Rows: 28, Cols: 16}, isas{"avx512"}},
	{sums, vec.F32, recipes.Tile{Rows: 8, Cols: 8}, isas{"neon"}},

	// Convolutions with weights of fewer bytes, which few pixels share: the tiles are low, and as wide as it
	// takes for sums that do not wait for each other.
	{families{recipes.F16Conv}, vec.F16, recipes.Tile{Rows: 2, Cols: 32}, isas{"avx2"}},
	{families{recipes.S8Conv}, vec.S8, recipes.Tile{Rows: 2, Cols: 32}, isas{"avx2"}},
	{families{recipes.F16Conv}, vec.F16, recipes.Tile{Rows: 2, Cols: 64}, isas{"avx512"}},
	{families{recipes.S8Conv}, vec.S8, recipes.Tile{Rows: 2, Cols: 64}, isas{"avx512"}},
	{families{recipes.F16Conv}, vec.F16, recipes.Tile{Rows: 2, Cols: 16}, isas{"neon"}},
	{families{recipes.S8Conv}, vec.S8, recipes.Tile{Rows: 2, Cols: 16}, isas{"neon"}},

	// Their like for quantized values.
	{qsums, vec.S16, recipes.Tile{Rows: 6, Cols: 16}, isas{"avx2"}},
	{qsums, vec.S16, recipes.Tile{Rows: 14, Cols: 8}, isas{"avx2"}},
	{qsums, vec.S16, recipes.Tile{Rows: 14, Cols: 32}, isas{"avx512"}},
	{qsums, vec.S16, recipes.Tile{Rows: 28, Cols: 16}, isas{"avx512"}},
	{families{recipes.QConv}, vec.U8, recipes.Tile{Rows: 14, Cols: 32}, isas{"avx512vnni"}},
	{families{recipes.QConv}, vec.U8, recipes.Tile{Rows: 28, Cols: 16}, isas{"avx512vnni"}},
	{families{recipes.QBatchMatMul}, vec.S16, recipes.Tile{Rows: 14, Cols: 32}, isas{"avx512vnni"}},
	{families{recipes.QBatchMatMul}, vec.S16, recipes.Tile{Rows: 28, Cols: 16}, isas{"avx512vnni"}},
	{qsums, vec.S16, recipes.Tile{Rows: 8, Cols: 8}, isas{"neon"}},
	{families{recipes.QConv}, vec.U8, recipes.Tile{Rows: 8, Cols: 8}, isas{"neondotprod"}},

	// Products of sparse matrices: vectors in a row of the dense one, lanes in a vector.
	{spmms, vec.F32, recipes.Tile{Rows: 8, Cols: 8}, isas{"avx2"}},
	{spmms, vec.F32, recipes.Tile{Rows: 4, Cols: 16}, isas{"avx512"}},
	{spmms, vec.F32, recipes.Tile{Rows: 16, Cols: 4}, isas{"neon"}},
	{families{recipes.Transpose}, vec.F32, recipes.Tile{}, isas{"avx2", "neon"}},

	// Winograd's transforms: inputs of a tile, outputs of a tile.
	{families{recipes.WinogradInput}, vec.F32, recipes.Tile{Rows: 6, Cols: 6}, all},
	{families{recipes.WinogradInput}, vec.F32, recipes.Tile{Rows: 8, Cols: 8}, all},
	{families{recipes.Winograd}, vec.F32, recipes.Tile{Rows: 6, Cols: 4}, all},
	{families{recipes.Winograd}, vec.F32, recipes.Tile{Rows: 8, Cols: 5}, all},
	{families{recipes.Winograd}, vec.F32, recipes.Tile{Rows: 8, Cols: 4}, all},
	{families{recipes.WinogradGradient}, vec.F32, recipes.Tile{Rows: 6, Cols: 3}, all},
	{families{recipes.QWinogradInput}, vec.U8, recipes.Tile{Rows: 6, Cols: 6}, isas{"avx2", "neon"}},
	{families{recipes.QWinograd}, vec.U8, recipes.Tile{Rows: 6, Cols: 4}, all},
	{families{recipes.QWinograd}, vec.U8, recipes.Tile{Rows: 6, Cols: 3}, all},

	// Families without a tile.
	{families{
		recipes.MaxPool3x3s2, recipes.Window, recipes.Elementwise, recipes.LRN, recipes.SpaceToDepth, recipes.PackSum, recipes.Peak,
		recipes.PoolGradient, recipes.LRNGradient,
	}, vec.F32, recipes.Tile{}, all},
	{families{recipes.QPool, recipes.QElementwise}, vec.U8, recipes.Tile{}, isas{"avx2", "neon"}},
	{families{recipes.Widen, recipes.Gather, recipes.QSpaceToDepth}, vec.U8, recipes.Tile{}, isas{"avx2", "neon"}},
	{families{recipes.QPeak}, vec.S16, recipes.Tile{}, isas{"avx2", "avx512", "neon"}},
	{families{recipes.QPeak}, vec.U8, recipes.Tile{}, isas{"avx512vnni", "neondotprod"}},
}

type (
	row struct {
		families families
		element  vec.Element
		tile     recipes.Tile
		isas     isas
	}
	families []recipes.Recipe
	isas     []string // packages under kernels
)

var (
	sums  = families{recipes.Conv, recipes.RowConv, recipes.BatchMatMul, recipes.WeightGradient}
	spmms = families{recipes.SpMM, recipes.SpMMAdd}
	qsums = families{recipes.QConv, recipes.QBatchMatMul}
	all   = isas{"avx2", "avx512", "neon"}
)

// A target is an instruction set's back end.
type target struct {
	arch string // GOARCH, the suffix of the file names
	new  func(constraint string) printer
}

// A printer is a Machine that can print what it has been told to emit.
type printer interface {
	vec.Machine
	Print(generator, pkg string) (asm, stubs []byte, err error)
}

var targets = map[string]target{
	"avx2":        {"amd64", func(c string) printer { return amd64.New(amd64.AVX2, c) }},
	"avx512":      {"amd64", func(c string) printer { return amd64.New(amd64.AVX512, c) }},
	"avx512vnni":  {"amd64", func(c string) printer { return amd64.New(amd64.AVX512VNNI, c) }},
	"neon":        {"arm64", func(c string) printer { return arm64.New(arm64.NEON, c) }},
	"neondotprod": {"arm64", func(c string) printer { return arm64.New(arm64.NEONDotProd, c) }},
}
