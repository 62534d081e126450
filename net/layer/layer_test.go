package layer_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/layer"
)

// kinds has an entry for every kind of layer.
var kinds = []struct {
	layer layer.Layer
	in    []layer.Shape
	op    string
	out   layer.Shape
	cost  kernels.Cost
}{
	{layer.Conv{Out: 8, Kernel: 3, Stride: 2, Pad: kernels.Pad(1), Groups: 2}, shapes(9, 11, 4), "conv3x3", layer.Shape{H: 5, W: 6, C: 8},
		kernels.Cost{Params: 8*2*9 + 8, MACs: 5 * 6 * 8 * 2 * 9, Weights: 4 * (8*2*9 + 8), Activations: 4 * (9*11*4 + 5*6*8)}},
	{layer.Conv{Out: 8, Kernel: 1, KernelW: 7, Pad: kernels.Padding{Left: 2, Right: 3}}, shapes(9, 11, 4), "conv1x7", layer.Shape{H: 9, W: 10, C: 8},
		kernels.Cost{Params: 8*4*7 + 8, MACs: 9 * 10 * 8 * 4 * 7, Weights: 4 * (8*4*7 + 8), Activations: 4 * (9*11*4 + 9*10*8)}},
	{layer.Dense{Out: 10}, shapes(3, 5, 7), "dense", layer.Shape{H: 1, W: 1, C: 10},
		kernels.Cost{Params: 1050 + 10, MACs: 1050, Weights: 4 * 1060, Activations: 4 * (105 + 10)}},
	{layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true}, shapes(6, 7, 5), "maxpool", layer.Shape{H: 3, W: 3, C: 5},
		kernels.Cost{Activations: 4 * (6*7*5 + 3*3*5)}},
	{layer.AvgPool{Kernel: 2, Stride: 2, Pad: kernels.Pad(1)}, shapes(6, 7, 5), "avgpool", layer.Shape{H: 4, W: 4, C: 5},
		kernels.Cost{Activations: 4 * (6*7*5 + 4*4*5)}},
	{layer.MaxPool{Kernel: 2, KernelW: 3, Stride: 2, Pad: kernels.Padding{Top: 1, Left: 2, Right: 1}}, shapes(6, 7, 5), "maxpool", layer.Shape{H: 3, W: 4, C: 5},
		kernels.Cost{Activations: 4 * (6*7*5 + 3*4*5)}},
	{layer.AvgPool{Kernel: 3, KernelW: 1, Stride: 2, Pad: kernels.Padding{Bottom: 2}, ExcludePad: true}, shapes(6, 7, 5), "avgpool", layer.Shape{H: 3, W: 4, C: 5},
		kernels.Cost{Activations: 4 * (6*7*5 + 3*4*5)}},
	{layer.GlobalAvgPool{}, shapes(6, 7, 5), "avgpool", layer.Shape{H: 1, W: 1, C: 5},
		kernels.Cost{Activations: 4 * (6*7*5 + 5)}},
	{layer.LRN{Size: 5, Alpha: 1e-4, Beta: 0.75, K: 1}, shapes(6, 7, 5), "lrn", layer.Shape{H: 6, W: 7, C: 5},
		kernels.Cost{Activations: 4 * 2 * 210}},
	{layer.ReLU{}, shapes(6, 7, 5), "relu", layer.Shape{H: 6, W: 7, C: 5},
		kernels.Cost{Activations: 4 * 2 * 210}},
	{layer.Concat{}, shapes(6, 7, 5, 6, 7, 3), "concat", layer.Shape{H: 6, W: 7, C: 8},
		kernels.Cost{Activations: 4 * 2 * 336}},
	{layer.Add{}, shapes(6, 7, 5, 6, 7, 5), "add", layer.Shape{H: 6, W: 7, C: 5},
		kernels.Cost{Activations: 4 * 3 * 210}},
	{layer.Dropout{Rate: 0.5}, shapes(6, 7, 5), "dropout", layer.Shape{H: 6, W: 7, C: 5}, kernels.Cost{}},
	{layer.Softmax{}, shapes(1, 1, 1000), "softmax", layer.Shape{H: 1, W: 1, C: 1000},
		kernels.Cost{Activations: 4 * 2 * 1000}},
	{layer.Quantize{Type: fine}, shapes(6, 7, 5), "quantize", layer.Shape{H: 6, W: 7, C: 5, Type: fine},
		kernels.Cost{Activations: (4 + 1) * 210}},
	{layer.Dequantize{}, stored(fine, 6, 7, 5), "dequantize", layer.Shape{H: 6, W: 7, C: 5},
		kernels.Cost{Activations: (1 + 4) * 210}},

	// Of quantized layers, weights have one byte, and biases and scales four.
	{layer.Conv{Out: 8, Kernel: 3, Stride: 2, Pad: kernels.Pad(1), Groups: 2, Type: coarse}, stored(fine, 9, 11, 4), "conv3x3", layer.Shape{H: 5, W: 6, C: 8, Type: coarse},
		kernels.Cost{Params: 8*2*9 + 8, MACs: 5 * 6 * 8 * 2 * 9, Weights: 8*2*9 + 8*8, Activations: 9*11*4 + 5*6*8}},
	{layer.Dense{Out: 10, Type: coarse}, stored(fine, 3, 5, 7), "dense", layer.Shape{H: 1, W: 1, C: 10, Type: coarse},
		kernels.Cost{Params: 1050 + 10, MACs: 1050, Weights: 1050 + 10*8, Activations: 105 + 10}},
	{layer.MaxPool{Kernel: 3, Stride: 2}, stored(fine, 6, 7, 5), "maxpool", layer.Shape{H: 2, W: 3, C: 5, Type: fine},
		kernels.Cost{Activations: 6*7*5 + 2*3*5}},
	{layer.AvgPool{Kernel: 2, Stride: 2, Pad: kernels.Pad(1), Type: coarse}, stored(fine, 6, 7, 5), "avgpool", layer.Shape{H: 4, W: 4, C: 5, Type: coarse},
		kernels.Cost{Activations: 6*7*5 + 4*4*5}},
	{layer.GlobalAvgPool{Type: coarse}, stored(fine, 6, 7, 5), "avgpool", layer.Shape{H: 1, W: 1, C: 5, Type: coarse},
		kernels.Cost{Activations: 6*7*5 + 5}},
	{layer.ReLU{}, stored(fine, 6, 7, 5), "relu", layer.Shape{H: 6, W: 7, C: 5, Type: fine},
		kernels.Cost{Activations: 2 * 210}},
	{layer.Concat{}, stored(fine, 6, 7, 5, 6, 7, 3), "concat", layer.Shape{H: 6, W: 7, C: 8, Type: fine},
		kernels.Cost{Activations: 2 * 336}},
	{layer.Add{Type: coarse}, append(stored(fine, 6, 7, 5), stored(coarse, 6, 7, 5)...), "add", layer.Shape{H: 6, W: 7, C: 5, Type: coarse},
		kernels.Cost{Activations: 3 * 210}},
	{layer.Dropout{Rate: 0.5}, stored(fine, 6, 7, 5), "dropout", layer.Shape{H: 6, W: 7, C: 5, Type: fine}, kernels.Cost{}},
}

