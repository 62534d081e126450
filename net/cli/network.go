package cli

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/preprocess"
)

const (
	defaultModel = "squeezenet1.0"
	seed         = 1 // of random weights
)

// A Network is which network a command runs, and how, as its flags say: -model, -weights, -preprocessor,
// -isa, -algo, -threads, -weights-type, -type, and those that -type int8 brings.
type Network struct {
	Model     *graph.Model // nil before Open if it is in a file
	Weights   string       // a file, "" for those of the model's file or random ones
	Set       *kernels.Set
	Algorithm string // "" is kernels.Auto
	Threads   int    // 0 for one per processor
	Type      string // F32 or Int8
	Quantized bool   // the model's file has it in int8

	// Calibrates says that the command itself has a use for -calibrate, whatever -type is. It is set before Resolve.
	Calibrates bool

	quantization

	WeightsType kernels.WeightsType // of layers that only read their weights, see graph.Options

	file         string // of the model, or ""
	preprocessor string // instead of the model's, or ""
	given        map[string]bool
}

// Flags defines the flags in fs; they store what they parse in n. Resolve completes it.
func (n *Network) Flags(fs *flag.FlagSet) {
	n.TrainFlags(fs)
	fs.TextVar(&n.WeightsType, "weights-type", kernels.Float32Weights, "keep the weights of float32 layers whose result is one pixel, such as dense layers, in memory as `TYPE` f32, f16 or i8, which is faster because there are fewer bytes to read")
	n.typeFlags(fs)
}

// Given reports whether there are weights: a file of them, or in the model's file.
func (n *Network) Given() bool { return n.Weights != "" || n.file != "" }

// TrainFlags is Flags for networks that are trained: those that are about other types than float32 are missing.
func (n *Network) TrainFlags(fs *flag.FlagSet) {
	n.Type, n.Compression.WeightBits = F32, 8
	fs.Func("model", "the network `NAME`, or that of a FILE"+modelExt+", which has weights (default "+defaultModel+")", func(s string) (err error) {
		n.Model, n.file = nil, s
		if !isFile(s) {
			n.file = ""
			n.Model, err = lookup(s)
		}
		return err
	})
	fs.StringVar(&n.Weights, "weights", "", "weights `FILE`; without, those of the model's file are taken, else they are random and the answer means nothing")
	fs.Func("preprocessor", "how a picture becomes the network's input, instead of how the model says: `NAME` "+strings.Join(preprocess.Names(), ", "), func(s string) error {
		n.preprocessor = s
		_, err := preprocess.Lookup(s)
		return err
	})
	fs.Func("isa", "instruction set `NAME`: "+isaNames()+" (default the last of them)", func(s string) (err error) {
		n.Set, err = kernelSet(s)
		return err
	})
	fs.IntVar(&n.Threads, "threads", 0, "run the network on `N` threads; 0 means one per processor")
}

// AlgoFlag defines -algo, for commands that run the network for its results: it is always calibrated with
// the direct algorithm.
func (n *Network) AlgoFlag(fs *flag.FlagSet) {
	fs.Func("algo", "algorithm `NAME` of the convolutions: "+strings.Join(append(kernels.Algorithms(), kernels.Auto), ", ")+" (default auto, which picks one for each)", func(s string) (err error) {
		n.Algorithm = s
		return kernels.CheckAlgorithm(s)
	})
}

// Resolve checks what fs has parsed and replaces what was not given. Its errors are wrong usage.
func (n *Network) Resolve(fs *flag.FlagSet) error {
	n.given = map[string]bool{}
	fs.Visit(func(f *flag.Flag) { n.given[f.Name] = true })
	if err := n.checkType(); err != nil {
		return err
	}
	if n.WeightsType != kernels.Float32Weights && n.Type == Int8 {
		return fmt.Errorf("-weights-type %v with -type %s, whose layers have weights of their own", n.WeightsType, Int8)
	}
	if most := threadsPerProcessor * runtime.NumCPU(); n.Threads < 0 || n.Threads > most {
		return fmt.Errorf("-threads %d: expected 0 to %d, %d per processor", n.Threads, most, threadsPerProcessor)
	}
	n.Algorithm = cmp.Or(n.Algorithm, kernels.Auto)
	var err error
	if n.Model == nil && n.file == "" {
		if n.Model, err = models.Lookup(defaultModel); err != nil {
			return err
		}
	}
	if n.Set == nil {
		n.Set, err = kernelSet("")
	}
	return err
}

// Options returns how the network is compiled.
func (n *Network) Options() graph.Options {
	return graph.Options{Set: n.Set, Algo: n.Algorithm, Threads: n.Threads, WeightsType: n.WeightsType}
}

// Warn says in one line if the weights are random; meaningless is what means nothing then.
func (n *Network) Warn(stderr io.Writer, name, meaningless string) {
	if n.Weights == "" && n.file == "" {
		fmt.Fprintf(stderr, "%s: no -weights: they are random (seed %d), %s means nothing\n", name, seed, meaningless)
	}
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
