package onnx

import (
	"errors"
	"fmt"
	"math"

	"firebench/kernels"
	"firebench/net/layer"
)

// operators are those that can be imported, by name, see https://onnx.ai/onnx/operators. Init makes the
// table, as importing a node looks its operator up.
var operators map[string]operator

func init() {
	operators = map[string]operator{
		"Add":                {2, 2, addition},
		"AveragePool":        {1, 1, averagePool},
		"BatchNormalization": {5, 5, batchNormalization},
		"Cast":               {1, 1, cast},
		"Clip":               {1, 3, clip},
		"Concat":             {1, 0, concat},
		"Constant":           {0, 0, constantNode},
		"Conv":               {2, 3, conv},
		"DequantizeLinear":   {2, 3, dequantizeLinear},
		"Dropout":            {1, 3, dropout},
		"Flatten":            {1, 1, flatten},
		"Gemm":               {2, 3, gemm},
		"GlobalAveragePool":  {1, 1, globalAveragePool},
		"Identity":           {1, 1, identity},
		"LRN":                {1, 1, lrn},
		"MatMul":             {2, 2, matMul},
		"MaxPool":            {1, 1, maxPool},
		"QLinearConv":        {8, 9, qlinearConv},
		"QuantizeLinear":     {2, 3, quantizeLinear},
		"Relu":               {1, 1, relu},
		"Reshape":            {2, 2, reshape},
		"Softmax":            {1, 1, softmax},
		"Squeeze":            {1, 2, squeeze},
		"Transpose":          {1, 1, transpose},
		"Unsqueeze":          {1, 2, unsqueeze},

		"com.microsoft.QLinearAdd":               {1, 8, qlinearAdd},
		"com.microsoft.QLinearConcat":            {1, 0, qlinearConcat},
		"com.microsoft.QLinearGlobalAveragePool": {1, 5, qlinearGlobalAveragePool},
	}
}

// one is 0 for 1, as layers have it where a number is left out.
func one(n int) int {
	if n == 1 {
		return 0
	}
	return n
}

// A windowed is what convolutions and poolings have in common.
type windowed struct {
	kernel, kernelW, stride int
	pad                     kernels.Padding
}

// windowed returns the window of a node with kernels of kh×kw on images of shape in.
func (c *call) windowed(in layer.Shape, kh, kw int) (w windowed, err error) {
	for _, d := range c.ints("dilations", 2, 1, 1) {
		if d != 1 {
			return w, fmt.Errorf("dilations of %d, expected 1", d)
		}
	}
	strides := c.ints("strides", 2, 1, 1)
	if strides[0] != strides[1] {
		return w, fmt.Errorf("strides are %d, expected two equal numbers", strides)
	}
	w = windowed{kernel: kh, kernelW: kw, stride: strides[0]}
	pads := c.ints("pads", 4, 0, 0)
	auto := "NOTSET"
	if a := c.attribute("auto_pad"); a != nil {
		auto = a.text
	}
	switch auto {
	case "NOTSET", "":
		w.pad = kernels.Padding{Top: pads[0], Left: pads[1], Bottom: pads[2], Right: pads[3]}
	case "VALID":
	case "SAME_UPPER", "SAME_LOWER":
		same := func(n, k int) (before, after int) {
			total := max(((n+w.stride-1)/w.stride-1)*w.stride+k-n, 0)
			if auto == "SAME_UPPER" {
				return total / 2, total - total/2
			}
			return total - total/2, total / 2
		}
		w.pad.Top, w.pad.Bottom = same(in.H, kh)
		w.pad.Left, w.pad.Right = same(in.W, kw)
	default:
		return w, fmt.Errorf("auto_pad is %s, expected NOTSET, VALID, SAME_UPPER or SAME_LOWER", label(auto))
	}
	if w.kernelW == w.kernel {
		w.kernelW = 0
	}
	w.stride = one(w.stride)
	return w, c.err
}

