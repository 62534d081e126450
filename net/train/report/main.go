// Command report writes a page about training, from the files that runs and benchmarks left. It trains nothing.
//
// Usage:
//
//	go run ./net/train/report -page FILE.md [flags]
//
// What is not given is missing on the page, which says so:
//
//	-cifar DIR          a run of go run ./net/train on CIFAR-10 from random weights
//	-flowers DIR        a run on photographs from published weights
//	-dense DIR          a run on the same photographs whose weights are dense
//	-rows DIR           one in which whole rows of weights are zeros and stay so, for comparison
//	-bench FILE         what go test -bench 'Train|Layer|Net' ./bench printed; may be there several times
//	-peers FILE         what go run ./compare/peers recorded, with steps of training
//	-experiments FILE   a page of go run ./net/train/experiments, to which the page links
//	-int8 FILE          a page of go run ./net/accuracy on a network that was trained, to which the page links
//	-compressed FILE    what go run ./net/compress printed of one
//	-rounds N           rounds in which the networks of -dense and -rows take turns for their times (21)
//
// The curves of each run are beside the page, in FILE-cifar.svg and so on.
//
// The exit status is 1 for an error, which is one line on standard error, and 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"

	"firebench/net/cli"
)

const name = "report"

func main() { cli.Main(run) }

// run is the command, see [cli.Func].
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	o, status, ok := cli.Parse(name, args, parse, usage, stdout, stderr)
	if !ok {
		return status
	}
	p := page{options: o, args: args, progress: cli.NewProgress(stderr)}
	err := p.write(ctx)
	p.progress.Clear()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = cli.ErrInterrupted
	}
	return cli.Status(stderr, name, err)
}

// options are the command line.
type options struct {
	page, cifar, flowers, dense, rows, peers, experiments, int8, compressed string
	bench                                                                   []string
	rounds                                                                  int
}

// newFlags returns the flags, which store what they parse in o.
func newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run reports errors, in one line
	fs.StringVar(&o.page, "page", "", "write the page `FILE`.md, and curves beside it")
	fs.StringVar(&o.cifar, "cifar", "", "the run in `DIR` on CIFAR-10 from random weights")
	fs.StringVar(&o.flowers, "flowers", "", "the run in `DIR` on photographs from published weights")
	fs.StringVar(&o.dense, "dense", "", "the run in `DIR` on photographs with dense weights")
	fs.StringVar(&o.rows, "rows", "", "the run in `DIR` to compare with it, in which rows of weights are zeros")
	fs.Func("bench", "benchmarks in `FILE`; may be there several times", func(s string) error {
		o.bench = append(o.bench, s)
		return nil
	})
	fs.StringVar(&o.peers, "peers", "", "the record `FILE` of other engines")
	fs.StringVar(&o.experiments, "experiments", "", "link to the page `FILE` of experiments")
	fs.StringVar(&o.int8, "int8", "", "link to the page `FILE` about int8")
	fs.StringVar(&o.compressed, "compressed", "", "quote what go run ./net/compress printed from `FILE`")
	fs.IntVar(&o.rounds, "rounds", 21, "take times in `N` rounds")
	return fs
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: report -page FILE.md [flags]")
	fmt.Fprintln(w, "Writes a page about training, from the files that runs and benchmarks left.")
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
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("%s: expected flags only; report -help explains", fs.Arg(0))
	case o.page == "":
		return o, errors.New("no -page; report -help explains")
	case filepath.Ext(o.page) != ".md":
		return o, fmt.Errorf("-page %s: expected a name that ends in .md", o.page)
	case (o.dense == "") != (o.rows == ""):
		return o, errors.New("-dense and -rows: expected both or none")
	case o.rounds < 1 || o.rounds > 1000:
		return o, fmt.Errorf("-rounds %d: expected 1 to 1000", o.rounds)
	}
	return o, nil
}
