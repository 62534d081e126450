package report

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"firebench/compare/samples"
	"firebench/kernels"
)

// sparseTable shows the candidates for layers with weights of zero, by the share of weights that are kept:
// those that multiply by all weights beside those that skip zeros, how good auto's pick is, and up to which
// density skipping pays: the break-even.
var sparseTable = tableKind{"sparse", func(b *builder) *table {
	columns := [][]column[sparseRow]{
		{
			{key: "net", value: func(r sparseRow) any { return r.part.Net.Name }},
			{key: "layer", head: "layer", left: true, value: func(r sparseRow) any { return r.part.Name }},
			{key: "op", value: func(r sparseRow) any { return r.part.Op }},
		},
		configColumns(func(r sparseRow) samples.Config { return r.config }),
		{
			{key: "pattern", value: func(r sparseRow) any { return r.config.Zeros.Pattern }},
			{key: "density", head: "density", value: func(r sparseRow) any { return number(r.config.Zeros.Density) }, show: shortest},
		},
	}
	for _, algo := range kernels.Algorithms() {
		columns = append(columns, []column[sparseRow]{{key: algo + "_ms", head: algo, value: func(r sparseRow) any { return r.ms[algo] }, show: digits4}})
	}
	columns = append(columns,
		[]column[sparseRow]{
			{key: "pick", value: func(r sparseRow) any { return r.pick }},
			{head: "pick", left: true, value: func(r sparseRow) any { return cmp.Or(r.pick, unknown) }},
			{key: "regret_pct", head: "regret %", value: func(r sparseRow) any { return r.regretPct }, show: percent},
		},
		estimateColumns("over_dense", "× dense", func(r sparseRow) *estimate { return r.overDense }),
		[]column[sparseRow]{
			{key: "break_even", value: func(r sparseRow) any { return r.breakEven.density }},
			{head: "break-even", left: true, value: func(r sparseRow) any { return r.breakEven.text }},
		},
	)
	title := func(r sparseRow) string { return r.part.Net.Name + ", " + r.title }
	t := newTable("Candidates for layers with weights of zero", b.sparse(), title, columns...)
	t.explainColumns(
		explanation{"density", "density is the share of the weights that are kept: vector, those of an input for 32 output channels at once, or unstructured, each on its " +
			"own. The columns of algorithms are milliseconds per image, the medians of the samples; " + skippers() + " skip zeros."},
		explainRegret,
		explanation{"× dense", "× dense is the time of the fastest algorithm that multiplies by all weights over that of the fastest that skips zeros, the median " +
			"of the ratios within the samples."},
		explainInterval,
		explanation{"break-even", "break-even is the density up to which skipping zeros pays: at which × dense becomes 1. Between the two measured densities around " +
			"it, 1 over × dense is taken to grow evenly, as time does with the weights that are kept; < and > say that it lies beyond all of them."})
	return t
}}

// skippers names the algorithms that skip zeros.
func skippers() string {
	names := slices.DeleteFunc(kernels.Algorithms(), func(algo string) bool { return !kernels.SkipsZeros(algo) })
	return strings.Join(names, " and ")
}

// A sparseRow is a layer that was timed with a share of its weights zero.
type sparseRow struct {
	part      *samples.Part
	config    samples.Config
	title     string             // the config and the pattern, in words
	ms        map[string]*number // medians, by algorithm
	pick      string             // of auto; empty if it is not known
	regretPct *number            // how much slower the pick is than the fastest
	overDense *estimate
	breakEven breakEven // in the first row of a layer
}

// sparse returns the rows of all layers, those of a layer one below the other by their density.
func (b *builder) sparse() []sparseRow {
	densities := make(map[samples.Config][]float64) // by the config without them
	for key := range b.Cells {
		c := key.With("").WithZeros(samples.Zeros{Pattern: key.Zeros.Pattern})
		if d := key.Zeros.Density; key.Zeros != (samples.Zeros{}) && !slices.Contains(densities[c], d) {
			densities[c] = append(densities[c], d)
		}
	}
	var rows []sparseRow
	for _, c := range slices.SortedFunc(maps.Keys(densities), samples.Config.Compare) {
		slices.Sort(densities[c])
		for _, net := range b.Networks {
			rows = append(rows, b.sparseOf(net, c, densities[c])...)
		}
	}
	return rows
}

// sparseOf returns the rows of a network. c has the pattern of zeros alone, densities are in order.
func (b *builder) sparseOf(net *samples.Network, c samples.Config, densities []float64) []sparseRow {
	var rows []sparseRow
	var unclear []string
	title := b.title(c) + ", " + c.Zeros.Pattern
	for _, p := range net.Layers {
		first, known := len(rows), true
		for _, d := range densities {
			c := c.WithZeros(samples.Zeros{Pattern: c.Zeros.Pattern, Density: d})
			if algos := b.Algos(p, c); len(algos) > 0 {
				row := b.sparseRow(p, c, title, algos)
				rows, known = append(rows, row), known && row.pick != ""
			}
		}
		if !known {
			unclear = append(unclear, p.Name)
		}
		if first < len(rows) {
			rows[first].breakEven = findBreakEven(rows[first:])
		}
	}
	if len(unclear) > 0 {
		b.noteUnclear(title, net, unclear)
	}
	return rows
}

// sparseRow returns the row of a layer that was measured with these algorithms.
func (b *builder) sparseRow(p *samples.Part, c samples.Config, title string, algos []string) sparseRow {
	row := sparseRow{part: p, config: c, title: title, ms: make(map[string]*number)}
	best := number(math.Inf(1))
	var fastest [2]string // that multiplies by all weights, and that skips zeros
	for _, algo := range algos {
		ms := b.timing(p, c.With(algo)).ms.median
		side := &fastest[0]
		if kernels.SkipsZeros(algo) {
			side = &fastest[1]
		}
		if *side == "" || ms < *row.ms[*side] {
			*side = algo
		}
		row.ms[algo], best = &ms, min(best, ms)
	}
	if fastest[0] != "" && fastest[1] != "" {
		row.overDense = b.over(p, c.With(fastest[0]), c.With(fastest[1]))
	}
	if pick, known := b.picked(p, c); known {
		row.pick, row.regretPct = pick, regret(*row.ms[pick], best)
	}
	return row
}

// A breakEven is the density up to which skipping zeros pays.
type breakEven struct {
	density *number // nil if it is not between two measured ones
	text    string
}

// findBreakEven returns where overDense of the rows, those of one layer in the order of densities, becomes 1
// for the first time. Between two rows its inverse is interpolated linearly: the time of what skips zeros
// grows with the weights that are kept, and that of the others stays.
func findBreakEven(rows []sparseRow) breakEven {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r sparseRow) bool { return r.overDense == nil })
	if len(rows) == 0 {
		return breakEven{text: unknown}
	}
	at := func(i int) (density, time float64) { // in times of the fastest that does not skip zeros
		return rows[i].config.Zeros.Density, 1 / float64(rows[i].overDense.median)
	}
	end := slices.IndexFunc(rows, func(r sparseRow) bool { return r.overDense.median <= 1 })
	switch end {
	case 0:
		density, _ := at(0)
		return breakEven{text: "<" + shortest(density)}
	case -1:
		density, _ := at(len(rows) - 1)
		return breakEven{text: ">" + shortest(density)}
	}
	d0, t0 := at(end - 1)
	d1, t1 := at(end)
	density := d0 + (1-t0)/(t1-t0)*(d1-d0)
	return breakEven{known(density), fixed(density, 2)}
}
