package kerneltest

import (
	"math"
	"testing"
)

// canary is a NaN that no arithmetic produces. Fences and unwritten memory
// hold it: a stray write changes it, and a stray read shows as a NaN in the
// result.
var canary = math.Float32frombits(0x7fc0_f1fe)

func isCanary(f float32) bool {
	return math.Float32bits(f) == math.Float32bits(canary)
}

// Guard returns two separate slices of n float32s for kernels to trip over:
// low begins right behind memory that cannot be touched, high ends right
// before such memory, so that one element too many in either direction is a
// fault there and then. Faults come in assembly that the caller cannot
// recover from: the test binary dies with "unexpected fault address" and a
// stack that names the test. What little lies between the other end of a
// slice and the next page is checked for stray writes when the test ends.
//
// The slices hold NaNs at first. They are gone when the test and its subtests
// are done. Only Linux has real guard pages; elsewhere both ends of the
// slices are fenced by canaries.
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
