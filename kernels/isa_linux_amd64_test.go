//go:build !purego

package kernels

import (
	"bytes"
	"cmp"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestDetection compares the features that this package finds in the processor with those that
// Linux finds. No other test would fail if a feature were missed: everything would run on fewer
// instruction sets, and more slowly.
func TestDetection(t *testing.T) {
	cpuinfo, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip(err)
	}
	var flags []string
	for line := range bytes.Lines(cpuinfo) {
		if key, value, _ := strings.Cut(string(line), ":"); strings.TrimSpace(key) == "flags" {
			flags = strings.Fields(strings.ReplaceAll(value, "_", "")) // avx512_vnni is AVX512VNNI to avo
			break
		}
	}
	if len(flags) == 0 {
		t.Skip("/proc/cpuinfo lists no flags")
	}
	found := names(detect(""))
	for _, n := range native {
		want := true
		for _, f := range n.features {
			if f.name == "MMX+" {
				continue // Linux has no such flag
			}
			listed := slices.Contains(flags, cmp.Or(f.debug, strings.ToLower(f.name)))
			if f.has() != listed {
				t.Errorf("%s: found %v, listed in /proc/cpuinfo %v", f.name, f.has(), listed)
			}
			want = want && listed
		}
		if got := slices.Contains(found, n.set.ISA); got != want {
			t.Errorf("%v: found %v, usable by /proc/cpuinfo %v", n.set.ISA, got, want)
		}
	}
}
