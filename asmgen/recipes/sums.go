package recipes

import (
	"fmt"
	"slices"

	"firebench/asmgen/vec"
)

// unrollMACs is how many vector multiply-adds the inner loop holds at least, so
// that what moves pointers and counts hardly matters.
const unrollMACs = 56

// cacheLine is the size of a cache line in bytes.
const cacheLine = 64

// A tile of at most nearRows rows reads its weights as fast as they come, and each once:
// it prefetches its own, near bytes ahead, because memory is slow to start and hardware
// prefetching stops at every page.
const (
	nearRows = 2
	near     = 4096
)

// heights emits one function for each height of a tile, which adds products to sums.
func heights(family string, m vec.Core, products vec.Sums, accumulators vec.Elements, t Tile, emit func(t *sums, name string)) []string {
	perRow := t.Cols / accumulators.Lanes()
	if need := t.Rows*perRow + products.OuterRegisters(t.Rows, perRow); need > m.Registers() {
		panic(fmt.Sprintf("%s of %d×%d: %d vector registers, the machine has %d", family, t.Rows, t.Cols, need, m.Registers()))
	}
	var names []string
	for rows := 1; rows <= t.Rows; rows++ {
		names = append(names, fmt.Sprintf("%s%dx%d", family, rows, t.Cols))
		emit(&sums{Core: m, products: products, accumulators: accumulators, rows: rows, cols: t.Cols}, names[rows-1])
	}
	return names
}

// sums is the kernel that convolutions and products of matrices have in common: the sums of
// a tile in registers, and the loop that adds the outer products of a column of inputs and a row
// of weights to them, and prefetches. An input is a group of values where the machine multiplies
// groups.
type sums struct {
	vec.Core
	products     vec.Sums
	accumulators vec.Elements
	rows, cols   int
	stride       vec.R     // from row to row of the inputs
	inputs       vec.Rows  // of the next step
	weights      vec.R     // of the next step
	scattered    bool      // whether each step's inputs lie in cache lines of their own
	sum          [][]vec.V // by row and vector

	// What is prefetched beside the steps, or nil.
	nextInputs             vec.R // of the next tile, where tiles lie side by side
	prefetch, prefetchStep vec.R // weights of what comes later, and how many bytes of them a step asks for
}

// begin loads what stays the same for all tiles. Arguments count values of the type unit.
func (t *sums) begin(unit vec.Elements) {
	t.stride = distance(t, unit, "srcStride")
	t.inputs = t.Rows("input row", t.stride, t.rows)
	if t.rows > nearRows {
		t.prefetch, t.prefetchStep = t.Arg("prefetch"), t.Arg("prefetchStep")
	}
}

// perRow is the number of vectors in a row.
func (t *sums) perRow() int { return t.cols / t.accumulators.Lanes() }

// start begins the sums of a tile: row makes those of row i, one vector after the other.
// comment says what they start at.
func (t *sums) start(comment string, row func(i int) []vec.V) {
	t.Comment(fmt.Sprintf("%s; sum[%d·m+v] is vector v of row m", comment, t.perRow()))
	t.sum = make([][]vec.V, t.rows)
	for i := range t.sum {
		t.sum[i] = row(i)
	}
	vec.NameAll(t, "sum", slices.Concat(t.sum...))
}

// prefetchesTiles reports whether tiles prefetch what the next one reads and writes. With
// narrow vectors, on cores that work in order, each instruction beside the multiply-adds
// counts.
func prefetchesTiles(m vec.Vectors) bool { return !narrow(m) }

// addProducts adds n outer products of inputs that lie beside each other to the sums.
func (t *sums) addProducts(n vec.R) {
	t.addSteps(n, func(n int) { t.products.Outer(t.sum, t.inputs, t.weights, n) })
}

// addSteps adds n outer products to the sums; outer adds some of them, and skips their weights.
func (t *sums) addSteps(n vec.R, outer func(n int)) {
	unroll := 1
	for unroll < 4 && unroll*t.rows*t.perRow() < unrollMACs {
		unroll *= 2
	}
	group, size := t.products.Group(), t.products.Element().Size
	weights := t.cols * group * t.products.Weight().Size // of a step, in bytes
	t.Steps("k", "For each step of the sums, an outer product", n, unroll, func(n int) {
		for i := 0; t.rows <= nearRows && i < n*weights; i += cacheLine {
			t.Prefetch(t.weights, near+i)
		}
		outer(n)
		if t.nextInputs != nil {
			lines := min(n, (n*t.rows*group*size+cacheLine-1)/cacheLine)
			if t.scattered {
				lines = n
			}
			for i := range lines {
				t.Prefetch(t.nextInputs, i*cacheLine)
			}
			t.products.Skip(t.nextInputs, lines*cacheLine/size)
		}
		if t.prefetch != nil {
			for i := 0; i < n*weights/2; i += cacheLine { // the whole panel if two tiles share this one; rarely there are fewer
				t.Prefetch(t.prefetch, i)
			}
			t.AddMulTo(t.prefetch, t.prefetchStep, n)
		}
	})
}

// prefetchDoc describes the arguments that do not change the result.
func prefetchDoc(rows int) []string {
	if rows <= nearRows {
		return []string{"", fmt.Sprintf("It prefetches its weights %d bytes ahead; prefetch and prefetchStep are for higher tiles.", near)}
	}
	return []string{"", "Meanwhile it prefetches the weights at prefetch, moving on by prefetchStep bytes a step of a sum."}
}
