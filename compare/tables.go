package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"firebench/kernels"

	"golang.org/x/perf/benchmath"
)

// confidence is the level of all intervals.
const confidence = 0.95

// A number is a float64 of the report. CSV and JSON have six digits of it: more than any
// timing has, and few enough to hide how a processor rounds.
type number float64

// A report is everything that is printed, in its JSON form. A table that was not asked
// for is nil, one without rows is not.
type report struct {
	Machine    []machineInfo  `json:"machine,omitzero"`
	Networks   []networkRow   `json:"networks,omitzero"`
	Stages     []stageRow     `json:"stages,omitzero"`
	Layers     []layerRow     `json:"layers,omitzero"`
	Candidates []candidateRow `json:"candidates,omitzero"`
	Notes      []string       `json:"notes"` // what could not be paired, and warnings of the statistics
}

// A machineInfo is what the files say about one machine.
type machineInfo struct {
	Index  int               `json:"index"` // from 1
	Config map[string]string `json:"config"`
	Files  []string          `json:"files"`
	Peaks  []peakRow         `json:"peaks"`
}

// A peakRow holds what one ISA reaches at one thread count.
type peakRow struct {
	Machine int       `json:"machine"`
	ISA     string    `json:"isa"`
	Threads int       `json:"threads"`
	FMA     *estimate `json:"fma_gflops"`
	Read    *estimate `json:"read_gbs"`
}

// An estimate is a median with its 95% interval. The bounds are nil when there are too few samples.
type estimate struct {
	Median number  `json:"median"`
	Lo     *number `json:"lo"`
	Hi     *number `json:"hi"`
	N      int     `json:"n"`
}

// A setting is a config as the report shows it, without its algorithm.
type setting struct {
	Machine int    `json:"machine"`
	ISA     string `json:"isa"`
	Threads int    `json:"threads"`
	Batch   int    `json:"batch"`
	title   string // all of it, in words
}

// A timing is how long a part takes, per image, and what follows from that.
type timing struct {
	Ms      estimate `json:"ms"`
	GFLOPS  *number  `json:"gflops"`   // nil without multiply-adds
	PeakPct *number  `json:"peak_pct"` // median of the benchmark's own, measured beside each time; nil without
	FMAPct  *number  `json:"fma_pct"`  // the same of the multiply-adds that were executed; nil without
}

type networkRow struct {
	Net string `json:"net"`
	setting
	Algo   string `json:"algo"`
	Params int64  `json:"params"`
	MB     number `json:"mb"`
	MACs   int64  `json:"macs"`
	timing
	ImagesPerSec number  `json:"images_per_sec"`
	OverScalar   *number `json:"over_scalar"`
}

// A stageRow compares a stage of networks A and B. The name "sum" stands for the sum of all stages,
// "net" for the networks as wholes.
type stageRow struct {
	setting
	Stage string    `json:"stage"`
	A     stageSide `json:"a"`
	B     stageSide `json:"b"`
	Ratio *number   `json:"ratio"` // of the medians, A/B
	P     *number   `json:"p"`     // of the times if they did not differ
}

// A stageSide is one network's part of a stageRow; timing is nil when it was not measured.
type stageSide struct {
	Net  string  `json:"net"`
	Algo string  `json:"algo"`
	MACs int64   `json:"macs"`
	Time *timing `json:"time"`
}

type layerRow struct {
	H     int    `json:"h"` // of the output
	W     int    `json:"w"`
	Net   string `json:"net"`
	Layer string `json:"layer"`
	Op    string `json:"op"`
	setting
	Algo string `json:"algo"`
	MACs int64  `json:"macs"`
	timing
	FLOPB  *number `json:"flop_per_byte"`
	GBs    *number `json:"gbs"`
	NetPct *number `json:"net_pct"`
}

// A candidateRow is one of several algorithms that a layer was timed with. The layer "sum" stands for
// all of a network that have several, each with its pick.
type candidateRow struct {
	Net   string `json:"net"`
	Layer string `json:"layer"`
	Op    string `json:"op"`
	setting
	Algo string `json:"algo"`
	timing
	Picked    bool    `json:"picked"`     // by auto
	RegretPct *number `json:"regret_pct"` // of the pick and the sum: how much slower than the fastest
}

// tableNames are the tables there are.
var tableNames = []string{"machine", "networks", "stages", "layers", "candidates"}

