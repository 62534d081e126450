// Package tensor has dense float32 arrays in row-major order, as they come into a network
// and go out of it, usually N×C×H×W, and their .npy files. Inside a network,
// activations are NHWC; see [kernels.View].
package tensor

import (
	"fmt"
	"math"
	"strings"

	"firebench/kernels"
)

// A Tensor is a dense row-major array: the last dimension varies fastest. A tensor without
// dimensions is a scalar, with one value.
type Tensor struct {
	Dims []int
	Data []float32
}

// New returns a zeroed tensor. Dimensions must not be negative.
func New(dims ...int) *Tensor {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return &Tensor{Dims: dims, Data: make([]float32, n)}
}

// Shape returns the dimensions in the form 1×3×227×227, or "scalar".
func (t *Tensor) Shape() string { return shape(t.Dims) }

func shape(dims []int) string {
	if len(dims) == 0 {
		return "scalar"
	}
	var b strings.Builder
	for i, d := range dims {
		if i > 0 {
			b.WriteString("×")
		}
		fmt.Fprint(&b, d)
	}
	return b.String()
}

// check reports whether there are as many values in Data as Dims say.
func (t *Tensor) check() error {
	n, err := elements(t.Dims, math.MaxInt/4)
	if err == nil && n != len(t.Data) {
		err = fmt.Errorf("tensor: %d values, expected %d for %s", len(t.Data), n, t.Shape())
	}
	return err
}

// elements returns the product of dims. It fails, before an int overflows, when a dimension
// is negative or the product more than max; a dimension of an empty tensor must not be
// more than max either.
func elements(dims []int, max int64) (int, error) {
	n := int64(1)
	for _, d := range dims {
		if d < 0 {
			return 0, fmt.Errorf("tensor: negative dimension in %s", shape(dims))
		}
	}
	for _, d := range dims {
		if int64(d) > max || n > 0 && int64(d) > max/n {
			return 0, fmt.Errorf("tensor: %s has more than %d values", shape(dims), max)
		}
		n *= int64(d)
	}
	return int(n), nil
}

// ToView copies t into v. t is N×C×H×W, or C×H×W for a view of a single image,
// and must have the shape of v. The halo of v is left alone.
func (t *Tensor) ToView(v kernels.View) error {
	if err := t.check(); err != nil {
		return err
	}
	if v.Type != (kernels.Type{}) {
		return fmt.Errorf("tensor: view of %v, expected %v", v.Type, kernels.Float32)
	}
	dims := t.Dims
	if len(dims) == 3 && v.N == 1 {
		dims = append([]int{1}, dims...)
	}
	want := [...]int{v.N, v.C, v.H, v.W}
	if len(dims) != len(want) || [4]int(dims) != want {
		return fmt.Errorf("tensor: shape is %s, expected %s", t.Shape(), shape(want[:]))
	}
	i := 0
	for n := range v.N {
		for c := range v.C {
			for y := range v.H {
				dst := kernels.Data[float32](v)[v.Index(n, y, 0, c):]
				for x, value := range t.Data[i : i+v.W] {
					dst[x*v.Pixel] = value
				}
				i += v.W
			}
		}
	}
	return nil
}

// FromView returns a copy of v, a view of float32, as an N×C×H×W tensor.
func FromView(v kernels.View) *Tensor {
	t := New(v.N, v.C, v.H, v.W)
	i := 0
	for n := range v.N {
		for c := range v.C {
			for y := range v.H {
				src := kernels.Data[float32](v)[v.Index(n, y, 0, c):]
				for x := range v.W {
					t.Data[i] = src[x*v.Pixel]
					i++
				}
			}
		}
	}
	return t
}
