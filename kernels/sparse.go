package kernels

import (
	"unsafe"

	"firebench/kernels/scalar"
	"firebench/kernels/workers"
)

// sparse multiplies by the weights that are not zero alone, wherever they are. Its vectors hold pixels
// instead of channels: the inputs of some pixels are transposed, each output channel runs through the
// list of its weights, and the outputs are transposed back. With a dense layer the images of a batch
// take the place of pixels.
//
// A sum is one chain of multiply-adds in the order of direct.
var sparse = algorithm{
	name:       "sparse",
	skipsZeros: true,
	cycles: func(set *Set, p Problem, cache int) (int, bool) {
		if !p.floats() || p.Sparsity == 0 {
			return 0, false
		}
		oh, ow := p.OutSize(p.H, p.W)
		tile := &set.F32.SpMM
		count := vectors(oh*ow, tile.Width)
		spans := float64(vectors(count, tile.Height()))
		weights := float64(p.Weights()) * (1 - p.Sparsity)
		products := weights * max(vectorCycles*float64(count)+weightCycles*spans, chainCycles*spans)
		inputs := p.K() * p.Groups
		if p.KH*p.KW > 1 {
			inputs *= 2 // rows are transposed one by one, and what is beyond whole squares twice
		}
		transposed := transposeCycles * float64(oh*ow*(inputs+p.Out))
		read := stream(int(weights*(4+1)), cache)
		if count == 1 {
			// Nothing else hides how long lists take to come, and to end.
			lists := p.Out * vectors(p.K(), partInputs)
			return int(products) + listCycles*lists + read + int(transposed), true
		}
		return max(int(products), read) + int(transposed), true
	},
	pack: func(set *Set, p Problem, w Weights, _ quantized) (Conv, error) {
		k, in, taps := p.K(), p.In/p.Groups, p.KH*p.KW
		c := &sparseConv{problem: p, f32: set.F32, bias: Alloc[float32](p.Out), parts: vectors(k, partInputs)}
		copy(c.bias, w.Bias)
		// The narrow and the wide tile have no meaning here.
		blocks := Tiles[struct{}]{Wide: Tile[struct{}]{Width: blockOutputs}, Narrow: Tile[struct{}]{Width: blockOutputs}}
		c.blocks = newBlocks(&blocks, p.ConvShape, k)
		for _, b := range c.blocks {
			for part := range c.parts {
				c.start = append(c.start, len(c.values))
				first, last := c.part(part)
				for o := b.out; o < b.out+b.width; o++ {
					n := len(c.values)
					for i := first; i < last; i++ {
						if v := w.Values[o*k+i%in*taps+i/in]; v != 0 {
							c.values = append(c.values, v)
							c.columns = append(c.columns, uint8(i-first))
						}
					}
					c.counts = append(c.counts, uint8(len(c.values)-n))
				}
			}
		}
		return c, nil
	},
}

// The cycles that sparse takes, on a core that issues two vector multiply-adds a cycle, as measured; see
// results/: for a weight times a vector, for a weight beside that, but for a weight at least chainCycles, because a
// few vectors wait for each other's sums; for a list of weights where there is one vector; and for an input or an output
// to be transposed.
const (
	vectorCycles    = 0.6
	weightCycles    = 0.65
	chainCycles     = 2.7
	listCycles      = 20
	transposeCycles = 0.25
)

const (
	// partInputs is how many inputs of a sum are transposed at a time: with the pixels of SpMM's
	// widest function they fill 32 KiB.
	partInputs = 128

	// blockOutputs is how many output channels share a list of weights for each part of the inputs.
	blockOutputs = 64

	// sumBytes bounds the sums of a chunk, which a level-2 cache must hold beside the weights.
	sumBytes = 256 << 10
)

// A sparseConv has lists of weights: for each block, for each part of the inputs of a sum, which run
// over (kernel row, kernel column, input channel), and for each output channel.
type sparseConv struct {
	problem Problem
	f32     *F32
	blocks  []block
	bias    []float32 // by output channel
	parts   int

	values  []float32
	columns []uint8 // the input of each value, counted from the first of its part
	counts  []uint8 // of each output channel's values
	start   []int   // where the values of each block and part begin
}

