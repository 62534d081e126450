package kernels

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPeaks: PeakFMAs and PeakMACs must be the numbers of multiply-adds in the generated loops. Wrong
// numbers would falsify every peak-%.
func TestPeaks(t *testing.T) {
	for i, n := range native {
		f32, u8 := n.set.F32, n.set.U8
		if !slices.ContainsFunc(native[:i], func(m nativeSet) bool { return m.set.F32 == f32 }) { // else the kernels are another set's
			if want, got := f32.PeakFMAs/f32.Lanes, multiplyAdds(t, n.set.ISA, "FMAPeak"); got != want {
				t.Errorf("%v: a round of FMAPeak has %d vector multiply-adds, PeakFMAs says %d", n.set.ISA, got, want)
			}
		}
		if !slices.ContainsFunc(native[:i], func(m nativeSet) bool { return m.set.U8 == u8 }) {
			if want, got := u8.PeakMACs/(u8.Lanes*u8.Conv.Group), multiplyAdds(t, n.set.ISA, "QMACPeak"); got != want {
				t.Errorf("%v: a round of QMACPeak has %d vector multiply-adds, PeakMACs says %d", n.set.ISA, got, want)
			}
		}
	}
}

// multiplyAdd is an instruction that multiplies and adds vectors.
var multiplyAdd = regexp.MustCompile(`VFMADD|VFMLA|VPMADDWD|VPDPBUSD|smlal|sdot`)

// multiplyAdds counts them in a generated function.
func multiplyAdds(t *testing.T, isa ISA, function string) (n int) {
	inside := false
	for _, line := range generated(t, isa) {
		if strings.HasPrefix(line, "TEXT") {
			inside = strings.Contains(line, "·"+function+"(")
		}
		if inside && multiplyAdd.MatchString(line) {
			n++
		}
	}
	return n
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
