package samples

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"firebench/kernels"
	"firebench/net/layer"
)

// A Config is the circumstances of a measurement.
type Config struct {
	Run     int // index in Data.Runs
	ISA     kernels.ISA
	Threads int
	Batch   int    // images per operation
	Type    string // F32 or Int8, what the network computes with; empty for the machine
	Algo    string // empty when the name has none, and in a Config that stands for all of them
	Zeros   Zeros  // of the weights of a layer
	Pass    string // of a layer or network in training; empty where it is not trained
}

// The passes of training, as pass= names them: of a layer forward and the gradients by its input and weights, of a network
// a step and its phases.
const (
	Step       = "step"
	Forward    = "forward"
	Backward   = "backward"
	Update     = "update"
	GradInput  = string(layer.GradInput)
	GradWeight = string(layer.GradWeight)
)

// passes are those of the parts of a kind.
var passes = map[Kind][]string{Net: {Step, Forward, Backward, Update}, Layer: {Forward, GradInput, GradWeight}}

// Zeros say which weights of a layer are zero, as names of BenchmarkSparse do. The weights of all other
// benchmarks are those of the network: Zeros{}.
type Zeros struct {
	Pattern string  // Vector or Unstructured
	Density float64 // the share of the weights that are kept, between 0 and 1
}

// The patterns of zeros, as pattern= names them.
const (
	Vector       = "vector"       // weights of an input are kept or not for many output channels at once
	Unstructured = "unstructured" // each weight on its own
)

// Compare orders zeros as the tables list them: the sparsest first.
func (z Zeros) Compare(y Zeros) int {
	return cmp.Or(-cmp.Compare(z.Pattern, y.Pattern), cmp.Compare(z.Density, y.Density))
}

// The types that networks compute with, as type= names them. A name without is one of F32.
const (
	F32  = "f32"
	Int8 = "int8" // quantized: uint8 values, int8 weights
)

// Types returns the types in the order in which the tables list them.
func Types() []string { return []string{F32, Int8} }

// Direct is what other algorithms are compared with: the one that can compute every layer. The
// names of all others, and of kernels.Auto, are just found in the files.
var Direct = kernels.Algorithms()[0]

// With returns c with that algorithm; with "", it stands for all of them.
func (c Config) With(algo string) Config {
	c.Algo = algo
	return c
}

// WithZeros returns c with these zeros.
func (c Config) WithZeros(z Zeros) Config {
	c.Zeros = z
	return c
}

// WithPass returns c with that pass.
func (c Config) WithPass(pass string) Config {
	c.Pass = pass
	return c
}

// Scalar returns what the time of a network is compared with: what portable Go code
// takes for one image in float32, with the direct algorithm, on as many threads.
func (c Config) Scalar() Config {
	c.ISA, c.Type, c.Algo, c.Batch = kernels.Scalar, F32, Direct, 1
	return c
}

// Float32 returns what the time of a quantized network is compared with: the same in float32. Its
// instruction set is another one where that of c brings nothing new for float32.
func (c Config) Float32() Config {
	c.ISA, c.Type = c.ISA.Float32(), F32
	return c
}

// machine is c without what only a network has.
func (c Config) machine() Config {
	return Config{Run: c.Run, ISA: c.ISA, Threads: c.Threads, Batch: 1}
}

// Compare orders configs as the tables list them: the best ISA first, and beside its times in float32
// those that are compared with them. It does not look at the algorithms.
func (c Config) Compare(d Config) int {
	return cmp.Or(
		cmp.Compare(c.Run, d.Run),
		cmp.Compare(d.ISA.Float32(), c.ISA.Float32()),
		cmp.Compare(c.Threads, d.Threads),
		cmp.Compare(c.Batch, d.Batch),
		cmp.Compare(c.Type, d.Type), // "f32" < "int8"
		cmp.Compare(d.ISA, c.ISA),
		c.Zeros.Compare(d.Zeros),
		cmp.Compare(c.Pass, d.Pass),
	)
}

