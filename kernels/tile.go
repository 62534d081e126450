package kernels

import "fmt"

// A Tile is the kernels of one width in every height: Conv[m-1] computes m output pixels at
// a time, BatchMatMul[m-1] m rows of a matrix. Both lists have the same length.
type Tile struct {
	Width       int // output channels, or columns of a matrix
	Conv        []ConvFunc
	BatchMatMul []BatchMatMulFunc
}

// Height returns the greatest height.
func (t Tile) Height() int { return len(t.Conv) }

// Name returns the tile's name in benchmarks, conv_f32_14x32_avx512 for 14 pixels ×
// 32 channels.
func (t Tile) Name(isa ISA) string {
	return fmt.Sprintf("conv_f32_%dx%d_%v", t.Height(), t.Width, isa)
}

// split divides n pixels, or rows, among as few tiles as possible, of almost equal heights: first
// taller tiles that are height+1 high, then shorter tiles that are height high.
func (t *Tile) split(n int) (height, taller, shorter int) {
	tiles := (n + t.Height() - 1) / t.Height()
	return n / tiles, n % tiles, tiles - n%tiles
}

// conv computes pixels output pixels of one block; see ConvFunc for its arguments.
func (t *Tile) conv(dst, src []float32, weights, bias, prefetch *float32, offsets []int, runLen, srcStride, dstStride, pixels, prefetchStep int, lower float32) {
	height, taller, shorter := t.split(pixels)
	if taller > 0 {
		t.Conv[height](&dst[0], &src[0], weights, bias, prefetch, &offsets[0], len(offsets), runLen, srcStride, dstStride, taller, prefetchStep, lower)
		done := taller * (height + 1)
		dst, src = dst[done*dstStride:], src[done*srcStride:]
	}
	t.Conv[height-1](&dst[0], &src[0], weights, bias, prefetch, &offsets[0], len(offsets), runLen, srcStride, dstStride, shorter, prefetchStep, lower)
}
