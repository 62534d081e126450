package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"firebench/bench/machine"
	"firebench/compare/peers/timings"
	"firebench/kernels"
	"firebench/net/cli"
	"firebench/net/codecs"
	"firebench/net/compression"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/weights"
)

// A page is what -page writes, network by network.
type page struct {
	*command
	peers     *timings.Run // nil without
	calibrate []string     // the photographs that calibrate
	measure   []string     // those that are measured
	plot      io.Writer    // of what pruning single layers does
	text      strings.Builder
}

// writePage does the steps of the page and writes it.
func (c *command) writePage(ctx context.Context) error {
	out, err := files.Create(c.page)
	if err != nil {
		return err
	}
	defer out.Discard()
	plot, err := files.Create(plotOf(c.page))
	if err != nil {
		return err
	}
	defer plot.Discard()
	p := &page{command: c, plot: plot}
	facts, err := machine.Facts()
	if err != nil {
		return err
	}
	facts = append(machine.TestingFacts(), facts...)
	fact := func(key string) string {
		if i := slices.IndexFunc(facts, func(f machine.Fact) bool { return f.Key == key }); i >= 0 {
			return facts[i].Value
		}
		return ""
	}
	if c.options.peers != "" {
		if p.peers, err = timings.ReadFile(c.options.peers); err != nil {
			return err
		}
		if err := p.peers.SameMachine(fact); err != nil {
			return files.Error(c.options.peers, err)
		}
	}
	if err := p.split(); err != nil {
		return err
	}
	p.begin(fact)
	for _, write := range []func(context.Context) error{p.published, p.second, p.alexnet} {
		if err := write(ctx); err != nil {
			return err
		}
		if c.failed > 0 {
			return nil // what cannot be read has been reported; the page would be about other photographs than it says
		}
	}
	if _, err := io.WriteString(out, p.text.String()); err != nil {
		return err
	}
	if err := plot.Commit(); err != nil {
		return err
	}
	return out.Commit()
}

// plotOf returns the path of the plot that belongs to a page.
func plotOf(page string) string { return strings.TrimSuffix(page, filepath.Ext(page)) + "-scan.svg" }

// split divides the photographs.
func (p *page) split() error {
	all, err := p.CalibrationPictures()
	if err != nil {
		return err
	}
	for i, path := range all {
		if i%2 == 0 {
			p.calibrate = append(p.calibrate, path)
		} else {
			p.measure = append(p.measure, path)
		}
	}
	if p.images != "" {
		more, err := cli.Pictures([]string{p.images})
		if err != nil {
			return err
		}
		p.measure = append(p.measure, more...)
	}
	if len(p.measure) == 0 {
		return fmt.Errorf("-calibrate: one picture, expected more, of which every second is measured")
	}
	return nil
}

// threads returns how many threads a network runs on.
func (p *page) threads() int {
	if p.Threads > 0 {
		return p.Threads
	}
	return runtime.GOMAXPROCS(0)
}

// A rung is a row of the paper's table.
type rung struct {
	what       string
	mb         float64
	smaller    int // times, as the paper rounds it
	top1, top5 float64
}

// paper is table 2 of Iandola et al., SqueezeNet, https://arxiv.org/abs/1602.07360.
var paper = []rung{
	{"AlexNet", 240, 1, 57.2, 80.3},
	{"AlexNet, SVD", 48, 5, 56.0, 79.4},
	{"AlexNet, pruned", 27, 9, 57.2, 80.3},
	{"AlexNet, Deep Compression", 6.9, 35, 57.2, 80.3},
	{"SqueezeNet", 4.8, 50, 57.5, 80.3},
	{"SqueezeNet, Deep Compression, 8 bits", 0.66, 363, 57.5, 80.3},
	{"SqueezeNet, Deep Compression, 6 bits", 0.47, 510, 57.5, 80.3},
}

// smaller says how many times as small as the paper's AlexNet bytes are.
func smaller(bytes float64) string { return fmt.Sprintf("%.0f×", paper[0].mb*1e6/bytes) }

