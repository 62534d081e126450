package kerneltest

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"firebench/kernels"
)

// A recorder is a testing.TB that keeps the errors that a helper reports.
type recorder struct {
	testing.TB
	errors   []string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(format string, a ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, a...))
}

func (r *recorder) finish() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
	r.cleanups = nil
}

// want reports an error unless the recorder has one message for each of parts, in this order, and
// each message contains its part.
func (r *recorder) want(t *testing.T, what string, parts ...string) {
	t.Helper()
	ok := len(r.errors) == len(parts)
	for i := 0; ok && i < len(parts); i++ {
		ok = strings.Contains(r.errors[i], parts[i])
	}
	if !ok {
		t.Errorf("%s: reported %q, want %q", what, r.errors, parts)
	}
	r.errors = nil
}

func TestGuardSlices(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 1024, 1025, 5000} {
		low, high := Guard(t, n)
		for _, s := range [][]float32{low, high} {
			if len(s) != n || cap(s) < n {
				t.Fatalf("Guard(%d): %d elements, capacity %d", n, len(s), cap(s))
			}
			for i, f := range s {
				if !isCanary(f) {
					t.Fatalf("Guard(%d): element %d is %v, want a NaN", n, i, f)
				}
			}
			for i := range s {
				s[i] = float32(i)
			}
		}
		if n > 0 && &low[0] == &high[0] {
			t.Errorf("Guard(%d): both slices are the same memory", n)
		}
	}
}

// TestGuardFaults: touching the elements beside the slices is a fault on Linux.
func TestGuardFaults(t *testing.T) {
	if fence > 0 {
		t.Skip("no guard pages on this system")
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	low, high := Guard(t, 100)
	for _, c := range []struct {
		name string
		base *float32
		off  int
	}{
		{"before low", &low[0], -1},
		{"after high", &high[0], len(high)},
	} {
		faulted := func() (yes bool) {
			defer func() { yes = recover() != nil }()
			poke(c.base, c.off, 1)
			return
		}()
		if !faulted {
			t.Errorf("writing %s did not fault", c.name)
		}
	}
}

// TestGuardCanaries: writes behind low and before high, where memory can be touched, are found by
// the canaries.
func TestGuardCanaries(t *testing.T) {
	r := &recorder{TB: t}
	Guard(r, 100)
	r.finish()
	r.want(t, "untouched")

	low, high := Guard(r, 100)
	poke(&low[0], 103, 1)
	poke(&high[0], -7, 2)
	r.finish()
	r.want(t, "written beside", "wrote 1 to index 103 of the low", "wrote 2 to index -7 of the high")
}

// poke writes p[i] without a bounds check. It must not be inlined: the compiler does not expect
// such a store to panic, and may move it to where its caller's deferred functions do not see the
// panic.
//
//go:noinline
func poke(p *float32, i int, v float32) {
	*(*float32)(unsafe.Add(unsafe.Pointer(p), i*int(unsafe.Sizeof(*p)))) = v
}

func TestRequired(t *testing.T) {
	both := []kernels.ISA{kernels.Scalar, kernels.AVX2}
	for _, c := range []struct{ value, want string }{
		{"", ""},
		{"scalar", ""},
		{"avx2", ""},
		{"avx512", "only [scalar avx2] ran"},
		{"mmx", "FIREBENCH_REQUIRE: unknown instruction set"},
	} {
		t.Setenv("FIREBENCH_REQUIRE", c.value)
		err := required(both)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("FIREBENCH_REQUIRE=%s: error %v, want %q", c.value, err, c.want)
		}
	}
}

func TestEachISA(t *testing.T) {
	t.Setenv("FIREBENCH_ISA", "scalar")
	t.Setenv("FIREBENCH_REQUIRE", "scalar")
	var ran []kernels.ISA
	EachISA(t, func(t *testing.T, set *kernels.Set) { ran = append(ran, set.ISA) })
	if !slices.Equal(ran, []kernels.ISA{kernels.Scalar}) {
		t.Errorf("FIREBENCH_ISA=scalar ran %v", ran)
	}
}

