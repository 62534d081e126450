package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// bench lines with these times in milliseconds.
func lines(name string, ms ...float64) string {
	var b strings.Builder
	for _, v := range ms {
		fmt.Fprintf(&b, "Benchmark%s\t10\t%.0f ns/op\n", name, 1e6*v)
	}
	return b.String()
}

func peaks(name string, rates ...float64) string {
	var b strings.Builder
	for _, v := range rates {
		fmt.Fprintf(&b, "BenchmarkPeak/op=fma/%s\t10\t1000 ns/op\t%v GFLOP/s\n", name, v)
	}
	return b.String()
}

func tablesOf(t *testing.T, texts ...string) *report {
	t.Helper()
	var files [][]byte
	for _, text := range texts {
		files = append(files, []byte(header+text))
	}
	d, stderr := load(t, false, files...)
	if stderr != "" {
		t.Fatalf("stderr %q", stderr)
	}
	return d.report(net(t, "squeezenet1.0"), net(t, "alexnet"), tableNames)
}

func hasNote(r *report, substring string) int {
	n := 0
	for _, note := range r.Notes {
		n += strings.Count(note, substring)
	}
	return n
}

func TestStatistics(t *testing.T) {
	const stage27 = "Stage/net=%s/stage=27/isa=avx2"
	a, b := fmt.Sprintf(stage27, "squeezenet1.0"), fmt.Sprintf(stage27, "alexnet")

	// Six against six without overlap: 2 of the 12!/(6!·6!) orders are as extreme.
	r := tablesOf(t, lines(a, 6, 1, 5, 2, 4, 3)+lines(b, 17, 18, 19, 20, 21, 22))
	row := r.Stages[0]
	near(t, "p", *row.P, 2.0/924)
	near(t, "ratio", *row.Ratio, 3.5/19.5)
	near(t, "median", row.A.Time.Ms.Median, 3.5)
	near(t, "low", *row.A.Time.Ms.Lo, 1) // the whole range: 96.9% of six
	near(t, "high", *row.A.Time.Ms.Hi, 6)
	if row.A.Time.Ms.N != 6 {
		t.Errorf("n = %d, want 6", row.A.Time.Ms.N)
	}
	near(t, "GFLOP/s", *row.B.Time.GFLOPS, 2*float64(net(t, "alexnet").find(stagePart, "27").cost.MACs)/19.5e-3/1e9)

	// Ten: the second and the ninth, 97.9%.
	r = tablesOf(t, lines(a, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1))
	near(t, "low of ten", *r.Stages[0].A.Time.Ms.Lo, 2)
	near(t, "high of ten", *r.Stages[0].A.Time.Ms.Hi, 9)

	// Too few: no interval, no significance, and benchmath says so once.
	r = tablesOf(t, lines(a, 1, 2)+lines(b, 3, 4)+lines("Net/net=alexnet/isa=avx2", 5, 6))
	row = r.Stages[0]
	if row.A.Time.Ms.Lo != nil || row.A.Time.Ms.Hi != nil {
		t.Errorf("an interval of two samples: %+v", row.A.Time.Ms)
	}
	near(t, "p of two", *row.P, 1.0/3)
	for _, want := range []string{"samples for confidence interval at level 0.95", "samples to detect a difference at alpha level 0.05"} {
		if n := hasNote(r, want); n != 1 {
			t.Errorf("%d notes %q, want 1: %q", n, want, r.Notes)
		}
	}

	r = tablesOf(t, lines(a, 1, 1, 1, 1, 1, 1)+lines(b, 1, 1, 1, 1, 1, 1))
	if near(t, "p of equals", *r.Stages[0].P, 1); hasNote(r, "all samples are equal") != 1 {
		t.Errorf("notes %q", r.Notes)
	}
}

