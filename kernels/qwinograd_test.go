package kernels_test

import (
	"fmt"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
)

// qwinogradOutputs is winogradOutputs for quantized values, 0 for numbers of taps without transforms.
var qwinogradOutputs = [...]int{3: 4, 4: 3, 5: 0}

// qwinogradShapes are the shapes of winogradShapes that there are transforms for, and their tiles'
// outputs.
func qwinogradShapes() (shapes []kernels.ConvShape, outputs []int) {
	for _, s := range winogradShapes {
		if m := qwinogradOutputs[(s.KH+s.Stride-1)/s.Stride]; m > 0 {
			shapes, outputs = append(shapes, s), append(outputs, m)
		}
	}
	return shapes, outputs
}

// TestQuantizedWinogradSizes has outputs that are about as high and as wide as one and as two tiles,
// for every shape.
func TestQuantizedWinogradSizes(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		shapes, outputs := qwinogradShapes()
		for k, s := range shapes {
			m := outputs[k]
			sizes := []int{m, m + 1, 2*m - 1, 2 * m, 2*m + 1, 13}
			for i, oh := range sizes {
				for j, ow := range sizes {
					c := winogradCase(s, 3, 5, oh, ow, i+j)
					if c.h < 1 || c.w < 1 {
						continue
					}
					c.relu = i%2 == 1
					if i == j {
						c.n = 2
					}
					qconv(c, int32(100*(i%3)), int32(7*j)).test(t, set, "winograd", layout{halo: j % 2}, layout{halo: c.Pad + i%2}, 1)
				}
			}
		}
	})
}

var _ = fmt.Sprint
