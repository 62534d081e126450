package kernels

import (
	"fmt"
	"math"

	"firebench/kernels/scalar"
	"firebench/kernels/workers"
)

// A poolTask is a maximum or average pooling bound to its views; a chunk is some output rows.
type poolTask[T Number] struct {
	rowChunks
	shape    PoolShape
	dst, src View
	out, in  []T // their memory
	segments []segment[pooling[T]]
}

// A pooling is the kernels for one kind of pooling.
type pooling[T Number] struct {
	// row is MaxPool3x3s2; it is nil for other shapes, and for averages.
	row func(dst, src *T, pixels, channels, srcRow, srcPixel, dstPixel int)

	// window computes one window, of which rows×cols pixels lie inside the image. A mean is divided
	// by count.
	window func(dst, src *T, rows, cols, channels, srcRow, srcPixel, count int)
}

// BindMaxPool prepares the maximum over each window of src. A window that reaches beyond the image
// is clipped to it: padding is never the maximum. Values are float32, or quantized uint8 that have
// one type in both views.
func BindMaxPool(set *Set, s PoolShape, dst, src View, threads int) (workers.Task, error) {
	s, err := s.over(dst, src)
	if err != nil {
		return nil, err
	}
	if err := checkTypes(dst, src); err != nil {
		return nil, fmt.Errorf("pooling: %w", err)
	}
	if dst.Element == Uint8 {
		return newPoolTask(s, dst, src, threads, set.U8.Bytes,
			maximum(s, set.U8.MaxPool3x3s2, set.U8.MaxPool), maximum(s, scalar.QMaxPool3x3s2, scalar.QMaxPool)), nil
	}
	return newPoolTask(s, dst, src, threads, set.F32.Lanes,
		maximum(s, set.F32.MaxPool3x3s2, set.F32.MaxPool), maximum(s, scalar.MaxPool3x3s2, scalar.MaxPool)), nil
}

func maximum[T Number](s PoolShape, row func(dst, src *T, pixels, channels, srcRow, srcPixel, dstPixel int),
	window func(dst, src *T, rows, cols, channels, srcRow, srcPixel int)) pooling[T] {

	if s.KH != 3 || s.KW != 3 || s.Stride != 2 {
		row = nil
	}
	return pooling[T]{row, func(dst, src *T, rows, cols, channels, srcRow, srcPixel, _ int) {
		window(dst, src, rows, cols, channels, srcRow, srcPixel)
	}}
}

// BindAvgPool prepares the mean over each window of src: the sum of the window's pixels inside the
// image, divided by the number of its pixels inside the padded image (Caffe's rule, and PyTorch's
// with count_include_pad) or, with ExcludePad, inside the image. For global pooling, the divisor is
// H·W.
//
// Values are float32, or quantized uint8, whose types may differ. The sum of quantized values less
// their zero points, which is exact, is multiplied by src.Scale/(dst.Scale·divisor), where product
// and quotient are rounded to float32, and requantized, see [U8].
func BindAvgPool(set *Set, s PoolShape, dst, src View, threads int) (workers.Task, error) {
	s, err := s.over(dst, src)
	if err != nil {
		return nil, err
	}
	if dst.Element == Float32 {
		mean := func(kernel func(dst, src *float32, rows, cols, channels, srcRow, srcPixel int, scale float32)) pooling[float32] {
			return pooling[float32]{nil, func(dst, src *float32, rows, cols, channels, srcRow, srcPixel, count int) {
				kernel(dst, src, rows, cols, channels, srcRow, srcPixel, 1/float32(count))
			}}
		}
		return newPoolTask(s, dst, src, threads, set.F32.Lanes, mean(set.F32.AvgPool), mean(scalar.AvgPool)), nil
	}
	if _, err := ratio(src.Type, dst.Type); err != nil {
		return nil, fmt.Errorf("pooling: %w", err)
	}
	if math.IsInf(float64(dst.Scale*float32(s.KH)*float32(s.KW)), 0) {
		return nil, fmt.Errorf("pooling: windows of %d×%d to %v: the scale is too large", s.KH, s.KW, dst.Type)
	}
	if most := math.MaxInt32 / math.MaxUint8; min(s.KH, src.H) > most/min(s.KW, src.W) {
		return nil, fmt.Errorf("pooling: the mean of windows of %d×%d in %v, expected at most %d pixels", s.KH, s.KW, src, most)
	}
	from, to := src.Type, dst.Type
	mean := func(kernel func(dst, src *uint8, rows, cols, channels, srcRow, srcPixel int, bias int32, scale float32, zero int32)) pooling[uint8] {
		return pooling[uint8]{nil, func(dst, src *uint8, rows, cols, channels, srcRow, srcPixel, count int) {
			kernel(dst, src, rows, cols, channels, srcRow, srcPixel,
				-int32(rows*cols)*from.Zero, from.Scale/(to.Scale*float32(count)), to.Zero)
		}}
	}
	return newPoolTask(s, dst, src, threads, set.U8.Bytes, mean(set.U8.AvgPool), mean(scalar.QAvgPool)), nil
}

