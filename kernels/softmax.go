package kernels

import (
	"fmt"
	"math"

	"firebench/kernels/workers"
)

// A softmaxTask is a softmax over channels bound to its views; a chunk is a row.
type softmaxTask struct {
	rowChunks
	dst, src View
}

// BindSoftmax prepares exp(x−max)/Σ exp(x−max) over the channels of each pixel,
// summed in float64. It is plain Go on every instruction set, because it takes no time worth
// saving: a network has one softmax, over its classes.
func BindSoftmax(dst, src View) (workers.Task, error) {
	if err := checkSame(dst, src); err != nil {
		return nil, fmt.Errorf("softmax: %w", err)
	}
	return &softmaxTask{rowChunks{dst.N * dst.H, 1}, dst, src}, nil
}

func (t *softmaxTask) Chunk(_, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	n, y := i/t.dst.H, i%t.dst.H
	for x := range t.dst.W {
		softmax(Pixel[float32](t.dst, n, y, x), Pixel[float32](t.src, n, y, x))
	}
}

func softmax(dst, src []float32) {
	top := src[0]
	for _, v := range src {
		top = max(top, v)
	}
	sum := 0.0
	for i, v := range src {
		e := math.Exp(float64(v - top))
		sum += e
		dst[i] = float32(e)
	}
	scale := float32(1 / sum)
	for i := range dst {
		dst[i] *= scale
	}
}