// Types of quantized values.
var (
	fine   = kernels.Type{Element: kernels.Uint8, Scale: 0.25, Zero: 3}
	coarse = kernels.Type{Element: kernels.Uint8, Scale: 2}
)

// stored makes shapes whose values are of type t.
func stored(t kernels.Type, sizes ...int) []layer.Shape {
	s := shapes(sizes...)
	for i := range s {
		s[i].Type = t
	}
	return s
}

// shapes makes one shape of every three sizes.
func shapes(sizes ...int) []layer.Shape {
	var s []layer.Shape
	for i := 0; i < len(sizes); i += 3 {
		s = append(s, layer.Shape{H: sizes[i], W: sizes[i+1], C: sizes[i+2]})
	}
	return s
}

func TestKinds(t *testing.T) {
	for _, k := range kinds {
		t.Run(fmt.Sprintf("%T", k.layer), func(t *testing.T) {
			if op := k.layer.Op(); op != k.op {
				t.Errorf("Op() = %s, want %s", op, k.op)
			}
			out, err := k.layer.OutShape(k.in)
			if err != nil || out != k.out {
				t.Errorf("OutShape(%v) = %v, %v, want %v", k.in, out, err, k.out)
			}
			if cost := k.layer.Cost(k.in); cost != k.cost {
				t.Errorf("Cost(%v) = %+v, want %+v", k.in, cost, k.cost)
			}

			if _, err := k.layer.OutShape(nil); err == nil {
				t.Error("OutShape accepts no inputs")
			}
			huge := layer.Shape{H: math.MaxInt / 2, W: math.MaxInt / 2, C: math.MaxInt / 2}
			for _, bad := range []layer.Shape{{}, {H: -1, W: 7, C: 5}, {H: 6, W: 7}, huge} {
				in := append([]layer.Shape{bad}, k.in[1:]...)
				if out, err := k.layer.OutShape(in); err == nil {
					t.Errorf("OutShape(%v) = %v, want an error", in, out)
				}
			}
		})
	}
}

