package kernels

import (
	"fmt"

	"firebench/kernels/scalar"
	"firebench/kernels/workers"
)

// BindWeightGradient prepares the gradient of a convolution's weights and biases, for all images of a
// batch together. src is what the convolution read, with a halo of at least s.Halo() pixels of zeros, and
// grad is the gradient of what the convolution wrote, before ReLU. dst is one image of one
// pixel with s.Weights()+s.Out channels: first the gradient of the weights, in the order OIHW,
//
//	dst[((o·In/Groups+i)·KH+kh)·KW+kw] = Σ src[n][y·Stride+kh-Top][x·Stride+kw-Left][g·In/Groups+i] · grad[n][y][x][o] // over n, y, x
//
// where g is o's group, and then that of the biases, Σ grad[n][y][x][o]. All are float32.
//
// The pixels (n, y, x) are divided into slices, by their order; how many there are depends on s and on the
// number and size of the images alone. In a slice, each sum is one chain of fused multiply-adds that
// starts at 0, or of additions for a bias. The sums of slices are added in pairs, then those sums, and so on. The bits
// therefore do not depend on the tile, the thread count or the instruction set; the scalar kernels round
// each product, too. The border that the padding adds to the output of a 1×1 convolution is a last
// slice, which changes only the biases.
//
// The tasks must run one after the other, and nothing that shares their scratch memory may run between them.
func BindWeightGradient(set *Set, s ConvShape, dst, src, grad View, threads int) ([]workers.Task, error) {
	t, err := newWeightGradient(set, s, dst, src, grad, threads)
	if err != nil {
		return nil, fmt.Errorf("gradient of weights: %w", err)
	}
	return []workers.Task{t, &weightReduction{weightGradientTask: t}}, nil
}

const (
	// slicePixels is the least number of pixels in a slice, if there are several. What it takes to add up the slices is then
	// little beside the products, and the sums are short enough to be exact.
	slicePixels = 2048

	// maxSlices bounds the memory of the sums.
	maxSlices = 64

	// panelBytes is how many bytes of gradients a block of pixels has for one tile: half of a level-1 cache.
	panelBytes = 16 << 10
)

// sliceCount returns how many slices so many pixels have: a power of two, so that the sums pair up.
func sliceCount(pixels int) int {
	n := 1
	for n < maxSlices && 2*n*slicePixels <= pixels {
		n *= 2
	}
	return n
}

// A dim is a direction in which pixels are counted: how many there are, and how far apart they are in the
// source and the gradient.
type dim struct{ count, src, grad int }

// A weightGradientTask computes the sums of all slices. A chunk is a slice, for some blocks of output channels. It
// takes some of the slice's pixels at a time: for each block of output channels, it copies the gradients of these
// pixels to a panel, which stays in the level-1 cache while all inputs are multiplied by it.
type weightGradientTask struct {
	scratch // the panel; and the sums of all slices, which all workers share
	shape   ConvShape
	f32     *F32
	blocks  []block
	dst     View
	src     View  // begins with the first window
	grad    View  // without the border
	border  View  // with the border
	offsets []int // where each run of contiguous inputs starts, from the window's first input
	run     int   // inputs in a run

	inputs, gradients []float32 // the memory of src and grad

	dims   [3]dim // of the pixels, outermost first
	pixels int
	most   int // pixels that are taken at a time

	slices     int
	sliceSize  int // from the sums of one slice to those of the next
	biases     int // where the sums of the biases begin in a slice
	blockParts int // parts that the blocks are divided into, one for a chunk
	zeros      []float32
}

