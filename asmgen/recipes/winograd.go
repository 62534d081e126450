package recipes

import (
	"fmt"
	"math/big"
	"slices"

	"firebench/asmgen/vec"
	"firebench/kernels/winograd"
)

// Winograd is the transforms around the products of Winograd convolutions, whose
// tiles are tile.Rows inputs on a side and whose outputs tile.Cols. Channels are the
// vectors' lanes, so a two-dimensional transform is arithmetic between vectors.
// Outputs of every size share the input transform, which the first row of the
// catalog emits.
var Winograd = Recipe{"winograd", "", func(m vec.Machine, t Tile) []string {
	a := winograd.New(t.Cols, t.Rows+1-t.Cols)
	out := fmt.Sprintf("WinogradOutput%dx%d", t.Rows, t.Cols)
	winogradOutput(m, out, a)
	return []string{out}
}}

// WinogradInput is the input transform of tiles with tile.Rows inputs on a side.
var WinogradInput = Recipe{"winograd", "", func(m vec.Machine, t Tile) []string {
	name := fmt.Sprintf("WinogradInput%d", t.Rows)
	winogradInput(m, name, winograd.New(1, t.Rows))
	return []string{name}
}}

func winogradInput(m vec.Machine, name string, a *winograd.Algorithm) {
	n := a.N()
	m.Func(name, "func(dst, src, tmp *float32, tiles, channels, srcRow, srcPixel, srcTile, dstPoint, dstTile int)",
		fmt.Sprintf("%s transforms the inputs of a row of tiles, %d×%d pixels each; with the", name, n, n),
		fmt.Sprintf("matrix BT of winograd.New(m, %d-m) it equals, but for rounding,", n+1),
		"",
		"	for t := range tiles {",
		"		for c := range channels {",
		fmt.Sprintf("			for i := range %d {", n),
		fmt.Sprintf("				for j := range %d {", n),
		fmt.Sprintf("					dst[(i*%d+j)*dstPoint+t*dstTile+c] = Σ BT[i][k]*BT[j][l]*src[k*srcRow+l*srcPixel+t*srcTile+c] // over k, l", n),
		"				}",
		"			}",
		"		}",
		"	}",
		"",
		fmt.Sprintf("tmp is scratch memory for %d vectors.", n*n))
	form := opposites(a.BT)
	consts := newConstants(m, a.BT)
	src, dst := m.Int("src"), m.Int("dst")
	row, pixel := m.Int("srcRow"), m.Int("srcPixel")
	m.Bytes(row)
	m.Bytes(pixel)
	point := m.Int("dstPoint")
	m.Bytes(point)
	in, out := m.Rows(row, n), m.Rows(point, n)
	m.LoopParam("tile", "tiles", func() {
		channels := m.Int("channels")
		m.Vectors(channels)
		m.Loop("channel", channels, func() {
			p, tmp := m.CopyInt(src), m.Int("tmp")
			m.Loop("col", m.Count(n), func() {
				in.Start(p)
				form.apply(m, consts, func(i int) vec.V { return m.LoadRow(in, i) },
					func(i int, v vec.V) { m.Store(v, tmp, i*n) })
				m.AddInt(p, pixel)
				m.AddVectors(tmp, 1)
			})
			q := m.CopyInt(dst)
			tmp = m.Int("tmp")
			m.Loop("row", m.Count(n), func() {
				out.Start(q)
				form.apply(m, consts, func(j int) vec.V { return m.Load(tmp, j) },
					func(j int, v vec.V) { m.StoreRow(v, out, j) })
				m.AddMul(q, point, n)
				m.AddVectors(tmp, n)
			})
			m.AddVectors(src, 1)
			m.AddVectors(dst, 1)
		})
		// The pointers went through the channels; the next tile starts elsewhere.
		next(m, src, "srcTile")
		next(m, dst, "dstTile")
	})
	m.Return()
}

// next moves p from the end of a tile's channels to the next tile, a step of the
// argument's floats from the start.
func next(m vec.Machine, p vec.R, step string) {
	d := m.Int(step)
	m.SubInt(d, m.Int("channels"))
	m.Bytes(d)
	m.AddInt(p, d)
}

