package kernels

import "firebench/kernels/workers"

// qdirect is direct for quantized values.
var qdirect = algorithm{
	name: direct.name,
	cycles: func(set *Set, p Problem, cache int) (int, bool) {
		if !p.quantized() {
			return 0, false
		}
		// As for float32, but a multiply-add takes a group of inputs.
		oh, ow := p.OutSize(p.H, p.W)
		s := newQSums(set.U8, p.ConvShape)
		return max(set.U8.tileCycles(oh*ow, s.groups, vectors(p.Out, set.U8.Lanes)), stream(p.Out*s.columnBytes(), cache)), true
	},
	pack: func(set *Set, p Problem, _ Weights, q quantized) (Conv, error) {
		u := q.kernelsOf(set, p)
		s := newQSums(u, p.ConvShape)
		c := &qdirectConv{newQPacked(u, p, q, newBlocks(&u.Conv, p.ConvShape, s.columnBytes())), s}
		for i := range c.blocks {
			c.packPanel(&c.blocks[i], q.values)
		}
		return c, nil
	},
}

// kernelsOf returns the kernels of set, or those that do without the condition of QConvFunc on products
// where q does not meet it.
func (q quantized) kernelsOf(set *Set, p Problem) *U8 {
	if set.U8.AnyProduct || q.fitsInt32(p) {
		return set.U8
	}
	return scalarSet.U8 // slow, but no network that was calibrated has such outputs
}

// tileCycles estimates how many cycles the tiles take for so many pixels and vectors of outputs, whose sums
// have so many groups.
func (u *U8) tileCycles(pixels, groups, vectors int) int {
	return u.productCycles(pixels*groups*vectors) + pixels*vectors*roundCycles
}

// roundCycles is how long it takes to make a vector of outputs of the sums, as measured; see results/.
const roundCycles = 4

// productCycles estimates how many cycles n multiply-adds of vectors take. A core issues two a cycle,
// but one where vectors have 64 bytes, as measured; see results/.
func (u *U8) productCycles(n int) int {
	if u.Lanes*Int32.Size() < 64 {
		return n / 2
	}
	return n
}

// qsums says how the kernels of a set read the sums of a quantized convolution.
type qsums struct {
	size   int // bytes of an input: 2 where the kernels take int16
	group  int // inputs that a lane takes at a time
	groups int // in a sum

	// row is the number of inputs in a row of the window, filled up to whole groups. It is 0 if
	// the channels are whole groups, so that nothing must be filled up.
	row int
}

func newQSums(u *U8, s ConvShape) qsums {
	q := qsums{size: 1, group: u.Conv.Group}
	if u.Widen != nil {
		q.size = 2
	}
	channels := s.In / s.Groups
	if channels%q.group == 0 {
		q.groups = s.K() / q.group
	} else {
		groups := vectors(s.KW*channels, q.group)
		q.groups, q.row = s.KH*groups, groups*q.group
	}
	return q
}

// copied reports whether the kernels read a copy of the inputs: they do where the inputs must be
// int16, or where the last group of a row of the window has inputs that do not belong to it, which
// may lie beyond the memory.
func (q qsums) copied() bool { return q.size > 1 || q.row > 0 }

// columnBytes returns the bytes of one output channel's weights.
func (q qsums) columnBytes() int { return q.groups * q.group }

// A qdirectConv has panels whose rows run over (kernel row, kernel column, input channel), in
// groups. A row of the window is filled up with weights of zero.
type qdirectConv struct {
	qpacked
	sums qsums
}

// packPanel fills the panel of a block.
func (c *qdirectConv) packPanel(b *block, values []int8) {
	s, q := c.problem.ConvShape, c.sums
	channels, k := s.In/s.Groups, s.K()
	row := s.KW * channels
	if q.row > 0 {
		row = q.row
	}
	panel := c.panels[b.weights:]
	for n := range b.width {
		w := values[(b.out+n)*k:][:k]
		for ch := range channels {
			for y := range s.KH {
				for x := range s.KW {
					i := y*row + x*channels + ch
					panel[(i/q.group*b.tile+n)*q.group+i%q.group] = uint8(w[(ch*s.KH+y)*s.KW+x])
				}
			}
		}
	}
}

func (c *qdirectConv) Algorithm() string { return qdirect.name }

// qdirectTask is a quantized direct convolution bound to its views.
type qdirectTask struct {
	*qtiledTask
	sums      qsums
	inputCopy // what the kernels read, if it is not the source
}

// inputCopy is the layout of a copy of a strip's inputs: the rows that the windows of a strip
// reach, one behind the other. Lengths count inputs. The zero value is no copy.
type inputCopy struct {
	images int  // 1, or the pixels of the strip if each is an image, whose windows do not overlap
	pixel  int  // from one pixel's inputs to the next one's
	row    int  // from one row to the next
	alone  bool // whether the channels of one group are copied, without those of others
}

