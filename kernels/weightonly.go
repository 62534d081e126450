package kernels

import (
	"fmt"
	"math"

	"firebench/kernels/scalar"
	"firebench/kernels/workers"
)

// weightOnly is direct for weights that have fewer bytes than float32. Where little more is done than
// to read them, as in a dense layer, that takes less time. The tiles make float32 values of weights
// again and again, which costs more time where many pixels use the same weights.
//
// An output is one chain of multiply-adds, as with direct, from 0 over the weights' integers or float16
// values; it is then multiplied by the channel's scale, and the bias added, in one more multiply-add.
var weightOnly = algorithm{
	name: direct.name,
	cycles: func(set *Set, p Problem, cache int) (int, bool) {
		if p.WeightsType == Float32Weights {
			return 0, false
		}
		// A core makes one vector of weights a cycle, for the rows of a tile.
		oh, ow := p.OutSize(p.H, p.W)
		height := set.F32.F16Conv.Wide.Height()
		tiles := (oh*ow + height - 1) / height
		return max(tiles*p.K()*vectors(p.Out, set.F32.Lanes), stream(int(p.WeightBytes()), cache)), true
	},
	pack: func(set *Set, p Problem, w Weights, _ quantized) (Conv, error) {
		if p.WeightsType == Float16Weights {
			return packWeightOnly(float16Weights, &set.F32.F16Conv, p, w)
		}
		return packWeightOnly(int8Weights, &set.F32.S8Conv, p, w)
	},
}

// A rounding makes weights of type W of float32 weights.
type rounding[W uint16 | int8] struct {
	scale func(largest float64) float64 // of a channel with that largest |weight|
	round func(w float32) W             // rounds a weight that has been divided by its scale
	value func(w W) float32             // what a kernel multiplies by
}

// leastScale is the least scale of a channel. Smaller ones would be subnormal numbers.
const leastScale = 0x1p-126

var (
	float16Weights = rounding[uint16]{
		scale: func(largest float64) float64 {
			_, exponent := math.Frexp(largest)
			return math.Ldexp(1, exponent-1)
		},
		round: float16,
		value: scalar.Float16,
	}
	int8Weights = rounding[int8]{
		scale: func(largest float64) float64 { return largest / 127 },
		round: func(w float32) int8 { return int8(min(max(math.RoundToEven(float64(w)), -128), 127)) },
		value: func(w int8) float32 { return float32(w) },
	}
)

// float16 returns the float16 that is nearest to v, ties to even. |v| is less than 65520.
func float16(v float32) uint16 {
	sign, b := uint16(math.Float32bits(v)>>31)<<15, math.Float32bits(v)&^(1<<31)
	if b < (127-14)<<23 { // zero, or a subnormal number, in steps of 2^-24
		return sign | uint16(math.RoundToEven(math.Abs(float64(v))*(1<<24)))
	}
	b += 1<<12 - 1 + b>>13&1
	return sign | uint16(b>>13-(127-15)<<10)
}

// scales returns the scale of each channel. Weights that are no numbers have none.
func (r rounding[W]) scales(p Problem, w Weights) ([]float32, error) {
	scales, k := make([]float32, p.Out), p.K()
	for c := range scales {
		largest := 0.0
		for _, v := range w.Values[c*k:][:k] {
			if v-v != 0 {
				return nil, fmt.Errorf("convolution: channel %d: a weight is %g, expected a finite number", c, v)
			}
			largest = max(largest, math.Abs(float64(v)))
		}
		scales[c] = float32(max(r.scale(largest), leastScale))
		if w.Scales != nil && w.Scales[c] > 0 && p.WeightsType == Int8Weights {
			scales[c] = w.Scales[c]
		}
	}
	return scales, nil
}

