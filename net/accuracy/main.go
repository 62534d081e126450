// Command accuracy measures how good a network is on pictures.
//
// Usage:
//
//	go run ./net/accuracy [flags] IMAGES...
//
// IMAGES are JPEG, PNG or GIF files, and folders, of which it takes all pictures, also those of
// folders in them. The true class of a picture stands in its name or in that of its folder: the
// number of a WordNet synset, as in n02088238_basset.JPEG or n02088238/1.jpg, or the class's
// label, as in basset/1.jpg. Where the model's file names its classes, the folder has the class's name. See
// [evaluate.Labels].
//
//	-model NAME      the network (squeezenet1.0), or FILE.onnx: that of a file, which has weights
//	-weights FILE    its weights; without, those of the model's file, else they are random and the
//	                 accuracy means nothing
//	-preprocessor NAME
//	                 how a picture becomes the input, instead of how the model says; a file that this
//	                 suite has not written needs it
//	-isa NAME        the instruction set (the best of those that are usable)
//	-algo NAME       the algorithm of the convolutions, or auto, which picks one for each (auto)
//	-threads N       how many threads (one per processor)
//	-weights-type TYPE
//	                 f32, f16 or i8: how layers that only read their weights, such as dense ones, keep them;
//	                 compared with f32 (f32)
//	-type TYPE       f32, or int8, which is compared with f32 and needs -calibrate (f32); a quantized
//	                 file is int8 alone
//	-calibrate DIR   take the scales of int8 values from the pictures in a folder, or from the
//	                 file that -save has written, whose name ends in .json
//	-method NAME     how scales follow from pictures: minmax, percentile or kl (kl)
//	-save FILE.json  save the scales
//	-keep A,B,…      layers that stay float32
//	-weight-bits N   bits of a weight, 8 or 7 (8)
//	-saturate        a row more: sums that saturate to 16 bits, see [kernels.Saturating]; slow
//	-page FILE.md    write a page that compares int8 with saturating sums and with 7-bit weights
//	-json            print one JSON object per row of the table:
//	                 {"model":…,"arithmetic":…,"isa":…,"algorithm":…,"threads":…,"pictures":…,
//	                 "top1":{"count":…,"total":…,"share":…,"lo":…,"hi":…},"top5":{…},"agreement":{…},
//	                 "difference":…,"picture":…,"images/s":{"median":…,"lo":…,"hi":…}}
//
// A row of the table is an arithmetic. It has the shares of the pictures whose true class is the
// most probable one, and among the five most probable ones. Other rows than the first, which is
// float32 unless the file is quantized, also have the share of the pictures whose most probable class
// is that of the first, and the largest difference from a logit of it. Shares have 95 % intervals, Wilson's. Pictures
// without a label do not count for the first two; none has one if the model
// does not name its classes, and they are not ImageNet's 1000.
//
// The speed, with a 95 % interval of its median, is that of the network alone; but the next
// pictures are read on other processors meanwhile, and networks that take turns empty each other's
// caches. To measure speed use bench.
//
// A picture that cannot be used is one line on standard error; the others count all the
// same. The exit status is then 1, as for any other error, and 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"firebench/net/cli"
)

const name = "accuracy"

func main() { cli.Main(run) }

// run is the command, see [cli.Func].
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	o, status, ok := cli.Parse(name, args, parse, usage, stdout, stderr)
	if !ok {
		return status
	}
	m := measurement{options: o, args: args, stderr: stderr, progress: cli.NewProgress(stderr)}
	defer m.close()
	err := m.run(ctx)
	m.progress.Clear()
	if err == nil {
		err = m.print(stdout)
	}
	status = cli.Status(stderr, name, err)
	if m.failed > 0 {
		status = 1
	}
	return status
}

// options are the command line.
type options struct {
	cli.Network
	saturate bool
	page     string // a file, or ""
	json     bool
	images   []string
}

// newFlags returns the flags, which store what they parse in o.
func newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run reports errors, in one line
	o.Network.Flags(fs)
	o.Network.AlgoFlag(fs)
	fs.BoolVar(&o.saturate, "saturate", false, "with -type int8: a row more, with sums of products that saturate to 16 bits, as other software has on AVX2 without VNNI; slow")
	fs.StringVar(&o.page, "page", "", "with -type int8: write a page in Markdown to `FILE.md` that compares int8 with saturating sums and with 7-bit weights")
	fs.BoolVar(&o.json, "json", false, "print one JSON object per row of the table")
	return fs
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: accuracy [flags] IMAGES...")
	fmt.Fprintln(w, "IMAGES are JPEG, PNG or GIF images, and folders of them; their names or those of their folders begin with the number of the true class's synset, nXXXXXXXX, or the folder has the class's label as its name.")
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
	o.images = fs.Args()
	for _, path := range o.images {
		if strings.HasPrefix(path, "-") {
			return o, fmt.Errorf("%s after the first of IMAGES: flags come before it (a file of that name is ./%[1]s)", path)
		}
	}
	if len(o.images) == 0 {
		return o, errors.New("no IMAGES; accuracy -help explains")
	}
	if err := o.Resolve(fs); err != nil {
		return o, err
	}
	switch {
	case o.saturate && o.Type != cli.Int8:
		return o, fmt.Errorf("-saturate without -type %s", cli.Int8)
	case o.page != "" && o.Type != cli.Int8:
		return o, fmt.Errorf("-page without -type %s", cli.Int8)
	case o.page != "" && (o.saturate || o.Compression.WeightBits != 8):
		return o, errors.New("-page with -saturate or -weight-bits: the page has both")
	}
	return o, nil
}
