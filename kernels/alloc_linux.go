package kernels

import (
	"syscall"
	"unsafe"
)

// adviseHuge asks Linux for huge pages for all of buf, unless buf is small. The first and the last
// of these pages may hold other blocks of Go's heap, too; for one network these are its other
// buffers, which profit as well. Memory that Go has used before is on small pages already: those that
// buf, all zeros, has alone are given back, so that they come anew. If Linux refuses, only speed is lost.
func adviseHuge(buf []byte) {
	const (
		huge         = 2 << 20
		small        = 64 << 10
		madvDontNeed = 4
		madvHugepage = 14
	)
	if len(buf) < small {
		return
	}
	first := uintptr(unsafe.Pointer(unsafe.SliceData(buf)))
	last := first + uintptr(len(buf)) - 1
	start := first &^ (huge - 1)
	syscall.Syscall(syscall.SYS_MADVISE, start, last|(huge-1)+1-start, madvHugepage)
	if inner, end := (first+huge-1)&^(huge-1), (last+1)&^(huge-1); inner < end {
		syscall.Syscall(syscall.SYS_MADVISE, inner, end-inner, madvDontNeed)
	}
}
