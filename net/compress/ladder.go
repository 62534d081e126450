package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"firebench/kernels"
	"firebench/net/cli"
	"firebench/net/compression"
	"firebench/net/evaluate"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/preprocess"
	"firebench/net/weights"
)

// A ladder is a network in several steps, each of which is compared with the first.
type ladder struct {
	options graph.Options
	steps   []*step
	paths   []string // of the pictures that counted
	labels  int      // how many of them have one
}

// A step is a network after some compression.
type step struct {
	name    string
	model   *graph.Model
	weights graph.Weights
	options graph.Options
	notes   map[string]string // what the step did to layers

	plan     *graph.Plan
	params   int64
	nonzeros int64 // of the weights, and all biases
	disk     int64
	file     string    // what disk counts the bytes of
	times    []float64 // milliseconds, by round
	layers   []layerRow
	score    *evaluate.Score // nil without pictures
}

// add compiles a network as the next step.
func (l *ladder) add(name string, m *graph.Model, w graph.Weights, weightsType kernels.WeightsType) (*step, error) {
	s := &step{name: name, model: m, weights: w, options: l.options, notes: map[string]string{}}
	s.options.WeightsType = weightsType
	if err := s.count(); err != nil {
		return nil, err
	}
	var err error
	if s.plan, err = graph.Compile(m, w, s.options); err != nil {
		return nil, err
	}
	l.steps = append(l.steps, s)
	return s, nil
}

// close ends what add has begun.
func (l *ladder) close() {
	for _, s := range l.steps {
		s.plan.Close()
	}
}

// count counts parameters and bytes.
func (s *step) count() error {
	infos, err := s.model.Infer()
	if err != nil {
		return err
	}
	for _, n := range infos {
		s.params += n.Cost.Params
	}
	format := formatFBW
	if compression.IsQuantized(infos) {
		format = formatONNX // the other has no place for scales
	}
	s.file = format.name
	if s.disk, err = fileSize(format, s.model, s.weights); err != nil {
		return err
	}
	params, err := s.model.Params()
	if err != nil {
		return err
	}
	for _, p := range params {
		w, err := s.weights.Layer(p)
		if err != nil {
			return err
		}
		s.nonzeros += int64(nonzeros(w.Values) + p.Dims[0])
	}
	return nil
}

// nonzeros counts what is not zero.
func nonzeros(values []float32) int {
	n := 0
	for _, v := range values {
		if v != 0 {
			n++
		}
	}
	return n
}

// fileSize returns the size of a network's file.
func fileSize(f *format, m *graph.Model, w graph.Weights) (int64, error) {
	var n files.Counter
	err := f.write(&n, m, w)
	return int64(n), err
}

// executed returns the multiply-adds that the kernels execute.
func (s *step) executed() int64 {
	n := int64(0)
	for _, p := range s.plan.Steps() {
		n += p.Executed
	}
	return n
}

// time takes the times of all steps, side by side.
func (l *ladder) time(ctx context.Context, rounds int, progress *cli.Progress) error {
	for round := range rounds {
		for _, i := range rand.Perm(len(l.steps)) {
			s := l.steps[i]
			ms, err := evaluate.Sample(ctx, s.plan.Run)
			if ctx.Err() != nil {
				return cli.ErrInterrupted
			}
			if err != nil {
				return err
			}
			s.times = append(s.times, ms)
		}
		progress.Show("timed %d of %d rounds", round+1, rounds)
	}
	progress.Clear()
	return nil
}

// A layerRow is what there is to know of a layer with weights.
type layerRow struct {
	name, algorithm   string
	weights, nonzeros int   // biases not included
	bits              int64 // in a file, 0 if the network is quantized
	executed          int64
	ms                float64
}

// timeLayers fills in the layers. Each runs alone, so that their times add up to more than the network's.
func (s *step) timeLayers(ctx context.Context, rounds int, progress *cli.Progress) error {
	o := s.options
	o.KeepAll = true
	plan, err := graph.Compile(s.model, s.weights, o)
	if err != nil {
		return err
	}
	defer plan.Close()
	rows := map[string]*layerRow{}
	params, err := s.model.Params()
	if err != nil {
		return err
	}
	for _, p := range params {
		w, err := s.weights.Layer(p)
		if err != nil {
			return err
		}
		rows[p.Node] = &layerRow{name: p.Node, weights: len(w.Values), nonzeros: nonzeros(w.Values)}
	}
	if s.file == formatFBW.name {
		streams, err := weights.StreamsOf(s.model, s.weights)
		if err != nil {
			return err
		}
		for _, layer := range streams {
			rows[layer.Node].bits = layer.Bits()
		}
	}
	if err := plan.Run(); err != nil {
		return err
	}
	for i, p := range plan.Steps() {
		row := rows[p.Name]
		if row == nil {
			continue
		}
		times := make([]float64, rounds)
		for round := range times {
			start := time.Now()
			if err := plan.RunStep(i); err != nil {
				return err
			}
			times[round] = float64(time.Since(start)) / 1e6
			if ctx.Err() != nil {
				return cli.ErrInterrupted
			}
		}
		row.algorithm, row.executed = p.Algo, p.Executed
		if p.WeightsError > 0 {
			s.notes[p.Name] = fmt.Sprintf("%v, relative error %.3g", p.WeightsType, p.WeightsError)
		}
		row.ms, _, _ = evaluate.Median(times)
		s.layers = append(s.layers, *row)
		progress.Show("timed %s of %s", p.Name, s.name)
	}
	progress.Clear()
	return nil
}

// evaluate measures all steps on pictures. Those that cannot be used are reported; it returns their number.
func (l *ladder) evaluate(ctx context.Context, p *preprocess.Preprocessor, paths []string, stderr io.Writer, progress *cli.Progress) (failed int, err error) {
	var plans []*graph.Plan
	for _, s := range l.steps {
		plans = append(plans, s.plan)
	}
	e, err := evaluate.New(plans...)
	if err != nil {
		return 0, err
	}
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
			progress.Clear()
			cli.Report(stderr, name, err)
			failed++
			continue
		}
		l.paths = append(l.paths, path)
		if label != evaluate.Unknown {
			l.labels++
		}
		progress.Show("measured with %d of %d pictures", i, len(paths))
	}
	progress.Clear()
	if ctx.Err() != nil {
		return failed, cli.ErrInterrupted
	}
	if len(l.paths) == 0 {
		return failed, nil // every picture has been reported
	}
	for i, s := range e.Scores() {
		l.steps[i].score = &s
	}
	return failed, nil
}

// speedup returns how many times as fast as the first step s is, with its 95 % interval: the median of the ratios within
// the rounds. Without enough rounds for one, it is from 0 to infinity.
func (l *ladder) speedup(s *step) (median, lo, hi float64) {
	ratios := make([]float64, len(s.times))
	for i, t := range s.times {
		ratios[i] = l.steps[0].times[i] / t
	}
	return evaluate.Median(ratios)
}

// ms returns the median time of an image.
func (s *step) ms() float64 {
	median, _, _ := evaluate.Median(append([]float64(nil), s.times...))
	return median
}

// plural returns a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
