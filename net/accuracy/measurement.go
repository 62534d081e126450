package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"firebench/kernels"
	"firebench/net/cli"
	"firebench/net/compression"
	"firebench/net/evaluate"
	"firebench/net/files"
	"firebench/net/graph"
)

// A measurement is what the command does, and what came of it.
type measurement struct {
	options
	args     []string // of the command
	stderr   io.Writer
	progress *cli.Progress
	out      *files.Pending // for the page, or nil

	calibration *compression.Calibration // nil if no row is quantized
	weights     string                   // which layers have rounded weights in the last row, "" if none have
	rows        []row
	paths       []string // of the pictures that counted
	labels      int      // how many of them have one
	known       int      // how many of them were calibrated with
	failed      int      // pictures that could not be used
}

// A row is an arithmetic: a way in which the network is computed.
type row struct {
	arithmetic string
	plan       *graph.Plan
	score      evaluate.Score
}

// close ends what open and run have begun.
func (m *measurement) close() {
	if m.out != nil {
		m.out.Discard()
	}
	for _, r := range m.rows {
		r.plan.Close()
	}
}

// run measures all rows. Pictures that cannot be used are reported; any other error ends it.
func (m *measurement) run(ctx context.Context) (err error) {
	if m.page != "" {
		if m.out, err = files.Create(m.page); err != nil {
			return err
		}
	}
	paths, err := cli.Pictures(m.images)
	if err != nil {
		return err
	}
	calibrated, err := m.CalibrationPictures()
	if err != nil {
		return err
	}
	if err := m.compile(ctx); err != nil {
		return err
	}
	var plans []*graph.Plan
	for _, r := range m.rows {
		plans = append(plans, r.plan)
	}
	e, err := evaluate.New(plans...)
	if err != nil {
		return err
	}
	p, err := m.Preprocessor(plans[0].Model())
	if err != nil {
		return err
	}
	m.Warn(m.stderr, name, "the accuracy")

	labelOf := evaluate.Labels(plans[0].Model(), plans[0].Output().C)
	i := 0
	load := func(v kernels.View, i int) error { return cli.ReadPicture(p, v, paths[i]) }
	for v, err := range cli.Ahead(ctx, plans[0].Model().Input, len(paths), load) {
		path, label := paths[i], labelOf(paths[i])
		i++
		if err == nil {
			if err = e.Add(v, label); err != nil {
				err = files.Error(path, err)
			}
		}
		if err != nil {
			m.progress.Clear()
			cli.Report(m.stderr, name, err)
			m.failed++
			continue
		}
		m.paths = append(m.paths, path)
		if label != evaluate.Unknown {
			m.labels++
		}
		m.progress.Show("%d of %d pictures", i, len(paths))
	}
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	if len(m.paths) == 0 {
		return nil // every picture has been reported
	}
	for i, s := range e.Scores() {
		m.rows[i].score = s
	}
	m.countKnown(calibrated)
	return nil
}

// countKnown counts the pictures that are among those calibrated with, whatever paths lead to them.
func (m *measurement) countKnown(calibrated []string) {
	known := map[string]bool{}
	for _, path := range calibrated {
		known[target(path)] = true
	}
	for _, path := range m.paths {
		if known[target(path)] {
			m.known++
		}
	}
}

// target returns the one path of a file that has several, through links or from the current folder.
func target(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path
}

// compile makes the rows, the float32 one first if there is one.
func (m *measurement) compile(ctx context.Context) error {
	w, err := m.OpenClassifier()
	if err != nil {
		return err
	}
	if m.Quantized && m.page != "" {
		return fmt.Errorf("-page: %s is quantized already", m.Model.Name)
	}
	if m.calibration, err = m.Calibrate(ctx, w, m.progress); err != nil {
		return err
	}
	add := func(n cli.Network, c *compression.Calibration, arithmetic string) {
		if err != nil {
			return
		}
		var plan *graph.Plan
		if plan, err = n.Compile(w, c); err == nil {
			m.rows = append(m.rows, row{arithmetic: arithmetic, plan: plan})
		}
	}
	if !m.Quantized {
		exact := m.Network
		exact.WeightsType = kernels.Float32Weights
		add(exact, nil, "float32")
	}
	if m.WeightsType != kernels.Float32Weights {
		if add(m.Network, nil, fmt.Sprintf("float32, %v weights", m.WeightsType)); err == nil {
			m.weights = cli.RoundedWeights(m.rows[len(m.rows)-1].plan)
		}
	}
	if m.Type != cli.Int8 {
		return err
	}
	name := "int8"
	if m.Compression.WeightBits == 7 {
		name += ", 7-bit weights"
	}
	add(m.Network, m.calibration, name)
	if m.saturate || m.page != "" {
		saturating := m.Network
		saturating.Set = kernels.Saturating(m.Set)
		add(saturating, m.calibration, name+", saturating sums")
	}
	if m.page != "" {
		seven := m.Network
		seven.Compression.WeightBits = 7
		add(seven, m.calibration, name+", 7-bit weights")
	}
	return err
}
