package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"firebench/net/tensor"
)

// What follows moves no number: the result is the same constant, or the same layer's result, with other
// dimensions. Layers check the dimensions of what they read.

// reshaped returns input 0 with other dimensions.
func (c *call) reshaped(d []int) (*operand, error) {
	o := c.args[0]
	if c.err != nil {
		return nil, c.err
	}
	if o.constant != nil {
		k := o.constant
		if !slices.Equal(d, k.dims) && (k.swapped || k.quant != nil && len(k.quant.scales) > 1) {
			return nil, fmt.Errorf("tensor %s: it changes the dimensions of a transposed matrix, or of numbers that are quantized for each channel", k.name)
		}
		return &operand{constant: k.shaped(d)}, nil
	}
	if len(d) == 0 || d[0] != 1 {
		return nil, fmt.Errorf("it makes %s of %s, expected that the images of a batch stay apart", dims(d), dims(o.dims))
	}
	name := c.node.inputs[0]
	return &operand{layer: o.layer, dims: d, integers: o.integers, fresh: o.fresh && !c.outputs[name] && len(c.readers[name]) == 1}, nil
}

// shape returns the dimensions of input 0.
func (c *call) shape() []int {
	if k := c.args[0].constant; k != nil {
		if k.err != nil {
			c.fail(fmt.Errorf("tensor %s: %w", k.name, k.err))
		}
		return k.dims
	}
	return c.args[0].dims
}

func identity(c *call) (*operand, error) { return c.reshaped(c.shape()) }

// cast is between types of floating-point numbers.
func cast(c *call) (*operand, error) {
	to := c.int("to", 0)
	c.ignore("saturate")
	if t, ok := elements[int64(to)]; !ok || isInteger(t) {
		return nil, fmt.Errorf("it casts to type %d, expected floating-point numbers", to)
	}
	if o := c.args[0]; o.integers || o.constant != nil && (o.constant.isInteger() && o.constant.quant == nil) {
		return nil, errors.New("it casts integers, expected floating-point numbers")
	}
	return identity(c)
}

func flatten(c *call) (*operand, error) {
	d := c.shape()
	axis := c.axis(1, len(d))
	if axis < 0 || axis > len(d) {
		return nil, fmt.Errorf("axis is %d of %s", axis, dims(d))
	}
	return c.reshaped([]int{product(d[:axis]), product(d[axis:])})
}

// product returns the product of dimensions. That of an operand does not overflow, as it has that many values.
func product(d []int) int {
	n := 1
	for _, v := range d {
		n *= v
	}
	return n
}

func reshape(c *call) (*operand, error) {
	k, err := c.needed(1)
	if err != nil {
		return nil, err
	}
	want, err := k.ints()
	if err != nil {
		return nil, err
	}
	from := c.shape()
	zeros := c.int("allowzero", 0) != 0
	fail := func() (*operand, error) { return nil, fmt.Errorf("it makes %d of %s", want, dims(from)) }
	if len(want) > maxDims {
		return fail()
	}
	d, rest := make([]int, len(want)), -1
	known := 1
	for i, v := range want {
		switch {
		case v == -1 && rest < 0:
			rest = i
			continue
		case v == 0 && !zeros && i < len(from):
			v = int64(from[i])
		case v < 1 || v > math.MaxInt32:
			return fail()
		}
		if d[i] = int(v); int64(known)*v > math.MaxInt32 {
			return fail()
		}
		known *= d[i]
	}
	if n := product(from); rest >= 0 {
		if known == 0 || n%known != 0 {
			return fail()
		}
		d[rest] = n / known
	} else if known != n {
		return fail()
	}
	return c.reshaped(d)
}

// axes returns the attribute or the input axes, each in 0…rank-1, and whether there is one.
func (c *call) axes(rank int) (axes []int, ok bool, err error) {
	var list []int64
	a, k := c.attribute("axes"), (*constant)(nil)
	if k, err = c.constantArg(1); err != nil {
		return nil, false, err
	}
	switch {
	case k != nil:
		if list, err = k.ints(); err != nil {
			return nil, false, err
		}
	case a != nil:
		list = a.ints
	default:
		return nil, false, nil
	}
	for _, v := range list {
		if v < 0 {
			v += int64(rank)
		}
		if v < 0 || v >= int64(rank) || slices.Contains(axes, int(v)) {
			return nil, false, fmt.Errorf("axes are %d, expected some of %d dimensions, each once", list, rank)
		}
		axes = append(axes, int(v))
	}
	return axes, true, nil
}

