package recipes

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"firebench/asmgen/vec"
	"firebench/kernels/winograd"
)

// Winograd is the output transform of Winograd convolutions, whose tiles are tile.Rows
// inputs on a side and whose outputs tile.Cols. Channels are the vectors' lanes, so a
// two-dimensional transform is arithmetic between vectors. Element (i, j) of all
// transformed tiles is a matrix of the batch that BatchMatMul multiplies.
var Winograd = Recipe{"winograd", "", func(m vec.Machine, _ vec.Element, t Tile) []string {
	name := fmt.Sprintf("WinogradOutput%dx%d", t.Rows, t.Cols)
	winogradOutput(m, m.Float32(), name, winograd.New(t.Cols, t.Rows+1-t.Cols))
	return []string{name}
}}

// WinogradInput is the input transform of tiles with tile.Rows inputs on a side, which
// outputs of every size share.
var WinogradInput = Recipe{"winograd", "", func(m vec.Machine, _ vec.Element, t Tile) []string {
	name := fmt.Sprintf("WinogradInput%d", t.Rows)
	winogradInput(m, m.Float32(), name, winograd.New(1, t.Rows))
	return []string{name}
}}

func winogradInput(m vec.Core, f vec.Float32, name string, a *winograd.Algorithm) {
	n := a.N()
	m.Func(name, "func(dst, src *float32, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile int)",
		fmt.Sprintf("%s transforms the inputs of a row of tiles, %d×%d pixels each; with the", name, n, n),
		fmt.Sprintf("matrix BT of winograd.New(m, %d-m) it equals, but for rounding,", n+1),
		"",
		"	for t := range tiles {",
		"		for c := range channels {",
		fmt.Sprintf("			for i := range %d {", n),
		fmt.Sprintf("				for j := range %d {", n),
		fmt.Sprintf("					dst[(i*%d+j)*dstMatrix+t*dstTile+c] = Σ BT[i][k]*BT[j][l]*src[k*srcRow+l*srcPixel+t*srcTile+c] // over k, l", n),
		"				}",
		"			}",
		"		}",
		"	}")
	t := transform{name: "BT", program: opposites{a.BT, newSplats(m, f, a.BT)}}
	src, dst := m.Arg("src"), m.Arg("dst")
	srcRow, srcPixel := distances(m, f, "srcRow", "srcPixel")
	dstMatrix := distance(m, f, "dstMatrix")
	in, out := m.Rows("in row", srcRow, n), m.Rows("out", dstMatrix, n)
	eachTile(m, []cursor{{src, "srcTile", f}, {dst, "dstTile", f}}, func() {}, func() {
		eachVector(m, vectors(m, f, "channels"), []vec.R{src, dst}, func() {
			t.bothSides(m, n, columns(m, in, src, srcPixel), matrices(m, out, dst, dstMatrix, n))
		})
	})
	m.Return()
}

// columns loads the columns of a tile that begins at src, whose columns are step apart, one after the other.
func columns(m vec.Core, in vec.Rows, src, step vec.R) func(j int) func(i int) vec.V {
	var p vec.R
	return func(j int) func(i int) vec.V {
		if j == 0 {
			p = vec.Named(m, "column", m.CopyInt(src))
		} else {
			m.AddTo(p, step)
		}
		in.Start(p)
		return func(i int) vec.V { return m.LoadRow(in, i) }
	}
}

// matrices stores row i of a tile to as many matrices, the first of which begins at dst.
func matrices(m vec.Core, out vec.Rows, dst, dstMatrix vec.R, n int) func(i int) func(j int, v vec.V) {
	return func(i int) func(j int, v vec.V) {
		q := vec.Named(m, "row", m.CopyInt(dst))
		m.AddMulTo(q, dstMatrix, i*n)
		out.Start(q)
		return func(j int, v vec.V) { m.StoreRow(v, out, j) }
	}
}

// A cursor goes through the values of a row of tiles: param says how far tiles lie apart.
type cursor struct {
	p     vec.R
	param string
	vec.Elements
}

// eachTile walks along a row of tiles. channels transforms one tile and moves the cursors
// through its channels.
func eachTile(m vec.Core, cursors []cursor, before, channels func()) {
	m.LoopArg("tile", "For each tile", "tiles", func() {
		before()
		channels()
		m.Comment("The pointers went through the channels; the next tile starts elsewhere")
		for _, c := range cursors {
			d := m.Arg(c.param)
			m.SubFrom(d, m.Arg("channels"))
			c.ToBytes(d)
			m.AddTo(c.p, d)
		}
	})
}

