// Package kerneltest holds what the tests of kernels, and of the packages
// built on them, have in common: one body run on every instruction set,
// memory fenced by unreadable pages, seeded data, computed tolerances, and
// comparisons that say where and by how much a result is off.
package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"firebench/kernels"
)

// EachISA runs f as a subtest named isa=… for every instruction set that
// [kernels.Supported] lists, the slowest first.
//
// The environment variable FIREBENCH_REQUIRE names an instruction set that
// must be among those that ran: without it the test fails instead of passing
// on less than it promised.
func EachISA(t *testing.T, f func(t *testing.T, set *kernels.Set)) {
	t.Helper()
	isas, err := kernels.Supported()
	if err != nil {
		t.Fatal(err)
	}
	var ran []kernels.ISA
	for _, isa := range isas {
		t.Run("isa="+isa.String(), func(t *testing.T) {
			set, err := kernels.For(isa)
			if err != nil {
				t.Fatal(err)
			}
			if set.ISA != isa {
				t.Fatalf("kernels.For(%v) is the set of %v", isa, set.ISA)
			}
			ran = append(ran, isa) // not filtered out by -run
			f(t, set)
		})
	}
	if err := required(ran); err != nil {
		t.Error(err)
	}
}

// SkipSlow skips all but the fastest instruction set in short mode, in which tests may
// run in emulation: for what takes seconds there, or says little about other sets.
func SkipSlow(t testing.TB, set *kernels.Set) {
	t.Helper()
	if best, err := kernels.Best(); testing.Short() && (err != nil || set.ISA != best) {
		t.Skipf("short mode: only %v", best)
	}
}

// required reports an error unless FIREBENCH_REQUIRE is empty or names one of
// ran.
func required(ran []kernels.ISA) error {
	name := os.Getenv("FIREBENCH_REQUIRE")
	if name == "" {
		return nil
	}
	isa, err := kernels.ParseISA(name)
	if err != nil {
		return fmt.Errorf("FIREBENCH_REQUIRE: %w", err)
	}
	if !slices.Contains(ran, isa) {
		return fmt.Errorf("FIREBENCH_REQUIRE=%s, but only %v ran", name, ran)
	}
	return nil
}

// Shared returns the path of a file of the shared data set, such as
// "golden/input0.npy". The data are in the folder shared beside the module's
// root, or where the environment variable FIREBENCH_SHARED says. A test whose
// file is missing is skipped, with a line that names it.
func Shared(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(sharedDir(t), filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no shared data: %v (FIREBENCH_SHARED can name another folder)", err)
	}
	return path
}

func sharedDir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("FIREBENCH_SHARED"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(filepath.Dir(dir), "shared")
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skip("no shared data: the test does not run inside its module; FIREBENCH_SHARED can name the folder")
		}
		dir = up
	}
}

// Random returns n values of the normal distribution (mean 0, variance 1).
// The same seed gives the same values on every machine.
func Random(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	s := make([]float32, n)
	for i := range s {
		s[i] = float32(r.NormFloat64())
	}
	return s
}

// Tolerance bounds the error of a sum of products evaluated in float32 as a
// chain of k steps in any order, each a fused multiply-add, or a multiply
// and an add: γ(k+2) · abs, where abs is the sum of the absolute values of
// the terms and γ(n) = n·u / (1 - n·u), u = 2⁻²⁴ (Higham, Accuracy and
// Stability of Numerical Algorithms, section 3.1). The two extra steps pay
// for the product's own rounding and for a final scaling. A term for
// results too small to be normal numbers is included.
func Tolerance(k int, abs float64) float64 {
	const (
		unit = 1.0 / (1 << 24)
		tiny = math.SmallestNonzeroFloat32 / 2
	)
	n := float64(k + 2)
	return n*unit/(1-n*unit)*abs + n*tiny
}

// Sizes returns 1 and the sizes around each of the tiles, where loops over
// tiles go wrong: t-1, t, t+1, 2t-1 and 2t+1; sorted, without duplicates.
func Sizes(tiles ...int) []int {
	sizes := []int{1}
	for _, t := range tiles {
		for _, n := range [...]int{t - 1, t, t + 1, 2*t - 1, 2*t + 1} {
			if n > 0 {
				sizes = append(sizes, n)
			}
		}
	}
	slices.Sort(sizes)
	return slices.Compact(sizes)
}
