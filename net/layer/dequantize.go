package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// A Dequantize turns quantized values into the float32 values that they stand for.
type Dequantize struct{}

// Op returns dequantize.
func (Dequantize) Op() string { return "dequantize" }

// OutShape implements Layer.
func (Dequantize) OutShape(in []Shape) (Shape, error) {
	if err := inputs(in, 1); err != nil {
		return Shape{}, err
	}
	if !quantized(in[0].Type) {
		return Shape{}, fmt.Errorf("input %v, expected quantized %v", in[0], kernels.Uint8)
	}
	return in[0].As(kernels.Type{}), nil
}

// Cost implements Layer.
func (Dequantize) Cost(in []Shape) kernels.Cost { return traffic(in[0].As(kernels.Type{}), in...) }

// Bind implements Layer.
func (Dequantize) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindDequantize(b.Set, b.Dst, b.Src[0], b.Threads))
}

// Window implements Windowed.
func (Dequantize) Window([]Shape) (kernel, stride, pad int, ok bool) { return 1, 1, 0, true }