// report makes the tables of those names, with networks a and b side by side.
func (d *data) report(a, b *network, tables []string) *report {
	r := &reporter{data: d, noted: make(map[string]bool)}
	r.out.Notes = []string{}
	for _, t := range tables {
		switch t {
		case "machine":
			r.machine()
		case "networks":
			r.networks()
		case "stages":
			r.stages(a, b)
		case "layers":
			r.layers(a, b)
		case "candidates":
			r.candidates()
		}
	}
	return &r.out
}

// A reporter builds a report.
type reporter struct {
	*data
	out   report
	noted map[string]bool
}

// note adds a line to the notes unless it is there already: benchmath repeats its warnings for every cell.
func (r *reporter) note(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if !r.noted[msg] {
		r.noted[msg] = true
		r.out.Notes = append(r.out.Notes, msg)
	}
}

func (r *reporter) machine() {
	r.out.Machine = []machineInfo{}
	for i, m := range r.machines {
		info := machineInfo{Index: i + 1, Config: make(map[string]string), Files: r.filesOf(i), Peaks: []peakRow{}}
		for k, v := range m.facts {
			info.Config[k] = clean(v)
		}
		configs := make(map[config]bool)
		for k := range r.cells {
			if k.part == nil && k.machine == i {
				configs[k.config] = true
			}
		}
		for _, c := range slices.SortedFunc(maps.Keys(configs), config.compare) {
			info.Peaks = append(info.Peaks, peakRow{
				Machine: i + 1, ISA: c.isa.String(), Threads: c.threads,
				FMA:  r.rate(fma, c),
				Read: r.rate(read, c),
			})
		}
		r.out.Machine = append(r.out.Machine, info)
	}
}

// filesOf returns the names of the files with usable results of a machine.
func (r *reporter) filesOf(machine int) []string {
	in := make(map[int]bool)
	for k, c := range r.cells {
		if k.machine == machine {
			c.addFiles(in)
		}
	}
	var names []string
	for _, f := range slices.Sorted(maps.Keys(in)) {
		names = append(names, clean(r.files[f]))
	}
	return names
}

func (c *cell) addFiles(in map[int]bool) {
	for _, s := range c.samples {
		in[s.file] = true
	}
}

// rate summarizes a BenchmarkPeak; nil when it was not measured.
func (r *reporter) rate(name string, c config) *estimate {
	cell := r.cells[key{rate: name, config: c}]
	if cell == nil {
		return nil
	}
	e := r.estimate(newSample(cell.samples, 1))
	return &e
}

// newSample returns the values of samples, each times scale, as benchmath wants them.
func newSample(samples []sample, scale float64) *benchmath.Sample {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = s.value * scale
	}
	return benchmath.NewSample(values, &benchmath.DefaultThresholds)
}

func (r *reporter) estimate(s *benchmath.Sample) estimate {
	sum := benchmath.AssumeNothing.Summary(s, confidence)
	r.warn(sum.Warnings)
	e := estimate{Median: number(sum.Center), N: len(s.Values)}
	if !math.IsInf(sum.Lo, 0) && !math.IsInf(sum.Hi, 0) {
		e.Lo, e.Hi = known(sum.Lo), known(sum.Hi)
	}
	return e
}

func (r *reporter) warn(warnings []error) {
	for _, w := range warnings {
		r.note("%v", w)
	}
}

// known returns a number that is known.
func known(v float64) *number {
	n := number(v)
	return &n
}

// sample returns the times of a part in milliseconds per image, nil when it was not measured.
func (r *reporter) sample(p *part, c config) *benchmath.Sample {
	cell := r.cells[key{part: p, config: c}]
	if cell == nil {
		return nil
	}
	return newSample(cell.samples, 1e3/float64(c.batch))
}

// timing summarizes the times of a part, nil when it was not measured.
func (r *reporter) timing(p *part, c config) *timing {
	cell := r.cells[key{part: p, config: c}]
	if cell == nil {
		return nil
	}
	t := derive(r.estimate(r.sample(p, c)), p.cost.MACs)
	if t.GFLOPS != nil && len(cell.ownPeak) > 0 {
		t.PeakPct = known(median(cell.ownPeak))
	}
	if t.GFLOPS != nil && len(cell.fma) > 0 {
		t.FMAPct = known(median(cell.fma))
	}
	return t
}

// median returns the median of values.
func median(values []float64) float64 {
	return benchmath.AssumeNothing.Summary(benchmath.NewSample(values, &benchmath.DefaultThresholds), confidence).Center
}

// derive adds the speed to a time.
func derive(ms estimate, macs int64) *timing {
	t := &timing{Ms: ms}
	if macs > 0 {
		t.GFLOPS = known(gflops(macs, float64(ms.Median)/1e3))
	}
	return t
}

