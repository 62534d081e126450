package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"firebench/kernels"
	"firebench/net/cli"
	"firebench/net/compression"
	"firebench/net/files"
	"firebench/net/graph"
)

// A command is what the command does.
type command struct {
	options
	args     []string // of the command
	stderr   io.Writer
	progress *cli.Progress
	failed   int // pictures that could not be used
}

// sorted returns the keys of a map in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// compress does the steps that the flags say, writes the file and prints the ladder.
func (c *command) compress(ctx context.Context, stdout io.Writer) error {
	w, err := c.OpenClassifier()
	if err != nil {
		return err
	}
	if c.Quantized {
		return c.quantizedError()
	}
	var out *files.Pending
	if c.out != "" {
		if out, err = files.Create(c.out); err != nil {
			return err
		}
		defer out.Discard()
	}
	var pictures []string
	if c.images != "" {
		if _, err := os.Stat(c.images); err != nil {
			return files.Error(c.images, err)
		}
		if pictures, err = cli.Pictures([]string{c.images}); err != nil {
			return err
		}
	}
	if c.images != "" || c.out != "" || c.factorize != nil || c.share != nil {
		c.Warn(c.stderr, name, "what they compute or lose")
	}
	l := &ladder{options: c.Network.Options()}
	defer l.close()
	if err := c.climb(ctx, l, w); err != nil {
		return err
	}
	last := l.steps[len(l.steps)-1]
	if out != nil {
		if err := c.format.write(out, last.model, last.weights); err != nil {
			return err
		}
	}
	if err := l.time(ctx, c.rounds, c.progress); err != nil {
		return err
	}
	if c.layers {
		for _, s := range l.steps {
			if err := s.timeLayers(ctx, c.rounds, c.progress); err != nil {
				return err
			}
		}
	}
	if len(pictures) > 0 {
		p, err := c.Preprocessor(l.steps[0].model)
		if err != nil {
			return err
		}
		if c.failed, err = l.evaluate(ctx, p, pictures, c.stderr, c.progress); err != nil {
			return err
		}
	}
	if out != nil {
		if err := out.Commit(); err != nil {
			return err
		}
	}
	var b strings.Builder
	c.print(&b, l)
	if _, err := io.WriteString(stdout, b.String()); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

func (c *command) quantizedError() error {
	return fmt.Errorf("%s: its values are quantized already, expected float32", c.Model.Name)
}

// matched returns densities by layer, of densities by layer or by pattern. What fits no layer stays.
func matched(m *graph.Model, densities map[string]float64) (map[string]float64, error) {
	params, err := m.Params()
	if err != nil {
		return nil, err
	}
	layers := maps.Clone(densities)
	for pattern, d := range densities {
		for _, p := range params {
			// parsePrune has tried the pattern.
			if ok, _ := path.Match(pattern, p.Node); !ok || p.Node == pattern {
				continue
			}
			delete(layers, pattern)
			if _, named := densities[p.Node]; named {
				continue
			}
			if other, twice := layers[p.Node]; twice && other != d {
				return nil, fmt.Errorf("-prune: layer %s has the densities %v and %v by patterns", p.Node, min(d, other), max(d, other))
			}
			layers[p.Node] = d
		}
	}
	return layers, nil
}

// climb adds the steps of the flags to a ladder, the network as it is first.
func (c *command) climb(ctx context.Context, l *ladder, w graph.Weights) error {
	m, w, err := keep.Apply(c.Model, w)
	if err != nil {
		return err
	}
	if _, err := l.add("original", m, w, kernels.Float32Weights); err != nil {
		return err
	}
	next := func(name string, rewrite graph.Rewrite, notes map[string]string) error {
		c.progress.Show("%s", name)
		defer c.progress.Clear()
		if err := interruptible(ctx, func() (err error) {
			m, w, err = rewrite.Apply(m, w)
			return err
		}); err != nil {
			return err
		}
		s, err := l.add(name, m, w, kernels.Float32Weights)
		if err == nil && notes != nil {
			s.notes = notes
		}
		return err
	}
	if o := c.factorize; o != nil {
		o.Set, o.Threads = c.Set, c.Threads
		rewrite, notes := factorize(*o)
		if err := next("factorized", rewrite, notes); err != nil {
			return err
		}
	}
	if c.prune != nil {
		o := *c.prune
		if o.Layers, err = matched(m, o.Layers); err != nil {
			return err
		}
		name := "pruned"
		if c.pattern == vector {
			name += " by rows"
			o.Panel = panel(c.Set)
		}
		if err := next(name, compression.Prune(o), nil); err != nil {
			return err
		}
	}
	if c.share != nil {
		var pictures []string
		if !c.share.plain {
			if pictures, err = c.CalibrationPictures(); err != nil {
				return err
			}
		}
		rewrite, notes, err := c.sharing(ctx, m, c.share.ShareOptions, pictures)
		if err != nil {
			return err
		}
		if err := next("shared", rewrite, notes); err != nil {
			return err
		}
	}
	if c.Type == cli.Int8 {
		n := c.Network
		n.Model = m
		scales, err := n.Calibrate(ctx, w, c.progress)
		if err != nil {
			return err
		}
		return next("int8", compression.Quantize(scales, c.Compression), nil)
	}
	if c.WeightsType == kernels.Float32Weights {
		return nil
	}
	s, err := l.add(c.WeightsType.String()+" weights", m, w, c.WeightsType)
	if err == nil && cli.RoundedWeights(s.plan) == "" {
		err = fmt.Errorf("%s: -weights-type %v, but no float32 layer with weights has one pixel as its result", m.Name, c.WeightsType)
	}
	return err
}

// keep changes nothing: applied, it gives the model that the weights were trained for.
var keep graph.Rewrite = func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) { return m, w, nil }

// panel is how many output channels the panels of kernels have.
func panel(set *kernels.Set) int { return set.F32.Conv.Wide.Width }

// factorize returns the rewrite, which fills in the notes.
func factorize(o compression.FactorizeOptions) (graph.Rewrite, map[string]string) {
	notes := map[string]string{}
	return compression.Factorize(o, func(f compression.FactorizedLayer) {
		if f.Rank == (compression.Rank{}) {
			return
		}
		for _, suffix := range []string{"reduce", "vertical"} { // the first of the layers that it becomes
			notes[f.Node+"."+suffix] = fmt.Sprintf("rank %v, relative error %.3g", f.Rank, f.Error)
		}
	}), notes
}

// sharing returns the rewrite that shares with pictures, or without if there are none, and fills in the notes.
func (c *command) sharing(ctx context.Context, m *graph.Model, o compression.ShareOptions, pictures []string) (graph.Rewrite, map[string]string, error) {
	notes := map[string]string{}
	o.Set = c.Set
	if len(pictures) > 0 {
		p, err := c.Preprocessor(m)
		if err != nil {
			return nil, nil, err
		}
		o.Images = cli.Images(ctx, p, m.Input, pictures, c.progress, "shared with")
	}
	o.Done = func(l compression.SharedLayer) {
		notes[l.Node] = fmt.Sprintf("%s, relative error %.3g", plural(l.Values+1, "value"), l.Error)
		c.progress.Show("shared the values of %s", l.Node)
	}
	return compression.Share(o), notes, nil
}
