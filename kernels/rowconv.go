package kernels

import (
	"fmt"
	"math"
	"unsafe"

	"firebench/kernels/workers"
)

// rowAlgorithm is direct without the rows of zeros of each panel: the tiles run over a list of the inputs
// that are left. Its results are those of direct, bit for bit, but for the sign of zeros and for products
// with an infinity or a NaN.
var rowAlgorithm = algorithm{
	name:       "rows",
	skipsZeros: true,
	cycles: func(set *Set, p Problem, cache int) (int, bool) {
		if !p.floats() || p.RowSparsity == 0 {
			return 0, false
		}
		density := 1 - p.RowSparsity
		oh, ow := p.OutSize(p.H, p.W)
		macs := float64(oh*ow*p.K()*vectors(p.Out, set.F32.Lanes)/2) * density
		bytes := float64(p.Weights()*Float32.Size()) * density
		return int(rowOverhead * max(macs, float64(stream(int(bytes), cache)))), true
	},
	pack: func(set *Set, p Problem, w Weights, _ quantized) (Conv, error) {
		c := &rowConv{f32: set.F32}
		blocks := newBlocks(&set.F32.RowConv, p.ConvShape, 0)
		for i := range blocks {
			b := &blocks[i]
			c.first = append(c.first, len(c.kept))
			c.kept = appendKept(c.kept, b, p.ConvShape, w.Values)
			b.rows = len(c.kept) - c.first[i]
		}
		c.packed = newPacked[float32, float32](p, blocks)
		packChannels(c.bias, c.blocks, w.Bias)
		k, in, taps := p.K(), p.In/p.Groups, p.KH*p.KW
		for i, b := range c.blocks {
			for j, row := range c.rowsOf(i) {
				tap, ci := int(row)/in, int(row)%in
				for n := range b.width {
					c.panels[b.weights+j*b.tile+n] = w.Values[(b.out+n)*k+ci*taps+tap]
				}
			}
		}
		return c, nil
	},
}

// rowOverhead is how much longer a step of a tile takes than that of direct, as measured; see results/. Reading weights, whose
// offsets are read as well, takes about as much longer.
const rowOverhead = 1.05

// appendKept appends the rows of a block's panel that are not all zeros: they run over (kernel row, kernel
// column, input channel).
func appendKept[W float32 | int8](kept []int32, b *block, s ConvShape, weights []W) []int32 {
	k, in, taps := s.K(), s.In/s.Groups, s.KH*s.KW
	panel := weights[b.out*k:][:b.width*k]
	for tap := range taps {
		for ci := range in {
			for i := ci*taps + tap; i < len(panel); i += k {
				if panel[i] != 0 {
					kept = append(kept, int32(tap*in+ci))
					break
				}
			}
		}
	}
	return kept
}

// A rowConv has panels of rows that are not zero.
type rowConv struct {
	packed[float32, float32]
	f32   *F32
	kept  []int32 // the rows of all panels, one panel after the other, by their number in a panel of all rows
	first []int   // where the rows of each block begin
}

// rowsOf returns the rows of block i.
func (c *rowConv) rowsOf(i int) []int32 { return c.kept[c.first[i]:][:c.blocks[i].rows] }

func (c *rowConv) Algorithm() string { return rowAlgorithm.name }
func (c *rowConv) Executed() int64   { return c.executed() }
func (c *rowConv) RowAlign() int     { return 1 }
func (c *rowConv) KernelRows() int   { return c.problem.KH }
func (c *rowConv) Bytes() int64      { return c.packed.Bytes() + int64(len(Bytes(c.kept))) }

// Bind implements Conv, as for direct.
func (c *rowConv) Bind(dst, src View, threads int) (workers.Task, error) {
	t, err := newTiledTask(&c.packed, &c.f32.RowConv, dst, src, threads)
	if err != nil {
		return nil, err
	}
	offsets, err := t.inputOffsets(c.kept)
	if err != nil {
		return nil, err
	}
	lower := lowerBound(c.problem.ReLU)
	t.tiles = func(b *block, height int, dst, src []float32, prefetch *float32, dstStride, tiles, prefetchStep int) {
		// Where all rows are zeros there is neither a weight nor an offset.
		weights, offset := unsafe.SliceData(c.panels[b.weights:]), unsafe.SliceData(offsets[c.first[b.index]:])
		c.f32.RowConv.of(b).Funcs[height-1](&dst[0], &src[0], weights, &c.bias[b.bias], prefetch,
			offset, b.rows, t.srcStride, dstStride, tiles, prefetchStep, lower)
	}
	return t, nil
}

// inputOffsets returns where the inputs with the given numbers lie in a window, counted from its first input.
// It returns the numbers themselves where that is the same.
func (t *strips) inputOffsets(numbers []int32) ([]int32, error) {
	if len(t.offsets) == 1 && t.offsets[0] == 0 {
		return numbers, nil
	}
	if last := t.offsets[len(t.offsets)-1]; last > math.MaxInt32-t.run {
		return nil, fmt.Errorf("convolution: a window spans %d elements, expected at most %d", last+t.run, math.MaxInt32)
	}
	offsets := make([]int32, len(numbers))
	for i, n := range numbers {
		offsets[i] = int32(t.offsets[int(n)/t.run] + int(n)%t.run)
	}
	return offsets, nil
}
