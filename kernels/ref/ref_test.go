package ref_test

import (
	"math"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/ref"
)

// image returns a view of the given values, in NHWC order, with a halo of NaNs, which ref must
// not read.
func image(n, h, w, c int, values ...float32) kernels.View {
	v := kernels.NewView(kernels.Type{}, n, h, w, c, 1)
	for i := range kernels.Data[float32](v) {
		kernels.Data[float32](v)[i] = float32(math.NaN())
	}
	for n := range n {
		for y := range h {
			for x := range w {
				values = values[copy(kernels.Pixel[float32](v, n, y, x), values):]
			}
		}
	}
	return v
}

func check(t *testing.T, what string, got []float64, want ...float64) {
	t.Helper()
	near := func(a, b float64) bool {
		return a == b || math.Abs(a-b) < 1e-6 || math.IsNaN(a) && math.IsNaN(b)
	}
	if !slices.EqualFunc(got, want, near) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// The expected values of these tests were worked out by hand.

func TestConv(t *testing.T) {
	square := image(1, 3, 3, 1,
		1, 2, 3,
		4, 5, 6,
		7, 8, 9)
	cross := []float32{
		0, 1, 0,
		1, -4, 1,
		0, 1, 0}

	out, abs := ref.Conv(kernels.ConvShape{In: 1, Out: 1, KH: 3, KW: 3, Stride: 1, Groups: 1}, square, cross, nil, false)
	check(t, "Laplacian", out, 0)
	check(t, "its scale", abs, 40)

	out, _ = ref.Conv(kernels.ConvShape{In: 1, Out: 1, KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1), Groups: 1}, square, cross, []float32{1}, false)
	check(t, "padded", out, 3, 2, -3, -2, 1, -6, -15, -10, -21)
	out, abs = ref.Conv(kernels.ConvShape{In: 1, Out: 1, KH: 3, KW: 3, Stride: 2, Pad: kernels.Pad(1), Groups: 1}, square, cross, []float32{-1}, true)
	check(t, "strided, ReLU", out, 1, 0, 0, 0)
	check(t, "its scale", abs, 11, 21, 41, 51)

	for p, want := range map[kernels.Padding][]float64{
		{Top: 1}: {1, 0}, {Left: 1}: {-3, 0}, {Bottom: 1}: {0, -11}, {Right: 1}: {0, -7},
	} {
		out, _ = ref.Conv(kernels.ConvShape{In: 1, Out: 1, KH: 3, KW: 3, Stride: 1, Pad: p, Groups: 1}, square, cross, nil, false)
		check(t, "padded by "+p.String(), out, want...)
	}

	// Kernels of 2×1 and of 1×2 taps show that rows and columns are not exchanged.
	out, _ = ref.Conv(kernels.ConvShape{In: 1, Out: 1, KH: 2, KW: 1, Stride: 1, Groups: 1}, square, []float32{1, 10}, nil, false)
	check(t, "2×1", out, 41, 52, 63, 74, 85, 96)
	out, _ = ref.Conv(kernels.ConvShape{In: 1, Out: 1, KH: 1, KW: 2, Stride: 1, Groups: 1}, square, []float32{1, 10}, nil, false)
	check(t, "1×2", out, 21, 32, 54, 65, 87, 98)

	// Two images, weights in the order output, input.
	pair := image(2, 1, 1, 2, 1, 2, 3, 4)
	out, _ = ref.Conv(kernels.ConvShape{In: 2, Out: 3, KH: 1, KW: 1, Stride: 1, Groups: 1}, pair, []float32{1, 0, 0, 1, 10, 100}, nil, false)
	check(t, "1×1", out, 1, 2, 210, 3, 4, 430)
	// With groups, the first output depends on the first input only.
	out, _ = ref.Conv(kernels.ConvShape{In: 2, Out: 4, KH: 1, KW: 1, Stride: 1, Groups: 2}, pair, []float32{1, 2, 3, 4}, nil, false)
	check(t, "groups", out, 1, 2, 6, 8, 3, 6, 12, 16)

	out, _ = ref.Conv(kernels.ConvShape{In: 1, Out: 1, KH: 1, KW: 1, Stride: 1, Groups: 1}, image(1, 1, 1, 1, float32(math.NaN())), []float32{1}, nil, true)
	check(t, "ReLU of NaN", out, math.NaN())
}

