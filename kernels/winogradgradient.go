package kernels

import "firebench/kernels/winograd"

// gradientCycles are the cycles in which the transform handles one vector of the channels of a tile's gradients; see
// inputCycles.
const gradientCycles = 60

// gradientF is F(3×3, 4×4), whose filter is the gradients of 4×4 outputs. It gives the gradients of 3×3 weights with 36
// multiplications instead of 144.
var gradientF = winograd.NewGradient(3, 4)

// gradientTile is the number of outputs along a side of a tile, and gradientElements that of its elements.
const (
	gradientTile     = 4
	gradientElements = 36
)

// winogradGradientFits reports whether Winograd's algorithm can compute the gradient of p's weights.
func winogradGradientFits(p Problem) bool {
	oh, ow := p.OutSize(p.H, p.W)
	return p.floats() && p.KH == gradientF.M && p.KW == gradientF.M && p.Stride == 1 && p.Groups == 1 && oh >= gradientTile && ow >= gradientTile
}

// winogradGradientCycles estimates the cycles that one image of p takes on one core.
func winogradGradientCycles(set *Set, p Problem) int {
	oh, ow := p.OutSize(p.H, p.W)
	tiles := vectors(oh, gradientTile) * vectors(ow, gradientTile)
	f := set.F32
	inVectors, outVectors := vectors(p.In, f.Lanes), vectors(p.Out, f.Lanes)
	parts := gradientParts(f, p.ConvShape, len(newBlocks(&f.WeightGradient, p.ConvShape, 1)), Level2())
	return tiles * (gradientElements*p.In*outVectors/2*5/4 + parts*inputCycles*inVectors + gradientCycles*outVectors)
}

// gradientParts returns into how many parts blocks of output channels must be divided, so that the sums of one part fill
// about a third of a cache.
func gradientParts(f *F32, s ConvShape, blocks, cache int) int {
	sums := gradientElements * s.In * f.WeightGradient.Wide.Width * Float32.Size()
	return vectors(blocks, max(cache*2/5/sums, 1))
}

// A winogradGradient computes the sums of all slices by Winograd's algorithm. A slice has whole rows of tiles. A chunk is a
// slice, for some blocks of output channels. It takes some rows of tiles at a time: it transforms their inputs, and
// the gradients of one block of output channels after the other, to 36 matrices each, and adds the products of an
// element's two matrices, sums over tiles, to the sums of this element. In the end, it transforms these.
//
// Tiles that reach beyond the gradients' last row or column read zeros there.
type winogradGradient struct {
	*weightSums
	rows, cols int // tiles of an image, along each side
	most       int // rows of tiles that are taken at a time
	blockParts int
	pixel      int // channels of a transformed input: In, rounded up to whole vectors
	width      int // gradients of the widest block

	inMatrix, gradMatrix, sumMatrix int // from one matrix to the next

	// Where each buffer begins in scratch.
	layout struct{ grad, sums, edge int }
}

func newWinogradGradient(sums *weightSums, threads int) *winogradGradient {
	f, s := sums.f32, sums.shape
	t := &winogradGradient{
		weightSums: sums,
		rows:       vectors(sums.grad.H, gradientTile), cols: vectors(sums.grad.W, gradientTile),
		pixel: vectors(s.In, f.Lanes) * f.Lanes,
		width: f.WeightGradient.Wide.Width,
	}
	t.slices = min(t.slices, t.grad.N*t.rows)
	t.blockParts = t.parts(gradientParts(f, s, len(t.blocks), Level2()), threads)
	row := gradientElements * t.cols * (t.pixel + t.width) * Float32.Size()
	t.most = max(Level2()/2/row, 1)
	tiles := t.most * t.cols
	t.inMatrix, t.gradMatrix = spread[float32](tiles*t.pixel), spread[float32](tiles*t.width)
	t.layout.grad = gradientElements * t.inMatrix
	t.layout.sums = t.layout.grad + gradientElements*t.gradMatrix
	t.sumMatrix = spread[float32](s.In * t.width)
	t.layout.edge = t.layout.sums + gradientElements*t.sumMatrix*vectors(len(t.blocks), t.blockParts)
	edge := max((gradientTile+2)*(t.cols*gradientTile+2)*t.pixel, gradientTile*t.cols*gradientTile*t.width)
	t.useScratch(threads, t.layout.edge+edge)
	return t
}

