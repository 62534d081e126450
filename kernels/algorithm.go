package kernels

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/cpuid/v2"

	"firebench/kernels/workers"
)

// A Problem is a convolution of images of H×W pixels, to be solved by an algorithm. ReLU appends
// max(0, ·).
type Problem struct {
	ConvShape
	H, W     int
	Src, Dst Element
	ReLU     bool
}

// A Conv is a convolution with the weights packed for an algorithm. It is immutable and may be
// bound to any number of views.
type Conv interface {
	// Problem returns the problem that the weights were packed for, Algorithm the name of the
	// algorithm.
	Problem() Problem
	Algorithm() string

	// Bind prepares the convolution of src into dst on up to threads threads. Both are NHWC
	// views of the problem's elements; they may be of other sizes than H×W, but src.Halo must be
	// at least the shape's Halo, and dst of the size that the shape implies, or partial.
	Bind(dst, src View, threads int) (workers.Task, error)

	// Bytes returns the size of the packed weights and biases.
	Bytes() int64

	// Executed returns the multiply-adds that one image takes, lanes and tiles beyond the
	// output included. The algorithm may need fewer than the definition; what it does besides
	// multiply-adds does not count.
	Executed() int64

	// RowAlign and KernelRows matter where an output is computed in windows of rows. Each
	// window must start at a multiple of RowAlign and end at one, or with the last row;
	// it must have at least RowAlign rows. The bits are then those of the whole. An output
	// row reads KernelRows input rows, of which the last may have no weight.
	RowAlign() int
	KernelRows() int
}

// An algorithm is a way to compute convolutions.
type algorithm struct {
	name string

	// cycles estimates what one image costs on one core that has cache bytes of level-2
	// cache; ok is false if the algorithm, or the set, cannot compute it.
	cycles func(set *Set, p Problem, cache int) (cycles int, ok bool)

	// pack brings weights into the algorithm's order, for a problem that it can compute.
	pack func(set *Set, p Problem, weights, bias []float32) Conv
}

// algorithms is the table. Its first entry can compute every problem.
var algorithms = []algorithm{direct, winogradAlgorithm}

// Auto stands for the algorithm that Pick picks.
const Auto = "auto"

// Algorithms returns the names of all algorithms, as flags and benchmark names use them.
func Algorithms() []string {
	var names []string
	for _, a := range algorithms {
		names = append(names, a.name)
	}
	return names
}

// CheckAlgorithm reports a name that is neither Auto nor that of an algorithm.
func CheckAlgorithm(name string) error {
	known := append([]string{Auto}, Algorithms()...)
	if slices.Contains(known, name) {
		return nil
	}
	last := len(known) - 1
	return fmt.Errorf("unknown algorithm %q, expected %s or %s", name, strings.Join(known[:last], ", "), known[last])
}

// Candidates returns the names of the algorithms that can compute p.
func Candidates(set *Set, p Problem) []string {
	var names []string
	for _, a := range algorithms {
		if _, ok := a.cycles(set, p, Level2()); ok {
			names = append(names, a.name)
		}
	}
	return names
}

// Pick returns the algorithm that should be the fastest for p on one core: the one of least
// estimated cycles, the first of the table among equals. It is a rule, not a measurement:
// the same problem, instruction set and cache size always give the same answer.
func Pick(set *Set, p Problem) string { return pick(set, p, Level2()).name }

func pick(set *Set, p Problem, cache int) algorithm {
	best, least := algorithms[0], -1
	for _, a := range algorithms {
		if cycles, ok := a.cycles(set, p, cache); ok && (least < 0 || cycles < least) {
			best, least = a, cycles
		}
	}
	return best
}

// NewConv packs the weights of a convolution for the kernels of set. algo names the
// algorithm; where it is Auto, or cannot compute the problem, Pick decides. weights is OIHW,
// p.Weights() values; bias has p.Out values or is nil for none.
func NewConv(set *Set, algo string, p Problem, weights, bias []float32) (Conv, error) {
	if err := CheckAlgorithm(algo); err != nil {
		return nil, fmt.Errorf("convolution: %w", err)
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	if len(weights) != p.Weights() {
		return nil, fmt.Errorf("convolution: %d weights, expected %d for %d×%d×%d×%d", len(weights), p.Weights(), p.Out, p.In/p.Groups, p.KH, p.KW)
	}
	if bias != nil && len(bias) != p.Out {
		return nil, fmt.Errorf("convolution: %d biases, expected %d", len(bias), p.Out)
	}
	for _, a := range algorithms {
		if a.name == algo {
			if _, ok := a.cycles(set, p, Level2()); ok {
				return a.pack(set, p, weights, bias), nil
			}
		}
	}
	return pick(set, p, Level2()).pack(set, p, weights, bias), nil
}

// Check reports the first field that is out of range, or that no algorithm has kernels for.
func (p Problem) Check() error {
	if err := p.ConvShape.Check(); err != nil {
		return err
	}
	if p.H < 1 || p.W < 1 {
		return fmt.Errorf("convolution: image is %d×%d, expected at least 1×1", p.H, p.W)
	}
	if p.Src != Float32 || p.Dst != Float32 {
		return fmt.Errorf("convolution: %v to %v, expected f32 to f32", p.Src, p.Dst)
	}
	return nil
}

// Level2 returns the size of the level-2 cache in bytes, 1 MiB where it cannot be
// told.
func Level2() int {
	if n := cpuid.CPU.Cache.L2; n > 0 {
		return n
	}
	return 1 << 20
}

// bytesPerCycle is what memory behind the level-2 cache delivers to a core, measured, see
// results/.
const bytesPerCycle = 6

// stream estimates the cycles in which n float32 weights come from behind a level-2 cache of
// that many bytes; none where they stay in it.
func stream(n, cache int) int {
	if bytes := n * Float32.Size(); bytes > cache/2 {
		return bytes / bytesPerCycle
	}
	return 0
}
