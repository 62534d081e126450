package compression

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
)

// covariance returns a matrix that is symmetric and positive.
func covariance(n int, seed uint64) *mat.SymDense {
	x := kerneltest.Random(seed, 2*n*n)
	c := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			sum := 0.0
			for k := range 2 * n {
				sum += float64(x[k*n+i]) * float64(x[k*n+j])
			}
			c.SetSym(i, j, sum)
		}
	}
	return c
}

// outputError returns δᵀHδ for all weights of a layer with one block and one group, where H is damped.
func outputError(c *compensation, before, after []float32) float64 {
	sum := 0.0
	for at := 0; at < len(before); at += c.k {
		for i := range c.k {
			for j := range c.k {
				di, dj := float64(before[at+i])-float64(after[at+i]), float64(before[at+j])-float64(after[at+j])
				sum += di * dj * c.rows[0].h.At(i, j)
			}
		}
	}
	return sum
}

// withTable returns a compensation of weights with k inputs, whose values and their bits are given.
func withTable(values []float32, k int, seed uint64, table ...float64) *compensation {
	ms := &moments{mean: make([]float64, k), covariance: covariance(k, seed)}
	c := newCompensation(kernels.Weights{Values: values}, k, len(values)/k, []*moments{ms})
	c.table, c.bits = table, make([]float64, len(table))
	return c
}

// TestCompensation compares with all codes of an output channel with two weights. The one that matters more is rounded,
// the other is the best one then; and in the end no change of a code is better.
func TestCompensation(t *testing.T) {
	compensated := false
	for seed := range uint64(50) {
		w := kerneltest.Random(seed+100, 2)
		table := []float64{-0.9, -0.3, 0.25, 0.8}
		c := withTable(w, 2, seed, table...)
		errorOf := func(a, b int) float64 {
			return outputError(c, w, []float32{float32(c.value(a)), float32(c.value(b))})
		}
		nearest := func(x float32) int {
			best := -1
			for code := range table {
				if math.Abs(float64(x)-table[code]) < math.Abs(float64(x)-c.value(best)) {
					best = code
				}
			}
			return best
		}
		index := c.rows[0].index // the more important one last
		c.sweep()
		codes := slices.Clone(c.rows[0].codes)
		if want := nearest(w[index[1]]); codes[1] != want {
			t.Errorf("the first weight has code %d, want %d", codes[1], want)
		}
		compensated = compensated || codes[0] != nearest(w[index[0]])
		brute := func(a, b int) float64 { // by codes in the order of index
			if index[0] == 0 {
				return errorOf(a, b)
			}
			return errorOf(b, a)
		}
		for code := -1; code < len(table); code++ {
			if brute(code, codes[1]) < brute(codes[0], codes[1])-1e-9 {
				t.Errorf("the second weight has code %d, but %d is better", codes[0], code)
			}
		}
		if got, want := c.error(), brute(codes[0], codes[1]); math.Abs(got-want) > 1e-5*want {
			t.Errorf("error %g, want %g", got, want)
		}
		for range 3 {
			c.descend()
		}
		codes = c.rows[0].codes
		for code := -1; code < len(table); code++ {
			if now := brute(codes[0], codes[1]); brute(code, codes[1]) < now-1e-6 || brute(codes[0], code) < now-1e-6 {
				t.Errorf("codes %v are not the best that one change finds", codes)
			}
		}
	}
	if !compensated {
		t.Error("no weight was other than the nearest value")
	}
}

// TestOneFactor: where the channels' own factors would take too much memory, zeros stay zero as well, and the errors of
// others are compensated.
func TestOneFactor(t *testing.T) {
	defer func(n int) { maxFactors = n }(maxFactors)
	const k = 24
	w := kerneltest.Random(3, 20*k)
	for i := 0; i < len(w); i += 3 {
		w[i] = 0
	}
	table := []float64{-0.9, -0.7, -0.5, -0.3, -0.1, 0.1, 0.3, 0.5, 0.7, 0.9}
	errors := [2]float64{}
	for i := range errors {
		c := withTable(w, k, 1, table...)
		c.sweep()
		l := c.layer(kernels.Weights{Values: w})
		after := l.values()
		for j, v := range w {
			if v == 0 && after[j] != 0 {
				t.Errorf("weight %d was zero and is %g", j, after[j])
			}
		}
		errors[i] = outputError(c, w, after)
		if got := c.error(); math.Abs(got-errors[i]) > 1e-4*got {
			t.Errorf("error %g, want %g", got, errors[i])
		}
		maxFactors = 0
	}
	c := withTable(w, k, 1, table...)
	rounded := slices.Clone(w)
	for i, v := range w {
		rounded[i] = float32(c.value(c.choose(float64(v), 1)))
	}
	if plain := outputError(c, w, rounded); !(errors[0] < errors[1] && errors[1] < plain) {
		t.Errorf("the errors are %g with factors for each channel, %g with one, %g without compensation: expected them to rise", errors[0], errors[1], plain)
	}
}

