package compression

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"firebench/kernels"
)

// A matrix is row-major.
type matrix struct {
	rows, cols int
	data       []float32
}

func newMatrix(rows, cols int) matrix {
	return matrix{rows, cols, kernels.Alloc[float32](rows * cols)}
}

// row returns row i, sharing memory.
func (a matrix) row(i int) []float32 { return a.data[i*a.cols:][:a.cols:a.cols] }

// part returns the rows from first to last-1, sharing memory.
func (a matrix) part(first, last int) matrix {
	return matrix{last - first, a.cols, a.data[first*a.cols : last*a.cols]}
}

// transposed returns a copy of aᵀ.
func (a matrix) transposed() matrix {
	t := newMatrix(a.cols, a.rows)
	const block = 32 // squares of so many rows and columns stay in the cache
	for i0 := 0; i0 < a.rows; i0 += block {
		for j0 := 0; j0 < a.cols; j0 += block {
			for i := i0; i < min(i0+block, a.rows); i++ {
				for j := j0; j < min(j0+block, a.cols); j++ {
					t.data[j*t.cols+i] = a.data[i*a.cols+j]
				}
			}
		}
	}
	return t
}

// norm2 returns the sum of the squares of x.
func norm2(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return sum
}

// view returns the first cols columns of a as a view: each row is a pixel.
func (a matrix) view(cols int) kernels.View {
	return kernels.ViewOf(kernels.Type{}, kernels.Bytes(a.data), 1, 1, a.rows, a.cols, 0).Channels(0, cols)
}

// algebra multiplies and decomposes matrices with the kernels of a set. For them a product a·bᵀ is a 1×1
// convolution, in which the rows of a are pixels and those of b are weights. Products are float32, and their
// bits do not depend on the number of threads.
type algebra struct {
	set     *kernels.Set
	threads int // 0: GOMAXPROCS
}

// pack prepares a·bᵀ for any a.
func (g algebra) pack(b matrix) (kernels.Conv, error) {
	s := kernels.ConvShape{In: b.cols, Out: b.rows, KH: 1, KW: 1, Stride: 1, Groups: 1}
	p := kernels.Problem{ConvShape: s, H: 1, W: 1}
	return kernels.NewConv(g.set, "direct", p, kernels.Weights{Values: b.data})
}

// mul returns a·bᵀ, where b is packed and has as many columns as the view of a has channels.
func (g algebra) mul(a kernels.View, b kernels.Conv) (matrix, error) {
	c := newMatrix(a.W, b.Problem().Out)
	threads := g.threads
	if threads < 1 {
		threads = runtime.GOMAXPROCS(0)
	}
	task, err := b.Bind(c.view(c.cols), a, threads)
	if err != nil {
		return matrix{}, err
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for worker := range threads {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < task.Chunks(); i = int(next.Add(1) - 1) {
				task.Chunk(worker, i)
			}
		})
	}
	wg.Wait()
	return c, nil
}

// product returns a·bᵀ.
func (g algebra) product(a, b matrix) (matrix, error) {
	packed, err := g.pack(b)
	if err != nil {
		return matrix{}, err
	}
	return g.mul(a.view(a.cols), packed)
}

// A decomposition is the largest singular values of a matrix, in falling order, with their vectors: it
// stands for Σ s[i]·u[i]ᵀ·v[i] over the rows of u and v. Vectors of the singular value 0 may be 0. Or the rows of
// u are orthonormal alone: then too s[i]² is by how much row i makes the error less.
type decomposition struct {
	s    []float64
	u, v matrix
}

// exactRows is the number of rows up to which a matrix is decomposed exactly. The eigenvectors of so many
// rows take half a second.
const exactRows = 512

// eigenRows is the number of rows up to which eigenvectors are worth their time, some seconds, which grows with the third
// power. They only bring into order what lies in a space that has been found. Tests make it smaller.
var eigenRows = 1152

// subspace returns how many rows a space has of which a part of some rank is taken.
func subspace(rank int) int { return rank + max(16, rank/16) }

// decompose returns the rank largest singular values of a, which has at least so many rows and columns.
// If a has few rows or columns, or about as few as rank, they are exact. Otherwise they are those of a's
// part in a space that is close to that of a's largest singular vectors; the part has almost as much of a as
// any of its rank. With a large rank they are the directions of that space in the order in which they were found: the first
// of them are still a space for any smaller rank.
func (g algebra) decompose(a matrix, rank int) (decomposition, error) {
	if a.rows > a.cols {
		d, err := g.decompose(a.transposed(), rank)
		return decomposition{d.s, d.v, d.u}, err
	}
	if n := norm2(a.data); n-n != 0 {
		return decomposition{}, errors.New("weights are not finite")
	}
	size := subspace(rank)
	if size > eigenRows {
		size = rank
	}
	q, part := matrix{}, a // part = q·a, where q is the identity
	if a.rows > exactRows && size < a.rows {
		var err error
		if q, part, err = g.space(a, size); err != nil {
			return decomposition{}, err
		}
	}
	d := decomposition{make([]float64, rank), q, part}
	if q.rows <= eigenRows {
		e, err := eigenvectors(part, rank)
		if err != nil {
			return decomposition{}, err
		}
		if d.v, err = g.product(e, part.transposed()); err != nil {
			return decomposition{}, err
		}
		if d.u = e; q.rows > 0 {
			if d.u, err = g.product(e, q.transposed()); err != nil {
				return decomposition{}, err
			}
		}
	}
	for i := range d.s {
		v := d.v.row(i)
		if d.s[i] = math.Sqrt(norm2(v)); d.s[i] > 0 {
			for j := range v {
				v[j] = float32(float64(v[j]) / d.s[i])
			}
		}
	}
	return d, nil
}

