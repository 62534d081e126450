package kernels

import (
	"fmt"

	"github.com/klauspost/cpuid/v2"
)

// An Algo is an algorithm for convolutions.
type Algo uint8

// The algorithms.
const (
	Auto     Algo = iota // what Pick picks
	Direct               // one chain of multiply-adds an output
	Winograd             // F(m×m, r×r); where there is none, Direct
)

var algoNames = [...]string{Auto: "auto", Direct: "direct", Winograd: "winograd"}

// String returns the name that flags and benchmark names use.
func (a Algo) String() string {
	if int(a) < len(algoNames) {
		return algoNames[a]
	}
	return fmt.Sprintf("Algo(%d)", uint8(a))
}

// ParseAlgo is the inverse of String. The error lists the known names.
func ParseAlgo(s string) (Algo, error) {
	for i, name := range algoNames {
		if s == name {
			return Algo(i), nil
		}
	}
	return 0, fmt.Errorf("unknown algorithm %q, expected auto, direct or winograd", s)
}

// Level2 returns the size of the level-2 cache in bytes, 1 MiB where it cannot be
// told.
func Level2() int {
	if n := cpuid.CPU.Cache.L2; n > 0 {
		return n
	}
	return 1 << 20
}

// What a transform of one vector of channels of 36 points of a tile costs, and what
// memory behind the level-2 cache delivers, in cycles and bytes a cycle of a core that
// issues two multiply-adds: counted in the generated code and measured, see results/.
const (
	inputCycles   = 95
	outputCycles  = 85
	bytesPerCycle = 6
)

// Pick returns Direct or Winograd, whichever should be faster for a convolution of
// an h×w image on one core. It is a rule, not a measurement: cycles of the
// multiply-adds and transforms, or of streaming the weights where that takes longer.
// The same shape, instruction set and cache size always give the same answer.
func Pick(set *Set, s ConvShape, h, w int) Algo {
	if !HasWinograd(set, s, h, w) {
		return Direct
	}
	oh, ow := s.OutSize(h, w)
	vectors := func(channels int) int { return (channels + set.Lanes - 1) / set.Lanes }
	stream := func(weights int) int {
		if bytes := 4 * weights; bytes > Level2()/2 {
			return bytes / bytesPerCycle
		}
		return 0
	}
	direct := max(oh*ow*s.K()*vectors(s.Out)/2, stream(s.Weights()))

	a := winogradFor(set, s)
	points := a.N() * a.N()
	tiles := (oh + a.M - 1) / a.M * ((ow + a.M - 1) / a.M)
	in := s.In * s.Stride * s.Stride
	// Each product ends with stores that so short a sum does not hide: some five
	// more steps of it.
	products := points * tiles * (in/s.Groups + 5) * vectors(s.Out) / 2
	transforms := tiles * points * (inputCycles*vectors(in) + outputCycles*vectors(s.Out)) / 36
	if max(products, stream(points*s.Out*in/s.Groups))+transforms < direct {
		return Winograd
	}
	return Direct
}

// NewConvAlgo is NewConv or NewWinograd for a convolution of an h×w image, as algo
// says.
func NewConvAlgo(set *Set, algo Algo, s ConvShape, h, w int, weights, bias []float32, relu bool) (*Conv, error) {
	if algo == Auto {
		algo = Pick(set, s, h, w)
	}
	if algo == Winograd && HasWinograd(set, s, h, w) {
		return NewWinograd(set, s, weights, bias, relu)
	}
	return NewConv(set, s, weights, bias, relu)
}

// Algo returns the algorithm that the weights are packed for, Direct or Winograd.
func (c *Conv) Algo() Algo {
	if c.winograd != nil {
		return Winograd
	}
	return Direct
}
