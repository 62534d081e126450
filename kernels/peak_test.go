package kernels_test

import (
	"math"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
)

// TestPeakKernels: the kernels that measure the machine must do the work that they are documented
// to do.
func TestPeakKernels(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		if set.F32.PeakFMAs < 1 {
			t.Errorf("PeakFMAs is %d", set.F32.PeakFMAs)
		}
		set.F32.FMAPeak(1000)
		if set.U8.PeakMACs < 1 {
			t.Errorf("PeakMACs is %d", set.U8.PeakMACs)
		}
		set.U8.MACPeak(1000)

		for blocks := 1; blocks <= 5; blocks++ {
			n := blocks * 16 * set.F32.Lanes
			values := kerneltest.Random(1, n)
			src, dst := guarded(t, n), guarded(t, set.F32.Lanes)
			for side, name := range sides {
				copy(src[side], values)
				set.F32.ReadPeak(&dst[side][0], &src[side][0], n)
				var want, mag, got float64
				for _, x := range values {
					want += float64(x)
					mag += math.Abs(float64(x))
				}
				for _, sum := range dst[side] {
					got += float64(sum)
				}
				if tol := kerneltest.Tolerance(n, mag); !(math.Abs(got-want) <= tol) {
					t.Errorf("ReadPeak of %d values, %s: the lanes add up to %v, want %v, bound %g", n, name, got, want, tol)
				}
			}
		}
	})
}
