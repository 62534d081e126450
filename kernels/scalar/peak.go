package scalar

// PeakFMAs is the number of multiply-adds in one round of FMAPeak.
const PeakFMAs = 12

// FMAPeak runs n rounds of twelve independent multiply-adds, each of which is a multiplication
// and an addition.
func FMAPeak(n int) {
	x := float32(n&1) * 0.5
	s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11 := x, x, x, x, x, x, x, x, x, x, x, x
	for range n {
		s0 = x + float32(s0*x)
		s1 = x + float32(s1*x)
		s2 = x + float32(s2*x)
		s3 = x + float32(s3*x)
		s4 = x + float32(s4*x)
		s5 = x + float32(s5*x)
		s6 = x + float32(s6*x)
		s7 = x + float32(s7*x)
		s8 = x + float32(s8*x)
		s9 = x + float32(s9*x)
		s10 = x + float32(s10*x)
		s11 = x + float32(s11*x)
	}
	sink = s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 + s11
}

// sink keeps the compiler from dropping the sums.
//
//lint:ignore U1000 nobody reads it
var sink float32

// ReadPeak sets *dst to the sum of n values, a multiple of 16.
func ReadPeak(dst, src *float32, n int) {
	var s [8]float32
	xs := vec(src, 0, n)
	for ; len(xs) >= 8; xs = xs[8:] {
		s[0] += xs[0]
		s[1] += xs[1]
		s[2] += xs[2]
		s[3] += xs[3]
		s[4] += xs[4]
		s[5] += xs[5]
		s[6] += xs[6]
		s[7] += xs[7]
	}
	*dst = s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7]
}
