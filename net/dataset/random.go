package dataset

import (
	"math/bits"
	"math/rand/v2"
)

// A random is a source of random numbers that is a value, so that each picture of an epoch can have its own.
type random struct{ pcg rand.PCG }

// newRandom returns the source that seeds stand for; other seeds stand for another one.
func newRandom(seeds ...uint64) random {
	var a, b uint64
	for _, s := range seeds {
		a, b = mix(a^s), mix(b+^s)
	}
	var r random
	r.pcg.Seed(a, b)
	return r
}

// mix maps numbers one to one, near ones far from each other. It is the end of MurmurHash3's 64 bits, with the constants of
// SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below returns a number from 0 to n-1.
func (r *random) below(n int) int {
	hi, _ := bits.Mul64(r.pcg.Uint64(), uint64(n))
	return int(hi)
}

// between returns a number from lo to hi, which is not one of them.
func (r *random) between(lo, hi float64) float64 {
	return lo + float64((hi-lo)*(float64(r.pcg.Uint64()>>11)/(1<<53)))
}

// permute sets order to the numbers from 0 on in random order.
func (r *random) permute(order []int32) {
	for i := range order {
		j := r.below(i + 1)
		order[i] = order[j]
		order[j] = int32(i)
	}
}
