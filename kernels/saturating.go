package kernels

import "firebench/kernels/scalar"

// Saturating returns a set that is no good but for comparison: it computes what software computes whose
// quantized convolutions multiply by VPMADDUBSW, such as ONNX Runtime on AVX2 without VNNI. That
// instruction adds the products of two neighbouring inputs, in the order kernel row, kernel column,
// channel, and limits each such sum to 16 bits without a word, though it may be as large as
// ±2·255·128. All other sums are exact. Everything but the convolutions is that of set.
//
// It is emulated by portable code, and never chosen: For and Best do not know it.
func Saturating(set *Set) *Set {
	tile := Tile[QConvFunc]{4, []QConvFunc{scalar.QConvSaturating1x4}}
	u8 := *set.U8
	u8.Lanes = 1
	u8.Conv = Tiles[QConvFunc]{tile, tile, 1}
	u8.Offset = 0
	u8.AnyProduct = true
	u8.Widen = nil
	u8.Gather = nil // which would change what neighbours are
	u8.Winograd = [6]QTransforms{}
	return &Set{ISA: set.ISA, F32: set.F32, U8: &u8}
}