func winogradOutput(m vec.Core, f vec.Float32, name string, a *winograd.Algorithm) {
	n := a.N()
	m.Func(name, "func(dst, src, bias *float32, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile int, lower float32)",
		fmt.Sprintf("%s transforms the products of a row of tiles to %d×%d output", name, a.M, a.M),
		fmt.Sprintf("pixels each; with the matrix AT of winograd.New(%d, %d) it equals, but for rounding,", a.M, a.R),
		"",
		"	for t := range tiles {",
		"		for c := range channels {",
		fmt.Sprintf("			for i := range %d {", a.M),
		fmt.Sprintf("				for j := range %d {", a.M),
		fmt.Sprintf("					y := bias[c] + Σ AT[i][k]*AT[j][l]*src[(k*%d+l)*srcMatrix+t*srcTile+c] // over k, l", n),
		"					dst[i*dstRow+j*dstPixel+t*dstTile+c] = max(y, lower)",
		"				}",
		"			}",
		"		}",
		"	}")
	unit := unitColumn(a.AT)
	splats := newSplats(m, f, a.AT, "lower")
	t := transform{name: "AT", program: powers{a.AT, splats}}
	src, dst := m.Arg("src"), m.Arg("dst")
	srcMatrix := distance(m, f, "srcMatrix")
	dstPixel := distance(m, f, "dstPixel")
	down := vec.Named(m, fmt.Sprintf("%d·srcMatrix", n), m.Int(0)) // from row to row of a column of the tile
	m.AddMulTo(down, srcMatrix, n)
	in, out := m.Rows("in row", down, n), m.Rows("out pixel", dstPixel, a.M)
	eachTile(m, []cursor{{src, "srcTile", f}, {dst, "dstTile", f}}, func() {
		prefetchOutputs(m, f, dst, dstPixel, a.M, 2*m.Size()) // as wide as a wide convolution tile
	}, func() {
		bias := m.Arg("bias")
		eachVector(m, vectors(m, f, "channels"), []vec.R{src, dst, bias}, func() {
			var p vec.R
			t.bothSides(m, n,
				func(j int) func(i int) vec.V {
					if j == 0 {
						p = vec.Named(m, "column", m.CopyInt(src))
					} else {
						m.AddTo(p, srcMatrix)
					}
					in.Start(p)
					return func(i int) vec.V {
						v := m.LoadRow(in, i)
						if i == unit && j == unit {
							f.AddTo(v, m.Load(bias, 0)) // reaches each output once
						}
						return v
					}
				},
				func(i int) func(j int, v vec.V) {
					q := vec.Named(m, "row", m.CopyInt(dst))
					if i > 0 {
						m.AddMulTo(q, distance(m, f, "dstRow"), i)
					}
					out.Start(q)
					return func(j int, v vec.V) {
						f.MaxWith(v, splats.param("lower"))
						m.StoreRow(v, out, j)
					}
				})
		})
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

// prefetchOutputs prefetches the next tile's outputs, bytes of each pixel, where tiles prefetch at all.
func prefetchOutputs(m vec.Core, e vec.Elements, dst, dstPixel vec.R, outputs, bytes int) {
	if !prefetchesTiles(m) {
		return
	}
	m.Comment("Stores wait for their cache lines, one after the other: prefetch the next tile's")
	dstRow, tile := distances(m, e, "dstRow", "dstTile")
	m.AddTo(tile, dst)
	for i := range outputs {
		pixel := vec.Named(m, "pixel", m.CopyInt(tile))
		for j := range outputs {
			for i := 0; i < bytes; i += cacheLine {
				m.Prefetch(pixel, i)
			}
			if j < outputs-1 {
				m.AddTo(pixel, dstPixel)
			}
		}
		if i < outputs-1 {
			m.AddTo(tile, dstRow)
		}
	}
}

// A program is a product of a small constant matrix with a column of vectors.
type program interface {
	// groups returns the matrix' rows, at most size at a time, those that share work
	// together.
	groups(size int) [][]int
	// apply computes some rows of the product, all of them if rows is nil: load reads an
	// element of the column, store takes one of the result, each once and in any order.
	apply(rows []int, load func(i int) vec.V, store func(i int, v vec.V))
	// fresh begins a part of the code that shares no constants with the one before.
	fresh()
}

// A transform multiplies by a matrix T, known by its name in the algorithm, from both
// sides.
type transform struct {
	name    string
	program program
	done    func(rows []int) // emits what follows rows of the result; may be nil
	single  bool             // whether only one row of the result is computed at a time
}

// bothSides emits T·x·Tᵀ for an x of n columns without a detour through memory: for
// one group of T's rows after the other it computes these rows of T·x, column by column,
// as many as registers can hold, and multiplies each by Tᵀ. column prepares loading
// a column of x, row storing a row of the result.
func (t *transform) bothSides(m vec.Core, n int, column func(j int) (load func(i int) vec.V), row func(i int) (store func(j int, v vec.V))) {
	size := 2
	if t.single || 2*n+4 > m.Registers() {
		size = 1
	}
	for _, group := range t.program.groups(size) {
		rows := "Row " + join(group, " and row ")
		half := map[int][]vec.V{} // rows of T·x
		t.program.fresh()
		m.Comment(fmt.Sprintf("%s of %s·x, column by column", rows, t.name))
		for j := range n {
			t.program.apply(group, column(j), func(i int, v vec.V) { half[i] = append(half[i], vec.Named(m, t.name+"·x", v)) })
		}
		m.Comment(fmt.Sprintf("%s of the result: %s·x times the transpose of %s", rows, t.name, t.name))
		for _, i := range group {
			t.program.fresh()
			t.program.apply(nil, func(j int) vec.V { return half[i][j] }, row(i))
		}
		if t.done != nil {
			t.done(group)
		}
	}
}

// once makes load read each element only once.
func once(load func(i int) vec.V) func(i int) vec.V {
	loaded := map[int]vec.V{}
	return func(i int) vec.V {
		if loaded[i] == nil {
			loaded[i] = load(i)
		}
		return loaded[i]
	}
}

// wanted reports whether row i is among rows.
func wanted(rows []int, i int) bool { return rows == nil || slices.Contains(rows, i) }

// opposites is a matrix whose rows for opposite points, 1 and 2, 3 and 4, …, differ only
// in the sign of their odd or their even columns: both come from one sum over the even
// and one over the odd columns. The first and the last row have one kind of columns.
type opposites struct {
	winograd.Matrix
	*splats
}

func (a opposites) groups(size int) [][]int {
	var rows []int
	for i := 1; i+1 < len(a.Matrix); i++ {
		rows = append(rows, i)
	}
	return slices.Collect(slices.Chunk(append(rows, 0, len(a.Matrix)-1), size))
}

func (a opposites) apply(rows []int, load func(i int) vec.V, store func(i int, v vec.V)) {
	load = once(load)
	part := func(row []*big.Rat, parity int) []term {
		var t []term
		for j, v := range row {
			if j%2 == parity && v.Sign() != 0 {
				t = append(t, term{v, load(j)})
			}
		}
		return t
	}
	for i := 0; i < len(a.Matrix); i++ {
		if i == 0 || i == len(a.Matrix)-1 {
			if wanted(rows, i) {
				store(i, a.sum(append(part(a.Matrix[i], 0), part(a.Matrix[i], 1)...)))
			}
			continue
		}
		first, second := wanted(rows, i), wanted(rows, i+1)
		if !first && !second {
			i++
			continue
		}
		even, odd := part(a.Matrix[i], 0), part(a.Matrix[i], 1)
		// A common factor of the odd part goes into the last step.
		if alike(a.Matrix[i], a.Matrix[i+1]) == 1 {
			odd, even = even, odd
		}
		factor := common(odd)
		e, o := a.sum(even), a.sum(divide(odd, factor))
		plain := factor.Cmp(one) == 0
		if first {
			if plain {
				store(i, a.f.Add(e, o))
			} else {
				v := a.m.Copy(e)
				a.addTimes(v, o, factor)
				store(i, v)
			}
		}
		if second {
			if plain {
				store(i+1, a.f.Sub(e, o))
			} else {
				a.addTimes(e, o, new(big.Rat).Neg(factor))
				store(i+1, e)
			}
		}
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
type powers struct {
	winograd.Matrix
	*splats
}

func (a powers) groups(size int) [][]int {
	var groups [][]int
	for parity := range 2 {
		var rows []int
		for i := parity; i < len(a.Matrix); i += 2 {
			rows = append(rows, i)
		}
		groups = slices.AppendSeq(groups, slices.Chunk(rows, size))
	}
	return groups
}

func (a powers) apply(rows []int, load func(i int) vec.V, store func(i int, v vec.V)) {
	load = once(load)
	n := len(a.Matrix[0])
	sums := [2][]vec.V{make([]vec.V, n), make([]vec.V, n)} // by parity of the row and column
	for j := 1; j+1 < n; j += 2 {
		for parity, op := range []func(a, b vec.V) vec.V{a.f.Add, a.f.Sub} {
			if rows == nil || rows[0]%2 == parity {
				sums[parity][j] = op(load(j), load(j+1))
			}
		}
	}
	for i, row := range a.Matrix {
		if !wanted(rows, i) {
			continue
		}
		var t []term
		for j, factor := range row {
			switch {
			case factor.Sign() == 0:
			case j == 0 || j == n-1:
				t = append(t, term{factor, load(j)})
			case sums[i%2][j] != nil:
				t = append(t, term{factor, sums[i%2][j]})
			}
		}
		store(i, a.sum(t))
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

// splats are values in all lanes of a register: the factors of a transform beside 0, 1
// and -1, by absolute value, and arguments. Where registers are plenty they are loaded once
// for all, else by their first use after fresh, and only the latest stay.
type splats struct {
	m      vec.Core
	f      vec.Float32
	loaded map[string]vec.V
	names  []string // of what is loaded, the oldest first
}

// latest is how many splats stay where registers are few.
const latest = 3

// newSplats serves a transform by a matrix.
func newSplats(m vec.Core, f vec.Float32, a winograd.Matrix, params ...string) *splats {
	s := &splats{m: m, f: f, loaded: map[string]vec.V{}}
	if s.few() {
		return s
	}
	for _, row := range a {
		for _, v := range row {
			if abs := new(big.Rat).Abs(v); abs.Sign() != 0 && abs.Cmp(one) != 0 {
				s.factor(abs)
			}
		}
	}
	for _, p := range params {
		s.param(p)
	}
	return s
}

// few reports whether a transform leaves no registers for all splats.
func (s *splats) few() bool { return s.m.Registers() < 32 }

// fresh gives up what is loaded if registers are few.
func (s *splats) fresh() {
	if s.few() {
		clear(s.loaded)
		s.names = nil
	}
}

func (s *splats) get(name string, load func() vec.V) vec.V {
	if s.loaded[name] == nil {
		s.loaded[name] = load()
		s.names = append(s.names, name)
		if s.few() && len(s.names) > latest {
			delete(s.loaded, s.names[0])
			s.names = s.names[1:]
		}
	}
	return s.loaded[name]
}

func (s *splats) param(name string) vec.V {
	return s.get(name, func() vec.V { return s.f.SplatArg(name) })
}

func (s *splats) factor(abs *big.Rat) vec.V {
	return s.get(abs.String(), func() vec.V {
		c, exact := abs.Float32()
		if !exact {
			panic("winograd: " + abs.String() + " is not a float32")
		}
		v := s.f.Splat(c)
		if s.few() {
			s.m.Name("factor", v)
		} else {
			s.m.Name(fmt.Sprint(c), v)
		}
		return v
	})
}

// sum returns a new register with the sum of terms, rounded after each.
func (s *splats) sum(terms []term) vec.V {
	// The first two terms are better without a multiplication.
	rest := slices.Clone(terms)
	slices.SortStableFunc(rest, func(a, b term) int { return a.cost() - b.cost() })
	if rest[0].factor.Sign() < 0 {
		if i := slices.IndexFunc(rest, func(t term) bool { return t.factor.Sign() > 0 }); i > 0 {
			rest[0], rest[i] = rest[i], rest[0]
		}
	}
	first, rest := rest[0], rest[1:]
	var acc vec.V
	switch {
	case first.factor.Sign() < 0:
		panic("winograd: a sum that starts with a negative term")
	case first.factor.Cmp(one) != 0:
		acc = s.m.Copy(first.v)
		s.f.MulBy(acc, s.factor(first.factor))
	case len(rest) > 0 && rest[0].cost() == plus:
		acc, rest = s.f.Add(first.v, rest[0].v), rest[1:]
	case len(rest) > 0 && rest[0].cost() == minus:
		acc, rest = s.f.Sub(first.v, rest[0].v), rest[1:]
	default:
		acc = s.m.Copy(first.v)
	}
	for _, t := range rest {
		s.addTimes(acc, t.v, t.factor)
	}
	return acc
}

// addTimes adds factor·v to acc.
func (s *splats) addTimes(acc, v vec.V, factor *big.Rat) {
	abs := new(big.Rat).Abs(factor)
	switch {
	case abs.Cmp(one) == 0 && factor.Sign() > 0:
		s.f.AddTo(acc, v)
	case abs.Cmp(one) == 0:
		s.f.SubFrom(acc, v)
	case factor.Sign() > 0:
		s.f.AddMulTo(acc, v, s.factor(abs))
	default:
		s.f.SubMulFrom(acc, v, s.factor(abs))
	}
}

// join writes numbers with a separator between them.
func join(numbers []int, separator string) string {
	s := make([]string, len(numbers))
	for i, n := range numbers {
		s[i] = fmt.Sprint(n)
	}
	return strings.Join(s, separator)
}
