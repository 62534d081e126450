package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"firebench/kernels"
	"firebench/net/cli"
	"firebench/net/compression"
	"firebench/net/dataset"
	"firebench/net/graph"
	"firebench/net/training"
)

// A command is one run of train.
type command struct {
	options
	stdout, stderr io.Writer
	progress       *cli.Progress

	recipe training.Recipe
	data   *dataset.Dataset
	mask   compression.Mask
}

// train does everything.
func (c *command) train(ctx context.Context) error {
	w, err := c.OpenClassifier()
	if err != nil {
		return err
	}
	m, err := w.Adapt(c.Model)
	if err != nil {
		return err
	}
	otherwise := "squeezenet"
	switch {
	case c.Given():
		otherwise = "finetune"
	case max(m.Input.H, m.Input.W) <= 64:
		otherwise = "cifar"
	}
	if c.recipe, err = c.resolve(otherwise); err != nil {
		return err
	}
	p, err := c.Preprocessor(m)
	if err != nil {
		return err
	}
	if c.data, err = dataset.Open(c.options.data, dataset.Options{Preprocessor: p, Seed: c.seed, Memory: int64(c.memory) << 20, Strict: c.strict}); err != nil {
		return err
	}
	defer c.data.Close()
	classes := c.data.Classes
	if c.classes != 0 && c.classes != len(classes) {
		return fmt.Errorf("%s: %d classes, expected %d: %q", c.options.data, len(classes), c.classes, classes)
	}
	params, err := c.params(ctx, w)
	if err != nil {
		return err
	}
	if err := c.checkFrozen(params.Model()); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "%s, recipe %s, %d pictures of %d classes, %d for validation\n", params.Model().Name, c.recipe.Name, c.data.Train.Len(), len(classes), c.data.Val.Len())
	fmt.Fprintf(c.stdout, "%5s  %9s  %8s  %8s  %8s  %8s  %8s\n", "epoch", "rate", "loss", "correct", "val loss", "correct", "images/s")
	fitted, err := training.Fit(ctx, params, training.FitOptions{
		Recipe: c.recipe, Data: c.data, Dir: c.out, Seed: c.seed,
		Set: c.Set, Algo: c.Algorithm, Threads: c.Threads,
		Frozen: c.frozen, Mask: c.mask,
		Progress: c.show, Row: c.row,
		Skipped: func(err error) {
			c.progress.Clear()
			cli.Report(c.stderr, name, err)
		},
	})
	c.progress.Clear()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w; the run goes on with the same command", cli.ErrInterrupted)
	}
	if err != nil {
		return err
	}
	share := fitted.Result
	if n := c.data.Unreadable(); n > 0 {
		fmt.Fprintf(c.stderr, "%s: %d pictures could not be read\n", name, n)
	}
	_, err = fmt.Fprintf(c.stdout, "best after epoch %d: %d of %d correct, %.1f %%; %s in all\n%s/%s\n",
		fitted.Epoch, share.Correct, share.Images, 100*fitted.Accuracy, fitted.Time.Round(time.Second), c.out, training.ModelFile)
	return err
}

// params returns the weights to start from.
func (c *command) params(ctx context.Context, w graph.Weights) (*training.Params, error) {
	at, err := training.Head(c.Model)
	if err != nil {
		return nil, err
	}
	infos, err := c.Model.Infer()
	if err != nil {
		return nil, err
	}
	m := c.Model
	if infos[at].Out.C != len(c.data.Classes) {
		if m, w, err = training.NewHead(len(c.data.Classes), c.seed, training.Gaussian(0.01)).Apply(m, w); err != nil {
			return nil, err
		}
	}
	named := m.Clone()
	named.Classes = c.data.Classes
	if !c.Given() {
		pictures, err := c.pictures(ctx)
		if err != nil {
			return nil, err
		}
		return c.recipe.Start(named, c.seed, pictures, graph.Options{Set: c.Set, Threads: c.Threads})
	}
	if c.dense {
		w = plain{w}
	} else if c.mask, err = compression.NewMask(named, w); err != nil {
		return nil, err
	}
	// Layers without zeros need no mask.
	for node, kept := range c.mask {
		if !slices.Contains(kept, false) {
			delete(c.mask, node)
		}
	}
	return training.NewParams(named, w)
}

// plain are weights that tell of no values that they share.
type plain struct{ w graph.Weights }

func (p plain) Adapt(m *graph.Model) (*graph.Model, error) { return p.w.Adapt(m) }

func (p plain) Layer(param graph.Param) (kernels.Weights, error) { return p.w.Layer(param) }

// pictures returns a batch of inputs, for the initialization.
func (c *command) pictures(ctx context.Context) ([]float32, error) {
	l, err := c.data.Train.Loader(dataset.LoaderOptions{Batch: c.recipe.Batch, Train: true, Augment: c.recipe.Augment, Seed: c.seed})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	b, err := l.Next(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Clone(kernels.Data[float32](b.Input)), nil
}

// checkFrozen returns an error for a pattern that fits no layer with weights, and if no layer is left to train.
func (c *command) checkFrozen(m *graph.Model) error {
	params, err := m.Params()
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
