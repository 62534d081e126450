package report

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"firebench/compare/samples"
	"firebench/kernels"

	"golang.org/x/perf/benchmath"
)

// confidence is the level of all intervals.
const confidence = 0.95

// An estimate is a median with its 95% interval, whose bounds are nil when there are too few samples.
type estimate struct {
	median number
	lo, hi *number
	n      int // samples; 0 for a sum
}

// A timing is how long a part takes, per image, and what follows from that.
type timing struct {
	ms      estimate
	gops    *number // nil without multiply-adds
	peakPct *number // median of the benchmark's own, measured beside each time; nil without
	busyPct *number // the same of the multiply-adds that were executed; nil without
}

// newSample returns values, each times scale, as benchmath wants them.
func newSample(values []float64, scale float64) *benchmath.Sample {
	scaled := make([]float64, len(values))
	for i, v := range values {
		scaled[i] = v * scale
	}
	return benchmath.NewSample(scaled, &benchmath.DefaultThresholds)
}

func (b *builder) estimate(s *benchmath.Sample) estimate {
	sum := benchmath.AssumeNothing.Summary(s, confidence)
	b.warn(sum.Warnings)
	e := estimate{median: number(sum.Center), n: len(s.Values)}
	if !math.IsInf(sum.Lo, 0) && !math.IsInf(sum.Hi, 0) {
		e.lo, e.hi = known(sum.Lo), known(sum.Hi)
	}
	return e
}

// warn notes what benchmath has to say: that there are too few samples for an interval or a test.
func (b *builder) warn(warnings []error) {
	for _, w := range warnings {
		b.note("%v", w)
	}
}

// sample returns the times of a part in milliseconds per image, nil when it was not measured.
func (b *builder) sample(p *samples.Part, c samples.Config) *benchmath.Sample {
	cell := b.Cells[samples.Key{Part: p, Config: c}]
	if cell == nil {
		return nil
	}
	return newSample(cell.Values, 1e3/float64(c.Batch))
}

// over returns how many times as long a part took with base as with c: the median of the ratios within
// the samples, which have been taken side by side. It is nil when one of them was not measured.
func (b *builder) over(p *samples.Part, base, c samples.Config) *estimate {
	x, y := b.Cells[samples.Key{Part: p, Config: base}], b.Cells[samples.Key{Part: p, Config: c}]
	if x == nil || y == nil {
		return nil
	}
	ratios := make([]float64, min(len(x.Values), len(y.Values)))
	for i := range ratios {
		ratios[i] = x.Values[i] / y.Values[i]
	}
	e := b.estimate(newSample(ratios, 1))
	return &e
}

// timing summarizes the times of a part, nil when it was not measured.
func (b *builder) timing(p *samples.Part, c samples.Config) *timing {
	cell := b.Cells[samples.Key{Part: p, Config: c}]
	if cell == nil {
		return nil
	}
	t := derive(b.estimate(b.sample(p, c)), p.Cost.MACs)
	if t.gops != nil && len(cell.OwnPeak) > 0 {
		t.peakPct = known(samples.Median(cell.OwnPeak))
	}
	if t.gops != nil && len(cell.BusyPct) > 0 {
		t.busyPct = known(samples.Median(cell.BusyPct))
	}
	return t
}

// derive adds the speed to a time.
func derive(ms estimate, macs int64) *timing {
	t := &timing{ms: ms}
	if macs > 0 {
		t.gops = known(samples.GOPS(macs, float64(ms.median)/1e3))
	}
	return t
}

// total returns the sum of times, which has no interval, as the time of macs multiply-adds.
func total(times []*timing, macs int64) *timing {
	var ms, pct number
	for _, t := range times {
		ms += t.ms.median
		if t.peakPct != nil {
			pct += t.ms.median * *t.peakPct
		}
	}
	sum := derive(estimate{median: ms}, macs)
	if pct > 0 {
		sum.peakPct = known(float64(pct / ms))
	}
	return sum
}

// configs returns the configs that these networks' parts of a kind were measured with, in order,
// each for all its algorithms. Those with zeros and those of training are not among them.
func (b *builder) configs(k samples.Kind, of ...*samples.Network) []samples.Config {
	set := make(map[samples.Config]bool)
	for key := range b.Cells {
		if key.Part != nil && key.Part.Kind == k && key.Zeros == (samples.Zeros{}) && key.Pass == "" && slices.Contains(of, key.Part.Net) {
			set[key.With("")] = true
		}
	}
	return slices.SortedFunc(maps.Keys(set), samples.Config.Compare)
}

// best is configs with the best ISA of each run and type only.
func (b *builder) best(k samples.Kind, of ...*samples.Network) []samples.Config {
	type choice struct {
		run int
		typ string
	}
	best := make(map[choice]kernels.ISA)
	configs := b.configs(k, of...)
	for _, c := range configs {
		best[choice{c.Run, c.Type}] = max(best[choice{c.Run, c.Type}], c.ISA)
	}
	return slices.DeleteFunc(configs, func(c samples.Config) bool { return c.ISA != best[choice{c.Run, c.Type}] })
}

// together divides configs, in order, into those that differ in their type at most, and in the ISA that
// is the best for it.
func together(configs []samples.Config) [][]samples.Config {
	var lists [][]samples.Config
	for _, c := range configs {
		same := func(list []samples.Config) bool {
			d := list[0]
			return c.Run == d.Run && c.Threads == d.Threads && c.Batch == d.Batch
		}
		if i := slices.IndexFunc(lists, same); i >= 0 {
			lists[i] = append(lists[i], c)
		} else {
			lists = append(lists, []samples.Config{c})
		}
	}
	return lists
}

// title names a config, without its algorithm.
func (b *builder) title(c samples.Config) string { return b.inRun(c, c.String()) }

// inRun adds the run of a config to a title where there are several.
func (b *builder) inRun(c samples.Config, title string) string {
	if len(b.Runs) > 1 {
		return fmt.Sprintf("run %d, %s", c.Run+1, title)
	}
	return title
}

// titleOf names configs that are together: "avx512, 1 thread" or, where another ISA is the best for
// int8, "avx512 (int8: avx512-vnni), 1 thread".
func (b *builder) titleOf(configs []samples.Config) string {
	first := configs[0]
	if len(configs) == 1 {
		return b.title(first)
	}
	isas := first.ISA.String()
	for _, c := range configs[1:] {
		if c.ISA != first.ISA {
			isas += fmt.Sprintf(" (%s: %v)", c.Type, c.ISA)
		}
	}
	return b.inRun(first, isas+", "+first.Size())
}

// withAlgo adds an algorithm to a title.
func withAlgo(title, algo string) string {
	if algo == "" {
		return title
	}
	return title + ", " + algo
}
