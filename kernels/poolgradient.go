package kernels

import (
	"fmt"

	"firebench/kernels/scalar"
	"firebench/kernels/workers"
)

// A poolGradientTask is the gradient of a pooling's input, bound to its views. A chunk is some channels of one
// image, for which it adds up the gradients of all windows in their order.
type poolGradientTask struct {
	shape               PoolShape
	dst, src, top, grad View                         // src and top are those of a maximum
	out, in, tops, g    []float32                    // their memory
	parts               [][]segment[poolingGradient] // of the channels
}

// A poolingGradient is the kernels for the gradient of one kind of pooling.
type poolingGradient struct {
	// row is MaxPool3x3s2Gradient; it is nil for other shapes, and for averages.
	row func(dst, src, top, grad *float32, pixels, channels, dstRow, dstPixel, srcRow, srcPixel, topPixel, gradPixel int)

	// window adds the gradient of one window to that of its rows×cols pixels inside the image. That of a
	// mean is divided by count.
	window func(dst, src, top, grad *float32, rows, cols, channels, dstRow, dstPixel, srcRow, srcPixel, count int)
}

// BindMaxPoolGradient prepares dst, the gradient of src, the input of a maximum pooling, from its result y and
// the gradient grad of that. The gradient of each window goes to the window's first pixel, row by row, that is
// the maximum. Gradients of one pixel are added in the order of their windows, on any number of threads. Where
// the maximum is NaN, the gradient is lost.
//
// All views are float32, and none is a part of the rows of another one.
func BindMaxPoolGradient(set *Set, s PoolShape, dst, src, y, grad View, threads int) (workers.Task, error) {
	err := checkSame(dst, src)
	if err == nil {
		err = checkSame(grad, y)
	}
	if err != nil {
		return nil, fmt.Errorf("gradient of pooling: %w", err)
	}
	return newPoolGradientTask(s, dst, src, y, grad, threads, set.F32.Lanes,
		maximumGradient(s, set.F32.MaxPool3x3s2Gradient, set.F32.MaxPoolGradient),
		maximumGradient(s, scalar.MaxPool3x3s2Gradient, scalar.MaxPoolGradient))
}

func maximumGradient(s PoolShape, row func(dst, src, top, grad *float32, pixels, channels, dstRow, dstPixel, srcRow, srcPixel, topPixel, gradPixel int),
	window func(dst, src, top, grad *float32, rows, cols, channels, dstRow, dstPixel, srcRow, srcPixel int)) poolingGradient {

	if s.KH != 3 || s.KW != 3 || s.Stride != 2 {
		row = nil
	}
	return poolingGradient{row, func(dst, src, top, grad *float32, rows, cols, channels, dstRow, dstPixel, srcRow, srcPixel, _ int) {
		window(dst, src, top, grad, rows, cols, channels, dstRow, dstPixel, srcRow, srcPixel)
	}}
}

// BindAvgPoolGradient prepares dst, the gradient of the input of an average pooling, from the gradient grad of
// its result: the gradient of each window, divided as in BindAvgPool, is added to that of all its pixels, in
// the order of the windows.
//
// Both views are float32, and neither is a part of the rows of another one.
func BindAvgPoolGradient(set *Set, s PoolShape, dst, grad View, threads int) (workers.Task, error) {
	mean := func(kernel func(dst, grad *float32, rows, cols, channels, dstRow, dstPixel int, scale float32)) poolingGradient {
		return poolingGradient{nil, func(dst, _, _, grad *float32, rows, cols, channels, dstRow, dstPixel, _, _, count int) {
			kernel(dst, grad, rows, cols, channels, dstRow, dstPixel, 1/float32(count))
		}}
	}
	return newPoolGradientTask(s, dst, dst, grad, grad, threads, set.F32.Lanes, mean(set.F32.AvgPoolGradient), mean(scalar.AvgPoolGradient))
}

// newPoolGradientTask returns the task for views of which dst and src, and grad and top, have one shape.
func newPoolGradientTask(s PoolShape, dst, src, top, grad View, threads, lanes int, vector, scalar poolingGradient) (workers.Task, error) {
	err := checkFloats(dst, grad)
	if err == nil && (dst.partial || src.partial || top.partial || grad.partial) {
		err = fmt.Errorf("a part of the rows, expected whole images")
	}
	if err == nil {
		s, err = s.over(grad, dst)
	}
	if err != nil {
		return nil, fmt.Errorf("gradient of pooling: %w", err)
	}
	t := &poolGradientTask{
		shape: s,
		dst:   dst, src: src, top: top, grad: grad,
		out: Data[float32](dst), in: Data[float32](src), tops: Data[float32](top), g: Data[float32](grad),
	}
	// Images come first: all channels of a pixel lie side by side.
	body := dst.C / lanes
	parts := 1
	for parts < body && threads > 1 && dst.N*parts%threads != 0 && dst.N*parts < 4*threads {
		parts++
	}
	for i := range parts {
		first, last := i*body/parts*lanes, (i+1)*body/parts*lanes
		if i == parts-1 {
			last = dst.C
		}
		part := segments(last-first, lanes, vector, scalar, true) // no gradient may be added twice
		for j := range part {
			part[j].first += first
		}
		t.parts = append(t.parts, part)
	}
	return t, nil
}

