package report

import (
	"testing"
)

func TestNumbers(t *testing.T) {
	for _, test := range []struct {
		show func(float64) string
		v    float64
		want string
	}{
		{digits4, 12345.6, "12346"},
		{digits4, 1234.5, "1234"},
		{digits4, 123.45, "123.5"},
		{digits4, 12.345, "12.35"},
		{digits4, 1, "1.000"},
		{digits4, 0.01234, "0.01234"},
		{digits4, 1e-12, "0.00000000"},
		{digits3, 62.978, "63.0"},
		{digits3, 0.0961, "0.0961"},
		{percent, 92.44, "92.4"},
		{scaled, 0, "-"},
		{scaled, 832667936, "832.7M"},
		{pvalue, 0.0002, "<0.001"},
		{pvalue, 0.0021645, "0.002"},
	} {
		if got := test.show(test.v); got != test.want {
			t.Errorf("%v: got %s, want %s", test.v, got, test.want)
		}
	}
	for _, test := range []struct {
		e    *estimate
		want string
	}{
		{nil, "-"},
		{&estimate{median: 5}, "-"},
		{&estimate{median: 5, n: 2}, "-"},
		{&estimate{median: 5, n: 6, lo: known(4.5), hi: known(12)}, "4.500–12.000"},
	} {
		if got := interval(test.e); got != test.want {
			t.Errorf("%+v: got %s, want %s", test.e, got, test.want)
		}
	}
}
