//go:build amd64 && !purego

package kernels

import (
	"firebench/kernels/avx2"
	"firebench/kernels/avx512"
	"firebench/kernels/avx512vnni"
)

// peakFMAs is the number of vector multiply-adds in a round of FMAPeak, and of QMACPeak.
const peakFMAs = 12

var avx2Set = Set{ISA: AVX2, F32: &F32{
	Lanes:         8,
	Conv:          Tiles[ConvFunc]{Tile[ConvFunc]{16, avx2.ConvX16[:]}, Tile[ConvFunc]{8, avx2.ConvX8[:]}, 1},
	RowConv:       Tiles[RowConvFunc]{Tile[RowConvFunc]{16, avx2.RowConvX16[:]}, Tile[RowConvFunc]{8, avx2.RowConvX8[:]}, 1},
	BatchMatMul:   Tiles[BatchMatMulFunc]{Tile[BatchMatMulFunc]{16, avx2.BatchMatMulX16[:]}, Tile[BatchMatMulFunc]{8, avx2.BatchMatMulX8[:]}, 1},
	SpMM:          Tile[SpMMFunc]{8, avx2.SpMMX8[:]},
	SpMMAdd:       avx2.SpMMAddX8[:],
	Transpose:     avx2.Transpose,
	TransposeSide: 8,
	F16Conv:       alone(Tile[WConvFunc[uint16]]{32, avx2.F16ConvX32[:]}),
	S8Conv:        alone(Tile[WConvFunc[int8]]{32, avx2.S8ConvX32[:]}),
	MaxPool3x3s2:  avx2.MaxPool3x3s2,
	MaxPool:       avx2.MaxPool,
	AvgPool:       avx2.AvgPool,
	Add:           avx2.Add,
	ReLU:          avx2.ReLU,
	LRNSquare:     avx2.LRNSquare,
	LRN:           avx2.LRN,
	SpaceToDepth:  avx2.SpaceToDepth,
	Winograd: [6]Transforms{
		3: {4, avx2.WinogradInput6, avx2.WinogradOutput6x4},
		4: {5, avx2.WinogradInput8, avx2.WinogradOutput8x5},
		5: {4, avx2.WinogradInput8, avx2.WinogradOutput8x4},
	},
	FMAPeak:  avx2.FMAPeak,
	PeakFMAs: peakFMAs * 8,
	ReadPeak: avx2.ReadPeak,
}, U8: &U8{
	Lanes:        8,
	Input:        16,
	Bytes:        32,
	Conv:         Tiles[QConvFunc]{Tile[QConvFunc]{16, avx2.QConvX16[:]}, Tile[QConvFunc]{8, avx2.QConvX8[:]}, 2},
	BatchMatMul:  Tiles[QBatchMatMulFunc]{Tile[QBatchMatMulFunc]{16, avx2.QBatchMatMulX16[:]}, Tile[QBatchMatMulFunc]{8, avx2.QBatchMatMulX8[:]}, 2},
	Gather:       avx2.GatherWiden,
	Widen:        avx2.Widen,
	MaxPool3x3s2: avx2.QMaxPool3x3s2,
	MaxPool:      avx2.QMaxPool,
	AvgPool:      avx2.QAvgPool,
	Add:          avx2.QAdd,
	Clamp:        avx2.QClamp,
	Quantize:     avx2.Quantize,
	Dequantize:   avx2.Dequantize,
	SpaceToDepth: avx2.QSpaceToDepth,
	Winograd: [6]QTransforms{
		3: {4, avx2.QWinogradInput6, avx2.QWinogradOutput6x4},
		4: {3, avx2.QWinogradInput6, avx2.QWinogradOutput6x3},
	},
	MACPeak:  avx2.QMACPeak,
	PeakMACs: peakFMAs * 8 * 2,
}}

