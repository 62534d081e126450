package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"firebench/compare/samples"

	"golang.org/x/perf/benchmath"
)

// stagesTable sets the stages of the networks side by side, for the best instruction set
// of the files, as auto runs them.
var stagesTable = tableKind{"stages", func(b *builder) *table {
	rows := b.stages()
	columns := [][]column[stageRow]{
		{{key: "stage", head: "stage", left: true, value: func(r stageRow) any { return r.stage }}},
		configColumns(func(r stageRow) samples.Config { return r.config }),
	}
	for i := range b.pair {
		head := letters[i] + " "
		if len(b.pair) == 1 {
			head = ""
		}
		columns = append(columns, sideColumns(strings.ToLower(letters[i]), head, func(r stageRow) side { return r.sides[i] }))
	}
	if len(b.pair) == 2 {
		columns = append(columns, []column[stageRow]{
			{key: "ratio", head: "A/B", value: func(r stageRow) any { return r.ratio }, show: digits3},
			{key: "p", head: "p", value: func(r stageRow) any { return r.p }, show: pvalue},
		})
	}
	columns = append(columns, []column[stageRow]{{head: "n", value: func(r stageRow) any { return r.samples() }}})
	t := newTable("Stages of "+b.lettered(), rows, func(r stageRow) string { return r.title }, columns...)
	t.explainColumns(explainMs, explainInterval, explainSamples, explainPeak,
		explanation{"A/B", "A/B is the ratio of the medians."},
		explanation{"p", "p is the probability that chance makes such a difference, by the Mann-Whitney U-test."})
	return t
}}

// A stageRow compares a stage of the networks. The name "sum" stands for the sum of all stages,
// "net" for the networks as wholes.
type stageRow struct {
	config samples.Config
	title  string // the config, in words
	stage  string
	sides  []side  // as many as networks
	ratio  *number // of the medians, A/B
	p      *number // of the times if they did not differ; nil when there are too few
}

// A side is one network's part of a stageRow.
type side struct {
	net    *samples.Network
	algo   string
	macs   int64
	time   *timing           // nil when it was not measured
	sample *benchmath.Sample // nil for sums
}

// sideColumns shows one side of the stages; key and head begin the names of its columns.
func sideColumns(key, head string, of func(stageRow) side) []column[stageRow] {
	part := func(f func(*timing) *number) func(stageRow) any {
		return func(r stageRow) any {
			if t := of(r).time; t != nil {
				return f(t)
			}
			return (*number)(nil)
		}
	}
	return slices.Concat(
		[]column[stageRow]{
			{key: key + "_net", value: func(r stageRow) any { return of(r).net.Name }},
			{key: key + "_algo", value: func(r stageRow) any { return of(r).algo }},
			{key: key + "_macs", head: head + "mult-adds", value: func(r stageRow) any { return of(r).macs }, show: scaled},
		},
		estimateColumns(key+"_ms", head+"ms", func(r stageRow) *estimate {
			if t := of(r).time; t != nil {
				return &t.ms
			}
			return nil
		}),
		[]column[stageRow]{
			{key: key + "_gops", value: part(func(t *timing) *number { return t.gops })},
			{key: key + "_peak_pct", head: "% peak", value: part(func(t *timing) *number { return t.peakPct }), show: percent},
		},
	)
}

// samples shows the numbers of samples; sums have none.
func (r stageRow) samples() string {
	if r.stage == "sum" {
		return unknown
	}
	var n []string
	for _, s := range r.sides {
		if s.time == nil {
			n = append(n, "0")
		} else {
			n = append(n, strconv.Itoa(s.time.ms.n))
		}
	}
	return strings.Join(n, "+")
}

func (b *builder) stages() []stageRow {
	var rows []stageRow
	configs := b.best(samples.Stage, b.pair...)
	if len(configs) == 0 {
		b.note("no BenchmarkStage of %s", b.either())
		return nil
	}
	names := b.stageNames()
	for _, c := range configs {
		var own []samples.Config // of each network
		for _, net := range b.pair {
			c := b.stageConfig(net, c)
			b.noteMissing(net, c)
			own = append(own, c)
		}
		title := withAlgo(b.title(c), sideAlgos(own))
		add := func(stage string, of func(net *samples.Network, c samples.Config) side) {
			row := stageRow{config: c, title: title, stage: stage}
			for i, net := range b.pair {
				row.sides = append(row.sides, of(net, own[i]))
			}
			if slices.ContainsFunc(row.sides, func(s side) bool { return s.time != nil }) {
				rows = append(rows, b.compare(row))
			}
		}
		for _, name := range names {
			add(name, func(net *samples.Network, c samples.Config) side {
				return b.side(net, net.Find(samples.Stage, name), c)
			})
		}
		add("sum", b.sum)
		add("net", func(net *samples.Network, c samples.Config) side { return b.side(net, net.Whole, c) })
	}
	return rows
}

