package kernels

import (
	"fmt"
	"os"
	"strings"
)

// An ISA is an instruction set that kernels exist for.
type ISA uint8

// The instruction sets, slowest first within an architecture.
const (
	Scalar ISA = iota // portable Go
	AVX2              // amd64: 256-bit vectors, fused multiply-add
	AVX512            // amd64: 512-bit vectors
	NEON              // arm64: 128-bit vectors
)

var isaNames = [...]string{Scalar: "scalar", AVX2: "avx2", AVX512: "avx512", NEON: "neon"}

// String returns the name that FIREBENCH_ISA and benchmark names use.
func (i ISA) String() string {
	if int(i) < len(isaNames) {
		return isaNames[i]
	}
	return fmt.Sprintf("ISA(%d)", uint8(i))
}

// ParseISA is the inverse of String. The error lists the known names.
func ParseISA(s string) (ISA, error) {
	for i, name := range isaNames {
		if s == name {
			return ISA(i), nil
		}
	}
	return 0, fmt.Errorf("unknown instruction set %q, expected one of %s", s, strings.Join(isaNames[:], ", "))
}

// A feature is one thing that an ISA asks of the processor.
type feature struct {
	avo   string // the name in the generated files' Requires lines
	debug string // the key of GODEBUG=cpu.<key>=off, the Go runtime's name; "" if it has none
	has   func() bool
}

// Supported lists the instruction sets that this build can use on this machine,
// slowest first; Scalar is always the first. FIREBENCH_ISA lowers the list to end
// at the named one, GODEBUG=cpu.<feature>=off removes those that need the feature.
// The environment is read on every call, not in init: `go test` records
// what a test reads, and only then keys its cache by it.
//
// It fails when FIREBENCH_ISA is unknown or not usable here.
func Supported() ([]ISA, error) {
	isas := detect(os.Getenv("GODEBUG"))
	name := os.Getenv("FIREBENCH_ISA")
	if name == "" {
		return isas, nil
	}
	top, err := ParseISA(name)
	if err != nil {
		return nil, fmt.Errorf("FIREBENCH_ISA: %w", err)
	}
	for i, isa := range isas {
		if isa == top {
			return isas[:i+1], nil
		}
	}
	return nil, fmt.Errorf("FIREBENCH_ISA: %v is not usable here, expected one of %v", top, isas)
}

// Best returns the last of Supported.
func Best() (ISA, error) {
	isas, err := Supported()
	if err != nil {
		return 0, err
	}
	return isas[len(isas)-1], nil
}

// detect returns Scalar and every set of native whose features are all present
// and not switched off.
func detect(godebug string) []ISA {
	off := map[string]bool{}
	for _, kv := range strings.Split(godebug, ",") {
		if key, ok := strings.CutSuffix(kv, "=off"); ok {
			if key, ok := strings.CutPrefix(key, "cpu."); ok {
				off[key] = true
			}
		}
	}
	isas := []ISA{Scalar}
next:
	for _, n := range native {
		for _, f := range n.features {
			if !f.has() || off[f.debug] || off["all"] {
				continue next
			}
		}
		isas = append(isas, n.set.ISA)
	}
	return isas
}

// nativeSet is a generated set and what it asks of the processor.
type nativeSet struct {
	set      *Set
	features []feature
}

// For returns the kernels of isa. It fails when this build or this machine lacks
// them, and says what is missing; it does not look at FIREBENCH_ISA.
func For(isa ISA) (*Set, error) {
	if isa == Scalar {
		return &scalarSet, nil
	}
	for _, have := range detect(os.Getenv("GODEBUG")) {
		if have != isa {
			continue
		}
		for _, n := range native {
			if n.set.ISA == isa {
				return n.set, nil
			}
		}
	}
	return nil, unusable(isa)
}