func TestOutShape(t *testing.T) {
	tests := []struct {
		layer layer.Layer
		in    []layer.Shape
		want  layer.Shape
	}{
		{layer.Conv{Out: 96, Kernel: 7, Stride: 2}, shapes(227, 227, 3), layer.Shape{H: 111, W: 111, C: 96}},
		{layer.Conv{Out: 64, Kernel: 11, Stride: 4, Pad: kernels.Pad(2)}, shapes(224, 224, 3), layer.Shape{H: 55, W: 55, C: 64}},
		{layer.Conv{Out: 1000, Kernel: 1, Pad: kernels.Pad(1)}, shapes(13, 13, 512), layer.Shape{H: 15, W: 15, C: 1000}},
		{layer.Conv{Out: 1, Kernel: 5}, shapes(5, 5, 1), layer.Shape{H: 1, W: 1, C: 1}},
		{layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true}, shapes(112, 112, 8), layer.Shape{H: 56, W: 56, C: 8}},
		{layer.MaxPool{Kernel: 3, Stride: 2}, shapes(112, 112, 8), layer.Shape{H: 55, W: 55, C: 8}},
		{layer.MaxPool{Kernel: 2}, shapes(4, 5, 8), layer.Shape{H: 3, W: 4, C: 8}},
		// A third window would start in the padding on the right, so that there are two.
		{layer.AvgPool{Kernel: 2, Stride: 3, Pad: kernels.Pad(1), Ceil: true}, shapes(4, 4, 8), layer.Shape{H: 2, W: 2, C: 8}},
		{layer.Concat{}, shapes(4, 5, 8), layer.Shape{H: 4, W: 5, C: 8}},
	}
	for _, test := range tests {
		got, err := test.layer.OutShape(test.in)
		if err != nil || got != test.want {
			t.Errorf("%T%+v.OutShape(%v) = %v, %v, want %v", test.layer, test.layer, test.in, got, err, test.want)
		}
	}
}

