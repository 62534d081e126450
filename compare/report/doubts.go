package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"firebench/compare/samples"
)

// steady is the share of the faster samples of a peak that the slower ones reach at
// least on a machine that does nothing else: the lower quartile over the upper.
const steady = 0.9

// quiet is how many cores other processes may take: as many as command bench/run lets pass
// without a warning.
const quiet = 0.25

// noteDoubts notes what makes all figures of a run doubtful: signs of other programs
// beside the benchmarks, and versions of the code that may differ.
func (b *builder) noteDoubts() {
	for i, run := range b.Runs {
		name := ""
		if len(b.Runs) > 1 {
			name = fmt.Sprintf("run %d: ", i+1)
		}
		if cores, err := strconv.Atoi(run.Facts["cores"]); err == nil && run.Load.Threads > float64(cores) {
			b.note("%sthe machine was busy: before sample %s the load was %v on %s, more than the benchmarks alone can make",
				name, run.Load.Sample, run.Load.Threads, samples.Plural(cores, "core"))
		}
		if run.Others.Cores > quiet {
			b.note("%sthe machine was busy: during sample %s other processes took %.2f cores", name, run.Others.Sample, run.Others.Cores)
		}
		for _, peak := range peakRates {
			if spread := b.spread(i, peak.rate); len(spread) > 0 {
				b.note("%sthe machine was not steady: between samples, the middle half of the measured %s spreads over %s %s",
					name, peak.name, strings.Join(spread, ", "), peak.unit)
			}
		}
		if slower := b.slower(i); len(slower) > 0 {
			b.note("%smore threads were slower than fewer, as on a busy machine: %s", name, strings.Join(slower, ", "))
		}
		if n := len(run.Recordings); n > 1 && (run.Commit == "" || strings.HasSuffix(run.Commit, "-dirty")) {
			b.note("%s%d recordings are taken for one version of the code, which their commit, %q, does not tell", name, n, run.Commit)
		}
	}
}

// peakRates are the rates of multiply-adds.
var peakRates = []struct{ rate, name, unit string }{
	{samples.FMA, "FMA peak", "GFLOP/s"},
	{samples.MAC, "int8 peak", "GOP/s"},
}

// spread lists the peaks of a run and a kind that vary.
func (b *builder) spread(run int, rate string) []string {
	var list []string
	for _, k := range b.keys(func(k samples.Key) bool { return k.Run == run && k.Rate == rate }) {
		values := slices.Sorted(slices.Values(b.Cells[k].Values))
		low, high := values[len(values)/4], values[3*len(values)/4]
		if low < steady*high {
			list = append(list, fmt.Sprintf("%s–%s (%v)", digits4(low), digits4(high), k.Config))
		}
	}
	return list
}

// peakName names the peak that k is; empty: none.
func peakName(k samples.Key) string {
	for _, p := range peakRates {
		if p.rate == k.Rate {
			return p.name
		}
	}
	return ""
}

// slower lists the networks and peaks of a run that were slower with more threads than with one.
func (b *builder) slower(run int) []string {
	var list []string
	for _, k := range b.keys(func(k samples.Key) bool {
		return k.Run == run && k.Threads > 1 && (peakName(k) != "" || k.Part != nil && k.Part.Kind == samples.Net)
	}) {
		one := k
		one.Threads = 1
		if b.Cells[one] == nil {
			continue
		}
		few, many := samples.Median(b.Cells[one].Values), samples.Median(b.Cells[k].Values)
		switch {
		case k.Part == nil && many < few:
			list = append(list, fmt.Sprintf("%s (%v)", peakName(k), k.Config))
		case k.Part != nil && many > few:
			list = append(list, fmt.Sprintf("%s (%s)", k.Part.Net.Name, withAlgo(k.Config.String(), k.Algo)))
		}
	}
	return list
}

// keys returns the keys of all cells that a function accepts, in the order of the tables.
func (b *builder) keys(accept func(samples.Key) bool) []samples.Key {
	var keys []samples.Key
	for k := range b.Cells {
		if accept(k) {
			keys = append(keys, k)
		}
	}
	place := func(k samples.Key) int {
		return slices.IndexFunc(b.Networks, func(n *samples.Network) bool { return k.Part != nil && n == k.Part.Net })
	}
	slices.SortFunc(keys, func(x, y samples.Key) int {
		if c := x.Config.Compare(y.Config); c != 0 {
			return c
		}
		if c := place(x) - place(y); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(x.Rate, y.Rate), samples.CompareAlgos(x.Algo, y.Algo))
	})
	return keys
}
