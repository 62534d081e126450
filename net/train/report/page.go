package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firebench/bench/machine"
	"firebench/compare/peers/timings"
	"firebench/kernels"
	"firebench/net/cli"
	"firebench/net/evaluate"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/training"
)

// The targets.
const (
	stepTarget    = 1.35 // times three results of the network
	peakTarget    = 75   // % of the peak
	peakChannels  = 64   // from so many input channels on
	cifarTarget   = 86   // %
	cifarMinutes  = 60
	cifarParams   = 800_000
	flowersTarget = 87 // %
	flowersTime   = 15 // minutes
	rowsTarget    = 1.5
	peerTarget    = 1.3
	network       = "squeezenet1.1" // whose steps count
)

// trainType is the type of the rows of steps of training in a record of peers.
const trainType = "train"

// A page is what is written.
type page struct {
	options
	args     []string
	progress *cli.Progress

	text  strings.Builder
	table [][]string // of targets
}

// write writes the page.
func (p *page) write(ctx context.Context) error {
	facts, err := machine.Facts()
	if err != nil {
		return err
	}
	isa, err := kernels.Best()
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
	p.table = [][]string{{"what", "target", "reached", ""}}
	for _, section := range []func(context.Context) error{p.benchmarks, p.cifarRun, p.flowersRun, p.rowsRuns, p.peersRecord} {
		if err := section(ctx); err != nil {
			return err
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Training\n\nWritten by `go run ./net/train/report %s` on %s, family/model/stepping %s, with %s cores (%s/%s, caches %s), where the best kernels are those of %v.\n\n",
		homeless(strings.Join(p.args, " ")), fact("cpu"), fact("cpu-id"), fact("cores"), fact("goos"), fact("goarch"), fact("caches"), isa)
	for i, cells := range p.table {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "%s|\n", strings.Repeat("|---", len(cells)))
		}
	}
	b.WriteString("\nBrackets are 95 % intervals: Wilson's for shares of pictures, which know nothing of what another seed would give; of the median for times. Where a target is missed,\n[tried.md](tried.md) says why.\n")
	for _, more := range []struct{ what, file string }{
		{"What the choices in SqueezeNet's design give and cost, on small pictures", p.experiments},
		{"A network that was trained here, in int8", p.int8},
	} {
		if more.file == "" {
			continue
		}
		if _, err := files.Read(more.file, maxFile); err != nil {
			return err
		}
		link, err := filepath.Rel(filepath.Dir(p.page), more.file)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "\n%s: [%s](%s).\n", more.what, filepath.Base(link), filepath.ToSlash(link))
	}
	if p.compressed != "" {
		text, err := files.Read(p.compressed, maxFile)
		if err != nil {
			return err
		}
		fmt.Fprintf(&p.text, "\n## Compressed\n\nWhat `go run ./net/compress` printed of a network that was trained here:\n\n```\n%s\n```\n", bytes.TrimRight(text, "\n"))
	}
	return files.Write(p.page, []byte(b.String()+p.text.String()))
}

const maxFile = 1 << 20 // of what the page quotes or links to

// target adds a row to the table of targets.
func (p *page) target(what, target, reached string, ok bool) {
	verdict := "missed"
	if ok {
		verdict = "yes"
	}
	p.table = append(p.table, []string{what, target, reached, verdict})
}

// missing adds a row about what was not measured.
func (p *page) missing(what, target string) {
	p.table = append(p.table, []string{what, target, "not measured", ""})
}

