package report

import (
	"fmt"
	"maps"
	"slices"

	"firebench/compare/samples"
	"firebench/kernels"
)

// trainingTable shows the networks that were trained: a step and its phases.
var trainingTable = tableKind{"training", func(b *builder) *table {
	ms := func(r trainingRow) *estimate { return &r.ms }
	phases := []column[trainingRow]{}
	for _, pass := range []string{samples.Forward, samples.Backward, samples.Update} {
		phases = append(phases, column[trainingRow]{key: pass + "_ms", head: pass, value: func(r trainingRow) any { return r.phases[pass] }, show: digits4})
	}
	t := newTable("Training", b.training(), func(r trainingRow) string { return r.title },
		[]column[trainingRow]{{key: "net", head: "network", left: true, value: func(r trainingRow) any { return r.net.Name }}},
		configColumns(func(r trainingRow) samples.Config { return r.config }, "isa"),
		algoColumn(func(r trainingRow) string { return r.config.Algo }),
		estimateColumns("ms", "ms/image", ms),
		[]column[trainingRow]{
			{key: "peak_pct", head: "% peak", value: func(r trainingRow) any { return r.peakPct }, show: percent},
			{key: "images_per_sec", head: "images/s", value: func(r trainingRow) any { return 1e3 / r.ms.median }, show: digits4},
		},
		phases,
		estimateColumns("over_inference", "/ 3 × inference", func(r trainingRow) *estimate { return r.overInference }),
		samplesColumn(ms))
	t.explainColumns(
		explanation{"ms/image", "ms/image are milliseconds of a whole step over the images of its batch, the median of the samples."},
		explainInterval, explainSamples,
		explanation{"% peak", "% peak relates the multiply-adds of the direct convolution, those of the gradients included, whatever algorithm ran, to the peak of " +
			"the instruction set. They are three times those of the network, but for the gradient of its first layer's input."},
		explanation{samples.Forward, "forward, backward and update are the phases of a step, measured on their own, over the images of its batch."},
		explanation{"/ 3 × inference", "/ 3 × inference is the time over three times that of BenchmarkNet with a batch of " + fmt.Sprint(inferenceBatch) + ", the same algorithm and as many threads, per image: " +
			"the median of the ratios within the samples."})
	return t
}}

// inferenceBatch is the batch of the inference that training is compared with.
const inferenceBatch = 8

// A trainingRow is a network that was trained with a config, whose pass is a step.
type trainingRow struct {
	net    *samples.Network
	config samples.Config
	title  string // threads and batch, in words
	*timing
	phases        map[string]*number // medians, by pass
	overInference *estimate
}

