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

// A poolingGradient adds the gradient of one window to that of its rows×cols pixels inside the image. That of a
// mean is divided by count.
type poolingGradient = func(dst, src, top, grad *float32, rows, cols, channels, dstRow, dstPixel, srcRow, srcPixel, count int)

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
	maximum := func(kernel func(dst, src, top, grad *float32, rows, cols, channels, dstRow, dstPixel, srcRow, srcPixel int)) poolingGradient {
		return func(dst, src, top, grad *float32, rows, cols, channels, dstRow, dstPixel, srcRow, srcPixel, _ int) {
			kernel(dst, src, top, grad, rows, cols, channels, dstRow, dstPixel, srcRow, srcPixel)
		}
	}
	return newPoolGradientTask(s, dst, src, y, grad, threads, set.F32.Lanes, maximum(set.F32.MaxPoolGradient), maximum(scalar.MaxPoolGradient))
}

// BindAvgPoolGradient prepares dst, the gradient of the input of an average pooling, from the gradient grad of
// its result: the gradient of each window, divided as in BindAvgPool, is added to that of all its pixels, in
// the order of the windows.
//
// Both views are float32, and neither is a part of the rows of another one.
func BindAvgPoolGradient(set *Set, s PoolShape, dst, grad View, threads int) (workers.Task, error) {
	mean := func(kernel func(dst, grad *float32, rows, cols, channels, dstRow, dstPixel int, scale float32)) poolingGradient {
		return func(dst, _, _, grad *float32, rows, cols, channels, dstRow, dstPixel, _, _, count int) {
			kernel(dst, grad, rows, cols, channels, dstRow, dstPixel, 1/float32(count))
		}
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
		y1 := min(y0+t.shape.KH, t.dst.H)
		for ; cleared < y1; cleared++ {
			t.clear(n, cleared, part)
		}
		for x := range t.grad.W {
			t.window(n, y, x, part)
		}
	}
	for ; cleared < t.dst.H; cleared++ {
		t.clear(n, cleared, part)
	}
}

// clear clears the channels of a part, in one row.
func (t *poolGradientTask) clear(n, y int, part []segment[poolingGradient]) {
	first, last := part[0].first, part[len(part)-1].first+part[len(part)-1].n
	run, runs := last-first, t.dst.W
	if run == t.dst.Pixel {
		run, runs = run*runs, 1
	}
	for x := range runs {
		clear(t.out[t.dst.Index(n, y, x, first):][:run])
	}
}

// window adds the gradient of one window, which it clips to the image.
func (t *poolGradientTask) window(n, y, x int, part []segment[poolingGradient]) {
	y0, x0, y1, x1, count := t.shape.window(y, x, t.dst)
	d, a := t.dst.Index(n, y0, x0, 0), t.src.Index(n, y0, x0, 0)
	m, g := t.top.Index(n, y, x, 0), t.grad.Index(n, y, x, 0)
	for _, b := range part {
		b.kernel(&t.out[d+b.first], &t.in[a+b.first], &t.tops[m+b.first], &t.g[g+b.first],
			y1-y0, x1-x0, b.n, t.dst.Row, t.dst.Pixel, t.src.Row, t.src.Pixel, count)
	}
}
