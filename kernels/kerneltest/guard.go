package kerneltest

import (
	"math"
	"testing"
)

// canary is a NaN that no arithmetic produces. Fences and memory that has not been written yet
// hold it: a wrong write changes it, and a wrong read shows as a NaN in the result.
var canary = math.Float32frombits(0x7fc0_f1fe)

func isCanary(f float32) bool {
	return math.Float32bits(f) == math.Float32bits(canary)
}

// Guard returns two separate slices of n float32s, to find kernels that read or write too much:
// low begins right behind memory that cannot be touched, and high ends right before such memory.
// A kernel that touches one element too many on that side faults at once. It cannot recover, so
// the test binary dies with "unexpected fault address" and a stack that names the test. The
// little memory between the other end of a slice and the next page is checked for wrong writes
// when the test ends.
//
// The slices hold canaries, which are NaNs, at first. They must not be used after the test and
// its subtests are done. Only Linux has memory that cannot be touched; elsewhere, canaries fence
// both ends of the slices.
func Guard(t testing.TB, n int) (low, high []float32) {
	t.Helper()
	lows, highs := fenced(t, n), fenced(t, n)
	low = lows[fence : fence+n : fence+n]
	high = highs[len(highs)-fence-n : len(highs)-fence]

	Poison(lows)
	Poison(highs)
	t.Cleanup(func() {
		check := func(which string, around []float32, first int) { // first is the index of around[0] in the slice
			for i, f := range around {
				if !isCanary(f) {
					t.Errorf("wrote %v to index %d of the %s guarded slice of %d", f, first+i, which, n)
					return
				}
			}
		}
		before := len(highs) - fence - n
		check("low", lows[:fence], -fence)
		check("low", lows[fence+n:], n)
		check("high", highs[:before], -before)
		check("high", highs[before+n:], n)
	})
	return low, high
}

// Poison fills s with the canary, a NaN. See [Unwritten].
func Poison(s []float32) {
	for i := range s {
		s[i] = canary
	}
}