// TestRefine: no value can be moved for a smaller error, by the error of outputs itself.
func TestRefine(t *testing.T) {
	const k = 5
	w := kerneltest.Random(3, 4*k)
	c := withTable(w, k, 1, -0.8, -0.2, 0.4)
	c.sweep()
	before := c.error()
	for range 8 { // one step is damped a little
		c.refine()
	}
	least := c.error()
	if !(least < before) {
		t.Errorf("error %g, and %g before", least, before)
	}
	for i := range c.table {
		for _, d := range []float64{-1e-2, 1e-2} {
			c.table[i] += d
			if e := c.error(); e < least {
				t.Errorf("with value %d moved by %g the error is %g, and %g without", i, d, e, least)
			}
			c.table[i] -= d
		}
	}
}

// TestPrice: bits cost what the price says, so that rare values disappear, and weights become zero.
func TestPrice(t *testing.T) {
	m := &graph.Model{Name: "price", Input: layer.Shape{H: 1, W: 1, C: 4}, Nodes: []graph.Node{node("a", layer.Dense{Out: 100})}}
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	w := kerneltest.Random(3, 400)
	sizes := []int{}
	for _, price := range []float64{0, 1e-3, 1e-2, 1e-1} {
		ms := &moments{mean: make([]float64, 4), covariance: covariance(4, 1)}
		c := newCompensation(kernels.Weights{Values: w}, 4, 100, []*moments{ms})
		c.start(Linear, 31, 0)
		c.improve(price)
		l := c.layer(kernels.Weights{Values: w})
		sizes = append(sizes, len(fbw(t, m, &shared{m, map[graph.Param]sharedLayer{params[0]: l}})))
	}
	if !slices.IsSortedFunc(sizes, func(a, b int) int { return b - a }) || sizes[3] == sizes[0] {
		t.Errorf("bytes by rising price: %v, expected fewer and fewer", sizes)
	}
}

