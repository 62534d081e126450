package kernels

import (
	"syscall"
	"unsafe"
)

// adviseHuge asks for huge pages wherever buf lies, unless it is small. Around it is
// Go's heap, where the blocks of one network follow each other, and any block on these
// pages may be on huge ones. Failure costs speed only.
func adviseHuge(buf []float32) {
	const (
		huge         = 2 << 20
		small        = 64 << 10
		madvHugepage = 14
	)
	if 4*len(buf) < small {
		return
	}
	first := uintptr(unsafe.Pointer(unsafe.SliceData(buf)))
	last := first + uintptr(4*len(buf)) - 1
	start := first &^ (huge - 1)
	syscall.Syscall(syscall.SYS_MADVISE, start, last|(huge-1)+1-start, madvHugepage)
}