// pool returns the window of a pooling, and whether sizes are rounded up.
func (c *call) pool(in layer.Shape) (windowed, bool, error) {
	if c.attribute("kernel_shape") == nil {
		return windowed{}, false, errors.New("no attribute kernel_shape")
	}
	kernel := c.ints("kernel_shape", 2, 1, 1)
	ceil := c.int("ceil_mode", 0) != 0
	w, err := c.windowed(in, kernel[0], kernel[1])
	return w, ceil, err
}

func maxPool(c *call) (*operand, error) {
	o, in, err := c.image(0)
	if err != nil {
		return nil, err
	}
	w, ceil, err := c.pool(in)
	if err != nil {
		return nil, err
	}
	c.ignore("storage_order") // of indices
	return c.keep(layer.MaxPool{Kernel: w.kernel, KernelW: w.kernelW, Stride: w.stride, Pad: w.pad, Ceil: ceil}, o)
}

func averagePool(c *call) (*operand, error) {
	o, in, err := c.image(0)
	if err != nil {
		return nil, err
	}
	w, ceil, err := c.pool(in)
	if err != nil {
		return nil, err
	}
	exclude := c.int("count_include_pad", 0) == 0 && w.pad != kernels.Padding{}
	return c.typed(layer.AvgPool{Kernel: w.kernel, KernelW: w.kernelW, Stride: w.stride, Pad: w.pad, Ceil: ceil, ExcludePad: exclude}, o)
}

func globalAveragePool(c *call) (*operand, error) {
	o, _, err := c.image(0)
	if err != nil {
		return nil, err
	}
	return c.typed(layer.GlobalAvgPool{}, o)
}

func relu(c *call) (*operand, error) { return c.elementwise(layer.ReLU{}) }

// elementwise appends a layer that keeps the type and the dimensions of its only input.
func (c *call) elementwise(l layer.Layer) (*operand, error) {
	o, err := c.data(0)
	if err != nil {
		return nil, err
	}
	if o.integers {
		return nil, errIntegers
	}
	out, err := c.keep(l, o)
	if err != nil {
		return nil, err
	}
	out.dims = o.dims
	return out, nil
}

// clip is a ReLU if it has no upper bound.
func clip(c *call) (*operand, error) {
	low, high := math.Inf(-1), math.Inf(1)
	for i, bound := range []struct {
		name string
		v    *float64
	}{{"min", &low}, {"max", &high}} {
		if a := c.attribute(bound.name); a != nil {
			*bound.v = float64(a.float)
		}
		k, err := c.constantArg(i + 1)
		if err != nil {
			return nil, err
		}
		if k != nil {
			if *bound.v, err = k.bound(); err != nil {
				return nil, err
			}
		}
	}
	if low != 0 || high < math.MaxFloat32 && high < maxFloat16 {
		return nil, fmt.Errorf("it clips to %g…%g, expected 0 and no upper bound", low, high)
	}
	return relu(c)
}

func dropout(c *call) (*operand, error) {
	rate := c.floatAttribute("ratio", 0.5)
	c.ignore("seed")
	ratio, err := c.constantArg(1)
	if err != nil {
		return nil, err
	}
	if ratio != nil {
		v, err := ratio.scalar()
		if err != nil {
			return nil, err
		}
		rate = float32(v)
	}
	training, err := c.constantArg(2)
	if err != nil {
		return nil, err
	}
	if training != nil {
		switch v, err := training.scalar(); {
		case err != nil:
			return nil, err
		case v != 0:
			return nil, errors.New("training_mode is true, expected false")
		}
	}
	return c.elementwise(layer.Dropout{Rate: rate})
}

func lrn(c *call) (*operand, error) {
	o, _, err := c.image(0)
	if err != nil {
		return nil, err
	}
	return c.layer(layer.LRN{
		Size:  c.int("size", 0),
		Alpha: c.floatAttribute("alpha", 1e-4),
		Beta:  c.floatAttribute("beta", 0.75),
		K:     c.floatAttribute("bias", 1),
	}, o)
}

