// Command classify runs a network on images and prints the most probable of the
// 1000 ImageNet classes.
//
// Usage:
//
//	go run ./net/classify [flags] INPUT...
//
// An INPUT is a JPEG, PNG or GIF file, which the model's input recipe turns into
// the network's input, or a .npy file with a float32 tensor 1×3×H×W to which that
// has been done already.
//
//	-model NAME      the network (squeezenet1.0)
//	-weights FILE    its weights; without, they are random and the answer means nothing
//	-isa NAME        the instruction set: scalar, avx2, avx512 or neon (the best that is usable)
//	-algo NAME       the algorithm of the convolutions: direct, winograd where there is one, or
//	                 auto, which picks for each (auto)
//	-threads N       how many threads (one per processor)
//	-top N           how many classes to print (5)
//	-json            print one JSON object per line:
//	                 {"file":…,"top":[{"class":0,"wnid":"n01440764","label":"tench","prob":0.98},…],"ms":…}
//	-logits OUT.npy  write the values before the softmax, 1×1000, for a single INPUT
//
// The time is that of the network alone, without reading and resizing the image.
//
// An input that cannot be used is one line on standard error; the others are
// classified all the same. The exit status is then 1, as for any other error, and
// 2 for wrong usage.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"firebench/kernels"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/tensor"
	"firebench/net/weights"
)

const (
	defaultModel = "squeezenet1.0"
	seed         = 1 // of random weights
	maxThreads   = 1024
	maxFile      = 256 << 20 // bytes of an image
)

func main() {
	// The largest images that are accepted leave hundreds of megabytes of garbage
	// behind. Collect it in time to stay within 1 GB, AlexNet's weights included.
	debug.SetMemoryLimit(640 << 20)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// options are the command line.
type options struct {
	model   *graph.Model
	weights string
	set     *kernels.Set
	algo    string
	threads int
	top     int
	json    bool
	logits  string
	inputs  []string
}

// run is the command; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
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
	c := classifier{options: o, stdout: stdout, stderr: stderr}
	if err := c.open(); err != nil {
		report(err)
		return 1
	}
	defer c.close()
	status := 0
	for _, path := range o.inputs {
		if err := c.classify(path); err != nil {
			report(err)
			status = 1
		}
	}
	return status
}

// oneLine returns the error's text; file names may contain anything.
func oneLine(err error) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(err.Error())
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
	fs.Func("isa", "instruction set `NAME`: scalar, avx2, avx512 or neon (default the best that is usable)", func(s string) (err error) {
		o.set, err = kernelSet(s)
		return err
	})
	fs.Func("algo", "algorithm `NAME` of the convolutions: auto, direct or winograd (default auto, which picks for each)", func(s string) (err error) {
		o.algo = s
		err = kernels.CheckAlgorithm(s)
		return err
	})
	fs.IntVar(&o.threads, "threads", 0, "number of threads; 0 means one per processor")
	fs.IntVar(&o.top, "top", 5, "print the `N` most probable classes")
	fs.BoolVar(&o.json, "json", false, "print one JSON object per line")
	fs.StringVar(&o.logits, "logits", "", "write the values before the softmax to the file `OUT.npy`; for a single INPUT")
	return fs
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: classify [flags] INPUT...")
	fmt.Fprintln(w, "An INPUT is a JPEG, PNG or GIF image, or a .npy file with a preprocessed float32 tensor 1×3×H×W.")
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
	for _, input := range o.inputs {
		if strings.HasPrefix(input, "-") {
			return o, fmt.Errorf("%s after the first INPUT: flags come before it (a file of that name is ./%[1]s)", input)
		}
	}
	switch {
	case len(o.inputs) == 0:
		return o, errors.New("no INPUT; classify -help explains")
	case o.top < 1 || o.top > len(classes()):
		return o, fmt.Errorf("-top %d: expected 1 to %d", o.top, len(classes()))
	case o.threads < 0 || o.threads > maxThreads:
		return o, fmt.Errorf("-threads %d: expected 0 to %d", o.threads, maxThreads)
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
			return nil, fmt.Errorf("%v is not usable here, expected one of %v", isa, usable)
		}
	}
	return kernels.For(isa)
}