func (p *page) begin(fact func(string) string) {
	fmt.Fprintf(&p.text, "# Compression\n\nWritten by `go run ./net/compress %s` on %s, family/model/stepping %s, with %s cores (%s/%s, caches %s): float32 on %v, %s.\n\n",
		strings.Join(p.args, " "), fact("cpu"), fact("cpu-id"), fact("cores"), fact("goos"), fact("goarch"), fact("caches"), p.Set.ISA, plural(p.threads(), "thread"))
	p.text.WriteString("The paper's ladder is table 2 of [SqueezeNet](https://arxiv.org/abs/1602.07360), whose networks were trained again after each step, with the accuracy\non ImageNet's 50,000 pictures of validation:\n\n")
	rows := [][]string{{"", "bytes", "smaller", "top-1", "top-5"}}
	for _, r := range paper {
		rows = append(rows, []string{r.what, fmt.Sprintf("%v MB", r.mb), fmt.Sprintf("%d×", r.smaller), fmt.Sprintf("%.1f %%", r.top1), fmt.Sprintf("%.1f %%", r.top5)})
	}
	markdownTable(&p.text, rows)
	fmt.Fprintf(&p.text, `
Below is ours. Nothing was trained again: that the accuracy holds is the work of the statistics of %s. Other %d are measured. "Smaller" relates
to the paper's AlexNet, "× as fast" to the first row: the median of the ratios within %s, in which all rows take turns. Bytes on disk are those of a
file in the format FBW unless they say another; bytes in memory are the packed weights. Multiply-adds are those that the kernels execute. Brackets are 95 %% intervals.
`, plural(len(p.calibrate), "photograph"), len(p.measure), plural(p.rounds, "round"))
}

// A recipe is how a step is made of a network.
type recipe struct {
	name    string
	rewrite graph.Rewrite
}

// ladder makes the ladder of a network.
func (p *page) ladder(ctx context.Context, m *graph.Model, w graph.Weights, recipes []recipe) (*ladder, error) {
	l := &ladder{options: p.Network.Options()}
	for _, r := range recipes {
		p.progress.Show("%s, %s", m.Name, r.name)
		err := interruptible(ctx, func() error {
			m, w, err := r.rewrite.Apply(m, w)
			if err == nil {
				_, err = l.add(r.name, m, w, kernels.Float32Weights)
			}
			return err
		})
		p.progress.Clear()
		if err != nil {
			l.close()
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return l, nil
}

// measureLadder takes times, and the accuracy.
func (p *page) measureLadder(ctx context.Context, l *ladder) error {
	if err := l.time(ctx, p.rounds, p.progress); err != nil {
		return err
	}
	pre, err := p.Preprocessor(l.steps[0].model)
	if err != nil {
		return err
	}
	p.failed, err = l.evaluate(ctx, pre, p.measure, p.stderr, p.progress)
	return err
}

// int8 is the rewrite that quantizes.
func (p *page) int8(ctx context.Context) graph.Rewrite {
	return func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
		n := p.Network
		n.Model = m
		scales, err := n.CalibrateWith(ctx, w, p.calibrate, p.progress)
		if err != nil {
			return nil, nil, err
		}
		return compression.Quantize(scales, p.Compression)(m, w)
	}
}

// shared is the rewrite that shares in the metric of the outputs.
func (p *page) shared(ctx context.Context, o compression.ShareOptions) graph.Rewrite {
	return func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
		rewrite, _, err := p.sharing(ctx, m, o, p.calibrate)
		if err != nil {
			return nil, nil, err
		}
		return rewrite(m, w)
	}
}

// once returns a rewrite that does its work once, for several steps from the same network.
func once(r graph.Rewrite) graph.Rewrite {
	var made *graph.Model
	var weights graph.Weights
	return func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
		var err error
		if made == nil {
			made, weights, err = r(m, w)
		}
		return made, weights, err
	}
}

// then returns the rewrite that does both.
func then(first, second graph.Rewrite) graph.Rewrite {
	return func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
		m, w, err := first(m, w)
		if err != nil {
			return nil, nil, err
		}
		return second(m, w)
	}
}

// filled are weights without zeros: instead they have values that change no result, and no kernel skips them.
type filled struct{ graph.Weights }

const nothing = 1e-20