// benchmarks writes about steps and gradient kernels.
func (p *page) benchmarks(context.Context) error {
	stepWhat := fmt.Sprintf("a step of %s, forward, backward and update, in batches of 32, over three times its result in batches of 8", network)
	stepText := fmt.Sprintf("at most %v", stepTarget)
	peakWhat := fmt.Sprintf("gradients of each layer with at least %d input channels, direct counting, the lowest", peakChannels)
	peakText := fmt.Sprintf("at least %d %% of the peak", peakTarget)
	all, err := readBenchmarks(p.bench)
	if err != nil {
		return err
	}
	ratios := all.ratios()
	found := false
	if len(ratios) > 0 {
		p.text.WriteString("\n## Steps\n\nMilliseconds and images per second of a whole step, medians, with the fastest algorithms. \"Over\" is the time for an image over three times that of the network's\nown result in batches of 8: a step computes three times as many products.\n\n")
		rows := [][]string{{"network", "batch", "threads", "kernels", "ms per step", "images/s", "over"}}
		for _, r := range ratios {
			over := "-"
			if r.ratio > 0 {
				over = fmt.Sprintf("%.2f", r.ratio)
			}
			rows = append(rows, []string{r.net, fmt.Sprint(r.batch), fmt.Sprint(r.threads), r.isa, digits3(r.step * float64(r.batch)), digits3(r.images), over})
		}
		markdownTable(&p.text, rows)
		p.phases(all)
		mine := slices.DeleteFunc(slices.Clone(ratios), func(r stepRatio) bool { return r.net != network || r.batch != 32 || r.ratio == 0 })
		slices.SortFunc(mine, func(a, b stepRatio) int {
			return cmp.Or(cmp.Compare(a.threads, b.threads), cmp.Compare(a.step, b.step))
		})
		mine = slices.CompactFunc(mine, func(a, b stepRatio) bool { return a.threads == b.threads }) // the fastest kernels
		for _, r := range mine {
			found = true
			p.target(stepWhat+", "+plural(r.threads, "thread"), stepText, fmt.Sprintf("%.2f", r.ratio), r.ratio <= stepTarget)
		}
	}
	if !found {
		p.missing(stepWhat, stepText)
	}
	gradients, err := all.gradients(peakChannels)
	if err != nil {
		return err
	}
	if len(gradients) == 0 {
		p.missing(peakWhat, peakText)
		return nil
	}
	// Of each number of threads the kernels with the fastest gradients.
	sums := map[[2]string]float64{}
	key := func(g gradient) [2]string { return [2]string{fmt.Sprint(g.threads), g.isa} }
	for _, g := range gradients {
		sums[key(g)] += g.ms()
	}
	p.text.WriteString("\n## Gradients\n\nGradients of convolutions with the least shares of the peak, each with its fastest algorithm. Winograd's multiplies less than is counted.\n\n")
	rows := [][]string{{"layer", "network", "gradient", "algorithm", "threads", "kernels", "ms", "% of the peak"}}
	for threads := range 64 {
		best := ""
		for k, sum := range sums {
			if k[0] == fmt.Sprint(threads) && (best == "" || sum < sums[[2]string{k[0], best}]) {
				best = k[1]
			}
		}
		of := slices.DeleteFunc(slices.Clone(gradients), func(g gradient) bool { return g.threads != threads || g.isa != best })
		if len(of) == 0 {
			continue
		}
		below := 0
		for i, g := range of {
			if g.peak < peakTarget {
				below++
			}
			if i < 10 {
				rows = append(rows, []string{g.layer, g.net, strings.TrimPrefix(g.pass, "grad-"), g.algo, fmt.Sprint(g.threads), g.isa, digits3(g.ms()), fmt.Sprintf("%.0f", g.peak)})
			}
		}
		p.target(peakWhat+", "+plural(threads, "thread"), peakText, fmt.Sprintf("%.0f %%, %s of %s; %d of %d are below %d %%", of[0].peak, of[0].pass, of[0].layer, below, len(of), peakTarget), below == 0)
	}
	markdownTable(&p.text, rows)
	return nil
}

// phases writes the parts of the steps of the network.
func (p *page) phases(all benchmarks) {
	rows := [][]string{{"part of a step of " + network, "algorithm", "threads", "kernels", "ms", "% of the peak"}}
	for _, b := range all.sorted(func(b *benchmark) bool { return b.kind == "Train" && b.net == network }) {
		peak := "-"
		if len(b.peak) > 0 {
			peak = fmt.Sprintf("%.0f", medianOf(b.peak))
		}
		rows = append(rows, []string{b.pass, b.algo, fmt.Sprint(b.threads), b.isa, digits3(b.ms()), peak})
	}
	if len(rows) > 1 {
		p.text.WriteString("\n")
		markdownTable(&p.text, rows)
	}
}

