// Command train trains a network on labelled pictures: from random weights, or from those that it has for other classes.
//
// Usage:
//
//	go run ./net/train -data DIR|TAR -o DIR [flags]
//
// The pictures are in a folder or a tar archive, with a folder for each class; see package dataset for all that it reads. The
// network gets as many classes as there are, and their names: a new last layer if it had others.
//
//	-model NAME      the network (squeezenet1.0), or FILE.onnx: that of a file, which has weights. For pictures of 32×32 pixels
//	                 there is squeezenet-cifar, see squeezenet.ParseMicro
//	-weights FILE    the weights to start from; without, those of the model's file, or random ones as -init says
//	-dense           all weights may change one by one; without, weights that are 0 stay so, and in layers of at most 256 values,
//	                 which share them, those that are equal stay equal
//	-preprocessor NAME
//	                 how a picture becomes the input, instead of how the model says
//	-isa NAME, -algo NAME, -threads N
//	                 as of the other commands. With -algo direct the result is the same on all vector instruction sets
//	-recipe NAME     squeezenet, cifar or finetune, see [training.Recipes] (finetune for weights that are given, cifar for
//	                 inputs of at most 64 pixels, else squeezenet). These change a recipe:
//	-epochs N, -batch N, -accumulate N, -rate R, -policy NAME, -power P, -warmup E, -momentum M, -decay D, -smoothing S,
//	-clip N, -head F, -init NAME, -mirror, -jitter J, -area A
//	                 see -help
//	-classes N       fail unless there are that many classes
//	-freeze PATTERN  layers that stay as they are: patterns of names, as conv1,fire[2-5].*
//	-seed N          of everything that is random (1)
//	-memory MB       how much memory pictures may take (512)
//	-strict          fail for a picture that cannot be read, which is otherwise one line on standard error
//	-o DIR           the folder of the run, which is made. A run that is there already goes on
//
// The folder gets last.safetensors, the checkpoint from which the run goes on; best.safetensors, the one after the epoch with
// the best accuracy; log.csv and curves.svg, the loss and the accuracy of each epoch; and at the end model.onnx, the network
// with the best weights, for
//
//	go run ./net/classify -model DIR/model.onnx PICTURE
//
// A line for each epoch is printed. An interrupt writes a checkpoint and ends the command; the same command then goes on, and
// the result is the same, bit for bit, as without the stop.
//
// The exit status is 1 for an error, which is one line on standard error, and 2 for wrong usage.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"firebench/net/cli"
	"firebench/net/training"
)

const name = "train"

func main() { cli.Main(run) }

// run is the command, see [cli.Func].
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	o, status, ok := cli.Parse(name, args, parse, usage, stdout, stderr)
	if !ok {
		return status
	}
	// Pictures and the values of a batch take more memory than Main's limit allows, and stay: what is garbage
	// is little beside them.
	debug.SetMemoryLimit(math.MaxInt64)
	debug.SetGCPercent(25)
	c := command{options: o, stdout: stdout, stderr: stderr, progress: cli.NewProgress(stderr)}
	err := c.train(ctx)
	c.progress.Clear()
	return cli.Status(stderr, name, err)
}

// options are the command line.
type options struct {
	cli.Network
	recipe  training.Recipe
	named   string // the recipe's name; "" for the one that fits
	change  []func(*training.Recipe)
	data    string
	out     string
	classes int // 0 for as many as there are
	freeze  []string
	dense   bool
	seed    uint64
	memory  int // MB
	strict  bool
}

