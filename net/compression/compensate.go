package compression

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"gonum.org/v1/gonum/mat"

	"firebench/kernels"
)

// A compensation gives the weights of a layer few values, so that the layer's outputs change least. If δ is what
// is taken from the weights of an output channel, its outputs have the squared error δᵀHδ in the mean, where H is the
// covariance of its inputs; the mean of the error goes into the bias. With the Cholesky factor H = UᵀU,
//
//	δᵀHδ = Σ uⱼⱼ²·(δⱼ + Σ uⱼᵢ/uⱼⱼ·δᵢ)², i > j
//
// so that weights are chosen from the last to the first, each with the errors of those before in its target. That
// is what Frantar et al., GPTQ, https://arxiv.org/abs/2210.17323, do, without the inverse of H, and here with the
// matrix of those weights alone that are not zero already. A value costs its bits besides, at a price: that is
// entropy-constrained quantization. Zero is a value like the others, so that weights are pruned where that pays.
type compensation struct {
	rows  []compensated
	k     int     // weights of an output channel
	price float64 // of a bit, as an error of outputs

	table []float64 // the values that are not zero, rising
	bits  []float64 // of each
	zero  float64   // bits of a zero
}

// compensated are the weights of an output channel, or of a block of them.
type compensated struct {
	*moments
	channel int
	h       *mat.Dense // H of all weights of the block, damped
	index   []int      // of the weights in the block, in rising order of their input's variance
	factor  factor     // U
	weights []float64
	codes   []int // in table, or -1 for zero
}

// A factor is an upper triangular matrix, row by row from the diagonal on.
type factor struct {
	n    int
	data []float32
}

// row returns row i from its diagonal on.
func (f factor) row(i int) []float32 { return f.data[i*(2*f.n-i+1)/2:][:f.n-i] }

// damping is what is added to the variance of each input, as a share of their mean, for what the images do not show.
const damping = 0.003

// maxFactors bounds the numbers in all factors of a layer. Beyond, channels use the factor of all weights. Tests make it
// smaller.
var maxFactors = 1 << 26

// newCompensation returns the compensation for weights of which an output channel has k.
func newCompensation(w kernels.Weights, k, perGroup int, blocks []*moments) *compensation {
	c := &compensation{k: k}
	numbers := 0
	for _, ms := range blocks {
		n := len(ms.mean)
		h := mat.DenseCopyOf(ms.covariance)
		more := damping * mat.Trace(h) / float64(n)
		if more <= 0 {
			more = 1 // inputs that never change: all that matters is the bias
		}
		order := make([]int, n)
		for i := range order {
			order[i] = i
			h.Set(i, i, h.At(i, i)+more)
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(h.At(a, a), h.At(b, b)) })
		all := factorOf(h, order)
		for channel := ms.group * perGroup; channel < (ms.group+1)*perGroup; channel++ {
			r := compensated{moments: ms, channel: channel, h: h, index: order, factor: all}
			values := w.Values[channel*k+ms.first:][:n]
			kept := make([]int, 0, n)
			for _, i := range order {
				if values[i] != 0 {
					kept = append(kept, i)
				}
			}
			if numbers+len(kept)*len(kept) <= maxFactors && len(kept) < n {
				numbers += len(kept) * len(kept)
				r.index, r.factor = kept, factor{}
			}
			for _, i := range r.index {
				r.weights = append(r.weights, float64(values[i]))
			}
			r.codes = make([]int, len(r.index))
			c.rows = append(c.rows, r)
		}
	}
	parallel(len(c.rows), func(i int) {
		r := &c.rows[i]
		if r.factor.n == 0 && len(r.index) > 0 {
			r.factor = factorOf(r.h, r.index)
		}
		r.retarget()
	})
	return c
}

// confidence is how far the weights move to those that would make up for what the layers before do to the inputs.
// All the way, they would fit the images, and no others as well.
const confidence = 0.5

// retarget moves the weights to where the outputs are closer to what they were before the inputs changed. If x are
// the inputs, and y the inputs as they were, then the weights w that are not zero make the error of vx for wy the
// least with v = w·(Σyxᵀ)·H⁻¹.
func (r *compensated) retarget() {
	if r.cross == nil || len(r.index) == 0 {
		return
	}
	damped := r.h.At(0, 0) - r.covariance.At(0, 0)
	v := make([]float64, len(r.index))
	for i, x := range r.index {
		sum := damped * r.weights[i]
		cross := r.cross.RawRowView(x)
		for j, y := range r.index {
			sum += cross[y] * r.weights[j]
		}
		v[i] = sum
	}
	// UᵀUv = …
	n := len(v)
	for i := range n {
		u := r.factor.row(i)
		v[i] /= float64(u[0])
		for q := i + 1; q < n; q++ {
			v[q] -= float64(u[q-i]) * v[i]
		}
	}
	for i := n - 1; i >= 0; i-- {
		u := r.factor.row(i)
		for q := i + 1; q < n; q++ {
			v[i] -= float64(u[q-i]) * v[q]
		}
		v[i] /= float64(u[0])
	}
	for i, w := range r.weights {
		if w != 0 {
			r.weights[i] = w + confidence*(v[i]-w)
		}
	}
}