func (t *winogradGradient) Chunks() int { return t.slices * t.blockParts }

func (t *winogradGradient) Chunk(worker, i int) {
	slice := i / t.blockParts
	sums := t.sums(slice)
	blocks := t.part(sums, i%t.blockParts, t.blockParts)
	buf := scratchOf[float32](&t.scratch, worker)
	in, grad, products, edge := buf, buf[t.layout.grad:], buf[t.layout.sums:], buf[t.layout.edge:]
	rows := t.grad.N * t.rows
	first, last := slice*rows/t.slices, (slice+1)*rows/t.slices
	size := gradientElements * t.sumMatrix // of the sums of a block
	var u upcoming
	for row := first; row < last; row += t.most {
		n := min(t.most, last-row)
		t.transformInputs(in, edge, row, n)
		t.upcoming(&u, blocks, row+n, min(t.most, last-row-n))
		for i := range blocks {
			t.transformGradients(grad, edge, sums, &blocks[i], row, n)
			t.multiply(products[i*size:], in, grad, &blocks[i], n*t.cols, row == first, &u)
		}
	}
	for i := range blocks {
		b := &blocks[i]
		in := t.shape.In
		scale := 1 / float32(gradientF.Scale*gradientF.Scale)
		t.f32.WinogradGradient.Weights(&sums[b.weights], &products[i*size], in, b.tile, t.sumMatrix, b.tile, in*b.tile, b.tile, scale)
	}
}

// transformInputs transforms the inputs of n rows of tiles. edge is memory for tiles that reach beyond the image.
func (t *winogradGradient) transformInputs(in, edge []float32, row, n int) {
	src, side := t.src, gradientTile+2
	transform := t.f32.Winograd[3].Input
	for i := row; i < row+n; i++ {
		y := i % t.rows * gradientTile
		at := t.src.Index(i/t.rows, y, 0, 0)
		full := t.full(y)
		if src.C < t.pixel {
			full = 0
		}
		if full > 0 {
			transform(&in[0], &t.inputs[at], full, t.pixel, src.Row, src.Pixel, gradientTile*src.Pixel, t.inMatrix, t.pixel)
		}
		if x := full * gradientTile; full < t.cols {
			width := (t.cols-full)*gradientTile + 2
			fillEdge(edge, t.inputs[at+x*src.Pixel:], side, width, t.pixel, min(side, t.grad.H+2-y), min(width, t.grad.W+2-x), src.C, src.Row, src.Pixel)
			transform(&in[full*t.pixel], &edge[0], t.cols-full, t.pixel, width*t.pixel, t.pixel, gradientTile*t.pixel, t.inMatrix, t.pixel)
		}
		in = in[t.cols*t.pixel:]
	}
}