// Bind implements Conv, as for float32.
func (c *qdirectConv) Bind(dst, src View, threads int) (workers.Task, error) {
	blockStep := 1
	if c.sums.copied() {
		blockStep = len(c.blocks) // which share the copy
	}
	tiled, err := newQTiledTask(&c.qpacked, c.blocks, blockStep, dst, src, threads)
	if err != nil {
		return nil, err
	}
	t := &qdirectTask{qtiledTask: tiled, sums: c.sums}
	t.window = t.srcStride
	if c.sums.copied() {
		t.layoutCopy()
	}
	t.scratch = newScratch[uint8](threads, t.edgeAt+t.edge())
	return t, nil
}

// layoutCopy fills in inputCopy, and the offsets of the runs in it.
func (t *qdirectTask) layoutCopy() {
	s, size := t.shape, t.sums.size
	channels := s.In / s.Groups
	c := inputCopy{images: 1, pixel: t.src.Pixel}
	if t.sums.row > 0 {
		c.pixel, c.alone = channels, true // groups of inputs run through the pixels of a row
	}
	pixels := (t.maxStrip-1)*s.Stride + s.KW
	if t.interior.H == 1 && t.interior.W == 1 {
		c.images, pixels = t.maxStrip, s.KW
	}
	c.row = vectors(pixels*c.pixel+t.sums.group, align) * align
	t.window = s.Stride * c.pixel * size
	if c.images > 1 {
		t.window = s.KH * c.row * size
	}
	t.edgeAt = c.images * s.KH * c.row * size
	t.offsets = t.offsets[:0]
	for y := range s.KH {
		if c.pixel == channels {
			t.offsets = append(t.offsets, y*c.row*size)
			continue
		}
		for x := range s.KW {
			t.offsets = append(t.offsets, (y*c.row+x*c.pixel)*size)
		}
	}
	t.inputCopy = c
}

// Chunk computes some blocks of output channels for a group of strips.
func (t *qdirectTask) Chunk(worker, i int) {
	if i == 0 {
		t.dst.fillHalo()
		t.fillBorder()
	}
	first, last, group := t.place(i)
	from, to := t.group(group)
	for strip := from; strip < to; strip++ {
		dst, src, pixels := t.strip(strip)
		copied := -1 // the first of the channels in the copy
		for j := first; j < last; j++ {
			b := &t.packed.blocks[j]
			inputs := t.in[src+b.in:]
			if t.sums.copied() {
				channel := 0
				if t.alone {
					channel = b.in
				}
				if channel != copied {
					t.copyInputs(worker, src+channel, pixels)
					copied = channel
				}
				inputs = scratchOf[uint8](&t.scratch, worker)[(b.in-channel)*t.sums.size:]
			}
			height := t.u8.Conv.of(b).Height()
			tiles := (t.maxStrip + height - 1) / height
			next := 0
			if last-first == 1 {
				tiles, next = tiles*(to-from), tiles*(strip-from)
			}
			prefetch := t.prefetch(b, t.sums.groups, tiles)
			t.compute(worker, b, prefetch.start(next), prefetch.step, dst+b.out, inputs, pixels)
		}
	}
}

// copyInputs copies the inputs of a strip of so many pixels; src is the index of the first one.
func (t *qdirectTask) copyInputs(worker, src, pixels int) {
	s := t.shape
	images, width, channels := 1, (pixels-1)*s.Stride+s.KW, s.In
	if t.images > 1 {
		images, width = pixels, s.KW
	}
	if t.alone {
		channels = s.In / s.Groups
	}
	run, runs := (width-1)*t.pixel+channels, 1
	if t.pixel != t.src.Pixel {
		run, runs = channels, width
	}
	buf := scratchOf[uint8](&t.scratch, worker)
	for n := range images {
		for y := range s.KH {
			for x := range runs {
				from := t.in[src+n*t.src.Batch+y*t.src.Row+x*t.src.Pixel:][:run]
				to := buf[((n*s.KH+y)*t.inputCopy.row+x*t.pixel)*t.sums.size:]
				if t.sums.size > 1 {
					t.u8.widen(cast[int16](to), from)
				} else {
					copy(to, from)
				}
			}
		}
	}
}

// widen sets dst to the values of src.
func (u *U8) widen(dst []int16, src []uint8) {
	n := len(src) / u.Bytes * u.Bytes
	if n > 0 {
		u.Widen(&dst[0], &src[0], n)
	}
	for i, v := range src[n:] {
		dst[n+i] = int16(v)
	}
}
