package main

import (
	"context"
	"io"
	"path/filepath"

	"firebench/compare/report"
	"firebench/compare/samples"
	"firebench/kernels"
)

// writeProfile runs one network long enough for a profile that shows its layers, and
// lists them.
func (o *options) writeProfile(ctx context.Context, stdout, stderr io.Writer, build builder) error {
	best, err := kernels.Best()
	if err != nil {
		return err
	}
	// It stays: pprof finds it at this place to show assembly and source.
	binary, err := filepath.Abs(filepath.Join(filepath.Dir(o.profile), binaryName))
	if err != nil {
		return err
	}
	if err := build(ctx, stderr, binary); err != nil {
		return err
	}
	nets := o.nets
	if len(nets) == 0 {
		nets = report.DefaultNets[:1]
	}
	if o.typ == samples.F32 {
		best = best.Float32() // or there would be no such benchmark
	}
	bench := "^BenchmarkNet$/" + netPattern(nets) + "/^batch=1$/^type=" + o.typ + "$/^algo=auto$/" + isaPattern(best)
	if _, err := command(ctx, stderr, stderr, binary, "-test.run=^$", "-test.bench="+bench, "-test.benchtime=5s", "-test.cpuprofile="+o.profile); err != nil {
		return err
	}
	_, err = command(ctx, stdout, stderr, "go", "tool", "pprof", "-tags", "-tagshow=^layer$", o.profile)
	return err
}
