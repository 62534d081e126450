package kernels

import "unsafe"

// align is the alignment of what Alloc returns, in bytes: a cache line, and a
// vector of the widest instruction set, so that no aligned load crosses a line.
const align = 64

// Alloc returns n zeroed float32 values that start at a cache line. Large blocks
// ask the operating system for huge pages, which keeps address translation out of
// the way: the values of a layer lie on more small pages than a processor remembers.
func Alloc(n int) []float32 {
	const extra = align / 4
	buf := make([]float32, n+extra)
	skip := 0
	if r := int(uintptr(unsafe.Pointer(&buf[0])) % align); r != 0 {
		skip = (align - r) / 4
	}
	buf = buf[skip : skip+n : skip+n]
	adviseHuge(buf)
	return buf
}