// over checks shape and views of a pooling. It returns the shape, with the window that a global
// pooling has.
func (s PoolShape) over(dst, src View) (PoolShape, error) {
	if err := s.Check(); err != nil {
		return s, err
	}
	if err := checkElements(dst, src); err != nil {
		return s, fmt.Errorf("pooling: %w", err)
	}
	if s.Pad.Top > 0 && (dst.partial || src.partial) {
		return s, fmt.Errorf("pooling: padding %v and a part of the rows, expected no padding above", s.Pad)
	}
	oh, ow := s.OutSize(src.H, src.W)
	if !dst.fits(oh) || dst.W != ow || dst.C != src.C {
		return s, fmt.Errorf("pooling: %v to %v, expected output %d×%d×%d", src, dst, oh, ow, src.C)
	}
	if s.KH == 0 {
		s = PoolShape{KH: src.H, KW: src.W, Stride: 1}
	}
	return s, nil
}

func newPoolTask[T Number](s PoolShape, dst, src View, threads, lanes int, vector, scalar pooling[T]) *poolTask[T] {
	return &poolTask[T]{
		rowChunks: splitRows(dst, s.KH*s.KW, threads),
		shape:     s,
		dst:       dst, src: src,
		out: Data[T](dst), in: Data[T](src),
		segments: segments(src.C, lanes, vector, scalar, false),
	}
}

func (t *poolTask[T]) Chunk(_, i int) {
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
// image, if there is a kernel for rows of them, and returns their number. It is 0 if there is none,
// and if the window of x is not inside the image.
func (t *poolTask[T]) windows(n, y, x int) int {
	s, src := t.shape, t.src
	if t.segments[0].kernel.row == nil {
		return 0
	}
	y0, x0 := y*s.Stride-s.Pad.Top, x*s.Stride-s.Pad.Left
	if y0 < 0 || y0+s.KH > src.H || x0 < 0 || x0+s.KW > src.W {
		return 0
	}
	count := (src.W-s.KW-x0)/s.Stride + 1
	d, a := t.dst.Index(n, y, x, 0), src.Index(n, y0, x0, 0)
	for _, b := range t.segments {
		b.kernel.row(&t.out[d+b.first], &t.in[a+b.first], count, b.n, src.Row, src.Pixel, t.dst.Pixel)
	}
	return count
}

// window computes one output pixel, whose window it clips to the image.
func (t *poolTask[T]) window(n, y, x int) {
	src := t.src
	y0, x0, y1, x1, count := t.shape.window(y, x, src)
	d, a := t.dst.Index(n, y, x, 0), src.Index(n, y0, x0, 0)
	for _, b := range t.segments {
		b.kernel.window(&t.out[d+b.first], &t.in[a+b.first], y1-y0, x1-x0, b.n, src.Row, src.Pixel, count)
	}
}

// window returns the part of the window of output pixel (y, x) that lies inside the image: rows y0 to y1-1 and
// columns x0 to x1-1. A mean is divided by count.
func (s PoolShape) window(y, x int, src View) (y0, x0, y1, x1, count int) {
	y0, x0 = y*s.Stride-s.Pad.Top, x*s.Stride-s.Pad.Left
	y1, x1 = y0+s.KH, x0+s.KW
	count = (min(y1, src.H+s.Pad.Bottom) - y0) * (min(x1, src.W+s.Pad.Right) - x0)
	y0, x0, y1, x1 = max(y0, 0), max(x0, 0), min(y1, src.H), min(x1, src.W)
	if s.ExcludePad {
		count = (y1 - y0) * (x1 - x0)
	}
	return y0, x0, y1, x1, count
}
