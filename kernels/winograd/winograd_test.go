package winograd

import (
	"fmt"
	"math"
	"math/big"
	"testing"
)

// TestExact multiplies the matrices of every algorithm, in exact numbers. For each pair of an
// input and a tap, the weight of their product in each output must be that of the filter's
// definition, times the scale. This proves the algorithms for all inputs, because they are bilinear.
func TestExact(t *testing.T) {
	for n := 1; n <= len(points)+1; n++ {
		for r := 1; r <= n; r++ {
			testExact(t, New(n-r+1, r), n, 1)
		}
	}
	for r := 1; r <= 6; r++ {
		testExact(t, NewInteger(7-r, r), 6, 24)
	}
}

func testExact(t *testing.T, a *Algorithm, n int, scale int64) {
	if a.N() != n || a.Scale != scale {
		t.Errorf("F(%d, %d) has %d products and the scale %d, want %d and %d", a.M, a.R, a.N(), a.Scale, n, scale)
	}
	for d := range n {
		for g := range a.R {
			for y := range a.M {
				sum := new(big.Rat)
				for k := range n {
					p := new(big.Rat).Mul(a.AT[y][k], a.G[k][g])
					sum.Add(sum, p.Mul(p, a.BT[k][d]))
				}
				want := new(big.Rat)
				if y+g == d {
					want.SetInt64(scale)
				}
				if sum.Cmp(want) != 0 {
					t.Errorf("F(%d, %d): input %d, tap %d gives output %d the weight %v, want %v", a.M, a.R, d, g, y, sum, want)
				}
			}
		}
	}
}

// TestIntegerRanges: transforms of bytes fit 16 bits. A transform is a sum of products of bytes and the
// products of two rows' entries; it is greatest, and least, where each byte is at the end of its range
// that the sign of its factor asks for.
func TestIntegerRanges(t *testing.T) {
	extremes := func(rows [][]int, low, high int) (least, greatest int) {
		for _, a := range rows {
			for _, b := range rows {
				smallest, largest := 0, 0
				for _, v := range a {
					for _, w := range b {
						x, y := v*w*low, v*w*high
						smallest += min(x, y)
						largest += max(x, y)
					}
				}
				least, greatest = min(least, smallest), max(greatest, largest)
			}
		}
		return least, greatest
	}
	for _, c := range []struct {
		what            string
		m               Matrix
		low, high       int // of a byte
		least, greatest int
	}{
		{"inputs", NewInteger(4, 3).BT, 0, 255, -12750, 17340},
		{"inputs", NewInteger(3, 4).BT, 0, 255, -12750, 17340},
		{"3×3 weights", NewInteger(4, 3).G, -128, 127, -18432, 18352},
		{"4×4 weights", NewInteger(3, 4).G, -128, 127, -32768, 32640},
	} {
		least, greatest := extremes(c.m.Int(), c.low, c.high)
		if least != c.least || greatest != c.greatest {
			t.Errorf("%s are transformed to %d to %d, want %d to %d", c.what, least, greatest, c.least, c.greatest)
		}
		if least < math.MinInt16 || greatest > math.MaxInt16 {
			t.Errorf("%s do not fit 16 bits: %d to %d", c.what, least, greatest)
		}
	}
}

// same compares a matrix with want/scale.
func same(t *testing.T, name string, got Matrix, scale int64, want [][]int64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s has %d rows, want %d", name, len(got), len(want))
		return
	}
	for i := range want {
		for j := range want[i] {
			if got[i][j].Cmp(big.NewRat(want[i][j], scale)) != 0 {
				t.Errorf("%s[%d][%d] = %v, want %d/%d", name, i, j, got[i][j], want[i][j], scale)
			}
		}
	}
}

