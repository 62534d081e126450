// Command compare reads benchmark files of this suite and prints how its networks
// compare: as wholes, stage by stage, and layer by layer where their outputs have the
// same size; and how good the choice of an algorithm for each layer is.
//
//	go run ./compare [flags] FILE...
//
//	-format text|md|csv|json   how to print; default text
//	-net A,B                   the networks to set side by side, or one alone; default
//	                           squeezenet1.0,alexnet or, if they are not in the files,
//	                           the first two that are
//	-tables LIST               which of machine, networks, stages, layers, types, candidates, sparse, training, gradients
//	                           and peers; default all
//	-mix                       allow different machines and commits, each in rows of its own
//
// The files hold the output of package bench in the Go benchmark format. They are regular
// files; the name "-" stands for the standard input. All samples of one benchmark are
// pooled, over all files of one machine and commit, those of a recording once however many
// files hold it: `go tool benchstat OLD NEW` compares two versions of the code, this command
// compares networks. Below the tables it explains their columns and notes
// what could not be paired and what makes the figures doubtful.
//
// Stages and layers are shown for the best instruction set of the files, at every thread
// count, as auto runs them: a network's stages with algo=auto, a layer with the algorithm
// that its benchmarks mark with "1 pick"; where there is none, with algo=direct.
//
// A network that is not one of this suite's, but a file's (see package bench), is described by comments
// before its results: lines "# layer net=… layer=…", which package bench has written.
//
// A file that go run ./compare/peers has written adds a table of each network beside the fastest of the
// other engines; alone, it is for go run ./compare/peers -print.
//
// float32 and int8 (type= in the names, f32 where there is none) stand beside each other, each on
// the best instruction set for it, with the ratio of their times.
//
// A line that cannot be used is named on standard error and left out. The exit status
// is 1 when a file cannot be read or holds nothing usable and when machines or commits are
// mixed without -mix; it is 2 for a usage error.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"firebench/compare/report"
	"firebench/compare/samples"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments; it returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fail := func(status int, format string, args ...any) int {
		// An error may have a line for each file.
		for line := range strings.Lines(fmt.Sprintf(format, args...) + "\n") {
			fmt.Fprint(stderr, "compare: ", line)
		}
		return status
	}
	o := report.Options{Stdin: stdin, Log: stderr}
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: compare [flags] FILE...")
		flags.PrintDefaults()
	}
	format := flags.String("format", "text", "print as `text`, md, csv or json")
	flags.Func("net", "the networks `A,B` to set side by side, or one alone (default "+strings.Join(report.DefaultNets, ",")+")",
		func(s string) error { o.Nets = strings.Split(s, ","); return nil })
	flags.Func("tables", "the tables to print, a `list` out of "+strings.Join(report.Tables(), ",")+" (default all)",
		func(s string) error { o.Tables = strings.Split(s, ","); return nil })
	flags.BoolVar(&o.Mix, "mix", false, "allow different machines and commits, each in rows of its own")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if !slices.Contains(report.Formats(), *format) {
		return fail(2, "-format %q: expected one of %s", *format, strings.Join(report.Formats(), ", "))
	}
	if err := o.Check(); err != nil {
		return fail(2, "%v", err)
	}
	if flags.NArg() == 0 {
		return fail(2, "no benchmark file given (try -h)")
	}
	for _, arg := range flags.Args() {
		if strings.HasPrefix(arg, "-") && arg != "-" {
			return fail(2, "%s: flags go before the files (write ./%[1]s for a file of that name)", arg)
		}
	}

	r, err := report.Read(o, flags.Args()...)
	if errors.Is(err, samples.ErrUnknownNetwork) {
		return fail(2, "%v", err)
	}
	if err != nil {
		return fail(1, "%v", err)
	}
	for _, err := range r.Unreadable {
		fail(1, "%v", err)
	}
	if err := r.Write(stdout, *format); err != nil {
		return fail(1, "writing the report: %v", err)
	}
	if n := len(r.Unreadable); n > 0 {
		return fail(1, "%d of %d files could not be read, the report is of the rest", n, flags.NArg())
	}
	return 0
}
