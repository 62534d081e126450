package compression

import (
	"fmt"
	"math"

	"firebench/kernels"
)

// A histogram counts how often the numbers of a value lie in each of many equal intervals, the bins.
// Their width is a power of two, and is doubled when a number lies beyond the last bin, so that the
// counts do not depend on the order of the numbers.
type histogram struct {
	count    int64   // of all numbers
	min, max float32 // 0 while count is 0

	// below and above count the numbers that are not 0 by their absolute value, those below 0 and
	// those above; zeros need no bin, because 0 is exact in every type. Both are nil in a histogram
	// that has no bins.
	below, above []int64
	exponent     int // the bins end at ±2^exponent
}

// bins is how many bins each side of a histogram has. More than half of them are in use on one side
// at least, because the largest number lies in the upper half: more than 2048.
const bins = 4096

func newHistogram(withBins bool) *histogram {
	h := &histogram{exponent: -100} // almost all numbers that small are 0
	if withBins {
		h.below, h.above = make([]int64, bins), make([]int64, bins)
	}
	return h
}

// addView adds the numbers of a view. It is an error if one is not finite.
func (h *histogram) addView(v kernels.View) error {
	data := kernels.Data[float32](v)
	runs, run := v.W, v.C
	if v.Pixel == v.C {
		runs, run = 1, v.W*v.C
	}
	each := func(f func(numbers []float32)) {
		for n := range v.N {
			for y := range v.H {
				for x := range runs {
					f(data[v.Index(n, y, x, 0):][:run])
				}
			}
		}
	}
	low, high := h.min, h.max
	if h.count == 0 {
		low, high = float32(math.Inf(1)), float32(math.Inf(-1))
	}
	each(func(numbers []float32) {
		for _, x := range numbers {
			if x > high {
				high = x
			}
			if !(x >= low) && low == low { // a NaN becomes low, and stays
				low = x
			}
		}
	})
	for _, x := range []float32{low, high} {
		if x-x != 0 {
			return fmt.Errorf("a number is %g, expected finite ones", x)
		}
	}
	h.min, h.max = low, high
	h.count += int64(v.N * v.H * v.W * v.C)
	if h.above == nil {
		return nil
	}
	h.grow(max(math.Abs(float64(low)), math.Abs(float64(high))))
	below, above := (*[bins]int64)(h.below), (*[bins]int64)(h.above)
	perBin := float32(math.Ldexp(bins, -h.exponent)) // a power of two, so that products are exact
	each(func(numbers []float32) {
		for _, x := range numbers {
			if i := int32(x * perBin); x > 0 {
				above[uint32(i)%bins]++
			} else if x < 0 {
				below[uint32(-i)%bins]++
			}
		}
	})
	return nil
}

// grow makes the bins wide enough for a largest absolute value.
func (h *histogram) grow(largest float64) {
	_, exponent := math.Frexp(largest) // largest < 2^exponent
	if exponent <= h.exponent {
		return
	}
	shift := exponent - h.exponent
	for _, counts := range [][]int64{h.below, h.above} {
		for i, n := range counts {
			counts[i] = 0
			counts[i>>shift] += n
		}
	}
	h.exponent = exponent
}

// width returns the width of a bin.
func (h *histogram) width() float64 { return math.Ldexp(1.0/bins, h.exponent) }

func (h *histogram) minMax() (low, high float64) { return float64(h.min), float64(h.max) }

// clipped is how many of all numbers Percentile clips at each end, at most.
const clipped = 1e-5

func (h *histogram) percentile() (low, high float64) {
	most := int64(clipped * float64(h.count))
	// end returns where the bins end that are left when at most that many numbers are cut off.
	end := func(counts []int64) float64 {
		cut := int64(0)
		for i := len(counts); i > 0; i-- {
			if cut += counts[i-1]; cut > most {
				return float64(i) * h.width()
			}
		}
		return 0
	}
	return h.clip(-end(h.below), end(h.above))
}

// clip returns the part of the range from low to high that has numbers.
func (h *histogram) clip(low, high float64) (float64, float64) {
	return max(low, float64(h.min)), min(high, float64(h.max))
}

func (h *histogram) kl() (low, high float64) {
	t := float64(h.leastDivergence()) * h.width()
	return h.clip(-t, t)
}

// leastDivergence tries ranges of t bins to both sides of 0, as far as there are numbers in them, and
// returns the best t. For each, the reference distribution is the counts of the bins inside, with the
// numbers outside counted in the first and the last bin. Seen through 256 levels, each bin that is not
// empty has the mean of those in its level; this second distribution does not know the numbers
// outside. A range is the better the less the second one diverges from the reference.
func (h *histogram) leastDivergence() int {
	const levels = 256
	// The bins of both sides in one row, in which 0 lies before the bin with the number bins. The
	// bins first to last-1 reach from the smallest number to the largest, and to 0.
	counts := make([]int64, 0, 2*bins)
	for i := range h.below {
		counts = append(counts, h.below[bins-1-i])
	}
	counts = append(counts, h.above...)
	first, last := bins, bins
	// Sums over all bins before each one, so that a range takes a few steps for each level.
	mass := make([]float64, 2*bins+1)    // of counts
	entropy := make([]float64, 2*bins+1) // of n·log n
	used := make([]float64, 2*bins+1)    // of bins that are not empty
	xlogx := func(n float64) float64 {
		if n == 0 {
			return 0
		}
		return float64(n * math.Log(n)) // rounded here, not fused with a sum where a processor can do that
	}
	for i, n := range counts {
		mass[i+1] = mass[i] + float64(n)
		entropy[i+1] = entropy[i] + xlogx(float64(n))
		used[i+1] = used[i]
		if n > 0 {
			used[i+1]++
			first, last = min(first, i), max(last, i+1)
		}
	}
	total := mass[2*bins]
	best, least := bins, math.Inf(1)
	for t := 1; t <= bins; t++ {
		a, b := max(bins-t, first), min(bins+t, last)
		if b-a < levels {
			continue
		}
		// The divergence is Σ p·log(p/q), where p is the reference, divided by total, and q the
		// second distribution, divided by the numbers inside.
		before, inside, behind := mass[a], mass[b]-mass[a], total-mass[b]
		if before > 0 && counts[a] == 0 || behind > 0 && counts[b-1] == 0 {
			continue // a bin that is empty in the second distribution only
		}
		sum := entropy[b] - entropy[a] - xlogx(total) + float64(total*math.Log(inside))
		for _, end := range []struct {
			bin int
			n   float64
		}{{a, before}, {b - 1, behind}} {
			n := float64(counts[end.bin])
			sum += xlogx(n+end.n) - xlogx(n)
		}
		for l := range levels {
			i, j := a+l*(b-a)/levels, a+(l+1)*(b-a)/levels
			q, p := mass[j]-mass[i], mass[j]-mass[i]
			if l == 0 {
				p += before
			}
			if l == levels-1 {
				p += behind
			}
			if p > 0 {
				sum -= float64(p * math.Log(q/(used[j]-used[i])))
			}
		}
		if sum < least {
			best, least = t, sum
		}
	}
	return best
}
