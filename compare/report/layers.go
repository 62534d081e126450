package report

import (
	"cmp"
	"slices"

	"firebench/compare/samples"
	"firebench/kernels"
)

// layersTable shows the layers of the networks side by side, those with outputs of one
// size together, for the best instruction set of the files, as auto runs them: with the
// algorithm that the benchmarks mark as its pick.
var layersTable = tableKind{"layers", func(b *builder) *table {
	rows := b.layers()
	of := func(r layerRow) *timing { return r.timing }
	lead := []column[layerRow]{
		{key: "h", value: func(r layerRow) any { return r.part.Out.H }},
		{key: "w", value: func(r layerRow) any { return r.part.Out.W }},
		{key: "net", value: func(r layerRow) any { return r.part.Net.Name }},
	}
	if len(b.pair) == 2 {
		lead = append(lead, column[layerRow]{head: "net", left: true,
			value: func(r layerRow) any { return letters[slices.Index(b.pair, r.part.Net)] }})
	}
	title := func(r layerRow) string { return size(r.part.Out.H, r.part.Out.W) + " outputs, " + r.title }
	t := newTable("Layers of "+b.lettered()+" by output size", rows, title,
		lead,
		partColumns(func(r layerRow) *samples.Part { return r.part }),
		configColumns(func(r layerRow) samples.Config { return r.config }, "type"),
		[]column[layerRow]{
			{key: "algo", value: func(r layerRow) any { return r.algo() }},
			{head: "algo", left: true, value: func(r layerRow) any { return cmp.Or(r.algo(), unknown) }},
		},
		[]column[layerRow]{{key: "macs", value: func(r layerRow) any { return r.part.Cost.MACs }}},
		estimateColumns("ms", "ms", func(r layerRow) *estimate { return &r.ms }),
		speedColumns(of),
		busyColumn(of),
		[]column[layerRow]{
			{key: "ops_per_byte", value: func(r layerRow) any { return r.opsPerByte }},
			{key: "gbs", head: "GB/s", value: func(r layerRow) any { return r.gbs }, show: digits4},
			{key: "net_pct", head: "% net", value: func(r layerRow) any { return r.netPct }, show: percent},
		},
	)
	t.explainColumns(explainMs, explainInterval, explainGOPS, explainPeak, explainBusy,
		explanation{"GB/s", "GB/s count the least traffic there is: input, weights and output once."},
		explainNet)
	return t
}}

// A layerRow is one measured layer.
type layerRow struct {
	part   *samples.Part
	config samples.Config
	title  string // the configs of its group, in words
	*timing
	opsPerByte, gbs, netPct *number
}

// algo returns the layer's algorithm, empty for layers that have none: only convolutions and
// dense layers, which multiply, do. The names of the others' benchmarks have one all the same.
func (r layerRow) algo() string {
	if r.part.Cost.MACs == 0 {
		return ""
	}
	return r.config.Algo
}

// partColumns shows a layer.
func partColumns[Row any](of func(Row) *samples.Part) []column[Row] {
	return []column[Row]{
		{key: "layer", head: "layer", left: true, value: func(r Row) any { return of(r).Name }},
		{key: "op", head: "op", left: true, value: func(r Row) any { return of(r).Op }},
	}
}

// busyColumn shows how busy the multiply-add units are.
func busyColumn[Row any](of func(Row) *timing) []column[Row] {
	return []column[Row]{{key: "busy_pct", head: "% busy", value: func(r Row) any { return of(r).busyPct }, show: percent}}
}

func (b *builder) layers() []layerRow {
	var rows []layerRow
	configs := b.best(samples.Layer, b.pair...)
	if len(configs) == 0 {
		b.note("no BenchmarkLayer of %s", b.either())
	}
	for _, configs := range together(configs) { // the types of a layer one below the other
		measured := func(p *samples.Part, c samples.Config) bool { return len(b.Algos(p, c)) > 0 }
		title := b.titleOf(configs)
		var parts []*samples.Part
		nets := make(map[[2]int]map[*samples.Network]bool) // by output size
		for _, net := range b.pair {
			for _, p := range net.Layers {
				if !slices.ContainsFunc(configs, func(c samples.Config) bool { return measured(p, c) }) {
					continue
				}
				parts = append(parts, p)
				hw := [2]int{p.Out.H, p.Out.W}
				if nets[hw] == nil {
					nets[hw] = make(map[*samples.Network]bool)
				}
				nets[hw][net] = true
			}
		}
		slices.SortStableFunc(parts, func(p, q *samples.Part) int {
			return cmp.Or(cmp.Compare(q.Out.H*q.Out.W, p.Out.H*p.Out.W), cmp.Compare(q.Out.H, p.Out.H))
		})
		for _, p := range parts {
			for _, net := range b.pair {
				if !nets[[2]int{p.Out.H, p.Out.W}][net] {
					b.note("layers with %s outputs cannot be paired: no such layer of %s was measured",
						size(p.Out.H, p.Out.W), net.Name)
				}
			}
			for _, c := range configs {
				if measured(p, c) {
					rows = append(rows, b.layer(p, c, title))
				}
			}
		}
	}
	return rows
}

// layer returns the row of one measured layer, with the algorithm that auto picks or, if that is not
// known, the preferred one. title are the configs of the group, in words.
func (b *builder) layer(p *samples.Part, c samples.Config, title string) layerRow {
	algo, picked := b.picked(p, c)
	if !picked {
		algo = b.Algos(p, c)[0]
	}
	c.Algo = algo
	row := layerRow{part: p, config: c, title: title, timing: b.timing(p, c)}
	cost := p.CostOf(c.Type)
	bytes := float64(cost.Activations) + float64(cost.Weights)/float64(c.Batch) // weights are read once
	if bytes > 0 {
		row.gbs = known(bytes / 1e6 / float64(row.ms.median))
		if p.Cost.MACs > 0 {
			row.opsPerByte = known(2 * float64(p.Cost.MACs) / bytes)
		}
	}
	net := b.timing(p.Net.Whole, c)
	if picked { // as auto runs it
		net = cmp.Or(b.timing(p.Net.Whole, c.With(kernels.Auto)), net)
	}
	if net != nil {
		row.netPct = known(float64(100 * row.ms.median / net.ms.median))
	}
	return row
}

// picked returns the algorithm that auto picks for a layer, everything else being as in c: the one that is
// marked so, or the only one unless it is marked otherwise. It is not known when none or several are.
func (b *builder) picked(p *samples.Part, c samples.Config) (algo string, known bool) {
	algos := b.Algos(p, c)
	for _, a := range algos {
		cell := b.Cells[samples.Key{Part: p, Config: c.With(a)}]
		if cell.Picked() || len(algos) == 1 && !cell.Marked() {
			if known {
				return "", false
			}
			algo, known = a, true
		}
	}
	return algo, known
}
