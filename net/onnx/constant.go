package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"firebench/kernels"
	"firebench/net/tensor"
)

// A constant is a tensor of the file, most often weights. It stays in the file until somebody reads it.
type constant struct {
	*data
	dims    []int
	swapped bool        // it is a matrix that is stored with rows and columns swapped
	quant   *quantizing // what DequantizeLinear or QuantizeLinear made of it, or nil
}

// data are the values of all constants that have been made from a tensor.
type data struct {
	name   label
	stored tensor.Stored
	err    error     // why they cannot be read
	uses   int       // layers that have them as weights of their own
	values []float64 // if they are in memory, see floats

	// What has been found out about values, as any number of nodes may ask.
	areScales bool
	sameAs    map[*data]bool
}

// A quantizing says which integers the numbers of a constant are.
type quantizing struct {
	element  tensor.DType // of the integers: U8, I8 or I32
	scales   []float64    // one, or one for each index of the axis
	zeros    []float64    // as many, or none for 0
	factor   float32      // of all scales, if it is not 0
	axis     int
	integers bool // what the file has is the integers, not the numbers that they stand for

	scale, zero *data // where scales and zeros are from
}

// shaped returns the constant with other dimensions.
func (c *constant) shaped(d []int) *constant {
	s := *c
	s.dims = d
	return &s
}

// swap returns a matrix with rows and columns swapped.
func (c *constant) swap() *constant {
	s := c.shaped([]int{c.dims[1], c.dims[0]})
	s.swapped = !c.swapped
	if c.quant != nil {
		q := *c.quant
		q.axis = 1 - q.axis
		s.quant = &q
	}
	return s
}

// with returns the constant with other numbers, which q says.
func (c *constant) with(q *quantizing) *constant {
	s := *c
	s.quant = q
	return &s
}

// floats returns the values of a small constant, which must be finite. They stay in memory, as many nodes may
// read the same scale.
func (c *constant) floats() ([]float64, error) {
	if c.err != nil {
		return nil, fmt.Errorf("tensor %s: %w", c.name, c.err)
	}
	if c.quant != nil {
		return nil, fmt.Errorf("tensor %s: it is quantized, expected plain numbers", c.name)
	}
	if c.values != nil {
		return c.values, nil
	}
	values, err := tensor.Load[float64](c.stored, nil)
	if err != nil {
		return nil, fmt.Errorf("tensor %s: %w", c.name, err)
	}
	for i, v := range values {
		if v-v != 0 {
			return nil, c.notFinite(i, v)
		}
	}
	c.values = values
	return values, nil
}

func (c *constant) notFinite(i int, v float64) error {
	return fmt.Errorf("tensor %s: value %d is %g, expected a finite number", c.name, i, v)
}

// elems returns the number of values.
func (c *constant) elems() int {
	n := 1
	for _, d := range c.dims {
		n *= d
	}
	return n
}

// scalar returns the only value of a constant.
func (c *constant) scalar() (float64, error) {
	if c.err == nil && c.elems() != 1 {
		return 0, fmt.Errorf("tensor %s: shape is %s, expected one value", c.name, dims(c.dims))
	}
	values, err := c.floats()
	if err != nil {
		return 0, err
	}
	return values[0], nil
}

// ints returns the values of a constant of a few integers.
func (c *constant) ints() ([]int64, error) {
	if c.err == nil && (c.stored.DType != tensor.I64 && c.stored.DType != tensor.I32 || c.elems() > maxList) {
		return nil, fmt.Errorf("tensor %s: it is %s of %v, expected a few integers", c.name, dims(c.dims), c.stored.DType)
	}
	values, err := c.floats()
	if err != nil {
		return nil, err
	}
	var ints []int64
	for _, v := range values {
		ints = append(ints, int64(v))
	}
	return ints, nil
}

