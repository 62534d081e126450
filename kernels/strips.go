package kernels

import "fmt"

// strips is how the task of a direct convolution, of whatever type, divides its output. Tasks embed
// it.
//
// The output pixels are divided into strips. A strip is a row of the output. A 1×1
// convolution whose views have no gaps has strips of almost equal length instead, which
// do not end with the rows. Where the output is one pixel, as in a dense layer, all images
// are one strip, so that a batch is one matrix product.
type strips struct {
	shape     ConvShape
	blocks    []block
	dst, src  View    // src begins with the first window
	border    Padding // that a padded 1×1 convolution adds, see eachBorder
	interior  View    // dst without the border
	offsets   []int   // where each run of contiguous inputs starts, from the window's first input
	run       int     // inputs in a run
	srcStride int     // elements in src from one output pixel's window to the next one's
	dstStride int     // elements in dst from one output pixel to the next

	count       int // strips
	stripPixels int // pixels of a strip; 0 where the strips are parts of flatPixels
	flatPixels  int // pixels of all strips together, where stripPixels is 0
	maxStrip    int // pixels of the longest strip

	// A chunk is a group of strips for some blocks.
	blockStep int // blocks in a chunk
	stripStep int // strips in a group
	back      int // groups in the second half of the strips, see place
}

// chunkMACs is the least number of multiply-adds in a chunk: claiming a chunk then costs less
// than 1 % of computing it.
const chunkMACs = 1 << 19

// newStrips checks the views of a convolution and divides its output. The tiles are up to height
// pixels high. A chunk has up to blockStep blocks, fewer if there are too few chunks for the threads.
func newStrips(p Problem, blocks []block, height, blockStep int, dst, src View, threads int) (strips, error) {
	if err := p.checkBind(dst, src); err != nil {
		return strips{}, err
	}
	s := p.ConvShape
	t := strips{blocks: blocks, dst: dst, src: src, interior: dst, srcStride: s.Stride * src.Pixel, dstStride: dst.Pixel}
	if s.bordered() {
		if oh, _ := s.OutSize(src.H, src.W); dst.H != oh {
			return strips{}, fmt.Errorf("convolution: 1×1 with padding %v to %d rows, expected all %d", s.Pad, dst.H, oh)
		}
		t.border = s.Pad
		t.interior.Offset = dst.Index(0, s.Pad.Top, s.Pad.Left, 0)
		t.interior.H, t.interior.W = src.H, src.W
		s.Pad = Padding{}
	}
	t.shape = s
	t.src.Offset = src.Index(0, -s.Pad.Top, -s.Pad.Left, 0)

	t.offsets, t.run = s.runs(src)

	out := t.interior
	total := out.N * out.H * out.W
	switch {
	case out.H == 1 && out.W == 1:
		t.count, t.stripPixels, t.maxStrip = 1, out.N, out.N
		t.srcStride, t.dstStride = src.Batch, dst.Batch
	case s.KH == 1 && s.KW == 1 && s.Stride == 1 && src.flat() && out.flat():
		// With eight tiles in a strip, calls are rare and little is lost at a strip's end,
		// where tiles are lower.
		t.flatPixels = total
		t.count = max(1, total/(8*height))
		t.maxStrip = total/t.count + 1
	default:
		t.count, t.stripPixels, t.maxStrip = out.N*out.H, out.W, out.W
	}

	work := total * s.K() * s.Out
	t.blockStep = min(blockStep, len(blocks))
	if t.count == 1 {
		// The only strip may have weights that no cache holds: each thread should stream its own, in
		// chunks that come out even. Four blocks make little of what they share.
		t.blockStep = max(1, min(t.blockStep, 4, len(blocks)/(8*threads)))
	}
	chunks := t.blockChunks()
	if threads > 1 {
		chunks = max(1, min(work/chunkMACs, 16*threads))
		for t.blockStep > 1 && t.blockChunks()*t.count < min(chunks, 4*threads) {
			t.blockStep--
		}
	}
	perBlock := max(1, min(t.count, (chunks+t.blockChunks()-1)/t.blockChunks()))
	t.stripStep = (t.count + perBlock - 1) / perBlock
	if threads > 1 {
		t.back = t.stripChunks() / 2
	}
	return t, nil
}

// runs returns where each run of contiguous inputs of a window in src starts, counted from the window's first
// input, and how many inputs a run has. A run is as long as possible.
func (s ConvShape) runs(src View) (offsets []int, run int) {
	in := s.In / s.Groups
	switch {
	case src.Pixel != in:
		for y := range s.KH {
			for x := range s.KW {
				offsets = append(offsets, y*src.Row+x*src.Pixel)
			}
		}
		return offsets, in
	case src.Row == s.KW*in:
		return []int{0}, s.KH * s.KW * in
	}
	for y := range s.KH {
		offsets = append(offsets, y*src.Row)
	}
	return offsets, s.KW * in
}

func (t *strips) blockChunks() int { return (len(t.blocks) + t.blockStep - 1) / t.blockStep }
func (t *strips) stripChunks() int { return (t.count + t.stripStep - 1) / t.stripStep }

// Chunks implements workers.Task.
func (t *strips) Chunks() int { return t.blockChunks() * t.stripChunks() }

// edge returns how many outputs a strip has in a block that is narrower than its tile, with those
// that the tile writes beyond the block, or 0 if there is no such block.
func (t *strips) edge() int {
	edge := 0
	for _, b := range t.blocks {
		if b.width < b.tile {
			edge = max(edge, t.maxStrip*b.tile)
		}
	}
	return edge
}

// place returns the blocks of output channels, from first to last-1, and the group of strips that
// chunk i computes. Chunks are numbered through the first half of the groups from the front, and
// through the second half from the back, because threads take chunks from both ends: each thread
// then stays in one half. Within a half, the chunks of a block follow each other, so that the
// block's panel stays in the cache.
func (t *strips) place(i int) (first, last, group int) {
	front := t.stripChunks() - t.back
	if i < t.blockChunks()*front {
		first, group = i/front, i%front
	} else {
		i = t.Chunks() - 1 - i
		first, group = i/t.back, front+i%t.back
	}
	first *= t.blockStep
	return first, min(first+t.blockStep, len(t.blocks)), group
}

// group returns the strips of a group: from first to last-1.
func (t *strips) group(group int) (first, last int) {
	first = group * t.stripStep
	return first, min(first+t.stripStep, t.count)
}

// strip returns the indices of a strip's first output and input, of channel 0, and its pixels.
func (t *strips) strip(i int) (dst, src, pixels int) {
	if t.stripPixels > 0 {
		n, y := i/t.interior.H, i%t.interior.H
		return t.interior.Index(n, y, 0, 0), t.src.Index(n, y*t.shape.Stride, 0, 0), t.stripPixels
	}
	p0 := i * t.flatPixels / t.count
	p1 := (i + 1) * t.flatPixels / t.count
	return t.interior.Offset + p0*t.dst.Pixel, t.src.Offset + p0*t.src.Pixel, p1 - p0
}

// eachBorder calls f for the pixels of a padded 1×1 convolution whose window is all padding.
func (t *strips) eachBorder(f func(n, y, x int)) {
	if t.border == (Padding{}) {
		return
	}
	top, left, in := t.border.Top, t.border.Left, t.interior
	for n := range t.dst.N {
		for y := range t.dst.H {
			for x := 0; x < t.dst.W; x++ {
				if y >= top && y < top+in.H && x == left {
					x += in.W - 1
					continue
				}
				f(n, y, x)
			}
		}
	}
}
