package cli

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"firebench/kernels"
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

func TestReport(t *testing.T) {
	var b strings.Builder
	Report(&b, "classify", errors.New("a\nb\r.jpg: bad"))
	if want := "classify: a\\nb\\r.jpg: bad\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// TestCalibrationAlgo: there is such an algorithm.
func TestCalibrationAlgo(t *testing.T) {
	if err := kernels.CheckAlgorithm(calibrationAlgo); err != nil {
		t.Error(err)
	}
}

func TestProgress(t *testing.T) {
	var b strings.Builder
	p := NewProgress(&b) // no terminal
	p.Show("%d of %d", 1, 2)
	p.Clear()
	if b.Len() > 0 {
		t.Errorf("%q without a terminal", b.String())
	}
	p.on = true
	p.Clear()
	p.Show("%d of %d", 1, 2)
	p.Show("%d of %d", 2, 2)
	p.Clear()
	p.Clear()
	if want := "\r\x1b[K1 of 2\r\x1b[K2 of 2\r\x1b[K"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