func medianOf(values []float64) float64 {
	m, _, _ := evaluate.Median(slices.Clone(values))
	return m
}

// A trained is a run, and what there is to say of it.
type trained struct {
	*training.Fitted
	dir          string
	last         evaluate.Share // after the last epoch
	params       int64
	times        []float64 // milliseconds of an image, by round
	ones, zeroes int       // weights of the layers of 1×1 kernels, and how many of them are 0
}

// read reads the run in a folder.
func read(dir string) (*trained, error) {
	run, err := training.ReadRun(dir)
	if err != nil {
		return nil, err
	}
	last := run.Rows[len(run.Rows)-1]
	t := &trained{Fitted: run, dir: dir, last: evaluate.Share{Count: int(math.Round(last.ValAccuracy * float64(run.Result.Images))), Total: run.Result.Images}}
	m := run.Params.Model()
	infos, err := m.Infer()
	if err != nil {
		return nil, err
	}
	for _, i := range infos {
		t.params += i.Cost.Params
	}
	params, err := m.Params()
	if err != nil {
		return nil, err
	}
	for _, param := range params {
		w, err := run.Params.Layer(param)
		if err != nil {
			return nil, err
		}
		if param.Dims[2] == 1 && param.Dims[3] == 1 {
			t.ones += len(w.Values)
			for _, v := range w.Values {
				if v == 0 {
					t.zeroes++
				}
			}
		}
	}
	return t, nil
}

// best is the share after the best epoch.
func (t *trained) best() evaluate.Share {
	return evaluate.Share{Count: t.Result.Correct, Total: t.Result.Images}
}

// reached says how many pictures were correct, and how long that took.
func (t *trained) reached() string {
	return fmt.Sprintf("%s, %.1f minutes", percent(t.last), t.Time.Minutes())
}

// describe writes what the run was, and its curves.
func (p *page) describe(which string, t *trained) error {
	m := t.Params.Model()
	r := t.Recipe
	var rates, more []string
	rates = append(rates, fmt.Sprintf("rate %v, %s", r.Rate, r.Policy))
	if r.WarmUp > 0 {
		rates = append(rates, fmt.Sprintf("rising for %v epochs", r.WarmUp))
	}
	a := r.Augment
	for _, x := range []struct {
		on   bool
		text string
	}{
		{a.Crop, fmt.Sprintf("random crops with a frame of %d", a.Pad)},
		{a.MinArea > 0, fmt.Sprintf("random parts of at least %v of the area", a.MinArea)},
		{a.Mirror, "mirrored"}, {a.Jitter > 0, fmt.Sprintf("colours changed by %v", a.Jitter)},
	} {
		if x.on {
			more = append(more, x.text)
		}
	}
	accumulate := ""
	if r.Accumulate > 1 {
		accumulate = fmt.Sprintf(" × %d", r.Accumulate)
	}
	form := "PyTorch's"
	if r.SGD.Form == training.Caffe {
		form = "Caffe's"
	}
	fmt.Fprintf(&p.text, "%s, %s parameters, %d classes. Recipe %s: %s of %s pictures in batches of %d%s; %s; momentum %v in %s form, decay %v, label smoothing %v; pictures %s.\n",
		m.Name, commas(t.params), len(m.Classes), r.Name, plural(r.Epochs, "epoch"), commas(int64(t.Pictures)), r.Batch, accumulate, strings.Join(rates, ", "), r.SGD.Momentum, form, r.SGD.WeightDecay, r.LabelSmoothing, cmp.Or(strings.Join(more, ", "), "as they are"))
	if len(t.Frozen) > 0 {
		fmt.Fprintf(&p.text, "Frozen: %s.\n", strings.Join(t.Frozen, ", "))
	}
	fmt.Fprintf(&p.text, "After the last epoch %d of %d other pictures were correct, %s; after epoch %d, the best, %s, which is chosen by the same pictures. It took %v in all.\n\n",
		t.last.Count, t.last.Total, percent(t.last), t.Epoch, percent(t.best()), t.Time.Round(time.Second))
	var b bytes.Buffer
	if err := training.WriteCurves(&b, m.Name, t.Rows); err != nil {
		return err
	}
	curves := strings.TrimSuffix(p.page, ".md") + "-" + which + ".svg"
	fmt.Fprintf(&p.text, "![Loss and accuracy](%s)\n", filepath.Base(curves))
	return files.Write(curves, b.Bytes())
}

