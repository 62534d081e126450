package kernels

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// An ISA is an instruction set that kernels exist for.
type ISA uint8

// The instruction sets, slowest first within an architecture. Each also has an entry in isas, its
// list of features in isa_<arch>.go, and its Set in set_<arch>.go.
const (
	Scalar      ISA = iota // portable Go
	AVX2                   // 256-bit vectors, fused multiply-add
	AVX512                 // 512-bit vectors
	AVX512VNNI             // dot products of bytes
	NEON                   // 128-bit vectors
	NEONDotProd            // dot products of bytes
)

var isas = [...]struct {
	name    string
	arch    string // GOARCH, "" for every architecture
	float32 ISA    // whose float32 kernels the set has, its own or another's
}{
	Scalar:      {"scalar", "", Scalar},
	AVX2:        {"avx2", "amd64", AVX2},
	AVX512:      {"avx512", "amd64", AVX512},
	AVX512VNNI:  {"avx512-vnni", "amd64", AVX512},
	NEON:        {"neon", "arm64", NEON},
	NEONDotProd: {"neon-dotprod", "arm64", NEON},
}

// ISAs returns the instruction sets of this architecture, slowest first, whether this machine has
// them or not.
func ISAs() []ISA {
	var list []ISA
	for i, isa := range isas {
		if isa.arch == "" || isa.arch == runtime.GOARCH {
			list = append(list, ISA(i))
		}
	}
	return list
}

// String returns the name that FIREBENCH_ISA and benchmark names use.
func (i ISA) String() string {
	if int(i) < len(isas) {
		return isas[i].name
	}
	return fmt.Sprintf("ISA(%d)", uint8(i))
}

// Float32 returns the instruction set whose float32 kernels the Set of i has: i, or another one if i
// brings nothing new for float32.
func (i ISA) Float32() ISA {
	if int(i) < len(isas) {
		return isas[i].float32
	}
	return i
}

// ParseISA is the inverse of String. The error lists the known names.
func ParseISA(s string) (ISA, error) {
	var known []ISA
	for i, isa := range isas {
		if s == isa.name {
			return ISA(i), nil
		}
		known = append(known, ISA(i))
	}
	return 0, fmt.Errorf("unknown instruction set %q, expected one of %s", s, list(known))
}

// A feature is an extension of the processor that an ISA needs.
type feature struct {
	name  string // avo's name for it, as in the generated files' Requires lines
	debug string // Go's name for it, as in GODEBUG=cpu.<debug>=off; "" if Go has none
	has   func() bool
}

// A nativeSet is a generated set with the features that it needs.
type nativeSet struct {
	set      *Set
	features []feature
}

// within reports whether m needs every feature that n needs.
func (n nativeSet) within(m nativeSet) bool {
	return !slices.ContainsFunc(n.features, func(f feature) bool {
		return !slices.ContainsFunc(m.features, func(g feature) bool { return f.name == g.name })
	})
}

// Supported returns the instruction sets that this build can use on this machine, slowest first;
// Scalar is always the first.
//
// FIREBENCH_ISA names the last of them: every set that needs a feature which the named set does not
// need is left out. GODEBUG=cpu.<feature>=off leaves out all sets that need the feature. It is an
// error if FIREBENCH_ISA is unknown or cannot be used here.
//
// The environment is read on every call, not in init: go test takes a test's result from its cache
// unless a variable has changed that the test itself has read.
func Supported() ([]ISA, error) {
	usable := detect(os.Getenv("GODEBUG"))
	name := os.Getenv("FIREBENCH_ISA")
	if name == "" {
		return names(usable), nil
	}
	top, err := ParseISA(name)
	if err != nil {
		return nil, fmt.Errorf("FIREBENCH_ISA: %w", err)
	}
	i := slices.IndexFunc(usable, func(n nativeSet) bool { return n.set.ISA == top })
	if i < 0 {
		return nil, fmt.Errorf("FIREBENCH_ISA: %v is not usable here, expected one of %s", top, list(names(usable)))
	}
	last := usable[i]
	return names(slices.DeleteFunc(usable, func(n nativeSet) bool { return !n.within(last) })), nil
}

// list returns the names of instruction sets as messages show them.
func list(isas []ISA) string {
	var names []string
	for _, isa := range isas {
		names = append(names, isa.String())
	}
	return strings.Join(names, ", ")
}

func names(sets []nativeSet) []ISA {
	var list []ISA
	for _, n := range sets {
		list = append(list, n.set.ISA)
	}
	return list
}

// Best returns the last instruction set of Supported, the fastest.
func Best() (ISA, error) {
	isas, err := Supported()
	if err != nil {
		return 0, err
	}
	return isas[len(isas)-1], nil
}

// detect returns the scalar set, and every set of native whose features are all present and not
// switched off by godebug, the value of GODEBUG.
func detect(godebug string) []nativeSet {
	off := switchedOff(godebug)
	sets := []nativeSet{{set: &scalarSet}}
	for _, n := range native {
		if !slices.ContainsFunc(n.features, func(f feature) bool { return !f.has() || off(f.debug) }) {
			sets = append(sets, n)
		}
	}
	return sets
}

// switchedOff returns a function that reports whether GODEBUG switches a feature off. As in the Go
// runtime, the last setting of a feature counts, cpu.all sets every feature, and values other than
// on and off are ignored.
func switchedOff(godebug string) func(key string) bool {
	off := map[string]bool{}
	for kv := range strings.SplitSeq(godebug, ",") {
		key, value, _ := strings.Cut(kv, "=")
		key, ok := strings.CutPrefix(key, "cpu.")
		if !ok || key == "" || value != "on" && value != "off" {
			continue
		}
		if key == "all" {
			clear(off)
		}
		off[key] = value == "off"
	}
	return func(key string) bool {
		v, ok := off[key]
		return v || !ok && off["all"]
	}
}

// For returns the kernels of isa, whatever FIREBENCH_ISA says. The error says what is missing if
// this build or this machine lacks them, or if GODEBUG switches them off.
func For(isa ISA) (*Set, error) {
	for _, n := range detect(os.Getenv("GODEBUG")) {
		if n.set.ISA == isa {
			return n.set, nil
		}
	}
	return nil, unusable(isa)
}

// unusable returns the error of For: what the build, the processor or the operating system lacks
// for isa, or that GODEBUG switches off what isa needs.
func unusable(isa ISA) error {
	for _, n := range native {
		if n.set.ISA != isa {
			continue
		}
		var missing []string
		for _, f := range n.features {
			if !f.has() {
				missing = append(missing, f.name)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("kernels: %v needs %s, which the processor or the operating system lacks", isa, strings.Join(missing, ", "))
		}
		return fmt.Errorf("kernels: %v needs something that GODEBUG=%q switches off", isa, os.Getenv("GODEBUG"))
	}
	return fmt.Errorf("kernels: this build, for %s, has no %v kernels", runtime.GOARCH, isa)
}
