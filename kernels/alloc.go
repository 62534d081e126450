package kernels

import "unsafe"

// align is the alignment of what Alloc returns, in bytes: a cache line, and a
// vector of the widest instruction set, so that no aligned load crosses a line.
const align = 64

// Alloc returns n zeros that start at a cache line. Large blocks ask the operating system
// for huge pages, which keep address translation out of the way: the values of a layer
// lie on more small pages than a processor remembers.
func Alloc[T Number](n int) []T {
	size := n * int(unsafe.Sizeof(T(0)))
	buf := make([]byte, size+align)
	skip := 0
	if r := int(uintptr(unsafe.Pointer(&buf[0])) % align); r != 0 {
		skip = align - r
	}
	buf = buf[skip : skip+size : skip+size]
	adviseHuge(buf)
	return cast[T](buf)
}

// cast returns bytes as numbers; both share memory.
func cast[T Number](b []byte) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(T(0))))
}

// Bytes returns numbers as the bytes that they are; both share memory.
func Bytes[T Number](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(T(0))))
}
