//go:build !linux

package kerneltest

import "testing"

// fence is the number of canaries at either end of the memory that fenced returns: more than the
// widest vector has elements.
const fence = 64

// fenced returns memory for n float32s and for the canaries at both ends.
func fenced(_ testing.TB, n int) []float32 {
	return make([]float32, n+2*fence)
}