// powerIterations is how often the random start of space is multiplied with aᵀ·a. Random weights, whose
// singular values fall the slowest, are the worst case: for a quarter of them, two iterations leave an error
// 3 % above the least.
const powerIterations = 2

// space returns q, size rows that are orthonormal and close to those of the largest singular values of a,
// and q·a. It is the randomized subspace iteration of Halko, Martinsson and Tropp, "Finding structure with
// randomness", SIAM Review 53, 2011, algorithm 4.4.
func (g algebra) space(a matrix, size int) (q, part matrix, err error) {
	var forward, back kernels.Conv // multiply rows with aᵀ and with a
	if forward, err = g.pack(a); err != nil {
		return matrix{}, matrix{}, err
	}
	if back, err = g.pack(a.transposed()); err != nil {
		return matrix{}, matrix{}, err
	}
	part = newMatrix(size, a.cols)
	random := rand.New(rand.NewPCG(uint64(a.rows), uint64(a.cols)))
	for i := range part.data {
		part.data[i] = float32(random.NormFloat64())
	}
	for i := 0; ; i++ {
		if q, err = g.mul(part.view(part.cols), forward); err == nil {
			err = g.orthonormalize(q)
		}
		if err == nil {
			part, err = g.mul(q.view(q.cols), back)
		}
		if err != nil || i == powerIterations {
			return q, part, err
		}
		if err = g.orthonormalize(part); err != nil {
			return matrix{}, matrix{}, err
		}
	}
}

// panelRows is how many rows are made orthogonal to all rows before at once.
const panelRows = 32

// orthonormalize makes the rows of a orthonormal. They span what they spanned before; a row that is a
// combination of the rows before becomes 0 or any other direction. It is the block Gram-Schmidt process, done
// twice, as once leaves errors that are larger by the condition number.
func (g algebra) orthonormalize(a matrix) error {
	done := newMatrix(a.cols, a.rows) // the transposed rows that are orthonormal
	for first := 0; first < a.rows; first += panelRows {
		panel := a.part(first, min(first+panelRows, a.rows))
		for range 2 {
			if first > 0 {
				dots, err := g.product(a.part(0, first), panel)
				if err != nil {
					return err
				}
				weights, err := g.pack(dots.transposed())
				if err != nil {
					return err
				}
				shadow, err := g.mul(done.view(first), weights)
				if err != nil {
					return err
				}
				for i, v := range shadow.transposed().data {
					panel.data[i] -= v
				}
			}
			gramSchmidt(panel)
		}
		for j := range a.cols {
			for i := range panel.rows {
				done.data[j*done.cols+first+i] = panel.data[i*panel.cols+j]
			}
		}
	}
	return nil
}

// gramSchmidt makes the rows of a orthonormal, in float64; rows of zeros stay so.
func gramSchmidt(a matrix) {
	rows := make([][]float64, a.rows)
	for i := range rows {
		rows[i] = make([]float64, a.cols)
		for j, v := range a.row(i) {
			rows[i][j] = float64(v)
		}
		for _, r := range rows[:i] {
			floats.AddScaled(rows[i], -floats.Dot(r, rows[i]), r)
		}
		if n := floats.Norm(rows[i], 2); n > 0 {
			floats.Scale(1/n, rows[i])
		}
		for j, v := range rows[i] {
			a.row(i)[j] = float32(v)
		}
	}
}

// eigenvectors returns the eigenvectors of a·aᵀ with the n largest eigenvalues, as rows.
func eigenvectors(a matrix, n int) (matrix, error) {
	wide := mat.NewDense(a.rows, a.cols, nil)
	for i, v := range a.data {
		wide.RawMatrix().Data[i] = float64(v)
	}
	square := mat.NewDense(a.rows, a.rows, nil) // the upper triangle of it, and little more
	const block = 128
	for i := 0; i < a.rows; i += block {
		end := min(i+block, a.rows)
		rows, after := wide.Slice(i, end, 0, a.cols), wide.Slice(i, a.rows, 0, a.cols)
		square.Slice(i, end, i, a.rows).(*mat.Dense).Mul(rows, after.T())
	}
	// Rows whose length is a power of two would share a few lines of the cache, and take six times as long.
	// One row more prevents it; its eigenvalue is the smallest, as it is negative.
	size := a.rows | 1
	gram := mat.NewSymDense(size, nil)
	if size > a.rows {
		gram.SetSym(a.rows, a.rows, -1)
	}
	for i := range a.rows {
		for j := i; j < a.rows; j++ {
			gram.SetSym(i, j, square.At(i, j))
		}
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(gram, true) {
		return matrix{}, fmt.Errorf("singular values of %d×%d weights do not converge", a.rows, a.cols)
	}
	var vectors mat.Dense // as columns, in rising order
	eigen.VectorsTo(&vectors)
	e := newMatrix(n, a.rows)
	for i := range n {
		for j := range a.rows {
			e.row(i)[j] = float32(vectors.At(j, size-1-i))
		}
	}
	return e, nil
}
