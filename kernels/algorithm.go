package kernels

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/cpuid/v2"

	"firebench/kernels/workers"
)

// A Problem describes a convolution, as far as algorithms must know it to estimate their cycles
// and to pack weights.
type Problem struct {
	ConvShape
	H, W     int  // pixels of an image, without padding; any number of images may be computed
	Src, Dst Type // of the input and of the output
	ReLU     bool // whether the output is max(0, ·) of the convolution

	// Sparsity is the share of the weights that are zero, from 0 to 1. RowSparsity is that of the rows of
	// panels that are zero, in vectors: a row has the weights of one input for all output channels of a tile, or
	// of rowWidth channels where they are quantized. NewConv counts both in weights of float32 and of integers.
	Sparsity, RowSparsity float64
	WeightsType           WeightsType // of the packed weights; only float32 values may have another one than float32
}

// A Conv is a convolution whose weights are packed for an algorithm. It is immutable, unless it is a Loader,
// and may be bound to any number of views.
type Conv interface {
	// Problem returns the problem that the weights were packed for, and Algorithm the name of
	// the algorithm that they were packed for.
	Problem() Problem
	Algorithm() string

	// Bind prepares the convolution of src into dst, on up to threads threads. Both are NHWC
	// views of the problem's types. src has In channels, any height and width, not only the
	// problem's, and a halo of at least the shape's Halo pixels. dst has Out channels and the
	// height and width that OutSize returns for src; a dst that View.Rows returned may have
	// fewer rows. It is an error if views do not fit, or if dst is smaller than the algorithm
	// can compute.
	Bind(dst, src View, threads int) (workers.Task, error)

	// Bytes returns the size of the packed weights and biases in bytes.
	Bytes() int64

	// Executed returns the number of multiply-adds that the algorithm executes for one image of
	// the problem. It counts those for the parts of vectors and tiles that lie beyond the
	// output, and may still be less than the number in the convolution's definition. Other
	// work, such as transforms, does not count.
	Executed() int64

	// RowAlign says how an output may be divided into parts, each some of its rows (see
	// View.Rows), that are computed one by one. Each part must start at a multiple of RowAlign,
	// and must end at a multiple of RowAlign or with the last row of the output; the part with
	// the last row must have at least RowAlign rows. The parts then have the same bits as the
	// whole output computed at once.
	RowAlign() int

	// KernelRows returns how many input rows an output row reads. The last of them may have no
	// weight in the kernel, so that their values do not matter.
	KernelRows() int
}

// A Rounded is a Conv whose weights are of another type than float32.
type Rounded interface {
	Conv

	// WeightsError returns how far the packed weights are from those that were packed: the root of
	// the sum of the squares of all differences, divided by that of the weights.
	WeightsError() float64
}

// A Loader is a Conv whose weights change, as they do in training. It starts with zeros. Tasks that are bound to
// it see what was loaded last; they must not run meanwhile.
type Loader interface {
	Conv

	// Load packs w as NewConv does, in the place of the weights before. It allocates nothing.
	Load(w Weights) error

	// LoadTransposed is Load of the transposed weights of w, which are those of the convolution that this
	// one is the transposed of, see [ConvShape.Transposed]: input and output channels of each group change
	// places, and so do the first and the last tap, the second and the last but one, …. The biases
	// become zeros.
	LoadTransposed(w Weights) error
}

// Weights are the weights of a convolution, before they are packed.
type Weights struct {
	Values []float32 // in the order OIHW: output channel, input channel of the group, kernel row, kernel column
	Bias   []float32 // one for each output channel, or nil for none

	// Scales has one number for each output channel, or is nil. It matters where the input is
	// quantized: the channel's weights become the integers that are nearest to weight/scale, ties to
	// even, from -128 to 127. Without scales, and where a scale is 0, it is the channel's largest
	// |weight|/127. The bias becomes an integer as well: where it would be greater than 2³⁰, the
	// channel's scale is raised until the bias is 2²⁴.
	Scales []float32
}

// Check returns an error for weights that do not fit s, or for a scale that is negative or not
// finite.
func (w Weights) Check(s ConvShape) error {
	if len(w.Values) != s.Weights() {
		return fmt.Errorf("convolution: %d weights, expected %d for %d×%d×%d×%d", len(w.Values), s.Weights(), s.Out, s.In/s.Groups, s.KH, s.KW)
	}
	if w.Bias != nil && len(w.Bias) != s.Out {
		return fmt.Errorf("convolution: %d biases, expected %d", len(w.Bias), s.Out)
	}
	if w.Scales != nil && len(w.Scales) != s.Out {
		return fmt.Errorf("convolution: %d scales, expected %d", len(w.Scales), s.Out)
	}
	for c, s := range w.Scales {
		if !(s >= 0 && s-s == 0) {
			return fmt.Errorf("convolution: scale of channel %d is %g, expected a positive number or 0", c, s)
		}
	}
	return nil
}

