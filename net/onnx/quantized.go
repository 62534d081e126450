package onnx

import (
	"errors"
	"fmt"

	"firebench/kernels"
	"firebench/net/tensor"
)

// outputElement returns the type of the integers of a QuantizeLinear without zero point.
func (n *node) outputElement() (tensor.DType, error) {
	for _, a := range n.attributes {
		if a.name == "output_dtype" && a.int != 0 {
			t, ok := elements[a.int]
			if !ok || t != tensor.U8 && t != tensor.I8 {
				return 0, fmt.Errorf("output_dtype is %d, expected %d or %d", a.int, uint8s, int8s)
			}
			return t, nil
		}
	}
	return tensor.U8, nil
}

// quantizing returns the scale and zero point of a QuantizeLinear or DequantizeLinear.
func (c *call) quantizing(element tensor.DType) (*quantizing, error) {
	c.expect("block_size", 0)
	return c.scaleAt(1, element, c.shape(), c.int("axis", 1))
}

// scaleAt returns the scale that an input has, with the zero point behind it, for numbers of dimensions d.
func (c *call) scaleAt(i int, element tensor.DType, d []int, axis int) (*quantizing, error) {
	scale, err := c.needed(i)
	if err != nil {
		return nil, err
	}
	zero, err := c.constantArg(i + 1)
	if err != nil {
		return nil, err
	}
	return newQuantizing(scale, zero, element, d, axis)
}

// typeAt returns the type of activations whose scale an input is.
func (c *call) typeAt(i int, element tensor.DType) (kernels.Type, error) {
	q, err := c.scaleAt(i, element, nil, 0)
	if err != nil {
		return kernels.Type{}, err
	}
	return q.activations()
}

// element returns the type of integers with a scale and no zero point: the zero point is 0.
func (c *call) element(o *operand) tensor.DType {
	if c.shapes[o.layer].Type.Zero == 128 {
		return tensor.I8
	}
	return tensor.U8
}

func quantizeLinear(c *call) (*operand, error) {
	c.ignore("output_dtype", "saturate", "precision")
	element, err := c.node.outputElement()
	if err != nil {
		return nil, err
	}
	q, err := c.quantizing(element)
	if err != nil {
		return nil, err
	}
	o := c.args[0]
	if o.constant != nil {
		if o.constant.quant != nil || o.constant.isInteger() {
			return nil, fmt.Errorf("tensor %s: it has integers, expected floating-point numbers", o.constant.name)
		}
		q.integers = true
		return &operand{constant: o.constant.with(q)}, nil
	}
	t, err := q.activations()
	if err != nil {
		return nil, err
	}
	if o.integers {
		return nil, errIntegers
	}
	converted, err := c.as(o.layer, t)
	if err != nil {
		return nil, err
	}
	return &operand{layer: converted, dims: o.dims, integers: true}, nil
}

func dequantizeLinear(c *call) (*operand, error) {
	c.ignore("output_dtype")
	o := c.args[0]
	if o.constant != nil {
		return c.dequantizeConstant(o.constant)
	}
	q, err := c.quantizing(c.element(o))
	if err != nil {
		return nil, err
	}
	t, err := q.activations()
	if err != nil {
		return nil, err
	}
	return c.dequantize(o, t)
}

// dequantize returns what the integers of an operand stand for if they are of type t. It must be the type that the
// layer that computes them has given them.
func (c *call) dequantize(o *operand, t kernels.Type) (*operand, error) {
	if !o.integers {
		return nil, errors.New("it reads floating-point numbers as integers")
	}
	if own := c.shapes[o.layer].Type; own != t {
		return nil, fmt.Errorf("it reads %v as %v, expected the scale and zero point that they were quantized with", own, t)
	}
	return &operand{layer: o.layer, dims: o.dims}, nil
}

// dequantizeConstant makes numbers of integers.
func (c *call) dequantizeConstant(k *constant) (*operand, error) {
	q, err := c.quantizing(k.stored.DType)
	if err != nil {
		return nil, err
	}
	if made := k.quant; made != nil { // by QuantizeLinear
		if !made.integers || !made.equal(q) {
			return nil, fmt.Errorf("tensor %s: it has been quantized otherwise", k.name)
		}
	} else if k.err == nil && !isQuantized(k.stored.DType) {
		return nil, fmt.Errorf("tensor %s: values are %v, expected integers", k.name, k.stored.DType)
	}
	return &operand{constant: k.with(q)}, nil
}

func isQuantized(t tensor.DType) bool { return isInteger(t) && t != tensor.I64 }

// A QLinear operator is another one between DequantizeLinear and QuantizeLinear.

// dequantizedAt returns an input, with a scale and a zero point behind it, as what the integers stand for.
func (c *call) dequantizedAt(i int) (*operand, error) {
	o, err := c.data(i)
	if err != nil {
		return nil, err
	}
	t, err := c.typeAt(i+1, c.element(o))
	if err != nil {
		return nil, err
	}
	return c.dequantize(o, t)
}

// between lowers the node as another operator of args, whose result becomes integers with the scale that
// an input is.
func (c *call) between(op func(*call) (*operand, error), scale int, args ...*operand) (*operand, error) {
	t, err := c.typeAt(scale, tensor.U8)
	if err != nil {
		return nil, err
	}
	c.args, c.to = args, t
	out, err := op(c)
	if err != nil {
		return nil, err
	}
	converted, err := c.as(out.layer, t)
	return &operand{layer: converted, dims: out.dims, integers: true}, err
}

func qlinearConv(c *call) (*operand, error) {
	x, err := c.dequantizedAt(0)
	if err != nil {
		return nil, err
	}
	w, err := c.needed(3)
	if err != nil {
		return nil, err
	}
	q, err := c.scaleAt(4, w.stored.DType, w.dims, 0)
	if err != nil {
		return nil, err
	}
	if !q.symmetric() {
		return nil, fmt.Errorf("weights %s have other zero points than 0, or 128 for U8", w.name)
	}
	args := []*operand{x, {constant: w.with(q)}}
	b, err := c.constantArg(8)
	if err != nil {
		return nil, err
	}
	if b != nil {
		// Its integers have the scale of the products.
		products := &quantizing{element: tensor.I32, scales: q.scales, factor: c.shapes[x.layer].Type.Scale}
		args = append(args, &operand{constant: b.with(products)})
	}
	return c.between(conv, 6, args...)
}

func qlinearAdd(c *call) (*operand, error) {
	a, err := c.dequantizedAt(0)
	if err != nil {
		return nil, err
	}
	b, err := c.dequantizedAt(3)
	if err != nil {
		return nil, err
	}
	return c.between(addition, 6, a, b)
}

func qlinearConcat(c *call) (*operand, error) {
	var args []*operand
	for i := 2; i < len(c.args); i += 3 {
		o, err := c.dequantizedAt(i)
		if err != nil {
			return nil, err
		}
		args = append(args, o)
	}
	return c.between(concat, 0, args...)
}

func qlinearGlobalAveragePool(c *call) (*operand, error) {
	c.expect("channels_last", 0)
	o, err := c.dequantizedAt(0)
	if err != nil {
		return nil, err
	}
	return c.between(globalAveragePool, 3, o)
}
