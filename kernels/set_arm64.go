//go:build arm64 && !purego

package kernels

import (
	"firebench/kernels/neon"
	"firebench/kernels/neondotprod"
)

// peakFMAs is the number of vector multiply-adds in a round of FMAPeak, and of QMACPeak.
const peakFMAs = 24

// NEON has one tile only. There is no narrow one of one vector: a core that issues either a
// load or a multiply-add at a time would spend a third of its time on loads, and no layer of the
// networks would use it.
var (
	neonConv        = Tile[ConvFunc]{8, neon.ConvX8[:]}
	neonRowConv     = Tile[RowConvFunc]{8, neon.RowConvX8[:]}
	neonBatchMatMul = Tile[BatchMatMulFunc]{8, neon.BatchMatMulX8[:]}

	neonQConv        = Tile[QConvFunc]{8, neon.QConvX8[:]}
	neonDotProdQConv = Tile[QConvFunc]{8, neondotprod.QConvX8[:]}
	neonQBatchMatMul = Tile[QBatchMatMulFunc]{8, neon.QBatchMatMulX8[:]}
)

var neonSet = Set{ISA: NEON, F32: &F32{
	Lanes:                4,
	Conv:                 Tiles[ConvFunc]{neonConv, neonConv, 1},
	RowConv:              Tiles[RowConvFunc]{neonRowConv, neonRowConv, 1},
	BatchMatMul:          Tiles[BatchMatMulFunc]{neonBatchMatMul, neonBatchMatMul, 1},
	WeightGradient:       alone(Tile[WeightGradientFunc]{8, neon.WeightGradientX8[:]}),
	PackSum:              neon.PackSum,
	SpMM:                 Tile[SpMMFunc]{4, neon.SpMMX4[:]},
	SpMMAdd:              neon.SpMMAddX4[:],
	Transpose:            neon.Transpose,
	TransposeSide:        4,
	F16Conv:              alone(Tile[WConvFunc[uint16]]{16, neon.F16ConvX16[:]}),
	S8Conv:               alone(Tile[WConvFunc[int8]]{16, neon.S8ConvX16[:]}),
	MaxPool3x3s2:         neon.MaxPool3x3s2,
	MaxPool:              neon.MaxPool,
	AvgPool:              neon.AvgPool,
	Add:                  neon.Add,
	ReLU:                 neon.ReLU,
	LRNSquare:            neon.LRNSquare,
	LRN:                  neon.LRN,
	Mul:                  neon.Mul,
	ReLUGradient:         neon.ReLUGradient,
	MaxPoolGradient:      neon.MaxPoolGradient,
	AvgPoolGradient:      neon.AvgPoolGradient,
	LRNTerms:             neon.LRNTerms,
	LRNGradient:          neon.LRNGradient,
	SpaceToDepth:         neon.SpaceToDepth,
	MaxPool3x3s2Gradient: neon.MaxPool3x3s2Gradient,
	Winograd: [6]Transforms{
		3: {4, neon.WinogradInput6, neon.WinogradOutput6x4},
		4: {5, neon.WinogradInput8, neon.WinogradOutput8x5},
		5: {4, neon.WinogradInput8, neon.WinogradOutput8x4},
	},
	WinogradGradient: GradientTransforms{neon.WinogradGradient6x3, neon.WinogradWeights6x3},
	FMAPeak:          neon.FMAPeak,
	PeakFMAs:         peakFMAs * 4,
	ReadPeak:         neon.ReadPeak,
}, U8: &U8{
	Lanes:        4,
	Input:        8,
	Bytes:        32,
	Conv:         Tiles[QConvFunc]{neonQConv, neonQConv, 1},
	BatchMatMul:  Tiles[QBatchMatMulFunc]{neonQBatchMatMul, neonQBatchMatMul, 1},
	Gather:       neon.GatherWiden,
	Widen:        neon.Widen,
	SpaceToDepth: neon.QSpaceToDepth,
	MaxPool3x3s2: neon.QMaxPool3x3s2,
	MaxPool:      neon.QMaxPool,
	AvgPool:      neon.QAvgPool,
	Add:          neon.QAdd,
	Clamp:        neon.QClamp,
	Quantize:     neon.Quantize,
	Dequantize:   neon.Dequantize,
	Winograd: [6]QTransforms{
		3: {4, neon.QWinogradInput6, neon.QWinogradOutput6x4},
		4: {3, neon.QWinogradInput6, neon.QWinogradOutput6x3},
	},
	MACPeak:  neon.QMACPeak,
	PeakMACs: peakFMAs * 4,
}}

var neonDotProdSet = Set{ISA: NEONDotProd, F32: neonSet.F32, U8: &U8{
	Lanes:        4,
	Input:        8,
	Bytes:        32,
	Conv:         Tiles[QConvFunc]{neonDotProdQConv, neonDotProdQConv, 4},
	BatchMatMul:  Tiles[QBatchMatMulFunc]{neonQBatchMatMul, neonQBatchMatMul, 1},
	Gather:       neon.Gather,
	Offset:       128,
	SpaceToDepth: neon.QSpaceToDepth,
	MaxPool3x3s2: neon.QMaxPool3x3s2,
	MaxPool:      neon.QMaxPool,
	AvgPool:      neon.QAvgPool,
	Add:          neon.QAdd,
	Clamp:        neon.QClamp,
	Quantize:     neon.Quantize,
	Dequantize:   neon.Dequantize,
	Winograd:     neonSet.U8.Winograd,
	MACPeak:      neondotprod.QMACPeak,
	PeakMACs:     peakFMAs * 4 * 4,
}}
