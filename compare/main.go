// Command compare reads benchmark files of this suite and prints how its networks
// compare: as wholes, stage by stage, and layer by layer where their outputs have the
// same size; and how good the choice of an algorithm for each layer is.
//
//	go run ./compare [flags] FILE...
//
//	-format text|md|csv|json   how to print; default text
//	-nets A,B                  the networks to set side by side; default squeezenet1.0,alexnet
//	-tables LIST               which of machine, networks, stages, layers and candidates; default all
//	-mix                       allow files of different machines, each in rows of its own
//
// The files hold the output of package bench in the Go benchmark format. All samples of
// one benchmark are pooled, over all files of one machine: two versions of the code are
// compared with benchstat, not with this command. Networks are shown for every algorithm.
// Stages and layers are shown for the best instruction set of the files, at every thread
// count, as auto runs them: a network's stages with algo=auto, a layer with the algorithm
// that its benchmarks mark with "1 pick"; where there is none, with algo=direct. The
// candidates are all layers that were timed with several algorithms, of every network and
// instruction set.
//
// Every number is a fact of the models' tables (parameters, multiply-adds, shapes) or
// follows from medians of the samples:
//
//   - Intervals are 95% confidence intervals of the median, p-values those of the
//     Mann-Whitney U-test. Neither assumes a distribution.
//   - MB are the float32 weights, in 10⁶ bytes.
//   - GFLOP/s count two per multiply-add of the direct convolution, whichever
//     algorithm ran.
//   - % of peak relates them to the FMA peak of the same instruction set and thread
//     count, which the benchmarks measure beside each of their times.
//   - % FMA busy relates the multiply-adds that the layer's algorithm executes, those of
//     wasted lanes and tiles included, to the same peak: the rest is anything but products.
//   - × scalar is the scalar time over this time, at the same thread count and with the
//     same algorithm; with direct if the scalar kernels were not timed with that one.
//   - FLOP/B and GB/s count the least traffic there is: input, weights and output once.
//   - % of net is the layer's time over that of BenchmarkNet: with algo=auto if auto
//     picks the layer's algorithm, else, or when that is missing, with the same.
//   - The regret is how much slower the algorithm that auto picks is than the fastest
//     candidate: 0 when it is the fastest. A network's is that of the sums, over the
//     layers that have several candidates.
//
// A line that cannot be used is named on standard error and left out. The exit status
// is 1 when a file cannot be read, when machines are mixed without -mix and when nothing
// usable remains; it is 2 for a usage error.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: compare [flags] FILE...")
		flags.PrintDefaults()
	}
	format := flags.String("format", "text", "print as `text`, md, csv or json")
	pair := flags.String("nets", "squeezenet1.0,alexnet", "the two networks `A,B` to set side by side")
	list := flags.String("tables", strings.Join(tableNames, ","), "the tables to print, separated by commas")
	mix := flags.Bool("mix", false, "allow files of different machines, each in rows of its own")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	usage := func(msg string, args ...any) int {
		fmt.Fprintf(stderr, "compare: "+msg+"\n", args...)
		return 2
	}
	write, ok := formats[*format]
	if !ok {
		return usage("-format %q: expected text, md, csv or json", *format)
	}
	tables := strings.Split(*list, ",")
	for _, t := range tables {
		if !slices.Contains(tableNames, t) {
			return usage("-tables: unknown table %q, expected some of %s", t, strings.Join(tableNames, ","))
		}
	}
	if flags.NArg() == 0 {
		return usage("no benchmark file given (try -h)")
	}
	for _, arg := range flags.Args() {
		if strings.HasPrefix(arg, "-") {
			return usage("%s: flags go before the files (write ./%[1]s for a file of that name)", arg)
		}
	}

	nets, err := networks()
	if err != nil {
		fmt.Fprintf(stderr, "compare: %v\n", err)
		return 1
	}
	a, b, err := pick(nets, *pair)
	if err != nil {
		return usage("-nets %q: %v", *pair, err)
	}

	d := newData(nets, *mix)
	unreadable := 0
	for _, path := range flags.Args() {
		err := d.readFile(path, stderr)
		if mixed := (*mixError)(nil); errors.As(err, &mixed) {
			fmt.Fprintf(stderr, "compare: %v\n", err)
			return 1
		}
		if err != nil {
			fmt.Fprintf(stderr, "compare: %v\n", err)
			unreadable++
		}
	}
	if d.results == 0 {
		fmt.Fprintf(stderr, "compare: no usable results in %s\n", strings.Join(flags.Args(), ", "))
		return 1
	}

	out := bufio.NewWriter(stdout)
	err = write(out, d.report(a, b, tables))
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		fmt.Fprintf(stderr, "compare: writing the report: %v\n", err)
		return 1
	}
	if unreadable > 0 {
		fmt.Fprintf(stderr, "compare: %d of %d files could not be read, the report is of the rest\n", unreadable, flags.NArg())
		return 1
	}
	return 0
}

// pick returns the two networks of a list "A,B".
func pick(nets []*network, pair string) (a, b *network, err error) {
	names := strings.Split(pair, ",")
	if len(names) != 2 || names[0] == names[1] {
		return nil, nil, errors.New("expected two different networks A,B")
	}
	var picked [2]*network
	for i, name := range names {
		j := slices.IndexFunc(nets, func(n *network) bool { return n.name == name })
		if j < 0 {
			return nil, nil, unknownNet(nets, name)
		}
		picked[i] = nets[j]
	}
	return picked[0], picked[1], nil
}

func unknownNet(nets []*network, name string) error {
	var known []string
	for _, n := range nets {
		known = append(known, n.name)
	}
	return fmt.Errorf("unknown network %q, expected one of %s", name, strings.Join(known, ", "))
}