// newWeightGradient checks the views and divides the work.
func newWeightGradient(set *Set, s ConvShape, dst, src, grad View, threads int) (*weightGradientTask, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if err := (Problem{ConvShape: s, H: src.H, W: src.W}).checkBind(grad, src); err != nil {
		return nil, err
	}
	if err := dst.check("destination"); err != nil {
		return nil, err
	}
	if n := s.Weights() + s.Out; dst.N != 1 || dst.H != 1 || dst.W != 1 || dst.C != n || dst.Type != (Type{}) {
		return nil, fmt.Errorf("destination %v of %v, expected 1×1×1×%d of %v", dst, dst.Type, n, Float32)
	}
	if oh, _ := s.OutSize(src.H, src.W); grad.H != oh {
		return nil, fmt.Errorf("%d rows of gradients, expected %d", grad.H, oh)
	}
	f := set.F32
	t := &weightGradientTask{f32: f, dst: dst, src: src, grad: grad, border: grad, inputs: Data[float32](src), gradients: Data[float32](grad)}
	if s.bordered() {
		t.grad.Offset = grad.Index(0, s.Pad.Top, s.Pad.Left, 0)
		t.grad.H, t.grad.W = src.H, src.W
		s.Pad = Padding{}
	}
	t.shape = s
	t.src.Offset = src.Index(0, -s.Pad.Top, -s.Pad.Left, 0)
	t.offsets, t.run = s.runs(src)
	t.dims = mergeDims([3]dim{
		{grad.N, src.Batch, grad.Batch},
		{t.grad.H, s.Stride * src.Row, grad.Row},
		{t.grad.W, s.Stride * src.Pixel, grad.Pixel},
	})
	t.pixels = grad.N * t.grad.H * t.grad.W
	t.slices = sliceCount(t.pixels)

	t.blocks = newBlocks(&f.WeightGradient, s, s.K())
	tile := f.WeightGradient.Wide.Width
	size, columns := 0, 0
	for i := range t.blocks {
		b := &t.blocks[i]
		b.weights, b.bias = size, columns
		size += b.rows * b.tile
		columns += b.tile
	}
	t.biases = size
	t.sliceSize = spread[float32](size + columns)
	t.most = max(panelBytes/(4*tile), 1)
	t.zeros = Alloc[float32](max(f.WeightGradient.Wide.Height()*tile, f.WeightGradient.Narrow.Height()*f.WeightGradient.Narrow.Width))
	t.blockParts = 1
	for threads > 1 && t.blockParts < len(t.blocks) && t.slices*t.blockParts < 4*threads {
		t.blockParts++
	}
	t.scratch = newScratch[float32](threads, t.most*tile)
	t.scratch.needCommon = (t.slices + 1) * t.sliceSize * Float32.Size()
	return t, nil
}

// mergeDims joins directions where pixels go on evenly from the one to the other, so that the innermost ones have
// as many pixels as possible.
func mergeDims(dims [3]dim) [3]dim {
	merged := [3]dim{{count: 1}, {count: 1}, {count: 1}}
	at := 2
	for i := 2; i >= 0; i-- {
		d, inner := dims[i], &merged[at]
		switch {
		case d.count == 1:
		case inner.count == 1:
			*inner = d
		case d.src == inner.count*inner.src && d.grad == inner.count*inner.grad:
			inner.count *= d.count
		default:
			at--
			merged[at] = d
		}
	}
	return merged
}

// A patch is some pixels that are taken at a time: images × rows × cols of them from (n, y, x) on, by the task's dims.
// In the order of all pixels they are those from first to end-1.
type patch struct{ n, y, x, images, rows, cols, first, end int }

// patch returns the pixels from first on, as many as are taken at a time, or those up to last-1. There are no images in it if
// no pixel is left.
func (t *weightGradientTask) patch(first, last int) patch {
	h, w := t.dims[1].count, t.dims[2].count
	p := patch{n: first / (h * w), y: first / w % h, x: first % w, images: 1, rows: 1, cols: w, first: first}
	switch most := min(last-first, t.most); {
	case p.x > 0 || most < w:
		p.cols = min(w-p.x, most)
	case p.y > 0 || most < h*w:
		p.rows = min(h-p.y, most/w)
	default:
		p.images, p.rows = most/(h*w), h
	}
	if first >= last {
		p.images = 0
	}
	p.end = first + p.images*p.rows*p.cols
	return p
}

// sums returns the memory of the sums of a slice. Behind that of the last one is that of the border.
func (t *weightGradientTask) sums(slice int) []float32 {
	return commonOf[float32](&t.scratch)[slice*t.sliceSize:][:t.sliceSize]
}

