// Command experiments trains the networks that differ in one choice of SqueezeNet's design each, as in sections 5 and 6 of its paper,
// on small pictures, and writes what each choice gave and what it cost, in time as well.
//
// Usage:
//
//	go run ./net/train/experiments -data DIR|TAR -o DIR [flags] [-page FILE.md]
//
// The experiments, of networks that squeezenet.Micro describes:
//
//	ratio     the share of squeeze channels in expand channels, 0.125 to 1
//	share     the share of 3×3 kernels in the expand channels, 1 to 99 %
//	pools     max pools early, in between, and late
//	bypass    none, simple and complex
//
// The pictures are those of go run ./net/train, of 32×32 pixels or more. Each network is trained in a folder of its own in that of -o, once
// for all experiments that have it. A run that was stopped goes on, and one that has ended is not made again. Then the
// networks take turns for their times, and a table is printed. Flags:
//
//	-only A,B        some of the experiments
//	-epochs N        see all pictures N times (30)
//	-rate R          the highest rate of learning (the recipe's)
//	-classes N       the first N classes (0: all)
//	-pictures N      the first N pictures of each class to learn from (0: all)
//	-validate N      the first N other pictures of each class to tell how good a network is (0: all)
//	-ended           train nothing: take the runs that have ended
//	-rounds N        rounds of times (21)
//	-threads N       of training (0: one per processor); times are taken on one thread
//	-seed N          of all that is random (1)
//	-memory MB       how much memory pictures may take (512)
//	-page FILE.md    write a page in Markdown, with a plot beside it in FILE.svg
//
// The exit status is 1 for an error, which is one line on standard error, and 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"firebench/net/cli"
	"firebench/net/training"
)

const name = "experiments"

func main() { cli.Main(run) }

// run is the command, see [cli.Func].
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	o, status, ok := cli.Parse(name, args, parse, usage, stdout, stderr)
	if !ok {
		return status
	}
	// As in go run ./net/train, what a batch needs stays, and may be more than Main's limit.
	debug.SetMemoryLimit(math.MaxInt64)
	debug.SetGCPercent(25)
	c := command{options: o, args: args, stdout: stdout, stderr: stderr, progress: cli.NewProgress(stderr)}
	err := c.run(ctx)
	c.progress.Clear()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w; the experiments go on with the same command", cli.ErrInterrupted)
	}
	return cli.Status(stderr, name, err)
}

// options are the command line.
type options struct {
	data, out, page string
	only            []string // names of experiments
	recipe          training.Recipe
	classes         int // 0 for all
	pictures        int // of each class, 0 for all
	validate        int // likewise
	ended           bool
	rounds, threads int
	seed            uint64
	memory          int // MB
}

// newFlags returns the flags, which store what they parse in o.
func newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run reports errors, in one line
	o.recipe, _ = training.LookupRecipe("cifar")
	fs.StringVar(&o.data, "data", "", "learn from the pictures in the folder or tar archive `PATH`")
	fs.StringVar(&o.out, "o", "", "the folder `DIR` of the runs")
	fs.Func("only", "make some of the experiments: `NAMES` of "+strings.Join(names(), ", "), func(s string) error {
		o.only = strings.Split(s, ",")
		for _, n := range o.only {
			if !slices.Contains(names(), n) {
				return fmt.Errorf("unknown experiment %q, expected some of %s", n, strings.Join(names(), ", "))
			}
		}
		return nil
	})
	fs.IntVar(&o.recipe.Epochs, "epochs", o.recipe.Epochs, "see all pictures `N` times")
	fs.Float64Var(&o.recipe.Rate, "rate", o.recipe.Rate, "the highest rate `R` of learning")
	fs.IntVar(&o.recipe.Batch, "batch", o.recipe.Batch, "learn from `N` images at a time")
	fs.IntVar(&o.classes, "classes", 0, "take the first `N` classes; 0 means all")
	fs.IntVar(&o.pictures, "pictures", 0, "learn from the first `N` pictures of each class; 0 means all")
	fs.IntVar(&o.validate, "validate", 0, "validate with the first `N` other pictures of each class; 0 means all")
	fs.BoolVar(&o.ended, "ended", false, "train nothing: take the runs that have ended")
	fs.IntVar(&o.rounds, "rounds", 21, "take times in `N` rounds")
	fs.IntVar(&o.threads, "threads", 0, "train on `N` threads; 0 means one per processor")
	fs.Uint64Var(&o.seed, "seed", 1, "begin all that is random with `N`")
	fs.IntVar(&o.memory, "memory", 512, "keep pictures in up to `MB` megabytes")
	fs.StringVar(&o.page, "page", "", "write a page in Markdown, `FILE`.md, and a plot beside it")
	return fs
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: experiments -data DIR|TAR -o DIR [flags]")
	fmt.Fprintln(w, "Trains networks that differ in one choice of SqueezeNet's design, and says what each gave and cost.")
	fs := newFlags(&options{})
	fs.SetOutput(w)
	fs.PrintDefaults()
}

// parse checks everything that does not need a file to be read. Its errors are wrong usage, or flag.ErrHelp.
func parse(args []string) (o options, err error) {
	fs := newFlags(&o)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch most := 4 * runtime.NumCPU(); {
	case fs.NArg() > 0:
		return o, fmt.Errorf("%s: expected flags only; experiments -help explains", fs.Arg(0))
	case o.data == "":
		return o, errors.New("no -data; experiments -help explains")
	case o.out == "":
		return o, errors.New("no -o; experiments -help explains")
	case o.classes < 0 || o.classes == 1:
		return o, fmt.Errorf("-classes %d: expected 0 or at least 2", o.classes)
	case o.pictures < 0:
		return o, fmt.Errorf("-pictures %d: expected 0 or more", o.pictures)
	case o.validate < 0:
		return o, fmt.Errorf("-validate %d: expected 0 or more", o.validate)
	case o.rounds < 1 || o.rounds > 1000:
		return o, fmt.Errorf("-rounds %d: expected 1 to 1000", o.rounds)
	case o.threads < 0 || o.threads > most:
		return o, fmt.Errorf("-threads %d: expected 0 to %d", o.threads, most)
	case o.memory < 1 || o.memory > 1<<20:
		return o, fmt.Errorf("-memory %d: expected 1 to %d", o.memory, 1<<20)
	case o.page != "" && filepath.Ext(o.page) != ".md":
		return o, fmt.Errorf("-page %s: expected a name that ends in .md", o.page)
	}
	o.recipe.WarmUp = min(o.recipe.WarmUp, float64(o.recipe.Epochs)/4)
	return o, o.recipe.Check()
}
