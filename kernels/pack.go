package kernels

import (
	"fmt"
	"math"
)

// packed is the part that the Convs of all algorithms share. W is the type of the packed weights
// and B that of the biases.
type packed[W, B number] struct {
	problem Problem
	blocks  []block
	panels  []W // packed weights, one panel after the other
	bias    []B // packed biases: as many for each block as its tile is wide
}

// A block is the output channels that one tile computes side by side: they share a panel of
// weights.
type block struct {
	index   int  // among the blocks
	narrow  bool // whether its tile is Tiles.Narrow
	tile    int  // the tile's width
	in      int  // the first input channel of the block's group
	out     int  // the first output channel
	width   int  // the number of output channels, at most tile
	rows    int  // of its panel
	weights int  // where its panel begins in packed.panels
	bias    int  // where its biases begin in packed.bias
}

// newBlocks divides the output channels of each group into blocks for the wide tile, and
// ends the group with one for the narrow tile where that is wide enough for the channels left.
// Each block's panel has k rows.
func newBlocks[F any](tiles *Tiles[F], s ConvShape, k int) (blocks []block) {
	in, out := s.In/s.Groups, s.Out/s.Groups
	for g := range s.Groups {
		for n := 0; n < out; {
			narrow, tile := out-n <= tiles.Narrow.Width, tiles.Wide.Width
			if narrow {
				tile = tiles.Narrow.Width
			}
			width := min(tile, out-n)
			blocks = append(blocks, block{index: len(blocks), narrow: narrow, tile: tile, in: g * in, out: g*out + n, width: width, rows: k})
			n += width
		}
	}
	return blocks
}

// newPacked gives each block a panel of zeros, which the algorithm fills, as wide as the block's
// tile.
func newPacked[W, B number](p Problem, blocks []block) packed[W, B] {
	size, columns := 0, 0
	for i := range blocks {
		b := &blocks[i]
		b.weights, b.bias = size, columns
		size += b.rows * b.tile
		columns += b.tile
	}
	return packed[W, B]{p, blocks, Alloc[W](size), Alloc[B](columns)}
}

// packChannels packs one number for each output channel, such as its bias, as packed.bias has them;
// nil is all zeros.
func packChannels[B number](dst []B, blocks []block, values []B) {
	if values == nil {
		clear(dst)
		return
	}
	for _, b := range blocks {
		copy(dst[b.bias:], values[b.out:b.out+b.width])
	}
}

// lowerBound returns the kernels' argument lower: 0 for ReLU, -Inf for none.
func lowerBound(relu bool) float32 {
	if relu {
		return 0
	}
	return float32(math.Inf(-1))
}

// Problem implements Conv.
func (c *packed[W, B]) Problem() Problem { return c.problem }

// Bytes implements Conv.
func (c *packed[W, B]) Bytes() int64 { return int64(len(Bytes(c.panels)) + len(Bytes(c.bias))) }

// executed returns the number of multiply-adds that the direct algorithm executes for one image.
func (c *packed[W, B]) executed() int64 {
	p := c.problem
	oh, ow := p.OutSize(p.H, p.W)
	if p.bordered() {
		oh, ow = p.H, p.W // the border that the padding adds takes no multiply-add
	}
	macs := int64(0)
	for _, b := range c.blocks {
		macs += int64(b.rows) * int64(b.tile)
	}
	return int64(oh*ow) * macs
}

// checkBind checks the views that a convolution is to be bound to.
func (p Problem) checkBind(dst, src View) error {
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
	if p.bordered() {
		return nil // the convolution reads the image alone
	}
	return src.checkRows("convolution: source", -p.Pad.Top, (dst.H-1)*p.Stride-p.Pad.Top+p.KH)
}

// An order is how the weights of a convolution lie in memory: that of output channel o, input channel i of its
// group and tap t has the index at(o) + i·in + t·tap.
type order struct {
	first   int // index of the first weight
	group   int // from one group to the next
	outputs int // in a group

	out, in, tap int // from one channel, or tap, to the next
}

// at returns the index of the first weight of an output channel.
func (w order) at(o int) int { return w.first + o/w.outputs*w.group + o%w.outputs*w.out }

// oihw returns the order of Weights.Values.
func (s ConvShape) oihw() order {
	return order{0, s.Out / s.Groups * s.K(), s.Out / s.Groups, s.K(), s.KH * s.KW, 1}
}

// transposedOIHW returns the order of the weights of s where those of which they are transposed are in the
// order of Weights.Values.
func (s ConvShape) transposedOIHW() order {
	taps := s.KH * s.KW
	return order{taps - 1, s.Out / s.Groups * s.K(), s.Out / s.Groups, taps, s.Out / s.Groups * taps, -1}
}

// order checks weights that a Loader gets, and returns their order and the biases to pack.
func (p Problem) order(w Weights, transposed bool) (o order, bias []float32, err error) {
	if !transposed {
		return p.oihw(), w.Bias, w.Check(p.ConvShape)
	}
	of := p.ConvShape
	of.In, of.Out = p.Out, p.In
	return p.transposedOIHW(), nil, w.Check(of)
}

// packPanel transposes the weights of one block: w(n, ci, tap) becomes panel[(tap, ci)][n]. It takes a few input channels at a time, because the rows of weights and
// panel are often a multiple of 4 KiB apart: many such rows do not stay in the cache together.
func packPanel(panel, weights []float32, w order, b *block, in, taps int) {
	const channels = 16
	first := w.at(b.out)
	for ci := 0; ci < in; ci += channels {
		rows := min(channels, in-ci)
		for tap := range taps {
			out := panel[(tap*in+ci)*b.tile:][:rows*b.tile]
			for n := range b.width {
				at := first + n*w.out + ci*w.in + tap*w.tap
				for i := range rows {
					out[i*b.tile+n] = weights[at+i*w.in]
				}
			}
		}
	}
}
