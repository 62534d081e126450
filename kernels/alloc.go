package kernels

import "unsafe"

// align is the alignment of the memory that Alloc returns, in bytes. It is the size of a cache line
// and of the widest vector, so that no vector of memory that is divided into vectors from its start
// on lies in two cache lines.
const align = 64

// A number is a [Number], or what only the memory of algorithms holds.
type number interface{ Number | int16 | uint16 }

// Alloc returns n zeros that start at a cache line. It asks the operating system for huge pages if
// the zeros take much memory: the values of a layer lie on more small pages than a processor
// remembers the addresses of, and looking them up takes time.
func Alloc[T number](n int) []T {
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

// cast returns the numbers that bytes hold; both share memory.
func cast[T number](b []byte) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(T(0))))
}

// Bytes returns the bytes that hold the numbers of s; both share memory.
func Bytes[T number](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(T(0))))
}
