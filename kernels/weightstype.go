package kernels

import (
	"fmt"
	"strings"
)

// A WeightsType is how the weights of a convolution whose inputs and outputs are float32 are kept in
// memory. Those that are not float32 have fewer bytes, and each output channel has a factor, its
// scale, with which the sums of the channel are multiplied. The zero value is Float32Weights.
type WeightsType uint8

const (
	// Float32Weights are as they are.
	Float32Weights WeightsType = iota

	// Float16Weights are rounded to the nearest float16 of IEEE 754, ties to even. A channel's scale is
	// the power of two that makes its largest |weight| 1 to 2, so that none is too large for a float16,
	// and those that are too small to have all its bits do not matter beside the largest.
	Float16Weights

	// Int8Weights are rounded to the nearest of 255 integers, ties to even. A channel's scale is its
	// largest |weight|/127, or what Weights.Scales says.
	Int8Weights
)

var weightsTypes = [...]struct {
	name  string
	size  int // bytes of a weight
	scale int // bytes of a channel's scale
}{
	Float32Weights: {"f32", 4, 0},
	Float16Weights: {"f16", 2, 4},
	Int8Weights:    {"i8", 1, 4},
}

// WeightsTypes returns all types, the largest first.
func WeightsTypes() []WeightsType {
	return []WeightsType{Float32Weights, Float16Weights, Int8Weights}
}

// String returns the name that flags and benchmark names use: f32, f16 or i8.
func (t WeightsType) String() string {
	if int(t) < len(weightsTypes) {
		return weightsTypes[t].name
	}
	return fmt.Sprintf("WeightsType(%d)", uint8(t))
}

// MarshalText returns the type's name.
func (t WeightsType) MarshalText() ([]byte, error) { return []byte(t.String()), t.Check() }

// UnmarshalText is the inverse of MarshalText. The error lists the known names.
func (t *WeightsType) UnmarshalText(text []byte) error {
	var names []string
	for _, known := range WeightsTypes() {
		if string(text) == known.String() {
			*t = known
			return nil
		}
		names = append(names, known.String())
	}
	return fmt.Errorf("unknown type of weights %q, expected one of %s", text, strings.Join(names, ", "))
}

// Check returns an error for a type that does not exist.
func (t WeightsType) Check() error {
	if int(t) >= len(weightsTypes) {
		return fmt.Errorf("unknown type of weights %v", t)
	}
	return nil
}

// WeightBytes returns the bytes of the problem's weights and biases, and of their scales if they
// have any.
func (p Problem) WeightBytes() int64 {
	t := weightsTypes[p.WeightsType]
	if p.quantized() {
		t = weightsTypes[Int8Weights]
	}
	return int64(p.ConvShape.Weights()*t.size + p.Out*(4+t.scale))
}
