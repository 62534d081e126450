package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firebench/net/cli"
	"firebench/net/dataset"
	"firebench/net/evaluate"
	"firebench/net/graph"
	"firebench/net/preprocess"
	"firebench/net/squeezenet"
	"firebench/net/training"
)

// An experiment changes one choice.
type experiment struct {
	name, title, axis string
	choices           []choice
}

// A choice is a point of an experiment.
type choice struct {
	label string
	x     float64 // on the axis; NaN where the choices are no numbers
	micro squeezenet.Micro
}

// numbers returns the choices that a number makes.
func numbers(unit float64, micro func(x float64) squeezenet.Micro, at ...float64) (all []choice) {
	for _, x := range at {
		all = append(all, choice{fmt.Sprintf("%v", x), x, micro(x * unit)})
	}
	return all
}

var experiments = []experiment{
	{"ratio", "Squeeze ratio", "squeeze ratio", numbers(1, func(x float64) squeezenet.Micro { return squeezenet.Micro{SqueezeRatio: x} }, 0.125, 0.25, 0.5, 0.75, 1)},
	{"share", "Share of 3×3 kernels", "3×3, %", numbers(0.01, func(x float64) squeezenet.Micro { return squeezenet.Micro{Share3x3: x} }, 1, 12.5, 25, 50, 75, 99)},
	{"pools", "Pools", "", []choice{
		{"early, after layers 1 and 3", math.NaN(), squeezenet.Micro{Pools: []int{1, 3}}},
		{"after layers 3 and 5", math.NaN(), squeezenet.Micro{}},
		{"late, after layers 5 and 7", math.NaN(), squeezenet.Micro{Pools: []int{5, 7}}},
	}},
	{"bypass", "Bypass", "", []choice{
		{"none", math.NaN(), squeezenet.Micro{}},
		{"simple", math.NaN(), squeezenet.Micro{Bypass: squeezenet.SimpleBypass}},
		{"complex", math.NaN(), squeezenet.Micro{Bypass: squeezenet.ComplexBypass}},
	}},
}

// names returns the names of all experiments.
func names() (all []string) {
	for _, e := range experiments {
		all = append(all, e.name)
	}
	return all
}

// A network is one that is trained, for one experiment or several.
type network struct {
	model   *graph.Model
	run     *training.Fitted
	params  int64
	macs    int64
	plan    *graph.Plan
	times   []float64 // milliseconds, by round
	correct evaluate.Share
}

// ms returns the median time of an image.
func (n *network) ms() float64 {
	ms, _, _ := evaluate.Median(slices.Clone(n.times))
	return ms
}

// A command is one run of experiments.
type command struct {
	options
	args           []string
	stdout, stderr io.Writer
	progress       *cli.Progress

	classes  []string
	networks map[string]*network // by the model's name; those that have been trained
}

// run does everything.
func (c *command) run(ctx context.Context) error {
	if err := c.train(ctx); err != nil {
		return err
	}
	if len(c.networks) == 0 {
		return fmt.Errorf("%s: no run has ended", c.out)
	}
	defer func() {
		for _, n := range c.networks {
			if n.plan != nil {
				n.plan.Close()
			}
		}
	}()
	if err := c.time(ctx); err != nil {
		return err
	}
	if c.page != "" {
		if err := c.writePage(); err != nil {
			return err
		}
	}
	return c.print()
}

// chosen returns the experiments that are to be made.
func (c *command) chosen() []experiment {
	if c.only == nil {
		return experiments
	}
	return slices.DeleteFunc(slices.Clone(experiments), func(e experiment) bool { return !slices.Contains(c.only, e.name) })
}

// modelOf returns the network of a choice.
func modelOf(m squeezenet.Micro, classes []string) (*graph.Model, error) {
	n, err := m.New(len(classes))
	if err == nil {
		n.Classes = classes
	}
	return n, err
}

// train trains all networks, or, with -ended, reads those that have been.
func (c *command) train(ctx context.Context) error {
	base, err := squeezenet.Micro{}.New(2)
	if err != nil {
		return err
	}
	p, err := preprocess.Lookup(base.Preprocessor)
	if err != nil {
		return err
	}
	data, err := dataset.Open(c.data, dataset.Options{Preprocessor: p, Seed: c.seed, Memory: int64(c.memory) << 20, Classes: c.options.classes, Pictures: c.pictures, ValPictures: c.validate})
	if err != nil {
		return err
	}
	defer data.Close()
	c.classes, c.networks = data.Classes, map[string]*network{}
	var models []*graph.Model
	for _, e := range c.chosen() {
		for _, choice := range e.choices {
			m, err := modelOf(choice.micro, data.Classes)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(models, func(other *graph.Model) bool { return other.Name == m.Name }) {
				models = append(models, m)
			}
		}
	}
	for i, m := range models {
		n, err := c.trainOne(ctx, m, data, fmt.Sprintf("%d of %d", i+1, len(models)))
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if n != nil {
			c.networks[m.Name] = n
		}
	}
	return nil
}

