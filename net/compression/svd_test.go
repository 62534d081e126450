package compression

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
)

// newAlgebra returns the algebra of the machine's best kernels.
func newAlgebra(t *testing.T) algebra {
	t.Helper()
	best, err := kernels.Best()
	if err != nil {
		t.Fatal(err)
	}
	set, err := kernels.For(best)
	if err != nil {
		t.Fatal(err)
	}
	return algebra{set, 2}
}

// noiseMatrix returns a seeded random matrix.
func noiseMatrix(seed uint64, rows, cols int) matrix {
	return matrix{rows, cols, kerneltest.Random(seed, rows*cols)}
}

// withSingularValues returns a matrix that has the singular values s, and 0 besides.
func withSingularValues(t *testing.T, g algebra, rows, cols int, s []float64) matrix {
	t.Helper()
	u, v := noiseMatrix(1, len(s), rows), noiseMatrix(2, len(s), cols)
	for _, x := range []matrix{u, v} {
		if err := g.orthonormalize(x); err != nil {
			t.Fatal(err)
		}
	}
	for i := range s {
		for j := range u.row(i) {
			u.row(i)[j] *= float32(s[i])
		}
	}
	a, err := g.product(u.transposed(), v.transposed())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// falling returns n numbers, each of which is ratio times the one before.
func falling(n int, ratio float64) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = math.Pow(ratio, float64(i))
	}
	return s
}

// sameBits reports whether a and b are the same numbers.
func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// remainder returns the norm of a - Σ s·uᵀ·v, relative to that of a.
func remainder(t *testing.T, g algebra, a matrix, d decomposition) float64 {
	t.Helper()
	u := matrix{d.u.rows, d.u.cols, slices.Clone(d.u.data)}
	for i, s := range d.s {
		for j := range u.row(i) {
			u.row(i)[j] *= float32(s)
		}
	}
	lost, err := g.difference(a, u, d.v)
	if err != nil {
		t.Fatal(err)
	}
	return math.Sqrt(lost / norm2(a.data))
}

// checkOrthonormal checks the products of the rows of a with each other.
func checkOrthonormal(t *testing.T, what string, a matrix, tolerance float64) {
	t.Helper()
	for i := range a.rows {
		for j := range i + 1 {
			dot, want := 0.0, 0.0
			for k, x := range a.row(i) {
				dot += float64(x) * float64(a.row(j)[k])
			}
			if i == j {
				want = 1
			}
			if math.Abs(dot-want) > tolerance {
				t.Errorf("%s: the product of rows %d and %d is %g", what, i, j, dot)
				return
			}
		}
	}
}

// TestDecompose compares exact and randomized decompositions with gonum's. What is left of a matrix must be as little as
// with the largest singular values.
func TestDecompose(t *testing.T) {
	g := newAlgebra(t)
	for _, test := range []struct {
		name string
		a    matrix
		rank int
		// By how much singular values may be too small, as a part of the largest, and what is left too large.
		values, left float64
	}{
		{"wide", noiseMatrix(1, 40, 70), 10, 1e-6, 1e-6},
		{"tall", noiseMatrix(2, 71, 33), 33, 1e-6, 0},
		{"even", withSingularValues(t, g, 64, 64, falling(64, 0.7)), 20, 1e-6, 1e-3},
		{"one", matrix{1, 1, []float32{-3}}, 1, 0, 0},
		{"row", noiseMatrix(3, 1, 9), 1, 1e-6, 0},
		{"randomized", withSingularValues(t, g, exactRows+8, exactRows+50, falling(200, 0.95)), 40, 1e-3, 1e-3},
		{"randomized, tall", withSingularValues(t, g, exactRows+50, exactRows+9, falling(300, 0.98)), 60, 1e-2, 1e-2},
		{"almost all", noiseMatrix(4, exactRows+1, exactRows+2), exactRows - 5, 1e-6, 1e-6}, // too many for a random start
	} {
		if testing.Short() && test.a.rows > exactRows {
			continue
		}
		d, err := g.decompose(test.a, test.rank)
		if err != nil {
			t.Fatal(err)
		}
		wide := make([]float64, len(test.a.data))
		for i, v := range test.a.data {
			wide[i] = float64(v)
		}
		var svd mat.SVD
		if !svd.Factorize(mat.NewDense(test.a.rows, test.a.cols, wide), mat.SVDNone) {
			t.Fatal("gonum's values do not converge")
		}
		want := svd.Values(nil)
		all, least := 0.0, 0.0
		for i, s := range want {
			all += s * s
			if i >= test.rank {
				least += s * s
			}
		}
		for i, s := range d.s {
			if s > want[i]*(1+1e-5)+1e-6*want[0] || s < want[i]-test.values*want[0] {
				t.Errorf("%s: singular value %d is %v, want %v", test.name, i, s, want[i])
			}
		}
		// The vectors of small values have the rounding errors of the large ones.
		tolerance := 2e-6 * d.s[0] / d.s[test.rank-1]
		checkOrthonormal(t, test.name+", u", d.u, tolerance)
		checkOrthonormal(t, test.name+", v", d.v, tolerance)
		if len(d.s) != test.rank || d.u.rows != test.rank || d.v.rows != test.rank || d.u.cols != test.a.rows || d.v.cols != test.a.cols {
			t.Errorf("%s: %d values, vectors %d×%d and %d×%d", test.name, len(d.s), d.u.rows, d.u.cols, d.v.rows, d.v.cols)
		}
		// Two roundings of float32 are an error of some 1e-6.
		if got, want := remainder(t, g, test.a, d), math.Sqrt(least/all); got > want*(1+test.left)+2e-6 {
			t.Errorf("%s: the error is %g, want %g", test.name, got, want)
		}
	}
}