// A classifier is a compiled network and what to do with its results.
type classifier struct {
	options
	stdout, stderr io.Writer
	plan           *graph.Plan
	out            *files.Pending // for the logits, or nil
	printed        bool           // a result
	prepared       bool           // an image, and said so
}

// open does all that can fail before the first input is looked at.
func (c *classifier) open() (err error) {
	if c.logits != "" {
		if c.out, err = files.Create(c.logits); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	w := weights.Random(seed)
	if c.weights != "" {
		if w, err = weights.Open(c.weights); err != nil {
			return err
		}
	}
	c.plan, err = graph.Compile(c.model, w, graph.Options{Set: c.set, Algo: c.algo, Threads: c.threads})
	return err
}

func (c *classifier) close() {
	if c.out != nil {
		c.out.Discard()
	}
	if c.plan != nil {
		c.plan.Close()
	}
}

// A result is what is known about one input, in the form of -json.
type result struct {
	File string  `json:"file"`
	Top  []guess `json:"top"`
	MS   float64 `json:"ms"`
}

type guess struct {
	Class int     `json:"class"`
	WNID  string  `json:"wnid"`
	Label string  `json:"label"`
	Prob  float32 `json:"prob"`
}

// classify runs the network on one file and prints the result. Errors name the file.
func (c *classifier) classify(path string) error {
	recipe, err := load(path, c.plan)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := c.plan.Run(); err != nil {
		return err
	}
	ms := float64(time.Since(start).Microseconds()) / 1000
	probs := kernels.Pixel[float32](c.plan.Output(), 0, 0, 0)
	if i := slices.IndexFunc(probs, notFinite); i >= 0 {
		return fmt.Errorf("%s: the network's result is not finite: the probability of class %d is %g", path, i, probs[i])
	}
	if c.out != nil {
		logits := tensor.FromView(c.plan.Logits())
		logits.Dims = []int{1, len(logits.Data)}
		if err := tensor.WriteNPY(c.out, logits); err != nil {
			return fmt.Errorf("%s: %w", c.logits, err)
		}
		if err := c.out.Commit(); err != nil {
			return err
		}
	}
	return c.print(result{path, best(probs, c.top), ms}, recipe)
}

// best returns the n most probable classes, of equals the lower numbers.
func best(probs []float32, n int) []guess {
	guesses := make([]guess, len(probs))
	for i, p := range probs {
		guesses[i] = guess{i, classes()[i].wnid, classes()[i].label, p}
	}
	slices.SortStableFunc(guesses, func(a, b guess) int { return cmp.Compare(b.Prob, a.Prob) })
	return guesses[:n]
}

// print writes a result, recipe being "" for a tensor. What has to be said about
// results goes to standard error, once, before the first one that it is true of.
func (c *classifier) print(r result, recipe string) error {
	if !c.printed && c.weights == "" {
		fmt.Fprintf(c.stderr, "classify: no -weights: they are random (seed %d), the answer means nothing\n", seed)
	}
	var b strings.Builder
	if c.json {
		if !c.prepared && recipe != "" {
			fmt.Fprintf(c.stderr, "classify: images become inputs by the recipe %s\n", recipe)
		}
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil {
			return err
		}
	} else {
		if c.printed {
			b.WriteString("\n")
		}
		how := "preprocessed tensor"
		if recipe != "" {
			how = "recipe " + recipe
		}
		fmt.Fprintf(&b, "%s: %s, %s, %s %s, %.3f ms\n", r.File, how, c.model.Name, c.set.ISA, cmp.Or(c.algo, kernels.Auto), r.MS)
		for _, g := range r.Top {
			fmt.Fprintf(&b, "%7.2f %%  %s  %s\n", 100*g.Prob, g.WNID, g.Label)
		}
	}
	c.printed = true
	c.prepared = c.prepared || recipe != ""
	if _, err := io.WriteString(c.stdout, b.String()); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

func notFinite(v float32) bool {
	return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0)
}
