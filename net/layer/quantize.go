package layer

import (
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// A Quantize stores float32 values as quantized ones of type Type, each as the closest one that there
// is.
type Quantize struct{ Type kernels.Type }

// Op returns quantize.
func (Quantize) Op() string { return "quantize" }

// OutShape implements Layer.
func (q Quantize) OutShape(in []Shape) (Shape, error) {
	if err := floats(in, 1); err != nil {
		return Shape{}, err
	}
	if err := q.Type.Check(); err != nil {
		return Shape{}, fmt.Errorf("result: %w", err)
	}
	if !quantized(q.Type) {
		return Shape{}, fmt.Errorf("result of %v, expected quantized %v", q.Type, kernels.Uint8)
	}
	return in[0].As(q.Type), nil
}

// Cost implements Layer.
func (q Quantize) Cost(in []Shape) kernels.Cost { return traffic(in[0].As(q.Type), in...) }

// Bind implements Layer.
func (Quantize) Bind(b Binding) ([]workers.Task, error) {
	return bound(kernels.BindQuantize(b.Set, b.Dst, b.Src[0], b.Threads))
}

// Window implements Windowed.
func (Quantize) Window([]Shape) (kernel, stride, pad int, ok bool) { return 1, 1, 0, true }
