// Package winograd derives the matrices of Winograd's minimal filtering algorithms, in exact
// numbers. The generator of the transform kernels, the scalar kernels, the packing of weights and
// the error bound all take them from here.
//
// F(m, r) computes m outputs of a filter with r taps from m+r-1 inputs d with
// m+r-1 multiplications between data and filter,
//
//	y = AT · ((G·g) ⊙ (BT·d))
//
// F(m×m, r×r) is F(m, r) nested with itself (Lavin and Gray, "Fast Algorithms for
// Convolutional Neural Networks", 2015). The construction is Toom and Cook's: the
// polynomials are evaluated at m+r-2 points and at infinity.
package winograd

import (
	"fmt"
	"math/big"
	"sync"
)

// points are the finite points of interpolation, in the order in which they are used: small
// numbers keep rounding errors small, and the sums of opposite points have most terms in common.
var points = []*big.Rat{
	big.NewRat(0, 1),
	big.NewRat(1, 1), big.NewRat(-1, 1),
	big.NewRat(2, 1), big.NewRat(-2, 1),
	big.NewRat(1, 2), big.NewRat(-1, 2),
}

// A Matrix is a matrix of exact numbers.
type Matrix [][]*big.Rat

// An Algorithm is F(M, R). What it computes is Scale times the outputs.
type Algorithm struct {
	M, R  int
	Scale int64
	BT    Matrix // N×N: transforms inputs
	G     Matrix // N×R: transforms weights
	AT    Matrix // M×N: transforms products to outputs
}

// N returns the number of inputs, which is also the number of products.
func (a *Algorithm) N() int { return a.M + a.R - 1 }

// New returns F(m, r) with the scale 1. It derives each algorithm once, so callers must not change
// it. Algorithms with the same m+r have the same BT. New panics if m or r is less than 1, or if m+r-2
// is more than the number of points.
func New(m, r int) *Algorithm { return floats.get(m, r) }

// Inverse9 is the inverse of 9 modulo 2³²: the product of a multiple of 9 with it is the multiple
// divided by 9.
const Inverse9 = 0x38e3_8e39

// NewInteger returns F(m, r) for tiles of six inputs, m+r = 7, in integers: it is New's with G
// scaled by the common denominator 24. The last row of G is then divided by 4 again, and the last column
// of AT multiplied by 4. So inputs of 8 bits, unsigned, and for r up to 4 weights of 8 bits, signed, have
// transforms of 16 bits in F(m×m, r×r), whose scale is 576. NewInteger panics for other sizes. Callers
// must not change what it returns.
func NewInteger(m, r int) *Algorithm { return integers.get(m, r) }

// NewGradient returns F(m, r) for the gradient of weights, with the tiles of six inputs of m+r = 7: G transforms the r
// gradients of a tile's outputs, and AT sums to the gradients of m weights. It is New's F(m, r), but the rows of G are
// powers of points alone; AT has the factors that they lack, times the common denominator 24, so that all numbers are integers
// and the scale is 24. NewGradient panics for other sizes. Callers must not change what it returns.
func NewGradient(m, r int) *Algorithm { return gradients.get(m, r) }

// once derives each algorithm once.
type once struct {
	derive  func(m, r int) *Algorithm
	mu      sync.Mutex
	derived map[[2]int]*Algorithm
}

var (
	floats   = once{derive: derive, derived: map[[2]int]*Algorithm{}}
	integers = once{derive: deriveInteger, derived: map[[2]int]*Algorithm{}}

	gradients = once{derive: deriveGradient, derived: map[[2]int]*Algorithm{}}
)

func (o *once) get(m, r int) *Algorithm {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.derived[[2]int{m, r}]
	if a == nil {
		a = o.derive(m, r)
		o.derived[[2]int{m, r}] = a
	}
	return a
}

