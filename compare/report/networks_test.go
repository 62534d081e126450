package report

import (
	"fmt"
	"testing"
)

// TestPeakPct: % of peak is the median of what the benchmarks themselves measured
// beside each time; BenchmarkPeak, taken at another moment, has no say.
func TestPeakPct(t *testing.T) {
	const line = "BenchmarkNet/net=alexnet/isa=avx2\t10\t20000000 ns/op\t%v peak-%%\n"
	in := peaks("isa=avx2", 100)
	for _, pct := range []float64{70, 90, 75, 72, 71} {
		in += fmt.Sprintf(line, pct)
	}
	n := rowsOf(t, in).networks[0]
	near(t, "GOP/s", *n.gops, 2*float64(n.net.Whole.Cost.MACs)/20e-3/1e9)
	near(t, "% of peak", *n.peakPct, 72)

	for _, bad := range []string{"0", "-1", "NaN", "+Inf"} {
		if n := rowsOf(t, fmt.Sprintf(line, bad)).networks[0]; n.peakPct != nil {
			t.Errorf("peak-%% %s: percentage of the peak is %v, want none", bad, *n.peakPct)
		}
	}
}

// TestOverScalar: the times are compared with one image on the scalar kernels with the direct
// algorithm, on as many threads, and with nothing else.
func TestOverScalar(t *testing.T) {
	name := func(algo, isa string) string {
		return "Net/net=squeezenet1.0/algo=" + algo + "/isa=" + isa
	}
	r := rowsOf(t, lines(name("direct", "scalar"), 100)+lines(name("direct", "scalar-2"), 60)+
		lines(name("direct", "avx2"), 10)+lines(name("winograd", "avx2"), 5)+lines(name("direct", "avx2-2"), 6)+
		lines(name("direct", "avx2-4"), 4)+lines(name("auto", "scalar"), 50)+lines(name("winograd", "scalar"), 50)+
		lines("Net/net=squeezenet1.0/batch=8/algo=auto/isa=avx2", 20))
	got := make(map[string]string)
	var order []string
	for _, n := range r.networks {
		title := n.config.String() + ", " + n.config.Algo
		order = append(order, title)
		got[title] = "-"
		if n.overScalar != nil {
			got[title] = n.overScalar.String()
		}
	}
	want := map[string]string{
		"avx2, 1 thread, direct":   "10",
		"avx2, 1 thread, winograd": "20",
		"avx2, 2 threads, direct":  "10",
		"avx2, 4 threads, direct":  "-", // no scalar time at four threads
		// Whatever else scalar kernels were timed with, they are compared with their direct one.
		"scalar, 1 thread, direct":      "1",
		"scalar, 1 thread, auto":        "2",
		"scalar, 1 thread, winograd":    "2",
		"avx2, 1 thread, batch 8, auto": "40", // one image of eight against one alone
		"scalar, 2 threads, direct":     "1",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	// Fewer threads first, then the best ISA first.
	if order[0] != "avx2, 1 thread, direct" || order[len(order)-2] != "scalar, 2 threads, direct" || order[len(order)-1] != "avx2, 4 threads, direct" {
		t.Errorf("order %q", order)
	}
}

func TestBatch(t *testing.T) {
	r := rowsOf(t, lines("Net/net=squeezenet1.0/batch=8/isa=avx2", 80)+lines("Layer/net=squeezenet1.0/layer=conv10/batch=8/isa=avx2", 8)+
		lines("Net/net=squeezenet1.0/isa=avx2", 10)+lines("Layer/net=squeezenet1.0/layer=conv10/isa=avx2", 1))
	if len(r.networks) != 2 || len(r.layers) != 2 {
		t.Fatalf("%d networks, %d layers, want 2 and 2", len(r.networks), len(r.layers))
	}
	for i, batch := range []int{1, 8} {
		n, l := r.networks[i], r.layers[i]
		if n.config.Batch != batch || l.config.Batch != batch {
			t.Errorf("batches %d and %d, want %d", n.config.Batch, l.config.Batch, batch)
		}
		near(t, "ms per image", n.ms.median, 10)
		near(t, "images/s", n.imagesPerSec(), 100)
		near(t, "GOP/s", *n.gops, 2*float64(n.net.Whole.Cost.MACs)/10e-3/1e9)
		near(t, "share", *l.netPct, 10)
	}
	// People see batches where there are any but 1.
	for i, want := range []string{"1 thread", "1 thread, batch 8"} {
		if got := r.networks[i].title; got != want {
			t.Errorf("title %q, want %q", got, want)
		}
	}
	// A batch reads the weights once.
	if *r.layers[1].opsPerByte <= *r.layers[0].opsPerByte {
		t.Errorf("OP/B %v at batch 8, %v at batch 1", *r.layers[1].opsPerByte, *r.layers[0].opsPerByte)
	}
}
