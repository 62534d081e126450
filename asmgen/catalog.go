package main

import (
	"firebench/asmgen/amd64"
	"firebench/asmgen/arm64"
	"firebench/asmgen/recipes"
	"firebench/asmgen/vec"
)

// catalog is the only list of kernels: one row per family, element type, tile and
// instruction set. A package of generated files comes from the rows with its name.
var catalog = []row{
	{"avx2", "f32", recipes.Conv, recipes.Tile{Rows: 6, Cols: 16}},
	{"avx2", "f32", recipes.Conv, recipes.Tile{Rows: 14, Cols: 8}},
	{"avx2", "f32", recipes.Product, recipes.Tile{Rows: 6, Cols: 16}},
	{"avx2", "f32", recipes.Product, recipes.Tile{Rows: 14, Cols: 8}},
	{"avx2", "f32", recipes.MaxPool3x3s2, recipes.Tile{}},
	{"avx2", "f32", recipes.Window, recipes.Tile{}},
	{"avx2", "f32", recipes.Elementwise, recipes.Tile{}},
	{"avx2", "f32", recipes.LRN, recipes.Tile{}},
	{"avx2", "f32", recipes.SpaceToDepth, recipes.Tile{}},
	{"avx2", "f32", recipes.WinogradInput, recipes.Tile{Rows: 6, Cols: 6}},
	{"avx2", "f32", recipes.WinogradInput, recipes.Tile{Rows: 8, Cols: 8}},
	{"avx2", "f32", recipes.Winograd, recipes.Tile{Rows: 6, Cols: 4}},
	{"avx2", "f32", recipes.Winograd, recipes.Tile{Rows: 8, Cols: 5}},
	{"avx2", "f32", recipes.Winograd, recipes.Tile{Rows: 8, Cols: 4}},
	{"avx2", "f32", recipes.Peak, recipes.Tile{}},

	{"avx512", "f32", recipes.Conv, recipes.Tile{Rows: 14, Cols: 32}},
	{"avx512", "f32", recipes.Conv, recipes.Tile{Rows: 28, Cols: 16}},
	{"avx512", "f32", recipes.Product, recipes.Tile{Rows: 14, Cols: 32}},
	{"avx512", "f32", recipes.Product, recipes.Tile{Rows: 28, Cols: 16}},
	{"avx512", "f32", recipes.MaxPool3x3s2, recipes.Tile{}},
	{"avx512", "f32", recipes.Window, recipes.Tile{}},
	{"avx512", "f32", recipes.Elementwise, recipes.Tile{}},
	{"avx512", "f32", recipes.LRN, recipes.Tile{}},
	{"avx512", "f32", recipes.SpaceToDepth, recipes.Tile{}},
	{"avx512", "f32", recipes.WinogradInput, recipes.Tile{Rows: 6, Cols: 6}},
	{"avx512", "f32", recipes.WinogradInput, recipes.Tile{Rows: 8, Cols: 8}},
	{"avx512", "f32", recipes.Winograd, recipes.Tile{Rows: 6, Cols: 4}},
	{"avx512", "f32", recipes.Winograd, recipes.Tile{Rows: 8, Cols: 5}},
	{"avx512", "f32", recipes.Winograd, recipes.Tile{Rows: 8, Cols: 4}},
	{"avx512", "f32", recipes.Peak, recipes.Tile{}},

	{"neon", "f32", recipes.Conv, recipes.Tile{Rows: 8, Cols: 8}},
	{"neon", "f32", recipes.Product, recipes.Tile{Rows: 8, Cols: 8}},
	{"neon", "f32", recipes.MaxPool3x3s2, recipes.Tile{}},
	{"neon", "f32", recipes.Window, recipes.Tile{}},
	{"neon", "f32", recipes.Elementwise, recipes.Tile{}},
	{"neon", "f32", recipes.LRN, recipes.Tile{}},
	{"neon", "f32", recipes.SpaceToDepth, recipes.Tile{}},
	{"neon", "f32", recipes.WinogradInput, recipes.Tile{Rows: 6, Cols: 6}},
	{"neon", "f32", recipes.WinogradInput, recipes.Tile{Rows: 8, Cols: 8}},
	{"neon", "f32", recipes.Winograd, recipes.Tile{Rows: 6, Cols: 4}},
	{"neon", "f32", recipes.Winograd, recipes.Tile{Rows: 8, Cols: 5}},
	{"neon", "f32", recipes.Winograd, recipes.Tile{Rows: 8, Cols: 4}},
	{"neon", "f32", recipes.Peak, recipes.Tile{}},
}

type row struct {
	isa    string // package under kernels
	typ    string // element type
	recipe recipes.Recipe
	tile   recipes.Tile
}

// A target is an instruction set's back end.
type target struct {
	arch string // GOARCH, the suffix of the file names
	new  func(constraint string) printer
}

// A printer is a Machine that can print what it has been told to emit.
type printer interface {
	vec.Machine
	Print(name, pkg string) (asm, stubs []byte, err error)
}

var targets = map[string]target{
	"avx2":   {"amd64", func(c string) printer { return amd64.New(8, c) }},
	"avx512": {"amd64", func(c string) printer { return amd64.New(16, c) }},
	"neon":   {"arm64", func(c string) printer { return arm64.New(c) }},
}
