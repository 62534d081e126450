package layer_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/layer"
)

// Layers whose gradients are tested.
var (
	strided  = layer.Conv{Out: 8, Kernel: 3, Stride: 2, Pad: kernels.Pad(1), Groups: 2}
	bordered = layer.Conv{Out: 8, Kernel: 1, Pad: kernels.Pad(2)}
	same     = layer.Conv{Out: 8, Kernel: 3, Pad: kernels.Pad(1)}
	fc       = layer.Dense{Out: 10}
	maxpool  = layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true}
	avgpool  = layer.AvgPool{Kernel: 2, Stride: 2, Pad: kernels.Pad(1)}
	image    = layer.Shape{H: 9, W: 11, C: 4}
	pixel    = layer.Shape{H: 1, W: 1, C: 10}
)

// gradients has an entry for every kind of layer that there is for training alone, and inputs that it refuses.
var gradients = []struct {
	layer layer.Layer
	in    []layer.Shape
	op    string
	pass  layer.Pass // "" for layers that are no gradients
	out   layer.Shape
	cost  kernels.Cost
	bad   []layer.Shape
	want  string
}{
	{layer.Placeholder{Shape: image}, nil, "placeholder", "", image, kernels.Cost{}, shapes(9, 11, 4), "1 inputs, expected none"},
	{layer.Slice{First: 1, C: 3}, shapes(9, 11, 4), "slice", "", layer.Shape{H: 9, W: 11, C: 3}, kernels.Cost{}, shapes(9, 11, 3), "3 channels from 1 on of 9×11×3"},
	{layer.Mul{}, shapes(9, 11, 4, 9, 11, 4), "mul", "", image, kernels.Cost{Activations: 4 * 3 * 396}, shapes(9, 11, 4, 9, 11, 5), "inputs 9×11×4 and 9×11×5 differ"},
	{layer.CrossEntropy{}, shapes(1, 1, 10, 1, 1, 10), "cross-entropy", "", layer.Shape{H: 1, W: 1, C: 1}, kernels.Cost{Activations: 4 * 21}, shapes(1, 2, 10, 1, 2, 10), "logits 1×2×10, expected one pixel"},
	{layer.CrossEntropyGradient{}, shapes(1, 1, 10, 1, 1, 10), "cross-entropy", layer.GradInput, pixel, kernels.Cost{Activations: 4 * 30}, shapes(1, 1, 10, 1, 1, 9), "inputs 1×1×10 and 1×1×9 differ"},
	{layer.Dilate{Stride: 2}, shapes(5, 6, 8), "dilate", layer.GradInput, layer.Shape{H: 9, W: 11, C: 8}, kernels.Cost{Activations: 4 * 8 * (30 + 99)}, nil, "0 inputs, expected 1"},
	{layer.Unflatten{H: 2, W: 5}, shapes(1, 1, 30), "unflatten", layer.GradInput, layer.Shape{H: 2, W: 5, C: 3}, kernels.Cost{Activations: 4 * 60}, shapes(1, 1, 32), "input 1×1×32, expected one pixel for 2×5"},
	{layer.ReLUGradient{}, shapes(9, 11, 4, 9, 11, 4), "relu", layer.GradInput, image, kernels.Cost{Activations: 4 * 3 * 396}, shapes(9, 11, 4), "1 inputs, expected 2"},
	{layer.LRNGradient{Size: 5, Alpha: 1e-4, Beta: 0.75, K: 1}, shapes(9, 11, 4, 9, 11, 4), "lrn", layer.GradInput, image, kernels.Cost{Activations: 4 * 3 * 396}, shapes(9, 11, 4, 9, 10, 4), "inputs 9×11×4 and 9×10×4 differ"},
	{layer.MaxPoolGradient(maxpool), shapes(9, 11, 4, 4, 5, 4, 4, 5, 4), "maxpool", layer.GradInput, image, kernels.Cost{Activations: 4 * (2*396 + 2*80)}, shapes(9, 11, 4, 4, 5, 4, 4, 4, 4), "result 4×5×4 and gradient 4×4×4, expected 4×5×4"},
	{layer.AvgPoolGradient{Pool: avgpool, H: 9, W: 11}, shapes(5, 6, 4), "avgpool", layer.GradInput, image, kernels.Cost{Activations: 4 * (396 + 120)}, shapes(4, 6, 4), "gradient 4×6×4, expected 5×6×4"},
	{layer.AvgPoolGradient{H: 9, W: 11}, shapes(1, 1, 4), "avgpool", layer.GradInput, image, kernels.Cost{Activations: 4 * (396 + 4)}, shapes(9, 11, 4), "gradient 9×11×4, expected 1×1×4"},
	{layer.ConvGradient{Of: strided, In: image}, shapes(9, 11, 8), "conv3x3", layer.GradInput, image, kernels.Cost{MACs: 5 * 6 * 8 * 2 * 9, Weights: 4 * 8 * 2 * 9, Activations: 4 * (396 + 792)}, shapes(5, 6, 8), "gradient 5×6×8, expected 9×11×8"},
	{layer.ConvGradient{Of: bordered, In: image}, shapes(13, 15, 8), "conv1x1", layer.GradInput, image, kernels.Cost{MACs: 13 * 15 * 8 * 4, Weights: 4 * 8 * 4, Activations: 4 * (396 + 13*15*8)}, shapes(9, 11, 8), "gradient 9×11×8, expected 13×15×8"},
	{layer.DenseGradient{Of: fc, In: image}, shapes(1, 1, 10), "dense", layer.GradInput, layer.Shape{H: 1, W: 1, C: 396}, kernels.Cost{Params: 3960 + 396, MACs: 3960, Weights: 4 * (3960 + 396), Activations: 4 * (396 + 10)}, shapes(1, 1, 9), "gradient 1×1×9, expected 1×1×10"},
	{layer.WeightGradient{Of: strided, In: image}, shapes(9, 11, 4, 5, 6, 8), "conv3x3", layer.GradWeight, layer.Shape{H: 1, W: 1, C: 8*2*9 + 8}, kernels.Cost{MACs: 5 * 6 * 8 * 2 * 9, Weights: 4 * (8*2*9 + 8), Activations: 4 * (396 + 240)}, shapes(9, 11, 4, 5, 6, 4), "inputs 9×11×4 and 5×6×4, expected 9×11×4 and 5×6×8"},
	{layer.WeightGradient{Of: fc, In: image}, shapes(9, 11, 4, 1, 1, 10), "dense", layer.GradWeight, layer.Shape{H: 1, W: 1, C: 3970}, kernels.Cost{MACs: 3960, Weights: 4 * 3970, Activations: 4 * (396 + 10)}, shapes(9, 11, 4), "1 inputs, expected 2"},
}