func (t *weightGradientTask) Chunks() int { return t.slices * t.blockParts }

func (t *weightGradientTask) Chunk(worker, i int) {
	part, slice := i%t.blockParts, i/t.blockParts
	blocks := t.blocks[part*len(t.blocks)/t.blockParts : (part+1)*len(t.blocks)/t.blockParts]
	sums := t.sums(slice)
	for i := range blocks {
		b := &blocks[i]
		clear(sums[t.biases+b.bias:][:b.tile])
	}
	panel := scratchOf[float32](&t.scratch, worker)
	first, last := slice*t.pixels/t.slices, (slice+1)*t.pixels/t.slices
	for p := t.patch(first, last); p.images > 0; {
		next := t.patch(p.end, last)
		for i := range blocks {
			t.pack(panel, sums, &blocks[i], p)
			t.multiply(panel, sums, &blocks[i], p, p.first == first, t.upcoming(blocks, i, p, next))
		}
		p = next
	}
}

// pack copies the gradients of a block of output channels to panel, and adds them to the sums of the biases.
func (t *weightGradientTask) pack(panel, sums []float32, b *block, p patch) {
	bias := sums[t.biases+b.bias:]
	body := b.width / t.f32.Lanes * t.f32.Lanes
	if b.width < b.tile {
		for i := range p.end - p.first {
			clear(panel[i*b.tile+b.width : (i+1)*b.tile])
		}
	}
	for n := range p.images {
		for y := range p.rows {
			grad := t.gradients[t.gradient(p)+n*t.dims[0].grad+y*t.dims[1].grad+b.out:]
			if body > 0 {
				t.f32.PackSum(&panel[0], &bias[0], &grad[0], p.cols, body, t.dims[2].grad, b.tile)
			}
			if body < b.width {
				scalar.PackSum(&panel[body], &bias[body], &grad[body], p.cols, b.width-body, t.dims[2].grad, b.tile)
			}
			panel = panel[p.cols*b.tile:]
		}
	}
}

// multiply adds the products of all inputs and the gradients in panel to the sums of a block. The sums start at 0 if
// these are the first pixels. Meanwhile it prefetches what comes next.
func (t *weightGradientTask) multiply(panel, sums []float32, b *block, p patch, first bool, next upcoming) {
	src := t.inputs[t.source(p)+b.in:]
	tile := t.f32.WeightGradient.of(b)
	height, taller, shorter := tile.split(t.run)
	sums = sums[b.weights:]
	for _, offset := range t.offsets {
		src := src[offset:]
		for _, tiles := range [2]struct{ height, count int }{{height + 1, taller}, {height, shorter}} {
			for left := tiles.count; left > 0; {
				start, startTile := &sums[0], tiles.height*b.tile
				if first {
					start, startTile = &t.zeros[0], 0
				}
				n, prefetch, prefetchTile, prefetchPixel := next.take(left)
				if prefetch == nil {
					prefetch = &panel[0]
				}
				tile.Funcs[tiles.height-1](&sums[0], start, &src[0], &panel[0], prefetch, n, startTile,
					p.images, p.rows, p.cols, t.dims[0].src, t.dims[1].src, t.dims[2].src, prefetchTile, prefetchPixel)
				left -= n
				sums = sums[n*tiles.height*b.tile:]
				src = src[min(n*tiles.height, len(src)-1):]
			}
		}
	}
}

// An upcoming says what will be read next: inputs and gradients of some pixels. A tile prefetches a column of it, as many
// values of each pixel as two vectors have.
type upcoming struct {
	src, grad           []float32 // nil for none
	srcPixel, gradPixel int
	columns             int // of the inputs that are left
	column              int // values in a column
}

// take returns what the next of up to tiles tiles prefetch, in the arguments of a WeightGradientFunc, and how many do.
func (u *upcoming) take(tiles int) (n int, prefetch *float32, prefetchTile, prefetchPixel int) {
	switch {
	case u.grad != nil:
		prefetch = &u.grad[0]
		u.grad = nil
		return 1, prefetch, 0, u.gradPixel
	case u.columns > 0:
		n = min(tiles, u.columns)
		prefetch = &u.src[0]
		u.src = u.src[min(n*u.column, len(u.src)-1):]
		u.columns -= n
		return n, prefetch, u.column, u.srcPixel
	}
	return tiles, nil, 0, 0
}

