package onnx

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebench/net/graph"
	"firebench/net/layer"
)

// describe returns the rows of a model's table as text: name, layer, inputs.
func describe(m *graph.Model) (rows []string) {
	for _, n := range m.Nodes {
		l := strings.TrimPrefix(fmt.Sprintf("%T", n.Layer), "layer.")
		switch n := n.Layer.(type) {
		case layer.Conv:
			l = fmt.Sprintf("%s %d/%d +%v g%d %v", n.Op(), n.Out, n.Stride, n.Pad, n.Groups, n.Type)
		case layer.MaxPool:
			l = fmt.Sprintf("max %d×%d/%d +%v %v", n.Kernel, n.KernelW, n.Stride, n.Pad, n.Ceil)
		case layer.AvgPool:
			l = fmt.Sprintf("avg %d×%d/%d +%v %v %v %v", n.Kernel, n.KernelW, n.Stride, n.Pad, n.Ceil, n.ExcludePad, n.Type)
		case layer.Quantize:
			l = fmt.Sprint("Quantize ", n.Type)
		case layer.Add:
			l = fmt.Sprint("Add ", n.Type)
		case layer.Dense:
			l = fmt.Sprintf("Dense %d %v", n.Out, n.Type)
		}
		rows = append(rows, strings.TrimSpace(n.Name+": "+l+" "+strings.Join(n.Inputs, ",")))
	}
	return rows
}

