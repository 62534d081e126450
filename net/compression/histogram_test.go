package compression

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/layer"
)

// histogramOf returns the histogram of the numbers, added one part after the other.
func histogramOf(t *testing.T, withBins bool, parts ...[]float32) *histogram {
	t.Helper()
	h := newHistogram(withBins)
	for _, numbers := range parts {
		if err := h.addView(image(layer.Shape{H: 1, W: len(numbers), C: 1}, numbers...)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// TestHistogram counts numbers by hand: bins end at a power of two, zeros are in none.
func TestHistogram(t *testing.T) {
	h := histogramOf(t, true, []float32{0, 1, 1.5, -1, 0, 3.99, -3})
	want := map[int]int64{1024: 1, 1536: 1, 4085: 1}
	for i, n := range h.above {
		if n != want[i] {
			t.Errorf("%d numbers from %v on, want %d", n, float64(i)*h.width(), want[i])
		}
	}
	want = map[int]int64{1024: 1, 3072: 1}
	for i, n := range h.below {
		if n != want[i] {
			t.Errorf("%d numbers from %v on, want %d", n, -float64(i)*h.width(), want[i])
		}
	}
	if h.width() != 4.0/bins || h.count != 7 || h.min != -3 || h.max != 3.99 {
		t.Errorf("width %v, %d numbers from %v to %v", h.width(), h.count, h.min, h.max)
	}
}

// TestHistogramOrder: the counts do not depend on the order of the numbers, nor on how they are laid
// out in views.
func TestHistogramOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var numbers []float32
	for range 1000 {
		numbers = append(numbers, float32(math.Exp(10*r.NormFloat64())*r.NormFloat64()))
	}
	numbers = append(numbers, 0, math.MaxFloat32, -math.SmallestNonzeroFloat32)
	want := histogramOf(t, true, numbers)
	slices.Sort(numbers)
	if got := histogramOf(t, true, numbers[:500], numbers[500:501], numbers[501:]); !reflect.DeepEqual(got, want) {
		t.Error("in order: another histogram")
	}
	slices.Reverse(numbers)
	if got := histogramOf(t, true, numbers[:1], numbers[1:700], numbers[700:]); !reflect.DeepEqual(got, want) {
		t.Error("in reverse: another histogram")
	}

	wide := kernels.NewView(kernels.Type{}, 1, 17, 59, 3, 1)
	for i := range kernels.Data[float32](wide) {
		kernels.Data[float32](wide)[i] = float32(math.NaN()) // in the halo and in other channels
	}
	view := wide.Channels(1, 1)
	for i, x := range numbers { // 17·59 of them
		kernels.Pixel[float32](view, 0, i/59, i%59)[0] = x
	}
	got := newHistogram(true)
	if err := got.addView(view); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("one channel of three: another histogram, error %v", err)
	}
}

func TestHistogramRefuses(t *testing.T) {
	for _, x := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		for i := range 3 {
			numbers := []float32{1, -2, 0}
			numbers[i] = x
			h := newHistogram(true)
			if err := h.addView(image(layer.Shape{H: 1, W: 3, C: 1}, numbers...)); err == nil || !strings.Contains(err.Error(), "finite") {
				t.Errorf("%v: error %v", numbers, err)
			}
		}
	}
}