// upcoming returns what is read next after block i of blocks has been multiplied for the pixels of p, which more
// pixels of the slice follow, from next on.
func (t *weightGradientTask) upcoming(blocks []block, i int, p, next patch) upcoming {
	u := upcoming{gradPixel: t.dims[2].grad, srcPixel: t.dims[2].src, column: 2 * t.f32.Lanes}
	switch {
	case i+1 < len(blocks):
		u.grad = t.gradients[t.gradient(p)+blocks[i+1].out:]
	case next.images > 0:
		u.grad = t.gradients[t.gradient(next)+blocks[0].out:]
		at := t.source(next)
		if s := t.shape; next.n == p.n && s.KH > s.Stride {
			at += (s.KH - s.Stride) * t.src.Row // what lies above has been read already
		}
		u.src = t.inputs[at:]
		u.columns = vectors(min(t.shape.Stride, t.shape.KW)*t.shape.In, u.column)
	}
	return u
}

// source returns the index of the first input of the window of a patch's first pixel.
func (t *weightGradientTask) source(p patch) int {
	return t.src.Offset + p.n*t.dims[0].src + p.y*t.dims[1].src + p.x*t.dims[2].src
}

// gradient returns the index of the first gradient of a patch's first pixel.
func (t *weightGradientTask) gradient(p patch) int {
	return t.grad.Offset + p.n*t.dims[0].grad + p.y*t.dims[1].grad + p.x*t.dims[2].grad
}

// A weightReduction adds up the sums of all slices and puts them into the order of the destination. A chunk is one block
// of output channels.
type weightReduction struct{ *weightGradientTask }

func (t *weightReduction) Chunks() int { return len(t.blocks) }

func (t *weightReduction) Chunk(_, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	b, out := &t.blocks[i], Pixel[float32](t.dst, 0, 0, 0)
	slices := t.slices
	t.addSlices(b.weights, b.rows*b.tile, slices)
	if t.border.H > t.grad.H || t.border.W > t.grad.W {
		t.sumBorder(b)
		slices++
	}
	t.addSlices(t.biases+b.bias, b.tile, slices)

	sums := t.sums(0)
	copy(out[t.shape.Weights()+b.out:], sums[t.biases+b.bias:][:b.width])
	taps, in := t.shape.KH*t.shape.KW, t.shape.In/t.shape.Groups
	for n := range b.width {
		row := out[(b.out+n)*b.rows:][:b.rows]
		for ci := range in {
			for tap := range taps {
				row[ci*taps+tap] = sums[b.weights+(tap*in+ci)*b.tile+n]
			}
		}
	}
}

// addSlices adds the n sums from one on of all slices to those of the first slice.
func (t *weightReduction) addSlices(from, n, slices int) {
	for step := 1; step < slices; step *= 2 {
		for i := 0; i+step < slices; i += 2 * step {
			a, b := t.sums(i)[from:][:n], t.sums(i + step)[from:]
			t.f32.Add(&a[0], &a[0], &b[0], n, lowerBound(false))
		}
	}
}

// sumBorder adds up the gradients in the border.
func (t *weightReduction) sumBorder(b *block) {
	sums := t.sums(t.slices)[t.biases+b.bias:][:b.tile]
	clear(sums)
	sums = sums[:b.width]
	top, left := (t.grad.Offset-t.border.Offset)/t.border.Row, (t.grad.Offset-t.border.Offset)%t.border.Row/t.border.Pixel
	for n := range t.border.N {
		for y := range t.border.H {
			for x := 0; x < t.border.W; x++ {
				if y >= top && y < top+t.grad.H && x == left {
					x += t.grad.W - 1
					continue
				}
				for i, v := range Pixel[float32](t.border, n, y, x)[b.out:][:b.width] {
					sums[i] += v
				}
			}
		}
	}
}
