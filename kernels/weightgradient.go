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
// algo names the algorithm, direct or winograd; PickWeightGradient chooses one if algo is Auto, or another name, or cannot compute
// this gradient.
//
// The direct algorithm divides the pixels (n, y, x) into slices, by their order; how many there are depends on s and on the
// number and size of the images alone. In a slice, each sum is one chain of fused multiply-adds that
// starts at 0, or of additions for a bias. The sums of slices are added in pairs, then those sums, and so on. The bits
// therefore do not depend on the tile, the thread count or the instruction set; the scalar kernels round
// each product, too. The border that the padding adds to the output of a 1×1 convolution is a last
// slice, which changes only the biases.
//
// Winograd's algorithm is for 3×3 kernels with stride 1 and without groups. Its slices are rows of tiles, and its chains run over tiles: the bits are
// the same as well on all instruction sets but the scalar one. Errors are larger than the direct algorithm's, as those of such a convolution are.
//
// The tasks must run one after the other, and nothing that shares their scratch memory may run between them.
func BindWeightGradient(set *Set, algo string, s ConvShape, dst, src, grad View, threads int) ([]workers.Task, error) {
	sums, err := newWeightSums(set, s, dst, src, grad)
	if err == nil {
		err = CheckAlgorithm(algo)
	}
	if err != nil {
		return nil, fmt.Errorf("gradient of weights: %w", err)
	}
	p := Problem{ConvShape: s, H: src.H, W: src.W}
	if algo != direct.name && algo != winogradAlgorithm.name {
		algo = PickWeightGradient(set, p)
	}
	var first workers.Task
	if algo == winogradAlgorithm.name && winogradGradientFits(p) {
		first = newWinogradGradient(sums, threads)
	} else {
		first = newDirectGradient(sums, threads)
	}
	return []workers.Task{first, &weightReduction{sums}}, nil
}

// WeightGradientCandidates returns the names of the algorithms that can compute the gradient of p's weights, in the
// order of Algorithms.
func WeightGradientCandidates(p Problem) []string {
	if winogradGradientFits(p) {
		return []string{direct.name, winogradAlgorithm.name}
	}
	return []string{direct.name}
}

