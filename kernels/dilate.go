package kernels

import (
	"fmt"

	"firebench/kernels/workers"
)

// A dilateTask is a dilation bound to its views; a chunk is some rows.
type dilateTask struct {
	rowChunks
	dst, src View
	stride   int
}

// BindDilate prepares dst with the pixels of src stride apart, and zeros between them and behind the last:
// what a convolution with stride 1 must read to compute the gradient of the input of one with this stride, see
// [ConvShape.Transposed]. (dst.H-1)/stride+1 must be src.H, and the same must be so of the widths. Both views
// are float32.
func BindDilate(dst, src View, stride, threads int) (workers.Task, error) {
	if err := checkFloats(dst, src); err != nil {
		return nil, fmt.Errorf("dilation: %w", err)
	}
	if stride < 1 {
		return nil, fmt.Errorf("dilation: stride is %d, expected at least 1", stride)
	}
	if (dst.H-1)/stride+1 != src.H || (dst.W-1)/stride+1 != src.W || dst.C != src.C {
		return nil, fmt.Errorf("dilation: %v to %v, expected %d pixels from one to the next", src, dst, stride)
	}
	return &dilateTask{splitRows(dst, 1, threads), dst, src, stride}, nil
}

func (t *dilateTask) Chunk(_, i int) {
	if i == 0 {
		t.dst.fillHalo()
	}
	first, last := t.rows(i)
	for row := first; row < last; row++ {
		n, y := row/t.dst.H, row%t.dst.H
		for x := range t.dst.W {
			px := Pixel[float32](t.dst, n, y, x)
			if y%t.stride == 0 && x%t.stride == 0 {
				copy(px, Pixel[float32](t.src, n, y/t.stride, x/t.stride))
			} else {
				clear(px)
			}
		}
	}
}