var avx512Set = Set{ISA: AVX512, F32: &F32{
	Lanes:         16,
	Conv:          Tiles[ConvFunc]{Tile[ConvFunc]{32, avx512.ConvX32[:]}, Tile[ConvFunc]{16, avx512.ConvX16[:]}, 1},
	RowConv:       Tiles[RowConvFunc]{Tile[RowConvFunc]{32, avx512.RowConvX32[:]}, Tile[RowConvFunc]{16, avx512.RowConvX16[:]}, 1},
	BatchMatMul:   Tiles[BatchMatMulFunc]{Tile[BatchMatMulFunc]{32, avx512.BatchMatMulX32[:]}, Tile[BatchMatMulFunc]{16, avx512.BatchMatMulX16[:]}, 1},
	SpMM:          Tile[SpMMFunc]{16, avx512.SpMMX16[:]},
	SpMMAdd:       avx512.SpMMAddX16[:],
	Transpose:     avx2.Transpose,
	TransposeSide: 8,
	F16Conv:       alone(Tile[WConvFunc[uint16]]{64, avx512.F16ConvX64[:]}),
	S8Conv:        alone(Tile[WConvFunc[int8]]{64, avx512.S8ConvX64[:]}),
	MaxPool3x3s2:  avx512.MaxPool3x3s2,
	MaxPool:       avx512.MaxPool,
	AvgPool:       avx512.AvgPool,
	Add:           avx512.Add,
	ReLU:          avx512.ReLU,
	LRNSquare:     avx512.LRNSquare,
	LRN:           avx512.LRN,
	SpaceToDepth:  avx512.SpaceToDepth,
	Winograd: [6]Transforms{
		3: {4, avx512.WinogradInput6, avx512.WinogradOutput6x4},
		4: {5, avx512.WinogradInput8, avx512.WinogradOutput8x5},
		5: {4, avx512.WinogradInput8, avx512.WinogradOutput8x4},
	},
	FMAPeak:  avx512.FMAPeak,
	PeakFMAs: peakFMAs * 16,
	ReadPeak: avx512.ReadPeak,
}, U8: &U8{
	Lanes:        16,
	Input:        16,
	Bytes:        32,
	Conv:         Tiles[QConvFunc]{Tile[QConvFunc]{32, avx512.QConvX32[:]}, Tile[QConvFunc]{16, avx512.QConvX16[:]}, 2},
	BatchMatMul:  Tiles[QBatchMatMulFunc]{Tile[QBatchMatMulFunc]{32, avx512.QBatchMatMulX32[:]}, Tile[QBatchMatMulFunc]{16, avx512.QBatchMatMulX16[:]}, 2},
	Gather:       avx2.GatherWiden,
	Widen:        avx2.Widen,
	MaxPool3x3s2: avx2.QMaxPool3x3s2,
	MaxPool:      avx2.QMaxPool,
	AvgPool:      avx2.QAvgPool,
	Add:          avx2.QAdd,
	Clamp:        avx2.QClamp,
	Quantize:     avx2.Quantize,
	Dequantize:   avx2.Dequantize,
	SpaceToDepth: avx2.QSpaceToDepth,
	Winograd: [6]QTransforms{
		3: {4, avx2.QWinogradInput6, avx512.QWinogradOutput6x4},
		4: {3, avx2.QWinogradInput6, avx512.QWinogradOutput6x3},
	},
	MACPeak:  avx512.QMACPeak,
	PeakMACs: peakFMAs * 16 * 2,
}}

var avx512VNNISet = Set{ISA: AVX512VNNI, F32: avx512Set.F32, U8: &U8{
	Lanes:        16,
	Input:        16,
	Bytes:        32,
	Conv:         Tiles[QConvFunc]{Tile[QConvFunc]{32, avx512vnni.QConvX32[:]}, Tile[QConvFunc]{16, avx512vnni.QConvX16[:]}, 4},
	BatchMatMul:  Tiles[QBatchMatMulFunc]{Tile[QBatchMatMulFunc]{32, avx512vnni.QBatchMatMulX32[:]}, Tile[QBatchMatMulFunc]{16, avx512vnni.QBatchMatMulX16[:]}, 2},
	Gather:       avx2.Gather,
	MaxPool3x3s2: avx2.QMaxPool3x3s2,
	MaxPool:      avx2.QMaxPool,
	AvgPool:      avx2.QAvgPool,
	Add:          avx2.QAdd,
	Clamp:        avx2.QClamp,
	Quantize:     avx2.Quantize,
	Dequantize:   avx2.Dequantize,
	SpaceToDepth: avx2.QSpaceToDepth,
	Winograd:     avx512Set.U8.Winograd,
	MACPeak:      avx512vnni.QMACPeak,
	PeakMACs:     peakFMAs * 16 * 4,
}}
