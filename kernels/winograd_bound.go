package kernels

import "math"

// WinogradBound returns b such that no output of a Winograd convolution, on any
// instruction set, is further from the exact one than
//
//	b · (max|x| · Σ|w| + |bias|)
//
// with x running over the inputs of the output's tile and w over the weights of its
// channel, provided that nothing overflows or underflows. It is +Inf for a shape
// without a Winograd algorithm. With the matrices of winograd.New(m, r),
//
//	b = γ(n) · β²,  γ(n) = n·u / (1 - n·u),  u = 2⁻²⁴
//	n = In/Groups·Stride² + 2·ρ(BT) + 2·ρ(AT) + 3
//	β = max over y and k of Σ |AT[y][i]| · ‖BT[i]‖₁ · |G[i][k]| over i
//
// where ρ is the most non-zero numbers in a row: b grows with the channels, all phases
// counted, n being their number + 21 with tiles of 6×6 inputs and + 29 with 8×8, and with the
// tile: β is 29⅓ for 6×6 inputs and 39 5/9 for 8×8.
//
// No term of an output passes through more than n roundings: a sum of ρ products takes
// ρ of each term, in whatever order and however fused, and there are two passes of the
// input transform, the sum over channels and two passes of the output transform; the
// weights, transformed in float64 and rounded, add two and the bias one. A term with n
// roundings is off by γ(n) times its absolute value at most (Higham, Accuracy and
// Stability of Numerical Algorithms, section 3.1). Matrices of absolute values, and the
// largest input in the place of all, bound the terms' sum; the analysis is that of
// Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution for
// deep neural networks", 2018.
//
// Rounding errors are rarely all of one sign: random data come to a thousandth of b.
func WinogradBound(s ConvShape) float64 {
	if s.Check() != nil {
		return math.Inf(1)
	}
	a := winogradFor(&scalarSet, s)
	if a == nil {
		return math.Inf(1)
	}
	bt, g, at := a.BT.Float(), a.G.Float(), a.AT.Float()
	beta := 0.0
	for y := range at {
		for k := range g[0] {
			sum := 0.0
			for i := range bt {
				norm := 0.0
				for _, v := range bt[i] {
					norm += math.Abs(v)
				}
				sum += math.Abs(at[y][i]) * norm * math.Abs(g[i][k])
			}
			beta = max(beta, sum)
		}
	}
	n := s.In/s.Groups*s.Stride*s.Stride + 2*nonzeros(bt) + 2*nonzeros(at) + 3
	const u = 1.0 / (1 << 24)
	return float64(n) * u / (1 - float64(n)*u) * beta * beta
}

// nonzeros returns the largest number of non-zero entries in a row.
func nonzeros(m [][]float64) int {
	most := 0
	for _, row := range m {
		count := 0
		for _, v := range row {
			if v != 0 {
				count++
			}
		}
		most = max(most, count)
	}
	return most
}
