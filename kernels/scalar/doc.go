// Package scalar has the portable twin of every generated kernel, with the same signature. It
// serves machines without vector kernels, and computes the channels that fill no vector on the
// others. The fields of kernels.F32 and kernels.U8 are documented by the loops that each function
// equals.
//
// Products are converted to float32 before they are added. Otherwise the language would allow the
// compiler to fuse multiplication and addition, and results would depend on the architecture.
package scalar

import "unsafe"

// vec returns p[i:i+n]. Nothing checks the bounds: package kernels, which calls the functions,
// proves them when it binds a task.
func vec[T any](p *T, i, n int) []T {
	return unsafe.Slice((*T)(unsafe.Add(unsafe.Pointer(p), i*int(unsafe.Sizeof(*p)))), n)
}