func (b *builder) training() []trainingRow {
	var rows []trainingRow
	for _, c := range b.trained(samples.Net) {
		for _, net := range b.Networks {
			for _, algo := range b.Algos(net.Whole, c.WithPass(samples.Step)) {
				c := c.With(algo).WithPass(samples.Step)
				row := trainingRow{net: net, config: c, title: b.inRun(c, c.Size()), timing: b.timing(net.Whole, c), phases: make(map[string]*number)}
				for _, pass := range []string{samples.Forward, samples.Backward, samples.Update} {
					if t := b.timing(net.Whole, c.WithPass(pass)); t != nil {
						row.phases[pass] = &t.ms.median
					}
				}
				inference := c.WithPass("")
				inference.Batch = inferenceBatch
				if e := b.over(net.Whole, c, inference); e != nil {
					row.overInference = e.times(inferenceBatch / float64(3*c.Batch))
				}
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// times returns e with its numbers multiplied.
func (e *estimate) times(factor float64) *estimate {
	scaled := &estimate{median: e.median * number(factor), n: e.n}
	if e.lo != nil && e.hi != nil {
		scaled.lo, scaled.hi = known(float64(*e.lo)*factor), known(float64(*e.hi)*factor)
	}
	return scaled
}

// trained returns the configs that parts of a kind were trained with, in order, each for all its algorithms and passes.
func (b *builder) trained(k samples.Kind) []samples.Config {
	set := make(map[samples.Config]bool)
	for key := range b.Cells {
		if key.Part != nil && key.Part.Kind == k && key.Pass != "" {
			set[key.With("").WithPass("")] = true
		}
	}
	return slices.SortedFunc(maps.Keys(set), samples.Config.Compare)
}

// layerPasses are the passes of layers.
var layerPasses = []string{samples.Forward, samples.GradInput, samples.GradWeight}

// gradientsTable shows the passes of all layers in training, each with the algorithm that auto picks.
var gradientsTable = tableKind{"gradients", func(b *builder) *table {
	columns := [][]column[gradientRow]{
		{{key: "net", value: func(r gradientRow) any { return r.part.Net.Name }}},
		partColumns(func(r gradientRow) *samples.Part { return r.part }),
		configColumns(func(r gradientRow) samples.Config { return r.config }),
	}
	for _, pass := range layerPasses {
		of := func(get func(p passTiming) any) func(r gradientRow) any {
			return func(r gradientRow) any { return get(r.passes[pass]) }
		}
		key := map[string]string{samples.Forward: "forward", samples.GradInput: "grad_input", samples.GradWeight: "grad_weight"}[pass]
		columns = append(columns, []column[gradientRow]{
			{key: key + "_algo", value: of(func(p passTiming) any { return p.algo })},
			{key: key + "_ms", head: pass, value: of(func(p passTiming) any { return p.ms }), show: digits4},
			{key: key + "_peak_pct", head: "% peak", value: of(func(p passTiming) any { return p.peakPct }), show: percent},
		})
	}
	title := func(r gradientRow) string { return r.part.Net.Name + ", " + r.title }
	t := newTable("Layers in training", b.gradients(), title, columns...)
	t.explainColumns(
		explanation{samples.Forward, "forward, grad-input and grad-weight are milliseconds per image of a batch: of the layer, of the gradient by its input and of that by its weights and " +
			"biases, each with the algorithm that auto picks. The layer sum stands for all of a network."},
		explainPeak)
	return t
}}

// A gradientRow is a layer whose passes were measured. The layer "sum" stands for all of a network.
type gradientRow struct {
	part   *samples.Part
	config samples.Config
	title  string // the config, in words
	passes map[string]passTiming
}

// A passTiming is a pass with the algorithm that auto picks; without a time if it was not measured.
type passTiming struct {
	algo        string
	ms, peakPct *number
}

func (b *builder) gradients() []gradientRow {
	var rows []gradientRow
	for _, c := range b.trained(samples.Layer) {
		for _, net := range b.Networks {
			rows = append(rows, b.gradientsOf(net, c)...)
		}
	}
	return rows
}

// gradientsOf returns the rows of a network and their sum.
func (b *builder) gradientsOf(net *samples.Network, c samples.Config) []gradientRow {
	var rows []gradientRow
	sum := gradientRow{&samples.Part{Net: net, Name: "sum"}, c, b.title(c), make(map[string]passTiming)}
	times := make(map[string][]*timing)
	macs := make(map[string]int64)
	var unclear []string
	for _, p := range net.Layers {
		row := gradientRow{p, c, b.title(c), make(map[string]passTiming)}
		for _, pass := range layerPasses {
			c := c.WithPass(pass)
			if len(b.Algos(p, c)) == 0 {
				continue
			}
			algo, known := b.picked(p, c)
			if !known {
				unclear = append(unclear, p.Name)
				algo = b.Algos(p, c)[0]
			}
			t := b.timing(p, c.With(algo))
			row.passes[pass] = passTiming{algo, &t.ms.median, t.peakPct}
			times[pass] = append(times[pass], t)
			macs[pass] += p.Cost.MACs
		}
		if len(row.passes) > 0 {
			rows = append(rows, row)
		}
	}
	if len(unclear) > 0 {
		b.noteUnclear(b.title(c), net, slices.Compact(unclear))
	}
	if len(rows) < 2 {
		return rows
	}
	for pass, list := range times {
		t := total(list, macs[pass])
		sum.passes[pass] = passTiming{kernels.Auto, &t.ms.median, t.peakPct}
	}
	return append(rows, sum)
}
