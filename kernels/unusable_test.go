package kernels

import (
	"strings"
	"testing"
)

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