// TestLowering: the tables that files become.
func TestLowering(t *testing.T) {
	w := slices.Repeat([]float32{1}, 4*4*3*3)
	q := slices.Repeat([]int8{1}, 4*4*3*3)
	for name, test := range map[string]struct {
		file    *build
		want    []string
		outputs []string
	}{
		"names": {
			newBuild(-1, 4, 9, 9).node("Relu", "x", "a/b:c").node("Relu", "a/b:c", "input").node("Relu", "input", "v-1").output("v-1"),
			[]string{"a:b%3Ac: ReLU input", "%69nput: ReLU a:b%3Ac", "v%2D1: ReLU %69nput"}, nil,
		},
		"what does nothing": {
			newBuild(1, 4, 9, 9).tensor("shape", []int64{0, -1}).tensor("axes", []int64{2, 3}).
				node("Identity", "x", "i").node("GlobalAveragePool", "i", "gap").node("Cast", "gap", "cast", integer("to", 10)).
				node("Reshape", "cast shape", "r").node("Unsqueeze", "r axes", "u").node("Squeeze", "u", "s").
				node("Transpose", "s", "t", ints("perm", 0, 1)).node("Flatten", "t", "f").node("Relu", "f", "y").output("y"),
			[]string{"gap: GlobalAvgPool input", "y: ReLU gap"}, nil,
		},
		"nodes that no output needs": {
			newBuild(1, 4, 9, 9).node("Relu", "x", "y").node("Strange", "y", "z").node("LRN", "z", "zz").output("y"),
			[]string{"y: ReLU input"}, nil,
		},
		"windows": {
			newBuild(1, 4, 9, 9).tensor("w", w, 4, 4, 3, 3).tensor("g", w[:4*2*3*2], 4, 2, 3, 2).
				node("Conv", "x w", "same", textAttribute("auto_pad", "SAME_UPPER"), ints("strides", 2, 2), ints("kernel_shape", 3, 3)).
				node("Conv", "same g", "sides", ints("pads", 1, 2, 3, 4), integer("group", 2)).
				node("MaxPool", "sides", "lower", textAttribute("auto_pad", "SAME_LOWER"), ints("kernel_shape", 2, 3), integer("ceil_mode", 1)).
				node("AveragePool", "lower", "exclude", ints("kernel_shape", 3, 3), ints("pads", 1, 1, 1, 1)).
				node("AveragePool", "exclude", "include", ints("kernel_shape", 3, 3), ints("pads", 1, 1, 1, 1), integer("count_include_pad", 1)).
				node("AveragePool", "include", "none", ints("kernel_shape", 2, 2), ints("strides", 2, 2)).output("none"),
			[]string{
				"same: conv3x3 4/2 +1 g0 f32 input", "sides: conv3x2 4/0 +1,2,3,4 g2 f32 same",
				"lower: max 2×3/0 +1,1,0,1 true sides", "exclude: avg 3×0/0 +1 false true f32 lower",
				"include: avg 3×0/0 +1 false false f32 exclude", "none: avg 2×0/2 +0 false false f32 include",
			}, nil,
		},
		"logits and probabilities": {
			newBuild(1, 4, 1, 1).node("Relu", "x", "logits").node("Softmax", "logits", "prob", integer("axis", 1)).output("prob", "logits"),
			[]string{"logits: ReLU input", "prob: Softmax logits"}, nil,
		},
		"outputs": {
			newBuild(1, 4, 1, 1).node("Relu", "x", "a").node("LRN", "a", "b", integer("size", 3)).output("b", "a"),
			[]string{"a: ReLU input", "b: LRN a"}, []string{"b", "a"},
		},
		"dense": {
			newBuild(1, 4, 2, 2).tensor("w", w[:16*3], 16, 3).tensor("v", w[:2*3], 2, 3).tensor("b", w[:3], 1, 3).
				node("Flatten", "x", "f").node("MatMul", "f w", "m").node("Add", "b m", "a").node("Gemm", "a v", "y", integer("transB", 1)).output("y"),
			[]string{"m: Dense 3 f32 input", "y: Dense 2 f32 m"}, nil,
		},
		"normalization": {
			newBuild(1, 4, 9, 9).tensor("w", w, 4, 4, 3, 3).tensor("c", w[:4]).
				node("BatchNormalization", "x c c c c", "first").node("Conv", "first w", "conv").
				node("BatchNormalization", "conv c c c c", "second").node("Relu", "second", "y").output("y"),
			[]string{"first: conv1x1 4/0 +0 g4 f32 input", "conv: conv3x3 4/0 +0 g0 f32 first", "y: ReLU conv"}, nil,
		},
		// The sums before an addition are an output, too.
		"a sum that is read": {
			newBuild(1, 4, 9, 9).tensor("w", w, 4, 4, 3, 3).tensor("c", w[:4]).
				node("Conv", "x w", "conv").node("BatchNormalization", "conv c c c c", "norm").output("norm", "conv"),
			[]string{"conv: conv3x3 4/0 +0 g0 f32 input", "norm: conv1x1 4/0 +0 g4 f32 conv"}, []string{"norm", "conv"},
		},
		"a sum that is read by another name": {
			newBuild(1, 4, 9, 9).tensor("w", w, 4, 4, 3, 3).tensor("c", w[:4]).
				node("Conv", "x w", "conv").node("Identity", "conv", "i").node("Relu", "conv", "r").
				node("BatchNormalization", "i c c c c", "norm").node("Concat", "norm r", "y", integer("axis", 1)).output("y"),
			[]string{"conv: conv3x3 4/0 +0 g0 f32 input", "r: ReLU conv", "norm: conv1x1 4/0 +0 g4 f32 conv", "y: Concat norm,r"}, nil,
		},
		// All between the first and the last conversion is quantized: ReLU and pooling may stand before QuantizeLinear.
		"quantized": {
			newBuild(1, 4, 9, 9).scale("x", 1, 7).scale("c", 2, 0).tensor("w", q, 4, 4, 3, 3).tensor("ws", w[:4]).
				node("QuantizeLinear", "x x.s x.z", "xq").node("DequantizeLinear", "xq x.s x.z", "xd").
				node("DequantizeLinear", "w ws", "wd", integer("axis", 0)).
				node("Conv", "xd wd", "conv").node("Relu", "conv", "relu").node("MaxPool", "relu", "pool", ints("kernel_shape", 2, 2)).
				node("QuantizeLinear", "pool c.s c.z", "pq").node("DequantizeLinear", "pq c.s c.z", "pd").
				node("Softmax", "pd", "y", integer("axis", 1)).output("y"),
			[]string{
				"input.quantize: Quantize u8(scale 1, zero 7) input", "conv: conv3x3 4/0 +0 g0 u8(scale 2, zero 0) input.quantize",
				"relu: ReLU conv", "pool: max 2×0/0 +0 false relu", "pool.dequantize: Dequantize pool", "y: Softmax pool.dequantize",
			}, nil,
		},
		// Where one reader needs the sum as it is, it is float32, and so is all that it is computed from.
		"half quantized": {
			newBuild(1, 4, 9, 9).scale("x", 1, 7).scale("c", 2, 0).tensor("w", q, 4, 4, 3, 3).tensor("ws", w[:4]).
				node("QuantizeLinear", "x x.s x.z", "xq").node("DequantizeLinear", "xq x.s x.z", "xd").
				node("DequantizeLinear", "w ws", "wd", integer("axis", 0)).node("Conv", "xd wd", "conv").
				node("QuantizeLinear", "conv c.s c.z", "cq").node("DequantizeLinear", "cq c.s c.z", "cd").
				node("Add", "conv cd", "y").output("y"),
			[]string{
				"input.quantize: Quantize u8(scale 1, zero 7) input", "input.quantize.dequantize: Dequantize input.quantize",
				"conv: conv3x3 4/0 +0 g0 f32 input.quantize.dequantize", "conv.quantize: Quantize u8(scale 2, zero 0) conv",
				"conv.quantize.dequantize: Dequantize conv.quantize", "y: Add f32 conv,conv.quantize.dequantize",
			}, nil,
		},
		// So it is where readers need different types, or the caller the sum itself.
		"types that differ": {
			newBuild(1, 4, 9, 9).scale("a", 1, 7).scale("b", 2, 0).
				node("QuantizeLinear", "x a.s a.z", "q").node("DequantizeLinear", "q a.s a.z", "d").
				node("GlobalAveragePool", "d", "g").node("Relu", "g", "r").
				node("QuantizeLinear", "r a.s a.z", "aq").node("DequantizeLinear", "aq a.s a.z", "ad").
				node("QuantizeLinear", "g b.s b.z", "bq").node("DequantizeLinear", "bq b.s b.z", "bd").
				node("Add", "ad bd", "y").output("y"),
			[]string{
				"input.quantize: Quantize u8(scale 1, zero 7) input", "input.quantize.dequantize: Dequantize input.quantize",
				"g: GlobalAvgPool input.quantize.dequantize", "r: ReLU g", "r.quantize: Quantize u8(scale 1, zero 7) r",
				"g.quantize: Quantize u8(scale 2, zero 0) g", "r.quantize.dequantize: Dequantize r.quantize",
				"g.quantize.dequantize: Dequantize g.quantize", "y: Add f32 r.quantize.dequantize,g.quantize.dequantize",
			}, nil,
		},
		"an output that is quantized": {
			newBuild(1, 4, 9, 9).scale("a", 1, 7).
				node("QuantizeLinear", "x a.s a.z", "q").node("DequantizeLinear", "q a.s a.z", "d").
				node("GlobalAveragePool", "d", "g").node("QuantizeLinear", "g a.s a.z", "aq").node("DequantizeLinear", "aq a.s a.z", "y").output("g", "y"),
			[]string{
				"input.quantize: Quantize u8(scale 1, zero 7) input", "input.quantize.dequantize: Dequantize input.quantize",
				"g: GlobalAvgPool input.quantize.dequantize", "g.quantize: Quantize u8(scale 1, zero 7) g", "g.quantize.dequantize: Dequantize g.quantize",
			}, []string{"g", "g.quantize.dequantize"},
		},
		"a quantized bias": {
			newBuild(1, 4, 1, 1).scale("a", 1, 7).tensor("w", q[:8], 4, 2).tensor("ws", w[:2]).tensor("b", w[:2]).
				node("QuantizeLinear", "x a.s a.z", "q").node("DequantizeLinear", "q a.s a.z", "d").node("Flatten", "d", "f").
				node("DequantizeLinear", "w ws", "wd").node("MatMul", "f wd", "m").node("Add", "m b", "s").
				node("QuantizeLinear", "s a.s a.z", "aq").node("DequantizeLinear", "aq a.s a.z", "y").output("y"),
			[]string{
				"input.quantize: Quantize u8(scale 1, zero 7) input", "m: Dense 2 u8(scale 1, zero 7) input.quantize", "m.dequantize: Dequantize m",
			}, nil,
		},
		// Other outputs than x and Softmax(x), and one that has two names.
		"outputs with a softmax": {
			newBuild(1, 4, 1, 1).node("Relu", "x", "a").node("LRN", "a", "b", integer("size", 3)).node("Flatten", "a", "f").
				node("Softmax", "b", "y", integer("axis", 1)).output("a", "f", "y"),
			[]string{"a: ReLU input", "b: LRN a", "y: Softmax b"}, []string{"a", "y"},
		},
		// Sums and concatenations of different types; int8 activations become uint8.
		"types": {
			newBuild(1, 4, 9, 9).scale("a", 1, 7).scale("b", 2, 0).tensor("i.s", []float32{0.5}, 0).tensor("i.z", []int8{-8}, 0).
				node("QuantizeLinear", "x a.s a.z", "aq").node("DequantizeLinear", "aq a.s a.z", "ad").
				node("QuantizeLinear", "x b.s b.z", "bq").node("DequantizeLinear", "bq b.s b.z", "bd").
				node("Add", "ad bd", "sum").node("QuantizeLinear", "sum i.s i.z", "sq").node("DequantizeLinear", "sq i.s i.z", "sd").
				node("Concat", "ad bd sd", "cat", integer("axis", 1)).node("QuantizeLinear", "cat b.s b.z", "cq").node("DequantizeLinear", "cq b.s b.z", "cd").
				node("GlobalAveragePool", "cd", "y").output("y"),
			[]string{
				"input.quantize: Quantize u8(scale 1, zero 7) input", "input.quantize_2: Quantize u8(scale 2, zero 0) input",
				"sum: Add u8(scale 0.5, zero 120) input.quantize,input.quantize_2",
				"input.quantize.dequantize: Dequantize input.quantize", "input.quantize.quantize: Quantize u8(scale 2, zero 0) input.quantize.dequantize",
				"sum.dequantize: Dequantize sum", "sum.quantize: Quantize u8(scale 2, zero 0) sum.dequantize",
				"cat: Concat input.quantize.quantize,input.quantize_2,sum.quantize",
				"cat.dequantize: Dequantize cat", "y: GlobalAvgPool cat.dequantize",
			}, nil,
		},
		"QLinear": {
			newBuild(1, 4, 9, 9).scale("a", 1, 7).scale("b", 2, 0).tensor("w", q, 4, 4, 3, 3).tensor("w.s", w[:4]).tensor("w.z", make([]int8, 4)).tensor("bias", []int32{1, 2, 3, 4}).
				node("QuantizeLinear", "x a.s a.z", "q").
				node("QLinearConv", "q a.s a.z w w.s w.z b.s b.z bias", "conv").
				node("MaxPool", "conv", "pool", ints("kernel_shape", 3, 3)).
				node("com.microsoft:QLinearAdd", "pool b.s b.z pool b.s b.z a.s a.z", "sum").
				node("com.microsoft:QLinearConcat", "b.s b.z pool b.s b.z pool b.s b.z", "cat", integer("axis", 1)).
				node("com.microsoft:QLinearGlobalAveragePool", "cat b.s b.z a.s a.z", "gap").
				node("com.microsoft:QLinearConcat", "b.s b.z sum a.s a.z sum a.s a.z", "other", integer("axis", 1)).
				node("DequantizeLinear", "gap a.s a.z", "y").node("DequantizeLinear", "other b.s b.z", "z").output("y", "z"),
			[]string{
				"input.quantize: Quantize u8(scale 1, zero 7) input", "conv: conv3x3 4/0 +0 g0 u8(scale 2, zero 0) input.quantize",
				"pool: max 3×0/0 +0 false conv", "sum: Add u8(scale 1, zero 7) pool,pool", "cat: Concat pool,pool",
				"gap: GlobalAvgPool cat", "other: Concat sum,sum", "other.dequantize: Dequantize other",
				"other.quantize: Quantize u8(scale 2, zero 0) other.dequantize",
				"gap.dequantize: Dequantize gap", "other.quantize.dequantize: Dequantize other.quantize",
			}, []string{"gap.dequantize", "other.quantize.dequantize"},
		},
		"names that are taken": {
			newBuild(1, 4, 9, 9).scale("a", 1, 7).scale("b", 2, 0).scale("c", 3, 0).
				node("QuantizeLinear", "x a.s a.z", "aq").node("DequantizeLinear", "aq a.s a.z", "input.quantize_2").
				node("GlobalAveragePool", "input.quantize_2", "y").node("Relu", "input.quantize_2", "y_2").
				node("QuantizeLinear", "x b.s b.z", "bq").node("DequantizeLinear", "bq b.s b.z", "bd").
				node("QuantizeLinear", "x c.s c.z", "cq").node("DequantizeLinear", "cq c.s c.z", "cd").output("y", "y_2", "bd", "cd"),
			[]string{
				"input.quantize: Quantize u8(scale 1, zero 7) input", "input.quantize.dequantize: Dequantize input.quantize",
				"y: GlobalAvgPool input.quantize.dequantize", "y_2: ReLU input.quantize",
				"input.quantize_2: Quantize u8(scale 2, zero 0) input", "input.quantize_3: Quantize u8(scale 3, zero 0) input",
				"y_2.dequantize: Dequantize y_2", "input.quantize_2.dequantize: Dequantize input.quantize_2", "input.quantize_3.dequantize: Dequantize input.quantize_3",
			}, []string{"y", "y_2.dequantize", "input.quantize_2.dequantize", "input.quantize_3.dequantize"},
		},
		// A softmax over all axes from axis on, as it was before opset 13.
		"old softmax": {
			func() *build {
				b := newBuild(1, 4, 1, 1).node("Softmax", "x", "y").output("y")
				b.opset = 12
				return b
			}(),
			[]string{"y: Softmax input"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := test.file.open(t)
			if got := describe(m); !slices.Equal(got, test.want) {
				t.Errorf("the table is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			if !slices.Equal(m.Outputs, test.outputs) {
				t.Errorf("outputs %q, want %q", m.Outputs, test.outputs)
			}
		})
	}
}

// TestMetadata: names in the file's metadata are those of the model, and else the file's name is.
func TestMetadata(t *testing.T) {
	b := newBuild(1, 3, 2, 5).node("Relu", "x", "y").output("y")
	m, _ := b.open(t)
	if want := (layer.Shape{H: 2, W: 5, C: 3}); m.Name != "net" || m.Preprocessor != "" || m.Head != "" || m.Input != want {
		t.Errorf("%+v", m)
	}
	b.metadata = map[string]string{keyModel: "name", keyPreprocessor: "p", keyHead: "y", keyClasses: `["a","b","c"]`}
	if m, _ := b.open(t); m.Name != "name" || m.Preprocessor != "p" || m.Head != "y" || !slices.Equal(m.Classes, []string{"a", "b", "c"}) {
		t.Errorf("%+v", m)
	}
	b.metadata = map[string]string{keyClasses: `{"a":1}`}
	if _, _, err := Open(b.write(t)); err == nil || !strings.Contains(err.Error(), "metadata firebench.classes: expected an array of strings") {
		t.Errorf("classes that are no array: %v", err)
	}
	b.metadata = map[string]string{keyClasses: `["a"]`}
	if _, _, err := Open(b.write(t)); err == nil || !strings.Contains(err.Error(), "1 classes and an output of 2×5×3") {
		t.Errorf("one class of three channels: %v", err)
	}
	b.metadata = map[string]string{keyHead: "neck"}
	if m, _ := b.open(t); m.Head != "" {
		t.Errorf("a head that is no layer any more: %q", m.Head)
	}
}

// TestWeights: what a file's numbers become.
func TestWeights(t *testing.T) {
	for name, test := range map[string]struct {
		file                 *build
		values, bias, scales []float32
	}{
		"conv": {
			newBuild(1, 1, 1, 1).tensor("w", []float32{3, 4}, 2, 1, 1, 1).tensor("b", []float32{5, 6}).node("Conv", "x w b", "y").output("y"),
			[]float32{3, 4}, []float32{5, 6}, nil,
		},
		"gemm": {
			newBuild(1, 2, 1, 1).tensor("w", []float32{1, 2, 3, 4, 5, 6}, 2, 3).tensor("b", []float32{10}, 1, 1).
				node("Flatten", "x", "f").node("Gemm", "f w b", "y", float("alpha", 2), float("beta", 0.5)).output("y"),
			[]float32{2, 8, 4, 10, 6, 12}, []float32{5, 5, 5}, nil,
		},
		"transposed twice": {
			newBuild(1, 2, 1, 1).tensor("w", []float32{1, 2, 3, 4, 5, 6}, 3, 2).
				node("Flatten", "x", "f").node("Transpose", "w", "t").node("MatMul", "f t", "y").output("y"),
			[]float32{1, 2, 3, 4, 5, 6}, []float32{0, 0, 0}, nil,
		},
		"reshaped": {
			newBuild(1, 2, 1, 1).tensor("w", []float32{1, 2, 3, 4, 5, 6}).tensor("shape", []int64{2, -1}).
				node("Flatten", "x", "f").node("Reshape", "w shape", "r").node("MatMul", "f r", "y").output("y"),
			[]float32{1, 4, 2, 5, 3, 6}, []float32{0, 0, 0}, nil,
		},
		"sums": {
			newBuild(1, 1, 1, 1).tensor("w", []float32{3, 4}, 2, 1, 1, 1).tensor("b", []float32{5, 6}).tensor("c", []float32{10, 20}, 2, 1, 1).tensor("one", []float32{1}, 0).
				node("Conv", "x w b", "s").node("Add", "s c", "t").node("Add", "one t", "y").output("y"),
			[]float32{3, 4}, []float32{16, 27}, nil,
		},
		// The factors are 2/√(3+1) and 3/√(8+1), and sums come before and behind.
		"normalization": {
			newBuild(1, 1, 1, 1).tensor("w", []float32{3, 4}, 2, 1, 1, 1).tensor("b", []float32{5, 6}).tensor("c", []float32{7}).
				tensor("scale", []float32{2, 6}).tensor("bias", []float32{10, 20}).tensor("mean", []float32{2, 3}).tensor("var", []float32{3, 8}).
				node("Conv", "x w b", "s").node("BatchNormalization", "s scale bias mean var", "n", float("epsilon", 1)).node("Add", "n c", "y").output("y"),
			[]float32{3, 8}, []float32{20, 33}, nil,
		},
		"normalization alone": {
			newBuild(1, 2, 1, 1).tensor("scale", []float32{2, 6}).tensor("bias", []float32{10, 20}).tensor("mean", []float32{2, 3}).tensor("var", []float32{3, 8}).
				node("BatchNormalization", "x scale bias mean var", "y", float("epsilon", 1)).output("y"),
			[]float32{1, 2}, []float32{8, 14}, nil,
		},
		"quantized for each channel": {
			qdq("w", []int8{-3, 4}, []float32{0.5, 0.25}, []int8{0, 0}),
			[]float32{-1.5, 1}, []float32{2, 3}, []float32{0.5, 0.25},
		},
		"quantized once": {
			qdq("w", []int8{-3, 4}, []float32{0.5}, []int8{0}),
			[]float32{-1.5, 2}, []float32{2, 3}, []float32{0.5, 0.5},
		},
		"quantized as uint8": {
			qdq("w", []uint8{125, 132}, []float32{0.5}, []uint8{128}),
			[]float32{-1.5, 2}, []float32{2, 3}, []float32{0.5, 0.5},
		},
		// Other zero points are not for integer kernels. Such a layer computes in float32.
		"another zero point": {
			qdq("w", []uint8{125, 132}, []float32{0.5}, []uint8{120}),
			[]float32{2.5, 6}, []float32{2, 3}, nil,
		},
		// As training with quantization writes them.
		"quantized by a node": {
			qdq("v", []float32{-1.6, 1.01}, []float32{0.5, 0.25}, []int8{0, 0}).
				node("QuantizeLinear", "v w.s w.z", "w", integer("axis", 0)),
			[]float32{-1.5, 1}, []float32{2, 3}, []float32{0.5, 0.25},
		},
		"constants among the nodes": {
			newBuild(1, 2, 1, 1).node("Constant", "", "w", tensorAttribute("value", tensorOf("", []float32{1, 2, 3, 4, 5, 6}, 2, 3))).
				node("Constant", "", "b", floatsAttribute("value_floats", 7, 8, 9)).
				node("Flatten", "x", "f").node("MatMul", "f w", "m").node("Add", "m b", "y").output("y"),
			[]float32{1, 4, 2, 5, 3, 6}, []float32{7, 8, 9}, nil,
		},
		"typed values": {
			func() *build {
				b := newBuild(1, 1, 1, 1).node("Conv", "x w", "y").output("y")
				var w message
				for _, d := range []int64{2, 1, 1, 1} {
					w.number(tensorDims, d)
				}
				w.number(tensorType, 10) // float16
				w.text(tensorName, "w")
				w.number(tensorInts, 0x3c00)
				w.number(tensorInts, 0xc000)
				b.initializers = append(b.initializers, w)
				return b
			}(),
			[]float32{1, -2}, []float32{0, 0}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "by a node") { // it must come first
				n := test.file.nodes
				test.file.nodes = append(n[len(n)-1:], n[:len(n)-1]...)
			}
			m, w := test.file.open(t)
			params, err := m.Params()
			if err != nil || len(params) != 1 {
				t.Fatalf("%d layers with weights, %v", len(params), err)
			}
			got, err := w.Layer(params[0])
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Values, test.values) || !slices.Equal(got.Bias, test.bias) || !slices.Equal(got.Scales, test.scales) {
				t.Errorf("%+v, want %v, %v, %v", got, test.values, test.bias, test.scales)
			}
		})
	}
}

