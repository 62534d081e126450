package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"firebench/kernels"
	"firebench/net/cli"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/preprocess"
	"firebench/net/tensor"
)

// A classifier is a compiled network and what to do with its results.
type classifier struct {
	options
	stdin          io.Reader
	stdout, stderr io.Writer
	preprocessor   *preprocess.Preprocessor // nil if no INPUT is a picture
	plan           *graph.Plan
	out            *files.Pending     // for the logits, or nil
	classes        []preprocess.Class // nil if they have no names
	printed        bool               // a result
}

// open does all that can fail before the first input is looked at.
func (c *classifier) open(ctx context.Context) (err error) {
	if c.logits != "" {
		if c.out, err = files.Create(c.logits); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	w, err := c.OpenClassifier()
	if err != nil {
		return err
	}
	calibration, err := c.Calibrate(ctx, w, cli.NewProgress(c.stderr))
	if err != nil {
		return err
	}
	if c.plan, err = c.Compile(w, calibration); err != nil {
		return err
	}
	c.classes = classesOf(c.plan.Model(), c.plan.Output().C)
	if slices.ContainsFunc(c.inputs, isPicture) {
		c.preprocessor, err = c.Preprocessor(c.plan.Model())
	}
	return err
}

// classesOf returns the classes of a classifier with so many: those that the model names or, where it names
// none, ImageNet's if there are as many.
func classesOf(m *graph.Model, n int) []preprocess.Class {
	if len(m.Classes) > 0 {
		classes := make([]preprocess.Class, len(m.Classes))
		for i, name := range m.Classes {
			classes[i].Label = name
		}
		return classes
	}
	if classes := preprocess.Classes(); len(classes) == n {
		return classes
	}
	return nil
}

func (c *classifier) close() {
	if c.out != nil {
		c.out.Discard()
	}
	if c.plan != nil {
		c.plan.Close()
	}
}

// results classifies the inputs and prints what they are. It yields an error or nil for
// each, in order, until ctx ends.
func (c *classifier) results(ctx context.Context) iter.Seq[error] {
	load := func(v kernels.View, i int) error { return c.load(v, c.inputs[i]) }
	return func(yield func(error) bool) {
		i := 0
		for v, err := range cli.Ahead(ctx, c.plan.Model().Input, len(c.inputs), load) {
			if err == nil {
				err = c.classify(c.inputs[i], v)
			}
			if !yield(err) {
				return
			}
			i++
		}
	}
}

// A result is what is known about one input, in the form of -json.
type result struct {
	File string  `json:"file"`
	Top  []guess `json:"top"`
	MS   float64 `json:"ms"`

	Model        string `json:"model"`
	Type         string `json:"type"` // cli.F32 or cli.Int8
	WeightsType  string `json:"weightsType"`
	Preprocessor string `json:"preprocessor"` // "" for a tensor
	ISA          string `json:"isa"`
	Algorithm    string `json:"algorithm"`
	Threads      int    `json:"threads"`
}

type guess struct {
	Class int     `json:"class"`
	WNID  string  `json:"wnid"`  // "" if the network's classes are not ImageNet's
	Label string  `json:"label"` // "" if they have no names
	Prob  float32 `json:"prob"`
}

// classify runs the network on an input and prints the result. Errors name the file.
func (c *classifier) classify(path string, input kernels.View) error {
	if err := kernels.Copy(c.plan.Input(), input); err != nil {
		return err
	}
	start := time.Now()
	if err := c.plan.Run(); err != nil {
		return err
	}
	ms := float64(time.Since(start).Microseconds()) / 1000
	probs := kernels.Pixel[float32](c.plan.Output(), 0, 0, 0)
	if i := slices.IndexFunc(probs, notFinite); i >= 0 {
		return fmt.Errorf("%s: the network's result is not finite: the probability of class %d is %g", path, i, probs[i])
	}
	if c.out != nil {
		logits := tensor.FromView(c.plan.Logits())
		logits.Dims = []int{1, len(logits.Data)}
		if err := tensor.WriteNPY(c.out, logits); err != nil {
			return files.Error(c.logits, err)
		}
		if err := c.out.Commit(); err != nil {
			return err
		}
	}
	r := result{
		File:        path,
		Top:         c.guesses(probs),
		MS:          ms,
		Model:       c.Model.Name,
		Type:        c.Type,
		WeightsType: c.WeightsType.String(),
		ISA:         c.Set.ISA.String(),
		Algorithm:   c.Algorithm,
		Threads:     c.plan.Threads(),
	}
	if isPicture(path) {
		r.Preprocessor = c.preprocessor.Name()
	}
	return c.print(r)
}

// guesses returns the most probable classes.
func (c *classifier) guesses(probs []float32) []guess {
	var guesses []guess
	for _, i := range preprocess.TopK(probs, c.top) {
		g := guess{Class: i, Prob: probs[i]}
		if c.classes != nil {
			g.WNID, g.Label = c.classes[i].WNID, c.classes[i].Label
		}
		guesses = append(guesses, g)
	}
	return guesses
}

// print writes a result. That the weights are random, it says once, before the first one,
// on standard error.
func (c *classifier) print(r result) error {
	if !c.printed {
		c.Warn(c.stderr, name, "the answer")
	}
	var b strings.Builder
	if c.json {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil {
			return err
		}
	} else {
		if c.printed {
			b.WriteString("\n")
		}
		how := "preprocessed tensor"
		if r.Preprocessor != "" {
			how = "preprocessor " + r.Preprocessor
		}
		fmt.Fprintf(&b, "%s: %s, %s %s, %s %s, %.3f ms\n", r.File, how, r.Model, r.Type, r.ISA, r.Algorithm, r.MS)
		if rounded := cli.RoundedWeights(c.plan); rounded != "" && !c.printed {
			fmt.Fprintf(&b, "%s\n", rounded)
		}
		for _, g := range r.Top {
			class := strings.TrimSpace(g.WNID + "  " + g.Label)
			if c.classes == nil {
				class = fmt.Sprint("class ", g.Class)
			}
			fmt.Fprintf(&b, "%7.2f %%  %s\n", 100*g.Prob, class)
		}
	}
	c.printed = true
	if _, err := io.WriteString(c.stdout, b.String()); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

func notFinite(v float32) bool {
	return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0)
}
