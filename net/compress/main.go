// Command compress makes a network smaller or faster, and tells what each step gave and what it cost.
//
// Usage:
//
//	go run ./net/compress [flags] [-o OUT]
//	go run ./net/compress -scan FILE.svg -images DIR [-pattern NAME] [flags]
//	go run ./net/compress -page FILE.md [flags]
//
// The steps, each only if its flag is there, in this order; package compression says what they do:
//
//	-svd LAYER=RANK,…     factorize layers: fc6=1024,conv2=64x48
//	-svd energy=E         factorize every layer to the least rank with the share E of its squared weights
//	-svd budget=B         factorize so that the share B of the cycles is left; ",tucker" for three layers of one with a kernel
//	-prune density=D      keep the share D of all weights, the largest
//	-prune LAYER=D,…      keep the share D of the weights of some layers; LAYER may be a pattern, as *1x1
//	-prune threshold=T    keep what is at least as large as T
//	-pattern NAME         what is pruned: unstructured, single weights, or vector, rows of kernel panels (unstructured)
//	-share bits=B         let the weights of a layer share 2^B values, with those of -calibrate so that its outputs change
//	                      least; with ",LAYER=B" for some layers, ",init=NAME" linear, density or random, ",plain" by k-means
//	                      on the weights alone
//	-share bytes=N        the same, with as many bits for each layer as make a file of N bytes; needs -calibrate
//	-type int8            quantize; needs -calibrate
//	-weights-type TYPE    keep the weights of dense layers in memory as f32, f16 or i8, with float32 values (f32)
//
// About the network:
//
//	-model NAME, -weights FILE, -preprocessor NAME, -isa NAME, -algo NAME, -threads N, -calibrate DIR, -method NAME,
//	-save FILE.json, -keep A,B,…, -weight-bits N
//	                      as of the other commands
//
// It prints the ladder, a row for each step: parameters; how many of them are not zero; the bytes of the network's file in the
// format FBW, or ONNX if it is quantized; the bytes of the packed weights in memory; the multiply-adds that are executed; the
// milliseconds of an image, where all steps take turns for
//
//	-rounds N             rounds (21)
//
// and the median of their ratios to the first row, with its 95 % interval. With
//
//	-images DIR           pictures that are labelled as for go run ./net/accuracy
//
// it has the shares of the pictures whose true class is the most probable one, or among the five most probable ones, and of those
// whose most probable class is that of the first row, all with Wilson's 95 % intervals. With
//
//	-layers               a table of the layers of each step
//	-o OUT                the last step is written to a file whose name ends in .fbw, .onnx, .safetensors, or .net for Deep Compression's
//	-scan FILE.svg        instead, each layer alone is pruned to several densities: a table and a plot of how often the most
//	                      probable class on the pictures of -images stays the same
//	-page FILE.md         a page in Markdown is written instead, with fixed steps: SqueezeNet v1.0 with -weights, v1.1 with the weights of
//	-small FILE           FILE, and AlexNet with random weights; -calibrate names photographs of which every second calibrates;
//	                      the others, and those of -images, are measured; a plot of -scan is beside it as FILE-scan.svg
//	-peers FILE           with -page: the times of other engines that go run ./compare/peers has recorded on this machine
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
	"slices"
	"strings"

	"firebench/net/cli"
	"firebench/net/compression"
	"firebench/net/graph"
	"firebench/net/onnx"
	"firebench/net/weights"
)

const name = "compress"

func main() { cli.Main(run) }

// run is the command, see [cli.Func].
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	o, status, ok := cli.Parse(name, args, parse, usage, stdout, stderr)
	if !ok {
		return status
	}
	c := command{options: o, args: args, stderr: stderr, progress: cli.NewProgress(stderr)}
	var err error
	switch {
	case o.page != "":
		err = c.writePage(ctx)
	case o.scan != "":
		err = c.scanLayers(ctx, stdout)
	default:
		err = c.compress(ctx, stdout)
	}
	c.progress.Clear()
	if errors.Is(err, cli.ErrInterrupted) {
		err = cli.ErrInterrupted // wherever it was
	}
	status = cli.Status(stderr, name, err)
	if c.failed > 0 {
		status = 1
	}
	return status
}

// The values of -pattern.
const (
	unstructured = "unstructured"
	vector       = "vector"
)

// A format is what a file can be written in.
type format struct {
	name, ext string
	network   bool // it has the network as well, not only its weights
	write     func(io.Writer, *graph.Model, graph.Weights) error
}

var (
	formatFBW  = &format{"FBW", ".fbw", false, weights.WriteFBW}
	formatONNX = &format{"ONNX", ".onnx", true, onnx.Write}
	formats    = []*format{
		formatFBW, formatONNX,
		{"safetensors", ".safetensors", false, weights.WriteSafetensors},
		{"Deep Compression", ".net", false, weights.WriteDeepCompression},
	}
)

// options are the command line.
type options struct {
	cli.Network
	factorize *compression.FactorizeOptions // nil: no such step, as the next two
	prune     *compression.PruneOptions
	share     *sharing
	pattern   string
	rounds    int
	images    string // a folder, or ""
	layers    bool
	out       string
	format    *format // of out

	scan               string // a file, or ""
	page, small, peers string // the same
}