func TestOutShapeErrors(t *testing.T) {
	type badShape struct {
		layer layer.Layer
		in    []layer.Shape
		want  string // in the error
	}
	tests := []badShape{
		{layer.Conv{Kernel: 3}, shapes(9, 9, 4), "Out is 0"},
		{layer.Conv{Out: 8}, shapes(9, 9, 4), "KH is 0"},
		{layer.Conv{Out: 8, Kernel: 3, Stride: -1}, shapes(9, 9, 4), "Stride is -1"},
		{layer.Conv{Out: 8, Kernel: 3, Pad: kernels.Pad(-1)}, shapes(9, 9, 4), "Pad is -1"},
		{layer.Conv{Out: 8, Kernel: 3, Pad: kernels.Padding{Left: -1}}, shapes(9, 9, 4), "Pad is 0,-1,0,0"},
		{layer.Conv{Out: 8, Kernel: 3, KernelW: -1}, shapes(9, 9, 4), "KW is -1"},
		{layer.Conv{Out: 8, Kernel: 3, KernelW: 10, Pad: kernels.Padding{Top: 1}}, shapes(9, 9, 4), "3×10 kernel does not fit into 9×9×4 with padding 1,0,0,0"},
		{layer.Conv{Out: 8, Kernel: 3, Groups: 3}, shapes(9, 9, 4), "3 groups do not divide 4 input and 8 output channels"},
		{layer.Conv{Out: 9, Kernel: 3, Groups: 4}, shapes(9, 9, 4), "4 groups do not divide 4 input and 9 output channels"},
		{layer.Conv{Out: 8, Kernel: 10}, shapes(9, 9, 4), "10×10 kernel does not fit into 9×9×4"},
		{layer.Conv{Out: 8, Kernel: 3, Pad: kernels.Pad(1 << 19), Stride: 1 << 19}, shapes(9, 9, 4), "padded by 524288"},
		{layer.Conv{Out: 8, Kernel: 3, Pad: kernels.Padding{Right: 1 << 19}, Stride: 1 << 19}, shapes(9, 9, 4), "padded by 0,0,0,524288"},
		{layer.Conv{Out: 1 << 20, Kernel: 1 << 10}, shapes(1<<10, 1<<10, 4), "weights, expected at most"},
		{layer.Conv{Out: 1 << 20, Kernel: 1}, shapes(1<<10, 1<<10, 4), "more than"},
		{layer.Conv{Out: 8, Kernel: 3}, shapes(9, 9, 4, 9, 9, 4), "2 inputs, expected 1"},
		{layer.Dense{}, shapes(9, 9, 4), "Out is 0"},
		{layer.Dense{Out: 1 << 20}, shapes(32, 32, 4), "weights, expected at most"},
		{layer.MaxPool{Stride: 2}, shapes(9, 9, 4), "window is 0×0"},
		{layer.AvgPool{Kernel: -3, Stride: 2}, shapes(9, 9, 4), "window is -3×-3"},
		{layer.MaxPool{Kernel: 3, Stride: -2}, shapes(9, 9, 4), "Stride is -2"},
		{layer.MaxPool{Kernel: 3, Stride: 2, Pad: kernels.Pad(3)}, shapes(9, 9, 4), "Pad is 3"},
		{layer.MaxPool{Kernel: 3, KernelW: 2, Stride: 2, Pad: kernels.Padding{Right: 2}}, shapes(9, 9, 4), "Pad is 0,0,0,2, expected less than the window 3×2"},
		{layer.AvgPool{Kernel: 3, KernelW: -2}, shapes(9, 9, 4), "window is 3×-2"},
		{layer.MaxPool{Kernel: 10, Ceil: true}, shapes(9, 9, 4), "10×10 window does not fit into 9×9×4"},
		{layer.LRN{Size: 4, Beta: 0.75, K: 1}, shapes(9, 9, 4), "Size is 4"},
		{layer.LRN{Size: 5, Beta: 0.5, K: 1}, shapes(9, 9, 4), "Beta is 0.5"},
		{layer.Concat{}, shapes(9, 9, 4, 9, 8, 4), "inputs 9×9×4 and 9×8×4 differ"},
		{layer.Add{}, shapes(9, 9, 4, 9, 9, 5), "inputs 9×9×4 and 9×9×5 differ"},
		{layer.Add{}, shapes(9, 9, 4), "1 inputs, expected 2"},
		{layer.Dropout{Rate: 1}, shapes(9, 9, 4), "dropout rate is 1"},
		{layer.Dropout{Rate: float32(math.NaN())}, shapes(9, 9, 4), "dropout rate is NaN"},

		{layer.Quantize{}, shapes(9, 9, 4), "result of f32, expected quantized u8"},
		{layer.Quantize{Type: kernels.Type{Element: kernels.Uint8}}, shapes(9, 9, 4), "result of u8, expected quantized u8"},
		{layer.Quantize{Type: kernels.Type{Element: kernels.Int8, Scale: 1}}, shapes(9, 9, 4), "result of s8(scale 1, zero 0), expected quantized u8"},
		{layer.Quantize{Type: kernels.Type{Element: kernels.Uint8, Scale: 1, Zero: 256}}, shapes(9, 9, 4), "result: type: zero point is 256"},
		{layer.Quantize{Type: fine}, stored(fine, 9, 9, 4), "input 9×9×4 u8(scale 0.25, zero 3), expected f32"},
		{layer.Dequantize{}, shapes(9, 9, 4), "input 9×9×4, expected quantized u8"},
		{layer.Dequantize{}, stored(kernels.Type{Element: kernels.Uint8}, 9, 9, 4), "input 9×9×4 u8, expected quantized u8"},
		{layer.LRN{Size: 5, Beta: 0.75, K: 1}, stored(fine, 9, 9, 4), "input 9×9×4 u8(scale 0.25, zero 3), expected f32"},
		{layer.Softmax{}, stored(fine, 9, 9, 4), "input 9×9×4 u8(scale 0.25, zero 3), expected f32"},
		{layer.MaxPool{Kernel: 1}, stored(kernels.Type{Element: kernels.Int32}, 9, 9, 4), "input 9×9×4 s32, expected f32 or quantized u8"},
		{layer.ReLU{}, stored(kernels.Type{Element: kernels.Uint8}, 9, 9, 4), "input 9×9×4 u8, expected f32 or quantized u8"},
		{layer.Concat{}, append(stored(fine, 9, 9, 4), stored(coarse, 9, 9, 4)...), "inputs 9×9×4 u8(scale 0.25, zero 3) and 9×9×4 u8(scale 2, zero 0) differ in type"},
		{layer.Add{Type: fine}, stored(fine, 9, 9, 4, 9, 9, 5), "inputs 9×9×4 u8(scale 0.25, zero 3) and 9×9×5 u8(scale 0.25, zero 3) differ"},
	}
	// All Typed layers give float32 from float32, and quantized values from quantized ones.
	for _, k := range kinds {
		l, ok := k.layer.(layer.Typed)
		if !ok {
			continue
		}
		floats, quantized := slices.Clone(k.in), slices.Clone(k.in)
		for i := range k.in {
			floats[i].Type, quantized[i].Type = kernels.Type{}, fine
		}
		for _, bad := range []struct {
			t    kernels.Type
			in   []layer.Shape
			want string
		}{
			{fine, floats, "and a result of u8(scale 0.25, zero 3), expected both f32 or both quantized"},
			{kernels.Type{}, quantized, "u8(scale 0.25, zero 3) and a result of f32, expected both f32 or both quantized"},
			{kernels.Type{Element: kernels.Uint8, Scale: -1}, quantized, "result: type: scale is -1"},
			{kernels.Type{Element: kernels.Int8, Scale: 1}, quantized, "result of s8(scale 1, zero 0), expected f32 or quantized u8"},
		} {
			tests = append(tests, badShape{l.As(bad.t), bad.in, bad.want})
		}
		if len(k.in) > 1 {
			quantized[1].Type = kernels.Type{}
			tests = append(tests, badShape{l.As(fine), quantized, "expected both f32 or both quantized"})
		}
	}
	for _, test := range tests {
		out, err := test.layer.OutShape(test.in)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%T%+v.OutShape(%v) = %v, error %v, want one with %q", test.layer, test.layer, test.in, out, err, test.want)
		}
	}
}

