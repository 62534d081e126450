package ref

import "math"

// FMA returns x·y + z rounded once to float32, as the fused multiply-add instructions of every
// vector instruction set do. Go has no such function for float32.
//
// The product is exact in float64, but the sum is not. Rounding it twice, to float64 and then to
// float32, gives a wrong result if the first rounding gives the midpoint of two float32 values.
// If the first rounding is to odd, it never gives such a midpoint (Boldo and Melquiond,
// "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd",
// 2008).
func FMA(x, y, z float32) float32 {
	p, c := float64(x)*float64(y), float64(z)
	sum := float64(p + c)
	// Knuth's two-sum: sum + err is p + c exactly.
	b := sum - p
	err := (p - (sum - b)) + (c - b)
	if err == 0 || math.IsNaN(err) || math.IsInf(sum, 0) {
		return float32(sum)
	}
	// The sum is inexact. Of the two float64 values around the exact sum, take the odd one.
	if bits := math.Float64bits(sum); bits&1 == 0 {
		if (err > 0) == (sum > 0) {
			bits++ // away from zero
		} else {
			bits--
		}
		sum = math.Float64frombits(bits)
	}
	return float32(sum)
}