// Chunks implements workers.Task.
func (t *poolGradientTask) Chunks() int { return t.dst.N * len(t.parts) }

func (t *poolGradientTask) Chunk(_, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	n, part := i/len(t.parts), t.parts[i%len(t.parts)]
	// Rows are cleared when the first window reaches them, so that they are in the cache.
	cleared := 0
	for y := range t.grad.H {
		y0 := y*t.shape.Stride - t.shape.Pad.Top
		first, count := t.whole(y0)
		x0 := first*t.shape.Stride - t.shape.Pad.Left
		for ; cleared < min(y0+t.shape.KH, t.dst.H); cleared++ {
			if count > 0 && cleared > y0 {
				// The kernel for rows of windows is the first to write the others.
				t.clear(n, cleared, 0, x0+1, part)
				t.clear(n, cleared, x0+2*count+1, t.dst.W, part)
			} else {
				t.clear(n, cleared, 0, t.dst.W, part)
			}
		}
		for x := range first {
			t.window(n, y, x, part)
		}
		if count > 0 {
			t.row(n, y, first, y0, x0, count, part)
		}
		for x := first + count; x < t.grad.W; x++ {
			t.window(n, y, x, part)
		}
	}
	for ; cleared < t.dst.H; cleared++ {
		t.clear(n, cleared, 0, t.dst.W, part)
	}
}

// whole returns the first of a row of windows that lies inside the image, and how many do. There are none if
// there is no kernel for them. y0 is the row's first pixel.
func (t *poolGradientTask) whole(y0 int) (first, count int) {
	s := t.shape
	if t.parts[0][0].kernel.row == nil || y0 < 0 || y0+s.KH > t.dst.H {
		return 0, 0
	}
	first = (s.Pad.Left + s.Stride - 1) / s.Stride
	return first, max(min(floorOut(t.dst.W+s.Pad.Left, s.KW, s.Stride), t.grad.W)-first, 0)
}

// clear clears the channels of a part, from pixel x0 to x1-1 of a row.
func (t *poolGradientTask) clear(n, y, x0, x1 int, part []segment[poolingGradient]) {
	first, last := part[0].first, part[len(part)-1].first+part[len(part)-1].n
	run, runs := last-first, x1-x0
	if run == t.dst.Pixel {
		run, runs = run*runs, min(runs, 1)
	}
	for x := range runs {
		clear(t.out[t.dst.Index(n, y, x0+x, first):][:run])
	}
}

// row adds the gradients of count windows from x on that lie inside the image.
func (t *poolGradientTask) row(n, y, x, y0, x0, count int, part []segment[poolingGradient]) {
	d, a := t.dst.Index(n, y0, x0, 0), t.src.Index(n, y0, x0, 0)
	m, g := t.top.Index(n, y, x, 0), t.grad.Index(n, y, x, 0)
	for _, b := range part {
		b.kernel.row(&t.out[d+b.first], &t.in[a+b.first], &t.tops[m+b.first], &t.g[g+b.first],
			count, b.n, t.dst.Row, t.dst.Pixel, t.src.Row, t.src.Pixel, t.top.Pixel, t.grad.Pixel)
	}
}

// window adds the gradient of one window, which it clips to the image.
func (t *poolGradientTask) window(n, y, x int, part []segment[poolingGradient]) {
	y0, x0, y1, x1, count := t.shape.window(y, x, t.dst)
	d, a := t.dst.Index(n, y0, x0, 0), t.src.Index(n, y0, x0, 0)
	m, g := t.top.Index(n, y, x, 0), t.grad.Index(n, y, x, 0)
	for _, b := range part {
		b.kernel.window(&t.out[d+b.first], &t.in[a+b.first], &t.tops[m+b.first], &t.g[g+b.first],
			y1-y0, x1-x0, b.n, t.dst.Row, t.dst.Pixel, t.src.Row, t.src.Pixel, count)
	}
}