// factorOf returns the factor of some rows and columns of h.
func factorOf(h *mat.Dense, index []int) factor {
	part := mat.NewSymDense(len(index), nil)
	for i, x := range index {
		line := h.RawRowView(x)
		for j := i; j < len(index); j++ {
			part.SetSym(i, j, line[index[j]])
		}
	}
	var c mat.Cholesky
	if !c.Factorize(part) {
		panic("compression: a covariance that is not positive") // it is damped
	}
	u := c.RawU()
	f := factor{n: len(index), data: make([]float32, 0, len(index)*(len(index)+1)/2)}
	for i := range f.n {
		for j := i; j < f.n; j++ {
			f.data = append(f.data, float32(u.At(i, j)))
		}
	}
	return f
}

func (c *compensation) value(code int) float64 {
	if code < 0 {
		return 0
	}
	return c.table[code]
}

// choose returns the code of the value v for which weight·(x-v)² and the price of its bits are least. Values far from
// x are no candidates.
func (c *compensation) choose(x, weight float64) int {
	best, least := -1, weight*x*x+c.price*c.zero
	i := sort.SearchFloat64s(c.table, x)
	for j := max(0, i-3); j < min(len(c.table), i+3); j++ {
		d := x - c.table[j]
		if cost := weight*d*d + c.price*c.bits[j]; cost < least {
			best, least = j, cost
		}
	}
	return best
}

// start makes a codebook of up to n values, by k-means in which a weight counts as its error does if all errors
// before are compensated.
func (c *compensation) start(init Init, n int, seed uint64) {
	var values []float32
	var counts []float64
	for i := range c.rows {
		r := &c.rows[i]
		for j, w := range r.weights {
			u := float64(r.factor.row(j)[0])
			values = append(values, float32(w))
			counts = append(counts, u*u)
		}
	}
	p := newPoints(values, counts)
	c.table = p.kMeans(p.start(init, n, seed))
	c.bits, c.zero, c.price = make([]float64, len(c.table)), 0, 0
	c.sweep()
	c.count()
}

// sweep chooses all codes anew. It returns the means of what each value stands for.
func (c *compensation) sweep() (means []float64) {
	type sums struct{ x, weight []float64 }
	all := make([]sums, len(c.rows))
	parallel(len(c.rows), func(i int) {
		r := &c.rows[i]
		s := sums{make([]float64, len(c.table)), make([]float64, len(c.table))}
		delta := make([]float64, len(r.index))
		for j := len(r.index) - 1; j >= 0; j-- {
			if r.weights[j] == 0 {
				r.codes[j] = -1
				continue
			}
			u := r.factor.row(j)
			diagonal, x := float64(u[0]), 0.0
			for q, d := range delta[j+1:] {
				x += float64(u[q+1]) * d
			}
			x = r.weights[j] + x/diagonal
			weight := diagonal * diagonal
			code := c.choose(x, weight)
			r.codes[j] = code
			delta[j] = r.weights[j] - c.value(code)
			if code >= 0 {
				s.x[code] += weight * x
				s.weight[code] += weight
			}
		}
		all[i] = s
	})
	means = slices.Clone(c.table)
	for code := range means {
		x, weight := 0.0, 0.0
		for _, s := range all {
			x += s.x[code]
			weight += s.weight[code]
		}
		if weight > 0 {
			means[code] = x / weight
		}
	}
	return means
}

// count drops values without weights, brings the others into order, and finds the bits of each from how often it is chosen:
// whether a weight is zero, and if not, which value it has.
func (c *compensation) count() {
	counts := make([]int, len(c.table))
	some, all := 0, 0
	for i := range c.rows {
		all += len(c.rows[i].mean)
		for _, code := range c.rows[i].codes {
			if code >= 0 {
				counts[code]++
				some++
			}
		}
	}
	var order []int
	for code, n := range counts {
		if n > 0 {
			order = append(order, code)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(c.table[a], c.table[b]) })
	renamed := make([]int, len(counts))
	table := make([]float64, len(order))
	c.bits = make([]float64, len(order))
	for i, code := range order {
		renamed[code] = i
		table[i] = c.table[code]
		c.bits[i] = math.Log2(float64(all) / float64(counts[code]))
	}
	c.table = table
	c.zero = math.Log2(float64(all) / max(0.5, float64(all-some)))
	for i := range c.rows {
		codes := c.rows[i].codes
		for j, code := range codes {
			if code >= 0 {
				codes[j] = renamed[code]
			}
		}
	}
}

