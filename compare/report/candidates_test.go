package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firebench/compare/samples"
)

func TestCandidates(t *testing.T) {
	const (
		conv1  = "net=squeezenet1.1/layer=conv1"
		expand = "net=squeezenet1.1/layer=fire2.expand3x3"
		conv3  = "net=alexnet/layer=conv3"
	)
	r := rowsOf(t, marked(expand, "winograd", 0, 8, 8.1, 7.9)+marked(expand, "direct", 1, 10, 9, 11)+
		marked(conv1, "direct", 0, 4)+marked(conv1, "winograd", 1, 2)+marked(conv1, "other", 0, 3)+
		marked(conv3, "direct", 1, 1)+marked(conv3, "winograd", 0, 1)+
		marked("net=alexnet/layer=conv4", "direct", 1, 50)+ // no other candidate
		strings.ReplaceAll(marked(conv3, "direct", 0, 7)+marked(conv3, "winograd", 1, 5), "avx2", "scalar-2"))
	var got []string
	for _, c := range r.candidates {
		s := fmt.Sprint(c.part.Net.Name, ", ", c.title, ": ", c.part.Name, " ", c.part.Op, " ", c.config.Algo, " ", c.ms.median)
		if c.picked {
			s += " picked"
		}
		if c.regretPct != nil {
			s += " regret " + percent(float64(*c.regretPct))
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
	sum := r.candidates[5]
	n := network(t, "squeezenet1.1")
	macs := n.Find(samples.Layer, "conv1").Cost.MACs + n.Find(samples.Layer, "fire2.expand3x3").Cost.MACs
	if near(t, "GOP/s", *sum.gops, 2*float64(macs)/12e-3/1e9); sum.ms.lo != nil || sum.ms.n != 0 {
		t.Errorf("an interval of a sum: %+v", sum.ms)
	}
	if hasNote(r, "the pick") != 0 || hasNote(r, "more than one algorithm") != 0 {
		t.Errorf("notes %q", r.notes)
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
		r := rowsOf(t, in, clear)
		if hasNote(r, "avx2, 1 thread: no candidate, or more than one, is marked as the pick of alexnet: layer conv3") != 1 {
			t.Errorf("%s: notes %q", name, r.notes)
		}
		if len(r.candidates) != 4 {
			t.Fatalf("%s: %d rows, want 4", name, len(r.candidates))
		}
		for _, c := range r.candidates {
			if clear := c.part.Name == "conv2" && c.config.Algo == "direct"; c.picked != clear || (c.regretPct != nil) != clear {
				t.Errorf("%s: %s %s: picked %v, regret %v", name, c.part.Name, c.config.Algo, c.picked, c.regretPct)
			}
		}
		if l := r.layers[len(r.layers)-1]; l.part.Name != "conv3" || l.config.Algo != "direct" {
			t.Errorf("%s: layer %s with %s, want conv3 with direct", name, l.part.Name, l.config.Algo)
		}
	}

	// Lines without a mark do not contradict those with one.
	if r := rowsOf(t, unmarked, marked(conv3, "direct", 0, 1)+marked(conv3, "winograd", 1, 2)); !r.candidates[1].picked {
		t.Errorf("marked and unmarked lines: %+v", r.candidates)
	}

	// Two versions of the rule in one report are doubted once for each algorithm.
	both := marked(conv3, "direct", 0, 1, 1) + marked(conv3, "winograd", 1, 1, 1) + marked(conv3, "direct", 1, 1, 1) + marked(conv3, "winograd", 0, 1, 1)
	d, stderr := load(t, false, []byte(header+both))
	if want := "0.txt:9: 1 pick, but other samples have 0: another version of the rule?\n" +
		"0.txt:11: 0 pick, but other samples have 1: another version of the rule?\n"; stderr != want {
		t.Errorf("stderr %q, want %q", stderr, want)
	}
	b := newBuilder(d, nil)
	rows := b.candidates()
	if len(rows) != 2 || rows[0].picked || rows[1].picked || !strings.Contains(strings.Join(b.notes, "\n"), "the pick of alexnet: layer conv3") {
		t.Errorf("two versions: %+v, notes %q", rows, b.notes)
	}
}

// TestBusyPct: % busy is the median of fma-%, for layers and for candidates.
func TestBusyPct(t *testing.T) {
	const line = "BenchmarkLayer/net=alexnet/layer=conv3/op=conv3x3/algo=%s/isa=avx2\t10\t2000000 ns/op\t%v fma-%%\t%d pick\n"
	in := peaks("isa=avx2", 100)
	for _, pct := range []float64{70, 90, 75, 72, 71} {
		in += fmt.Sprintf(line, "winograd", pct, 1) + fmt.Sprintf(line, "direct", pct+1, 0)
	}
	r := rowsOf(t, in)
	near(t, "layer", *r.layers[0].busyPct, 72)
	near(t, "candidate", *r.candidates[0].busyPct, 73)
	near(t, "candidate", *r.candidates[1].busyPct, 72)
	if r := rowsOf(t, fmt.Sprintf(line, "direct", "NaN", 1)); r.layers[0].busyPct != nil {
		t.Errorf("fma-%% NaN: %v, want none", *r.layers[0].busyPct)
	}
}
