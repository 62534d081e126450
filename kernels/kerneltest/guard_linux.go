package kerneltest

import (
	"syscall"
	"testing"
	"unsafe"

	"firebench/kernels"
)

// fence is the number of canaries at either end of the memory that fenced returns. There are none,
// because the pages that cannot be touched detect more.
const fence = 0

// fenced returns whole pages, of at least n float32s, between two pages that cannot be touched.
func fenced(t testing.TB, n int) []float32 {
	t.Helper()
	page, float := syscall.Getpagesize(), kernels.Float32.Size()
	size := (max(n, 1)*float + page - 1) / page * page
	mem, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatalf("mmap: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(mem); err != nil {
			t.Errorf("munmap: %v", err)
		}
	})
	inner := mem[page : page+size]
	if err := syscall.Mprotect(inner, syscall.PROT_READ|syscall.PROT_WRITE); err != nil {
		t.Fatalf("mprotect: %v", err)
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(inner))), size/float)
}
