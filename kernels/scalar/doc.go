// Package scalar has the portable twin of every generated kernel, with the same
// signatures. It is the fallback on machines without vector kernels, the tail of
// vector loops, and the first reference in tests. The loops that each function
// equals stand at the fields of kernels.Set.
//
// Products are converted to float32 before they are added: the language allows
// fused operations otherwise, and results must not depend on the architecture.
package scalar

import "unsafe"

// vec returns p[i:i+n]; the pointers come from kernels, which owns the bounds.
func vec(p *float32, i, n int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(p), i*4)), n)
}
