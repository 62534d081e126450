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
//	-model NAME      the network (squeezenet1.0)
//	-weights FILE    its weights; without, they are random and the answer means nothing
//	-isa NAME        the instruction set (the best of those that are usable)
//	-algo NAME       the algorithm of the convolutions, or auto, which picks one for each (auto)
//	-threads N       how many threads (one per processor)
//	-top N           how many classes to print (5)
//	-json            print one JSON object per line:
//	                 {"file":…,"top":[{"class":0,"wnid":"n01440764","label":"tench","prob":0.98},…],"ms":…,
//	                 "model":…,"preprocessor":…,"isa":…,"algorithm":…,"threads":…}
//	-logits OUT.npy  write the values before the softmax, 1×1000, for a single INPUT
//
// The help, -help, lists the names that this machine knows.
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
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/preprocess"
)

const (
	defaultModel = "squeezenet1.0"
	seed         = 1 // of random weights
	tensorExt    = ".npy"
	stdinName    = "-" // of an INPUT

	// threadsPerProcessor bounds -threads: more threads than processors wait for each
	// other, and far more are a slip of the finger.
	threadsPerProcessor = 4
)

func main() {
	boundProcessors()
	// Decoding large pictures leaves hundreds of megabytes of garbage behind. Collect it in
	// time to stay within 1 GB, of which pictures may take half (preprocess.MaxMemory) and
	// AlexNet's weights a quarter. The process takes more than Go's limit: what has been
	// freed goes back to the system late.
	debug.SetMemoryLimit(672 << 20)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// boundProcessors lowers GOMAXPROCS, which the environment may set to any number, to what
// -threads may be: the runtime and all that goes by it take time and memory for each.
func boundProcessors() {
	runtime.GOMAXPROCS(min(runtime.GOMAXPROCS(0), threadsPerProcessor*runtime.NumCPU()))
}

// run is the command; it returns the exit status. When ctx ends, so does the command.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	report := func(err error) { fmt.Fprintf(stderr, "classify: %v\n", oneLine(err)) }
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		usage(stdout)
		return 0
	}
	if err != nil {
		report(err)
		return 2
	}
	c := classifier{options: o, stdin: stdin, stdout: stdout, stderr: stderr}
	if err := c.open(); err != nil {
		report(err)
		return 1
	}
	defer c.close()
	status := 0
	for err := range c.results(ctx) {
		if err != nil {
			report(err)
			status = 1
		}
	}
	if ctx.Err() != nil {
		report(errors.New("interrupted"))
		status = 1
	}
	return status
}

// oneLine returns the error's text; file names may contain anything.
func oneLine(err error) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(err.Error())
}

// options are the command line.
type options struct {
	model     *graph.Model
	weights   string // a file, "" for random ones
	set       *kernels.Set
	algorithm string
	threads   int // 0 for one per processor
	top       int
	json      bool
	logits    string // a file, or ""
	inputs    []string
}

// newFlags returns the flags, which store what they parse in o.
func newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet("classify", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run reports errors, in one line
	fs.Func("model", "the network `NAME` (default "+defaultModel+")", func(s string) (err error) {
		o.model, err = models.Lookup(s)
		return err
	})
	fs.StringVar(&o.weights, "weights", "", "weights `FILE`; without, they are random and the answer means nothing")
	fs.Func("isa", "instruction set `NAME`: "+isaNames()+" (default the last of them)", func(s string) (err error) {
		o.set, err = kernelSet(s)
		return err
	})
	fs.Func("algo", "algorithm `NAME` of the convolutions: "+strings.Join(append(kernels.Algorithms(), kernels.Auto), ", ")+" (default auto, which picks one for each)", func(s string) (err error) {
		o.algorithm = s
		err = kernels.CheckAlgorithm(s)
		return err
	})
	fs.IntVar(&o.threads, "threads", 0, "run the network on `N` threads; 0 means one per processor")
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
	threads := threadsPerProcessor * runtime.NumCPU()
	switch {
	case len(o.inputs) == 0:
		return o, errors.New("no INPUT; classify -help explains")
	case o.top < 1 || o.top > len(preprocess.Classes()):
		return o, fmt.Errorf("-top %d: expected 1 to %d", o.top, len(preprocess.Classes()))
	case o.threads < 0 || o.threads > threads:
		return o, fmt.Errorf("-threads %d: expected 0 to %d, %d per processor", o.threads, threads, threadsPerProcessor)
	case o.logits != "" && !isTensor(o.logits):
		return o, fmt.Errorf("-logits %s: expected a name that ends in %s", o.logits, tensorExt)
	case o.logits != "" && len(o.inputs) > 1:
		return o, fmt.Errorf("-logits %s: expected a single INPUT, not %d", o.logits, len(o.inputs))
	}
	if o.model == nil {
		if o.model, err = models.Lookup(defaultModel); err != nil {
			return o, err
		}
	}
	if o.set == nil {
		o.set, err = kernelSet("")
	}
	return o, err
}

// isTensor reports whether a file is a tensor, by its name.
func isTensor(path string) bool { return strings.EqualFold(filepath.Ext(path), tensorExt) }

// kernelSet returns the kernels of the named instruction set, by default the best,
// within what this machine and FIREBENCH_ISA allow.
func kernelSet(name string) (*kernels.Set, error) {
	usable, err := kernels.Supported()
	if err != nil {
		return nil, err
	}
	isa := usable[len(usable)-1]
	if name != "" {
		if isa, err = kernels.ParseISA(name); err != nil {
			return nil, err
		}
		if !slices.Contains(usable, isa) {
			return nil, fmt.Errorf("%v is not usable here, expected one of %s", isa, isaNames())
		}
	}
	return kernels.For(isa)
}

// isaNames lists the instruction sets that are usable here, for the help.
func isaNames() string {
	usable, err := kernels.Supported()
	if err != nil {
		return err.Error()
	}
	var names []string
	for _, isa := range usable {
		names = append(names, isa.String())
	}
	return strings.Join(names, ", ")
}
