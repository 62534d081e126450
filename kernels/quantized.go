package kernels

import (
	"fmt"
	"math"
	"slices"
)

// quantized are the weights of a convolution whose input and output are quantized, as integers. As
// in ONNX's QLinearConv, an output is
//
//	requantize(bias[c] + Σ (q − zero)·values, scale[c], …) // see QConvFunc
//
// where q are the integers of the input and zero is their zero point.
type quantized struct {
	values []int8    // OIHW
	sums   []int32   // Σ values
	bias   []int32   // round(bias/(input scale·weight scale))
	scale  []float32 // input scale·weight scale/output scale
	scales []float32 // the weight scales
}

// QuantizedWeights are the weights of a convolution whose input and output are quantized, as the
// integers that its kernels compute with.
type QuantizedWeights struct {
	Values []int8    // in the order of Weights.Values
	Bias   []int32   // one for each output channel, in units of input scale·weight scale
	Scales []float32 // the weight scale of each output channel, see Weights.Scales
}

// Quantize returns the integers to which [NewConv] turns w for p, whose input and output must be
// quantized.
func (p Problem) Quantize(w Weights) (QuantizedWeights, error) {
	if err := p.Check(); err != nil {
		return QuantizedWeights{}, err
	}
	if !p.quantized() {
		return QuantizedWeights{}, fmt.Errorf("convolution: %v from %v, expected quantized %v from quantized %[3]v", p.Dst, p.Src, Uint8)
	}
	if err := w.Check(p.ConvShape); err != nil {
		return QuantizedWeights{}, err
	}
	q, err := quantize(p, w)
	return QuantizedWeights{q.values, q.bias, q.scales}, err
}

// folded returns the biases with which the kernels need not subtract offset from each input.
func (q quantized) folded(offset int32) []int32 {
	bias := slices.Clone(q.bias)
	for c := range bias {
		bias[c] -= offset * q.sums[c]
	}
	return bias
}

// A bias is at most maxBias in units of the sums, so that adding it to a sum of ordinary size does
// not overflow. Where it would be more, as of a channel with hardly any weights, the channel's scale is
// raised until it is raisedBias: it then still has all bits of a float32, and sums stay small enough
// for Winograd's algorithm.
const (
	maxBias    = 1 << 30
	raisedBias = 1 << 24
)

// leastProduct is the least input scale·weight scale, and the least of these over the output scale: a
// power of two that float32 holds with all bits of precision. Weights for which it is too large
// change no output whose scale is at least leastOutput.
const (
	leastProduct = 0x1p-125
	leastOutput  = 0x1p-100
)

// quantize quantizes the weights of p, whose input and output are quantized.
func quantize(p Problem, w Weights) (quantized, error) {
	k := p.K()
	q := quantized{make([]int8, len(w.Values)), make([]int32, p.Out), make([]int32, p.Out), make([]float32, p.Out), make([]float32, p.Out)}
	for c := range p.Out {
		fail := func(format string, args ...any) (quantized, error) {
			return quantized{}, fmt.Errorf("convolution: channel %d: "+format, append([]any{c}, args...)...)
		}
		weights := w.Values[c*k:][:k]
		largest, bias := 0.0, 0.0
		for _, v := range weights {
			if v-v != 0 {
				return fail("a weight is %g, expected a finite number", v)
			}
			largest = max(largest, math.Abs(float64(v)))
		}
		if w.Bias != nil {
			if bias = float64(w.Bias[c]); bias-bias != 0 {
				return fail("the bias is %g, expected a finite number", bias)
			}
		}
		raw := largest / 127
		if w.Scales != nil && w.Scales[c] > 0 {
			raw = float64(w.Scales[c])
		}
		src, dst := float64(p.Src.Scale), float64(p.Dst.Scale)
		if math.Abs(bias) > maxBias*src*raw {
			raw = math.Abs(bias) / (raisedBias * src)
		}
		scale := float32(max(raw, leastProduct*max(1, dst)/src))
		product := p.Src.Scale * scale
		q.scale[c], q.scales[c] = product/p.Dst.Scale, scale
		if math.IsInf(float64(scale), 0) || math.IsInf(float64(q.scale[c]), 0) || dst < leastOutput {
			return fail("input scale %g · weight scale %g / output scale %g is too large for float32", src, scale, dst)
		}
		bias = math.RoundToEven(bias / float64(product))
		for i, v := range weights {
			n := int8(min(max(math.RoundToEven(float64(v/scale)), -128), 127))
			q.values[c*k+i] = n
			q.sums[c] += int32(n)
		}
		q.bias[c] = int32(bias)
	}
	return q, nil
}

// quantized reports whether p reads and writes quantized uint8 values.
func (p Problem) quantized() bool { return p.Src.quantized() && p.Dst.quantized() }

// lower returns the least integer of results of type t.
func (t Type) lower(relu bool) int32 {
	if relu {
		return t.Zero
	}
	return 0
}

// sumRange returns the least and the greatest sum of channel c, of all inputs.
func (q quantized) sumRange(p Problem, c int) (least, greatest int64) {
	least = int64(q.bias[c]) - int64(p.Src.Zero)*int64(q.sums[c])
	greatest = least
	k := p.K()
	for _, v := range q.values[c*k:][:k] {
		if v < 0 {
			least += 255 * int64(v)
		} else {
			greatest += 255 * int64(v)
		}
	}
	return least, greatest
}

// fitsInt32 reports whether the products of requantize are int32 in all channels, as generated kernels
// need it. They are unless outputs are finer than products of inputs and weights.
func (q quantized) fitsInt32(p Problem) bool {
	for c, scale := range q.scale {
		least, greatest := q.sumRange(p, c)
		// A sum that is no int32 becomes any one. Products are rounded upwards, too.
		if float64(min(max(-least, greatest), 1<<31))*float64(scale) > math.MaxInt32*(1-1.0/(1<<20)) {
			return false
		}
	}
	return true
}