// load reads the constant as weights of out output channels, O×…, into dst. If transposed, the file has them as
// …×O. scales are those of the channels if the weights are quantized, and nil otherwise.
func (c *constant) load(dst []float32, out int, transposed bool) (values, scales []float32, err error) {
	fail := func(err error) ([]float32, []float32, error) {
		return nil, nil, fmt.Errorf("tensor %s: %w", c.name, err)
	}
	if c.err != nil {
		return fail(c.err)
	}
	if transposed != c.swapped {
		values, err = c.transposed(dst)
	} else {
		values, err = tensor.Load(c.stored, dst)
	}
	if err != nil {
		return fail(err)
	}
	for i, v := range values {
		if v-v != 0 {
			return nil, nil, c.notFinite(i, float64(v))
		}
	}
	if c.quant == nil {
		return values, nil, nil
	}
	k := len(values) / out
	scales = make([]float32, out)
	for o := range out {
		scale, zero := c.quant.of(o)
		scales[o] = float32(scale)
		channel := values[o*k:][:k]
		for i, v := range channel {
			if !c.isInteger() {
				v = float32(c.quant.quantize(float64(v), o))
			}
			channel[i] = (v - float32(zero)) * scales[o]
		}
	}
	return values, scales, nil
}

// quantize returns the integer that QuantizeLinear makes of a number at an index of the axis.
func (q *quantizing) quantize(v float64, i int) float64 {
	low, high := 0.0, 255.0
	if q.element == tensor.I8 {
		low, high = -128, 127
	}
	scale, zero := q.of(i)
	return min(max(math.RoundToEven(float64(float32(v)/float32(scale)))+zero, low), high)
}

// isInteger reports whether the file has integers.
func (c *constant) isInteger() bool { return isInteger(c.stored.DType) }

func isInteger(t tensor.DType) bool {
	return slices.Contains([]tensor.DType{tensor.U8, tensor.I8, tensor.I32, tensor.I64}, t)
}

// transposed loads a stored matrix and turns its columns into rows, some rows at a time.
func (c *constant) transposed(dst []float32) ([]float32, error) {
	rows, cols := c.dims[0], c.dims[1]
	if c.swapped {
		rows, cols = cols, rows
	}
	if cap(dst) < rows*cols {
		dst = make([]float32, rows*cols)
	}
	dst = dst[:rows*cols]
	const block = 64
	var part []float32
	for from := 0; from < rows; from += block {
		n := min(block, rows-from)
		s := c.stored
		s.Dims = []int{n, cols}
		s.Offset += int64(from) * int64(cols) * int64(s.DType.Size())
		var err error
		if part, err = tensor.Load(s, part); err != nil {
			return nil, err
		}
		for col := range cols {
			row := dst[col*rows+from:][:n]
			for i := range row {
				row[i] = part[i*cols+col]
			}
		}
	}
	return dst, nil
}

// of returns scale and zero point of an index of the axis.
func (q *quantizing) of(i int) (scale, zero float64) {
	if len(q.scales) == 1 {
		i = 0
	}
	if q.zeros != nil {
		zero = q.zeros[i]
	}
	scale = q.scales[i]
	if q.factor != 0 {
		scale = float64(q.factor * float32(scale))
	}
	return scale, zero
}

// symmetric reports whether the integers are int8 with a zero point of 0, or uint8 with 128, as the
// kernels need them.
func (q *quantizing) symmetric() bool {
	switch q.element {
	case tensor.U8:
		return q.zero != nil && q.zero.all(128)
	case tensor.I8:
		return q.zero == nil || q.zero.all(0)
	}
	return false
}

// all reports whether all values, which are in memory, are v.
func (d *data) all(v float64) bool {
	if d.values[0] != v {
		return false
	}
	return d.same(d, func() bool {
		return !slices.ContainsFunc(d.values, func(other float64) bool { return other != v })
	})
}

// same returns what compare says of d and another tensor, which it asks once.
func (d *data) same(other *data, compare func() bool) bool {
	result, ok := d.sameAs[other]
	if !ok {
		result = compare()
		if d.sameAs == nil {
			d.sameAs = map[*data]bool{}
		}
		d.sameAs[other] = result
	}
	return result
}