// part returns the inputs of a part: from first to last-1.
func (c *sparseConv) part(i int) (first, last int) {
	k := c.problem.K()
	return i * k / c.parts, (i + 1) * k / c.parts
}

func (c *sparseConv) Problem() Problem  { return c.problem }
func (c *sparseConv) Algorithm() string { return sparse.name }
func (c *sparseConv) RowAlign() int     { return 1 }
func (c *sparseConv) KernelRows() int   { return c.problem.KH }

func (c *sparseConv) Bytes() int64 {
	return int64(len(Bytes(c.values)) + len(c.columns) + len(c.counts) + len(Bytes(c.bias)))
}

func (c *sparseConv) Executed() int64 {
	p := c.problem
	oh, ow := p.OutSize(p.H, p.W)
	if p.bordered() {
		oh, ow = p.H, p.W
	}
	width := c.f32.SpMM.Width
	return int64(vectors(oh*ow, width)*width) * int64(len(c.values))
}

// sparseTask is a sparse convolution bound to its views.
type sparseTask struct {
	*sparseConv
	strips
	out, in []float32 // the memory of the views
	pixels  int       // of all images
	spans   int       // parts of the pixels
	width   int       // pixels of the widest span, in whole vectors
	sumsAt  int       // where the sums begin in scratch
	scratch           // the transposed inputs of a part, and the sums of a chunk
}

// Bind implements Conv. A 1×1 convolution with stride 1 needs no halo, as for direct.
func (c *sparseConv) Bind(dst, src View, threads int) (workers.Task, error) {
	tile := &c.f32.SpMM
	strips, err := newStrips(c.problem, c.blocks, tile.Height(), len(c.blocks), dst, src, threads)
	if err != nil {
		return nil, err
	}
	t := &sparseTask{sparseConv: c, strips: strips, out: Data[float32](dst), in: Data[float32](src)}
	t.pixels = t.interior.N * t.interior.H * t.interior.W
	count := vectors(t.pixels, tile.Width)
	t.spans = vectors(count, tile.Height())
	t.width = vectors(count, t.spans) * tile.Width
	blockBytes := blockOutputs * t.width * Float32.Size()
	t.blockStep = max(1, min(len(c.blocks), sumBytes/blockBytes))
	for threads > 1 && t.blockStep > 1 && t.Chunks() < 4*threads {
		t.blockStep--
	}
	t.sumsAt = vectors(c.problem.K(), c.parts) * t.width
	t.scratch = newScratch[float32](threads, t.sumsAt+t.blockStep*blockOutputs*t.width)
	return t, nil
}

// Chunks implements workers.Task.
func (t *sparseTask) Chunks() int { return t.spans * t.blockChunks() }

// Chunk computes some blocks of output channels for a span of pixels.
func (t *sparseTask) Chunk(worker, i int) {
	if i == 0 {
		t.dst.fillHalo()
		t.fillBorder()
	}
	tile := &t.f32.SpMM
	span, first := i/t.blockChunks(), i%t.blockChunks()*t.blockStep
	count := vectors(t.pixels, tile.Width)
	from, to := span*count/t.spans, (span+1)*count/t.spans
	p0, p1 := from*tile.Width, min(to*tile.Width, t.pixels)
	blocks := t.sparseConv.blocks[first:min(first+t.blockStep, len(t.sparseConv.blocks))]
	for len(blocks) > 0 {
		// Those of one group share inputs.
		n := 1
		for n < len(blocks) && blocks[n].in == blocks[0].in {
			n++
		}
		t.compute(worker, blocks[:n], p0, p1, to-from)
		blocks = blocks[n:]
	}
}

