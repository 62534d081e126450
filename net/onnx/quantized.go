package onnx

import (
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
	axis := c.int("axis", 1)
	scale, err := c.constantArg(1)
	if err != nil {
		return nil, err
	}
	zero, err := c.constantArg(2)
	if err != nil {
		return nil, err
	}
	return newQuantizing(scale, zero, element, c.shape(), axis)
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
		return &operand{constant: &constant{o.constant.data, o.constant.dims, q}}, nil
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
	element := tensor.U8
	if zero := c.arg(2); zero == nil && c.shapes[o.layer].Type.Zero == 128 {
		element = tensor.I8 // values without zero point are those with 0
	}
	q, err := c.quantizing(element)
	if err != nil {
		return nil, err
	}
	t, err := q.activations()
	if err != nil {
		return nil, err
	}
	if err := c.expectType(o, t); err != nil {
		return nil, err
	}
	return &operand{layer: o.layer, dims: o.dims}, nil
}

// expectType returns an error unless an operand has integers, and the layer that computes it gives them
// type t.
func (c *call) expectType(o *operand, t kernels.Type) error {
	if !o.integers {
		return fmt.Errorf("it reads floating-point numbers, expected integers")
	}
	if own := c.shapes[o.layer].Type; own != t {
		return fmt.Errorf("it reads %v as %v, expected the scale and zero point that they were quantized with", own, t)
	}
	return nil
}

// dequantizeConstant makes numbers of integers.
func (c *call) dequantizeConstant(k *constant) (*operand, error) {
	q, err := c.quantizing(k.stored.DType)
	if err != nil {
		return nil, err
	}
	if made := k.quant; made != nil { // by QuantizeLinear
		if !made.integers || made.element != q.element || made.axis != q.axis {
			return nil, fmt.Errorf("tensor %s: it has been quantized otherwise", k.name)
		}
		for i := range max(len(made.scales), len(q.scales)) {
			s, z := made.of(min(i, len(made.scales)-1))
			if scale, zero := q.of(min(i, len(q.scales)-1)); s != scale || z != zero {
				return nil, fmt.Errorf("tensor %s: it has been quantized otherwise", k.name)
			}
		}
	} else if k.err == nil && !isQuantized(k.stored.DType) {
		return nil, fmt.Errorf("tensor %s: values are %v, expected integers", k.name, k.stored.DType)
	}
	return &operand{constant: &constant{k.data, k.dims, q}}, nil
}

func isQuantized(t tensor.DType) bool { return isInteger(t) && t != tensor.I64 }