// qdq is a file with a quantized convolution of 1 to 2 channels, whose weights have that name in the file.
func qdq(name string, weights any, scales []float32, zeros any) *build {
	return newBuild(1, 1, 1, 1).scale("x", 2, 7).tensor(name, weights, 2, 1, 1, 1).tensor("w.s", scales).tensor("w.z", zeros).
		tensor("b", []int32{4, 3}).tensor("b.s", []float32{0.5, 1}).
		node("QuantizeLinear", "x x.s x.z", "xq").node("DequantizeLinear", "xq x.s x.z", "xd").
		node("DequantizeLinear", "w w.s w.z", "wd", integer("axis", 0)).node("DequantizeLinear", "b b.s", "bd", integer("axis", 0)).
		node("Conv", "xd wd bd", "c").node("QuantizeLinear", "c x.s x.z", "cq").node("DequantizeLinear", "cq x.s x.z", "y").output("y")
}

// TestShared: layers with the same numbers share them, and those with other biases do not.
func TestShared(t *testing.T) {
	m, w := newBuild(1, 1, 4, 4).tensor("w", []float32{3}, 1, 1, 1, 1).tensor("b", []float32{5}).tensor("c", []float32{6}).
		node("Conv", "x w b", "a").node("Conv", "a w", "b1").node("Add", "b1 b", "b2").node("Conv", "b2 w c", "y").output("y").open(t)
	for i, want := range []string{"", "a", ""} {
		if got := m.Nodes[i].Weights; got != want {
			t.Errorf("node %s has the weights of %q, want %q", m.Nodes[i].Name, got, want)
		}
	}
	params := must(m.Params())
	if len(params) != 2 || must(w.Layer(params[1])).Bias[0] != 6 {
		t.Errorf("weights %v", params)
	}
	// Quantized layers compute with integers of weights, which other layers have not.
	m, w = newBuild(1, 1, 4, 4).scale("a", 1, 7).tensor("w", []int8{3}, 1, 1, 1, 1).
		node("DequantizeLinear", "w a.s", "wd").node("Conv", "x wd", "float").
		node("QuantizeLinear", "float a.s a.z", "q").node("DequantizeLinear", "q a.s a.z", "d").
		node("Conv", "d wd", "typed").node("QuantizeLinear", "typed a.s a.z", "tq").node("DequantizeLinear", "tq a.s a.z", "td").
		node("Conv", "td wd", "y").output("y").open(t)
	params = must(m.Params())
	if y := m.Nodes[len(m.Nodes)-1]; len(params) != 2 || y.Weights != "float" {
		t.Errorf("%d layers with weights of their own, and the last uses those of %q, want 2 and float", len(params), y.Weights)
	}
	for i, p := range params {
		if got := must(w.Layer(p)); p.Node != []string{"float", "typed"}[i] || slices.Equal(got.Scales, []float32{1}) != (i == 1) {
			t.Errorf("%s: %+v", p.Node, got)
		}
	}
	b := newBuild(1, 1, 4, 4).tensor("w", []float32{3}, 1, 1, 1, 1)
	in := "x"
	for i := range maxUses + 1 {
		out := fmt.Sprint("y", i)
		b.tensor("b"+out, []float32{1}).node("Conv", in+" w b"+out, out)
		in = out
	}
	path := b.output(in).write(t)
	if _, _, err := Open(path); err == nil || err.Error() != path+": tensor w: more than 64 layers have weights of their own from it" {
		t.Errorf("%v", err)
	}
}