// PickWeightGradient returns the name of the algorithm that should be the fastest for the gradient of p's weights on one
// core, as [Pick] does for p itself.
func PickWeightGradient(set *Set, p Problem) string {
	if !winogradGradientFits(p) {
		return direct.name
	}
	oh, ow := p.OutSize(p.H, p.W)
	products := oh * ow * p.K() * vectors(p.Out, set.F32.Lanes) / 2
	if winogradGradientCycles(set, p) < products {
		return winogradAlgorithm.name
	}
	return direct.name
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

// weightSums are the sums of all slices, which the first task computes and the second one adds up.
type weightSums struct {
	scratch // the sums of all slices are what all workers use
	shape   ConvShape
	f32     *F32
	blocks  []block
	dst     View
	src     View // begins with the first window
	grad    View // without the border
	border  View // with the border

	inputs, gradients []float32 // the memory of src and grad

	slices    int
	sliceSize int // from the sums of one slice to those of the next
	biases    int // where the sums of the biases begin in a slice; before them are panels, see packed

	zeros []float32 // where the sums of a tile start
}

// newWeightSums checks the views.
func newWeightSums(set *Set, s ConvShape, dst, src, grad View) (*weightSums, error) {
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
	t := &weightSums{f32: set.F32, dst: dst, src: src, grad: grad, border: grad, inputs: Data[float32](src), gradients: Data[float32](grad)}
	if s.bordered() {
		t.grad.Offset = grad.Index(0, s.Pad.Top, s.Pad.Left, 0)
		t.grad.H, t.grad.W = src.H, src.W
		s.Pad = Padding{}
	}
	t.shape = s
	t.src.Offset = src.Index(0, -s.Pad.Top, -s.Pad.Left, 0)
	t.slices = sliceCount(t.grad.N * t.grad.H * t.grad.W)
	t.blocks = newBlocks(&t.f32.WeightGradient, s, s.K())
	size, columns := 0, 0
	for i := range t.blocks {
		b := &t.blocks[i]
		b.weights, b.bias = size, columns
		size += b.rows * b.tile
		columns += b.tile
	}
	t.biases = size
	t.sliceSize = spread[float32](size + columns)
	wide, narrow := t.f32.WeightGradient.Wide, t.f32.WeightGradient.Narrow
	t.zeros = Alloc[float32](max(wide.Height()*wide.Width, narrow.Height()*narrow.Width))
	return t, nil
}

// useScratch asks for the memory of the sums, and n values for each worker. The values are at least those that
// transposing the sums needs.
func (t *weightSums) useScratch(threads, n int) {
	t.scratch.need = max(n, outputRows*outputRows*t.shape.KH*t.shape.KW) * Float32.Size()
	t.scratch.buffers = make([][]byte, max(threads, 1))
	slices := t.slices
	if t.hasBorder() {
		slices++
	}
	t.scratch.needCommon = slices * t.sliceSize * Float32.Size()
}

// hasBorder reports whether some gradients belong to no window, but to the border that padding adds.
func (t *weightSums) hasBorder() bool { return t.border.H > t.grad.H || t.border.W > t.grad.W }

// sums returns the memory of the sums of a slice. Behind that of the last one is that of the border.
func (t *weightSums) sums(slice int) []float32 {
	return commonOf[float32](&t.scratch)[slice*t.sliceSize:][:t.sliceSize]
}

// parts divides the blocks among parts, one for a chunk: at least so many, and more where there would be too few
// chunks for the threads.
func (t *weightSums) parts(parts, threads int) int {
	for threads > 1 && parts < len(t.blocks) && t.slices*parts < 4*threads {
		parts++
	}
	return parts
}

// part returns the blocks of a part, and clears their sums of biases.
func (t *weightSums) part(sums []float32, i, parts int) []block {
	blocks := t.blocks[i*len(t.blocks)/parts : (i+1)*len(t.blocks)/parts]
	for i := range blocks {
		b := &blocks[i]
		clear(sums[t.biases+b.bias:][:b.tile])
	}
	return blocks
}

// packSum copies the gradients of a block at pixels that are pixel apart to dst, and adds them to the sums of the biases.
func (t *weightSums) packSum(dst, sums []float32, b *block, grad, pixels, pixel, dstPixel int) {
	src, bias := t.gradients[grad+b.out:], sums[t.biases+b.bias:]
	body := b.width / t.f32.Lanes * t.f32.Lanes
	if body > 0 {
		t.f32.PackSum(&dst[0], &bias[0], &src[0], pixels, body, pixel, dstPixel)
	}
	if body < b.width {
		scalar.PackSum(&dst[body], &bias[body], &src[body], pixels, b.width-body, pixel, dstPixel)
	}
}

// A directGradient computes the sums of all slices. A chunk is a slice, for some blocks of output channels. It
// takes some of the slice's pixels at a time: for each block of output channels, it copies the gradients of these
// pixels to a panel, which stays in the level-1 cache while all inputs are multiplied by it.
type directGradient struct {
	*weightSums
	offsets    []int  // where each run of contiguous inputs starts, from the window's first input
	run        int    // inputs in a run
	dims       [3]dim // of the pixels, outermost first
	pixels     int
	most       int // pixels that are taken at a time
	blockParts int // parts that the blocks are divided into, one for a chunk
}

func newDirectGradient(sums *weightSums, threads int) *directGradient {
	s, src, grad := sums.shape, sums.src, sums.grad
	t := &directGradient{weightSums: sums}
	t.offsets, t.run = s.runs(src)
	t.dims = mergeDims([3]dim{
		{grad.N, src.Batch, grad.Batch},
		{grad.H, s.Stride * src.Row, grad.Row},
		{grad.W, s.Stride * src.Pixel, grad.Pixel},
	})
	t.pixels = grad.N * grad.H * grad.W
	tile := t.f32.WeightGradient.Wide.Width
	t.most = max(panelBytes/(Float32.Size()*tile), 1)
	t.blockParts = t.parts(1, threads)
	t.useScratch(threads, t.most*tile)
	return t
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
func (t *directGradient) patch(first, last int) patch {
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

func (t *directGradient) Chunks() int { return t.slices * t.blockParts }

func (t *directGradient) Chunk(worker, i int) {
	slice := i / t.blockParts
	sums := t.sums(slice)
	blocks := t.part(sums, i%t.blockParts, t.blockParts)
	panel := scratchOf[float32](&t.scratch, worker)
	first, last := slice*t.pixels/t.slices, (slice+1)*t.pixels/t.slices
	var u upcoming
	for p := t.patch(first, last); p.images > 0; {
		next := t.patch(p.end, last)
		t.upcoming(&u, blocks, p, next)
		for i := range blocks {
			t.pack(panel, sums, &blocks[i], p)
			t.multiply(panel, sums, &blocks[i], p, p.first == first, &u)
		}
		p = next
	}
}

// pack copies the gradients of a block of output channels to panel, and adds them to the sums of the biases.
func (t *directGradient) pack(panel, sums []float32, b *block, p patch) {
	if b.width < b.tile {
		// What is there could be numbers that take long to multiply.
		for i := range p.end - p.first {
			clear(panel[i*b.tile+b.width : (i+1)*b.tile])
		}
	}
	for n := range p.images {
		for y := range p.rows {
			t.packSum(panel, sums, b, t.gradient(p)+n*t.dims[0].grad+y*t.dims[1].grad, p.cols, t.dims[2].grad, b.tile)
			panel = panel[p.cols*b.tile:]
		}
	}
}

// multiply adds the products of all inputs and the gradients in panel to the sums of a block. The sums start at 0 if
// these are the first pixels. Meanwhile it prefetches what comes next.
func (t *directGradient) multiply(panel, sums []float32, b *block, p patch, first bool, next *upcoming) {
	src := t.inputs[t.source(p)+b.in:]
	tile := t.f32.WeightGradient.of(b)
	height, taller, shorter := tile.split(t.run)
	sums = sums[b.weights:]
	times := p.images * p.rows * t.f32.prefetches(p.cols)
	for _, offset := range t.offsets {
		src := src[offset:]
		for _, tiles := range [2]struct{ height, count int }{{height + 1, taller}, {height, shorter}} {
			for left := tiles.count; left > 0; {
				start, startTile := &sums[0], tiles.height*b.tile
				if first {
					start, startTile = &t.zeros[0], 0
				}
				n, prefetch, prefetchStep := next.take(left, times)
				if prefetch == nil {
					prefetch = &panel[0]
				}
				tile.Funcs[tiles.height-1](&sums[0], start, &src[0], &panel[0], prefetch, n, startTile,
					p.images, p.rows, p.cols, t.dims[0].src, t.dims[1].src, t.dims[2].src, prefetchStep)
				left -= n
				sums = sums[n*tiles.height*b.tile:]
				src = src[min(n*tiles.height, len(src)-1):]
			}
		}
	}
}

// prefetches returns how often a tile of WeightGradient prefetches in a row of pixels.
func (f *F32) prefetches(pixels int) int {
	if f.Lanes == 16 {
		return pixels / 2
	}
	return pixels / 4
}

// An upcoming is what will be read next, while tiles are computed that prefetch it.
type upcoming struct {
	regions     [maxRegions]region
	done, count int // regions
}

// maxRegions is how many regions are prefetched: the inputs, and most columns of gradients.
const maxRegions = 17

// A region is numbers that tiles prefetch, as many at a time as four vectors have, step apart.
type region struct {
	data        []float32
	step, times int
}

// add adds a region, unless there are too many.
func (u *upcoming) add(r region) {
	if u.count < maxRegions {
		u.regions[u.count] = r
		u.count++
	}
}

// take returns what the next of up to tiles tiles prefetch, each so many times, in the arguments of a WeightGradientFunc, and
// how many tiles do.
func (u *upcoming) take(tiles, times int) (n int, prefetch *float32, prefetchStep int) {
	if u.done == u.count || times == 0 {
		return tiles, nil, 0
	}
	r := &u.regions[u.done]
	n = min(tiles, vectors(r.times, times))
	prefetch, prefetchStep = &r.data[0], r.step
	r.times -= n * times
	if at := n * times * r.step; r.times > 0 && at < len(r.data) {
		r.data = r.data[at:]
	} else {
		u.done++
	}
	return n, prefetch, prefetchStep
}

// upcoming sets u to what is read for the pixels of next, which follow those of p.
func (t *directGradient) upcoming(u *upcoming, blocks []block, p, next patch) {
	u.done, u.count = 0, 0
	if next.images == 0 {
		return
	}
	column, pixels := 4*t.f32.Lanes, next.end-next.first
	at, d := t.source(next), &t.dims
	if s := t.shape; next.n == p.n && s.KH > s.Stride {
		at += (s.KH - s.Stride) * t.src.Row // what lies above has been read already
	}
	u.add(region{t.inputs[at:], column, vectors((next.images-1)*d[0].src+(next.rows-1)*d[1].src+next.cols*d[2].src, column)})
	from, to := &blocks[0], &blocks[len(blocks)-1]
	width, pixel := to.out+to.width-from.out, d[2].grad
	grad := t.gradients[t.gradient(next)+from.out:]
	if width == pixel {
		u.add(region{grad, column, vectors(pixels*pixel, column)})
	} else {
		for c := 0; c < width; c += column {
			u.add(region{grad[c:], pixel, pixels})
		}
	}
}

// source returns the index of the first input of the window of a patch's first pixel.
func (t *directGradient) source(p patch) int {
	return t.src.Offset + p.n*t.dims[0].src + p.y*t.dims[1].src + p.x*t.dims[2].src
}

// gradient returns the index of the first gradient of a patch's first pixel.
func (t *directGradient) gradient(p patch) int {
	return t.grad.Offset + p.n*t.dims[0].grad + p.y*t.dims[1].grad + p.x*t.dims[2].grad
}

// A weightReduction adds up the sums of all slices and puts them into the order of the destination. A chunk is one block
// of output channels.
type weightReduction struct{ *weightSums }

func (t *weightReduction) Chunks() int { return len(t.blocks) }

func (t *weightReduction) Chunk(worker, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	b, out := &t.blocks[i], Pixel[float32](t.dst, 0, 0, 0)
	slices := t.slices
	t.addSlices(b.weights, b.rows*b.tile, slices)
	if t.hasBorder() {
		t.sumBorder(b)
		slices++
	}
	t.addSlices(t.biases+b.bias, b.tile, slices)
	sums := t.sums(0)
	copy(out[t.shape.Weights()+b.out:], sums[t.biases+b.bias:][:b.width])
	t.transpose(scratchOf[float32](&t.scratch, worker), out[b.out*b.rows:], sums[b.weights:], b)
}

// outputRows is how many output channels, and input channels, of a block are put into the order of the weights at a time.
const outputRows = 16

// transpose puts the sums of a block, [tap][input channel][output channel], into the order OIHW. buf holds what is between
// two steps: [output channel][tap][input channel].
func (t *weightReduction) transpose(buf, out, sums []float32, b *block) {
	taps, in := t.shape.KH*t.shape.KW, t.shape.In/t.shape.Groups
	if taps == 1 {
		t.f32.transpose(out, sums, in, b.width, in, b.tile)
		return
	}
	for n := 0; n < b.width; n += outputRows {
		outputs := min(outputRows, b.width-n)
		for ci := 0; ci < in; ci += outputRows {
			inputs := min(outputRows, in-ci)
			for tap := range taps {
				t.f32.transpose(buf[tap*inputs:], sums[(tap*in+ci)*b.tile+n:], inputs, outputs, taps*inputs, b.tile)
			}
			for o := range outputs {
				t.f32.transpose(out[((n+o)*in+ci)*taps:], buf[o*taps*inputs:], taps, inputs, taps, inputs)
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