// TestMoments compares with loops over all windows of a padded convolution with two groups, and of a network in
// which the layer before has changed.
func TestMoments(t *testing.T) {
	m := &graph.Model{Name: "moments", Input: layer.Shape{H: 5, W: 4, C: 2}, Nodes: []graph.Node{
		node("a", layer.Conv{Out: 4, Kernel: 1}), node("b", layer.Conv{Out: 2, Kernel: 3, Stride: 2, Pad: kernels.Pad(1), Groups: 2}),
	}}
	w := random(t, m)
	changed := stored{"a": {Values: kerneltest.Random(9, 8), Bias: make([]float32, 4)}, "b": w["b"]}
	images := []kernels.View{noise(m.Input, 1), noise(m.Input, 2), noise(m.Input, 3)}
	readers, err := readersOf(m)
	if err != nil {
		t.Fatal(err)
	}
	all, err := momentsOf(m, changed, w, readers[1:], images, ShareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// windows are the inputs of group g, by row.
	windows := func(w stored, g int) (rows [][]float64) {
		p := compile(t, m, w, graph.Options{KeepAll: true})
		for _, image := range images {
			if err := kernels.Copy(p.Input(), image); err != nil {
				t.Fatal(err)
			}
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
			v, _ := p.Node("a")
			for y := -1; y < 5; y += 2 {
				for x := -1; x < 3; x += 2 {
					var row []float64
					for c := range 2 {
						for ky := range 3 {
							for kx := range 3 {
								value := 0.0
								if y+ky >= 0 && y+ky < 5 && x+kx >= 0 && x+kx < 4 {
									value = float64(kernels.At[float32](v, 0, y+ky, x+kx, 2*g+c))
								}
								row = append(row, value)
							}
						}
					}
					rows = append(rows, row)
				}
			}
		}
		return rows
	}
	mean := func(rows [][]float64, f func(i int) float64) float64 {
		sum := 0.0
		for i := range rows {
			sum += f(i)
		}
		return sum / float64(len(rows))
	}
	for g, ms := range all[0] {
		now, then := windows(changed, g), windows(w, g)
		if ms.group != g || ms.first != 0 || len(ms.mean) != 18 {
			t.Fatalf("block %d is of group %d, from %d on, %d inputs", g, ms.group, ms.first, len(ms.mean))
		}
		for i := range ms.mean {
			mi := mean(now, func(r int) float64 { return now[r][i] })
			bi := mean(then, func(r int) float64 { return then[r][i] })
			if math.Abs(ms.mean[i]-mi) > 1e-6 || math.Abs(ms.meanBefore[i]-bi) > 1e-6 {
				t.Errorf("means of input %d are %g and %g, want %g and %g", i, ms.mean[i], ms.meanBefore[i], mi, bi)
			}
			for j := range ms.mean {
				mj := mean(now, func(r int) float64 { return now[r][j] })
				bj := mean(then, func(r int) float64 { return then[r][j] })
				c := mean(now, func(r int) float64 { return (now[r][i] - mi) * (now[r][j] - mj) })
				x := mean(now, func(r int) float64 { return (now[r][i] - mi) * (then[r][j] - bj) })
				if math.Abs(ms.covariance.At(i, j)-c) > 1e-6 || math.Abs(ms.cross.At(i, j)-x) > 1e-6 {
					t.Errorf("covariances of inputs %d and %d are %g and %g, want %g and %g", i, j, ms.covariance.At(i, j), ms.cross.At(i, j), c, x)
				}
			}
		}
	}
}

// TestBlocks: the inputs of a long row are in blocks, which follow each other.
func TestBlocks(t *testing.T) {
	m := &graph.Model{Name: "blocks", Input: layer.Shape{H: 1, W: 1, C: 2500}, Nodes: []graph.Node{node("a", layer.Dense{Out: 3})}}
	readers, err := readersOf(m)
	if err != nil {
		t.Fatal(err)
	}
	images := []kernels.View{noise(m.Input, 1), noise(m.Input, 2)}
	all, err := momentsOf(m, random(t, m), nil, readers, images, ShareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := kernels.Data[float32](images[0]), kernels.Data[float32](images[1])
	next := 0
	for _, ms := range all[0] {
		if ms.first != next || len(ms.mean) > maxBlock {
			t.Errorf("a block of %d begins at %d, want %d", len(ms.mean), ms.first, next)
		}
		next = ms.first + len(ms.mean)
		for i, mean := range ms.mean {
			j := ms.first + i
			if want := (float64(a[j]) + float64(b[j])) / 2; math.Abs(mean-want) > 1e-9 {
				t.Fatalf("the mean of input %d is %g, want %g", j, mean, want)
			}
			d, e := float64(a[j])-float64(b[j]), float64(a[ms.first])-float64(b[ms.first])
			if got, want := ms.covariance.At(0, i), d*e/4; math.Abs(got-want) > 1e-9 {
				t.Fatalf("the covariance of inputs %d and %d is %g, want %g", ms.first, j, got, want)
			}
		}
	}
	if next != 2500 {
		t.Errorf("blocks of %d inputs, want 2500", next)
	}
}

// TestRetarget: with inputs of twice the size, weights move halfway to half their size, and with inputs that are exchanged,
// halfway to weights that are.
func TestRetarget(t *testing.T) {
	before := covariance(2, 1)
	for what, test := range map[string]struct {
		change *mat.Dense // of the inputs
		want   [2]float64
	}{
		"twice the size": {mat.NewDense(2, 2, []float64{2, 0, 0, 2}), [2]float64{1.5, 0.75}}, // of 2 and 1
		"exchanged":      {mat.NewDense(2, 2, []float64{0, 1, 1, 0}), [2]float64{1.5, 1.5}},
	} {
		var cross, now mat.Dense
		cross.Mul(test.change, before)
		now.Mul(&cross, test.change.T())
		ms := &moments{mean: make([]float64, 2), covariance: mat.NewSymDense(2, nil), meanBefore: make([]float64, 2), cross: &cross}
		for i := range 2 {
			for j := i; j < 2; j++ {
				ms.covariance.SetSym(i, j, now.At(i, j))
			}
		}
		c := newCompensation(kernels.Weights{Values: []float32{2, 1}}, 2, 1, []*moments{ms})
		r := c.rows[0]
		for i, x := range r.index {
			if got, want := r.weights[i], test.want[x]; math.Abs(got-want) > 0.02 { // damping
				t.Errorf("%s: weight %d is %g, want %g", what, x, got, want)
			}
		}
	}
}
