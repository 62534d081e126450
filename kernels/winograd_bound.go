package kernels

import (
	"math"
)

// WinogradBound returns b such that no output of NewWinograd's convolution, on any
// instruction set, is further from the exact one than
//
//	b · (max|x| · Σ|w| + |bias|)
//
// with x running over the inputs of the output's tile and w over the weights of its
// channel, provided that nothing overflows or underflows. It is +Inf for a shape
// without a Winograd algorithm. With AT, G and BT of winograd.New(m, r),
//
//	b = γ(n) · β²
//	n = In/Groups·Stride² + 2·ρ(BT) + 2·ρ(AT) + 3
//	β = max Σ |AT[y][i]|·‖BT[i]‖₁·|G[i][k]| // over i; the maximum over y and k
//
// where γ(n) = n·u/(1-n·u), u = 2⁻²⁴, and ρ is the most non-zero numbers in a row.
//
// n counts roundings. A sum of ρ products passes each of them through ρ at most, in
// whatever order and however fused (Higham, Accuracy and Stability of Numerical
// Algorithms, section 3.1), and so do the two passes of the input transform, the sum over
// channels and the two passes of the output transform; the transformed weights, computed
// in float64, add two and the bias one. What passes through n roundings is off by
// γ(n) times its absolute value, so that replacing all matrices by their absolute
// values bounds the error, and a tile by its largest value, β (Barabasz et al.,
// "Error analysis and improving the accuracy of Winograd convolution for deep neural
// networks", 2018, section 4). β² is 860 for 3×3 kernels, 199 for 4×4 and 133 for 5×5:
// this is the worst case; that of random roundings grows with the root of n, and with
// the norm of a tile and not its sum.
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
