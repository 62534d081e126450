package kernels

import (
	"math"
	"math/rand/v2"
	"testing"

	"firebench/kernels/winograd"
)

// TestTransformKernel: the short way to transform a kernel of 3×3 taps has the numbers of the long one, but for
// the rounding of float64, and touches no other kernel.
func TestTransformKernel(t *testing.T) {
	g := winograd.New(4, 3).G.Float()
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var taps kernelTaps
		sum := 0.0
		for i := range 9 {
			taps[i] = float64(float32(r.NormFloat64()))
			sum += math.Abs(taps[i])
		}
		n := r.IntN(kernelsAtATime)
		var short, long transformedKernels[float32]
		transformKernel6x3(&short, n, &taps)
		transformKernel(&long, n, &taps, g)
		for e := range short {
			for i, got := range short[e] {
				want := float64(long[e][i])
				if d := math.Abs(float64(got) - want); d > 0x1p-23*math.Abs(want)+0x1p-50*sum {
					t.Fatalf("taps %v: element %d of kernel %d is %g, expected %g", taps[:9], e, i, got, want)
				}
			}
		}
	}
}
