package kernels

import (
	"slices"
	"strings"
	"testing"
)

// TestParseISA: ParseISA is the inverse of String, and refuses other names.
func TestParseISA(t *testing.T) {
	for i := range isas {
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

// TestFloat32: Float32 names the set that has the same float32 kernels, of several the first.
func TestFloat32(t *testing.T) {
	sets := detect("")
	for _, n := range sets {
		i := slices.IndexFunc(sets, func(m nativeSet) bool { return m.set.F32 == n.set.F32 })
		if got, want := n.set.ISA.Float32(), sets[i].set.ISA; got != want {
			t.Errorf("%v.Float32() is %v, but the first set with its kernels is %v", n.set.ISA, got, want)
		}
	}
	if isa := ISA(200); isa.Float32() != isa {
		t.Errorf("%v.Float32() is %v", isa, isa.Float32())
	}
}

// TestSupported: FIREBENCH_ISA names the last of the sets that can be used, and must name one of
// them.
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
	for isa := range ISA(len(isas)) {
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

// TestISAs: ISAs returns the instruction sets of this architecture in order, including all that
// this build has kernels for.
func TestISAs(t *testing.T) {
	list := ISAs()
	if list[0] != Scalar || !slices.IsSorted(list) {
		t.Errorf("ISAs() = %v", list)
	}
	for _, n := range native {
		if !slices.Contains(list, n.set.ISA) {
			t.Errorf("ISAs() = %v, without %v", list, n.set.ISA)
		}
	}
}

// TestGODEBUG: switching a feature off leaves out the sets that need it, and no others.
func TestGODEBUG(t *testing.T) {
	all := names(detect(""))
	for _, n := range native {
		for _, f := range n.features {
			got := names(detect("gctrace=0,cpu." + f.debug + "=off"))
			for _, m := range native {
				needs := f.debug != "" && slices.ContainsFunc(m.features, func(g feature) bool { return g.debug == f.debug })
				want := slices.Contains(all, m.set.ISA) && !needs
				if slices.Contains(got, m.set.ISA) != want {
					t.Errorf("cpu.%s=off: %v, expected %v: %v", f.debug, got, m.set.ISA, want)
				}
			}
		}
	}
	for setting, want := range map[string][]ISA{
		"cpu.all=off":              {Scalar},
		"cpu.all=off,cpu.all=on":   all,
		"cpu.avx512f=on":           all,
		"cpu.=off":                 all,
		"=off":                     all,
		"cpu.avx2=off,cpu.avx2=on": all,
		"cpu.avx=off,cpu.all=on":   all,
		"cpu.avx2=no":              all,
		"cpu.avx2=off,cpu.avx2=no,cpu.avx2=of,avx": names(detect("cpu.avx2=off")),
		"cpu.avx2=on,cpu.avx2=off":                 names(detect("cpu.avx2=off")),
	} {
		if got := names(detect(setting)); !slices.Equal(got, want) {
			t.Errorf("GODEBUG=%s: %v, expected %v", setting, got, want)
		}
	}
}

// TestWithin: within compares what sets need. FIREBENCH_ISA leaves out every set that needs more
// than the one that it names, even if it stands earlier in the list.
func TestWithin(t *testing.T) {
	set := func(features ...string) (n nativeSet) {
		for _, f := range features {
			n.features = append(n.features, feature{name: f})
		}
		return n
	}
	for _, c := range []struct {
		n, m nativeSet
		want bool
	}{
		{set(), set("a"), true},
		{set("a"), set("a", "b"), true},
		{set("b"), set("a", "b", "c"), true},
		{set("a", "d"), set("a", "b", "c"), false},
		{set("a"), set(), false},
	} {
		if got := c.n.within(c.m); got != c.want {
			t.Errorf("%v within %v: %v", c.n.features, c.m.features, got)
		}
	}
}

// TestUnusable: the error of For says why an instruction set cannot be used.
func TestUnusable(t *testing.T) {
	const isa = ISA(200)
	t.Cleanup(func(before []nativeSet) func() { return func() { native = before } }(native))
	check := func(want string) {
		t.Helper()
		if _, err := For(isa); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, expected %q", err, want)
		}
	}
	check("has no ISA(200) kernels")
	present, absent := func() bool { return true }, func() bool { return false }
	native = append(native[:len(native):len(native)], nativeSet{&Set{ISA: isa}, []feature{{"A", "a", present}, {"B", "b", absent}, {"C", "", absent}}})
	check("needs B, C, which the processor or the operating system lacks")
	native[len(native)-1].features = []feature{{"A", "a", present}}
	if set, err := For(isa); err != nil || set.ISA != isa {
		t.Errorf("%v, %v", set, err)
	}
	t.Setenv("GODEBUG", "cpu.a=off")
	check(`needs something that GODEBUG="cpu.a=off" switches off`)
}