// equal reports whether two quantizings are the same.
func (q *quantizing) equal(other *quantizing) bool {
	equal := func(a, b *data) bool {
		return a == b || a != nil && b != nil && a.same(b, func() bool { return slices.Equal(a.values, b.values) })
	}
	return q.element == other.element && (q.axis == other.axis || len(q.scales) == 1) && equal(q.scale, other.scale) && equal(q.zero, other.zero)
}

// newQuantizing reads the scale and the zero point of a QuantizeLinear or DequantizeLinear of numbers of
// those dimensions; zero may be nil, and element is then the type of the integers.
func newQuantizing(scale, zero *constant, element tensor.DType, d []int, axis int) (*quantizing, error) {
	q := &quantizing{element: element, axis: axis}
	var err error
	if q.scales, err = scale.floats(); err != nil {
		return nil, err
	}
	if len(q.scales) == 0 {
		return nil, fmt.Errorf("tensor %s: no scale", scale.name)
	}
	for i, s := range q.scales {
		if scale.areScales {
			break
		}
		if !(s >= 0) || s > 0 && float32(s) == 0 || math.IsInf(float64(float32(s)), 0) {
			return nil, fmt.Errorf("tensor %s: scale %d is %g, expected a positive number", scale.name, i, s)
		}
	}
	scale.areScales = true
	q.scale = scale.data
	if zero != nil {
		if q.element = zero.stored.DType; !zero.isInteger() {
			return nil, fmt.Errorf("tensor %s: zero points of %v, expected U8, I8 or I32", zero.name, q.element)
		}
		if q.zeros, err = zero.floats(); err != nil {
			return nil, err
		}
		q.zero = zero.data
		if len(q.zeros) != len(q.scales) {
			return nil, fmt.Errorf("tensor %s: %d zero points, expected as many as scales, %d", zero.name, len(q.zeros), len(q.scales))
		}
	}
	if len(q.scales) == 1 {
		return q, nil
	}
	if q.axis < 0 {
		q.axis += len(d)
	}
	if q.axis < 0 || q.axis >= len(d) || d[q.axis] != len(q.scales) {
		return nil, fmt.Errorf("tensor %s: %d scales do not fit axis %d of %s", scale.name, len(q.scales), axis, dims(d))
	}
	return q, nil
}

// activations returns the type of activations that are quantized so. Those with int8 become uint8: both
// integers and zero point are 128 more.
func (q *quantizing) activations() (kernels.Type, error) {
	if len(q.scales) != 1 {
		return kernels.Type{}, fmt.Errorf("%d scales of activations, expected 1", len(q.scales))
	}
	scale, zero := q.of(0)
	t := kernels.Type{Element: kernels.Uint8, Scale: float32(scale), Zero: int32(zero)}
	switch q.element {
	case tensor.I8:
		t.Zero += 128
	case tensor.U8:
	default:
		return t, fmt.Errorf("activations of %v, expected U8 or I8", q.element)
	}
	if t.Scale == 0 {
		return t, errors.New("a scale of 0, expected a positive number")
	}
	return t, t.Check()
}

// numbers is floats of a constant that may be dequantized.
func (c *constant) numbers() ([]float64, error) {
	if c.quant == nil {
		return c.floats()
	}
	if c.quant.integers {
		return nil, fmt.Errorf("tensor %s: it has integers, expected those of DequantizeLinear", c.name)
	}
	integers, err := c.with(nil).floats()
	if err != nil {
		return nil, err
	}
	if len(c.quant.scales) != 1 && len(c.dims) != 1 {
		return nil, fmt.Errorf("tensor %s: %d scales of %s, expected one or one for each value", c.name, len(c.quant.scales), dims(c.dims))
	}
	values := make([]float64, len(integers))
	for i, q := range integers {
		if !c.isInteger() {
			q = c.quant.quantize(q, i)
		}
		scale, zero := c.quant.of(i)
		values[i] = (q - zero) * scale
	}
	return values, nil
}

// bound is scalar for a number that may be infinite.
func (c *constant) bound() (float64, error) {
	if c.err == nil && c.quant == nil && c.elems() == 1 {
		values, err := tensor.Load[float64](c.stored, nil)
		if err == nil && values[0] == values[0] {
			return values[0], nil
		}
	}
	return c.scalar()
}