// TestF43 compares F(4, 3) with the matrices of Lavin and Gray, section 4.1.
func TestF43(t *testing.T) {
	a := New(4, 3)
	same(t, "BT", a.BT, 1, [][]int64{
		{4, 0, -5, 0, 1, 0},
		{0, -4, -4, 1, 1, 0},
		{0, 4, -4, -1, 1, 0},
		{0, -2, -1, 2, 1, 0},
		{0, 2, -1, -2, 1, 0},
		{0, 4, 0, -5, 0, 1},
	})
	same(t, "G", a.G, 24, [][]int64{{6, 0, 0}, {-4, -4, -4}, {-4, 4, -4}, {1, 2, 4}, {1, -2, 4}, {0, 0, 24}})
	same(t, "AT", a.AT, 1, [][]int64{
		{1, 1, 1, 1, 1, 0},
		{0, 1, -1, 2, -2, 0},
		{0, 1, 1, 4, 4, 0},
		{0, 1, -1, 8, -8, 1},
	})
}

// TestInteger compares the matrices in integers with ones written by hand: they are New's but for the
// scale, which the last point takes back in part.
func TestInteger(t *testing.T) {
	a, b := NewInteger(4, 3), NewInteger(3, 4)
	for i, row := range a.BT.Int() {
		for j, v := range row {
			if want := New(4, 3).BT[i][j]; want.Cmp(big.NewRat(int64(v), 1)) != 0 || want.Cmp(b.BT[i][j]) != 0 {
				t.Errorf("BT[%d][%d] is %d and %v, want %v", i, j, v, b.BT[i][j], want)
			}
		}
	}
	same(t, "G of F(4, 3)", a.G, 1, [][]int64{{6, 0, 0}, {-4, -4, -4}, {-4, 4, -4}, {1, 2, 4}, {1, -2, 4}, {0, 0, 6}})
	same(t, "AT of F(4, 3)", a.AT, 1, [][]int64{
		{1, 1, 1, 1, 1, 0},
		{0, 1, -1, 2, -2, 0},
		{0, 1, 1, 4, 4, 0},
		{0, 1, -1, 8, -8, 4},
	})
	same(t, "G of F(3, 4)", b.G, 1, [][]int64{{6, 0, 0, 0}, {-4, -4, -4, -4}, {-4, 4, -4, 4}, {1, 2, 4, 8}, {1, -2, 4, -8}, {0, 0, 0, 6}})
	same(t, "AT of F(3, 4)", b.AT, 1, [][]int64{
		{1, 1, 1, 1, 1, 0},
		{0, 1, -1, 2, -2, 0},
		{0, 1, 1, 4, 4, 4},
	})
}

// TestGradient compares the matrices for gradients with ones written by hand.
func TestGradient(t *testing.T) {
	a := NewGradient(3, 4)
	if a.Scale != 24 {
		t.Errorf("scale %d, want 24", a.Scale)
	}
	same(t, "G of F(3, 4)", a.G, 1, [][]int64{{1, 0, 0, 0}, {1, 1, 1, 1}, {1, -1, 1, -1}, {1, 2, 4, 8}, {1, -2, 4, -8}, {0, 0, 0, 1}})
	same(t, "AT of F(3, 4)", a.AT, 1, [][]int64{
		{6, -4, -4, 1, 1, 0},
		{0, -4, 4, 2, -2, 0},
		{0, -4, -4, 4, 4, 24},
	})
	for i, row := range a.BT {
		for j, v := range row {
			if want := New(3, 4).BT[i][j]; v.Cmp(want) != 0 {
				t.Errorf("BT[%d][%d] is %v, want %v", i, j, v, want)
			}
		}
	}
}

// TestPanics: New, NewInteger and NewGradient panic for sizes that no algorithm exists for, or too few points, and
// so does Int for fractions.
func TestPanics(t *testing.T) {
	panics := func(what string, f func()) {
		defer func() {
			if recover() == nil {
				t.Errorf("%s did not panic", what)
			}
		}()
		f()
	}
	for _, c := range [][2]int{{0, 3}, {3, 0}, {-1, 2}, {8, 2}} {
		panics(fmt.Sprintf("New(%d, %d)", c[0], c[1]), func() { New(c[0], c[1]) })
	}
	for _, c := range [][2]int{{0, 7}, {7, 0}, {4, 4}, {2, 3}} {
		panics(fmt.Sprintf("NewInteger(%d, %d)", c[0], c[1]), func() { NewInteger(c[0], c[1]) })
		panics(fmt.Sprintf("NewGradient(%d, %d)", c[0], c[1]), func() { NewGradient(c[0], c[1]) })
	}
	panics("Int", func() { New(4, 3).G.Int() })
}
