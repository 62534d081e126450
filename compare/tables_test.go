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
	return pairOf(t, "squeezenet1.0", "alexnet", texts...)
}

// pairOf is tablesOf for other networks.
func pairOf(t *testing.T, a, b string, texts ...string) *report {
	t.Helper()
	var files [][]byte
	for _, text := range texts {
		files = append(files, []byte(header+text))
	}
	d, stderr := load(t, false, files...)
	if stderr != "" {
		t.Fatalf("stderr %q", stderr)
	}
	return d.report(net(t, a), net(t, b), tableNames)
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

// TestFMAPct: % FMA busy is the median of fma-%, for layers and for candidates.
func TestFMAPct(t *testing.T) {
	const line = "BenchmarkLayer/net=alexnet/layer=conv3/op=conv3x3/algo=%s/isa=avx2\t10\t2000000 ns/op\t%v fma-%%\t%d pick\n"
	in := peaks("isa=avx2", 100)
	for _, pct := range []float64{70, 90, 75, 72, 71} {
		in += fmt.Sprintf(line, "winograd", pct, 1) + fmt.Sprintf(line, "direct", pct+1, 0)
	}
	r := tablesOf(t, in)
	near(t, "layer", *r.Layers[0].FMAPct, 72)
	near(t, "candidate", *r.Candidates[0].FMAPct, 73)
	near(t, "candidate", *r.Candidates[1].FMAPct, 72)
	if r := tablesOf(t, fmt.Sprintf(line, "direct", "NaN", 1)); r.Layers[0].FMAPct != nil {
		t.Errorf("fma-%% NaN: %v, want none", *r.Layers[0].FMAPct)
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
	var order []string
	for _, n := range r.Networks {
		title := n.title + ", " + n.Algo
		order = append(order, title)
		got[title] = "-"
		if n.OverScalar != nil {
			got[title] = n.OverScalar.String()
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
	// People see batches where there are any but 1.
	for i, want := range []bool{true, false} {
		if got := slices.Contains(networkTable(r.Networks[:2-i]).head, "batch"); got != want {
			t.Errorf("batches up to %d: a column of them: %v, want %v", r.Networks[1-i].Batch, got, want)
		}
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
	all += lines("Stage/net=alexnet-owt/stage=27/isa=avx2", 4) + lines("Stage/net=alexnet-owt/stage=27/isa=scalar", 40)
	r := pairOf(t, "squeezenet1.0", "alexnet-owt", all)
	for _, want := range []string{
		"stage 55 cannot be paired: only squeezenet1.0 has it",
		"stage stem is paired by its place, not its size: 111×111 in squeezenet1.0, 55×55 in alexnet-owt",
		"avx2, 1 thread: not measured of alexnet-owt: stage stem, 13, head",
		"no BenchmarkLayer of squeezenet1.0 or alexnet-owt",
		"no BenchmarkLayer with more than one algorithm",
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
		t.Errorf("a sum of some of alexnet-owt's stages: %+v", sum.B.Time)
	}
	r = pairOf(t, "alexnet-owt", "squeezenet1.0", all)
	if hasNote(r, "stage 55 cannot be paired: only squeezenet1.0 has it") != 1 || r.Stages[1].Stage != "55" || r.Stages[1].A.Time != nil {
		t.Errorf("the networks exchanged: notes %q, row %+v", r.Notes, r.Stages[1])
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

// marked are lines of a layer with these times in milliseconds, which say whether auto picks the algorithm.
func marked(layer, algo string, pick int, ms ...float64) string {
	in := lines("Layer/"+layer+"/op=any/algo="+algo+"/isa=avx2", ms...)
	return strings.ReplaceAll(in, " ns/op", fmt.Sprintf(" ns/op\t%d pick", pick))
}

func TestCandidates(t *testing.T) {
	const (
		conv1  = "net=squeezenet1.1/layer=conv1"
		expand = "net=squeezenet1.1/layer=fire2.expand3x3"
		conv3  = "net=alexnet/layer=conv3"
	)
	r := tablesOf(t, marked(expand, "winograd", 0, 8, 8.1, 7.9)+marked(expand, "direct", 1, 10, 9, 11)+
		marked(conv1, "direct", 0, 4)+marked(conv1, "winograd", 1, 2)+marked(conv1, "other", 0, 3)+
		marked(conv3, "direct", 1, 1)+marked(conv3, "winograd", 0, 1)+
		marked("net=alexnet/layer=conv4", "direct", 1, 50)+ // no other candidate
		strings.ReplaceAll(marked(conv3, "direct", 0, 7)+marked(conv3, "winograd", 1, 5), "avx2", "scalar-2"))
	var got []string
	for _, c := range r.Candidates {
		s := fmt.Sprint(c.Net, ", ", c.title, ": ", c.Layer, " ", c.Op, " ", c.Algo, " ", c.Ms.Median)
		if c.Picked {
			s += " picked"
		}
		if c.RegretPct != nil {
			s += " regret " + percent(float64(*c.RegretPct))
		}
		got = append(got, s)
	}
	want := []string{
		"squeezenet1.1, avx2, 1 thread: conv1 conv3x3 direct 4",
		"squeezenet1.1, avx2, 1 thread: conv1 conv3x3 other 3",
		"squeezenet1.1, avx2, 1 thread: conv1 conv3x3 winograd 2 picked regret 0.0",
		"squeezenet1.1, avx2, 1 thread: fire2.expand3x3 conv3x3 direct 10 picked regret 25.0",
		"squeezenet1.1, avx2, 1 thread: fire2.expand3x3 conv3x3 winograd 8",
		"squeezenet1.1, avx2, 1 thread: sum  auto 12 regret 20.0",
		"alexnet, avx2, 1 thread: conv3 conv3x3 direct 1 picked regret 0.0",
		"alexnet, avx2, 1 thread: conv3 conv3x3 winograd 1",
		"alexnet, avx2, 1 thread: sum  auto 1 regret 0.0",
		"alexnet, scalar, 2 threads: conv3 conv3x3 direct 7",
		"alexnet, scalar, 2 threads: conv3 conv3x3 winograd 5 picked regret 0.0",
		"alexnet, scalar, 2 threads: sum  auto 5 regret 0.0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	sum := r.Candidates[5]
	n := net(t, "squeezenet1.1")
	macs := n.find(layerPart, "conv1").cost.MACs + n.find(layerPart, "fire2.expand3x3").cost.MACs
	if near(t, "GFLOP/s", *sum.GFLOPS, 2*float64(macs)/12e-3/1e9); sum.Ms.Lo != nil || sum.Ms.N != 0 {
		t.Errorf("an interval of a sum: %+v", sum.Ms)
	}
	if hasNote(r, "the pick") != 0 || hasNote(r, "more than one algorithm") != 0 {
		t.Errorf("notes %q", r.Notes)
	}
}

// Without one clear pick there is neither regret nor sum, but a note.
func TestUnknownPick(t *testing.T) {
	const conv2, conv3 = "net=alexnet/layer=conv2", "net=alexnet/layer=conv3"
	clear := marked(conv2, "direct", 1, 1) + marked(conv2, "winograd", 0, 2)
	unmarked := lines("Layer/"+conv3+"/op=any/algo=direct/isa=avx2", 3) + lines("Layer/"+conv3+"/op=any/algo=winograd/isa=avx2", 3)
	for name, in := range map[string]string{
		"none":     marked(conv3, "direct", 0, 1) + marked(conv3, "winograd", 0, 2),
		"two":      marked(conv3, "direct", 1, 1) + marked(conv3, "winograd", 1, 2),
		"unmarked": unmarked,
	} {
		r := tablesOf(t, in, clear)
		if hasNote(r, "avx2, 1 thread: no candidate, or more than one, is marked as the pick of alexnet: layer conv3") != 1 {
			t.Errorf("%s: notes %q", name, r.Notes)
		}
		if len(r.Candidates) != 4 {
			t.Fatalf("%s: %d rows, want 4", name, len(r.Candidates))
		}
		for _, c := range r.Candidates {
			if clear := c.Layer == "conv2" && c.Algo == "direct"; c.Picked != clear || (c.RegretPct != nil) != clear {
				t.Errorf("%s: %s %s: picked %v, regret %v", name, c.Layer, c.Algo, c.Picked, c.RegretPct)
			}
		}
		if l := r.Layers[len(r.Layers)-1]; l.Layer != "conv3" || l.Algo != "direct" {
			t.Errorf("%s: layer %s with %s, want conv3 with direct", name, l.Layer, l.Algo)
		}
	}

	// Lines without a mark do not contradict those with one.
	if r := tablesOf(t, unmarked, marked(conv3, "direct", 0, 1)+marked(conv3, "winograd", 1, 2)); !r.Candidates[1].Picked {
		t.Errorf("marked and unmarked lines: %+v", r.Candidates)
	}

	// Two versions of the rule in one report are doubted once for each algorithm.
	both := marked(conv3, "direct", 0, 1, 1) + marked(conv3, "winograd", 1, 1, 1) + marked(conv3, "direct", 1, 1, 1) + marked(conv3, "winograd", 0, 1, 1)
	d, stderr := load(t, false, []byte(header+both))
	if want := "0.txt:9: 1 pick, but other samples have 0: another version of the rule?\n" +
		"0.txt:11: 0 pick, but other samples have 1: another version of the rule?\n"; stderr != want {
		t.Errorf("stderr %q, want %q", stderr, want)
	}
	r := d.report(net(t, "squeezenet1.0"), net(t, "alexnet"), []string{"candidates"})
	if len(r.Candidates) != 2 || r.Candidates[0].Picked || r.Candidates[1].Picked || hasNote(r, "the pick of alexnet: layer conv3") != 1 {
		t.Errorf("two versions: %+v, notes %q", r.Candidates, r.Notes)
	}
}

// Networks are shown with every algorithm, stages and layers as auto runs them.
func TestAlgorithms(t *testing.T) {
	timed := func(name, algo string, ms float64) string { return lines(name+"/algo="+algo+"/isa=avx2", ms) }
	in := ""
	for i, algo := range []string{"winograd", "direct", "auto"} {
		in += timed("Net/net=squeezenet1.0", algo, 10*float64(i+1)) + timed("Stage/net=squeezenet1.0/stage=27", algo, float64(i+1))
	}
	for i, algo := range []string{"winograd", "direct"} {
		in += timed("Net/net=alexnet", algo, 40*float64(i+1)) + timed("Stage/net=alexnet/stage=27", algo, float64(i+4))
	}
	in += timed("Stage/net=alexnet/stage=13", "winograd", 9) +
		marked("net=squeezenet1.0/layer=conv1", "direct", 0, 6) + marked("net=squeezenet1.0/layer=conv1", "winograd", 1, 3) +
		marked("net=squeezenet1.0/layer=conv10", "direct", 1, 3) +
		marked("net=squeezenet1.0/layer=fire9.expand3x3", "direct", 0, 2) + // the pick is missing
		lines("Layer/net=squeezenet1.0/layer=pool10/algo=direct/isa=avx2", 1.5) +
		marked("net=alexnet/layer=conv2", "winograd", 1, 10) + marked("net=alexnet/layer=conv2", "direct", 0, 8)
	r := tablesOf(t, in)

	var got []string
	for _, n := range r.Networks {
		got = append(got, fmt.Sprint(n.Net, " ", n.Algo, " ", n.Ms.Median))
	}
	for _, s := range r.Stages {
		for _, side := range []stageSide{s.A, s.B} {
			if side.Time != nil {
				got = append(got, fmt.Sprint(side.Net, " ", s.Stage, " ", side.Algo, " ", side.Time.Ms.Median))
			}
		}
		if want := "avx2, 1 thread, auto (A) and direct (B)"; s.title != want {
			t.Errorf("title %q, want %q", s.title, want)
		}
	}
	for _, l := range r.Layers {
		got = append(got, fmt.Sprint(l.Net, " ", l.Layer, " ", l.Algo, " ", l.Ms.Median, ", ", *l.NetPct, " % of net"))
	}
	want := []string{
		"squeezenet1.0 auto 30",
		"squeezenet1.0 direct 20",
		"squeezenet1.0 winograd 10",
		"alexnet direct 80",
		"alexnet winograd 40",
		"squeezenet1.0 27 auto 3",
		"alexnet 27 direct 5",
		"squeezenet1.0 net auto 30",
		"alexnet net direct 80",
		"squeezenet1.0 conv1 winograd 3, 10 % of net",
		"alexnet conv2 winograd 10, 25 % of net", // auto was not timed
		"squeezenet1.0 fire9.expand3x3 direct 2, 10 % of net",
		"squeezenet1.0 conv10 direct 3, 10 % of net",
		"squeezenet1.0 pool10 direct 1.5, 5 % of net",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, want := range []string{
		"avx2, 1 thread, auto: not measured of squeezenet1.0: stage stem, 55, 13, head",
		"avx2, 1 thread, direct: not measured of alexnet: stage stem, 55, 13, head",
	} {
		if hasNote(r, want) != 1 {
			t.Errorf("no note %q in %q", want, r.Notes)
		}
	}
	for algos, want := range map[[2]string]string{
		{"", ""}: "x", {"auto", "auto"}: "x, auto", {"", "direct"}: "x, direct", {"direct", ""}: "x, direct",
	} {
		if got := withAlgo("x", sideAlgos(algos[0], algos[1])); got != want {
			t.Errorf("%q: %q, want %q", algos, got, want)
		}
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
		{"alexnet", 60965224, 724.4, "stem 55 27 13 head"},
		{"alexnet-owt", 61100840, 714.2, "stem 27 13 head"},
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