// TestBiasIntegers: the kernels get the integers of a file's biases back from their float32 products with the scales, if they have up
// to 22 bits. Beyond, the sums of a layer are rounded to float32 as well.
func TestBiasIntegers(t *testing.T) {
	const channels = 2000
	integers, scales, biasScales := make([]int32, channels), make([]float32, channels), make([]float32, channels)
	const input = float32(0.0173)
	for i := range integers {
		integers[i] = int32(1<<22-i*2098) * int32(1-i%2*2)
		scales[i] = 0.001 + float32(i)*1.7e-5
		biasScales[i] = input * scales[i]
	}
	b := newBuild(1, 1, 1, 1).scale("x", input, 7).tensor("w", make([]int8, channels), channels, 1, 1, 1).tensor("w.s", scales).
		tensor("b", integers).tensor("b.s", biasScales).
		node("QuantizeLinear", "x x.s x.z", "xq").node("DequantizeLinear", "xq x.s x.z", "xd").
		node("DequantizeLinear", "w w.s", "wd", integer("axis", 0)).node("DequantizeLinear", "b b.s", "bd", integer("axis", 0)).
		node("Conv", "xd wd bd", "c").node("QuantizeLinear", "c x.s x.z", "cq").node("DequantizeLinear", "cq x.s x.z", "y").output("y")
	m, w := b.open(t)
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.Layer(params[0])
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got.Bias {
		product := input * got.Scales[i]
		if n := math.RoundToEven(float64(v) / float64(product)); n != float64(integers[i]) {
			t.Errorf("bias %d is %g, want %d", i, n, integers[i])
		}
	}
}