func TestGradients(t *testing.T) {
	for _, k := range gradients {
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
			var pass layer.Pass
			if b, ok := k.layer.(layer.Backward); ok {
				pass = b.Pass()
			}
			if pass != k.pass {
				t.Errorf("Pass() = %q, want %q", pass, k.pass)
			}
			if out, err := k.layer.OutShape(k.bad); err == nil || !strings.Contains(err.Error(), k.want) {
				t.Errorf("OutShape(%v) = %v, error %v, want one with %q", k.bad, out, err, k.want)
			}
			// Gradients compute with float32.
			for i := range k.in {
				in := slices.Clone(k.in)
				in[i].Type = fine
				if out, err := k.layer.OutShape(in); err == nil && k.op != "slice" {
					t.Errorf("OutShape(%v) = %v, want an error", in, out)
				}
			}
		})
	}
}

// TestGradient checks which operations the gradients by inputs are.
func TestGradient(t *testing.T) {
	const up, result, before = layer.Upstream, layer.Result, layer.Before
	op := func(l layer.Layer, operands ...layer.Operand) layer.Operation {
		return layer.Operation{Layer: l, Operands: operands}
	}
	one, two := shapes(9, 11, 4), shapes(9, 11, 4, 9, 11, 4)
	for _, test := range []struct {
		layer layer.Differentiable
		in    []layer.Shape
		input int
		want  []layer.Operation
	}{
		{same, one, 0, []layer.Operation{op(layer.ConvGradient{Of: same, In: image}, up)}},
		{strided, one, 0, []layer.Operation{op(layer.Dilate{Stride: 2}, up), op(layer.ConvGradient{Of: strided, In: image}, before)}},
		{fc, one, 0, []layer.Operation{op(layer.DenseGradient{Of: fc, In: image}, up), op(layer.Unflatten{H: 9, W: 11}, before)}},
		{fc, shapes(1, 1, 10), 0, []layer.Operation{op(layer.DenseGradient{Of: fc, In: pixel}, up)}},
		{maxpool, one, 0, []layer.Operation{op(layer.MaxPoolGradient(maxpool), 0, result, up)}},
		{avgpool, one, 0, []layer.Operation{op(layer.AvgPoolGradient{Pool: avgpool, H: 9, W: 11}, up)}},
		{layer.GlobalAvgPool{}, one, 0, []layer.Operation{op(layer.AvgPoolGradient{H: 9, W: 11}, up)}},
		{layer.ReLU{}, one, 0, []layer.Operation{op(layer.ReLUGradient{}, result, up)}},
		{layer.LRN{Size: 3}, one, 0, []layer.Operation{op(layer.LRNGradient{Size: 3}, 0, up)}},
		{layer.Concat{}, shapes(9, 11, 4, 9, 11, 7), 1, []layer.Operation{op(layer.Slice{First: 4, C: 7}, up)}},
		{layer.Mul{}, two, 0, []layer.Operation{op(layer.Mul{}, up, 1)}},
		{layer.Mul{}, two, 1, []layer.Operation{op(layer.Mul{}, up, 0)}},
		{layer.Add{}, two, 1, nil},
		{layer.Dropout{}, one, 0, nil},
	} {
		got, err := test.layer.Gradient(test.in, test.input)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%T.Gradient(%v, %d) = %v, %v, want %v", test.layer, test.in, test.input, got, err, test.want)
		}
		typed, ok := test.layer.(layer.Typed)
		if !ok {
			continue
		}
		quantized := typed.As(fine)
		if _, err := quantized.(layer.Differentiable).Gradient(test.in, test.input); err == nil || !strings.Contains(err.Error(), "result of u8(scale 0.25, zero 3), expected f32") {
			t.Errorf("%T.Gradient of quantized values: error %v", test.layer, err)
		}
		if l, ok := quantized.(layer.Trainable); ok {
			if _, err := l.WeightGradient(image); err == nil {
				t.Errorf("%T.WeightGradient of quantized values: no error", test.layer)
			}
		}
	}
}

