package kernels

import (
	"math"

	"firebench/kernels/workers"
)

// qrows is rowAlgorithm for quantized values. Tiles multiply groups of neighbouring inputs, and few groups have
// no weights at all: so the inputs that have some are moved together first, for some pixels and rowWidth output
// channels, and the tiles of the direct algorithm run over what is left. Its results are exact, so they are
// those of the direct algorithm.
var qrows = algorithm{
	name:       rowAlgorithm.name,
	skipsZeros: true,
	cycles: func(set *Set, p Problem, cache int) (int, bool) {
		if !p.quantized() || p.RowSparsity == 0 || p.In/p.Groups < gathered || set.U8.Gather == nil {
			return 0, false
		}
		density := 1 - p.RowSparsity
		inputs := density * float64(p.K()) // of a pixel, for one span
		oh, ow := p.OutSize(p.H, p.W)
		groups := int(math.Ceil(inputs / float64(set.U8.Conv.Group)))
		tiles := set.U8.tileCycles(oh*ow, groups, vectors(p.Out, set.U8.Lanes))
		// A chunk begins with an input that has weights, and those behind it have some as often as any.
		chunks := inputs / (1 + (gathered-1)*density) * float64(oh*ow*p.Groups*vectors(p.Out/p.Groups, rowWidth))
		weights := int(density * float64(p.Weights()))
		moves := max(1, gathered/set.U8.Bytes) // of a chunk
		return max(tiles, stream(weights, cache)) + int(chunks*float64(moves*gatherCycles)), true
	},
	pack: func(set *Set, p Problem, _ Weights, q quantized) (Conv, error) {
		u := q.kernelsOf(set, p)
		blocks := newBlocks(&u.Conv, p.ConvShape, 0)
		c := &qrowConv{}
		c.spans, c.firstBlock = spansOf(blocks)
		kept := make([][]int32, len(c.spans)) // the inputs that have weights
		for i := range c.spans {
			kept[i] = appendKept(nil, &c.spans[i], p.ConvShape, q.values)
			for j := c.firstBlock[i]; j < c.firstBlock[i+1]; j++ {
				blocks[j].rows = max(1, vectors(len(kept[i]), u.Conv.Group)) * u.Conv.Group
			}
		}
		c.qpacked = newQPacked(u, p, q, blocks)
		for i := range c.spans {
			c.packChunks(kept[i])
			for j := c.firstBlock[i]; j < c.firstBlock[i+1]; j++ {
				c.packPanel(&c.blocks[j], kept[i], q.values)
			}
		}
		c.firstChunk = append(c.firstChunk, len(c.from))
		return c, nil
	},
}

const (
	rowWidth = 32 // output channels that share inputs: a multiple of the width of every tile
	gathered = 16 // inputs that U8.Gather moves at a time

	// gatherCycles is how long it takes to move as many as fit a vector, as measured; see results/.
	gatherCycles = 2
)

// spansOf merges blocks to spans of up to rowWidth output channels; first says where the blocks of each
// begin, and ends with the number of blocks.
func spansOf(blocks []block) (spans []block, first []int) {
	for i, b := range blocks {
		if last := len(spans) - 1; last >= 0 && spans[last].in == b.in && spans[last].tile+b.tile <= rowWidth {
			spans[last].width += b.width
			spans[last].tile += b.tile
			continue
		}
		b.index = len(spans)
		spans = append(spans, b)
		first = append(first, i)
	}
	return spans, append(first, len(blocks))
}

// A qrowConv has panels of inputs that have weights, filled up to whole groups; without any there is one group.
type qrowConv struct {
	qpacked
	spans      []block // what shares inputs that are moved together, each as one block
	firstBlock []int   // where the blocks of each span begin, and their number

	// What U8.Gather moves for each span. A chunk is of one pixel; from holds the number of its first input.
	from, to   []int32
	places     []uint8
	firstChunk []int // where the chunks of each span begin, and their number
	window     int   // bytes from one pixel's inputs to the next one's, with room for what is written beyond them
}

