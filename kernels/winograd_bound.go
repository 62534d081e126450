package kernels

import "math"

// WinogradBound returns b such that no output of a Winograd convolution, on any
// instruction set, is further from the exact one than
//
//	b · (max|x| · Σ|w| + |bias|)
//
// where x runs over the inputs of the output's tile and w over the weights of its channel,
// provided that nothing overflows or underflows. It is +Inf for a shape
// without a Winograd algorithm. With the matrices of winograd.New(m, r),
//
//	b = γ(n) · β²,  γ(n) = n·u / (1 - n·u),  u = 2⁻²⁴
//	n = In/Groups·Stride² + 2·ρ(BT) + 2·ρ(AT) + 3
//	β = max over y and k of Σ |AT[y][i]| · ‖BT[i]‖₁ · |G[i][k]| over i
//
// where ρ is the largest number of non-zero entries in a row of a matrix. So b grows with the
// number of channels (n is this number, all phases counted, plus 21 for tiles of 6×6 inputs and
// plus 29 for 8×8) and with the tile (β is 29⅓ for 6×6 inputs and 39 5/9 for 8×8).
//
// An output is a sum of terms, and no term is rounded more than n times. A sum of ρ products
// rounds each of them at most ρ times, in whatever order they are added and whether or not the
// multiply-adds are fused. Each term passes through two such sums in the input transform,
// the sum over the channels, and two more sums in the output transform; the weights, which are
// transformed in float64 and then rounded, add two roundings, and the bias adds one. A term that
// is rounded n times is off by at most γ(n) times its absolute value (Higham, Accuracy and
// Stability of Numerical Algorithms, section 3.1). β² bounds the sum of these absolute values, from
// the absolute values of the matrices and the largest input in the place of every input. The
// analysis is that of Barabasz et al., "Error analysis and improving the accuracy of Winograd
// convolution for deep neural networks", 2018.
//
// Errors of different signs cancel: with random data the largest is about a thousandth of the
// bound.
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
