package main

import (
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
)

func doctor(t *testing.T, args ...string) (status int, lines []string, stderr string) {
	t.Helper()
	var out, errors strings.Builder
	status = run(args, &out, &errors)
	return status, strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"), errors.String()
}

// line returns what is said of an instruction set.
func line(lines []string, isa kernels.ISA) string {
	for _, l := range lines {
		if f := strings.Fields(l); len(f) > 0 && f[0] == isa.String() {
			return strings.TrimSpace(strings.TrimPrefix(l, isa.String()))
		}
	}
	return ""
}

// TestReasons: of every instruction set it says whether it can be used, and if not, why.
func TestReasons(t *testing.T) {
	t.Setenv("FIREBENCH_ISA", "")
	t.Setenv("GODEBUG", "")
	usable, err := kernels.Supported()
	if err != nil {
		t.Fatal(err)
	}
	status, lines, stderr := doctor(t)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, isa := range kernels.ISAs() {
		got := line(lines, isa)
		switch {
		case isa == usable[len(usable)-1]:
			if got != "usable, the fastest" {
				t.Errorf("%v: %q", isa, got)
			}
		case slices.Contains(usable, isa):
			if got != "usable" {
				t.Errorf("%v: %q", isa, got)
			}
		case !strings.HasPrefix(got, "not usable: ") || !strings.Contains(got, "lacks") && !strings.Contains(got, "this build"):
			t.Errorf("%v: %q, expected a reason", isa, got)
		}
	}

	t.Setenv("FIREBENCH_ISA", "scalar")
	_, lines, _ = doctor(t)
	if got := line(lines, kernels.Scalar); got != "usable, the fastest" {
		t.Errorf("FIREBENCH_ISA=scalar: scalar is %q", got)
	}
	for _, isa := range usable[1:] {
		if got, want := line(lines, isa), "not used: excluded by FIREBENCH_ISA=scalar"; got != want {
			t.Errorf("FIREBENCH_ISA=scalar: %v is %q, expected %q", isa, got, want)
		}
	}

	t.Setenv("FIREBENCH_ISA", "")
	t.Setenv("GODEBUG", "cpu.all=off")
	_, lines, _ = doctor(t)
	for _, isa := range usable[1:] {
		if got := line(lines, isa); !strings.HasPrefix(got, "not usable: ") || !strings.HasSuffix(got, `GODEBUG="cpu.all=off" switches off`) {
			t.Errorf("GODEBUG=cpu.all=off: %v is %q", isa, got)
		}
	}
}

// TestUnknown: where FIREBENCH_ISA is wrong, the reasons are there beside the error.
func TestUnknown(t *testing.T) {
	t.Setenv("FIREBENCH_ISA", "sse9")
	for _, test := range []struct {
		args  []string
		lines bool
	}{{nil, true}, {[]string{"-isas"}, false}} {
		status, lines, stderr := doctor(t, test.args...)
		if status != 1 || !strings.Contains(stderr, `doctor: FIREBENCH_ISA: unknown instruction set "sse9"`) {
			t.Errorf("%q: status %d, %q", test.args, status, stderr)
		}
		if (line(lines, kernels.Scalar) != "") != test.lines {
			t.Errorf("%q printed %q", test.args, lines)
		}
	}
}

// TestISAs: -isas prints the usable instruction sets and nothing else.
func TestISAs(t *testing.T) {
	t.Setenv("FIREBENCH_ISA", "")
	usable, err := kernels.Supported()
	if err != nil {
		t.Fatal(err)
	}
	_, lines, _ := doctor(t, "-isas")
	var want []string
	for _, isa := range usable {
		want = append(want, isa.String())
	}
	if !slices.Equal(lines, want) {
		t.Errorf("%q, expected %q", lines, want)
	}
}

func TestUsage(t *testing.T) {
	for arg, want := range map[string]int{"-h": 0, "-x": 2, "x": 2} {
		if status, _, stderr := doctor(t, arg); status != want || stderr == "" {
			t.Errorf("%s: status %d, %q", arg, status, stderr)
		}
	}
}
