package report

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"firebench/compare/samples"

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
	gflops  *number // nil without multiply-adds
	peakPct *number // median of the benchmark's own, measured beside each time; nil without
	fmaPct  *number // the same of the multiply-adds that were executed; nil without
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

// timing summarizes the times of a part, nil when it was not measured.
func (b *builder) timing(p *samples.Part, c samples.Config) *timing {
	cell := b.Cells[samples.Key{Part: p, Config: c}]
	if cell == nil {
		return nil
	}
	t := derive(b.estimate(b.sample(p, c)), p.Cost.MACs)
	if t.gflops != nil && len(cell.OwnPeak) > 0 {
		t.peakPct = known(samples.Median(cell.OwnPeak))
	}
	if t.gflops != nil && len(cell.FMAPct) > 0 {
		t.fmaPct = known(samples.Median(cell.FMAPct))
	}
	return t
}

// derive adds the speed to a time.
func derive(ms estimate, macs int64) *timing {
	t := &timing{ms: ms}
	if macs > 0 {
		t.gflops = known(samples.GFLOPS(macs, float64(ms.median)/1e3))
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
// each for all its algorithms.
func (b *builder) configs(k samples.Kind, of ...*samples.Network) []samples.Config {
	set := make(map[samples.Config]bool)
	for key := range b.Cells {
		if key.Part != nil && key.Part.Kind == k && slices.Contains(of, key.Part.Net) {
			set[key.With("")] = true
		}
	}
	return slices.SortedFunc(maps.Keys(set), samples.Config.Compare)
}

// best is configs with the best ISA of each run only.
func (b *builder) best(k samples.Kind, of ...*samples.Network) []samples.Config {
	var best []samples.Config
	for _, c := range b.configs(k, of...) { // best ISA first
		if n := len(best); n == 0 || best[n-1].Run != c.Run || best[n-1].ISA == c.ISA {
			best = append(best, c)
		}
	}
	return best
}

// title names a config, without its algorithm.
func (b *builder) title(c samples.Config) string {
	if len(b.Runs) > 1 {
		return fmt.Sprintf("run %d, %v", c.Run+1, c)
	}
	return c.String()
}

// withAlgo adds an algorithm to a title.
func withAlgo(title, algo string) string {
	if algo == "" {
		return title
	}
	return title + ", " + algo
}