// TestGradientWindows checks which gradients can be computed in bands of rows.
func TestGradientWindows(t *testing.T) {
	below := layer.Conv{Out: 8, Kernel: 3, Pad: kernels.Padding{Bottom: 2}}
	for _, test := range []struct {
		layer       layer.Layer
		in          []layer.Shape
		kernel, pad int // 0: no windows
	}{
		{layer.ConvGradient{Of: same, In: image}, shapes(9, 11, 8), 3, 1},
		{layer.ConvGradient{Of: strided, In: image}, shapes(9, 11, 8), 3, 1},
		{layer.ConvGradient{Of: below, In: image}, shapes(9, 9, 8), 3, 2},
		{layer.ConvGradient{Of: bordered, In: image}, shapes(13, 15, 8), 0, 0}, // its border is left out
		{layer.ReLUGradient{}, shapes(9, 11, 4, 9, 11, 4), 1, 0},
		{layer.LRNGradient{}, shapes(9, 11, 4, 9, 11, 4), 1, 0},
		{layer.Mul{}, shapes(9, 11, 4, 9, 11, 4), 1, 0},
	} {
		kernel, stride, pad, ok := test.layer.(layer.Windowed).Window(test.in)
		if ok != (test.kernel > 0) || ok && (kernel != test.kernel || stride != 1 || pad != test.pad) {
			t.Errorf("%T%+v.Window() = %d, %d, %d, %v, want %d, 1, %d", test.layer, test.layer, kernel, stride, pad, ok, test.kernel, test.pad)
		}
	}
}
