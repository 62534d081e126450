package kernels

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPeakFMAs: PeakFMAs must be the number of multiply-adds in the generated loop. A wrong
// number would falsify every peak-%.
func TestPeakFMAs(t *testing.T) {
	for i, n := range native {
		if slices.ContainsFunc(native[:i], func(m nativeSet) bool { return m.set.F32 == n.set.F32 }) {
			continue // the kernels are another set's
		}
		inside, count := false, 0
		for _, line := range generated(t, n.set.ISA) {
			if strings.HasPrefix(line, "TEXT") {
				inside = strings.Contains(line, "·FMAPeak(")
			}
			if inside && (strings.Contains(line, "VFMADD") || strings.Contains(line, "VFMLA")) {
				count++
			}
		}
		if want := n.set.F32.PeakFMAs / n.set.F32.Lanes; count != want {
			t.Errorf("%v: a round of FMAPeak has %d vector multiply-adds, PeakFMAs says %d", n.set.ISA, count, want)
		}
	}
}

// folder returns the name of an instruction set's package, and of its folder.
func folder(isa ISA) string { return strings.ReplaceAll(isa.String(), "-", "") }

// generated returns all lines of an instruction set's assembly.
func generated(t *testing.T, isa ISA) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder(isa), "*.s"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v: no assembly files (%v)", isa, err)
	}
	var lines []string
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		s := bufio.NewScanner(f)
		for s.Scan() {
			lines = append(lines, s.Text())
		}
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return lines
}
