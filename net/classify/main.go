// Command classify runs a network on pictures and prints the most probable of the 1000
// ImageNet classes.
//
// Usage:
//
//	go run ./net/classify [flags] INPUT...
//
// An INPUT is a JPEG, PNG or GIF file, which the model's preprocessor turns into the
// network's input; - for such a file on standard input; or a .npy file with a float32
// tensor 1×3×H×W, which is the network's input.
//
//	-model NAME      the network (squeezenet1.0), or FILE.onnx: that of a file, which has weights
//	-weights FILE    its weights; without, those of the model's file, else they are random and the
//	                 answer means nothing
//	-preprocessor NAME
//	                 how a picture becomes the input, instead of how the model says; see below
//	-isa NAME        the instruction set (the best of those that are usable)
//	-algo NAME       the algorithm of the convolutions, or auto, which picks one for each (auto)
//	-threads N       how many threads (one per processor)
//	-weights-type TYPE
//	                 how layers that only read their weights, such as dense ones, keep them in memory:
//	                 f32, f16 or i8 (f32)
//	-type TYPE       f32, or int8, which needs -calibrate (f32; a quantized file is int8)
//	-calibrate DIR   take the scales of int8 values from the pictures in a folder, or from the
//	                 file that -save has written, whose name ends in .json
//	-method NAME     how scales follow from pictures: minmax, percentile or kl (kl)
//	-save FILE.json  save the scales
//	-keep A,B,…      layers that stay float32
//	-weight-bits N   bits of a weight, 8 or 7 (8)
//	-top N           how many classes to print (5)
//	-json            print one JSON object per line:
//	                 {"file":…,"top":[{"class":0,"wnid":"n01440764","label":"tench","prob":0.98},…],"ms":…,
//	                 "model":…,"type":…,"weightsType":…,"preprocessor":…,"isa":…,"algorithm":…,"threads":…}
//	-logits OUT.npy  write the values before the softmax, 1×1000, for a single INPUT
//
// The help, -help, lists the names that this machine knows.
//
// A file that this suite has not written does not say how a picture becomes its input, and needs
// -preprocessor: what it was trained with. The wrong one gives wrong answers without a word. A network
// that ends in scores gets a softmax. Classes have the names that the model's file gives them, or
// ImageNet's if there are 1000 of them; else they are numbers.
//
// The time is that of the network alone, without reading and resizing the picture. Of
// several INPUTs, the next are read on other processors while the network runs, which slows
// it: for the time of a network use a single INPUT, or bench.
//
// An input that cannot be used is one line on standard error; the others are
// classified all the same. The exit status is then 1, as for any other error, and
// 2 for wrong usage.
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
	"firebench/net/preprocess"
)

const (
	name      = "classify"
	tensorExt = ".npy"
	stdinName = "-" // of an INPUT
)

func main() { cli.Main(run) }

// run is the command, see [cli.Func].
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, status, ok := cli.Parse(name, args, parse, usage, stdout, stderr)
	if !ok {
		return status
	}
	c := classifier{options: o, stdin: stdin, stdout: stdout, stderr: stderr}
	if err := c.open(ctx); err != nil {
		return cli.Status(stderr, name, err)
	}
	defer c.close()
	for err := range c.results(ctx) {
		if err != nil {
			cli.Report(stderr, name, err)
			status = 1
		}
	}
	if ctx.Err() != nil {
		cli.Report(stderr, name, cli.ErrInterrupted)
		status = 1
	}
	return status
}

// options are the command line.
type options struct {
	cli.Network
	top    int
	json   bool
	logits string // a file, or ""
	inputs []string
}

// newFlags returns the flags, which store what they parse in o.
func newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run reports errors, in one line
	o.Network.Flags(fs)
	o.Network.AlgoFlag(fs)
	fs.IntVar(&o.top, "top", 5, "print the `N` most probable classes")
	fs.BoolVar(&o.json, "json", false, "print one JSON object per line")
	fs.StringVar(&o.logits, "logits", "", "write the values before the softmax to the file `OUT.npy`; for a single INPUT")
	return fs
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: classify [flags] INPUT...")
	fmt.Fprintln(w, "An INPUT is a JPEG, PNG or GIF image, - for one on standard input, or a .npy file with the network's input, a float32 tensor 1×3×H×W.")
	fs := newFlags(&options{})
	fs.SetOutput(w)
	fs.PrintDefaults()
}

// parse checks everything that does not need a file to be read. Its errors are
// wrong usage, or flag.ErrHelp.
func parse(args []string) (o options, err error) {
	fs := newFlags(&o)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.inputs = fs.Args()
	for i, input := range o.inputs {
		switch {
		case input != stdinName && strings.HasPrefix(input, "-"):
			return o, fmt.Errorf("%s after the first INPUT: flags come before it (a file of that name is ./%[1]s)", input)
		case input == stdinName && slices.Contains(o.inputs[:i], input):
			return o, errors.New("- twice: standard input can be read once")
		}
	}
	switch {
	case len(o.inputs) == 0:
		return o, errors.New("no INPUT; classify -help explains")
	case o.top < 1 || o.top > len(preprocess.Classes()):
		return o, fmt.Errorf("-top %d: expected 1 to %d", o.top, len(preprocess.Classes()))
	case o.logits != "" && !isTensor(o.logits):
		return o, fmt.Errorf("-logits %s: expected a name that ends in %s", o.logits, tensorExt)
	case o.logits != "" && len(o.inputs) > 1:
		return o, fmt.Errorf("-logits %s: expected a single INPUT, not %d", o.logits, len(o.inputs))
	}
	return o, o.Resolve(fs)
}

// isTensor reports whether a file is a tensor, by its name.
func isTensor(path string) bool { return strings.EqualFold(filepath.Ext(path), tensorExt) }

func isPicture(path string) bool { return !isTensor(path) }
