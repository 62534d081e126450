package kernels

import (
	"fmt"
	"math"

	"firebench/kernels/scalar"
	"firebench/kernels/workers"
)

// An elementTask computes each element of its destination from those at the same place in its
// sources; a chunk is some rows.
type elementTask[D, S Number] struct {
	rowChunks
	dst, a, b View
	out       []D // their memory
	inA, inB  []S
	runs      int // in a row: each is contiguous in all views
	segments  []segment[elementKernel[D, S]]
}

// An elementKernel computes n elements.
type elementKernel[D, S Number] = func(dst *D, a, b *S, n int)

// newElementTask returns the task for views that have passed checkShapes. An operation on one source
// has it as a and as b.
func newElementTask[D, S Number](dst, a, b View, threads, lanes int, vector, scalar elementKernel[D, S], once bool) *elementTask[D, S] {
	// A run is a whole row, or one pixel if a view has only some channels of its memory.
	run, runs := dst.C, dst.W
	if dst.Pixel == run && a.Pixel == run && b.Pixel == run {
		run, runs = run*runs, 1
	}
	return &elementTask[D, S]{
		rowChunks: splitRows(dst, 1, threads),
		dst:       dst, a: a, b: b,
		out: Data[D](dst), inA: Data[S](a), inB: Data[S](b),
		runs:     runs,
		segments: segments(run, lanes, vector, scalar, once),
	}
}

func (t *elementTask[D, S]) Chunk(_, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	first, last := t.rows(i)
	for row := first; row < last; row++ {
		n, y := row/t.dst.H, row%t.dst.H
		for x := range t.runs {
			d, a, b := t.dst.Index(n, y, x, 0), t.a.Index(n, y, x, 0), t.b.Index(n, y, x, 0)
			for _, e := range t.segments {
				e.kernel(&t.out[d+e.first], &t.inA[a+e.first], &t.inB[b+e.first], e.n)
			}
		}
	}
}

// BindAdd prepares dst = a + b, the residual connection, or dst = max(a+b, 0) with relu.
// dst may be a or b.
//
// Values are float32, or quantized uint8, whose types may differ. A quantized value less its zero
// point is multiplied by a.Scale/dst.Scale or b.Scale/dst.Scale; both quotients, both products and
// their sum are rounded to float32, see [U8].
func BindAdd(set *Set, dst, a, b View, relu bool, threads int) (workers.Task, error) {
	err := checkElements(dst, a, b)
	if err == nil {
		err = checkShapes(dst, a, b)
	}
	if err != nil {
		return nil, fmt.Errorf("add: %w", err)
	}
	once := dst.SameStart(a) || dst.SameStart(b) // a sum must not be a term again
	if dst.Element == Float32 {
		lower := lowerBound(relu)
		add := func(kernel func(dst, a, b *float32, n int, lower float32)) elementKernel[float32, float32] {
			return func(dst, a, b *float32, n int) { kernel(dst, a, b, n, lower) }
		}
		return newElementTask(dst, a, b, threads, set.F32.Lanes, add(set.F32.Add), add(scalar.Add), once), nil
	}
	scaleA, err := ratio(a.Type, dst.Type)
	if err != nil {
		return nil, fmt.Errorf("add: %w", err)
	}
	scaleB, err := ratio(b.Type, dst.Type)
	if err != nil {
		return nil, fmt.Errorf("add: %w", err)
	}
	zeroA, zeroB := a.Zero, b.Zero
	zero := dst.Zero
	lower, upper := float32(dst.lower(relu)-zero), float32(255-zero)
	add := func(kernel func(dst, a, b *uint8, n int, zeroA, zeroB int32, scaleA, scaleB, lower, upper float32, zero int32)) elementKernel[uint8, uint8] {
		return func(dst, a, b *uint8, n int) { kernel(dst, a, b, n, zeroA, zeroB, scaleA, scaleB, lower, upper, zero) }
	}
	return newElementTask(dst, a, b, threads, set.U8.Bytes, add(set.U8.Add), add(scalar.QAdd), once), nil
}