func TestShared(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "golden", "input0.npy")
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FIREBENCH_SHARED", dir)
	if got := Shared(t, "golden/input0.npy"); got != file {
		t.Errorf("Shared = %q, want %q", got, file)
	}
	t.Run("missing", func(t *testing.T) {
		defer func() {
			if !t.Skipped() {
				t.Error("a missing file did not skip the test")
			}
		}()
		Shared(t, "golden/none.npy")
	})

	// Without the variable, the data are beside the folder that has go.mod.
	t.Setenv("FIREBENCH_SHARED", "")
	module := filepath.Join(dir, "module")
	shared := filepath.Join(dir, "shared")
	deep := filepath.Join(module, "a", "b")
	for _, d := range []string{deep, shared} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{filepath.Join(module, "go.mod"), filepath.Join(shared, "x")} {
		if err := os.WriteFile(f, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(deep)
	if got, want := Shared(t, "x"), filepath.Join(shared, "x"); !sameFile(t, got, want) {
		t.Errorf("Shared = %q, want %q", got, want)
	}
}

func sameFile(t *testing.T, a, b string) bool {
	ia, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	ib, err := os.Stat(b)
	if err != nil {
		t.Fatal(err)
	}
	return os.SameFile(ia, ib)
}

func TestRandom(t *testing.T) {
	const n = 10000
	a, b, c := Random(1, n), Random(1, n), Random(2, n)
	if !slices.Equal(a, b) {
		t.Error("the same seed gives different values")
	}
	if slices.Equal(a, c) {
		t.Error("different seeds give the same values")
	}
	var sum, squares float64
	for _, x := range a {
		sum += float64(x)
		squares += float64(x) * float64(x)
	}
	mean, variance := sum/n, squares/n
	if math.Abs(mean) > 0.05 || math.Abs(variance-1) > 0.05 {
		t.Errorf("mean %.3f and variance %.3f, want about 0 and 1", mean, variance)
	}
}

// TestTolerance computes sums with the largest rounding errors possible: the bound must hold, but
// must not be several times larger than the errors.
func TestTolerance(t *testing.T) {
	for _, k := range []int{1, 2, 10, 100, 1000, 10000} {
		// 1 + k·(u - ε): every addition drops its term.
		term := float32(0x1.fffffep-25)
		sum, exact := float32(1), 1.0
		for range k {
			sum += term
			exact += float64(term)
		}
		err := math.Abs(float64(sum) - exact)
		if tol := Tolerance(k, exact); err > tol || err < tol/4 {
			t.Errorf("k = %d: error %g, tolerance %g", k, err, tol)
		}
	}
	if got := Tolerance(3, 0); !(got > 0) {
		t.Errorf("Tolerance(3, 0) = %g leaves no room for the smallest numbers", got)
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct{ tiles, want []int }{
		{nil, []int{1}},
		{[]int{1}, []int{1, 2, 3}},
		{[]int{4}, []int{1, 3, 4, 5, 7, 9}},
		{[]int{4, 8}, []int{1, 3, 4, 5, 7, 8, 9, 15, 17}},
	} {
		if got := Sizes(c.tiles...); !slices.Equal(got, c.want) {
			t.Errorf("Sizes(%v) = %v, want %v", c.tiles, got, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	// Two pixels of two channels, with a halo, which must not matter.
	v := kernels.NewView(kernels.Type{}, 1, 1, 2, 2, 1)
	Poison(kernels.Data[float32](v))
	set := func(a, b, c, d float32) {
		copy(kernels.Pixel[float32](v, 0, 0, 0), []float32{a, b})
		copy(kernels.Pixel[float32](v, 0, 0, 1), []float32{c, d})
	}
	half := func(int) float64 { return 0.5 }
	for _, c := range []struct {
		name    string
		got     [4]float32
		want    []float64
		bound   func(int) float64
		reports []string
	}{
		{"equal", [4]float32{1, 2, 3, 4}, []float64{1, 2, 3, 4}, nil, nil},
		{"within", [4]float32{1, 2, 3, 4}, []float64{1.5, 2, 2.5, 4}, half, nil},
		{"special", [4]float32{float32(nan), float32(inf), 0, 1}, []float64{nan, inf, math.Copysign(0, -1), 1}, nil, nil},
		{"exact", [4]float32{1, 2, 3, 4}, []float64{1, 2, 3, 4.0000001}, nil,
			[]string{"exact: first of 1 wrong elements out of 4, (n=0 y=0 x=1 c=1): got 4, want 4.0000001"}},
		{"outside", [4]float32{1, 2, 3, 4}, []float64{1, 2.6, 3, 5}, half,
			[]string{"first of 2 wrong elements out of 4, (n=0 y=0 x=0 c=1): got 2, want 2.6, off by 0.6, bound 0.5", "worst of 2 wrong elements out of 4, (n=0 y=0 x=1 c=1)"}},
		{"lost NaN", [4]float32{1, 2, 3, 4}, []float64{nan, 2, 3, 4}, half, []string{"got 1, want NaN"}},
		{"new NaN", [4]float32{1, float32(nan), 3, 4}, []float64{1, 2, 3, 4}, half, []string{"got NaN, want 2"}},
		{"infinity", [4]float32{1, 2, float32(inf), 4}, []float64{1, 2, -inf, 4}, half, []string{"got +Inf, want -Inf"}},
		{"size", [4]float32{1, 2, 3, 4}, []float64{1, 2, 3}, nil, []string{"the view is 1×1×2×2 = 4 elements, want 3"}},
	} {
		set(c.got[0], c.got[1], c.got[2], c.got[3])
		r := &recorder{TB: t}
		Compare(r, c.name, v, c.want, c.bound)
		r.want(t, c.name, c.reports...)
	}
}

func TestUnwritten(t *testing.T) {
	whole := kernels.NewView(kernels.Type{}, 2, 2, 3, 5, 1)
	some := whole.Channels(1, 3)
	Poison(kernels.Data[float32](whole))
	for i := range kernels.Data[float32](whole) {
		// The pixels of some, the halo included, are channels 1 to 3 of 5.
		if c := i % 5; c >= 1 && c <= 3 {
			kernels.Data[float32](whole)[i] = 1
		}
	}
	r := &recorder{TB: t}
	Unwritten(r, "some channels", some)
	r.want(t, "all inside")

	kernels.Data[float32](whole)[whole.Index(1, -1, 2, 4)] = 7
	Unwritten(r, "some channels", some)
	r.want(t, "beside the view", "wrote 7 outside its view")

	dense := some
	dense.Halo = 0
	Unwritten(r, "dense", dense)
	r.want(t, "halo of a view without one", "wrote 1 outside its view")
}

func TestZeroHalo(t *testing.T) {
	for _, at := range [][3]int{{0, -1, -1}, {0, 2, 3}, {1, 0, -1}, {1, 1, 3}, {1, -1, 1}} {
		v := kernels.NewView(kernels.Type{}, 2, 2, 3, 4, 1)
		for n := range v.N {
			for y := range v.H {
				for x := range v.W {
					copy(kernels.Pixel[float32](v, n, y, x), []float32{1, 2, 3, 4})
				}
			}
		}
		r := &recorder{TB: t}
		ZeroHalo(r, "clean", v)
		r.want(t, "clean")
		kernels.Data[float32](v)[v.Index(at[0], at[1], at[2], 3)] = 9
		ZeroHalo(r, "dirty", v)
		r.want(t, fmt.Sprint(at), fmt.Sprintf("dirty: the halo holds 9 at (n=%d y=%d x=%d c=3)", at[0], at[1], at[2]))
	}
}

// TestEachF32 finds each float32 half of the supported sets once.
func TestEachF32(t *testing.T) {
	found := map[*kernels.F32]kernels.ISA{}
	EachF32(t, func(t *testing.T, set *kernels.Set) {
		if isa, ok := found[set.F32]; ok {
			t.Errorf("%v has the kernels of %v, which ran before", set.ISA, isa)
		}
		found[set.F32] = set.ISA
	})
	isas, err := kernels.Supported()
	if err != nil {
		t.Fatal(err)
	}
	for _, isa := range isas {
		set, err := kernels.For(isa)
		if err != nil {
			t.Fatal(err)
		}
		if last, ok := found[set.F32]; !ok || last < isa {
			t.Errorf("the kernels of %v ran for %v, expected a later set", isa, last)
		}
	}
}