// softmax is over the axis of the channels. Before opset 13, it was over all axes from one on.
func softmax(c *call) (*operand, error) {
	o, err := c.data(0)
	if err != nil {
		return nil, err
	}
	otherwise := -1
	if c.opset < 13 {
		otherwise = 1
	}
	axis, channels := c.axis(otherwise, len(o.dims)), c.channelAxis(o)
	if c.opset < 13 {
		if s := c.shapes[o.layer]; s.H*s.W > 1 {
			channels = -1 // all pixels together
		}
	}
	// Any axis of 1 behind the one before it is the same.
	if channels < 0 || axis != channels && !(c.opset < 13 && axis >= 0 && axis < channels) {
		return nil, fmt.Errorf("axis is %d of %s, expected that of the channels", axis, dims(o.dims))
	}
	out, err := c.layer(layer.Softmax{}, o)
	if err != nil {
		return nil, err
	}
	out.dims = o.dims
	return out, nil
}

func concat(c *call) (*operand, error) {
	a := c.attribute("axis")
	var inputs []string
	var out *operand
	for i := range c.args {
		o, err := c.data(i)
		if err != nil {
			return nil, err
		}
		axis := c.channelAxis(o)
		if a == nil || axis < 0 || c.axis(0, len(o.dims)) != axis {
			return nil, fmt.Errorf("axis does not have the channels of input %d, %s", i, dims(o.dims))
		}
		if out == nil {
			out = o
		} else if len(o.dims) != len(out.dims) || o.integers != out.integers {
			return nil, fmt.Errorf("inputs %s and %s", dims(out.dims), dims(o.dims))
		}
		inputs = append(inputs, o.layer)
	}
	if out == nil {
		return nil, errors.New("it has no inputs")
	}
	axis := c.channelAxis(out)
	t, err := c.commonType(c.args)
	if err != nil {
		return nil, err
	}
	for i := range inputs {
		if inputs[i], err = c.as(inputs[i], t); err != nil {
			return nil, err
		}
	}
	result, err := c.append(layer.Concat{}, inputs...)
	if err != nil {
		return nil, err
	}
	result.integers = out.integers
	result.dims = append([]int(nil), out.dims...)
	result.dims[axis] = c.shapes[result.layer].C
	return result, nil
}

// commonType returns the type in which a concatenation reads all operands: their own if they have the
// same, otherwise that of the result if all of them are quantized and it is known, and else float32.
func (c *call) commonType(operands []*operand) (kernels.Type, error) {
	t, all, same := c.shapes[operands[0].layer].Type, true, true
	for _, o := range operands {
		other := c.shapes[o.layer].Type
		all = all && other != kernels.Type{}
		same = same && other == t
	}
	if same {
		return t, nil
	}
	if operands[0].integers {
		return t, errors.New("integers with different scales")
	}
	if t, ok := c.resultType(); ok && all {
		return t, nil
	}
	return kernels.Type{}, nil
}

// addition is a sum of two values, or adds a constant to the biases before it.
func addition(c *call) (*operand, error) {
	for i, o := range c.args {
		if o.constant != nil {
			return c.addConstant(1-i, o.constant)
		}
	}
	a, b := c.args[0], c.args[1]
	if dims(a.dims) != dims(b.dims) || c.shapes[a.layer].As(kernels.Type{}) != c.shapes[b.layer].As(kernels.Type{}) {
		return nil, fmt.Errorf("inputs %s and %s, expected equal ones, or a constant for each channel", dims(a.dims), dims(b.dims))
	}
	out, err := c.typed(layer.Add{}, a, b)
	if err != nil {
		return nil, err
	}
	out.dims = a.dims
	return out, nil
}

// maxFloat16 is the largest number of type float16.
const maxFloat16 = 65504
