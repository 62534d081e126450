package compression

import (
	"os"
	"testing"

	"firebench/kernels"
	"firebench/net/evaluate"
	"firebench/net/graph"
)

// TestSharedAccuracy shares the published weights within budgets, calibrated with every second photograph, and counts how
// often the network agrees with the original on the others and on those of the folder images.
func TestSharedAccuracy(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it runs the network thousands of times")
	}
	best, err := kernels.Best()
	if err != nil {
		t.Fatal(err)
	}
	if best == kernels.Scalar || os.Getenv("FIREBENCH_ISA") != "" {
		t.Skip("it runs the network thousands of times, and all instruction sets give almost the same bits")
	}
	m, w := published(t)
	adapted, err := w.Adapt(m)
	if err != nil {
		t.Fatal(err)
	}
	m = adapted
	all, _ := photographs(t, m, "calibration")
	others, _ := photographs(t, m, "images")
	if len(all) != 199 || len(others) != 16 {
		t.Fatalf("%d and %d photographs", len(all), len(others))
	}
	var calibrate, test []kernels.View
	for i, v := range all {
		if i%2 == 0 {
			calibrate = append(calibrate, v)
		} else {
			test = append(test, v)
		}
	}
	test = append(test, others...)
	cases := []struct {
		bytes int
		floor float64 // of the share of the test photographs
	}{{470_000, 0.94}, {400_000, 0.93}}
	direct := graph.Options{Algo: kernels.Algorithms()[0]} // the same bits on every machine
	plans := []*graph.Plan{compile(t, m, w, direct)}
	for _, c := range cases {
		m, shared, err := Share(ShareOptions{Bytes: c.bytes, Images: each(calibrate...)}).Apply(m, w)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(fbw(t, m, shared)); n > c.bytes || n < c.bytes*99/100 {
			t.Errorf("%d bytes, expected at most %d, and hardly less", n, c.bytes)
		}
		plans = append(plans, compile(t, m, shared, direct))
	}
	e, err := evaluate.New(plans...)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range test {
		if err := e.Add(v, evaluate.Unknown); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range cases {
		agreement := e.Scores()[i+1].Agreement
		t.Logf("%d bytes: agreement %d of %d", c.bytes, agreement.Count, agreement.Total)
		if agreement.Value() < c.floor {
			t.Errorf("%d bytes: agreement %.3f, want at least %.2f", c.bytes, agreement.Value(), c.floor)
		}
	}
}