// TestWindow checks which layers can compute a band of rows, and from what.
func TestWindow(t *testing.T) {
	one, two := shapes(9, 11, 4), shapes(9, 11, 4, 9, 11, 4)
	tests := []struct {
		layer                      layer.Layer
		in                         []layer.Shape
		kernel, stride, pad, below int // kernel 0: no windows
	}{
		{layer.Conv{Out: 8, Kernel: 3, Stride: 2, Pad: kernels.Pad(1)}, one, 3, 2, 1, 1},
		{layer.Conv{Out: 8, Kernel: 5, Groups: 4}, one, 5, 1, 0, 0},
		{layer.Conv{Out: 8, Kernel: 2, Pad: kernels.Pad(3)}, one, 2, 1, 3, 3},
		{layer.Conv{Out: 8, Kernel: 1, Stride: 3}, one, 1, 3, 0, 0},
		{layer.Conv{Out: 8, Kernel: 5, KernelW: 3, Pad: kernels.Padding{Top: 3, Bottom: 1, Right: 4}}, one, 5, 1, 3, 1},
		{layer.Conv{Out: 8, Kernel: 5, Stride: 2, Pad: kernels.Padding{Left: 2, Bottom: 3}}, one, 5, 2, 0, 3},
		{layer.Conv{Out: 8, Kernel: 1, KernelW: 2, Pad: kernels.Padding{Top: 1, Bottom: 1}}, one, 1, 1, 1, 1},
		{layer.Conv{Out: 8, Kernel: 1, Pad: kernels.Padding{Right: 1}}, one, 0, 0, 0, 0},
		{layer.Conv{Out: 8, Kernel: 1, Pad: kernels.Pad(1)}, one, 0, 0, 0, 0}, // the border of bias has no windows
		{layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true}, one, 3, 2, 0, 0},
		{layer.MaxPool{Kernel: 2}, one, 2, 1, 0, 0},
		{layer.MaxPool{Kernel: 3, Stride: 2, Pad: kernels.Pad(1)}, one, 0, 0, 0, 0}, // a window that is clipped at the top has fewer rows
		{layer.MaxPool{Kernel: 3, KernelW: 2, Stride: 2, Pad: kernels.Padding{Left: 1, Bottom: 2}}, one, 3, 2, 0, 2},
		{layer.AvgPool{Kernel: 2, KernelW: 4, Stride: 2, Pad: kernels.Padding{Top: 1}}, one, 0, 0, 0, 0},
		{layer.AvgPool{Kernel: 2, Stride: 3}, one, 2, 3, 0, 0},
		{layer.AvgPool{Kernel: 2, Stride: 3, Pad: kernels.Pad(1)}, one, 0, 0, 0, 0},
		{layer.LRN{Size: 5, Alpha: 1e-4, Beta: 0.75, K: 1}, one, 1, 1, 0, 0},
		{layer.ReLU{}, one, 1, 1, 0, 0},
		{layer.Add{}, two, 1, 1, 0, 0},
		{layer.Quantize{Type: fine}, one, 1, 1, 0, 0},
		{layer.Dequantize{}, stored(fine, 9, 11, 4), 1, 1, 0, 0},
		{layer.Dense{Out: 10}, one, 0, 0, 0, 0},
		{layer.GlobalAvgPool{}, one, 0, 0, 0, 0},
		{layer.Softmax{}, one, 0, 0, 0, 0},
		{layer.Dropout{Rate: 0.5}, one, 0, 0, 0, 0},
		{layer.Concat{}, two, 0, 0, 0, 0},
	}
	for _, test := range tests {
		kernel, stride, pad, ok := 0, 0, 0, false
		if w, windowed := test.layer.(layer.Windowed); windowed {
			kernel, stride, pad, ok = w.Window(test.in)
		}
		if ok != (test.kernel > 0) {
			t.Errorf("%T%+v has windows: %v, want %v", test.layer, test.layer, ok, !ok)
			continue
		}
		if !ok {
			continue
		}
		if kernel != test.kernel || stride != test.stride || pad != test.pad {
			t.Errorf("%T%+v.Window() = %d, %d, %d, want %d, %d, %d", test.layer, test.layer, kernel, stride, pad, test.kernel, test.stride, test.pad)
		}
		// The windows agree with OutShape: that of the last output row starts inside the image
		// or its padding, and one more row would not fit.
		out, err := test.layer.OutShape(test.in)
		if err != nil {
			t.Fatal(err)
		}
		if last := (out.H-1)*stride - pad; last >= test.in[0].H+test.below || last+stride+kernel <= test.in[0].H+test.below {
			t.Errorf("%T%+v: %d rows of output for %d of input with windows of %d, stride %d, padding %d and %d", test.layer, test.layer, out.H, test.in[0].H, kernel, stride, pad, test.below)
		}
	}
}

// TestConcatOfBadViews: a view that lies outside its memory is an error, as for every layer.
func TestConcatOfBadViews(t *testing.T) {
	dst, src := kernels.NewView(kernels.Type{}, 1, 2, 2, 3, 0), kernels.NewView(kernels.Type{}, 1, 2, 2, 3, 0)
	for _, offset := range []int{-1, 1, 1 << 20} {
		bad := src
		bad.Offset = offset
		if _, err := (layer.Concat{}).Bind(layer.Binding{Dst: dst, Src: []kernels.View{bad}}); err == nil || !strings.Contains(err.Error(), "source") {
			t.Errorf("offset %d: error %v", offset, err)
		}
	}
}
