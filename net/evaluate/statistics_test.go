package evaluate

import (
	"math"
	"testing"
	"time"
)

// TestInterval compares with table I, method 3, of Newcombe, Two-sided confidence intervals for the
// single proportion, 1998, and with 0 of 10, where the bound is z²/(10+z²).
func TestInterval(t *testing.T) {
	for _, test := range []struct {
		share  Share
		lo, hi float64
	}{
		{Share{81, 263}, 0.2553, 0.3662},
		{Share{15, 148}, 0.0624, 0.1605},
		{Share{0, 20}, 0, 0.1611},
		{Share{1, 29}, 0.0061, 0.1718},
		{Share{0, 10}, 0, 3.841459 / 13.841459},
		{Share{10, 10}, 10 / 13.841459, 1},
		{Share{0, 0}, 0, 1},
	} {
		lo, hi := test.share.Interval()
		if math.Abs(lo-test.lo) > 5e-5 || math.Abs(hi-test.hi) > 5e-5 {
			t.Errorf("%v has the interval %.4f to %.4f, want %.4f to %.4f", test.share, lo, hi, test.lo, test.hi)
		}
	}
	if !math.IsNaN(Share{}.Value()) || (Share{3, 4}).Value() != 0.75 {
		t.Errorf("values are %g and %g, want NaN and 0.75", Share{}.Value(), Share{3, 4}.Value())
	}
}

// TestRank compares with what tosses of coins say: of 5, none is all heads with 1/32, which is more than
// 2.5 %; of 6 with 1/64; of 10, less than two are heads with 11/1024 and less than three with 56/1024;
// of 100, the interval of the median is from the 40th to the 61st in tables.
func TestRank(t *testing.T) {
	for n, want := range map[int]int{1: 0, 5: 0, 6: 1, 8: 1, 9: 2, 10: 2, 20: 6, 100: 40, 100000: 49690} {
		if got := rank(n); got != want {
			t.Errorf("rank(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestSpeed(t *testing.T) {
	ms := func(times ...float64) (d []time.Duration) {
		for _, t := range times {
			d = append(d, time.Duration(t*float64(time.Millisecond)))
		}
		return d
	}
	for _, test := range []struct {
		times []time.Duration
		want  Speed
	}{
		{ms(100), Speed{10, 0, math.Inf(1)}},
		{ms(100, 50), Speed{15, 0, math.Inf(1)}},
		{ms(100, 1000, 50), Speed{10, 0, math.Inf(1)}},
		{ms(200, 100, 1000, 50, 25, 20), Speed{15, 1, 50}},
		{ms(0), Speed{1e9, 0, math.Inf(1)}},
	} {
		if got := newSpeed(test.times); got != test.want {
			t.Errorf("%v make %v, want %v", test.times, got, test.want)
		}
	}
}
