package compression

import (
	"errors"
	"iter"
	"math"
	"reflect"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// tiny is a network of one row of pixels with known weights: a and b compute 2x+½ and -x, and 10x.
func tiny() (*graph.Model, graph.Weights) {
	m := &graph.Model{Name: "tiny", Input: layer.Shape{H: 1, W: 2, C: 1}, Nodes: []graph.Node{
		node("a", layer.Conv{Out: 2, Kernel: 1}), node("a.relu", layer.ReLU{}),
		node("b", layer.Conv{Out: 1, Kernel: 1}, "input"),
		node("c", layer.Concat{}, "a.relu", "b"), node("pool", layer.MaxPool{Kernel: 1}), node("drop", layer.Dropout{}),
		node("norm", layer.LRN{Size: 1, Alpha: 0, Beta: 0.75, K: 1}),
		node("sum", layer.Add{}, "drop", "norm"),
		node("mean", layer.GlobalAvgPool{}),
		node("d", layer.Dense{Out: 1}),
		node("prob", layer.Softmax{}),
	}}
	return m, stored{
		"a": {Values: []float32{2, -1}, Bias: []float32{0.5, 0}},
		"b": {Values: []float32{10}},
		"d": {Values: []float32{1, 1, 1}, Bias: []float32{-7}},
	}
}

// tinyImages are two images of tiny. Its values are by pixel, image after image:
//
//	input       1       -3       2       0.5
//	a.relu    2.5, 0   0, 3   4.5, 0   1.5, 0
//	b          10      -30      20       5
//	mean        1.25, 1.5, -10       3, 0, 12.5   and twice that with norm, which changes nothing
//	d           2·-7.25-7 = -21.5    2·15.5-7 = 24
func tinyImages(m *graph.Model) []kernels.View {
	return []kernels.View{image(m.Input, 1, -3), image(m.Input, 2, 0.5)}
}

// TestCalibrate has the ranges of tiny.
func TestCalibrate(t *testing.T) {
	m, w := tiny()
	c, err := Calibrate(m, w, MinMax, each(tinyImages(m)...), graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string, low, high float64) Value {
		scale := float32((high - low) / 255)
		return Value{name, scale, int32(math.RoundToEven(-low / float64(scale)))}
	}
	want := &Calibration{Model: "tiny", Method: MinMax, Images: 2, Values: []Value{
		value("input", -3, 2),
		// The values that a concatenation lines up have one type, as have those that a pool or a
		// dropout passes on.
		value("a", -30, 20), value("a.relu", -30, 20), value("b", -30, 20), value("c", -30, 20), value("pool", -30, 20), value("drop", -30, 20),
		value("norm", -30, 20), value("sum", -60, 40),
		value("mean", -20, 25), value("d", -21.5, 24), value("prob", 0, 1),
	}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("calibration\n%+v, want\n%+v", c, want)
	}
}

// TestCalibrateRectified: without the concatenation, a's range is that of its ReLU, and 0 is exact.
// All zeros have some scale.
func TestCalibrateRectified(t *testing.T) {
	m, w := tiny()
	m.Nodes = append(m.Nodes[:2], node("d", layer.Dense{Out: 1}), node("e", layer.ReLU{}))
	w.(stored)["d"] = kernels.Weights{Values: []float32{-1, -1, -1, -1}}
	c, err := Calibrate(m, w, MinMax, each(tinyImages(m)...), graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Value{"a", 4.5 / 255, 0}); c.Values[1] != want {
		t.Errorf("a has %v, want %v", c.Values[1], want)
	}
	if want := (Value{"d", 1, 0}); c.Values[3] != want {
		t.Errorf("d, whose results are all 0, has %v, want %v", c.Values[3], want)
	}
}

// TestCalibrateScores: what has no weights behind it is never clipped.
func TestCalibrateScores(t *testing.T) {
	const n = 1000
	m := &graph.Model{Name: "scores", Input: layer.Shape{H: n, W: n, C: 1}, Nodes: []graph.Node{
		node("a", layer.Conv{Out: 1, Kernel: 1}), node("r", layer.ReLU{}), node("b", layer.Conv{Out: 1, Kernel: 1}), node("c", layer.ReLU{}), node("d", layer.Softmax{}),
	}}
	one := kernels.Weights{Values: []float32{1}}
	w := stored{"a": one, "b": one}
	x := image(m.Input)
	data := kernels.Data[float32](x)
	for i := range data {
		data[i] = float32(i) / (n * n)
	}
	data[0] = 10
	for _, method := range []Method{Percentile, KL} {
		c, err := Calibrate(m, w, method, each(x), graph.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i, clipped := range []bool{true, true, true, false, false} { // the input, a, r, b and c
			v := c.Values[i]
			if high := 255 * v.Scale; (high < 1.01) != clipped || !clipped && math.Abs(float64(high)-10) > 1e-5 {
				t.Errorf("%v: %s reaches to %v; is it to be clipped: %v", method, v.Name, high, clipped)
			}
		}
	}
}

func TestCalibrateRefuses(t *testing.T) {
	m, w := tiny()
	broken := errors.New("no picture")
	images := tinyImages(m)
	nan := image(m.Input, 1, float32(math.NaN()))
	for what, test := range map[string]struct {
		images iter.Seq2[kernels.View, error]
		method Method
		want   string
	}{
		"no images": {each(), MinMax, "compression: tiny: no images to calibrate with"},
		"an error": {func(yield func(kernels.View, error) bool) {
			_ = yield(images[0], nil) && yield(kernels.View{}, broken)
		}, MinMax, "compression: tiny: image 1: no picture"},
		"another shape":      {each(image(layer.Shape{H: 2, W: 1, C: 1})), MinMax, "compression: tiny: image 0: copy: source 1×2×1×1 and destination 1×1×2×1 differ in shape"},
		"another type":       {each(kernels.NewView(kernels.Type{Element: kernels.Uint8}, 1, 1, 2, 1, 0)), MinMax, "compression: tiny: image 0: copy: source of u8 and destination of f32"},
		"NaN":                {each(images[0], images[1], nan), KL, "compression: tiny: image 2: input: a number is NaN, expected finite ones"},
		"a method from afar": {each(images...), 17, "compression: tiny: unknown method Method(17)"},
	} {
		if _, err := Calibrate(m, w, test.method, test.images, graph.Options{}); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", what, err, test.want)
		}
	}
	if _, err := Calibrate(m, w, MinMax, each(images...), graph.Options{Threads: -1}); err == nil || !strings.Contains(err.Error(), "threads is -1") {
		t.Errorf("-1 threads: error %v", err)
	}
	q, qw := quantizeModel(t, calibrate(t, m, w), Options{}, m, w)
	if _, err := Calibrate(q, qw, MinMax, each(images...), graph.Options{}); err == nil || !strings.Contains(err.Error(), "input.quantize is of u8(") {
		t.Errorf("a quantized network: error %v", err)
	}
}