// packChunks divides the inputs of the next span into chunks of inputs that lie side by side, all of one pixel.
func (c *qrowConv) packChunks(kept []int32) {
	c.firstChunk = append(c.firstChunk, len(c.from))
	s, size := c.problem.ConvShape, newQSums(c.u8, c.problem.ConvShape).size
	in := s.In / s.Groups
	for i := 0; i < len(kept); {
		channel := int(kept[i]) % in
		first := kept[i] - int32(channel-min(channel, in-gathered))
		last := min(first+gathered, kept[i]+int32(in-channel)) // and not beyond the pixel
		c.from, c.to = append(c.from, first), append(c.to, int32(i*size))
		places := make([]uint8, gathered)
		for j := 0; i < len(kept) && kept[i] < last; j++ {
			places[j] = uint8(kept[i] - first)
			i++
		}
		c.places = append(c.places, places...)
	}
	c.window = max(c.window, vectors(len(kept)+gathered, gathered)*gathered*size)
}

// packPanel fills the panel of a block.
func (c *qrowConv) packPanel(b *block, kept []int32, values []int8) {
	s, group := c.problem.ConvShape, c.u8.Conv.Group
	k, in, taps := s.K(), s.In/s.Groups, s.KH*s.KW
	panel := c.panels[b.weights:]
	for j, row := range kept {
		tap, ci := int(row)/in, int(row)%in
		for n := range b.width {
			panel[(j/group*b.tile+n)*group+j%group] = uint8(values[(b.out+n)*k+ci*taps+tap])
		}
	}
}

func (c *qrowConv) Algorithm() string { return qrows.name }

func (c *qrowConv) Bytes() int64 {
	return c.qpacked.Bytes() + int64(len(Bytes(c.from))+len(Bytes(c.to))+len(c.places))
}

// qrowTask is a quantized convolution by rows bound to its views.
type qrowTask struct {
	*qtiledTask
	rows *qrowConv
	from []int32 // where chunks begin in the source, from the first input of a window on
	part int     // pixels whose inputs are moved together before the tiles read them
}

// Inputs of about partPixels are moved together at a time, and of fewer where they would be more than partBytes:
// they should stay in the first cache, and so should where they come from, even if pixels lie powers of two apart.
const (
	partPixels = 48
	partBytes  = 16 << 10
)

// Bind implements Conv, as for float32.
func (c *qrowConv) Bind(dst, src View, threads int) (workers.Task, error) {
	tiled, err := newQTiledTask(&c.qpacked, c.spans, 1, dst, src, threads)
	if err != nil {
		return nil, err
	}
	t := &qrowTask{qtiledTask: tiled, rows: c}
	if t.from, err = t.inputOffsets(c.from); err != nil {
		return nil, err
	}
	t.offsets = []int{0}
	t.window = c.window
	height := c.u8.Conv.Wide.Height()
	t.part = min(t.maxStrip, max(1, min(vectors(partPixels, height), partBytes/t.window/height))*height)
	t.edgeAt = t.part * t.window
	t.scratch = newScratch[uint8](threads, t.edgeAt+t.edge())
	return t, nil
}

// Chunk computes a span of output channels for a group of strips.
func (t *qrowTask) Chunk(worker, i int) {
	if i == 0 {
		t.dst.fillHalo()
		t.fillBorder()
	}
	index, _, group := t.place(i)
	span, c := &t.rows.spans[index], t.rows
	inputs := scratchOf[uint8](&t.scratch, worker)
	from, to := t.group(group)
	for strip := from; strip < to; strip++ {
		dst, src, pixels := t.strip(strip)
		parts := vectors(pixels, t.part)
		for part := range parts {
			first, last := part*pixels/parts, (part+1)*pixels/parts
			t.gather(index, inputs, t.in[src+span.in+first*t.srcStride:], last-first)
			for j := c.firstBlock[index]; j < c.firstBlock[index+1]; j++ {
				b := &c.blocks[j]
				height := t.u8.Conv.of(b).Height()
				prefetch := t.prefetch(b, b.rows/t.u8.Conv.Group, (t.maxStrip+height-1)/height)
				t.compute(worker, b, prefetch.start(first/height), prefetch.step, dst+b.out+first*t.dstStride, inputs, last-first)
			}
		}
	}
}

// gather moves the inputs of a span together for so many pixels.
func (t *qrowTask) gather(span int, dst, src []uint8, pixels int) {
	c := t.rows
	first, last := c.firstChunk[span], c.firstChunk[span+1]
	if first < last {
		t.u8.Gather(&dst[0], &src[0], &c.places[gathered*first], &t.from[first], &c.to[first], last-first, pixels, t.srcStride, t.window)
	}
}
