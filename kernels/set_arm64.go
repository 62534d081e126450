//go:build arm64 && !purego

package kernels

import "firebench/kernels/neon"

// peakFMAs is the number of vector multiply-adds in a round of FMAPeak.
const peakFMAs = 24

// NEON has one tile only. There is no narrow one of one vector: a core that issues either a
// load or a multiply-add at a time would spend a third of its time on loads, and no layer of the
// networks would use it.
var (
	neonConv        = Tile[ConvFunc]{8, neon.ConvX8[:]}
	neonBatchMatMul = Tile[BatchMatMulFunc]{8, neon.BatchMatMulX8[:]}
)

var neonSet = Set{ISA: NEON, F32: &F32{
	Lanes:        4,
	Conv:         Tiles[ConvFunc]{neonConv, neonConv, 1},
	BatchMatMul:  Tiles[BatchMatMulFunc]{neonBatchMatMul, neonBatchMatMul, 1},
	MaxPool3x3s2: neon.MaxPool3x3s2,
	MaxPool:      neon.MaxPool,
	AvgPool:      neon.AvgPool,
	Add:          neon.Add,
	ReLU:         neon.ReLU,
	LRNSquare:    neon.LRNSquare,
	LRN:          neon.LRN,
	SpaceToDepth: neon.SpaceToDepth,
	Winograd: [6]Transforms{
		3: {4, neon.WinogradInput6, neon.WinogradOutput6x4},
		4: {5, neon.WinogradInput8, neon.WinogradOutput8x5},
		5: {4, neon.WinogradInput8, neon.WinogradOutput8x4},
	},
	FMAPeak:  neon.FMAPeak,
	PeakFMAs: peakFMAs * 4,
	ReadPeak: neon.ReadPeak,
}}

var neonDotProdSet = Set{ISA: NEONDotProd, F32: neonSet.F32}