func (f filled) Layer(p graph.Param) (kernels.Weights, error) {
	w, err := f.Weights.Layer(p)
	w.Values = slices.Clone(w.Values)
	for i, v := range w.Values {
		if v == 0 {
			w.Values[i] = nothing
		}
	}
	return w, err
}

// accuracyColumns are those of a network with real weights.
var accuracyColumns = []column{columnStep, columnDisk, columnSmaller, columnMemory, columnExecuted, columnMS, columnSpeedup, columnTop1, columnTop5, columnAgreement}

var columnSmaller = column{"smaller", func(_ *ladder, s *step) string { return smaller(float64(s.disk)) }}

// published writes about SqueezeNet v1.0, whose published weights are pruned and shared.
func (p *page) published(ctx context.Context) error {
	m, err := models.Lookup("squeezenet1.0")
	if err != nil {
		return err
	}
	w, err := weights.Open(p.Weights)
	if err != nil {
		return err
	}
	fill := graph.Rewrite(func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) { return m, filled{w}, nil })
	small := once(p.shared(ctx, compression.ShareOptions{Bytes: 470_000}))
	l, err := p.ladder(ctx, m, w, []recipe{
		{"float32, zeros multiplied", fill},
		{"pruned and shared, as published", keep},
		{"int8", p.int8(ctx)},
		{"6 bits by k-means alone", compression.Share(compression.ShareOptions{Bits: 6})},
		{"shared, 8 bits", p.shared(ctx, compression.ShareOptions{Bits: 8})},
		{"shared, 6 bits", p.shared(ctx, compression.ShareOptions{Bits: 6})},
		{"shared, 470,000 bytes", small},
		{"470,000 bytes, then int8", then(small, p.int8(ctx))},
		{"shared, 400,000 bytes", p.shared(ctx, compression.ShareOptions{Bytes: 400_000})},
	})
	if err != nil {
		return err
	}
	defer l.close()
	if err := p.measureLadder(ctx, l); err != nil || p.failed > 0 {
		return err
	}
	for _, s := range l.steps[:2] {
		if err := s.timeLayers(ctx, p.rounds, p.progress); err != nil {
			return err
		}
	}
	skipping := l.layersBeside(1, func(dense, sparse layerRow) bool { return dense.algorithm != sparse.algorithm })
	coded := *l.steps[1]
	coded.name = "the same, Huffman-coded"
	l.steps = slices.Insert(l.steps, 2, &coded)
	l.steps[0].disk, l.steps[0].file = 4*l.steps[0].params, "numbers"
	if err := l.steps[1].ofFile(p.Weights); err != nil {
		return err
	}
	// Once loaded, the file of shared weights is what is quantized.
	l.steps[8].disk, l.steps[8].file = l.steps[7].disk, l.steps[7].file
	p.section("SqueezeNet v1.0", l, accuracyColumns)
	streams, err := weights.StreamsOf(coded.model, coded.weights)
	if err != nil {
		return err
	}
	other, err := codecs.Compare(streams)
	if err != nil {
		return err
	}
	fmt.Fprintf(&p.text, "\nThe published file has 8-bit codes and 4-bit gaps. General codecs on the same codes and gaps: %s bytes as they are, %s in FBW, %s by huff0, %s by zstd.\n",
		total(other.Symbols), total(other.FBW), total(other.Huff0), total(other.Zstd))
	if len(skipping) > 1 {
		p.text.WriteString("\nThe layers of the published weights that are computed by an algorithm that skips zeros, each alone:\n\n")
		markdownTable(&p.text, skipping)
	}
	p.beside("squeezenet1.0")
	if err := p.single(ctx, coded.model, coded.weights); err != nil {
		return err
	}
	return p.byRows(ctx)
}

// single writes about what pruning single layers does to the answers of SqueezeNet v1.0.
func (p *page) single(ctx context.Context, m *graph.Model, w graph.Weights) error {
	curves, err := p.curves(ctx, m, w, p.measure)
	if err != nil {
		return err
	}
	if err := writePlot(p.plot, m, curves); err != nil {
		return err
	}
	fmt.Fprintf(&p.text, `
## SqueezeNet v1.0, pruned in one layer

How often the most probable class stays on the %s if one layer is pruned to a density, its smallest weights first, without training again.
The first column is the density of the layer as it is. [The plot](%s) has the intervals.

`, plural(len(p.measure), "picture"), filepath.Base(plotOf(p.options.page)))
	markdownTable(&p.text, curveRows(curves))
	return nil
}