// BindReLU prepares dst = max(src, 0). dst may be src. Values are float32, or quantized uint8 that
// have one type in both views.
func BindReLU(set *Set, dst, src View, threads int) (workers.Task, error) {
	err := checkElements(dst, src)
	if err == nil {
		err = checkTypes(dst, src)
	}
	if err == nil {
		err = checkShapes(dst, src)
	}
	if err != nil {
		return nil, fmt.Errorf("ReLU: %w", err)
	}
	if dst.Element == Float32 {
		relu := func(kernel func(dst, src *float32, n int)) elementKernel[float32, float32] {
			return func(dst, src, _ *float32, n int) { kernel(dst, src, n) }
		}
		return newElementTask(dst, src, src, threads, set.F32.Lanes, relu(set.F32.ReLU), relu(scalar.ReLU), false), nil
	}
	zero := dst.Zero
	clamp := func(kernel func(dst, src *uint8, n int, lower int32)) elementKernel[uint8, uint8] {
		return func(dst, src, _ *uint8, n int) { kernel(dst, src, n, zero) }
	}
	return newElementTask(dst, src, src, threads, set.U8.Bytes, clamp(set.U8.Clamp), clamp(scalar.QClamp), false), nil
}

// BindQuantize prepares the conversion of float32 values to dst's quantized type, which is uint8: src
// is divided by the scale, rounded half to even, and added to the zero point. What lies beyond the
// ends of uint8 becomes the nearest of them, and NaN the zero point.
func BindQuantize(set *Set, dst, src View, threads int) (workers.Task, error) {
	err := checkViews(dst, src)
	if err == nil && !(src.Element == Float32 && dst.quantized()) {
		err = fmt.Errorf("%v to %v, expected %v to quantized %v", src.Type, dst.Type, Float32, Uint8)
	}
	if err == nil {
		err = checkShapes(dst, src)
	}
	if err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	scale, zero := dst.Scale, dst.Zero
	quantize := func(kernel func(dst *uint8, src *float32, n int, scale float32, zero int32)) elementKernel[uint8, float32] {
		return func(dst *uint8, src, _ *float32, n int) { kernel(dst, src, n, scale, zero) }
	}
	return newElementTask(dst, src, src, threads, set.U8.Bytes, quantize(set.U8.Quantize), quantize(scalar.Quantize), false), nil
}

// BindDequantize prepares the conversion of quantized values, which are uint8, to the float32 values
// that they stand for.
func BindDequantize(set *Set, dst, src View, threads int) (workers.Task, error) {
	err := checkViews(dst, src)
	if err == nil && !(src.quantized() && dst.Element == Float32) {
		err = fmt.Errorf("%v to %v, expected quantized %v to %v", src.Type, dst.Type, Uint8, Float32)
	}
	if err == nil {
		err = checkShapes(dst, src)
	}
	if err != nil {
		return nil, fmt.Errorf("dequantize: %w", err)
	}
	scale, zero := src.Scale, src.Zero
	dequantize := func(kernel func(dst *float32, src *uint8, n int, scale float32, zero int32)) elementKernel[float32, uint8] {
		return func(dst *float32, src, _ *uint8, n int) { kernel(dst, src, n, scale, zero) }
	}
	return newElementTask(dst, src, src, threads, set.U8.Bytes, dequantize(set.U8.Dequantize), dequantize(scalar.Dequantize), false), nil
}

// ratio returns the factor from integers of the type from to those of the type to. It is an error
// if a product with it can be infinite, because the difference of two of these is NaN.
func ratio(from, to Type) (float32, error) {
	r := from.Scale / to.Scale
	if math.IsInf(float64(r*math.MaxUint8), 0) {
		return 0, fmt.Errorf("%v to %v: the quotient of their scales is too large", from, to)
	}
	return r, nil
}

// BindMul prepares dst = a · b of float32 values: dropout, where b is the mask, and its gradient. dst may be a
// or b.
func BindMul(set *Set, dst, a, b View, threads int) (workers.Task, error) {
	if err := checkSame(dst, a, b); err != nil {
		return nil, fmt.Errorf("multiply: %w", err)
	}
	once := dst.SameStart(a) || dst.SameStart(b) // a product must not be a factor again
	return newElementTask(dst, a, b, threads, set.F32.Lanes, set.F32.Mul, scalar.Mul, once), nil
}

// BindReLUGradient prepares dst, the gradient of the input of a ReLU whose result is y and has the gradient
// grad: dst = grad where y > 0, and 0 elsewhere, of float32 values. dst may be grad or y.
func BindReLUGradient(set *Set, dst, y, grad View, threads int) (workers.Task, error) {
	if err := checkSame(dst, y, grad); err != nil {
		return nil, fmt.Errorf("gradient of ReLU: %w", err)
	}
	once := dst.SameStart(y) // a gradient must not be taken for a result
	return newElementTask(dst, y, grad, threads, set.F32.Lanes, set.F32.ReLUGradient, scalar.ReLUGradient, once), nil
}
