package kernels

import (
	"syscall"
	"unsafe"
)

// adviseHuge asks for huge pages wherever buf lies, unless it is small. The pages may hold
// more than buf: other blocks of Go's heap, which for one network follow each other and
// profit as well. If the request fails, only speed is lost.
func adviseHuge(buf []byte) {
	const (
		huge         = 2 << 20
		small        = 64 << 10
		madvHugepage = 14
	)
	if len(buf) < small {
		return
	}
	first := uintptr(unsafe.Pointer(unsafe.SliceData(buf)))
	last := first + uintptr(len(buf)) - 1
	start := first &^ (huge - 1)
	syscall.Syscall(syscall.SYS_MADVISE, start, last|(huge-1)+1-start, madvHugepage)
}
