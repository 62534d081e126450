package kernels

import (
	"syscall"
	"unsafe"
)

// adviseHuge asks for huge pages for the whole ones inside buf. Failure costs
// speed only.
func adviseHuge(buf []float32) {
	const huge = 2 << 20
	const madvHugepage = 14
	if len(buf)*4 < 2*huge {
		return
	}
	start := uintptr(unsafe.Pointer(&buf[0]))
	skip := -start & (huge - 1)
	size := (uintptr(len(buf))*4 - skip) &^ (huge - 1)
	bytes := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(&buf[0]), skip)), size)
	_ = syscall.Madvise(bytes, madvHugepage)
}