// An algorithm is a way to compute convolutions.
type algorithm struct {
	name       string // entries for different types may share a name: they do the same
	skipsZeros bool   // whether it leaves out weights of zero; without any, it computes nothing

	// cycles estimates how many cycles one image of p takes on one core whose level-2 cache
	// has cache bytes. ok is false if the algorithm cannot compute p with the kernels of set.
	cycles func(set *Set, p Problem, cache int) (cycles int, ok bool)

	// pack packs weights for p, which the algorithm can compute; q is w as integers if p is quantized. It
	// returns neither a Conv nor an error if these very weights are an obstacle to this algorithm, but not
	// to another one.
	pack func(set *Set, p Problem, w Weights, q quantized) (Conv, error)

	// loader returns a Loader without weights for p, which the algorithm can compute. It is nil if packed
	// weights depend on more than that.
	loader func(set *Set, p Problem) Loader
}

// packLoaded is the function pack of an algorithm that has the function loader.
func packLoaded(loader func(set *Set, p Problem) Loader) func(set *Set, p Problem, w Weights, q quantized) (Conv, error) {
	return func(set *Set, p Problem, w Weights, _ quantized) (Conv, error) {
		c := loader(set, p)
		return c, c.Load(w)
	}
}

// algorithms is the table of all algorithms. Those named direct can compute every problem of their
// types.
var algorithms = []algorithm{direct, winogradAlgorithm, rowAlgorithm, sparse, weightOnly, qdirect, qwinograd, qrows}

// Auto is the name that stands for the algorithm that Pick returns.
const Auto = "auto"

// Algorithms returns the names of all algorithms, without Auto, as flags and benchmark names
// use them.
func Algorithms() []string {
	var names []string
	for _, a := range algorithms {
		if !slices.Contains(names, a.name) {
			names = append(names, a.name)
		}
	}
	return names
}

// SkipsZeros reports whether the algorithm of that name leaves out weights of zero, so that its time
// depends on how many there are. The time of all others does not.
func SkipsZeros(name string) bool {
	return slices.ContainsFunc(algorithms, func(a algorithm) bool { return a.name == name && a.skipsZeros })
}

// CheckAlgorithm returns an error for a name that is neither Auto nor in Algorithms.
func CheckAlgorithm(name string) error {
	known := append([]string{Auto}, Algorithms()...)
	if slices.Contains(known, name) {
		return nil
	}
	last := len(known) - 1
	return fmt.Errorf("unknown algorithm %q, expected %s or %s", name, strings.Join(known[:last], ", "), known[last])
}

// Candidates returns the names of the algorithms that can compute p with the kernels of set, in
// the order of Algorithms. A problem that Check refuses has none.
func Candidates(set *Set, p Problem) []string {
	var names []string
	if p.Check() != nil {
		return nil
	}
	for _, a := range algorithms {
		if _, ok := a.cycles(set, p, Level2()); ok {
			names = append(names, a.name)
		}
	}
	return names
}

// Pick returns the name of the candidate that should be the fastest for p on one core: the one
// with the least estimated cycles, and among equals the first in the order of Algorithms. It is a
// rule, not a measurement: the same problem, instruction set and cache size always give the same
// answer. It is "" for a problem without candidates.
func Pick(set *Set, p Problem) string {
	if p.Check() != nil {
		return ""
	}
	a, _ := pick(set, p, Level2())
	return a.name
}

// Cycles estimates how many cycles one image of p takes on one core with the algorithm that Pick
// names. It is 0 for a problem without candidates.
func Cycles(set *Set, p Problem) int {
	if p.Check() != nil {
		return 0
	}
	a, ok := pick(set, p, Level2())
	if !ok {
		return 0
	}
	cycles, _ := a.cycles(set, p, Level2())
	return cycles
}

// pick does what Pick describes for a problem that Check accepts.
func pick(set *Set, p Problem, cache int) (best algorithm, ok bool) {
	least := 0
	for _, a := range algorithms {
		if cycles, can := a.cycles(set, p, cache); can && (!ok || cycles < least) {
			best, least, ok = a, cycles, true
		}
	}
	return best, ok
}

