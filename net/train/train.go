package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"firebench/kernels"
	"firebench/net/cli"
	"firebench/net/compression"
	"firebench/net/dataset"
	"firebench/net/evaluate"
	"firebench/net/graph"
	"firebench/net/training"
)

// A command is one run of train.
type command struct {
	options
	stdout, stderr io.Writer
	progress       *cli.Progress

	data *dataset.Dataset
	mask compression.Mask
}

// train does everything.
func (c *command) train(ctx context.Context) error {
	w, err := c.OpenClassifier()
	if err != nil {
		return err
	}
	p, err := c.Preprocessor(c.Model)
	if err != nil {
		return err
	}
	if c.data, err = dataset.Open(c.options.data, dataset.Options{Preprocessor: p, Seed: c.seed, Memory: int64(c.memory) << 20, Strict: c.strict}); err != nil {
		return err
	}
	defer c.data.Close()
	if c.classes != 0 && c.classes != len(c.data.Classes) {
		return fmt.Errorf("%s: %d classes, expected %d: %q", c.options.data, len(c.data.Classes), c.classes, c.data.Classes)
	}
	if err := c.checkFrozen(); err != nil {
		return err
	}
	params, err := c.params(ctx, w, p.Name())
	if err != nil {
		return interrupted(ctx, err)
	}
	fmt.Fprintf(c.stdout, "%s, recipe %s, %d pictures of %d classes, %d for validation\n", params.Model().Name, c.recipe.Name, c.data.Train.Len(), len(c.data.Classes), c.data.Val.Len())
	fmt.Fprintf(c.stdout, "%5s  %9s  %8s  %8s  %8s  %8s  %8s\n", "epoch", "rate", "loss", "correct", "val loss", "correct", "images/s")
	fitted, err := training.Fit(ctx, params, training.FitOptions{
		Recipe: c.recipe, Data: c.data, Dir: c.out, Seed: c.seed,
		Set: c.Set, Algo: c.Algorithm, Threads: c.Threads,
		Frozen: c.frozen, Mask: c.mask,
		Progress: c.show, Row: c.row, Skipped: c.skipped,
	})
	c.progress.Clear()
	if n := c.data.Unreadable(); n > 0 {
		fmt.Fprintf(c.stderr, "%s: %s could not be read\n", name, plural(n, "picture"))
	}
	if err != nil {
		return interrupted(ctx, err)
	}
	share := evaluate.Share{Count: fitted.Result.Correct, Total: fitted.Result.Images}
	lo, hi := share.Interval()
	_, err = fmt.Fprintf(c.stdout, "best after epoch %d: %d of %d correct, %.1f %% [%.1f, %.1f]; %s in all\n%s\n",
		fitted.Epoch, share.Count, share.Total, 100*share.Value(), 100*lo, 100*hi, fitted.Time.Round(time.Second), filepath.Join(c.out, training.ModelFile))
	return err
}

// interrupted says of an error that ctx's end is the cause, if it is.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w; the run goes on with the same command", cli.ErrInterrupted)
	}
	return err
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// skipped reports a picture that cannot be read.
func (c *command) skipped(err error) {
	c.progress.Clear()
	cli.Report(c.stderr, name, err)
}

// params returns the weights to start from.
func (c *command) params(ctx context.Context, w graph.Weights, preprocessor string) (*training.Params, error) {
	other, err := c.otherClasses()
	if err != nil {
		return nil, err
	}
	m := c.Model
	if other {
		if m, w, err = training.NewHead(len(c.data.Classes), c.seed, training.Gaussian(training.HeadDeviation)).Apply(m, w); err != nil {
			return nil, err
		}
	}
	m = m.Clone()
	m.Classes, m.Preprocessor = c.data.Classes, preprocessor
	if !c.Given() {
		pictures, skipped, err := c.recipe.Pictures(ctx, c.data.Train, c.seed)
		if err != nil {
			return nil, err
		}
		for _, err := range skipped {
			c.skipped(err)
		}
		return c.recipe.Start(m, c.seed, pictures, graph.Options{Set: c.Set, Algo: c.Algorithm, Threads: c.Threads})
	}
	if c.dense {
		return training.NewParams(m, plain{w})
	}
	if c.mask, err = compression.NewMask(m, w); err != nil {
		return nil, err
	}
	p, err := training.NewParams(m, w)
	if err == nil {
		p.Tie()
	}
	return p, err
}

// otherClasses reports whether the network's scores are of other classes than the pictures: of others by name, if it knows
// their names, or of another number.
func (c *command) otherClasses() (bool, error) {
	at, err := training.Head(c.Model)
	if err != nil {
		return false, err
	}
	infos, err := c.Model.Infer()
	if err != nil {
		return false, err
	}
	known := c.Model.Classes
	return infos[at].Out.C != len(c.data.Classes) || len(known) > 0 && !slices.Equal(known, c.data.Classes), nil
}

// plain are weights that tell of no values that they share.
type plain struct{ w graph.Weights }

func (p plain) Adapt(m *graph.Model) (*graph.Model, error) { return p.w.Adapt(m) }

func (p plain) Layer(param graph.Param) (kernels.Weights, error) { return p.w.Layer(param) }

// checkFrozen returns an error for a pattern that fits no layer with weights, and if no layer is left to train.
func (c *command) checkFrozen() error {
	params, err := c.Model.Params()
	if err != nil {
		return err
	}
	var names []string
	for _, p := range params {
		names = append(names, p.Node)
	}
	for _, pattern := range c.freeze {
		one := options{freeze: []string{pattern}}
		if !slices.ContainsFunc(names, one.frozen) {
			return fmt.Errorf("-freeze %s: no layer with weights has such a name, they are %q", pattern, names)
		}
	}
	if !slices.ContainsFunc(names, func(n string) bool { return !c.frozen(n) }) {
		return errors.New("-freeze: no layer is left to train")
	}
	return nil
}

// show shows how far the run is.
func (c *command) show(p training.Progress) {
	if p.Evaluating {
		c.progress.Show("epoch %d of %d: validation", p.Epoch, p.Epochs)
		return
	}
	left := ""
	if p.Left > 0 {
		left = fmt.Sprintf(", %s left", p.Left)
	}
	loss, accuracy := p.Mean()
	c.progress.Show("epoch %d of %d, step %d of %d: loss %.3f, %.1f %% correct, %.0f images/s%s", p.Epoch, p.Epochs, p.Step, p.Steps, loss, 100*accuracy, p.Speed, left)
}

// row prints what an epoch gave.
func (c *command) row(r training.Row) {
	c.progress.Clear()
	fmt.Fprintf(c.stdout, "%5.0f  %9.6f  %8.4f  %6.1f %%  %8.4f  %6.1f %%  %8.1f\n", r.Epoch, r.Rate, r.Loss, 100*r.Accuracy, r.ValLoss, 100*r.ValAccuracy, r.ImagesSecond)
}
