package kernels

import "fmt"

// A Tile is one tile shape in every height that it comes in: Conv[m-1] and
// BatchMatMul[m-1] compute m pixels, or rows, at a time.
type Tile struct {
	Width       int // output channels, or columns
	Conv        []ConvFunc
	BatchMatMul []BatchMatMulFunc
}

// Height is that of the highest tile.
func (t Tile) Height() int { return len(t.Conv) }

// Name returns the tile's name in benchmarks, conv_f32_14x32_avx512 for 14 pixels ×
// 32 channels.
func (t Tile) Name(isa ISA) string {
	return fmt.Sprintf("conv_f32_%dx%d_%v", t.Height(), t.Width, isa)
}

// split divides n pixels into tiles of almost equal height: taller ones of height+1
// and then shorter ones of height.
func (t *Tile) split(n int) (height, taller, shorter int) {
	tiles := (n + t.Height() - 1) / t.Height()
	return n / tiles, n % tiles, tiles - n%tiles
}

// conv computes pixels output pixels.
func (t *Tile) conv(dst, src []float32, weights, bias, next *float32, offsets []int, run, srcStride, dstStride, pixels, pace int, lower float32) {
	height, taller, shorter := t.split(pixels)
	if taller > 0 {
		t.Conv[height](&dst[0], &src[0], weights, bias, next, &offsets[0], len(offsets), run, srcStride, dstStride, taller, pace, lower)
		done := taller * (height + 1)
		dst, src = dst[done*dstStride:], src[done*srcStride:]
	}
	t.Conv[height-1](&dst[0], &src[0], weights, bias, next, &offsets[0], len(offsets), run, srcStride, dstStride, shorter, pace, lower)
}