// cifarRun writes about the run on CIFAR-10.
func (p *page) cifarRun(context.Context) error {
	what, target := fmt.Sprintf("CIFAR-10 as JPEG, under %.1f M parameters, at most %d minutes", cifarParams/1e6, cifarMinutes), fmt.Sprintf("at least %d %% correct", cifarTarget)
	if p.cifar == "" {
		p.missing(what, target)
		return nil
	}
	t, err := read(p.cifar)
	if err != nil {
		return err
	}
	p.target(what, target, fmt.Sprintf("%s, %s parameters", t.reached(), commas(t.params)),
		100*t.last.Value() >= cifarTarget && t.Time.Minutes() <= cifarMinutes && t.params < cifarParams)
	p.text.WriteString("\n## CIFAR-10\n\n")
	return p.describe("cifar", t)
}

// flowersRun writes about the run on photographs.
func (p *page) flowersRun(context.Context) error {
	what, target := fmt.Sprintf("flowers, %s from published weights, at most %d minutes", network, flowersTime), fmt.Sprintf("at least %d %% correct", flowersTarget)
	if p.flowers == "" {
		p.missing(what, target)
		return nil
	}
	t, err := read(p.flowers)
	if err != nil {
		return err
	}
	p.target(what, target, t.reached(), 100*t.last.Value() >= flowersTarget && t.Time.Minutes() <= flowersTime)
	p.text.WriteString("\n## Flowers\n\n")
	return p.describe("flowers", t)
}

// rowsRuns writes about a network with rows of zeros, beside the dense one.
func (p *page) rowsRuns(ctx context.Context) error {
	what, target := "squeezenet1.0 with a third of the rows of all layers of 1×1, trained again on flowers, beside the dense one", fmt.Sprintf("at most %v points less, and faster", rowsTarget)
	if p.rows == "" {
		p.missing(what, target)
		return nil
	}
	dense, err := read(p.dense)
	if err != nil {
		return err
	}
	rows, err := read(p.options.rows)
	if err != nil {
		return err
	}
	if dense.last.Total != rows.last.Total {
		return fmt.Errorf("%s: %d pictures for validation, expected %d as of %s", rows.dir, rows.last.Total, dense.last.Total, dense.dir)
	}
	speedup, lo, hi, err := p.time(ctx, dense, rows)
	if err != nil {
		return err
	}
	less := 100 * (dense.last.Value() - rows.last.Value())
	p.target(what, target, fmt.Sprintf("%.1f points less (%s and %s), %.2f × as fast [%.2f, %.2f]", less, percent(dense.last), percent(rows.last), speedup, lo, hi), less <= rowsTarget && speedup > 1)
	p.text.WriteString("\n## Rows of zeros\n\n")
	cells := [][]string{{"weights", "density of 1×1", "correct", "epochs", "minutes to train", "ms per image", "× as fast"}}
	for i, t := range []*trained{dense, rows} {
		fast := "1"
		if i == 1 {
			fast = fmt.Sprintf("%.2f [%.2f, %.2f]", speedup, lo, hi)
		}
		cells = append(cells, []string{[]string{"dense", "rows of zeros"}[i], fmt.Sprintf("%.3f", 1-float64(t.zeroes)/float64(t.ones)),
			percent(t.last), fmt.Sprint(t.Recipe.Epochs), fmt.Sprintf("%.1f", t.Time.Minutes()), digits3(medianOf(t.times)), fast})
	}
	markdownTable(&p.text, cells)
	fmt.Fprintf(&p.text, "\nTimes are medians of %s on one thread, in which both took turns.\n\nDense: ", plural(p.rounds, "round"))
	if err := p.describe("dense", dense); err != nil {
		return err
	}
	p.text.WriteString("\nRows of zeros: ")
	return p.describe("rows", rows)
}