func winogradOutput(m vec.Machine, name string, a *winograd.Algorithm) {
	n := a.N()
	m.Func(name, "func(dst, src, tmp, bias *float32, tiles, channels, srcPoint, srcTile, dstRow, dstPixel, dstTile int, lo float32)",
		fmt.Sprintf("%s transforms the products of a row of tiles to %d×%d output", name, a.M, a.M),
		fmt.Sprintf("pixels each; with the matrix AT of winograd.New(%d, %d) it equals, but for rounding,", a.M, a.R),
		"",
		"	for t := range tiles {",
		"		for c := range channels {",
		fmt.Sprintf("			for i := range %d {", a.M),
		fmt.Sprintf("				for j := range %d {", a.M),
		fmt.Sprintf("					y := bias[c] + Σ AT[i][k]*AT[j][l]*src[(k*%d+l)*srcPoint+t*srcTile+c] // over k, l", n),
		"					dst[i*dstRow+j*dstPixel+t*dstTile+c] = max(y, lo)",
		"				}",
		"			}",
		"		}",
		"	}",
		"",
		fmt.Sprintf("tmp is scratch memory for %d vectors.", a.M*n))
	unit := unitColumn(a.AT)
	form := powers(a.AT)
	consts := newConstants(m, a.AT)
	src, dst := m.Int("src"), m.Int("dst")
	point := m.Int("srcPoint")
	m.Bytes(point)
	pixel := m.Int("dstPixel")
	m.Bytes(pixel)
	column := m.ZeroInt()
	m.AddMul(column, point, n) // from row to row of a column of points
	in, out := m.Rows(column, n), m.Rows(pixel, a.M)
	lo := m.Splat("lo")
	// Stores wait for their lines, one after the other: prefetch the next tile's, as wide
	// as a wide convolution tile.
	prefetch := func() {
		row, tile := m.Int("dstRow"), m.Int("dstTile")
		m.Bytes(row)
		m.Bytes(tile)
		m.AddInt(tile, dst)
		for i := range a.M {
			x := m.CopyInt(tile)
			for j := range a.M {
				for i := 0; i < 2*4*m.Lanes(); i += line {
					m.Prefetch(x, i)
				}
				if j < a.M-1 {
					m.AddInt(x, pixel)
				}
			}
			if i < a.M-1 {
				m.AddInt(tile, row)
			}
		}
	}
	m.LoopParam("tile", "tiles", func() {
		if prefetchesTiles(m) {
			prefetch()
		}
		bias := m.Int("bias")
		channels := m.Int("channels")
		m.Vectors(channels)
		m.Loop("channel", channels, func() {
			p, tmp := m.CopyInt(src), m.Int("tmp")
			m.Loop("col", m.Count(n), func() {
				in.Start(p)
				form.apply(m, consts, func(i int) vec.V { return m.LoadRow(in, i) },
					func(i int, v vec.V) { m.Store(v, tmp, i*n) })
				m.AddInt(p, point)
				m.AddVectors(tmp, 1)
			})
			b := m.Load(bias, 0)
			q := m.CopyInt(dst)
			tmp = m.Int("tmp")
			m.Loop("row", m.Count(a.M), func() {
				out.Start(q)
				form.apply(m, consts,
					func(j int) vec.V {
						v := m.Load(tmp, j)
						if j == unit {
							m.Add(v, b) // reaches each output once
						}
						return v
					},
					func(j int, v vec.V) {
						m.Max(v, lo)
						m.StoreRow(v, out, j)
					})
				row := m.Int("dstRow")
				m.Bytes(row)
				m.AddInt(q, row)
				m.AddVectors(tmp, n)
			})
			m.AddVectors(src, 1)
			m.AddVectors(dst, 1)
			m.AddVectors(bias, 1)
		})
		next(m, src, "srcTile")
		next(m, dst, "dstTile")
	})
	m.Return()
}

// unitColumn returns the column of a matrix that is all ones, as the point 1 makes it.
func unitColumn(a winograd.Matrix) int {
	for j := range a[0] {
		if !slices.ContainsFunc(a, func(row []*big.Rat) bool { return row[j].Cmp(one) != 0 }) {
			return j
		}
	}
	panic("winograd: the point 1 is not among the points")
}

// A transform is a product of a small constant matrix with a column of vectors, as
// a program: load reads an element of the column, store takes one of the result, in
// any order.
type transform interface {
	apply(m vec.Machine, c constants, load func(i int) vec.V, store func(i int, v vec.V))
}

// opposites is a matrix whose rows for opposite points differ only in the sign of
// their odd or their even columns: both come from one sum over the even and one over
// the odd columns.
type opposites winograd.Matrix

func (a opposites) apply(m vec.Machine, c constants, load func(i int) vec.V, store func(i int, v vec.V)) {
	in := make([]vec.V, len(a[0]))
	for i := range in {
		in[i] = load(i)
	}
	part := func(row []*big.Rat, parity int) []term {
		var t []term
		for j, v := range row {
			if j%2 == parity && v.Sign() != 0 {
				t = append(t, term{v, in[j]})
			}
		}
		return t
	}
	for i := 0; i < len(a); i++ {
		even, odd := part(a[i], 0), part(a[i], 1)
		if len(even) == 0 || len(odd) == 0 {
			store(i, c.sum(m, append(even, odd...)))
			continue
		}
		// Rows 1 and 2, 3 and 4, … are opposite; a common factor of the odd part goes
		// into the last step.
		if alike(a[i], a[i+1]) == 1 {
			odd, even = even, odd
		}
		factor := common(odd)
		e, o := c.sum(m, even), c.sum(m, divide(odd, factor))
		if factor.Cmp(one) == 0 {
			store(i, m.Sum(e, o))
			store(i+1, m.Difference(e, o))
			i++
			continue
		}
		d := m.Copy(e)
		c.addTimes(m, e, o, factor)
		c.addTimes(m, d, o, new(big.Rat).Neg(factor))
		store(i, e)
		store(i+1, d)
		i++
	}
}

