package kernels

import (
	"fmt"

	"firebench/kernels/scalar"
	"firebench/kernels/workers"
)

// A poolTask is a maximum or average pooling bound to its views; a chunk is some output rows.
type poolTask struct {
	rowChunks
	f32      *F32
	shape    PoolShape
	dst, src View
	out, in  []float32 // their memory
	average  bool
}

// BindMaxPool prepares the maximum over each window of src. A window that reaches beyond the image
// is clipped to it: padding is never the maximum.
func BindMaxPool(set *Set, s PoolShape, dst, src View, threads int) (workers.Task, error) {
	return bindPool(set, s, dst, src, threads, false)
}

// BindAvgPool prepares the mean over each window of src: the sum of the window's pixels inside the
// image, divided by the number of its pixels inside the padded image (Caffe's rule, and PyTorch's
// with count_include_pad). For global pooling, the divisor is H·W.
func BindAvgPool(set *Set, s PoolShape, dst, src View, threads int) (workers.Task, error) {
	return bindPool(set, s, dst, src, threads, true)
}

func bindPool(set *Set, s PoolShape, dst, src View, threads int, average bool) (workers.Task, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if err := checkFloats(dst, src); err != nil {
		return nil, fmt.Errorf("pooling: %w", err)
	}
	if s.Pad > 0 && (dst.partial || src.partial) {
		return nil, fmt.Errorf("pooling: padding %d and a part of the rows, expected no padding", s.Pad)
	}
	oh, ow := s.OutSize(src.H, src.W)
	if s.KH == 0 {
		s = PoolShape{KH: src.H, KW: src.W, Stride: 1}
	}
	if !dst.fits(oh) || dst.W != ow || dst.C != src.C {
		return nil, fmt.Errorf("pooling: %v to %v, expected output %d×%d×%d", src, dst, oh, ow, src.C)
	}
	t := &poolTask{f32: set.F32, shape: s, dst: dst, src: src, out: Data[float32](dst), in: Data[float32](src), average: average}
	t.rowChunks = splitRows(dst, s.KH*s.KW, threads)
	return t, nil
}

func (t *poolTask) Chunk(_, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	first, last := t.rows(i)
	for row := first; row < last; row++ {
		n, y := row/t.dst.H, row%t.dst.H
		x := 0
		for x < t.dst.W {
			if count := t.windows(n, y, x); count > 0 {
				x += count
			} else {
				t.window(n, y, x)
				x++
			}
		}
	}
}

// windows computes all output pixels from x to the end of the row whose windows lie inside the
// image, with one call of the kernel for 3×3 maximum windows with stride 2, and returns their
// number. It is 0 for other shapes, and if the window of x is not inside the image.
func (t *poolTask) windows(n, y, x int) int {
	s, src := t.shape, t.src
	if t.average || s.KH != 3 || s.KW != 3 || s.Stride != 2 {
		return 0
	}
	y0, x0 := 2*y-s.Pad, 2*x-s.Pad
	if y0 < 0 || y0+3 > src.H || x0 < 0 || x0+3 > src.W {
		return 0
	}
	count := (src.W-3-x0)/2 + 1
	body := src.C / t.f32.Lanes * t.f32.Lanes
	d, a := t.dst.Index(n, y, x, 0), src.Index(n, y0, x0, 0)
	dst, in := t.out, t.in
	if body > 0 {
		t.f32.MaxPool3x3s2(&dst[d], &in[a], count, body, src.Row, src.Pixel, t.dst.Pixel)
	}
	if body < src.C {
		scalar.MaxPool3x3s2(&dst[d+body], &in[a+body], count, src.C-body, src.Row, src.Pixel, t.dst.Pixel)
	}
	return count
}

// window computes one output pixel, whose window it clips to the image.
func (t *poolTask) window(n, y, x int) {
	s, src := t.shape, t.src
	y0, x0 := y*s.Stride-s.Pad, x*s.Stride-s.Pad
	y1, x1 := y0+s.KH, x0+s.KW
	// Caffe divides by the pixels of the window inside the padded image.
	count := (min(y1, src.H+s.Pad) - y0) * (min(x1, src.W+s.Pad) - x0)
	y0, x0, y1, x1 = max(y0, 0), max(x0, 0), min(y1, src.H), min(x1, src.W)
	rows, cols := y1-y0, x1-x0
	body := src.C / t.f32.Lanes * t.f32.Lanes
	tail := src.C - body
	d, a := t.dst.Index(n, y, x, 0), src.Index(n, y0, x0, 0)
	dst, in := t.out, t.in
	if t.average {
		scale := 1 / float32(count)
		if body > 0 {
			t.f32.AvgPool(&dst[d], &in[a], rows, cols, body, src.Row, src.Pixel, scale)
		}
		if tail > 0 {
			scalar.AvgPool(&dst[d+body], &in[a+body], rows, cols, tail, src.Row, src.Pixel, scale)
		}
		return
	}
	if body > 0 {
		t.f32.MaxPool(&dst[d], &in[a], rows, cols, body, src.Row, src.Pixel)
	}
	if tail > 0 {
		scalar.MaxPool(&dst[d+body], &in[a+body], rows, cols, tail, src.Row, src.Pixel)
	}
}
