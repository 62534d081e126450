package kernels

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// generated returns the lines of an instruction set's assembly.
func generated(t *testing.T, isa ISA) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(isa.String(), "*.s"))
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

func TestParseISA(t *testing.T) {
	for i := range isaNames {
		if got, err := ParseISA(ISA(i).String()); err != nil || got != ISA(i) {
			t.Errorf("ParseISA(%q) = %v, %v", ISA(i), got, err)
		}
	}
	for _, bad := range []string{"", "AVX2", "avx", "avx512 "} {
		if _, err := ParseISA(bad); err == nil {
			t.Errorf("ParseISA(%q) succeeded", bad)
		}
	}
}

func TestSupported(t *testing.T) {
	t.Setenv("FIREBENCH_ISA", "")
	t.Setenv("GODEBUG", "")
	all, err := Supported()
	if err != nil || all[0] != Scalar || !slices.IsSorted(all) {
		t.Fatalf("Supported() = %v, %v", all, err)
	}
	for i, isa := range all {
		t.Setenv("FIREBENCH_ISA", isa.String())
		if got, err := Supported(); err != nil || !slices.Equal(got, all[:i+1]) {
			t.Errorf("FIREBENCH_ISA=%v: %v, %v, expected %v", isa, got, err, all[:i+1])
		}
		if got, err := Best(); err != nil || got != isa {
			t.Errorf("FIREBENCH_ISA=%v: Best() = %v, %v", isa, got, err)
		}
		if set, err := For(isa); err != nil || set.ISA != isa {
			t.Errorf("For(%v) = %v, %v", isa, set, err)
		}
	}
	for isa := range ISA(len(isaNames)) {
		if slices.Contains(all, isa) {
			continue
		}
		t.Setenv("FIREBENCH_ISA", isa.String())
		if got, err := Supported(); err == nil {
			t.Errorf("FIREBENCH_ISA=%v, which is not usable: %v", isa, got)
		}
		if _, err := For(isa); err == nil {
			t.Errorf("For(%v) succeeded", isa)
		}
	}
	t.Setenv("FIREBENCH_ISA", "sse9")
	if _, err := Supported(); err == nil || !strings.Contains(err.Error(), "FIREBENCH_ISA") || !strings.Contains(err.Error(), "sse9") {
		t.Errorf("FIREBENCH_ISA=sse9: error %v", err)
	}
}

// TestGODEBUG checks that switching a feature off takes away the sets that need it
// and no others.
func TestGODEBUG(t *testing.T) {
	all := detect("")
	for _, n := range native {
		for _, f := range n.features {
			got := detect("gctrace=0,cpu." + f.debug + "=off")
			for _, m := range native {
				needs := slices.ContainsFunc(m.features, func(g feature) bool { return g.debug == f.debug })
				want := slices.Contains(all, m.set.ISA) && !needs
				if slices.Contains(got, m.set.ISA) != want {
					t.Errorf("cpu.%s=off: %v, expected %v: %v", f.debug, got, m.set.ISA, want)
				}
			}
		}
	}
	if got := detect("cpu.all=off"); !slices.Equal(got, []ISA{Scalar}) {
		t.Errorf("cpu.all=off: %v", got)
	}
	if got := detect("cpu.avx512f=on"); !slices.Equal(got, all) {
		t.Errorf("cpu.avx512f=on: %v, expected %v", got, all)
	}
}

// TestPeakFMAs: a wrong number of multiply-adds in a round would falsify every
// peak-%. It must be the generated loop's.
func TestPeakFMAs(t *testing.T) {
	for _, n := range native {
		inside, count := false, 0
		for _, line := range generated(t, n.set.ISA) {
			if strings.HasPrefix(line, "TEXT") {
				inside = strings.Contains(line, "·FMAPeak(")
			}
			if inside && (strings.Contains(line, "VFMADD") || strings.Contains(line, "VFMLA")) {
				count++
			}
		}
		if want := n.set.PeakFMAs / n.set.Lanes; count != want {
			t.Errorf("%v: a round of FMAPeak has %d vector multiply-adds, PeakFMAs says %d", n.set.ISA, count, want)
		}
	}
}
