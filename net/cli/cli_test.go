package cli

import (
	"runtime"
	"testing"
)

// TestBoundProcessors: GOMAXPROCS does not go around the limit of -threads.
func TestBoundProcessors(t *testing.T) {
	most := threadsPerProcessor * runtime.NumCPU()
	for _, n := range []int{1, most, most + 1} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
		boundProcessors()
		if got := runtime.GOMAXPROCS(0); got != min(n, most) {
			t.Errorf("GOMAXPROCS %d became %d, want %d", n, got, min(n, most))
		}
	}
}