// transformGradients transforms the gradients of n rows of tiles for a block, and adds up those of its biases.
func (t *winogradGradient) transformGradients(out, edge, sums []float32, b *block, row, n int) {
	grad, transform := t.grad, t.f32.WinogradGradient.Gradient
	for i := row; i < row+n; i++ {
		y := i % t.rows * gradientTile
		rows := min(gradientTile, grad.H-y)
		at := grad.Index(i/t.rows, y, 0, 0)
		for j := range rows {
			t.packSum(edge, sums, b, at+j*grad.Row, grad.W, grad.Pixel, 0)
		}
		full := t.full(y)
		if b.width < b.tile {
			full = 0
		}
		if full > 0 {
			transform(&out[0], &t.gradients[at+b.out], full, b.tile, grad.Row, grad.Pixel, gradientTile*grad.Pixel, t.gradMatrix, b.tile)
		}
		if x := full * gradientTile; full < t.cols {
			width := (t.cols - full) * gradientTile
			fillEdge(edge, t.gradients[at+x*grad.Pixel+b.out:], gradientTile, width, b.tile, rows, grad.W-x, b.width, grad.Row, grad.Pixel)
			transform(&out[full*b.tile], &edge[0], t.cols-full, b.tile, width*b.tile, b.tile, gradientTile*b.tile, t.gradMatrix, b.tile)
		}
		out = out[t.cols*b.tile:]
	}
}

// full returns how many tiles of the row of tiles that begins with row y are inside the gradients.
func (t *winogradGradient) full(y int) int {
	if y+gradientTile > t.grad.H {
		return 0
	}
	return t.grad.W / gradientTile
}

// fillEdge fills an image of height×width pixels of pixel values with those of the first rows×cols pixels of src, channels of
// each, and with zeros.
func fillEdge(dst, src []float32, height, width, pixel, rows, cols, channels, srcRow, srcPixel int) {
	for y := range height {
		line := dst[y*width*pixel:][:width*pixel]
		if y >= rows {
			clear(line)
			continue
		}
		if src := src[y*srcRow:]; channels == pixel && channels == srcPixel {
			copy(line, src[:cols*pixel])
		} else {
			for x := range cols {
				clear(line[x*pixel+copy(line[x*pixel:(x+1)*pixel], src[x*srcPixel:][:channels]) : (x+1)*pixel])
			}
		}
		clear(line[cols*pixel:])
	}
}

// upcoming sets u to what is read for n rows of tiles from row on.
func (t *winogradGradient) upcoming(u *upcoming, blocks []block, row, n int) {
	u.done, u.count = 0, 0
	if n <= 0 {
		return
	}
	column, rows := 4*t.f32.Lanes, n*gradientTile
	image, y := row/t.rows, row%t.rows*gradientTile
	above := 0
	if y > 0 {
		above = 2 // rows have been read already
	}
	u.add(region{t.inputs[t.src.Index(image, y+above, 0, 0):], column, vectors(rows*t.src.Row, column)})
	for c, to := blocks[0].out, &blocks[len(blocks)-1]; c < to.out+to.width; c += column {
		u.add(region{t.gradients[t.grad.Index(image, y, 0, c):], t.grad.Pixel, rows * t.grad.Row / t.grad.Pixel})
	}
}

// multiply adds the products of all elements, sums over tiles, to the sums of a block. These start at 0 if the tiles are
// the first. Meanwhile it prefetches what comes next.
func (t *winogradGradient) multiply(sums, in, grad []float32, b *block, tiles int, first bool, next *upcoming) {
	tile, inputs := t.f32.WeightGradient.of(b), t.shape.In
	height, taller, shorter := tile.split(inputs)
	times := t.f32.prefetches(tiles)
	for e := range gradientElements {
		sums, in, grad := sums[e*t.sumMatrix:], in[e*t.inMatrix:], grad[e*t.gradMatrix:]
		for _, part := range [2]struct{ height, count int }{{height + 1, taller}, {height, shorter}} {
			for left := part.count; left > 0; {
				start, startTile := &sums[0], part.height*b.tile
				if first {
					start, startTile = &t.zeros[0], 0
				}
				n, prefetch, prefetchStep := next.take(left, times)
				if prefetch == nil {
					prefetch = &grad[0]
				}
				tile.Funcs[part.height-1](&sums[0], start, &in[0], &grad[0], prefetch, n, startTile, 1, 1, tiles, 0, 0, t.pixel, prefetchStep)
				left -= n
				sums, in = sums[n*part.height*b.tile:], in[n*part.height:]
			}
		}
	}
}
