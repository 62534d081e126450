package winograd

import (
	"math/big"
	"testing"
)

// TestExact multiplies the matrices of every algorithm, in exact numbers. For each pair of an
// input and a tap, the weight of their product in each output must be that of the filter's
// definition. This proves the algorithms for all inputs, because they are bilinear.
func TestExact(t *testing.T) {
	for n := 1; n <= len(points)+1; n++ {
		for r := 1; r <= n; r++ {
			a := New(n-r+1, r)
			if a.N() != n {
				t.Errorf("F(%d, %d) has %d products, want %d", a.M, a.R, a.N(), n)
			}
			for d := range n {
				for g := range r {
					for y := range a.M {
						sum := new(big.Rat)
						for k := range n {
							p := new(big.Rat).Mul(a.AT[y][k], a.G[k][g])
							sum.Add(sum, p.Mul(p, a.BT[k][d]))
						}
						want := new(big.Rat)
						if y+g == d {
							want.SetInt64(1)
						}
						if sum.Cmp(want) != 0 {
							t.Errorf("F(%d, %d): input %d, tap %d gives output %d the weight %v, want %v", a.M, a.R, d, g, y, sum, want)
						}
					}
				}
			}
		}
	}
}

// TestF43 compares F(4, 3) with the matrices of Lavin and Gray, section 4.1.
func TestF43(t *testing.T) {
	a := New(4, 3)
	same := func(name string, got Matrix, scale int64, want [][]int64) {
		for i := range want {
			for j := range want[i] {
				if got[i][j].Cmp(big.NewRat(want[i][j], scale)) != 0 {
					t.Errorf("%s[%d][%d] = %v, want %d/%d", name, i, j, got[i][j], want[i][j], scale)
				}
			}
		}
	}
	same("BT", a.BT, 1, [][]int64{
		{4, 0, -5, 0, 1, 0},
		{0, -4, -4, 1, 1, 0},
		{0, 4, -4, -1, 1, 0},
		{0, -2, -1, 2, 1, 0},
		{0, 2, -1, -2, 1, 0},
		{0, 4, 0, -5, 0, 1},
	})
	same("G", a.G, 24, [][]int64{{6, 0, 0}, {-4, -4, -4}, {-4, 4, -4}, {1, 2, 4}, {1, -2, 4}, {0, 0, 24}})
	same("AT", a.AT, 1, [][]int64{
		{1, 1, 1, 1, 1, 0},
		{0, 1, -1, 2, -2, 0},
		{0, 1, 1, 4, 4, 0},
		{0, 1, -1, 8, -8, 1},
	})
}

// TestNewPanics: New panics for sizes that no algorithm exists for, or too few points.
func TestNewPanics(t *testing.T) {
	for _, c := range [][2]int{{0, 3}, {3, 0}, {-1, 2}, {8, 2}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New(%d, %d) did not panic", c[0], c[1])
				}
			}()
			New(c[0], c[1])
		}()
	}
}
