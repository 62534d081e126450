// Command convert writes a network to a file that other software reads.
//
// Usage:
//
//	go run ./net/convert [flags] -o OUT.onnx|OUT.safetensors|OUT.fbw
//
// An ONNX file has the network and its weights; a safetensors file has the weights alone, as float32, under the names
// of the network's layers, which -weights of all commands reads. So does a file of the project's own format FBW, exactly and in
// far fewer bytes if the weights are zeros or share values.
//
//	-o FILE             the file to write; its name ends in .onnx, .safetensors or .fbw
//	-model NAME         the network (squeezenet1.0), or a FILE.onnx, which has weights
//	-weights FILE       its weights; without, those of the model's file are taken, else they are random
//	-seed N             random weights, different ones for each N
//	-preprocessor NAME  how a picture becomes the network's input, instead of how the model says
//	-type TYPE          f32, or int8 for ONNX, which needs -calibrate (f32)
//	-calibrate DIR      take the scales of int8 values from the pictures in a folder, or from the
//	                    file that -save has written, whose name ends in .json
//	-method NAME        how scales follow from pictures: minmax, percentile or kl (kl)
//	-save FILE.json     save the scales
//	-keep A,B,…         layers that stay float32
//	-weight-bits N      bits of a weight, 8 or 7 (8)
//	-isa NAME           the instruction set with which it calibrates (the best of those that are usable)
//	-threads N          how many threads calibrate (one per processor)
//
// It prints what it has written, with the file's SHA-256. Equal networks and weights give equal bytes. The file appears
// when it is complete.
//
// The exit status is 1 for an error, which is one line on standard error, and 2 for wrong usage.
package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"firebench/kernels"
	"firebench/net/cli"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/onnx"
	"firebench/net/weights"
)

const name = "convert"

func main() { cli.Main(run) }

// run is the command, see [cli.Func].
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	o, status, ok := cli.Parse(name, args, parse, usage, stdout, stderr)
	if !ok {
		return status
	}
	err := o.convert(ctx, stdout, stderr)
	if errors.Is(err, cli.ErrInterrupted) {
		err = cli.ErrInterrupted // wherever it was
	}
	return cli.Status(stderr, name, err)
}

// A format is what a file can be written in.
type format struct {
	name, ext string
	write     func(io.Writer, *graph.Model, graph.Weights) error
}

var (
	formatONNX        = &format{"ONNX", ".onnx", onnx.Write}
	formatSafetensors = &format{"safetensors", ".safetensors", weights.WriteSafetensors}
	formatFBW         = &format{"FBW", ".fbw", weights.WriteFBW}
)

// options are the command line.
type options struct {
	cli.Network
	seed         uint64
	random       bool // -seed was given
	preprocessor bool // -preprocessor was given
	out          string
	format       *format
}

// newFlags returns the flags, which store what they parse in o.
func newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run reports errors, in one line
	o.Network.Flags(fs)
	fs.Uint64Var(&o.seed, "seed", 0, "random weights, different ones for each `N`")
	fs.StringVar(&o.out, "o", "", "write the `FILE`, whose name ends in .onnx, .safetensors or .fbw")
	return fs
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: convert [flags] -o OUT.onnx|OUT.safetensors|OUT.fbw")
	fmt.Fprintln(w, "Writes a network with its weights as ONNX, or its weights alone as safetensors or FBW.")
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
	fs.Visit(func(f *flag.Flag) {
		o.random = o.random || f.Name == "seed"
		o.preprocessor = o.preprocessor || f.Name == "preprocessor"
	})
	for _, f := range []*format{formatONNX, formatSafetensors, formatFBW} {
		if strings.EqualFold(filepath.Ext(o.out), f.ext) {
			o.format = f
		}
	}
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("%s: expected flags only; convert -help explains", fs.Arg(0))
	case o.out == "":
		return o, errors.New("no -o; convert -help explains")
	case o.format == nil:
		return o, fmt.Errorf("-o %s: expected a name that ends in %s, %s or %s", o.out, formatONNX.ext, formatSafetensors.ext, formatFBW.ext)
	case o.random && o.Weights != "":
		return o, errors.New("-seed with -weights: expected one of them")
	case o.WeightsType != kernels.Float32Weights:
		return o, fmt.Errorf("-weights-type %v: a file has float32 weights, expected the flag where a network runs", o.WeightsType)
	case o.format != formatONNX && o.Type == cli.Int8:
		return o, fmt.Errorf("-o %s with -type %s: %w", o.out, cli.Int8, o.format.noScales())
	}
	return o, o.Resolve(fs)
}

// noScales is why quantized networks are written in one format only.
func (f *format) noScales() error {
	return fmt.Errorf("%s has no place for the scales of quantized values, expected %s", f.name, formatONNX.ext)
}

// convert writes the file.
func (o *options) convert(ctx context.Context, stdout, stderr io.Writer) error {
	w, err := o.open(stderr)
	if err != nil {
		return err
	}
	if o.Quantized && o.format != formatONNX {
		return fmt.Errorf("%s: %s is quantized: %w", o.out, o.Model.Name, o.format.noScales())
	}
	out, err := files.Create(o.out) // before calibrating, which takes long
	if err != nil {
		return err
	}
	defer out.Discard()
	c, err := o.Calibrate(ctx, w, cli.NewProgress(stderr))
	if err != nil {
		return err
	}
	m, w, err := o.Network.Quantize(w, c)
	if err != nil {
		return err
	}
	digest := sha256.New()
	size := &counter{ctx: ctx}
	b := bufio.NewWriterSize(io.MultiWriter(size, digest, out), 1<<16)
	if err := o.format.write(b, m, w); err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return err
	}
	infos, err := m.Infer()
	if err != nil {
		return err
	}
	params := int64(0)
	for _, n := range infos {
		params += n.Cost.Params
	}
	if err := out.Commit(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s\nformat       %s\nmodel        %s\ninput        %v\npreprocessor %s\ntype         %s\nparameters   %d\nbytes        %d\nSHA-256      %x\n",
		o.out, o.format.name, m.Name, m.Input, cmp.Or(m.Preprocessor, "unknown"), o.Type, params, size.n, digest.Sum(nil))
	return err
}

// open returns the weights, and sets Model to what they were trained for.
func (o *options) open(stderr io.Writer) (graph.Weights, error) {
	w, err := o.Open()
	if err != nil {
		return nil, err
	}
	if o.random {
		w = weights.Random(o.seed)
	} else {
		o.Warn(stderr, name, "the file")
	}
	var trained graph.Rewrite = func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
		if !o.preprocessor {
			return m, w, nil
		}
		p, err := o.Preprocessor(m)
		if err != nil {
			return nil, nil, err
		}
		m = m.Clone()
		m.Preprocessor = p.Name()
		return m, w, nil
	}
	o.Model, w, err = trained.Apply(o.Model, w)
	return w, err
}

// A counter counts bytes, and fails when its context has ended.
type counter struct {
	ctx context.Context
	n   int64
}

func (c *counter) Write(b []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, cli.ErrInterrupted
	}
	c.n += int64(len(b))
	return len(b), nil
}