// newFlags returns the flags, which store what they parse in o.
func newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run reports errors, in one line
	o.Network.Flags(fs)
	o.Network.AlgoFlag(fs)
	o.Network.Calibrates = true
	o.pattern = unstructured
	fs.Func("svd", "factorize layers: `LAYER=RANK,…`, energy=E or budget=B, with ,tucker for three layers of one with a kernel", func(s string) (err error) {
		o.factorize, err = parseSVD(s)
		return err
	})
	fs.Func("prune", "make small weights zero: keep `density=D` of all, LAYER=D,… of some layers, also by patterns as *1x1, or what is at least threshold=T", func(s string) (err error) {
		o.prune, err = parsePrune(s)
		return err
	})
	fs.Func("pattern", "what -prune prunes: `NAME` "+unstructured+", or "+vector+" for rows of kernel panels (default "+unstructured+")", func(s string) error {
		if o.pattern = s; s != unstructured && s != vector {
			return fmt.Errorf("expected %s or %s", unstructured, vector)
		}
		return nil
	})
	fs.Func("share", "let weights share values: `bits=B`, or bytes=N, which needs -calibrate; also LAYER=B, init=NAME, plain", func(s string) (err error) {
		o.share, err = parseSharing(s)
		return err
	})
	fs.IntVar(&o.rounds, "rounds", 21, "time all steps in turns, `N` times")
	fs.StringVar(&o.images, "images", "", "measure the accuracy on the labelled pictures in the folder `DIR`")
	fs.BoolVar(&o.layers, "layers", false, "print a table of the layers of each step")
	fs.StringVar(&o.out, "o", "", "write the last step to `OUT`, whose name ends in "+extensions(formats))
	fs.StringVar(&o.scan, "scan", "", "prune each layer alone to several densities, print how often the answer on -images stays the same, and write a plot to `FILE.svg`")
	fs.StringVar(&o.page, "page", "", "write a page in Markdown to `FILE.md`, about fixed steps; -calibrate is split, see the documentation")
	fs.StringVar(&o.small, "small", "", "with -page: the weights of squeezenet1.1 are in `FILE`")
	fs.StringVar(&o.peers, "peers", "", "with -page: times of other engines are in `FILE`")
	return fs
}

// extensions lists those of formats.
func extensions(formats []*format) string {
	var names []string
	for _, f := range formats {
		names = append(names, f.ext)
	}
	return strings.Join(names, ", ")
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: compress [flags] [-o OUT]")
	fmt.Fprintln(w, "Compresses a network step by step, and tells what each step gave: bytes, time and accuracy.")
	fs := newFlags(&options{})
	fs.SetOutput(w)
	fs.PrintDefaults()
}

// maxRounds is far more than anybody waits for.
const maxRounds = 10000

// parse checks everything that does not need a file to be read. Its errors are
// wrong usage, or flag.ErrHelp.
func parse(args []string) (o options, err error) {
	fs := newFlags(&o)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if fs.NArg() > 0 {
		return o, fmt.Errorf("%s: expected flags only; compress -help explains", fs.Arg(0))
	}
	if err := o.Resolve(fs); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.rounds > maxRounds {
		return o, fmt.Errorf("-rounds %d: expected 1 to %d", o.rounds, maxRounds)
	}
	if o.page != "" {
		return o, o.checkPage(given)
	}
	for _, name := range []string{"small", "peers"} {
		if given[name] {
			return o, fmt.Errorf("-%s without -page", name)
		}
	}
	if o.scan != "" {
		return o, o.checkScan(given)
	}
	switch {
	case given["pattern"] && o.prune == nil:
		return o, errors.New("-pattern without -prune")
	case given["calibrate"] && o.Type != cli.Int8 && o.share == nil:
		return o, fmt.Errorf("-calibrate without -type %s or -share", cli.Int8)
	case given["calibrate"] && o.share != nil && !o.share.plain && !o.HasPictures():
		return o, errors.New("-share with -calibrate FILE.json: expected a folder of pictures, or plain")
	case o.share != nil && o.share.Bytes > 0 && !o.HasPictures():
		return o, errors.New("-share bytes=N without -calibrate DIR")
	case o.out == "":
		return o, nil
	}
	i := slices.IndexFunc(formats, func(f *format) bool { return strings.EqualFold(filepath.Ext(o.out), f.ext) })
	if i < 0 {
		return o, fmt.Errorf("-o %s: expected a name that ends in one of %s", o.out, extensions(formats))
	}
	o.format = formats[i]
	switch {
	case o.format.network:
		return o, nil
	case o.factorize != nil:
		return o, fmt.Errorf("-o %s with -svd: %s has the weights alone, and no network has these layers, expected %s", o.out, o.format.name, formatONNX.ext)
	case o.Type == cli.Int8:
		return o, fmt.Errorf("-o %s with -type %s: %s has no place for scales, expected %s", o.out, cli.Int8, o.format.name, formatONNX.ext)
	}
	return o, nil
}

// checkScan returns an error for flags that make no sense with -scan.
func (o *options) checkScan(given map[string]bool) error {
	for _, name := range []string{"svd", "prune", "share", "type", "calibrate", "weights-type", "layers", "rounds", "threads", "o"} {
		if given[name] {
			return fmt.Errorf("-%s with -scan, which prunes one layer after the other and nothing else", name)
		}
	}
	if o.images == "" {
		return errors.New("-scan without -images")
	}
	return nil
}

// pageFlags are those that make sense with -page.
var pageFlags = []string{"page", "weights", "small", "calibrate", "images", "peers", "isa", "threads", "rounds"}

// checkPage returns an error for flags that make no sense with -page.
func (o *options) checkPage(given map[string]bool) error {
	for _, name := range sorted(given) {
		if !slices.Contains(pageFlags, name) {
			return fmt.Errorf("-%s with -page: its steps are fixed", name)
		}
	}
	for _, name := range []string{"weights", "small", "calibrate"} {
		if !given[name] {
			return fmt.Errorf("-page without -%s", name)
		}
	}
	if !o.HasPictures() {
		return errors.New("-page with -calibrate FILE.json: expected a folder of pictures")
	}
	return nil
}