// TestRefused: what a file cannot have, in one line that names the file and the node.
func TestRefused(t *testing.T) {
	w := slices.Repeat([]float32{1}, 4*4*3*3)
	conv := func(attributes ...message) *build {
		return newBuild(1, 4, 9, 9).tensor("w", w, 4, 4, 3, 3).node("Conv", "x w", "y", attributes...).output("y")
	}
	nan := slices.Clone(w)
	nan[5] = float32(math.NaN())
	for _, test := range []struct {
		file *build
		want string
	}{
		{conv(ints("dilations", 2, 2)), "node y (Conv): dilations of 2, expected 1"},
		{conv(ints("strides", 2, 1)), "node y (Conv): strides are [2 1], expected two equal numbers"},
		{conv(ints("strides", 2)), "node y (Conv): strides is [2], expected 2 numbers, from 1 to 16777216"},
		{conv(ints("kernel_shape", 1, 1)), "node y (Conv): kernel_shape is [1 1], but weights w are 4×4×3×3"},
		{conv(integer("group", 2)), "node y (Conv): weights w are 4×4×3×3, expected 4/2 input channels"},
		{conv(integer("volume", 11)), "node y (Conv): attribute volume is not supported"},
		{conv(textAttribute("auto_pad", "ODD")), "node y (Conv): auto_pad is ODD, expected NOTSET, VALID, SAME_UPPER or SAME_LOWER"},
		{newBuild(1, 4, 9, 9).tensor("w", nan, 4, 4, 3, 3).node("Conv", "x w", "y").output("y"), "layer y: tensor w: value 5 is NaN, expected a finite number"},
		{newBuild(1, 4, 9, 9).tensor("w", w[1:], 4, 4, 3, 3).node("Conv", "x w", "y").output("y"), "node y (Conv): tensor w: 572 bytes of values, expected 576 for 4×4×3×3 of F32"},
		{newBuild(1, 4, 9, 9).node("Conv", "x x", "y").output("y"), "node y (Conv): input 1, x, is not constant"},
		{newBuild(1, 4, 9, 9).node("Relu", "z", "y").output("y"), "node y (Relu): it reads z, which nothing before it computes"},
		{newBuild(1, 4, 9, 9).node("Relu", "x", "y").node("Relu", "y", "y").output("y"), "node y (Relu): something else has the name of its output y"},
		{newBuild(1, 4, 9, 9).node("Dropout", "x", "y m").node("Cast", "m", "z", integer("to", 1)).output("y", "z"), "node y (Dropout): output 1 is read, supported is output 0"},
		{newBuild(1, 4, 9, 9).node("Clip", "x", "y", float("min", 0), float("max", 6)).output("y"), "node y (Clip): it clips to 0…6, expected 0 and no upper bound"},
		{newBuild(1, 4, 9, 9).node("Softmax", "x", "y").output("y"), "node y (Softmax): axis is 3 of 1×4×9×9, expected that of the channels"},
		{newBuild(1, 4, 9, 9).node("Flatten", "x", "f").node("GlobalAveragePool", "f", "y").output("y"), "node y (GlobalAveragePool): input 0 is 1×324, expected N×C×H×W as of 9×9×4"},
		{newBuild(1, 4, 9, 9).node("Transpose", "x", "y", ints("perm", 0, 2, 3, 1)).output("y"), "node y (Transpose): perm is [0 2 3 1] of 1×4×9×9, expected that it moves dimensions of 1 only"},
		{newBuild(1, 4, 9, 9).tensor("c", w[:81], 9, 9).node("Relu", "x", "r").node("Add", "r c", "y").output("y"), "node y (Add): adding a constant is supported behind Conv, Gemm and MatMul whose result nothing else reads"},
		{newBuild(1, 4, 9, 9).node("Concat", "x x", "y", integer("axis", 2)).output("y"), "node y (Concat): axis does not have the channels of input 0, 1×4×9×9"},
		{newBuild(1, 4, -1, 9).node("Relu", "x", "y").output("y"), "input x has the dimensions 1×4×?×9, expected floating-point numbers of N×C×H×W, where N is symbolic or 1 and C, H and W are known"},
		{newBuild(1, 4, 9, 9).node("Relu", "x", "r").output("x"), "no layers"},
		{newBuild(1, 4, 9, 9).node("Relu", "x", "y").output("y", "x"), "output x: it is the input"},
		{newBuild(1, 4, 9, 9).scale("a", 1, 0).scale("b", 2, 0).node("QuantizeLinear", "x a.s a.z", "q").node("DequantizeLinear", "q b.s b.z", "y").output("y"),
			"node y (DequantizeLinear): it reads u8(scale 1, zero 0) as u8(scale 2, zero 0), expected the scale and zero point that they were quantized with"},
		{newBuild(1, 4, 9, 9).scale("a", 1, 0).node("QuantizeLinear", "x a.s a.z", "q").node("Relu", "q", "y").output("y"),
			"node y (Relu): an input has integers, expected those of DequantizeLinear"},
		{newBuild(1, 4, 9, 9).tensor("a", w[:4]).node("QuantizeLinear", "x a", "q").node("DequantizeLinear", "q a", "y").output("y"),
			"node q (QuantizeLinear): 4 scales of activations, expected 1"},
		{newBuild(1, 4, 9, 9).node("Tanh\n", "x", "y").output("y"), "node y (\"Tanh\\n\"): the operator is not supported, expected one of " + supported()},
		{func() *build {
			b := newBuild(1, 4, 9, 9).node("Relu", "x", "y").output("y")
			b.opset = 23
			return b
		}(), "opset 23, expected 7 to 22"},
	} {
		path := test.file.write(t)
		m, weights, err := Open(path)
		if err == nil {
			for _, p := range must(m.Params()) {
				if _, err = weights.Layer(p); err != nil {
					break
				}
			}
		}
		if want := path + ": " + test.want; err == nil || err.Error() != want {
			t.Errorf("the error is\n%v\nwant\n%s", err, want)
		}
	}
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

// TestExternalData: weights may be in other files of the model's folder, and nowhere else.
func TestExternalData(t *testing.T) {
	root := t.TempDir()
	folder := filepath.Join(root, "model")
	values := []byte{9, 9, 9, 9, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40} // 1 and 2 from byte 4 on
	for _, err := range []error{
		os.MkdirAll(filepath.Join(folder, "sub"), 0o777),
		os.WriteFile(filepath.Join(folder, "sub", "w"), values, 0o666),
		os.WriteFile(filepath.Join(root, "w"), values, 0o666),
		os.Symlink(filepath.Join(root, "w"), filepath.Join(folder, "link")),
		os.Symlink(filepath.Join("sub", "w"), filepath.Join(folder, "inside")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ location, offset, length, want string }{
		{"sub/w", "4", "8", ""},
		{"sub/w", "4", "", ""},
		{"inside", "4", "8", ""},
		{"sub/w", "0", "8", ""},
		{"sub/w", "0", "12", "tensor w: 12 bytes of values, expected 8 for 2×1×1×1 of F32"},
		{"sub/w", "8", "8", "tensor w: external data sub/w: 8 bytes from 8 on, of a file of 12 bytes"},
		{"sub/w", "13", "", "tensor w: external data sub/w: offset is 13 in a file of 12 bytes"},
		{"sub/w", "-4", "8", "tensor w: external data sub/w: offset is -4, expected a number of bytes"},
		{"sub", "0", "8", "tensor w: external data sub: expected a regular file"},
		{"missing", "0", "8", "tensor w: external data missing: no such file or directory"},
		{"", "0", "8", `tensor w: external data "": empty path`},
		{"../w", "4", "8", "tensor w: external data ../w: path escapes from parent"},
		{"link", "4", "8", "tensor w: external data link: path escapes from parent"},
		{filepath.Join(root, "w"), "4", "8", "tensor w: external data " + filepath.Join(root, "w") + ": path escapes from parent"},
	} {
		var w message
		for _, d := range []int64{2, 1, 1, 1} {
			w.number(tensorDims, d)
		}
		w.number(tensorType, float32s)
		w.text(tensorName, "w")
		w.number(tensorLocation, 1)
		for _, e := range [][2]string{{"location", test.location}, {"offset", test.offset}, {"length", test.length}} {
			if e[1] == "" && e[0] == "length" {
				continue
			}
			var m message
			m.text(entryKey, e[0])
			m.text(entryValue, e[1])
			w.message(tensorExternal, m)
		}
		b := newBuild(1, 1, 1, 1).node("Conv", "x w", "y").output("y")
		b.initializers = append(b.initializers, w)
		path := filepath.Join(folder, "net.onnx")
		if err := os.WriteFile(path, b.encode(), 0o666); err != nil {
			t.Fatal(err)
		}
		_, weights, err := Open(path)
		if test.want != "" {
			if want := path + ": node y (Conv): " + test.want; err == nil || err.Error() != want {
				t.Errorf("%q: the error is\n%v\nwant\n%s", test, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", test, err)
			continue
		}
		got, err := weights.Layer(graph.Param{Node: "y", Dims: [4]int{2, 1, 1, 1}})
		if err != nil || len(got.Values) != 2 || test.offset == "4" && !slices.Equal(got.Values, []float32{1, 2}) {
			t.Errorf("%q: %v, %v", test, got, err)
		}
	}
}