// NewConv packs the weights of a convolution for the kernels of set. algo names the algorithm;
// Pick chooses one if algo is Auto or is not a candidate. The first candidate takes the place of an
// algorithm that cannot compute with these very weights: Winograd's computes quantized values only
// where their sums are small enough. Where quantized outputs are so fine that scaled sums are no
// int32, the kernels are the scalar ones, whatever the set.
func NewConv(set *Set, algo string, p Problem, w Weights) (Conv, error) {
	if err := CheckAlgorithm(algo); err != nil {
		return nil, fmt.Errorf("convolution: %w", err)
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	if err := w.Check(p.ConvShape); err != nil {
		return nil, err
	}
	p.Sparsity, p.RowSparsity = 0, 0
	var q quantized
	switch {
	case p.floats():
		p.Sparsity, p.RowSparsity = zeros(p.ConvShape, w.Values, newBlocks(&set.F32.RowConv, p.ConvShape, 0))
	case p.quantized():
		var err error
		if q, err = quantize(p, w); err != nil {
			return nil, err
		}
		spans, _ := spansOf(newBlocks(&set.U8.Conv, p.ConvShape, 0))
		p.Sparsity, p.RowSparsity = zeros(p.ConvShape, q.values, spans)
	}
	best, ok := pick(set, p, Level2())
	if !ok {
		return nil, fmt.Errorf("convolution: no algorithm of %v computes %v from %v", set.ISA, p.Dst, p.Src)
	}
	for _, a := range algorithms {
		if a.name == algo {
			if _, ok := a.cycles(set, p, Level2()); ok {
				best = a
			}
		}
	}
	conv, err := best.pack(set, p, w, q)
	for i := 0; conv == nil && err == nil; i++ {
		if a := algorithms[i]; a.name != best.name {
			if _, ok := a.cycles(set, p, Level2()); ok {
				conv, err = a.pack(set, p, w, q)
			}
		}
	}
	return conv, err
}

// NewLoader returns a Conv for float32 values whose weights are yet to be loaded. algo names an algorithm of
// which NewLoader can make one; if it does not, the one that should be the fastest is chosen. The problem's
// sparsity counts as 0.
func NewLoader(set *Set, algo string, p Problem) (Loader, error) {
	if err := CheckAlgorithm(algo); err != nil {
		return nil, fmt.Errorf("convolution: %w", err)
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	if !p.floats() {
		return nil, fmt.Errorf("convolution: loading %v weights for %v from %v, expected %v for %[4]v from %[5]v", p.WeightsType, p.Dst, p.Src, Float32Weights, Float32)
	}
	p.Sparsity, p.RowSparsity = 0, 0
	var best algorithm
	least := 0
	for _, a := range algorithms {
		if a.loader == nil {
			continue
		}
		if cycles, ok := a.cycles(set, p, Level2()); ok && (best.loader == nil || a.name == algo || best.name != algo && cycles < least) {
			best, least = a, cycles
		}
	}
	return best.loader(set, p), nil
}

// Check returns an error for the first field that is out of range.
func (p Problem) Check() error {
	if err := p.ConvShape.Check(); err != nil {
		return err
	}
	if p.H < 1 || p.W < 1 || p.H > maxPixels/p.W {
		return fmt.Errorf("convolution: image is %d×%d, expected 1×1 to %d pixels", p.H, p.W, maxPixels)
	}
	for _, t := range []Type{p.Src, p.Dst} {
		if err := t.Check(); err != nil {
			return fmt.Errorf("convolution: %w", err)
		}
	}
	for _, s := range []float64{p.Sparsity, p.RowSparsity} {
		if !(s >= 0 && s <= 1) {
			return fmt.Errorf("convolution: sparsity is %g, expected 0 to 1", s)
		}
	}
	if err := p.WeightsType.Check(); err != nil {
		return fmt.Errorf("convolution: %w", err)
	}
	if p.WeightsType != Float32Weights && (p.Src != Type{} || p.Dst != Type{}) {
		return fmt.Errorf("convolution: weights of type %v for %v from %v, expected %v from %[4]v", p.WeightsType, p.Dst, p.Src, Float32)
	}
	return nil
}

// zeros returns the shares of weights and of rows of panels that are zero; blocks have the panels. Rows count
// by their length.
func zeros[W float32 | int8](s ConvShape, weights []W, blocks []block) (sparsity, rowSparsity float64) {
	n := 0
	for _, w := range weights {
		if w == 0 {
			n++
		}
	}
	if n == 0 {
		return 0, 0
	}
	var kept []int32
	rows, all := 0, 0
	for _, b := range blocks {
		kept = appendKept(kept[:0], &b, s, weights)
		rows += len(kept) * b.tile
		all += s.K() * b.tile
	}
	return float64(n) / float64(len(weights)), 1 - float64(rows)/float64(all)
}

// maxPixels bounds an image, so that estimates fit an int of 64 bits.
const maxPixels = 1 << 30

// Level2 returns the size of a core's level-2 cache in bytes, or 1 MiB if the processor does not
// tell it.
func Level2() int {
	if n := cpuid.CPU.Cache.L2; n > 0 {
		return n
	}
	return 1 << 20
}

// bytesPerCycle is how many bytes a core gets in a cycle from beyond its level-2 cache, as
// measured; see results/.
const bytesPerCycle = 6

// floats reports whether p reads and writes float32, and has such weights.
func (p Problem) floats() bool {
	return p.Src == Type{} && p.Dst == Type{} && p.WeightsType == Float32Weights
}

// vectors returns how many vectors n channels take.
func vectors(n, lanes int) int { return (n + lanes - 1) / lanes }

// stream estimates the cycles in which so many bytes of weights come from beyond a level-2 cache
// of cache bytes. It is 0 if they fill at most half of the cache: they then stay in it from image
// to image.
func stream(bytes, cache int) int {
	if bytes > cache/2 {
		return bytes / bytesPerCycle
	}
	return 0
}
