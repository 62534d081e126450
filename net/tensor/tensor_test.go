package tensor

import (
	"math"
	"strings"
	"testing"

	"firebench/kernels"
)

// TestViews moves numbered elements to NHWC and back, in a window of channels
// inside a halo.
func TestViews(t *testing.T) {
	const n, c, h, w = 2, 3, 4, 5
	want := New(n, c, h, w)
	for i := range want.Data {
		want.Data[i] = float32(i + 1)
	}
	wide := kernels.NewView(kernels.Type{}, n, h, w, c+2, 1)
	for i := range kernels.Data[float32](wide) {
		kernels.Data[float32](wide)[i] = -1
	}
	v := wide.Channels(1, c)
	if err := want.ToView(v); err != nil {
		t.Fatal(err)
	}
	for b := range n {
		for ch := range c {
			for y := range h {
				for x := range w {
					if got, want := kernels.At[float32](v, b, y, x, ch), float32(((b*c+ch)*h+y)*w+x+1); got != want {
						t.Fatalf("element (%d,%d,%d,%d) is %v, want %v", b, ch, y, x, got, want)
					}
				}
			}
		}
	}
	outside := 0
	for _, value := range kernels.Data[float32](wide) {
		if value == -1 {
			outside++
		}
	}
	if want := len(kernels.Data[float32](wide)) - n*c*h*w; outside != want {
		t.Errorf("%d elements outside the window were left alone, want %d", outside, want)
	}
	if got := FromView(v); !equal(got, want) {
		t.Error("FromView returns something else than ToView took")
	}
}

func TestToViewShapes(t *testing.T) {
	one, two := kernels.NewView(kernels.Type{}, 1, 4, 5, 3, 0), kernels.NewView(kernels.Type{}, 2, 4, 5, 3, 0)
	for _, test := range []struct {
		tensor *Tensor
		view   kernels.View
		want   string // part of the error
	}{
		{New(1, 3, 4, 5), one, ""},
		{New(3, 4, 5), one, ""},
		{New(2, 3, 4, 5), two, ""},
		{New(3, 4, 5), two, "shape is 3×4×5, expected 2×3×4×5"},
		{New(2, 3, 4, 5), one, "shape is 2×3×4×5, expected 1×3×4×5"},
		{New(1, 4, 5, 3), one, "shape is 1×4×5×3, expected 1×3×4×5"},
		{New(60), one, "shape is 60, expected 1×3×4×5"},
		{New(), one, "shape is scalar, expected 1×3×4×5"},
		{New(1, 1, 3, 4, 5), one, "shape is 1×1×3×4×5, expected 1×3×4×5"},
		{&Tensor{[]int{1, 3, 4, 5}, make([]float32, 59)}, one, "59 values, expected 60 for 1×3×4×5"},
		{&Tensor{[]int{math.MaxInt, math.MaxInt, math.MaxInt, 5}, make([]float32, 5)}, one, "has more than"},
	} {
		err := test.tensor.ToView(test.view)
		if test.want == "" && err != nil {
			t.Errorf("%s: %v", test.tensor.Shape(), err)
		}
		if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: error %v, expected one with %q", test.tensor.Shape(), err, test.want)
		}
	}
}

func TestToViewOfBytes(t *testing.T) {
	v := kernels.NewView(kernels.Type{Element: kernels.Uint8, Scale: 1}, 1, 2, 3, 4, 0)
	if err := New(1, 4, 2, 3).ToView(v); err == nil || !strings.Contains(err.Error(), "u8") {
		t.Errorf("error %v, want one that names the type", err)
	}
}