// TestRanges has the ranges of distributions that are known.
func TestRanges(t *testing.T) {
	// n numbers, equally spaced from low on and below high.
	even := func(n int, low, high float64) (numbers []float32) {
		for i := range n {
			numbers = append(numbers, float32(low+(high-low)*float64(i)/float64(n)))
		}
		return numbers
	}
	outliers := func(numbers []float32, n int, x float32) []float32 {
		return append(slices.Clone(numbers), slices.Repeat([]float32{x}, n)...)
	}
	const many = 200_000
	for _, test := range []struct {
		what      string
		numbers   []float32
		method    Method
		low, high float64
	}{
		{"nothing but zeros", make([]float32, 5), MinMax, 0, 0},
		{"nothing but zeros", make([]float32, 5), Percentile, 0, 0},
		{"nothing but zeros", make([]float32, 5), KL, 0, 0},
		{"one number", []float32{-0.75}, MinMax, -0.75, -0.75},
		{"one number", []float32{-0.75}, Percentile, -0.75, -0.75},
		{"one number", []float32{-0.75}, KL, -0.75, -0.75},

		{"outliers", outliers(even(many, 0, 1), 2, 10), MinMax, 0, 10},
		{"two in 200,002 are clipped", outliers(even(many, 0, 1), 2, 10), Percentile, 0, 1},
		{"three are not", outliers(even(many, 0, 1), 3, 10), Percentile, 0, 10},
		{"two at each end", outliers(outliers(even(many, -2, 1), 2, 10), 2, -20), Percentile, -2, 1},
		{"three at one end", outliers(outliers(even(many, -2, 1), 3, 10), 2, -20), Percentile, -2, 10},
		{"with many zeros, three", outliers(outliers(even(many, 0, 1), 3, 10), 100_000, 0), Percentile, 0, 1},

		{"all levels are in use", even(many, 0, 1), KL, 0, 1 - 1.0/many},
		{"all levels are in use", even(many, -1, 1), KL, -1, 1 - 2.0/many},
		{"outliers", outliers(even(many, 0, 1), 3, 10), KL, 0, 1},
		{"outliers", outliers(even(many, -1, 1), 3, -10), KL, -1, 1 - 2.0/many},
	} {
		h := histogramOf(t, test.method != MinMax, test.numbers)
		low, high := methods[test.method].choose(h)
		near := func(got, want float64) bool { return math.Abs(got-want) <= h.width() || got == want }
		if !near(low, test.low) || !near(high, test.high) {
			t.Errorf("%s, %v: from %v to %v, want %v to %v", test.what, test.method, low, high, test.low, test.high)
		}
	}
}

// TestLeastDivergence: by the textbook's loops, no range is better than the one that is chosen.
func TestLeastDivergence(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for what, draw := range map[string]func() float64{
		"exponential": r.ExpFloat64,
		"normal":      r.NormFloat64,
		"heavy tail":  func() float64 { return math.Exp(1.5 * r.NormFloat64()) },
		"two sides":   func() float64 { return r.NormFloat64() * (1 + 4*math.Round(r.Float64()-0.45)) },
	} {
		var numbers []float32
		for range 20000 {
			numbers = append(numbers, float32(draw()))
		}
		h := histogramOf(t, true, numbers)
		best := h.leastDivergence()
		if best < 100 || best == bins {
			t.Errorf("%s: %d bins are the best", what, best)
		}
		least := rangeDivergence(h, best)
		for n := 1; n <= bins; n += 7 { // some of all, so that the test is fast
			if d := rangeDivergence(h, n); d < least*(1-1e-9) {
				t.Errorf("%s: %d bins diverge by %v, and the best, %d, by %v", what, n, d, best, least)
				break
			}
		}
	}
}

// rangeDivergence returns how much the range of n bins to both sides of 0 diverges by the definition
// of the divergence, infinitely if it has fewer bins than levels.
func rangeDivergence(h *histogram, n int) float64 {
	var row []float64 // all bins, from below to above
	for i := range bins {
		row = append(row, float64(h.below[bins-1-i]))
	}
	for _, n := range h.above {
		row = append(row, float64(n))
	}
	first, last := bins, bins
	for i, n := range row {
		if n > 0 {
			first, last = min(first, i), max(last, i+1)
		}
	}
	a, b := max(bins-n, first), min(bins+n, last)
	if b-a < 256 {
		return math.Inf(1)
	}
	p, q := slices.Clone(row[a:b]), make([]float64, b-a)
	for l := range 256 {
		i, j := l*(b-a)/256, (l+1)*(b-a)/256
		sum, used := 0.0, 0.0
		for _, n := range p[i:j] {
			if sum += n; n > 0 {
				used++
			}
		}
		for k := i; k < j; k++ {
			if p[k] > 0 {
				q[k] = sum / used
			}
		}
	}
	for _, n := range row[:a] {
		p[0] += n
	}
	for _, n := range row[b:] {
		p[len(p)-1] += n
	}
	return divergence(p, q)
}

// divergence returns the Kullback-Leibler divergence of two distributions.
func divergence(p, q []float64) float64 {
	total := func(s []float64) (n float64) {
		for _, v := range s {
			n += v
		}
		return n
	}
	sumP, sumQ := total(p), total(q)
	d := 0.0
	for i := range p {
		if p[i] > 0 {
			d += p[i] / sumP * math.Log(p[i]/sumP*sumQ/q[i])
		}
	}
	return d
}