// trainOne trains a network in its folder. It returns nil for one without a run that has ended, if there should be one.
func (c *command) trainOne(ctx context.Context, m *graph.Model, data *dataset.Dataset, which string) (*network, error) {
	dir := filepath.Join(c.out, m.Name)
	if c.ended {
		if _, err := os.Stat(filepath.Join(dir, training.ModelFile)); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	}
	start, skipped, err := c.recipe.Begin(ctx, dir, m, data.Train, c.seed, graph.Options{Threads: c.threads})
	report := func(err error) {
		c.progress.Clear()
		cli.Report(c.stderr, name, err)
	}
	for _, err := range skipped {
		report(err)
	}
	if err != nil {
		return nil, err
	}
	run, err := training.Fit(ctx, start, training.FitOptions{
		Recipe: c.recipe, Data: data, Dir: dir, Seed: c.seed, Threads: c.threads, Skipped: report,
		Every: c.recipe.Epochs, // see below
		Progress: func(p training.Progress) {
			loss, accuracy := p.Mean()
			c.progress.Show("%s, %s: epoch %d of %d, loss %.3f, %.1f %% correct, %.0f images/s, %v left", which, m.Name, p.Epoch, p.Epochs, loss, 100*accuracy, p.Speed, p.Left)
		},
	})
	c.progress.Clear()
	if err != nil {
		return nil, err
	}
	// The last epoch counts: the best one would be chosen by the pictures that it is then measured with.
	last := run.Rows[len(run.Rows)-1]
	n := &network{model: m, run: run, correct: evaluate.Share{Count: int(math.Round(last.ValAccuracy * float64(run.Result.Images))), Total: run.Result.Images}}
	infos, err := m.Infer()
	if err != nil {
		return nil, err
	}
	for _, i := range infos {
		n.params += i.Cost.Params
		n.macs += i.Cost.MACs
	}
	fmt.Fprintf(c.stdout, "%s, %s: %s correct, %v\n", which, m.Name, percent(n.correct), run.Time.Round(time.Second))
	return n, nil
}

// time takes the times of an image, on one thread, with all networks in turn.
func (c *command) time(ctx context.Context) error {
	all := c.trained()
	for _, n := range all {
		var err error
		if n.plan, err = graph.Compile(n.model, n.run.Params, graph.Options{Threads: 1}); err != nil {
			return err
		}
	}
	for round := range c.rounds {
		for _, i := range rand.Perm(len(all)) {
			ms, err := evaluate.Sample(ctx, all[i].plan.Run)
			if err != nil {
				return err
			}
			all[i].times = append(all[i].times, ms)
		}
		c.progress.Show("timed %d of %d rounds", round+1, c.rounds)
	}
	c.progress.Clear()
	return nil
}

// trained returns the networks that have been trained, by their names.
func (c *command) trained() (all []*network) {
	for _, n := range c.networks {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *network) int { return strings.Compare(a.model.Name, b.model.Name) })
	return all
}

// percent writes a share with its interval.
func percent(s evaluate.Share) string {
	lo, hi := s.Interval()
	return fmt.Sprintf("%.1f %% [%.1f, %.1f]", 100*s.Value(), 100*lo, 100*hi)
}

// rows returns the table of an experiment, its head first, and which choices and networks its rows are.
func (c *command) rows(e experiment) (cells [][]string, choices []choice, networks []*network, err error) {
	cells = [][]string{{strings.ToLower(e.title), "network", "correct", "parameters", "bytes", "multiply-adds", "ms per image", "minutes to train"}}
	for _, choice := range e.choices {
		m, err := modelOf(choice.micro, c.classes)
		if err != nil {
			return nil, nil, nil, err
		}
		n := c.networks[m.Name]
		if n == nil {
			continue
		}
		label := choice.label
		if e.name == "share" {
			label += " %"
		}
		cells = append(cells, []string{
			label, m.Name, percent(n.correct), commas(n.params), commas(4 * n.params), commas(n.macs),
			fmt.Sprintf("%.3g", n.ms()), fmt.Sprintf("%.1f", n.run.Time.Minutes()),
		})
		choices, networks = append(choices, choice), append(networks, n)
	}
	return cells, choices, networks, nil
}

// commas writes a number with a comma between thousands.
func commas(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// print prints the tables.
func (c *command) print() error {
	for _, e := range c.chosen() {
		cells, _, networks, err := c.rows(e)
		if err != nil {
			return err
		}
		if len(networks) == 0 {
			continue
		}
		fmt.Fprintf(c.stdout, "\n%s\n", e.title)
		var widths []int
		for i := range cells[0] {
			w := 0
			for _, row := range cells {
				w = max(w, len([]rune(row[i])))
			}
			widths = append(widths, w)
		}
		for _, row := range cells {
			var line strings.Builder
			for i, cell := range row {
				if i < 2 {
					fmt.Fprintf(&line, "%-*s  ", widths[i], cell)
				} else {
					fmt.Fprintf(&line, "%*s  ", widths[i], cell)
				}
			}
			if _, err := fmt.Fprintln(c.stdout, strings.TrimRight(line.String(), " ")); err != nil {
				return err
			}
		}
	}
	return nil
}