// stageConfig returns c with the algorithm that the stages of net are shown with: the preferred one of
// those that any of them was measured with.
func (b *builder) stageConfig(net *samples.Network, c samples.Config) samples.Config {
	var algos []string
	for _, s := range net.Stages {
		algos = append(algos, b.Algos(s, c)...)
	}
	if len(algos) > 0 {
		c.Algo = slices.MinFunc(algos, samples.CompareAlgos)
	}
	return c
}

// noteMissing notes the stages of net that were not measured with c.
func (b *builder) noteMissing(net *samples.Network, c samples.Config) {
	var missing []string
	for _, s := range net.Stages {
		if b.Cells[samples.Key{Part: s, Config: c}] == nil {
			missing = append(missing, s.Name)
		}
	}
	if len(missing) > 0 {
		b.note("%s: not measured of %s: stage %s", withAlgo(b.title(c), c.Algo), net.Name, strings.Join(missing, ", "))
	}
}

// sideAlgos names the algorithms of the sides; a side that was not measured has none.
func sideAlgos(sides []samples.Config) string {
	var named, algos []string
	for i, c := range sides {
		if c.Algo != "" {
			algos = append(algos, c.Algo)
			named = append(named, fmt.Sprintf("%s (%s)", c.Algo, letters[i]))
		}
	}
	if len(slices.Compact(algos)) == 1 {
		return algos[0]
	}
	return strings.Join(named, " and ")
}

// stageNames returns the names of all stages, the biggest output first, and notes what the
// networks do not have in common.
func (b *builder) stageNames() []string {
	var names []string
	for _, net := range b.pair {
		for _, s := range net.Stages {
			if !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
		}
	}
	slices.SortStableFunc(names, func(x, y string) int { return cmp.Compare(stageSize(y), stageSize(x)) })
	if len(b.pair) < 2 {
		return names
	}
	x, y := b.pair[0], b.pair[1]
	for _, name := range names {
		sx, sy := x.Find(samples.Stage, name), y.Find(samples.Stage, name)
		switch {
		case sx == nil:
			b.note("stage %s cannot be paired: only %s has it", name, y.Name)
		case sy == nil:
			b.note("stage %s cannot be paired: only %s has it", name, x.Name)
		case sx.Out.H != sy.Out.H || sx.Out.W != sy.Out.W:
			b.note("stage %s is paired by its place, not its size: %s in %s, %s in %s",
				name, size(sx.Out.H, sx.Out.W), x.Name, size(sy.Out.H, sy.Out.W), y.Name)
		}
	}
	return names
}

// stageSize orders stages: the stem, then by output side, then the head.
func stageSize(name string) int {
	switch name {
	case "stem":
		return math.MaxInt
	case "head":
		return -1
	}
	n, _ := strconv.Atoi(name) // other names: before the head
	return n
}

// side returns the measurements of part p of net; a nil p is a stage that net does not have.
func (b *builder) side(net *samples.Network, p *samples.Part, c samples.Config) side {
	s := side{net: net, algo: c.Algo}
	if p != nil {
		s.macs = p.Cost.MACs
		s.time = b.timing(p, c)
		s.sample = b.sample(p, c)
	}
	return s
}

// sum returns the sum of net's stages. It has no time unless each of them has one, and no interval.
func (b *builder) sum(net *samples.Network, c samples.Config) side {
	s := side{net: net, algo: c.Algo, macs: net.Whole.Cost.MACs}
	var times []*timing
	for _, p := range net.Stages {
		t := b.timing(p, c)
		if t == nil {
			return s
		}
		times = append(times, t)
	}
	s.time = total(times, s.macs)
	return s
}

// compare fills in how the two sides of a row compare.
func (b *builder) compare(row stageRow) stageRow {
	if len(row.sides) < 2 {
		return row
	}
	x, y := row.sides[0], row.sides[1]
	if x.time != nil && y.time != nil {
		row.ratio = known(float64(x.time.ms.median / y.time.ms.median))
	}
	if x.sample != nil && y.sample != nil {
		test := benchmath.AssumeNothing.Compare(x.sample, y.sample)
		b.warn(test.Warnings)
		if smallestP(test.N1, test.N2) <= test.Alpha {
			row.p = known(test.P)
		}
	}
	return row
}

// smallestP returns the smallest p that the U-test can have of n and m samples: in two of
// all orders, those of the one come before all of the other. Samples so few that not even
// this would be significant cannot be told apart, whatever they are.
func smallestP(n, m int) float64 {
	p := 2.0
	for i := 1; i <= min(n, m); i++ {
		p *= float64(i) / float64(max(n, m)+i)
	}
	return p
}
