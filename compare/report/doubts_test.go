package report

import (
	"fmt"
	"strings"
	"testing"
)

// loads is how bench/run notes it at the start of each sample.
func loads(averages ...float64) string {
	var b strings.Builder
	for i, v := range averages {
		fmt.Fprintf(&b, "# sample %d, load %v 0.5 0.5\n%s", i+1, v, good)
	}
	return b.String()
}

// others is how bench/run notes at the end of each sample what other processes took.
func others(cores ...string) string {
	var b strings.Builder
	for i, v := range cores {
		fmt.Fprintf(&b, "%s# after sample %d, load 0.76 0.51 1.81, other processes took %s of 2 cores\n", good, i+1, v)
	}
	return b.String()
}

// Signs of a busy machine are noted, and a quiet one is not.
func TestBusy(t *testing.T) {
	net := func(threads string, ms float64) string {
		return lines("Net/net=squeezenet1.0/algo=direct/isa=avx2"+threads, ms)
	}
	steadyPeaks := peaks("isa=avx2", 100, 99, 101, 100, 91) + peaks("isa=avx2-2", 200, 199, 198, 201)
	for name, test := range map[string]struct{ in, want string }{
		"quiet":        {loads(0.5, 1.9, 2) + steadyPeaks + net("", 10) + net("-2", 5) + net("-4", 6), ""},
		"no load":      {good, ""},
		"load":         {loads(0.5, 3.2, 2.5), "the machine was busy: before sample 2 the load was 3.2 on 2 cores"},
		"others":       {others("0.25", "1.40", "0.30"), "the machine was busy: during sample 2 other processes took 1.40 cores"},
		"no others":    {others("0.25", "NaN", "-1", "1e9", "x", ""), ""},
		"slower":       {net("", 10) + net("-2", 11), "more threads were slower than fewer, as on a busy machine: squeezenet1.0 (avx2, 2 threads, direct)"},
		"slower peak":  {peaks("isa=avx2", 100) + peaks("isa=avx2-2", 90), "as on a busy machine: FMA peak (avx2, 2 threads)"},
		"another algo": {net("", 10) + lines("Net/net=squeezenet1.0/algo=auto/isa=avx2-2", 11), ""},
		"int8 slower":  {quantized(peaks("isa=avx2", 100) + peaks("isa=avx2-2", 90)), "as on a busy machine: int8 peak (avx2, 2 threads)"},
		"int8 spread":  {quantized(peaks("isa=avx2", 100, 50, 100, 60, 99, 98)), "the middle half of the measured int8 peak spreads over 60.00–100.0 (avx2, 1 thread) GOP/s"},
		"spread":       {peaks("isa=avx2", 100, 50, 100, 60, 99, 98), "the middle half of the measured FMA peak spreads over 60.00–100.0 (avx2, 1 thread) GFLOP/s"},
	} {
		var got []string
		for _, n := range rowsOf(t, test.in).notes {
			if strings.Contains(n, "machine") {
				got = append(got, n)
			}
		}
		if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
			t.Errorf("%s: notes %q, want %q", name, got, test.want)
		}
	}

	// Notes name the run they belong to.
	d, _ := load(t, true, []byte(header+loads(0.5)), []byte(strings.Replace(header, "cores: 2", "cores: 1", 1)+loads(1.5)))
	if got := strings.Join(build(d, Options{}).notes, "\n"); !strings.Contains(got, "run 2: the machine was busy: before sample 1 the load was 1.5 on 1 core,") || strings.Contains(got, "run 1: ") {
		t.Errorf("two machines: notes %q", got)
	}
}
