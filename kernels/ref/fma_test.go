package ref_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"firebench/kernels/ref"
)

// exactFMA computes x·y + z with arbitrary precision. It reports false for a sum of zero, whose
// sign it does not know.
func exactFMA(x, y, z float32) (float32, bool) {
	exact := func(f float32) *big.Float { return new(big.Float).SetPrec(2000).SetFloat64(float64(f)) }
	sum := exact(x)
	sum.Mul(sum, exact(y))
	sum.Add(sum, exact(z))
	f, _ := sum.Float32() // rounds to nearest even, to subnormals too
	return f, sum.Sign() != 0
}

func TestFMA(t *testing.T) {
	twice := 0 // sums that are wrong if the float64 sum is converted to float32
	check := func(x, y, z float32) {
		t.Helper()
		want, ok := exactFMA(x, y, z)
		if !ok {
			return
		}
		if got := ref.FMA(x, y, z); math.Float32bits(got) != math.Float32bits(want) {
			t.Errorf("FMA(%x, %x, %x) = %x, want %x", x, y, z, got, want)
		}
		if float32(float64(x)*float64(y)+float64(z)) != want {
			twice++
		}
	}

	// 1 + 2⁻²⁴ is the midpoint of two float32 values, and a term far below
	// float64's last bit decides which way to go.
	for _, sign := range []float32{-1, 1} {
		for _, tiny := range []float32{0x1p-70, -0x1p-70} {
			check(sign, 1+0x1p-23, tiny)
			check(1+0x1p-12, sign*(1+0x1p-12), tiny)
			check(sign*(1-0x1p-24), 1+0x1p-23, tiny)
			check(tiny, 0x1p-20, sign*0x1p-126)
			check(0x1p-75, sign*0x1p-75, tiny*0x1p-76)
		}
	}
	if twice == 0 {
		t.Error("no case shows double rounding")
	}

	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		// Exponents close enough for the terms to meet, all over the range;
		// few significant bits make midpoints likely.
		mask := uint32(1)<<r.IntN(24) - 1
		next := func(exp int) float32 {
			m := math.Float32frombits(0x3f800000 | r.Uint32()&0x7fffff&^mask) // 1 <= m < 2
			if r.IntN(2) == 0 {
				m = -m
			}
			return float32(math.Ldexp(float64(m), exp))
		}
		ex, ey := r.IntN(150)-75, r.IntN(150)-75
		check(next(ex), next(ey), next(min(ex+ey+r.IntN(101)-50, 127)))
	}

	// Infinities, NaNs and zeros of both signs follow IEEE 754.
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	negZero := float32(math.Copysign(0, -1))
	for _, c := range []struct{ x, y, z, want float32 }{
		{inf, 1, 1, inf},
		{inf, -1, 1, -inf},
		{1, 1, -inf, -inf},
		{math.MaxFloat32, 2, 0, inf},
		{math.MaxFloat32, 2, -math.MaxFloat32, math.MaxFloat32},
		{inf, 0, 1, nan},
		{inf, 1, -inf, nan},
		{1, nan, 1, nan},
		{1, 1, nan, nan},
		{1, 1, -1, 0},
		{negZero, 1, 0, 0},
		{negZero, 1, negZero, negZero},
		{0, -1, negZero, negZero},
	} {
		got := ref.FMA(c.x, c.y, c.z)
		if math.Float32bits(got) != math.Float32bits(c.want) && !(math.IsNaN(float64(got)) && math.IsNaN(float64(c.want))) {
			t.Errorf("FMA(%v, %v, %v) = %v, want %v", c.x, c.y, c.z, got, c.want)
		}
	}
}