// TestPeakPct: % of peak is the median of what the benchmarks themselves measured
// beside each time; BenchmarkPeak, taken at another moment, has no say.
func TestPeakPct(t *testing.T) {
	const line = "BenchmarkNet/net=alexnet/isa=avx2\t10\t20000000 ns/op\t%v peak-%%\n"
	in := peaks("isa=avx2", 100)
	for _, pct := range []float64{70, 90, 75, 72, 71} {
		in += fmt.Sprintf(line, pct)
	}
	n := tablesOf(t, in).Networks[0]
	near(t, "GFLOP/s", *n.GFLOPS, 2*float64(n.MACs)/20e-3/1e9)
	near(t, "% of peak", *n.PeakPct, 72)

	for _, bad := range []string{"0", "-1", "NaN", "+Inf"} {
		if n := tablesOf(t, fmt.Sprintf(line, bad)).Networks[0]; n.PeakPct != nil {
			t.Errorf("peak-%% %s: percentage of the peak is %v, want none", bad, *n.PeakPct)
		}
	}
}

func TestOverScalar(t *testing.T) {
	name := func(algo, isa string) string {
		return "Net/net=squeezenet1.0/algo=" + algo + "/isa=" + isa
	}
	r := tablesOf(t, lines(name("direct", "scalar"), 100)+lines(name("direct", "scalar-2"), 60)+
		lines(name("direct", "avx2"), 10)+lines(name("winograd", "avx2"), 5)+lines(name("direct", "avx2-2"), 6)+
		lines(name("direct", "avx2-4"), 4))
	got := make(map[string]string)
	for _, n := range r.Networks {
		got[n.title] = "-"
		if n.OverScalar != nil {
			got[n.title] = n.OverScalar.String()
		}
	}
	want := map[string]string{
		"avx2, 1 thread, direct":    "10",
		"avx2, 1 thread, winograd":  "20",
		"avx2, 2 threads, direct":   "10",
		"avx2, 4 threads, direct":   "-", // no scalar time at four threads
		"scalar, 1 thread, direct":  "1",
		"scalar, 2 threads, direct": "1",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	// The best ISA first, then fewer threads first.
	var order []string
	for _, n := range r.Networks {
		order = append(order, n.title)
	}
	if order[0] != "avx2, 1 thread, direct" || order[len(order)-1] != "scalar, 2 threads, direct" {
		t.Errorf("order %q", order)
	}
}

func TestBatch(t *testing.T) {
	r := tablesOf(t, lines("Net/net=squeezenet1.0/batch=8/isa=avx2", 80)+lines("Layer/net=squeezenet1.0/layer=conv10/batch=8/isa=avx2", 8)+
		lines("Net/net=squeezenet1.0/isa=avx2", 10)+lines("Layer/net=squeezenet1.0/layer=conv10/isa=avx2", 1))
	if len(r.Networks) != 2 || len(r.Layers) != 2 {
		t.Fatalf("%d networks, %d layers, want 2 and 2", len(r.Networks), len(r.Layers))
	}
	for i, batch := range []int{1, 8} {
		n, l := r.Networks[i], r.Layers[i]
		if n.Batch != batch || l.Batch != batch {
			t.Errorf("batches %d and %d, want %d", n.Batch, l.Batch, batch)
		}
		near(t, "ms per image", n.Ms.Median, 10)
		near(t, "images/s", n.ImagesPerSec, 100)
		near(t, "GFLOP/s", *n.GFLOPS, 2*float64(n.MACs)/10e-3/1e9)
		near(t, "share", *l.NetPct, 10)
	}
	// A batch reads the weights once.
	if *r.Layers[1].FLOPB <= *r.Layers[0].FLOPB {
		t.Errorf("FLOP/B %v at batch 8, %v at batch 1", *r.Layers[1].FLOPB, *r.Layers[0].FLOPB)
	}
}

func TestUnpaired(t *testing.T) {
	all := ""
	for _, s := range net(t, "squeezenet1.0").stages {
		all += lines("Stage/net=squeezenet1.0/stage="+s.name+"/isa=avx2", 2)
	}
	all += lines("Stage/net=alexnet/stage=27/isa=avx2", 4) + lines("Stage/net=alexnet/stage=27/isa=scalar", 40)
	r := tablesOf(t, all)
	for _, want := range []string{
		"stage 6 cannot be paired: only alexnet has it",
		"stage stem is paired by its place, not its size: 111×111 in squeezenet1.0, 55×55 in alexnet",
		"avx2, 1 thread: not measured of alexnet: stage stem, 55, 13, 6, head",
		"no BenchmarkLayer of squeezenet1.0 or alexnet",
	} {
		if hasNote(r, want) != 1 {
			t.Errorf("no note %q in %q", want, r.Notes)
		}
	}
	var names []string
	for _, row := range r.Stages {
		names = append(names, row.Stage)
		if row.ISA != "avx2" {
			t.Errorf("stage %s of %s, which is not the best", row.Stage, row.ISA)
		}
		if paired := row.Ratio != nil; paired != (row.Stage == "27") {
			t.Errorf("stage %s: paired %v", row.Stage, paired)
		}
	}
	if want := []string{"stem", "55", "27", "13", "head", "sum"}; !slices.Equal(names, want) {
		t.Errorf("stages %q, want %q", names, want)
	}
	sum := r.Stages[len(r.Stages)-1]
	if near(t, "sum", sum.A.Time.Ms.Median, 10); sum.B.Time != nil {
		t.Errorf("a sum of some of alexnet's stages: %+v", sum.B.Time)
	}

	r = tablesOf(t, lines("Net/net=squeezenet1.1/isa=avx2", 3))
	if hasNote(r, "no BenchmarkStage of squeezenet1.0 or alexnet") != 1 || len(r.Networks) != 1 {
		t.Errorf("notes %q", r.Notes)
	}
}

func TestLayersByOutput(t *testing.T) {
	layer := func(net, layer string) string {
		return lines("Layer/net="+net+"/layer="+layer+"/op=any/isa=avx2", 1)
	}
	r := tablesOf(t, layer("alexnet", "conv3")+layer("alexnet", "conv1")+layer("squeezenet1.0", "conv10")+
		layer("squeezenet1.0", "fire9.expand3x3")+layer("squeezenet1.0", "conv1")+layer("squeezenet1.1", "conv1")+layer("alexnet", "fc6"))
	var got []string
	for _, l := range r.Layers {
		got = append(got, fmt.Sprint(l.H, " ", l.Net, " ", l.Layer, " ", l.Op))
	}
	want := []string{
		"111 squeezenet1.0 conv1 conv7x7",
		"55 alexnet conv1 conv11x11",
		"13 squeezenet1.0 fire9.expand3x3 conv3x3",
		"13 squeezenet1.0 conv10 conv1x1",
		"13 alexnet conv3 conv3x3",
		"1 alexnet fc6 dense",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if hasNote(r, "cannot be paired: no such layer of alexnet was measured") != 1 || hasNote(r, "no such layer of squeezenet1.0") != 2 {
		t.Errorf("notes %q", r.Notes)
	}
}

// The facts come from the models and are those of the papers.
func TestFacts(t *testing.T) {
	for _, test := range []struct {
		net    string
		params int64
		macs   float64 // millions
		stages string
	}{
		{"squeezenet1.0", 1248424, 832.7, "stem 55 27 13 head"},
		{"alexnet", 60965224, 724.4, "stem 55 27 13 6 head"},
	} {
		n := net(t, test.net)
		var names []string
		var macs int64
		for _, s := range n.stages {
			names = append(names, s.name)
			macs += s.cost.MACs
		}
		if got := strings.Join(names, " "); got != test.stages {
			t.Errorf("%s: stages %s, want %s", n.name, got, test.stages)
		}
		if n.whole.cost.Params != test.params || percent(float64(n.whole.cost.MACs)/1e6) != percent(test.macs) || macs != n.whole.cost.MACs {
			t.Errorf("%s: %+v, want %d parameters and %.1fM multiply-adds", n.name, n.whole.cost, test.params, test.macs)
		}
	}
}

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
		{&estimate{Median: 5}, "-"},
		{&estimate{Median: 5, N: 2}, "∞"},
		{&estimate{Median: 5, N: 6, Lo: known(4.5), Hi: known(12)}, "4.500–12.000"},
	} {
		if got := interval(test.e); got != test.want {
			t.Errorf("%+v: got %s, want %s", test.e, got, test.want)
		}
	}
}

func TestMarkdownEscapes(t *testing.T) {
	r := tablesOf(t, good)
	r.Machine[0].Config["cpu"] = "A|B <script> *_"
	var b strings.Builder
	if err := formats["md"](&b, r); err != nil {
		t.Fatal(err)
	}
	if want := `A\|B &lt;script> \*\_`; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, b.String())
	}
}
