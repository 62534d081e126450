package main

import (
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
	curves, err := c.curves(ctx, m, w, pictures)
	if err != nil {
		return err
	}
	if err := writePlot(out, m, curves); err != nil {
		return err
	}
	if err := out.Commit(); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, pruned in one layer, %s: how often the most probable class stays on %s\n\n", m.Name, c.pattern, plural(len(pictures), "picture"))
	writeTable(&b, curveRows(curves))
	b.WriteString("\nThe first column is the density of the layer as it is; densities above it prune nothing.\n")
	if _, err := io.WriteString(stdout, b.String()); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

// curves scans all layers of a network with pictures.
func (c *command) curves(ctx context.Context, m *graph.Model, w graph.Weights, pictures []string) ([]compression.Curve, error) {
	p, err := c.Preprocessor(m)
	if err != nil {
		return nil, err
	}
	params, err := m.Params()
	if err != nil {
		return nil, err
	}
	scanned := 0
	o := compression.ScanOptions{
		Densities: densities,
		Images:    cli.Images(ctx, p, m.Input, pictures, c.progress, "scanned with"),
		Plan:      graph.Options{Set: c.Set, Algo: c.Algorithm},
		Done: func(curve compression.Curve) {
			scanned++
			c.progress.Show("scanned %s, %d of %d layers", curve.Node, scanned, len(params))
		},
	}
	if c.pattern == vector {
		o.Panel = panel(c.Set)
	}
	var curves []compression.Curve
	err = interruptible(ctx, func() (err error) {
		curves, err = compression.Scan(m, w, o)
		return err
	})
	c.progress.Clear()
	return curves, err
}

// writePlot writes the plot of curves.
func writePlot(w io.Writer, m *graph.Model, curves []compression.Curve) error {
	return compression.WriteCurves(w, m.Name+", pruned in one layer: how often the most probable class stays", curves)
}

// curveRows returns the cells of a table of curves.
func curveRows(curves []compression.Curve) [][]string {
	rows := [][]string{{"layer", "density"}}
	for _, d := range densities {
		rows[0] = append(rows[0], fmt.Sprint(d))
	}
	for _, curve := range curves {
		cells := []string{curve.Node, fmt.Sprintf("%.2f", curve.Density)}
		for _, point := range curve.Points {
			cell := "-"
			if point.Density < curve.Density {
				cell = fmt.Sprintf("%.1f %%", 100*point.Agreement.Value())
			}
			cells = append(cells, cell)
		}
		rows = append(rows, cells)
	}
	return rows
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