// time takes the times of two networks in turn, and returns how many times as fast the second one is.
func (p *page) time(ctx context.Context, runs ...*trained) (median, lo, hi float64, err error) {
	var plans []*graph.Plan
	defer func() {
		for _, plan := range plans {
			plan.Close()
		}
	}()
	for _, t := range runs {
		plan, err := graph.Compile(t.Params.Model(), t.Params, graph.Options{Threads: 1})
		if err != nil {
			return 0, 0, 0, err
		}
		plans = append(plans, plan)
	}
	var ratios []float64
	for round := range p.rounds {
		for _, i := range rand.Perm(len(plans)) {
			ms, err := evaluate.Sample(ctx, plans[i].Run)
			if err != nil {
				return 0, 0, 0, err
			}
			runs[i].times = append(runs[i].times, ms)
		}
		ratios = append(ratios, runs[0].times[round]/runs[1].times[round])
		p.progress.Show("timed %d of %d rounds", round+1, p.rounds)
	}
	p.progress.Clear()
	median, lo, hi = evaluate.Median(ratios)
	return median, lo, hi, nil
}

// peersRecord writes about steps of training of other engines.
func (p *page) peersRecord(context.Context) error {
	what, target := "a step of training, against TensorFlow or PyTorch", fmt.Sprintf("at least %v × as fast", peerTarget)
	if p.peers == "" {
		p.missing(what, target)
		return nil
	}
	r, err := timings.ReadFile(p.peers)
	if err != nil {
		return err
	}
	cells := [][]string{{"network", "threads", "engine", "ms per step", "over Firebench"}}
	found := false
	for _, row := range r.Rows {
		if row.Type != trainType {
			continue
		}
		fastest, text := math.Inf(1), ""
		for _, impl := range r.Impls {
			ms, ok := r.MS(row, impl)
			if !ok {
				continue
			}
			over := ""
			if ratio, ok := r.Ratio(row, impl); ok && impl != timings.Firebench {
				over = fmt.Sprintf("%.2f [%.2f, %.2f]", ratio.Median, ratio.Lo, ratio.Hi)
				if ratio.Median < fastest {
					fastest, text = ratio.Median, impl+" "+over
				}
			}
			cells = append(cells, []string{row.Net, fmt.Sprint(row.Threads), impl, digits3(ms), over})
		}
		if text != "" {
			found = true
			p.target(fmt.Sprintf("%s, %s, %s", what, row.Net, plural(row.Threads, "thread")), target, text, fastest >= peerTarget)
		}
	}
	if !found {
		return fmt.Errorf("%s: no steps of training of other engines, expected some with type=%s", p.peers, trainType)
	}
	fmt.Fprintf(&p.text, "\n## Beside other engines\n\nThe median time of a step, as `%s` recorded it on %s; the engines take turns.\n\n", r.Command, r.Recorded)
	markdownTable(&p.text, cells)
	for _, e := range r.Engines {
		fmt.Fprintf(&p.text, "\n* %s %s: %s", e.Impl, e.Version, e.Settings)
	}
	p.text.WriteString("\n")
	return nil
}

// percent writes a share with its interval.
func percent(s evaluate.Share) string {
	lo, hi := s.Interval()
	return fmt.Sprintf("%.1f %% [%.1f, %.1f]", 100*s.Value(), 100*lo, 100*hi)
}

// digits3 writes a number with three digits that count, or all before the point.
func digits3(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// commas writes a number with a comma between thousands.
func commas(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
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

// homeless returns a command line in which the user's home folder is ~, as it is for other users.
func homeless(line string) string {
	home, err := os.UserHomeDir()
	if err != nil || home == "/" {
		return line
	}
	return strings.ReplaceAll(line, " "+home+"/", " ~/")
}
