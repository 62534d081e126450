// Package kerneltest has what the tests of package kernels, and of the packages that use it,
// need: a way to run a test on every instruction set, memory beside pages that cannot be touched,
// seeded random data, computed tolerances, and comparisons that say where a result is wrong and
// by how much.
package kerneltest

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"firebench/kernels"
)

// EachISA runs f as a subtest named isa=… for every instruction set that [kernels.Supported]
// returns, the slowest first.
//
// The environment variable FIREBENCH_REQUIRE names an instruction set that must be among those
// that ran: the test fails if it was not, instead of passing without having tested it.
func EachISA(t *testing.T, f func(t *testing.T, set *kernels.Set)) {
	t.Helper()
	each(t, f, func(a, b *kernels.Set) bool { return a == b })
}

// EachF32 is EachISA for tests of float32 alone. Sets that have the same float32 kernels are one to
// it: it runs f for the last of them.
func EachF32(t *testing.T, f func(t *testing.T, set *kernels.Set)) {
	t.Helper()
	each(t, f, func(a, b *kernels.Set) bool { return a.F32 == b.F32 })
}

// each runs f for the last of the supported sets that are the same.
func each(t *testing.T, f func(t *testing.T, set *kernels.Set), same func(a, b *kernels.Set) bool) {
	t.Helper()
	isas, err := kernels.Supported()
	if err != nil {
		t.Fatal(err)
	}
	var sets []*kernels.Set
	for _, isa := range isas {
		set, err := kernels.For(isa)
		if err != nil {
			t.Fatal(err)
		}
		if set.ISA != isa {
			t.Fatalf("kernels.For(%v) is the set of %v", isa, set.ISA)
		}
		sets = append(sets, set)
	}
	var ran []kernels.ISA
	for i, set := range sets {
		if slices.ContainsFunc(sets[i+1:], func(later *kernels.Set) bool { return same(set, later) }) {
			continue
		}
		t.Run("isa="+set.ISA.String(), func(t *testing.T) {
			// Not filtered out by -run.
			for _, other := range sets {
				if same(set, other) {
					ran = append(ran, other.ISA)
				}
			}
			f(t, set)
		})
	}
	if err := required(ran); err != nil {
		t.Error(err)
	}
}

// SkipSlow skips the test, in short mode, on all instruction sets but the fastest. It is for
// tests that take seconds in emulation, where short mode is used, or that show little that is not
// the same on every set.
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

// Shared returns the path of a file of the shared data, such as "golden/input0.npy". The data are
// in the folder shared beside the module's root, or in the folder that the environment variable
// FIREBENCH_SHARED names. If the file is missing, the test is skipped, with a message that names
// it.
func Shared(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(sharedDir(t), filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no shared data: %v (FIREBENCH_SHARED can name another folder)", err)
	}
	return path
}

// StatError returns what the operating system says of a file that is not there, without the
// file's name: each system says it in its own words.
func StatError(t testing.TB, path string) string {
	t.Helper()
	_, err := os.Stat(path)
	var pathErr *fs.PathError
	if !errors.As(err, &pathErr) {
		t.Fatalf("%s: error %v, want that of a missing file", path, err)
	}
	return pathErr.Err.Error()
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

// Tolerance returns a bound of the error of a sum of products that is computed in float32, as a
// chain of k steps in any order; a step is a fused multiply-add, or a multiplication and an
// addition. The bound is γ(k+2) · abs, where abs is the sum of the absolute values of the terms
// and γ(n) = n·u / (1 - n·u), u = 2⁻²⁴ (Higham, Accuracy and Stability of Numerical Algorithms,
// section 3.1). The two extra steps allow for the rounding of a product and for a final scaling.
// Another term allows for results that are too small to be normal numbers.
func Tolerance(k int, abs float64) float64 {
	const (
		unit = 1.0 / (1 << 24)
		tiny = math.SmallestNonzeroFloat32 / 2
	)
	n := float64(k + 2)
	return n*unit/(1-n*unit)*abs + n*tiny
}

// Sizes returns the sizes at which loops over tiles go wrong: 1, and t-1, t, t+1, 2t-1 and 2t+1
// for each tile t. They are sorted and without duplicates.
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
