package compression

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// two returns the weights of the two layers, and the sum of the squares of the error.
func (f *factoring) two(t *target, values []float32) (factors [][]float32, lost float64, err error) {
	n, a := t.rank.N, t.matrix(values)
	if len(t.found.s) < n {
		if t.found, err = f.decompose(a, n); err != nil {
			return nil, 0, err
		}
	}
	first, last := t.found.u.part(0, n), t.found.v.part(0, n)
	for i, s := range t.found.s[:n] {
		root := float32(math.Sqrt(s))
		for _, x := range [][]float32{first.row(i), last.row(i)} {
			for j := range x {
				x[j] *= root
			}
		}
	}
	if lost, err = f.difference(a, first, last); err != nil {
		return nil, 0, err
	}
	taps := t.shape.KW
	if t.form == pair {
		first, last, taps = last, first, 1 // the rows of a dense layer's weights are outputs
	}
	return [][]float32{slices.Clone(first.data), swap(last.data, n, t.shape.Out, taps).data}, lost, nil
}

// matrix returns the weights as the matrix that the product of two layers comes close to: outputs × inputs, or if
// they are a vertical and a horizontal one, (input, kernel row) × (output, kernel column).
func (t *target) matrix(values []float32) matrix {
	s := t.shape
	if t.form == pair {
		return matrix{s.Out, s.K(), values}
	}
	a := newMatrix(s.In*s.KH, s.Out*s.KW)
	for o := range s.Out {
		for row := range a.rows {
			copy(a.row(row)[o*s.KW:], values[(o*a.rows+row)*s.KW:][:s.KW])
		}
	}
	return a
}

// difference returns the sum of the squares of a - uᵀ·v.
func (g algebra) difference(a, u, v matrix) (float64, error) {
	packed, err := g.pack(v.transposed())
	if err != nil {
		return 0, err
	}
	u = u.transposed()
	sum := 0.0
	const block = 256 // rows that are in memory at once
	for i := 0; i < a.rows; i += block {
		rows := u.part(i, min(i+block, a.rows))
		b, err := g.mul(rows.view(u.cols), packed)
		if err != nil {
			return 0, err
		}
		for j, x := range a.part(i, i+rows.rows).data {
			b.data[j] -= x
		}
		sum += norm2(b.data)
	}
	return sum, nil
}

// swap returns the elements i, j, k of data, which are l·m·n numbers, in the order j, i, k, as a matrix with m rows.
func swap(data []float32, l, m, n int) matrix {
	a := newMatrix(m, l*n)
	for i := range l {
		for j := range m {
			copy(a.row(j)[i*n:], data[(i*m+j)*n:][:n])
		}
	}
	return a
}

// three returns the weights of the three layers, and the sum of the squares of the error.
func (f *factoring) three(t *target, values []float32) (factors [][]float32, lost float64, err error) {
	s, r, taps := t.shape, t.rank, t.shape.KH*t.shape.KW
	byOut, byIn := matrix{s.Out, s.In * taps, values}, swap(values, s.Out, s.In, taps)
	d, err := f.decompose(byIn, r.N)
	if err != nil {
		return nil, 0, err
	}
	// In turn, the outputs are chosen for the inputs and the inputs for the outputs.
	var reduce, expand, core matrix
	const iterations = 10 // the first few gain almost all
	before := 0.0
	for range iterations {
		in, err := f.product(d.u, byIn.transposed()) // N × (outputs, taps)
		if err != nil {
			return nil, 0, err
		}
		if d, err = f.decompose(swap(in.data, r.N, s.Out, taps), r.Out); err != nil {
			return nil, 0, err
		}
		expand = d.u
		out, err := f.product(expand, byOut.transposed()) // rank.Out × (inputs, taps)
		if err != nil {
			return nil, 0, err
		}
		both := swap(out.data, r.Out, s.In, taps)
		if d, err = f.decompose(both, r.N); err != nil {
			return nil, 0, err
		}
		reduce = d.u
		if core, err = f.product(reduce, both.transposed()); err != nil { // N × (rank.Out, taps)
			return nil, 0, err
		}
		kept := floats.Dot(d.s, d.s)
		if kept-before < 1e-4*norm2(values) {
			break
		}
		before = kept
	}
	back, err := f.product(reduce.transposed(), core.transposed()) // inputs × (rank.Out, taps)
	if err != nil {
		return nil, 0, err
	}
	lost, err = f.difference(byOut, expand, swap(back.data, s.In, r.Out, taps))
	return [][]float32{reduce.data, swap(core.data, r.N, r.Out, taps).data, expand.transposed().data}, lost, err
}
