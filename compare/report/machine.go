package report

import (
	"maps"
	"slices"

	"firebench/compare/samples"
)

// machineTable shows what the machine reaches with each instruction set.
var machineTable = tableKind{"machine", func(b *builder) *table {
	var rows []peakRow
	configs := make(map[samples.Config]bool)
	for k := range b.Cells {
		if k.Part == nil {
			configs[k.Config] = true
		}
	}
	for _, c := range slices.SortedFunc(maps.Keys(configs), samples.Config.Compare) {
		rows = append(rows, peakRow{c, b.rate(samples.FMA, c), b.rate(samples.MAC, c), b.rate(samples.Read, c)})
	}
	config := func(r peakRow) samples.Config { return r.Config }
	t := newTable("Machine", rows, noTitle,
		slices.DeleteFunc(configColumns(config, "run", "isa", "threads"),
			func(c column[peakRow]) bool { return c.key == "batch" || c.key == "type" }),
		estimateColumns("fma_gflops", "FMA GFLOP/s", func(r peakRow) *estimate { return r.fma }),
		estimateColumns("mac_gops", "int8 GOP/s", func(r peakRow) *estimate { return r.mac }),
		estimateColumns("read_gbs", "read GB/s", func(r peakRow) *estimate { return r.read }),
	)
	t.explainColumns(
		explanation{"FMA GFLOP/s", "FMA GFLOP/s is the speed of a loop of nothing but fused multiply-adds of float32 values, the median of the samples."},
		explanation{"int8 GOP/s", "int8 GOP/s is the speed of a loop of nothing but the multiply-adds of the direct int8 convolution, two operations each, the median of the samples."},
		explanation{"read GB/s", "read GB/s is the speed of plainly reading as many bytes as AlexNet's weights have, the median of the samples."},
		explainInterval)
	return t
}}

// A peakRow holds what one instruction set reaches at one thread count; nil: not measured.
type peakRow struct {
	samples.Config
	fma, mac, read *estimate
}

// rate summarizes a BenchmarkPeak; nil when it was not measured.
func (b *builder) rate(name string, c samples.Config) *estimate {
	cell := b.Cells[samples.Key{Rate: name, Config: c}]
	if cell == nil {
		return nil
	}
	e := b.estimate(newSample(cell.Values, 1))
	return &e
}
