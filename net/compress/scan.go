package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"firebench/net/cli"
	"firebench/net/compression"
	"firebench/net/files"
	"firebench/net/graph"
)

// densities are what -scan prunes each layer to.
var densities = []float64{0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05}

// scanLayers prunes each layer alone, prints a table and writes a plot.
func (c *command) scanLayers(ctx context.Context, stdout io.Writer) error {
	w, err := c.OpenClassifier()
	if err != nil {
		return err
	}
	if c.Quantized {
		return c.quantizedError()
	}
	out, err := files.Create(c.scan)
	if err != nil {
		return err
	}
	defer out.Discard()
	pictures, err := cli.Pictures([]string{c.images})
	if err != nil {
		return err
	}
	c.Warn(c.stderr, name, "the agreement")
	m, w, err := keep.Apply(c.Model, w)
	if err != nil {
		return err
	}
	p, err := c.Preprocessor(m)
	if err != nil {
		return err
	}
	o := compression.ScanOptions{
		Densities: densities,
		Images:    cli.Images(ctx, p, m.Input, pictures, c.progress, "scanned with"),
		Plan:      graph.Options{Set: c.Set, Algo: c.Algorithm},
		Done:      func(curve compression.Curve) { c.progress.Show("scanned %s", curve.Node) },
	}
	if c.pattern == vector {
		o.Panel = panel(c.Set)
	}
	var curves []compression.Curve
	if err := interruptible(ctx, func() (err error) {
		curves, err = compression.Scan(m, w, o)
		return err
	}); err != nil {
		return err
	}
	c.progress.Clear()
	var plot bytes.Buffer
	if err := compression.WriteCurves(&plot, "Agreement with "+m.Name+" after one layer is pruned, by its density", curves); err != nil {
		return err
	}
	if _, err := out.Write(plot.Bytes()); err != nil {
		return err
	}
	if err := out.Commit(); err != nil {
		return err
	}
	rows := [][]string{{"layer", "density"}}
	for _, d := range densities {
		rows[0] = append(rows[0], fmt.Sprint(d))
	}
	for _, curve := range curves {
		cells := []string{curve.Node, fmt.Sprintf("%.3f", curve.Density)}
		for _, point := range curve.Points {
			cells = append(cells, fmt.Sprintf("%.1f %%", 100*point.Agreement.Value()))
		}
		rows = append(rows, cells)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, pruned in one layer, %s: how often the most probable class stays on %s\n\n", m.Name, c.pattern, plural(len(pictures), "picture"))
	writeTable(&b, rows)
	b.WriteString("\nThe density is that of the layer as it is; those above it change nothing.\n")
	if _, err := io.WriteString(stdout, b.String()); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

// interruptible returns f's error, or at once if ctx ends before f does. F is then left alone: the command ends.
func interruptible(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return cli.ErrInterrupted
	}
}