// CompareAlgos orders algorithms as the tables list and prefer them: kernels.Auto is what runs
// unless another is asked for, Direct what the others are compared with.
func CompareAlgos(a, b string) int {
	rank := func(algo string) int {
		switch algo {
		case kernels.Auto:
			return 0
		case Direct:
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}

// String names c without its run and algorithm: "avx512, 2 threads", "avx512, 1 thread, int8", "avx512, 1 thread, batch 32, training step".
func (c Config) String() string {
	s := fmt.Sprintf("%v, %s", c.ISA, c.Size())
	if c.Type == Int8 {
		s += ", " + c.Type
	}
	if c.Pass != "" {
		s += ", training " + c.Pass
	}
	return s
}

// Size names the threads and the batch of c: "2 threads, batch 8".
func (c Config) Size() string {
	s := Plural(c.Threads, "thread")
	if c.Batch != 1 {
		s += fmt.Sprintf(", batch %d", c.Batch)
	}
	return s
}

// Plural returns "1 thread", "2 threads".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// parseConfig reads what the parts of a benchmark's name say about the config.
func parseConfig(parts [][]byte) (Config, error) {
	c := Config{Threads: 1, Batch: 1, Type: cmp.Or(value(parts, "type"), F32), Algo: value(parts, "algo")}
	var err error
	if c.ISA, err = kernels.ParseISA(value(parts, "isa")); err != nil {
		return c, fmt.Errorf("isa= in the name: %w", err)
	}
	if last := parts[len(parts)-1]; last[0] == '-' { // there is a part: isa
		if c.Threads, err = count(string(last[1:]), maxThreads); err != nil {
			return c, fmt.Errorf("threads in the name: %w", err)
		}
	}
	if s := value(parts, "batch"); s != "" {
		if c.Batch, err = count(s, maxBatch); err != nil {
			return c, fmt.Errorf("batch= in the name: %w", err)
		}
	}
	if !slices.Contains(Types(), c.Type) {
		return c, fmt.Errorf("type= in the name: %q, expected %s", c.Type, strings.Join(Types(), " or "))
	}
	if !isWord(c.Algo) {
		return c, fmt.Errorf("algo= in the name: %q is not a short word", c.Algo)
	}
	return c, nil
}

// parsePass reads what the parts of a name say about the pass of a part of a kind.
func parsePass(parts [][]byte, k Kind) (string, error) {
	pass := value(parts, "pass")
	if !slices.Contains(passes[k], pass) {
		return "", fmt.Errorf("pass= in the name: %q, expected one of %s", pass, strings.Join(passes[k], ", "))
	}
	return pass, nil
}

// parseZeros reads what the parts of a name of BenchmarkSparse say about zeros.
func parseZeros(parts [][]byte) (Zeros, error) {
	z := Zeros{Pattern: value(parts, "pattern")}
	if z.Pattern != Vector && z.Pattern != Unstructured {
		return z, fmt.Errorf("pattern= in the name: %q, expected %s or %s", z.Pattern, Vector, Unstructured)
	}
	s := value(parts, "density")
	var err error
	if z.Density, err = strconv.ParseFloat(s, 64); err != nil || !(z.Density > 0 && z.Density < 1) {
		return z, fmt.Errorf("density= in the name: %q, expected a number between 0 and 1", s)
	}
	return z, nil
}

// value returns the value of "/key=value" among the parts of a benchmark's name.
func value(parts [][]byte, key string) string {
	for _, p := range parts {
		if k, v, ok := bytes.Cut(p, []byte("=")); ok && string(k[1:]) == key {
			return string(v)
		}
	}
	return ""
}

// count parses a number from 1 to limit.
func count(s string, limit int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > limit {
		return 0, fmt.Errorf("%q, expected a number from 1 to %d", s, limit)
	}
	return n, nil
}

// isWord reports whether s is empty or may be printed in a table: an algorithm's name.
func isWord(s string) bool {
	return len(s) <= 24 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-_+") == ""
}
