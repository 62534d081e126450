package report

import (
	"cmp"

	"firebench/compare/samples"
	"firebench/kernels"
)

// typesTable sets float32 and int8 side by side, layer by layer, for the best instruction set of the
// files, as auto runs them, and says which share of a run multiplies nothing.
var typesTable = tableKind{"types", func(b *builder) *table {
	columns := [][]column[typeRow]{
		{
			{key: "net", value: func(r typeRow) any { return r.net.Name }},
			{key: "layer", head: "layer", left: true, value: func(r typeRow) any { return r.layer }},
			{key: "op", head: "op", left: true, value: func(r typeRow) any { return r.op }},
		},
		configColumns(func(r typeRow) samples.Config { return r.config }),
	}
	for i, typ := range samples.Types() {
		columns = append(columns, typeColumns(typ, func(r typeRow) typeSide { return r.sides[i] }))
	}
	columns = append(columns, estimateColumns("over_f32", "× f32", func(r typeRow) *estimate { return r.overF32 }))
	t := newTable("Layers in float32 and int8", b.types(), func(r typeRow) string { return r.title }, columns...)
	t.explainColumns(
		explanation{"f32 ms", "f32 ms and int8 ms are milliseconds per image, the median of the samples."},
		explainPeak,
		explainNet,
		explanation{"f32 ms", "The sums are those of the layers above them: of all convolutions and dense layers, and of all others."},
		explainOverF32, explainInterval)
	return t
}}

// A typeRow compares the types of a layer. The layer "sum" stands for several, "net" for the network.
type typeRow struct {
	net       *samples.Network
	layer, op string
	config    samples.Config // of int8
	title     string         // the network and the configs, in words
	sides     [2]typeSide    // by samples.Types
	overF32   *estimate
}

// A typeSide is one type's part of a typeRow.
type typeSide struct {
	algo   string
	time   *timing // nil when it was not measured
	netPct *number
}

// typeColumns shows one side of the types.
func typeColumns(typ string, of func(typeRow) typeSide) []column[typeRow] {
	part := func(f func(*timing) *number) func(typeRow) any {
		return func(r typeRow) any {
			if t := of(r).time; t != nil {
				return f(t)
			}
			return (*number)(nil)
		}
	}
	columns := []column[typeRow]{
		{key: typ + "_algo", value: func(r typeRow) any { return of(r).algo }},
		{head: typ + " algo", left: true, value: func(r typeRow) any { return cmp.Or(of(r).algo, unknown) }},
		{key: typ + "_ms", head: typ + " ms", value: part(func(t *timing) *number { return &t.ms.median }), show: digits4},
		{key: typ + "_peak_pct", head: "% peak", value: part(func(t *timing) *number { return t.peakPct }), show: percent},
		{key: typ + "_busy_pct", value: part(func(t *timing) *number { return t.busyPct })},
		{key: typ + "_net_pct", head: "% net", value: func(r typeRow) any { return of(r).netPct }, show: percent},
	}
	if typ == samples.F32 {
		columns[3].head = "" // there is no room; the table of layers has it
	}
	return columns
}

func (b *builder) types() []typeRow {
	var rows []typeRow
	for _, c := range b.best(samples.Layer, b.Networks...) {
		if c.Type != samples.Int8 {
			continue // it stands beside int8
		}
		for _, net := range b.Networks {
			rows = append(rows, b.typesOf(net, c)...)
		}
	}
	return rows
}

// typesOf returns the rows of the layers of net, of their sums and of the network as a whole. c is the
// config of int8.
func (b *builder) typesOf(net *samples.Network, c samples.Config) []typeRow {
	configs := [2]samples.Config{c.Float32(), c}
	title := net.Name + ", " + b.titleOf(configs[:])
	row := func(layer, op string) typeRow {
		return typeRow{net: net, layer: layer, op: op, config: c, title: title}
	}
	var rows []typeRow
	multiplying, others := typeSum{op: "conv, dense"}, typeSum{op: "others"}
	for _, p := range net.Layers {
		r, picks := row(p.Name, p.Op), configs
		for i, c := range configs {
			if len(b.Algos(p, c)) == 0 {
				continue
			}
			l := b.layer(p, c, title)
			r.sides[i], picks[i] = typeSide{l.algo(), l.timing, l.netPct}, l.config
			sum := &others
			if p.Cost.MACs > 0 {
				sum = &multiplying
			}
			sum.times[i] = append(sum.times[i], l.timing)
			sum.macs[i] += p.Cost.MACs
		}
		if r.measured() {
			r.overF32 = b.over(p, picks[0], picks[1])
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	whole := row("net", "")
	for i, c := range configs {
		whole.sides[i] = typeSide{algo: kernels.Auto, time: b.timing(net.Whole, c.With(kernels.Auto))}
	}
	whole.overF32 = b.over(net.Whole, configs[0].With(kernels.Auto), c.With(kernels.Auto))
	for _, sum := range []typeSum{multiplying, others} {
		r := row("sum", sum.op)
		for i, times := range sum.times {
			if len(times) == 0 {
				continue
			}
			t := total(times, sum.macs[i])
			r.sides[i].time = t
			if w := whole.sides[i].time; w != nil {
				r.sides[i].netPct = known(float64(100 * t.ms.median / w.ms.median))
			}
		}
		if x, y := r.sides[0].time, r.sides[1].time; x != nil && y != nil {
			r.overF32 = &estimate{median: x.ms.median / y.ms.median}
		}
		if r.measured() {
			rows = append(rows, r)
		}
	}
	if whole.measured() {
		rows = append(rows, whole)
	}
	return rows
}

// A typeSum adds up layers.
type typeSum struct {
	op    string
	times [2][]*timing // by samples.Types
	macs  [2]int64
}

// measured reports whether any side has a time.
func (r typeRow) measured() bool { return r.sides[0].time != nil || r.sides[1].time != nil }