func squeeze(c *call) (*operand, error) {
	from := c.shape()
	axes, ok, err := c.axes(len(from))
	if err != nil {
		return nil, err
	}
	var d []int
	for i, n := range from {
		drop := slices.Contains(axes, i)
		if drop && n != 1 {
			return nil, fmt.Errorf("it drops dimension %d of %s", i, dims(from))
		}
		// The batch stays, as it need not be 1.
		if !drop && (ok || n != 1 || i == 0 && c.args[0].constant == nil) {
			d = append(d, n)
		}
	}
	return c.reshaped(d)
}

func unsqueeze(c *call) (*operand, error) {
	from := c.shape()
	n := len(from)
	if a := c.attribute("axes"); a != nil {
		n += len(a.ints)
	} else if k, err := c.constantArg(1); err != nil {
		return nil, err
	} else if k != nil {
		n += k.elems()
	}
	if n > maxDims {
		return nil, fmt.Errorf("%d dimensions, expected at most %d", n, maxDims)
	}
	axes, ok, err := c.axes(n)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errors.New("no axes")
	}
	d := make([]int, n)
	for _, a := range axes {
		d[a] = 1
	}
	for i := range d {
		if d[i] == 0 && !slices.Contains(axes, i) {
			d[i], from = from[0], from[1:]
		}
	}
	return c.reshaped(d)
}

// transpose may move only dimensions of 1, but swaps those of a matrix of constants.
func transpose(c *call) (*operand, error) {
	from := c.shape()
	perm := make([]int, len(from))
	for i := range perm {
		perm[i] = len(from) - 1 - i
	}
	if c.attribute("perm") != nil {
		perm = c.ints("perm", len(from), 0, 0)
	}
	d, last := make([]int, len(from)), -1
	seen := make([]bool, len(from))
	for i, p := range perm {
		if p >= len(from) || seen[p] {
			return nil, fmt.Errorf("perm is %d, expected a permutation of %d dimensions", perm, len(from))
		}
		seen[p] = true
		if d[i] = from[p]; d[i] == 1 {
			continue
		}
		if k := c.args[0].constant; k != nil && len(from) == 2 && p < last {
			return &operand{constant: k.swap()}, c.err
		}
		if p < last {
			return nil, fmt.Errorf("perm is %d of %s, expected that it moves dimensions of 1 only", perm, dims(from))
		}
		last = p
	}
	return c.reshaped(d)
}

// constantNode is a constant among the nodes.
func constantNode(c *call) (*operand, error) {
	if a := c.attribute("value"); a != nil && a.tensor != nil {
		k := a.tensor
		if k.name == "" {
			k.name = label(c.node.outputs[0])
		}
		return &operand{constant: k}, nil
	}
	values := func(dtype tensor.DType, d []int, values ...uint64) (*operand, error) {
		var b littleEndian
		for _, v := range values {
			b = b.append(v, dtype.Size())
		}
		return &operand{constant: &constant{data: &data{name: label(c.node.outputs[0]), stored: tensor.Stored{DType: dtype, Dims: d, File: b}}, dims: d}}, nil
	}
	if a := c.attribute("value_float"); a != nil {
		return values(tensor.F32, nil, uint64(math.Float32bits(a.float)))
	}
	if a := c.attribute("value_int"); a != nil {
		return values(tensor.I64, nil, uint64(a.int))
	}
	if a := c.attribute("value_floats"); a != nil {
		var bits []uint64
		for _, v := range a.floats {
			bits = append(bits, uint64(math.Float32bits(v)))
		}
		return values(tensor.F32, []int{len(bits)}, bits...)
	}
	if a := c.attribute("value_ints"); a != nil {
		var bits []uint64
		for _, v := range a.ints {
			bits = append(bits, uint64(v))
		}
		return values(tensor.I64, []int{len(bits)}, bits...)
	}
	return nil, errors.New("it has no value of numbers")
}
