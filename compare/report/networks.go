package report

import (
	"cmp"
	"fmt"
	"slices"

	"firebench/compare/samples"
)

// networksTable shows all networks as wholes, with every algorithm.
var networksTable = tableKind{"networks", func(b *builder) *table {
	rows := b.networks()
	timing := func(r networkRow) *timing { return r.timing }
	ms := func(r networkRow) *estimate { return &r.ms }
	t := newTable("Networks", rows, func(r networkRow) string { return r.title },
		[]column[networkRow]{{key: "net", head: "network", left: true, value: func(r networkRow) any { return r.net.Name }}},
		configColumns(func(r networkRow) samples.Config { return r.config }, "isa", "type"),
		algoColumn(func(r networkRow) string { return r.config.Algo }),
		[]column[networkRow]{
			{key: "params", value: func(r networkRow) any { return r.net.Whole.Cost.Params }},
			{key: "mb", value: func(r networkRow) any { return number(megabytes(r.net)) }},
			{key: "macs", value: func(r networkRow) any { return r.net.Whole.Cost.MACs }},
		},
		estimateColumns("ms", "ms/image", ms),
		speedColumns(timing),
		[]column[networkRow]{
			{key: "images_per_sec", head: "images/s", value: func(r networkRow) any { return r.imagesPerSec() }, show: digits4},
			{key: "over_scalar", head: "× scalar", value: func(r networkRow) any { return r.overScalar }, show: digits3},
		},
		// There is no room for another interval; the table of types has it.
		slices.DeleteFunc(estimateColumns("over_f32", "× f32", func(r networkRow) *estimate { return r.overF32 }),
			func(c column[networkRow]) bool { return c.key == "" }),
		samplesColumn(ms),
	)
	for _, net := range b.Networks {
		if slices.ContainsFunc(rows, func(r networkRow) bool { return r.net == net }) {
			cost := net.Whole.Cost
			t.intro = append(t.intro, fmt.Sprintf("%s: %s parameters, %s MB, %s multiply-adds", net.Name,
				scaled(float64(cost.Params)), digits3(megabytes(net)), scaled(float64(cost.MACs))))
		}
	}
	t.explainColumns(explanation{"ms/image", "ms/image are milliseconds, the median of the samples."}, explainInterval, explainSamples,
		explainGOPS, explainPeak,
		explanation{"× scalar", "× scalar is the time of the portable Go kernels for one image in float32, with the direct algorithm on as many threads, over this time."},
		explainOverF32,
		explanation{"", "MB are float32 weights, in 10⁶ bytes."})
	return t
}}

// A networkRow is a network that was measured with a config.
type networkRow struct {
	net    *samples.Network
	config samples.Config
	title  string // threads and batch, in words
	*timing
	overScalar *number
	overF32    *estimate // int8 only
}

func (r networkRow) imagesPerSec() number { return 1e3 / r.ms.median }

func (b *builder) networks() []networkRow {
	var rows []networkRow
	for _, c := range b.configs(samples.Net, b.Networks...) {
		for _, net := range b.Networks {
			for _, algo := range b.Algos(net.Whole, c) {
				rows = append(rows, b.network(net, c.With(algo)))
			}
		}
	}
	// The types of a network stand side by side.
	slices.SortStableFunc(rows, func(x, y networkRow) int {
		return cmp.Or(
			cmp.Compare(x.config.Run, y.config.Run),
			cmp.Compare(x.config.Threads, y.config.Threads),
			cmp.Compare(x.config.Batch, y.config.Batch),
			cmp.Compare(y.config.ISA.Float32(), x.config.ISA.Float32()),
			cmp.Compare(slices.Index(b.Networks, x.net), slices.Index(b.Networks, y.net)),
		)
	})
	return rows
}

// network returns the row of a network that was measured with c.
func (b *builder) network(net *samples.Network, c samples.Config) networkRow {
	row := networkRow{net: net, config: c, title: b.inRun(c, c.Size()), timing: b.timing(net.Whole, c)}
	if base := b.timing(net.Whole, c.Scalar()); base != nil {
		row.overScalar = known(float64(base.ms.median / row.ms.median))
	}
	if c.Type == samples.Int8 {
		row.overF32 = b.over(net.Whole, c.Float32(), c)
	}
	return row
}

// megabytes returns the size of the float32 weights, also of networks that were measured in int8 alone.
func megabytes(net *samples.Network) float64 { return 4 * float64(net.Whole.Cost.Params) / 1e6 }