// gflops returns the speed of macs multiply-adds in sec seconds.
func gflops(macs int64, sec float64) float64 { return 2 * float64(macs) / sec / 1e9 }

// total returns the sum of times, which has no interval, as the time of macs multiply-adds.
func total(times []*timing, macs int64) *timing {
	var ms, pct number
	for _, t := range times {
		ms += t.Ms.Median
		if t.PeakPct != nil {
			pct += t.Ms.Median * *t.PeakPct
		}
	}
	sum := derive(estimate{Median: ms}, macs)
	if pct > 0 {
		sum.PeakPct = known(float64(pct / ms))
	}
	return sum
}

// setting returns c as the report shows it.
func (r *reporter) setting(c config) setting {
	s := setting{Machine: c.machine + 1, ISA: c.isa.String(), Threads: c.threads, Batch: c.batch, title: c.String()}
	if len(r.machines) > 1 {
		s.title = fmt.Sprintf("machine %d, %s", s.Machine, s.title)
	}
	return s
}

func (r *reporter) networks() {
	r.out.Networks = []networkRow{}
	for _, c := range r.configs(wholeNet, r.nets...) {
		for _, net := range r.nets {
			for _, algo := range r.algosOf(net.whole, c) {
				r.out.Networks = append(r.out.Networks, r.network(net, c.with(algo)))
			}
		}
	}
}

// network returns the row of a network that was measured with c.
func (r *reporter) network(net *network, c config) networkRow {
	t := r.timing(net.whole, c)
	row := networkRow{
		Net:          net.name,
		setting:      r.setting(c),
		Algo:         c.algo,
		Params:       net.whole.cost.Params,
		MB:           number(4*float64(net.whole.cost.Params)) / 1e6,
		MACs:         net.whole.cost.MACs,
		timing:       *t,
		ImagesPerSec: 1e3 / t.Ms.Median,
	}
	if base := r.scalar(net, c); base != nil {
		row.OverScalar = known(float64(base.Ms.Median / t.Ms.Median))
	}
	return row
}

// algosOf returns the algorithms that a part was measured with, everything else being as in c, in order.
func (r *reporter) algosOf(p *part, c config) []string {
	return r.algos[key{part: p, config: c.with("")}]
}

// configs returns the configs that these networks' parts of a kind were measured with, in order,
// each for all its algorithms.
func (r *reporter) configs(k kind, of ...*network) []config {
	set := make(map[config]bool)
	for key := range r.cells {
		if key.part != nil && key.part.kind == k && slices.Contains(of, key.part.net) {
			set[key.with("")] = true
		}
	}
	return slices.SortedFunc(maps.Keys(set), config.compare)
}

// best is configs with the best ISA of each machine only.
func (r *reporter) best(k kind, of ...*network) []config {
	var best []config
	for _, c := range r.configs(k, of...) { // best ISA first
		if n := len(best); n == 0 || best[n-1].machine != c.machine || best[n-1].isa == c.isa {
			best = append(best, c)
		}
	}
	return best
}

// scalar returns the time of net on the scalar kernels, everything else being as in c. An algorithm
// that scalar kernels were not timed with is compared with their direct one.
func (r *reporter) scalar(net *network, c config) *timing {
	c.isa = kernels.Scalar
	if t := r.timing(net.whole, c); t != nil {
		return t
	}
	return r.timing(net.whole, c.with(direct))
}

func (r *reporter) stages(a, b *network) {
	r.out.Stages = []stageRow{}
	configs := r.best(stagePart, a, b)
	if len(configs) == 0 {
		r.note("no BenchmarkStage of %s or %s", a.name, b.name)
		return
	}
	names := r.stageNames(a, b)
	for _, c := range configs {
		ca, cb := r.stageConfig(a, c), r.stageConfig(b, c)
		r.noteMissing(a, ca)
		r.noteMissing(b, cb)
		s := r.setting(c)
		s.title = withAlgo(s.title, sideAlgos(ca.algo, cb.algo))
		for _, name := range names {
			r.pair(s, name, r.side(a, a.find(stagePart, name), ca), r.side(b, b.find(stagePart, name), cb))
		}
		r.pair(s, "sum", r.sum(a, ca), r.sum(b, cb))
		r.pair(s, "net", r.side(a, a.whole, ca), r.side(b, b.whole, cb))
	}
}

// stageConfig returns c with the algorithm that the stages of net are shown with: the preferred one of
// those that any of them was measured with.
func (r *reporter) stageConfig(net *network, c config) config {
	var algos []string
	for _, s := range net.stages {
		algos = append(algos, r.algosOf(s, c)...)
	}
	if len(algos) > 0 {
		c.algo = slices.MinFunc(algos, compareAlgos)
	}
	return c
}