// gradient returns δ, what is taken from the weights of a row, and Hδ.
func (c *compensation) gradient(r *compensated) (delta, g []float64) {
	n := len(r.index)
	delta, g = make([]float64, n), make([]float64, n)
	for j, code := range r.codes {
		delta[j] = r.weights[j] - c.value(code)
	}
	for j := range n {
		u, t := r.factor.row(j), 0.0
		for q, d := range delta[j:] {
			t += float64(u[q]) * d
		}
		for q := range u {
			g[j+q] += float64(u[q]) * t
		}
	}
	return delta, g
}

// variance returns what error would return if all weights were zero.
func (c *compensation) variance() float64 {
	sum := 0.0
	for i := range c.rows {
		r := &c.rows[i]
		for j := range r.index {
			t := 0.0
			for q, x := range r.factor.row(j) {
				t += float64(x) * r.weights[j+q]
			}
			sum += t * t
		}
	}
	return sum
}

// error returns the squared error of the outputs at one place, in the mean.
func (c *compensation) error() float64 {
	errs := make([]float64, len(c.rows))
	parallel(len(c.rows), func(i int) {
		delta, g := c.gradient(&c.rows[i])
		for j := range delta {
			errs[i] += delta[j] * g[j]
		}
	})
	sum := 0.0
	for _, e := range errs {
		sum += e
	}
	return sum
}

// descend chooses each code anew, the errors of all others as they are.
func (c *compensation) descend() {
	parallel(len(c.rows), func(i int) {
		r := &c.rows[i]
		_, g := c.gradient(r)
		for j := len(r.index) - 1; j >= 0; j-- {
			if r.weights[j] == 0 {
				continue
			}
			line := r.h.RawRowView(r.index[j])
			old, weight := c.value(r.codes[j]), line[r.index[j]]
			code := c.choose(old+g[j]/weight, weight)
			if code == r.codes[j] {
				continue
			}
			r.codes[j] = code
			d := c.value(code) - old
			for q, x := range r.index {
				g[q] -= d * line[x]
			}
		}
	})
}

// refine moves the values to where the error is least for the codes as they are: a least-squares problem of as many
// unknowns as there are values.
func (c *compensation) refine() {
	n := len(c.table)
	const parts = 16 // of the rows: sums do not depend on the number of goroutines
	var a, b [parts][]float64
	parallel(parts, func(part int) {
		squares, products := make([]float64, n*n), make([]float64, n)
		for i := part; i < len(c.rows); i += parts {
			r := &c.rows[i]
			_, g := c.gradient(r)
			for j, x := range r.codes {
				if x < 0 {
					continue
				}
				products[x] += g[j]
				line, h := squares[x*n:(x+1)*n], r.h.RawRowView(r.index[j])
				for q, y := range r.codes {
					if y >= 0 {
						line[y] += h[r.index[q]]
					}
				}
			}
		}
		a[part], b[part] = squares, products
	})
	for part := 1; part < parts; part++ {
		for i, x := range a[part] {
			a[0][i] += x
		}
		for i, x := range b[part] {
			b[0][i] += x
		}
	}
	for i := range n {
		a[0][i*n+i] *= 1.001 // values of few weights stay about where they are
	}
	var factor mat.Cholesky
	var step mat.VecDense
	if n == 0 || !factor.Factorize(mat.NewSymDense(n, a[0])) || factor.SolveVecTo(&step, mat.NewVecDense(n, b[0])) != nil {
		return // there is no better place for sure
	}
	for i := range c.table {
		c.table[i] += step.AtVec(i)
	}
}

const (
	sweeps   = 5
	descents = 3
)

// improve chooses values and codes for a price, from those that there are.
func (c *compensation) improve(price float64) {
	c.price = price
	for range sweeps {
		c.table = c.sweep()
		c.count()
	}
	c.sweep()
	for range descents {
		c.count()
		c.descend()
	}
	c.count()
	c.refine()
	c.count()
}

// layer returns the shared layer, w are its weights before.
func (c *compensation) layer(w kernels.Weights) sharedLayer {
	l := sharedLayer{table: codebook{0}, codes: make([]uint8, len(w.Values)), bias: slices.Clone(w.Bias)}
	for _, v := range c.table {
		l.table = append(l.table, float32(v))
	}
	shift := make([]float64, len(w.Values)/c.k)
	for i := range c.rows {
		r := &c.rows[i]
		for j, x := range r.index {
			code := uint8(r.codes[j] + 1)
			if l.table[code] == 0 {
				code = 0
			}
			at := r.channel*c.k + r.first + x
			l.codes[at] = code
			before := r.mean
			if r.meanBefore != nil {
				before = r.meanBefore
			}
			shift[r.channel] += float64(w.Values[at])*before[x] - float64(l.table[code])*r.mean[x]
		}
	}
	if l.bias == nil {
		l.bias = make([]float32, len(shift))
	}
	for channel, s := range shift {
		l.bias[channel] += float32(s)
	}
	l.table = l.table.drop(l.codes)
	return l
}
