package kernels

import (
	"fmt"
	"math"
)

// packed is the part that the Convs of all algorithms share: packed weights and biases.
type packed struct {
	f32     *F32
	problem Problem
	lower   float32 // no result is less: lowerBound(problem.ReLU)
	blocks  []block
	panels  []float32 // packed weights, one panel after the other
	bias    []float32 // packed biases: as many for each block as its tile is wide
}

// A block is the output channels that one tile computes side by side: they share a panel of
// weights.
type block struct {
	tile    *Tile
	in      int // the first input channel of the block's group
	out     int // the first output channel
	width   int // the number of output channels, at most tile.Width
	weights int // where its panel begins in packed.panels
	bias    int // where its biases begin in packed.bias
}

// newPacked divides the output channels of each group into blocks for the wide tile, and
// ends the group with one for the narrow tile where that is wide enough for the channels left.
// Each block gets a panel of zeros, which the algorithm fills: k rows, as wide as the block's
// tile. newPacked also packs the biases.
func newPacked(set *Set, p Problem, k int, bias []float32) packed {
	c := packed{f32: set.F32, problem: p, lower: lowerBound(p.ReLU)}
	in, out := p.In/p.Groups, p.Out/p.Groups
	size, columns := 0, 0
	for g := range p.Groups {
		for n := 0; n < out; {
			tile := &c.f32.Wide
			if out-n <= c.f32.Narrow.Width {
				tile = &c.f32.Narrow
			}
			width := min(tile.Width, out-n)
			c.blocks = append(c.blocks, block{tile, g * in, g*out + n, width, size, columns})
			size += k * tile.Width
			columns += tile.Width
			n += width
		}
	}
	c.panels = Alloc[float32](size)
	c.bias = Alloc[float32](columns)
	if bias != nil {
		for _, b := range c.blocks {
			copy(c.bias[b.bias:], bias[b.out:b.out+b.width])
		}
	}
	return c
}

// lowerBound returns the kernels' argument lower: 0 for ReLU, -Inf for none.
func lowerBound(relu bool) float32 {
	if relu {
		return 0
	}
	return float32(math.Inf(-1))
}

// Problem implements Conv.
func (c *packed) Problem() Problem { return c.problem }

// Bytes implements Conv.
func (c *packed) Bytes() int64 { return int64(len(Bytes(c.panels)) + len(Bytes(c.bias))) }

// checkBind checks the views that a convolution is to be bound to.
func (c *packed) checkBind(dst, src View) error {
	p := c.problem
	if err := checkViews(dst, src); err != nil {
		return fmt.Errorf("convolution: %w", err)
	}
	oh, ow := p.OutSize(src.H, src.W)
	if !dst.fits(oh) || dst.W != ow || dst.C != p.Out || src.C != p.In {
		return fmt.Errorf("convolution: %v to %v, expected %d input channels and output %d×%d×%d", src, dst, p.In, oh, ow, p.Out)
	}
	if src.Type != p.Src || dst.Type != p.Dst {
		return fmt.Errorf("convolution: %v to %v, expected %v to %v", src.Type, dst.Type, p.Src, p.Dst)
	}
	if src.Halo < p.Halo() {
		return fmt.Errorf("convolution: halo %d of the source is less than the padding %d", src.Halo, p.Halo())
	}
	if p.Halo() < p.Pad {
		return nil // the convolution reads the image alone
	}
	return src.checkRows("convolution: source", -p.Pad, (dst.H-1)*p.Stride-p.Pad+p.KH)
}

// packPanel transposes the weights of one block: weights[n][ci][tap] becomes
// panel[(tap, ci)][n]. It takes a few input channels at a time, because the rows of weights and
// panel are often a multiple of 4 KiB apart: many such rows do not stay in the cache together.
func packPanel(panel, weights []float32, width, in, taps int) {
	const channels = 16
	k := in * taps
	for ci := 0; ci < in; ci += channels {
		rows := min(channels, in-ci)
		for tap := range taps {
			out := panel[(tap*in+ci)*width:][:rows*width]
			for n := 0; n*k < len(weights); n++ {
				w := weights[n*k+ci*taps+tap:]
				for i := range rows {
					out[i*width+n] = w[i*taps]
				}
			}
		}
	}
}