// derive computes F(m, r).
func derive(m, r int) *Algorithm {
	n := m + r - 1
	if m < 1 || r < 1 || n-1 > len(points) {
		panic(fmt.Sprintf("winograd: no F(%d, %d)", m, r))
	}
	p := points[:n-1]
	a := &Algorithm{M: m, R: r, Scale: 1, BT: newMatrix(n, n), G: newMatrix(n, r), AT: newMatrix(m, n)}
	for j := range p {
		// BT has the coefficients of the j-th Lagrange polynomial's numerator, the product of
		// x-p[l] over all other points. G divides by scale, its value at p[j]. AT and G have
		// powers of p[j].
		numerator, scale := []*big.Rat{big.NewRat(1, 1)}, big.NewRat(1, 1)
		for l := range p {
			if l != j {
				numerator = timesRoot(numerator, p[l])
				scale.Mul(scale, new(big.Rat).Sub(p[j], p[l]))
			}
		}
		copy(a.BT[j], numerator)
		power := big.NewRat(1, 1)
		for k := range max(m, r) {
			if k < r {
				a.G[j][k].Quo(power, scale)
			}
			if k < m {
				a.AT[k][j].Set(power)
			}
			power = new(big.Rat).Mul(power, p[j])
		}
	}
	// The last row stands for the point at infinity: BT has the product of x-root over all points.
	all := []*big.Rat{big.NewRat(1, 1)}
	for _, root := range p {
		all = timesRoot(all, root)
	}
	copy(a.BT[n-1], all)
	a.G[n-1][r-1].SetInt64(1)
	a.AT[m-1][n-1].SetInt64(1)
	return a
}

// deriveInteger computes F(m, r) in integers.
func deriveInteger(m, r int) *Algorithm {
	if m+r-1 != 6 {
		panic(fmt.Sprintf("winograd: no F(%d, %d) in integers", m, r))
	}
	a := derive(m, r)
	a.Scale = 24
	for i, row := range a.G {
		scale, back := big.NewRat(a.Scale, 1), big.NewRat(1, 1)
		if i == len(a.G)-1 {
			scale, back = big.NewRat(a.Scale/4, 1), big.NewRat(4, 1)
		}
		for _, v := range row {
			v.Mul(v, scale)
		}
		for _, row := range a.AT {
			row[i].Mul(row[i], back)
		}
	}
	return a
}

// deriveGradient computes F(m, r) for gradients.
func deriveGradient(m, r int) *Algorithm {
	if m+r-1 != 6 {
		panic(fmt.Sprintf("winograd: no F(%d, %d) for gradients", m, r))
	}
	a := derive(m, r)
	a.Scale = 24
	for i, row := range a.G {
		// The first power is 1, but for the point at infinity, which has the last one only.
		factor := row[0]
		if i == len(a.G)-1 {
			factor = row[r-1]
		}
		factor = new(big.Rat).Set(factor)
		for _, v := range row {
			v.Quo(v, factor)
		}
		factor.Mul(factor, big.NewRat(a.Scale, 1))
		for _, row := range a.AT {
			row[i].Mul(row[i], factor)
		}
	}
	return a
}

// timesRoot returns the coefficients of poly · (x - root), lowest first.
func timesRoot(poly []*big.Rat, root *big.Rat) []*big.Rat {
	out := make([]*big.Rat, len(poly)+1)
	for i := range out {
		out[i] = new(big.Rat)
		if i > 0 {
			out[i].Set(poly[i-1])
		}
		if i < len(poly) {
			out[i].Sub(out[i], new(big.Rat).Mul(root, poly[i]))
		}
	}
	return out
}

// newMatrix returns a matrix of zeros.
func newMatrix(rows, cols int) Matrix {
	m := make(Matrix, rows)
	for i := range m {
		m[i] = make([]*big.Rat, cols)
		for j := range m[i] {
			m[i][j] = new(big.Rat)
		}
	}
	return m
}

// Int returns the matrix in integers, row by row. It panics if a number is none.
func (m Matrix) Int() [][]int {
	out := make([][]int, len(m))
	for i, row := range m {
		for _, v := range row {
			if !v.IsInt() {
				panic(fmt.Sprintf("winograd: %v is no integer", v))
			}
			out[i] = append(out[i], int(v.Num().Int64()))
		}
	}
	return out
}

// Float returns the matrix in float64, row by row.
func (m Matrix) Float() [][]float64 {
	out := make([][]float64, len(m))
	for i, row := range m {
		for _, v := range row {
			f, _ := v.Float64()
			out[i] = append(out[i], f)
		}
	}
	return out
}
