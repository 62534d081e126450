package kernels

import (
	"math"
	"unsafe"

	"firebench/kernels/winograd"
)

// qwinograd is winogradAlgorithm for quantized values, in integers: F(4×4, 3×3) or F(3×3, 4×4). Its
// results are exact, so they are those of the direct algorithm.
//
// Inputs and weights are transformed to int16. Sums of their products may overflow, and so may the
// output transform: what they mean for the result is exact modulo 2³². It is 576 times a sum of the
// convolution and its bias, or 9·64: the kernels divide it by 9, exactly, as a product with the
// inverse of 9 modulo 2³², and a factor of 64 remains. It is thus the condition of this algorithm that
// 64 times every sum that any input can lead to is an int32; see fitsWinograd.
var qwinograd = algorithm{
	name: winogradAlgorithm.name,
	cycles: func(set *Set, p Problem, cache int) (int, bool) {
		if !p.quantized() {
			return 0, false
		}
		a := qwinogradFor(set, p.ConvShape)
		if a == nil || !winogradFits(a, p) {
			return 0, false
		}
		tiles, elements := tileCount(a, p), a.N()*a.N()
		subs := len(subkernels(winogradTaps(p.ConvShape), a.R))
		in := p.In * p.Stride * p.Stride * subs * subs
		inVectors, outVectors := vectors(in, set.U8.Input), vectors(p.Out, set.U8.Lanes)
		// The stores at the end of a product cost as much as one more group of inputs.
		groups := vectors(in/p.Groups, set.U8.BatchMatMul.Group) + 1
		products := set.U8.productCycles(elements * tiles * groups * outVectors)
		transforms := tiles * (qinputCycles*inVectors + qoutputCycles*outVectors)
		return max(products, stream(elements*p.Out*in/p.Groups*int(unsafe.Sizeof(int16(0))), cache)) + transforms, true
	},
	pack: func(set *Set, p Problem, _ Weights, q quantized) (Conv, error) {
		for c := range p.Out {
			if !q.fitsWinograd(p, c) {
				return nil, nil
			}
		}
		u, a := set.U8, qwinogradFor(set, p.ConvShape)
		transforms := &u.Winograd[a.R]
		c := &qwinogradConv{winogradConv: newWinograd(&u.BatchMatMul, p, a, winogradKernels[uint8, int16, int32]{
			lanes:        u.Input,
			input:        transforms.Input,
			spaceToDepth: u.SpaceToDepth,
			copied:       u.Bytes,
			// From a seventh to two thirds of the cache are equally fast, see results/. The least
			// saves memory.
			budget: Level2() / 6,
		})}
		c.scale = Alloc[float32](len(c.bias))
		bias := q.folded(p.Src.Zero)
		for i := range bias {
			bias[i] *= winogradScale
			q.scale[i] /= winogradRest
		}
		packChannels(c.bias, c.blocks, bias)
		packChannels(c.scale, c.blocks, q.scale)
		lower := p.Dst.lower(p.ReLU)
		c.output = func(dst *uint8, src *int32, column, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile int) {
			transforms.Output(dst, src, &c.bias[column], &c.scale[column], tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile, lower, p.Dst.Zero)
		}
		packKernels(c.winogradConv, q.values, p.oihw())
		return c, nil
	},
}

const (
	winogradScale = 576               // of F(m×m, r×r) in integers
	winogradRest  = winogradScale / 9 // what is left of it by the output transforms
)

// The cycles in which the two transforms handle one vector of channels of a tile, as measured; see
// results/.
const (
	qinputCycles  = 90
	qoutputCycles = 110
)

// qwinogradFor is winogradFor in integers. Kernels with more taps than there are transforms for are
// divided into subkernels, with as few products as possible.
func qwinogradFor(set *Set, s ConvShape) *winograd.Algorithm {
	taps := winogradTaps(s)
	var best *winograd.Algorithm
	least := math.Inf(1)
	for r, t := range set.U8.Winograd[:min(taps+1, len(set.U8.Winograd))] {
		if t.Outputs == 0 {
			continue
		}
		if products := float64(len(subkernels(taps, r))) / float64(t.Outputs); products < least {
			best, least = winograd.NewInteger(t.Outputs, r), products
		}
	}
	return best
}

// fitsWinograd reports whether the sums of channel c, 64-fold, are int32 for all inputs, and so are their
// products with the channel's factor, and whether this can be divided by 64.
func (q quantized) fitsWinograd(p Problem, c int) bool {
	least, greatest := q.sumRange(p, c)
	const most = math.MaxInt32 / winogradRest
	scale := q.scale[c]
	return least >= -most-1 && greatest <= most && scale < winogradRest && scale/winogradRest*winogradRest == scale
}

// A qwinogradConv is a quantized convolution by Winograd's algorithm.
type qwinogradConv struct {
	*winogradConv[uint8, int16, int32]
	scale []float32 // factors of requantize: as many for each block as its tile is wide
}

func (c *qwinogradConv) Bytes() int64 { return c.packed.Bytes() + int64(len(Bytes(c.scale))) }