// newFlags returns the flags, which store what they parse in o.
func newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run reports errors, in one line
	o.Network.TrainFlags(fs)
	o.Network.AlgoFlag(fs)
	fs.StringVar(&o.data, "data", "", "learn from the pictures in the folder or tar archive `PATH`")
	fs.StringVar(&o.out, "o", "", "the folder `DIR` of the run; one that is there already goes on")
	var names []string
	for _, r := range training.Recipes {
		names = append(names, r.Name)
	}
	fs.StringVar(&o.named, "recipe", "", "how to train: `NAME` "+strings.Join(names, ", ")+" (default finetune for weights that are given, cifar for small inputs, else squeezenet)")
	number(o, fs, "epochs", "see all pictures `N` times", func(r *training.Recipe) *int { return &r.Epochs })
	number(o, fs, "batch", "run the network on `N` images at a time", func(r *training.Recipe) *int { return &r.Batch })
	number(o, fs, "accumulate", "make a step after `N` batches", func(r *training.Recipe) *int { return &r.Accumulate })
	number(o, fs, "rate", "the highest rate `R` of learning", func(r *training.Recipe) *float64 { return &r.Rate })
	text(o, fs, "policy", "how the rate changes: `NAME` "+strings.Join(training.Policies, ", "), func(r *training.Recipe) *string { return &r.Policy })
	number(o, fs, "power", "of the policy poly: `P`", func(r *training.Recipe) *float64 { return &r.Power })
	number(o, fs, "warmup", "let the rate rise for `E` epochs", func(r *training.Recipe) *float64 { return &r.WarmUp })
	number(o, fs, "momentum", "the share `M` of a step that the next one repeats", func(r *training.Recipe) *float64 { return &r.SGD.Momentum })
	number(o, fs, "decay", "the share `D` of a weight that is added to its gradient", func(r *training.Recipe) *float64 { return &r.SGD.WeightDecay })
	number(o, fs, "clip", "shorten the gradient of all weights to the length `N`; 0 for never", func(r *training.Recipe) *float64 { return &r.SGD.MaxNorm })
	number(o, fs, "smoothing", "give the share `S` of a label's probability to all classes", func(r *training.Recipe) *float64 { return &r.LabelSmoothing })
	number(o, fs, "head", "multiply the rate of the last layer by `F`", func(r *training.Recipe) *float64 { return &r.HeadFactor })
	text(o, fs, "init", "how random weights are drawn: `NAME` "+strings.Join(training.Inits, ", "), func(r *training.Recipe) *string { return &r.Init })
	number(o, fs, "jitter", "change brightness, contrast and saturation by up to the share `J`", func(r *training.Recipe) *float64 { return &r.Augment.Jitter })
	fs.Func("area", "take parts of at least the share `A` of a picture, and resize them, instead of cropping; 0 for never (default the recipe's)", func(s string) error {
		share, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return errors.New("expected a number")
		}
		o.change = append(o.change, func(r *training.Recipe) {
			if r.Augment.MinArea = share; share != 0 {
				r.Augment.Crop, r.Augment.Pad = false, 0
			}
		})
		return nil
	})
	fs.BoolFunc("mirror", "exchange left and right of every second picture; =false for none (default the recipe's)", func(s string) error {
		on, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("expected true or false")
		}
		o.change = append(o.change, func(r *training.Recipe) { r.Augment.Mirror = on })
		return nil
	})
	fs.IntVar(&o.classes, "classes", 0, "fail unless there are `N` classes; 0 means any number")
	fs.Func("freeze", "do not train the layers whose names `PATTERN` matches, such as conv1,fire[2-5].*", func(s string) error {
		o.freeze = strings.Split(s, ",")
		for _, p := range o.freeze {
			if _, err := path.Match(p, ""); err != nil {
				return fmt.Errorf("%q: %w", p, err)
			}
		}
		return nil
	})
	fs.BoolVar(&o.dense, "dense", false, "let all weights change one by one; without, those that are 0 stay so, and in layers that share at most 256 values equal ones stay equal")
	fs.Uint64Var(&o.seed, "seed", 1, "begin all that is random with `N`")
	fs.IntVar(&o.memory, "memory", 512, "keep pictures in up to `MB` megabytes")
	fs.BoolVar(&o.strict, "strict", false, "fail for a picture that cannot be read")
	return fs
}

// number defines a flag for a number of a recipe.
func number[T int | float64](o *options, fs *flag.FlagSet, name, usage string, field func(*training.Recipe) *T) {
	fs.Func(name, usage+" (default the recipe's)", func(s string) error {
		var v T
		if n, err := fmt.Sscanf(s+"\n", "%v\n", &v); n != 1 || err != nil {
			return errors.New("expected a number")
		}
		o.change = append(o.change, func(r *training.Recipe) { *field(r) = v })
		return nil
	})
}

// text defines a flag for a name in a recipe.
func text(o *options, fs *flag.FlagSet, name, usage string, field func(*training.Recipe) *string) {
	fs.Func(name, usage+" (default the recipe's)", func(s string) error {
		o.change = append(o.change, func(r *training.Recipe) { *field(r) = s })
		return nil
	})
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: train -data DIR|TAR -o DIR [flags]")
	fmt.Fprintln(w, "Trains a network on pictures, each of which is in a folder with the name of its class.")
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
	if fs.NArg() > 0 {
		return o, fmt.Errorf("%s: expected flags only; train -help explains", fs.Arg(0))
	}
	if err := o.Resolve(fs); err != nil {
		return o, err
	}
	switch {
	case o.data == "":
		return o, errors.New("no -data; train -help explains")
	case o.out == "":
		return o, errors.New("no -o; train -help explains")
	case o.classes < 0:
		return o, fmt.Errorf("-classes %d: expected 0 or more", o.classes)
	case o.memory < 1 || o.memory > 1<<20:
		return o, fmt.Errorf("-memory %d: expected 1 to %d", o.memory, 1<<20)
	}
	return o, o.resolve()
}

// resolve sets the recipe: the one that is named or fits, and what the flags change of it.
func (o *options) resolve() (err error) {
	fits := "squeezenet"
	switch {
	case o.Given():
		fits = "finetune"
	case max(o.Model.Input.H, o.Model.Input.W) <= small:
		fits = "cifar"
	}
	if o.recipe, err = training.LookupRecipe(cmp.Or(o.named, fits)); err != nil {
		return err
	}
	for _, f := range o.change {
		f(&o.recipe)
	}
	return o.recipe.Check()
}

// small is the side of the largest inputs for which the recipe cifar is taken.
const small = 64

// frozen reports whether a layer stays as it is.
func (o *options) frozen(node string) bool {
	return slices.ContainsFunc(o.freeze, func(p string) bool {
		ok, _ := path.Match(p, node) // parse has tried the pattern
		return ok
	})
}