// byRows writes about the time of SqueezeNet v1.0 if rows were pruned. The published weights do not tell: what is left of their
// rows has zeros too, and the rows of all layers together that are spared first are those of few layers.
func (p *page) byRows(ctx context.Context) error {
	m, err := models.Lookup("squeezenet1.0")
	if err != nil {
		return err
	}
	params, err := m.Params()
	if err != nil {
		return err
	}
	o := compression.PruneOptions{Layers: map[string]float64{}, Panel: panel(p.Set)}
	for _, param := range params {
		o.Layers[param.Node] = 1.0 / 3
	}
	l, err := p.ladder(ctx, m, weights.Random(1), []recipe{
		{"float32", keep},
		{"a third of the rows of each layer", compression.Prune(o)},
	})
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.time(ctx, p.rounds, p.progress); err != nil {
		return err
	}
	for _, s := range l.steps {
		if err := s.timeLayers(ctx, p.rounds, p.progress); err != nil {
			return err
		}
	}
	p.section("SqueezeNet v1.0, pruned by rows", l, []column{columnStep, columnParameters, columnNonzeros, columnMemory, columnExecuted, columnMS, columnSpeedup})
	fmt.Fprintf(&p.text, `
A row is the weights of one input, kernel row and column for the %d output channels of a kernel's panel. The weights are random: the table is about time alone,
which is that of any weights with as many rows. The published weights are pruned one by one, and without training again no third of their rows
gives right answers. The layers, each alone:

`, o.Panel)
	markdownTable(&p.text, l.layersBeside(1, func(_, _ layerRow) bool { return true }))
	return nil
}

// layersBeside returns the cells of a table of layers of a step, which has zeros, beside those of the first step, which is the
// same network without.
func (l *ladder) layersBeside(step int, show func(dense, sparse layerRow) bool) [][]string {
	rows := [][]string{{"layer", "density", "dense", "ms", "pruned", "ms", "× as fast"}}
	for i, r := range l.steps[step].layers {
		if d := l.steps[0].layers[i]; show(d, r) {
			rows = append(rows, []string{r.name, fmt.Sprintf("%.2f", float64(r.nonzeros)/float64(r.weights)),
				d.algorithm, digits3(d.ms), r.algorithm, digits3(r.ms), digits3(d.ms / r.ms)})
		}
	}
	return rows
}

func total(s codecs.Sizes) string { return commas(s.Codes + s.Gaps) }

// ofFile counts the bytes of the file that the weights are from.
func (s *step) ofFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return files.Error(path, err)
	}
	s.disk, s.file = info.Size(), "published file"
	return nil
}

// second writes about SqueezeNet v1.1, whose weights are dense.
func (p *page) second(ctx context.Context) error {
	m, err := models.Lookup("squeezenet1.1")
	if err != nil {
		return err
	}
	w, err := weights.Open(p.small)
	if err != nil {
		return err
	}
	l, err := p.ladder(ctx, m, w, []recipe{
		{"float32", keep},
		{"int8", p.int8(ctx)},
		{"pruned to 80 %", compression.Prune(compression.PruneOptions{Density: 0.8})},
		{"6 bits by k-means alone", compression.Share(compression.ShareOptions{Bits: 6})},
		{"shared, 8 bits", p.shared(ctx, compression.ShareOptions{Bits: 8})},
		{"shared, 6 bits", p.shared(ctx, compression.ShareOptions{Bits: 6})},
		{"shared, 660,000 bytes", p.shared(ctx, compression.ShareOptions{Bytes: 660_000})},
		{"shared, 470,000 bytes", p.shared(ctx, compression.ShareOptions{Bytes: 470_000})},
	})
	if err != nil {
		return err
	}
	defer l.close()
	if err := p.measureLadder(ctx, l); err != nil || p.failed > 0 {
		return err
	}
	file, coded := *l.steps[0], *l.steps[0]
	file.name, coded.name = "the published file", "the same, Huffman-coded"
	if err := file.ofFile(p.small); err != nil {
		return err
	}
	l.steps = slices.Insert(l.steps, 1, &file, &coded)
	l.steps[0].disk, l.steps[0].file = 4*l.steps[0].params, "numbers"
	p.section("SqueezeNet v1.1", l, accuracyColumns)
	p.text.WriteString("\nIts published weights are not pruned.\n")
	p.beside("squeezenet1.1")
	return nil
}