// alike returns the parity of the columns in which the rows for opposite points are
// equal; in the others they must be opposite.
func alike(a, b []*big.Rat) int {
	for parity := range 2 {
		match := true
		for j := range a {
			want := new(big.Rat).Set(a[j])
			if j%2 != parity {
				want.Neg(want)
			}
			match = match && b[j].Cmp(want) == 0
		}
		if match {
			return parity
		}
	}
	panic("winograd: rows of opposite points do not match")
}

// powers is a matrix whose columns are powers of points, opposite points side by
// side from the second column on: their sum serves the even rows, their difference
// the odd ones.
type powers winograd.Matrix

func (a powers) apply(m vec.Machine, c constants, load func(i int) vec.V, store func(i int, v vec.V)) {
	n := len(a[0])
	sums := [2][]vec.V{make([]vec.V, n), make([]vec.V, n)} // by parity of the row and column
	sums[0][0] = load(0)
	for j := 1; j+1 < n; j += 2 {
		p, q := load(j), load(j+1)
		sums[0][j], sums[1][j] = m.Sum(p, q), m.Difference(p, q)
	}
	for i, row := range a {
		var t []term
		for j := 0; j+1 < n; j++ {
			if v := sums[i%2][j]; v != nil && row[j].Sign() != 0 {
				t = append(t, term{row[j], v})
			}
		}
		if row[n-1].Sign() != 0 {
			t = append(t, term{row[n-1], load(n - 1)})
		}
		store(i, c.sum(m, t))
	}
}

// A term is factor·v.
type term struct {
	factor *big.Rat
	v      vec.V
}

var one = big.NewRat(1, 1)

// The kinds of terms, cheapest first.
const (
	plus  = iota // factor 1
	minus        // factor -1
	times        // any other
)

func (t term) cost() int {
	switch {
	case new(big.Rat).Abs(t.factor).Cmp(one) != 0:
		return times
	case t.factor.Sign() < 0:
		return minus
	}
	return plus
}

// common returns the absolute value that all factors share, 1 if they do not.
func common(terms []term) *big.Rat {
	f := new(big.Rat).Abs(terms[0].factor)
	for _, t := range terms {
		if new(big.Rat).Abs(t.factor).Cmp(f) != 0 {
			return one
		}
	}
	return f
}

func divide(terms []term, by *big.Rat) []term {
	var out []term
	for _, t := range terms {
		out = append(out, term{new(big.Rat).Quo(t.factor, by), t.v})
	}
	return out
}

// constants are the registers of the factors beside 0, 1 and -1, by absolute value.
type constants map[string]vec.V

// newConstants loads every constant that a transform by the matrix may need.
func newConstants(m vec.Machine, a winograd.Matrix) constants {
	c := constants{}
	for _, row := range a {
		for _, v := range row {
			abs := new(big.Rat).Abs(v)
			if abs.Sign() == 0 || abs.Cmp(one) == 0 || c[abs.String()] != nil {
				continue
			}
			f, exact := abs.Float32()
			if !exact {
				panic("winograd: " + abs.String() + " is not a float32")
			}
			c[abs.String()] = m.Const(f)
		}
	}
	return c
}

// sum returns a new register with the sum of terms, rounded after each.
func (c constants) sum(m vec.Machine, terms []term) vec.V {
	// The first two terms are better without a multiplication.
	rest := slices.Clone(terms)
	slices.SortStableFunc(rest, func(a, b term) int { return a.cost() - b.cost() })
	first, rest := rest[0], rest[1:]
	var acc vec.V
	switch {
	case first.factor.Sign() < 0:
		panic("winograd: a sum that starts with a negative term")
	case first.factor.Cmp(one) != 0:
		acc = m.Copy(first.v)
		m.Mul(acc, c[first.factor.String()])
	case len(rest) > 0 && rest[0].cost() == plus:
		acc, rest = m.Sum(first.v, rest[0].v), rest[1:]
	case len(rest) > 0 && rest[0].cost() == minus:
		acc, rest = m.Difference(first.v, rest[0].v), rest[1:]
	default:
		acc = m.Copy(first.v)
	}
	for _, t := range rest {
		c.addTimes(m, acc, t.v, t.factor)
	}
	return acc
}

// addTimes adds factor·v to acc.
func (c constants) addTimes(m vec.Machine, acc, v vec.V, factor *big.Rat) {
	abs := new(big.Rat).Abs(factor)
	switch {
	case abs.Cmp(one) == 0 && factor.Sign() > 0:
		m.Add(acc, v)
	case abs.Cmp(one) == 0:
		m.Sub(acc, v)
	case factor.Sign() > 0:
		m.MulAdd(acc, v, c[abs.String()])
	default:
		m.MulSub(acc, v, c[abs.String()])
	}
}
