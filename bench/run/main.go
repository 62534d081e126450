// Run records benchmarks: it builds firebench/bench once, runs the binary again
// and again, so that the samples of all benchmarks interleave, and prints the
// comparison of the networks.
//
//	go run ./bench/run                   the main job: squeezenet1.0 against alexnet, five to eight minutes on 2 cores
//	go run ./bench/run -preset full      every network, layer, kernel and instruction set, not trained
//	go run ./bench/run -preset sparse    layers with weights of zero: up to which density it pays to skip them
//	go run ./bench/run -preset train     training: its steps, and the gradients of each layer
//	go run ./bench/run -last             print the comparison of this machine's newest record again
//	FIREBENCH_MODEL=file.onnx go run ./bench/run    the network in a file, see package bench
//	go run ./bench/run -profile cpu.pprof    a CPU profile of one network instead, labeled by layer; -type int8: quantized
//
// The samples go to results/<machine>/<date>T<time>-<commit>/bench.txt, the comparison
// beside them. A record is never replaced: each run has a folder of its own, and -out
// names one without a record. Each sample is written when it is complete, to
// bench-incomplete.txt until all are there. What ends a run early, an interrupt or a full
// disk, leaves a record of the samples until then, and the exit status is 1.
//
// Run it in the module's root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"firebench/bench/machine"
	"firebench/bench/model"
	"firebench/bench/recording"
	"firebench/compare/report"
	"firebench/compare/samples"
	"firebench/kernels"
	"firebench/net/cli"
	"firebench/net/models"
)

func main() { mainWith(build) }

// mainWith is main with another way to build the benchmarks, for tests.
func mainWith(build builder) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, build))
}

// A builder makes the test binary of firebench/bench at a path.
type builder func(ctx context.Context, stderr io.Writer, path string) error

// options are the command line.
type options struct {
	args []string // as given

	preset  string
	nets    []string // empty if not given
	count   int
	out     string
	profile string
	typ     string // of the network that the profile is of
	last    bool
	model   *model.Model // in a file, which is measured instead of -net; or nil
}

// run is main with its surroundings as arguments; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, build builder) int {
	o := options{args: args}
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: run [flags]")
		flags.PrintDefaults()
	}
	flags.StringVar(&o.preset, "preset", "quick", "what to measure: `quick`, full, sparse or train")
	nets := flags.String("net", "", "networks `A,B,…` to measure; the comparison sets two side by side, of more the default ones or the first\n"+
		"(default "+strings.Join(report.DefaultNets, ",")+"; all with -preset full, squeezenet1.1 with -preset train; the first of them with -profile)")
	flags.IntVar(&o.count, "count", 10, "samples")
	flags.StringVar(&o.out, "out", "", "`folder` of the record (default results/<machine>/<date>T<time>-<commit>)")
	flags.StringVar(&o.profile, "profile", "", "write a CPU profile of one network to this `file`, and bench.test, which it describes,\nbeside it; record nothing")
	flags.StringVar(&o.typ, "type", samples.F32, "the `type` that the network of a profile computes with, "+strings.Join(samples.Types(), " or "))
	flags.BoolVar(&o.last, "last", false, "print the comparison of this machine's newest record; record nothing")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if *nets != "" {
		o.nets = strings.Split(*nets, ",")
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if err := o.check(flags.Args(), given); err != nil {
		fmt.Fprintf(stderr, "run: %v\n", err)
		return 2
	}
	var err error
	if !o.last {
		err = o.openModel(given)
	}
	switch {
	case err != nil:
	case o.last:
		err = o.printLast(stdout, stderr)
	case o.profile != "":
		err = o.writeProfile(ctx, stdout, stderr, build)
	default:
		err = o.record(ctx, stdout, stderr, build)
	}
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") { // joined errors have one each
			fmt.Fprintf(stderr, "run: %s\n", line)
		}
		if errors.Is(err, samples.ErrUnknownNetwork) {
			return 2
		}
		return 1
	}
	return 0
}

// openModel opens the network that FIREBENCH_MODEL names, if it names one, to measure that.
func (o *options) openModel(given map[string]bool) (err error) {
	if o.model, err = model.Open("."); o.model == nil {
		return err
	}
	o.nets = []string{o.model.Name}
	if o.model.Quantized && !given["type"] {
		o.typ = samples.Int8
	}
	return nil
}

// check returns an error for a command line that makes no sense; given are the names of
// the flags in it.
func (o *options) check(rest []string, given map[string]bool) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	for _, mode := range []string{"last", "profile"} {
		for name := range given {
			if given[mode] && name != mode && name != "net" && (name != "type" || mode != "profile") {
				return fmt.Errorf("-%s and -%s exclude each other", mode, name)
			}
		}
	}
	if !slices.Contains([]string{"quick", "full", "sparse", "train"}, o.preset) {
		return fmt.Errorf("-preset is %q, expected quick, full, sparse or train", o.preset)
	}
	if !slices.Contains(samples.Types(), o.typ) {
		return fmt.Errorf("-type is %q, expected %s", o.typ, strings.Join(samples.Types(), " or "))
	}
	if given["type"] && o.profile == "" {
		return errors.New("-type is for -profile alone: all other runs measure every type")
	}
	if o.count < 1 || o.count > 1000 {
		return fmt.Errorf("-count is %d, expected 1 to 1000", o.count)
	}
	for i, n := range o.nets {
		if _, err := models.Lookup(n); err != nil && !o.last { // a record may have others
			return fmt.Errorf("-net: %w", err)
		}
		if slices.Contains(o.nets[:i], n) {
			return fmt.Errorf("-net: %s is there twice", n)
		}
	}
	if given["net"] && !o.last && os.Getenv(model.Variable) != "" {
		return fmt.Errorf("-net and %s exclude each other", model.Variable)
	}
	if o.profile != "" && len(o.nets) > 1 {
		return fmt.Errorf("-net is %s, expected one network with -profile", strings.Join(o.nets, ","))
	}
	return nil
}

// record records samples and prints their comparison.
func (o *options) record(ctx context.Context, stdout, stderr io.Writer, build builder) error {
	best, err := kernels.Best()
	if err != nil {
		return err
	}
	if l, ok := machine.CurrentLoad(); ok && busy(l[0], runtime.NumCPU()) {
		fmt.Fprintf(stderr, "run: warning: the machine is busy: load %.2f on %d cores; the times will be too long\n", l[0], runtime.NumCPU())
	}
	temp, err := os.MkdirTemp("", "firebench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	binary := filepath.Join(temp, binaryName)
	if err := build(ctx, stderr, binary); err != nil {
		return err
	}
	r, err := create(o.out, recording.NewHeader(ctx, "./bench/run", o.args, model.Variable))
	if err != nil {
		return err
	}
	s := sampler{
		binary:      binary,
		invocations: o.invocations(best),
		count:       o.count,
		stderr:      stderr,
		progress:    cli.Terminal(stderr),
	}
	err = r.fill(ctx, &s)
	if r.samples == 0 {
		return err
	}
	if err := errors.Join(err, o.compare(r.dir, stdout, stderr)); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "recorded in %s\n", r.dir)
	return nil
}

// busy tells whether so high a load average distorts measurements: more than a third of
// the cores have been working. Building this command leaves less.
func busy(load float64, cores int) bool { return load > float64(cores)/3 }