// TestDecomposeLowRank: a matrix of low rank is recovered with this rank, and with a larger one.
func TestDecomposeLowRank(t *testing.T) {
	g := newAlgebra(t)
	const rank = 7
	for _, size := range [][2]int{{30, 50}, {exactRows + 3, exactRows + 20}} {
		a, err := g.product(noiseMatrix(1, size[0], rank), noiseMatrix(2, size[1], rank))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []int{rank, rank + 4} {
			d, err := g.decompose(a, r)
			if err != nil {
				t.Fatal(err)
			}
			if got := remainder(t, g, a, d); got > 2e-6 {
				t.Errorf("%d×%d: the error of rank %d is %g", a.rows, a.cols, r, got)
			}
		}
		if d, err := g.decompose(a, rank-1); err != nil || remainder(t, g, a, d) < 1e-2 {
			t.Errorf("%d×%d is of a rank below %d; error %v", a.rows, a.cols, rank, err)
		}
		clear(a.data)
		d, err := g.decompose(a, 3)
		if lost, _ := g.difference(a, d.u, d.v); err != nil || d.s[0] != 0 || norm2(d.v.data) != 0 || lost != 0 {
			t.Errorf("%d×%d zeros have the singular values %v, error %v", a.rows, a.cols, d.s, err)
		}
	}
}

// TestDecomposeSpace: of many singular values, the first rows are a space for a smaller rank, of which s says what it leaves
// out, not much more than the least.
func TestDecomposeSpace(t *testing.T) {
	defer func(n int) { eigenRows = n }(eigenRows)
	eigenRows = 50
	g := newAlgebra(t)
	s := falling(exactRows+8, 0.99)
	a := withSingularValues(t, g, exactRows+8, exactRows+50, s)
	d, err := g.decompose(a, 100)
	if err != nil {
		t.Fatal(err)
	}
	checkOrthonormal(t, "u", d.u, 1e-5)
	all, least := norm2(a.data), norm2(a.data)
	left := least
	for i := range 100 {
		least -= s[i] * s[i]
		left -= d.s[i] * d.s[i]
		if n := i + 1; n == 10 || n == 100 {
			first := decomposition{d.s[:n], d.u.part(0, n), d.v.part(0, n)}
			got := remainder(t, g, a, first)
			if math.Abs(got-math.Sqrt(left/all)) > 1e-5 || got > 1.05*math.Sqrt(least/all) {
				t.Errorf("the error of rank %d is %g, s says %g, and the least is %g", n, got, math.Sqrt(left/all), math.Sqrt(least/all))
			}
		}
	}
}

// TestOrthonormalize has rows that depend on others in their panel and in panels before, and rows of zeros.
func TestOrthonormalize(t *testing.T) {
	g := newAlgebra(t)
	a := noiseMatrix(1, 3*panelRows+5, 300)
	want := noiseMatrix(1, 1, 300)
	if err := g.orthonormalize(a); err != nil {
		t.Fatal(err)
	}
	checkOrthonormal(t, "noise", a, 2e-6)
	scale := math.Sqrt(norm2(want.data))
	for j, v := range want.data {
		if math.Abs(float64(v)/scale-float64(a.data[j])) > 1e-6 {
			t.Fatalf("element %d of the first row is %v, want %v", j, a.data[j], float64(v)/scale)
		}
	}
	a = noiseMatrix(1, 3*panelRows+5, 300)
	for j, v := range a.row(1) {
		a.row(panelRows + 1)[j] = v + 1e-3*a.row(2)[j]
		a.row(3)[j] = 2 * v
		a.row(4)[j] = a.row(5)[j] + 1e-5*a.row(6)[j]
	}
	if err := g.orthonormalize(a); err != nil {
		t.Fatal(err)
	}
	checkOrthonormal(t, "rows that depend on others", a, 2e-6)
	clear(a.row(0))
	clear(a.row(panelRows + 2))
	if err := g.orthonormalize(a); err != nil {
		t.Fatal(err)
	}
	for i := range a.rows {
		want := 1.0
		if i == 0 || i == panelRows+2 {
			want = 0
		}
		if n := norm2(a.row(i)); math.Abs(n-want) > 1e-6 {
			t.Errorf("row %d has the norm %v, want %v", i, n, want)
		}
	}
}

// TestDecomposeThreads: the bits do not depend on the number of threads.
func TestDecomposeThreads(t *testing.T) {
	g := newAlgebra(t)
	a := noiseMatrix(1, exactRows+8, exactRows+100)
	var first decomposition
	for _, threads := range []int{1, 2, 5} {
		g.threads = threads
		d, err := g.decompose(a, 20)
		if err != nil {
			t.Fatal(err)
		}
		if threads == 1 {
			first = d
		} else if !slices.Equal(d.s, first.s) || !sameBits(d.u.data, first.u.data) || !sameBits(d.v.data, first.v.data) {
			t.Errorf("%d threads give other bits than one", threads)
		}
	}
}

// TestDecomposeRefuses: numbers that are not finite are an error.
func TestDecomposeRefuses(t *testing.T) {
	g := newAlgebra(t)
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		a := noiseMatrix(1, 5, 4)
		a.data[7] = float32(bad)
		if _, err := g.decompose(a, 2); err == nil || err.Error() != "weights are not finite" {
			t.Errorf("%v: error %v", bad, err)
		}
	}
}