func TestPools(t *testing.T) {
	square := image(1, 4, 4, 1,
		-1, -2, -3, -4,
		-5, -6, -7, -8,
		-9, -8, -7, -6,
		-5, -4, -3, -2)

	max := func(name string, s kernels.PoolShape, want ...float64) {
		t.Helper()
		check(t, "MaxPool, "+name, ref.MaxPool(s, square), want...)
	}
	max("floor", kernels.PoolShape{KH: 3, KW: 3, Stride: 2}, -1)
	max("ceil", kernels.PoolShape{KH: 3, KW: 3, Stride: 2, Ceil: true}, -1, -3, -3, -2)
	max("padding never wins", kernels.PoolShape{KH: 2, KW: 2, Stride: 3, Pad: kernels.Pad(1), Ceil: true}, -1, -3, -5, -2)
	max("padding on the right and above", kernels.PoolShape{KH: 2, KW: 3, Stride: 2, Pad: kernels.Padding{Top: 1, Right: 1}}, -1, -3, -5, -6)
	max("3×1", kernels.PoolShape{KH: 3, KW: 1, Stride: 1}, -1, -2, -3, -4, -5, -4, -3, -2)
	max("global", kernels.PoolShape{}, -1)
	nan := image(1, 1, 3, 1, 1, float32(math.NaN()), 2)
	check(t, "MaxPool of NaN", ref.MaxPool(kernels.PoolShape{KH: 1, KW: 3, Stride: 1}, nan), math.NaN())

	avg := func(name string, s kernels.PoolShape, want ...float64) {
		t.Helper()
		out, abs := ref.AvgPool(s, square)
		check(t, "AvgPool, "+name, out, want...)
		for i := range want {
			want[i] = -want[i] // all inputs are negative
		}
		check(t, "AvgPool's scale, "+name, abs, want...)
	}
	avg("2×2", kernels.PoolShape{KH: 2, KW: 2, Stride: 2}, -3.5, -5.5, -6.5, -4.5)
	avg("padding counts", kernels.PoolShape{KH: 2, KW: 2, Stride: 3, Pad: kernels.Pad(1), Ceil: true}, -0.25, -7.0/4, -14.0/4, -18.0/4)
	avg("what is beyond the padding does not", kernels.PoolShape{KH: 3, KW: 3, Stride: 2, Ceil: true}, -48.0/9, -35.0/6, -36.0/6, -18.0/4)
	avg("padding on the left and below counts", kernels.PoolShape{KH: 3, KW: 3, Stride: 2, Pad: kernels.Padding{Left: 1, Bottom: 2}}, -31.0/9, -51.0/9, -26.0/9, -30.0/9)
	avg("padding on the left and below does not count", kernels.PoolShape{KH: 3, KW: 3, Stride: 2, Pad: kernels.Padding{Left: 1, Bottom: 2}, ExcludePad: true}, -31.0/6, -51.0/9, -26.0/4, -30.0/6)
	avg("padding does not count", kernels.PoolShape{KH: 2, KW: 2, Stride: 3, Pad: kernels.Pad(1), Ceil: true, ExcludePad: true}, -1, -3.5, -7, -4.5)
	avg("global", kernels.PoolShape{}, -5)

	two := image(2, 1, 2, 2, 1, -2, 3, 4, 5, 6, 7, 8)
	out, abs := ref.AvgPool(kernels.PoolShape{}, two)
	check(t, "AvgPool of two images", out, 2, 1, 6, 7)
	check(t, "its scale", abs, 2, 3, 6, 7)
}

func TestLRN(t *testing.T) {
	v := image(1, 1, 1, 4, 1, 2, -3, 4)
	// 1 + 3/3·Σx² is 6, 15, 30, 26.
	got := ref.LRN(kernels.LRNShape{Size: 3, Alpha: 3, Beta: 0.75, K: 1}, v)
	check(t, "LRN", got, 0.2608474, 0.2623986, -0.2340347, 0.3474001)
}

func TestSoftmax(t *testing.T) {
	log := func(x float64) float32 { return float32(math.Log(x)) }
	got := ref.Softmax(image(1, 1, 2, 2, log(1), log(3), 1000, 1000))
	check(t, "Softmax", got, 0.25, 0.75, 0.5, 0.5)
}