// packWeightOnly packs weights for a tile.
func packWeightOnly[W uint16 | int8](r rounding[W], tiles *Tiles[WConvFunc[W]], p Problem, w Weights) (Conv, error) {
	scales, err := r.scales(p, w)
	if err != nil {
		return nil, err
	}
	k := p.K()
	c := &weightOnlyConv[W]{packed: newPacked[W, float32](p, newBlocks(tiles, p.ConvShape, k)), tile: &tiles.Wide}
	c.scale = Alloc[float32](len(c.bias))
	packChannels(c.bias, c.blocks, w.Bias)
	packChannels(c.scale, c.blocks, scales)
	floats := make([]float32, k*c.tile.Width)
	errors, squares := 0.0, 0.0
	for _, b := range c.blocks {
		packPanel(floats, w.Values, p.oihw(), &b, p.In/p.Groups, p.KH*p.KW)
		panel := c.panels[b.weights:]
		for i := range k {
			for n, scale := range scales[b.out:][:b.width] {
				v := floats[i*b.tile+n]
				rounded := r.round(v / scale)
				panel[i*b.tile+n] = rounded
				diff := float64(r.value(rounded))*float64(scale) - float64(v)
				errors += diff * diff
				squares += float64(v) * float64(v)
			}
		}
	}
	if errors > 0 {
		c.err = math.Sqrt(errors / squares)
	}
	return c, nil
}

// A weightOnlyConv has panels as a directConv has, of weights of another type.
type weightOnlyConv[W uint16 | int8] struct {
	packed[W, float32]
	tile  *Tile[WConvFunc[W]]
	scale []float32 // as many for each block as its tile is wide
	err   float64
}

func (c *weightOnlyConv[W]) Algorithm() string { return weightOnly.name }
func (c *weightOnlyConv[W]) Executed() int64   { return c.executed() }
func (c *weightOnlyConv[W]) RowAlign() int     { return 1 }
func (c *weightOnlyConv[W]) KernelRows() int   { return c.problem.KH }
func (c *weightOnlyConv[W]) Bytes() int64      { return c.packed.Bytes() + int64(len(Bytes(c.scale))) }

// WeightsError implements Rounded.
func (c *weightOnlyConv[W]) WeightsError() float64 { return c.err }

// weightOnlyTask is a convolution bound to its views.
type weightOnlyTask[W uint16 | int8] struct {
	*weightOnlyConv[W]
	strips
	out, in []float32 // the memory of the views
	scratch           // the outputs of a strip, for blocks that are narrower than their tile
}

// Bind implements Conv, as for float32 weights.
func (c *weightOnlyConv[W]) Bind(dst, src View, threads int) (workers.Task, error) {
	strips, err := newStrips(c.problem, c.blocks, c.tile.Height(), 1, dst, src, threads)
	if err != nil {
		return nil, err
	}
	t := &weightOnlyTask[W]{weightOnlyConv: c, strips: strips, out: Data[float32](dst), in: Data[float32](src)}
	t.scratch = newScratch[float32](threads, t.edge())
	return t, nil
}

// Chunk computes one block of output channels for a group of strips.
func (t *weightOnlyTask[W]) Chunk(worker, i int) {
	lower := lowerBound(t.problem.ReLU)
	if i == 0 {
		t.dst.fillHalo()
		t.eachBorder(func(n, y, x int) {
			px := Pixel[float32](t.dst, n, y, x)
			for _, b := range t.blocks {
				for i, v := range t.bias[b.bias:][:b.width] {
					px[b.out+i] = max(v, lower)
				}
			}
		})
	}
	first, _, group := t.place(i)
	b := &t.blocks[first]
	from, to := t.group(group)
	for strip := from; strip < to; strip++ {
		dst, src, pixels := t.strip(strip)
		out, stride := t.out[dst+b.out:], t.dstStride
		if b.width < b.tile {
			out, stride = scratchOf[float32](&t.scratch, worker), b.tile
		}
		t.compute(b, out, t.in[src+b.in:], stride, pixels, lower)
		if b.width < b.tile {
			for p := range pixels {
				copy(t.out[dst+b.out+p*t.dstStride:][:b.width], out[p*stride:])
			}
		}
	}
}

// compute computes pixels output pixels of one block.
func (t *weightOnlyTask[W]) compute(b *block, dst, src []float32, dstStride, pixels int, lower float32) {
	tile := func(height, tiles int) {
		t.tile.Funcs[height-1](&dst[0], &src[0], &t.panels[b.weights], &t.bias[b.bias], &t.scale[b.bias], &t.offsets[0], len(t.offsets), t.run, t.srcStride, dstStride, tiles, lower)
	}
	height, taller, shorter := t.tile.split(pixels)
	if taller > 0 {
		tile(height+1, taller)
		done := taller * (height + 1)
		dst, src = dst[done*dstStride:], src[done*t.srcStride:]
	}
	tile(height, shorter)
}