// compute computes the output pixels p0 to p1-1 of blocks that share inputs. They take so many vectors.
func (t *sparseTask) compute(worker int, blocks []block, p0, p1, vectors int) {
	tile := &t.f32.SpMM
	inputs := scratchOf[float32](&t.scratch, worker)
	sums := inputs[t.sumsAt:]
	width := vectors * tile.Width
	outputs := 0
	for part := range t.parts {
		t.load(inputs, blocks[0].in, part, p0, p1, width)
		lower := lowerBound(t.problem.ReLU && part == t.parts-1)
		outputs = 0
		for i := range blocks {
			b := &blocks[i]
			dst, counts := &sums[outputs*width], &t.counts[b.out*t.parts+part*b.width]
			at := t.start[b.index*t.parts+part]
			// Where all weights are zero there is neither a value nor a column.
			values, columns := unsafe.SliceData(t.values[at:]), unsafe.SliceData(t.columns[at:])
			if part == 0 {
				tile.Funcs[vectors-1](dst, &inputs[0], values, &t.bias[b.out], columns, counts, b.width, lower)
			} else {
				t.f32.SpMMAdd[vectors-1](dst, &inputs[0], values, columns, counts, b.width, lower)
			}
			outputs += b.width
		}
	}
	t.eachRun(p0, p1, func(at, pixels, dst, _ int) {
		t.f32.transpose(t.out[dst+blocks[0].out:], sums[at:], outputs, pixels, t.dstStride, width)
	})
}

// load transposes the inputs of a part for the output pixels p0 to p1-1: each input becomes a row of
// width pixels. in is the first channel.
func (t *sparseTask) load(inputs []float32, in, part, p0, p1, width int) {
	first, last := t.part(part)
	t.eachRun(p0, p1, func(at, pixels, _, src int) {
		for k := first; k < last; {
			run, i := k/t.run, k%t.run
			n := min(t.run-i, last-k)
			t.f32.transpose(inputs[(k-first)*width+at:], t.in[src+in+t.offsets[run]+i:], pixels, n, width, t.srcStride)
			k += n
		}
	})
	if p1-p0 < width {
		// What is there could be numbers that take long to multiply.
		for k := range last - first {
			clear(inputs[k*width+p1-p0 : (k+1)*width])
		}
	}
}

// eachRun calls f for the runs of output pixels from p0 to p1-1 that lie evenly apart: at counts the
// pixels from p0 on, and dst and src are the indices of the first output and input.
func (t *strips) eachRun(p0, p1 int, f func(at, pixels, dst, src int)) {
	w, h := t.interior.W, t.interior.H
	if w == 1 && h == 1 || t.flatPixels > 0 {
		f(0, p1-p0, t.interior.Offset+p0*t.dstStride, t.src.Offset+p0*t.srcStride)
		return
	}
	for p := p0; p < p1; {
		n, y, x := p/(w*h), p/w%h, p%w
		pixels := min(w-x, p1-p)
		f(p-p0, pixels, t.interior.Index(n, y, x, 0), t.src.Index(n, y*t.shape.Stride, x*t.shape.Stride, 0))
		p += pixels
	}
}

// fillBorder writes the pixels of a padded 1×1 convolution whose window is all padding.
func (t *sparseTask) fillBorder() {
	lower := lowerBound(t.problem.ReLU)
	t.eachBorder(func(n, y, x int) {
		px := Pixel[float32](t.dst, n, y, x)
		for i, v := range t.bias {
			px[i] = max(v, lower)
		}
	})
}

// transpose does what F32.Transpose does for any number of rows and columns. What is left over beyond
// whole squares is part of squares that overlap others.
func (f *F32) transpose(dst, src []float32, rows, cols, dstStride, srcStride int) {
	side := f.TransposeSide
	if rows < side || cols < side {
		scalar.Transpose(&dst[0], &src[0], rows, cols, dstStride, srcStride)
		return
	}
	for r := 0; r < rows; {
		height := (rows - r) / side * side
		if height == 0 {
			r, height = rows-side, side
		}
		for c := 0; c < cols; {
			width := (cols - c) / side * side
			if width == 0 {
				c, width = cols-side, side
			}
			f.Transpose(&dst[c*dstStride+r], &src[r*srcStride+c], height, width, dstStride, srcStride)
			c += width
		}
		r += height
	}
}
