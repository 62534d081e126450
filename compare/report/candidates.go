package report

import (
	"math"
	"strings"

	"firebench/compare/samples"
	"firebench/kernels"
)

// candidatesTable shows all layers that were timed with several algorithms, of every
// network and instruction set, and how good auto's pick is.
var candidatesTable = tableKind{"candidates", func(b *builder) *table {
	rows := b.candidates()
	of := func(r candidateRow) *timing { return r.timing }
	title := func(r candidateRow) string { return r.part.Net.Name + ", " + r.title }
	t := newTable("Candidates for each layer", rows, title,
		[]column[candidateRow]{{key: "net", value: func(r candidateRow) any { return r.part.Net.Name }}},
		partColumns(func(r candidateRow) *samples.Part { return r.part }),
		configColumns(func(r candidateRow) samples.Config { return r.config }),
		algoColumn(func(r candidateRow) string { return r.config.Algo }),
		estimateColumns("ms", "ms", func(r candidateRow) *estimate { return &r.ms }),
		speedColumns(of),
		busyColumn(of),
		[]column[candidateRow]{
			{head: "pick", left: true, value: func(r candidateRow) any {
				if r.picked {
					return "✓"
				}
				return ""
			}},
			{key: "picked", value: func(r candidateRow) any { return r.picked }},
			{key: "regret_pct", head: "regret %", value: func(r candidateRow) any { return r.regretPct }, show: percent},
		},
	)
	t.explainColumns(explainMs, explainInterval, explainGOPS, explainPeak, explainBusy,
		explainRegret)
	return t
}}

// A candidateRow is one of several algorithms that a layer was timed with. The layer "sum" stands for
// all of a network that have several, each with its pick.
type candidateRow struct {
	part   *samples.Part
	config samples.Config
	title  string // the config, in words
	*timing
	picked    bool    // by auto
	regretPct *number // of the pick and the sum: how much slower than the fastest
}

func (b *builder) candidates() []candidateRow {
	var rows []candidateRow
	for _, c := range b.configs(samples.Layer, b.Networks...) {
		for _, net := range b.Networks {
			rows = append(rows, b.candidatesOf(net, c)...)
		}
	}
	if len(rows) == 0 {
		b.note("no BenchmarkLayer with more than one algorithm")
	}
	return rows
}

// candidatesOf returns the rows of the layers of net with more than one algorithm, and their sum.
func (b *builder) candidatesOf(net *samples.Network, c samples.Config) []candidateRow {
	var (
		rows    []candidateRow
		picks   []*timing
		fastest number // sum of medians
		macs    int64
		unclear []string
	)
	for _, p := range net.Layers {
		algos := b.Algos(p, c)
		if len(algos) < 2 {
			continue
		}
		times := make([]*timing, len(algos))
		best := number(math.Inf(1))
		for i, algo := range algos {
			times[i] = b.timing(p, c.With(algo))
			best = min(best, times[i].ms.median)
		}
		pick, known := b.picked(p, c)
		for i, algo := range algos {
			row := candidateRow{
				part: p, config: c.With(algo), title: b.title(c),
				timing: times[i],
				picked: known && algo == pick,
			}
			if row.picked {
				row.regretPct = regret(row.ms.median, best)
				picks = append(picks, times[i])
			}
			rows = append(rows, row)
		}
		if !known {
			unclear = append(unclear, p.Name)
		}
		fastest += best
		macs += p.Cost.MACs
	}
	switch {
	case len(unclear) > 0:
		b.noteUnclear(b.title(c), net, unclear)
	case len(picks) > 0:
		sum := total(picks, macs)
		rows = append(rows, candidateRow{
			part:      &samples.Part{Net: net, Name: "sum"},
			config:    c.With(kernels.Auto),
			title:     b.title(c),
			timing:    sum,
			regretPct: regret(sum.ms.median, fastest),
		})
	}
	return rows
}

// noteUnclear notes the layers of a network whose pick is not known; title are their configs, in words.
func (b *builder) noteUnclear(title string, net *samples.Network, layers []string) {
	b.note("%s: no candidate, or more than one, is marked as the pick of %s: layer %s", title, net.Name, strings.Join(layers, ", "))
}

// regret returns by how many percent pick is slower than fastest.
func regret(pick, fastest number) *number { return known(float64(100 * (pick/fastest - 1))) }
