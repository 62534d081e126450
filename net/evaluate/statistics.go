package evaluate

import (
	"context"
	"math"
	"slices"
	"time"
)

// z bounds 95 % of the standard normal distribution on both sides.
const z = 1.959963984540054

// A Share is Count of Total.
type Share struct{ Count, Total int }

func (s *Share) add(yes bool) {
	s.Total++
	if yes {
		s.Count++
	}
}

// Value returns the share, from 0 to 1; it is NaN if Total is 0.
func (s Share) Value() float64 { return float64(s.Count) / float64(s.Total) }

// Interval returns Wilson's 95 % interval of the share, which the sample of Total says of all. It
// is good for small samples, and for shares near 0 and 1, too. It is 0 to 1 if Total is 0.
// See Wilson, Probable inference, the law of succession, and statistical inference, 1927.
func (s Share) Interval() (lo, hi float64) {
	if s.Total == 0 {
		return 0, 1
	}
	n, p := float64(s.Total), s.Value()
	center := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, center-half), min(1, center+half)
}

// A Speed is how many pictures a network computes in a second: the median, and its 95 %
// interval, which assumes no distribution. The bounds are 0 and infinite of less than six
// pictures, which are too few for an interval.
type Speed struct{ Median, Lo, Hi float64 }

// newSpeed returns the speed of which times are samples; they are not empty.
func newSpeed(times []time.Duration) Speed {
	perSecond := make([]float64, len(times))
	for i, t := range times {
		perSecond[i] = float64(time.Second) / float64(max(t, 1)) // clocks may stand still for a while
	}
	median, lo, hi := Median(perSecond)
	return Speed{median, lo, hi}
}

const (
	sampleTime = 30 * time.Millisecond
	leastCalls = 3
)

// Sample returns the median time of some calls, at least three that take at least 30 ms together, in milliseconds. The one
// before them brings memory into the caches. It returns ctx's error when that ends.
func Sample(ctx context.Context, run func() error) (ms float64, err error) {
	if err := run(); err != nil {
		return 0, err
	}
	var times []float64
	for begin := time.Now(); len(times) < leastCalls || time.Since(begin) < sampleTime; {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		start := time.Now()
		if err := run(); err != nil {
			return 0, err
		}
		times = append(times, float64(max(time.Since(start), 1))/1e6)
	}
	ms, _, _ = Median(times)
	return ms, nil
}

// Median returns the median of values and its 95 % interval, which assumes no distribution. The bounds are 0 and infinite
// of less than six values, which are too few for an interval. It sorts the values, which are positive; there must be one.
func Median(values []float64) (median, lo, hi float64) {
	slices.Sort(values)
	n := len(values)
	median, lo, hi = (values[(n-1)/2]+values[n/2])/2, 0, math.Inf(1)
	if r := rank(n); r > 0 {
		lo, hi = values[r-1], values[n-r]
	}
	return median, lo, hi
}

// rank returns the greatest r such that the median lies between the r-th smallest and the r-th
// largest of n samples with a probability of at least 95 %; it is 0 if there is none. That the
// median is below the r-th smallest is as probable as less than r heads in n tosses of a coin.
func rank(n int) int {
	ln := func(k int) float64 { v, _ := math.Lgamma(float64(k + 1)); return v } // of k!
	below := 0.0
	for r := range n {
		below += math.Exp(ln(n) - ln(r) - ln(n-r) - float64(n)*math.Ln2)
		if below > 0.025 {
			return r
		}
	}
	return 0
}