// alexnet writes about AlexNet.
func (p *page) alexnet(ctx context.Context) error {
	m, err := models.Lookup("alexnet-owt")
	if err != nil {
		return err
	}
	w := weights.Random(1)
	l := &ladder{options: p.Network.Options()}
	defer l.close()
	ranks := compression.FactorizeOptions{Ranks: map[string]compression.Rank{"fc6": {N: 1024}, "fc7": {N: 256}}, Set: p.Set}
	svd := once(compression.Factorize(ranks, nil))
	for _, r := range []struct {
		recipe
		weightsType kernels.WeightsType
	}{
		{recipe{"float32", keep}, kernels.Float32Weights},
		{recipe{"SVD, ranks 1024 of fc6 and 256 of fc7", svd}, kernels.Float32Weights},
		{recipe{"pruned by rows to a ninth", compression.Prune(compression.PruneOptions{Density: 1.0 / 9, Panel: panel(p.Set)})}, kernels.Float32Weights},
		{recipe{"float16 weights in the dense layers", keep}, kernels.Float16Weights},
		{recipe{"int8 weights in the dense layers", keep}, kernels.Int8Weights},
		{recipe{"SVD and float16 weights", svd}, kernels.Float16Weights},
		{recipe{"SVD and int8 weights", svd}, kernels.Int8Weights},
	} {
		p.progress.Show("%s, %s", m.Name, r.name)
		err := interruptible(ctx, func() error {
			m, w, err := r.rewrite.Apply(m, w)
			if err == nil {
				_, err = l.add(r.name, m, w, r.weightsType)
			}
			return err
		})
		p.progress.Clear()
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	if err := l.time(ctx, p.rounds, p.progress); err != nil {
		return err
	}
	p.section("AlexNet, one tower", l, []column{columnStep, columnParameters, columnNonzeros, columnDisk, columnSmaller, columnMemory, columnExecuted, columnMS, columnSpeedup})
	p.text.WriteString("\nIts weights are random, so that accuracy means nothing: random weights have neither low rank nor small ones that can be spared. Bytes and times are those of\ntrained weights. The type of weights in memory changes no file.\n")
	p.beside(m.Name)
	return nil
}

// section writes a table.
func (p *page) section(title string, l *ladder, columns []column) {
	fmt.Fprintf(&p.text, "\n## %s\n\n", title)
	if len(l.paths) > 0 {
		fmt.Fprintf(&p.text, "%s.\n\n", l.pictures())
	}
	markdownTable(&p.text, l.table(columns))
}

// beside writes the times of other engines.
func (p *page) beside(net string) {
	if p.peers == nil {
		return
	}
	rows := [][]string{{"ms", "float32", "int8"}}
	for _, impl := range p.peers.Impls {
		cells := []string{impl}
		for _, typ := range []string{cli.F32, cli.Int8} {
			cell := "-"
			if ms, ok := p.peers.MS(timings.Row{Net: net, Type: typ, Threads: p.threads()}, impl); ok {
				cell = digits3(ms)
			}
			cells = append(cells, cell)
		}
		if cells[1] != "-" || cells[2] != "-" {
			rows = append(rows, cells)
		}
	}
	if len(rows) == 1 {
		return
	}
	fmt.Fprintf(&p.text, "\nBeside, on %s, as `go run ./compare/peers` recorded them on %s, without compression but int8:\n\n", plural(p.threads(), "thread"), p.peers.Recorded)
	markdownTable(&p.text, rows)
}

// markdownTable writes a table whose first column is text and whose others are numbers.
func markdownTable(b *strings.Builder, rows [][]string) {
	for i, cells := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			fmt.Fprintf(b, "|---%s|\n", strings.Repeat("|---:", len(cells)-1))
		}
	}
}
