package report

import (
	"fmt"
	"strconv"

	"golang.org/x/perf/benchunit"
)

// A number is a float64 of the report. CSV and JSON have six digits of it: more than any
// timing has, and few enough to hide how a processor rounds.
type number float64

// known returns a number that is known.
func known(v float64) *number {
	n := number(v)
	return &n
}

// String returns n with six digits.
func (n number) String() string { return strconv.FormatFloat(float64(n), 'g', 6, 64) }

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) { return []byte(n.String()), nil }

// plain prints a value for CSV.
func plain(v any) string {
	if p, ok := v.(*number); ok {
		if p == nil {
			return ""
		}
		return p.String()
	}
	return fmt.Sprint(v)
}

// unknown is how people read that there is no value.
const unknown = "-"

// pretty prints a value for people, numbers by show.
func pretty(v any, show func(float64) string) string {
	switch v := v.(type) {
	case *number:
		if v == nil {
			return unknown
		}
		return show(float64(*v))
	case number:
		return show(float64(v))
	case int64:
		return show(float64(v))
	}
	return fmt.Sprint(v)
}

// These are ways to show a number.

func digits3(v float64) string  { return fixed(v, decimals(v, 3)) }
func digits4(v float64) string  { return fixed(v, decimals(v, 4)) }
func shortest(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
func percent(v float64) string  { return fixed(v, 1) }

func scaled(v float64) string {
	if v == 0 {
		return unknown // a layer without multiply-adds
	}
	return benchunit.Scale(v, benchunit.Decimal)
}

func pvalue(v float64) string {
	if v < 0.001 {
		return "<0.001"
	}
	return fixed(v, 3)
}

func fixed(v float64, decimals int) string { return strconv.FormatFloat(v, 'f', decimals, 64) }

// decimals returns how many decimals show a positive v with that many digits, with a limit.
func decimals(v float64, digits int) int {
	n := digits - 1
	for ; n > 0 && v >= 10; n-- {
		v /= 10
	}
	for ; n < 8 && v < 1; n++ {
		v *= 10
	}
	return n
}

// interval shows the interval of e, with as many decimals as its median.
func interval(e *estimate) string {
	if e == nil || e.lo == nil {
		return unknown
	}
	n := decimals(float64(e.median), 4)
	return fixed(float64(*e.lo), n) + "–" + fixed(float64(*e.hi), n)
}

// size shows the size of an image.
func size(h, w int) string { return fmt.Sprintf("%d×%d", h, w) }