// noteMissing notes the stages of net that were not measured with c.
func (r *reporter) noteMissing(net *network, c config) {
	var missing []string
	for _, s := range net.stages {
		if r.cells[key{part: s, config: c}] == nil {
			missing = append(missing, s.name)
		}
	}
	if len(missing) > 0 {
		r.note("%s: not measured of %s: stage %s", withAlgo(r.setting(c).title, c.algo), net.name, strings.Join(missing, ", "))
	}
}

// withAlgo adds an algorithm to the title of a setting.
func withAlgo(title, algo string) string {
	if algo == "" {
		return title
	}
	return title + ", " + algo
}

// sideAlgos names the algorithms of sides A and B; a side that was not measured has none.
func sideAlgos(a, b string) string {
	if a == b || b == "" {
		return a
	}
	if a == "" {
		return b
	}
	return fmt.Sprintf("%s (A) and %s (B)", a, b)
}

// stageNames returns the names of all stages of a and b, the biggest output first, and notes what the
// two models do not have in common.
func (r *reporter) stageNames(a, b *network) []string {
	var names []string
	for _, net := range []*network{a, b} {
		for _, s := range net.stages {
			if !slices.Contains(names, s.name) {
				names = append(names, s.name)
			}
		}
	}
	slices.SortStableFunc(names, func(x, y string) int { return cmp.Compare(stageSize(y), stageSize(x)) })
	for _, name := range names {
		sa, sb := a.find(stagePart, name), b.find(stagePart, name)
		switch {
		case sa == nil:
			r.note("stage %s cannot be paired: only %s has it", name, b.name)
		case sb == nil:
			r.note("stage %s cannot be paired: only %s has it", name, a.name)
		case sa.out.H != sb.out.H || sa.out.W != sb.out.W:
			r.note("stage %s is paired by its place, not its size: %s in %s, %s in %s",
				name, size(sa.out.H, sa.out.W), a.name, size(sb.out.H, sb.out.W), b.name)
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
	n, _ := strconv.Atoi(name) // anything else: before the head
	return n
}

func size(h, w int) string { return fmt.Sprintf("%d×%d", h, w) }

// A side is one network's part of a pair.
type side struct {
	stageSide
	sample *benchmath.Sample // nil for sums
}

// side returns the measurements of part p of net; a nil p is a stage that net does not have.
func (r *reporter) side(net *network, p *part, c config) side {
	s := side{stageSide: stageSide{Net: net.name, Algo: c.algo}}
	if p != nil {
		s.MACs = p.cost.MACs
		s.Time = r.timing(p, c)
		s.sample = r.sample(p, c)
	}
	return s
}

// sum returns the sum of net's stages. It has no time unless each of them has one, and no interval.
func (r *reporter) sum(net *network, c config) side {
	s := side{stageSide: stageSide{Net: net.name, Algo: c.algo, MACs: net.whole.cost.MACs}}
	var times []*timing
	for _, p := range net.stages {
		t := r.timing(p, c)
		if t == nil {
			return s
		}
		times = append(times, t)
	}
	s.Time = total(times, s.MACs)
	return s
}

// pair adds a row to the stages unless neither side was measured.
func (r *reporter) pair(s setting, name string, a, b side) {
	if a.Time == nil && b.Time == nil {
		return
	}
	row := stageRow{setting: s, Stage: name, A: a.stageSide, B: b.stageSide}
	if a.Time != nil && b.Time != nil {
		row.Ratio = known(float64(a.Time.Ms.Median / b.Time.Ms.Median))
	}
	if a.sample != nil && b.sample != nil {
		test := benchmath.AssumeNothing.Compare(a.sample, b.sample)
		r.warn(test.Warnings)
		row.P = known(test.P)
	}
	r.out.Stages = append(r.out.Stages, row)
}

func (r *reporter) layers(a, b *network) {
	r.out.Layers = []layerRow{}
	configs := r.best(layerPart, a, b)
	if len(configs) == 0 {
		r.note("no BenchmarkLayer of %s or %s", a.name, b.name)
	}
	for _, c := range configs {
		var parts []*part
		nets := make(map[[2]int]map[*network]bool) // by output size
		for _, net := range []*network{a, b} {
			for _, p := range net.layers {
				if len(r.algosOf(p, c)) == 0 {
					continue
				}
				parts = append(parts, p)
				hw := [2]int{p.out.H, p.out.W}
				if nets[hw] == nil {
					nets[hw] = make(map[*network]bool)
				}
				nets[hw][net] = true
			}
		}
		slices.SortStableFunc(parts, func(p, q *part) int {
			return cmp.Or(cmp.Compare(q.out.H*q.out.W, p.out.H*p.out.W), cmp.Compare(q.out.H, p.out.H))
		})
		for _, p := range parts {
			for _, net := range []*network{a, b} {
				if !nets[[2]int{p.out.H, p.out.W}][net] {
					r.note("layers with %s outputs cannot be paired: no such layer of %s was measured",
						size(p.out.H, p.out.W), net.name)
				}
			}
			r.out.Layers = append(r.out.Layers, r.layer(p, c))
		}
	}
}

// pick returns the algorithm that auto picks for a layer, everything else being as in c: the one that is
// marked so, or the only one unless it is marked otherwise. It is not known when none or several are.
func (r *reporter) pick(p *part, c config) (algo string, known bool) {
	algos := r.algosOf(p, c)
	for _, a := range algos {
		cell := r.cells[key{part: p, config: c.with(a)}]
		if cell.picked() || len(algos) == 1 && cell.marks == [2]int{} {
			if known {
				return "", false
			}
			algo, known = a, true
		}
	}
	return algo, known
}

// layer returns the row of one measured layer, with the algorithm that auto picks or, if that is not
// known, the preferred one.
func (r *reporter) layer(p *part, c config) layerRow {
	algo, picked := r.pick(p, c)
	if !picked {
		algo = r.algosOf(p, c)[0]
	}
	c.algo = algo
	t := r.timing(p, c)
	bytes := float64(p.cost.Activations) + float64(p.cost.Weights)/float64(c.batch)
	row := layerRow{
		H: p.out.H, W: p.out.W,
		Net: p.net.name, Layer: p.name, Op: p.op,
		setting: r.setting(c),
		Algo:    algo,
		MACs:    p.cost.MACs,
		timing:  *t,
	}
	if bytes > 0 {
		row.GBs = known(bytes / 1e6 / float64(t.Ms.Median))
		if row.MACs > 0 {
			row.FLOPB = known(2 * float64(row.MACs) / bytes)
		}
	}
	net := r.timing(p.net.whole, c)
	if picked { // as auto runs it
		net = cmp.Or(r.timing(p.net.whole, c.with(auto)), net)
	}
	if net != nil {
		row.NetPct = known(float64(100 * t.Ms.Median / net.Ms.Median))
	}
	return row
}

func (r *reporter) candidates() {
	r.out.Candidates = []candidateRow{}
	for _, c := range r.configs(layerPart, r.nets...) {
		for _, net := range r.nets {
			r.candidatesOf(net, c)
		}
	}
	if len(r.out.Candidates) == 0 {
		r.note("no BenchmarkLayer with more than one algorithm")
	}
}

// candidatesOf adds the rows of the layers of net with more than one algorithm, and their sum.
func (r *reporter) candidatesOf(net *network, c config) {
	var (
		picks   []*timing
		fastest number // sum of medians
		macs    int64
		unknown []string
	)
	for _, p := range net.layers {
		algos := r.algosOf(p, c)
		if len(algos) < 2 {
			continue
		}
		times := make([]*timing, len(algos))
		best := number(math.Inf(1))
		for i, algo := range algos {
			times[i] = r.timing(p, c.with(algo))
			best = min(best, times[i].Ms.Median)
		}
		pick, known := r.pick(p, c)
		for i, algo := range algos {
			row := candidateRow{
				Net: net.name, Layer: p.name, Op: p.op,
				setting: r.setting(c),
				Algo:    algo,
				timing:  *times[i],
				Picked:  known && algo == pick,
			}
			if row.Picked {
				row.RegretPct = regret(row.Ms.Median, best)
				picks = append(picks, times[i])
			}
			r.out.Candidates = append(r.out.Candidates, row)
		}
		if !known {
			unknown = append(unknown, p.name)
		}
		fastest += best
		macs += p.cost.MACs
	}
	switch {
	case len(unknown) > 0:
		r.note("%s: no candidate, or more than one, is marked as the pick of %s: layer %s",
			r.setting(c).title, net.name, strings.Join(unknown, ", "))
	case len(picks) > 0:
		sum := total(picks, macs)
		r.out.Candidates = append(r.out.Candidates, candidateRow{
			Net: net.name, Layer: "sum",
			setting:   r.setting(c),
			Algo:      auto,
			timing:    *sum,
			RegretPct: regret(sum.Ms.Median, fastest),
		})
	}
}

// regret returns by how many percent pick is slower than fastest.
func regret(pick, fastest number) *number { return known(float64(100 * (pick/fastest - 1))) }
