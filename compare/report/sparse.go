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
// density skipping pays.
var sparseTable = tableKind{"sparse", func(b *builder) *table {
	columns := [][]column[sparseRow]{
		{{key: "net", value: func(r sparseRow) any { return r.part.Net.Name }}},
		partColumns(func(r sparseRow) *samples.Part { return r.part }),
		configColumns(func(r sparseRow) samples.Config { return r.config }),
		{
			{key: "pattern", head: "zeros", left: true, value: func(r sparseRow) any { return r.config.Zeros.Pattern }},
			{key: "density", head: "density", value: func(r sparseRow) any { return number(r.config.Zeros.Density) }, show: shortest},
		},
	}
	for _, algo := range kernels.Algorithms() {
		columns = append(columns, []column[sparseRow]{{key: algo + "_ms", head: algo + " ms", value: func(r sparseRow) any { return r.ms[algo] }, show: digits4}})
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
		explanation{"density", "density is the share of the weights that are kept, unstructured each on its own, or vector those of an input for 32 output channels at " +
			"once. The columns of algorithms are milliseconds per image, the medians of the samples; " + skippers() + " skip zeros."},
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
	title     string             // the config, in words
	ms        map[string]*number // medians, by algorithm
	pick      string             // of auto; empty if it is not known
	regretPct *number            // how much slower the pick is than the fastest
	overDense *estimate
	breakEven breakEven // in the first row of a layer and pattern
}

// sparse returns the rows of all layers, those of a pattern one below the other by their density.
func (b *builder) sparse() []sparseRow {
	zeros := make(map[samples.Config][]samples.Zeros) // by the config without them
	for key := range b.Cells {
		if c := key.With("").WithZeros(samples.Zeros{}); key.Zeros != c.Zeros && !slices.Contains(zeros[c], key.Zeros) {
			zeros[c] = append(zeros[c], key.Zeros)
		}
	}
	var rows []sparseRow
	for _, c := range slices.SortedFunc(maps.Keys(zeros), samples.Config.Compare) {
		for _, net := range b.Networks {
			var unclear []string
			for _, p := range net.Layers {
				layer := b.sparseOf(p, c, slices.SortedFunc(slices.Values(zeros[c]), samples.Zeros.Compare))
				if slices.ContainsFunc(layer, func(r sparseRow) bool { return r.pick == "" }) {
					unclear = append(unclear, p.Name)
				}
				rows = append(rows, layer...)
			}
			if len(unclear) > 0 {
				b.noteUnclear(b.title(c)+", with zeros", net, unclear)
			}
		}
	}
	return rows
}

// sparseOf returns the rows of a layer. zeros are in order.
func (b *builder) sparseOf(p *samples.Part, c samples.Config, zeros []samples.Zeros) []sparseRow {
	var rows []sparseRow
	first := 0 // of the pattern
	for _, z := range zeros {
		algos := b.Algos(p, c.WithZeros(z))
		if len(algos) == 0 {
			continue
		}
		if len(rows) > 0 && rows[first].config.Zeros.Pattern != z.Pattern {
			rows[first].breakEven = findBreakEven(rows[first:])
			first = len(rows)
		}
		rows = append(rows, b.sparseRow(p, c.WithZeros(z), algos))
	}
	if len(rows) > 0 {
		rows[first].breakEven = findBreakEven(rows[first:])
	}
	return rows
}

// sparseRow returns the row of a layer that was measured with these algorithms.
func (b *builder) sparseRow(p *samples.Part, c samples.Config, algos []string) sparseRow {
	row := sparseRow{part: p, config: c, title: b.title(c), ms: make(map[string]*number)}
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

// findBreakEven returns where overDense of the rows, one pattern of one layer in the order of densities,
// becomes 1 for the first time. Between two rows its inverse is interpolated linearly: the time of what skips
// zeros grows with the weights that are kept, and that of the others stays.
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
