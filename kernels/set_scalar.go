package kernels

import "firebench/kernels/scalar"

var (
	scalarConv        = Tile[ConvFunc]{4, []ConvFunc{scalar.Conv1x4, scalar.Conv2x4}}
	scalarRowConv     = Tile[RowConvFunc]{4, []RowConvFunc{scalar.RowConv1x4, scalar.RowConv2x4}}
	scalarBatchMatMul = Tile[BatchMatMulFunc]{4, []BatchMatMulFunc{scalar.BatchMatMul1x4, scalar.BatchMatMul2x4}}

	scalarWeightGradient = Tile[WeightGradientFunc]{4, []WeightGradientFunc{scalar.WeightGradient1x4, scalar.WeightGradient2x4}}

	scalarQConv        = Tile[QConvFunc]{4, []QConvFunc{scalar.QConv1x4, scalar.QConv2x4}}
	scalarQBatchMatMul = Tile[QBatchMatMulFunc]{4, []QBatchMatMulFunc{scalar.QBatchMatMul1x4, scalar.QBatchMatMul2x4}}
)

var scalarSet = Set{ISA: Scalar, F32: &F32{
	Lanes:                1,
	Conv:                 Tiles[ConvFunc]{scalarConv, scalarConv, 1},
	RowConv:              Tiles[RowConvFunc]{scalarRowConv, scalarRowConv, 1},
	BatchMatMul:          Tiles[BatchMatMulFunc]{scalarBatchMatMul, scalarBatchMatMul, 1},
	WeightGradient:       Tiles[WeightGradientFunc]{scalarWeightGradient, scalarWeightGradient, 1},
	PackSum:              scalar.PackSum,
	SpMM:                 Tile[SpMMFunc]{4, []SpMMFunc{scalar.SpMM1x4}},
	SpMMAdd:              []SpMMAddFunc{scalar.SpMMAdd1x4},
	Transpose:            scalar.Transpose,
	TransposeSide:        1,
	F16Conv:              alone(Tile[WConvFunc[uint16]]{4, []WConvFunc[uint16]{scalar.F16Conv1x4}}),
	S8Conv:               alone(Tile[WConvFunc[int8]]{4, []WConvFunc[int8]{scalar.S8Conv1x4}}),
	MaxPool3x3s2:         scalar.MaxPool3x3s2,
	MaxPool:              scalar.MaxPool,
	AvgPool:              scalar.AvgPool,
	Add:                  scalar.Add,
	ReLU:                 scalar.ReLU,
	LRNSquare:            scalar.LRNSquare,
	LRN:                  scalar.LRN,
	Mul:                  scalar.Mul,
	ReLUGradient:         scalar.ReLUGradient,
	MaxPoolGradient:      scalar.MaxPoolGradient,
	AvgPoolGradient:      scalar.AvgPoolGradient,
	LRNTerms:             scalar.LRNTerms,
	LRNGradient:          scalar.LRNGradient,
	SpaceToDepth:         scalar.SpaceToDepth,
	MaxPool3x3s2Gradient: scalar.MaxPool3x3s2Gradient,
	Winograd: [6]Transforms{
		3: {4, scalar.WinogradInput6, scalar.WinogradOutput6x4},
		4: {5, scalar.WinogradInput8, scalar.WinogradOutput8x5},
		5: {4, scalar.WinogradInput8, scalar.WinogradOutput8x4},
	},
	WinogradGradient: GradientTransforms{scalar.WinogradGradient6x3, scalar.WinogradWeights6x3},
	FMAPeak:          scalar.FMAPeak,
	PeakFMAs:         scalar.PeakFMAs,
	ReadPeak:         scalar.ReadPeak,
}, U8: &U8{
	Lanes:        1,
	Input:        1,
	Bytes:        1,
	AnyProduct:   true,
	Conv:         Tiles[QConvFunc]{scalarQConv, scalarQConv, 1},
	BatchMatMul:  Tiles[QBatchMatMulFunc]{scalarQBatchMatMul, scalarQBatchMatMul, 1},
	Gather:       scalar.Gather,
	SpaceToDepth: scalar.QSpaceToDepth,
	Winograd: [6]QTransforms{
		3: {4, scalar.QWinogradInput6, scalar.QWinogradOutput6x4},
		4: {3, scalar.QWinogradInput6, scalar.QWinogradOutput6x3},
	},
	MaxPool3x3s2: scalar.QMaxPool3x3s2,
	MaxPool:      scalar.QMaxPool,
	AvgPool:      scalar.QAvgPool,
	Add:          scalar.QAdd,
	Clamp:        scalar.QClamp,
	Quantize:     scalar.Quantize,
	Dequantize:   scalar.Dequantize,
	MACPeak:      scalar.QMACPeak,
	PeakMACs:     scalar.QPeakMACs,
}}
