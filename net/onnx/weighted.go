package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"firebench/kernels"
	"firebench/net/layer"
)

// conv appends a convolution.
func conv(c *call) (*operand, error) {
	o, in, err := c.image(0)
	if err != nil {
		return nil, err
	}
	w, err := c.needed(1)
	if err != nil {
		return nil, err
	}
	if w.err != nil {
		return nil, fmt.Errorf("tensor %s: %w", w.name, w.err)
	}
	d := w.dims
	if len(d) != 4 || w.elems() == 0 {
		return nil, fmt.Errorf("weights %s are %s, expected 4 dimensions, none of 0", w.name, dims(d))
	}
	groups := c.int("group", 1)
	if groups < 1 || groups > in.C || d[1] != in.C/groups || in.C%groups != 0 {
		return nil, fmt.Errorf("weights %s are %s, expected %d/%d input channels", w.name, dims(d), in.C, groups)
	}
	if kernel := c.ints("kernel_shape", 2, 1, 0); kernel[0] != 0 && !slices.Equal(kernel, d[2:]) {
		return nil, fmt.Errorf("kernel_shape is %d, but weights %s are %s", kernel, w.name, dims(d))
	}
	win, err := c.windowed(in, d[2], d[3])
	if err != nil {
		return nil, err
	}
	l := layer.Conv{Out: d[0], Kernel: win.kernel, KernelW: win.kernelW, Stride: win.stride, Pad: win.pad, Groups: one(groups)}
	p := &params{weights: w, out: d[0], alpha: 1}
	if err := c.bias(p, 2); err != nil {
		return nil, err
	}
	return c.weighted(l, p, o)
}

// bias adds an input, a constant for each channel, to p, if it is there.
func (c *call) bias(p *params, arg int) error {
	b, err := c.constantArg(arg)
	if err != nil || b == nil {
		return err
	}
	if b.err == nil && (b.elems() != p.out || len(b.dims) != 1) {
		return fmt.Errorf("bias %s is %s, expected %d", b.name, dims(b.dims), p.out)
	}
	p.steps = append(p.steps, step{add: b, factor: 1})
	return nil
}

// weighted appends a layer with weights. It computes with quantized values if its input and its weights are
// quantized, and its result will be.
func (c *call) weighted(l interface {
	layer.Weighted
	layer.Typed
}, p *params, o *operand) (*operand, error) {
	var out *operand
	var err error
	if q := p.weights.quant; q != nil && q.integers {
		return nil, fmt.Errorf("weights %s are integers, expected those of DequantizeLinear", p.weights.name)
	} else if q != nil && !p.perChannel() {
		return nil, fmt.Errorf("weights %s have scales for axis %d, expected that of the output channels", p.weights.name, q.axis)
	} else if q != nil && c.dequantized(o) {
		p.quantized = q.symmetric() && p.alpha == 1
	}
	if p.quantized {
		out, err = c.typed(l, o)
	} else {
		out, err = c.layer(l, o)
	}
	if err != nil {
		return nil, err
	}
	p.quantized = p.quantized && c.shapes[out.layer].Type != kernels.Type{}
	s := l.ConvShape(c.shapes[o.layer])
	p.dims = [4]int{s.Out, s.In / s.Groups, s.KH, s.KW}
	c.params[out.layer] = p
	return out, nil
}

// matrix returns an input that is a matrix with k rows or, if transposed, columns, the inputs of a
// dense layer.
func (c *call) matrix(arg, k int, transposed bool) (*constant, error) {
	w, err := c.needed(arg)
	if err != nil {
		return nil, err
	}
	if w.err != nil {
		return nil, fmt.Errorf("tensor %s: %w", w.name, w.err)
	}
	d := w.dims
	axis := 0
	if transposed {
		axis = 1
	}
	if len(d) != 2 || d[axis] != k || w.elems() == 0 {
		return nil, fmt.Errorf("weights %s are %s, expected 2 dimensions, of which number %d is %d", w.name, dims(d), axis, k)
	}
	return w, nil
}

// row returns an input that is one row of numbers, and how many.
func (c *call) row(i int) (*operand, int, error) {
	o, err := c.data(i)
	if err != nil {
		return nil, 0, err
	}
	rank := len(o.dims)
	if rank < 1 || slices.ContainsFunc(o.dims[:rank-1], func(d int) bool { return d != 1 }) {
		return nil, 0, fmt.Errorf("input %d is %s, expected one row", i, dims(o.dims))
	}
	return o, o.dims[rank-1], nil
}

func gemm(c *call) (*operand, error) {
	o, k, err := c.row(0)
	if err != nil {
		return nil, err
	}
	if len(o.dims) != 2 {
		return nil, fmt.Errorf("input 0 is %s, expected two dimensions", dims(o.dims))
	}
	c.expect("transA", 0)
	transposed := c.int("transB", 0) != 0
	if c.err != nil {
		return nil, c.err
	}
	w, err := c.matrix(1, k, transposed)
	if err != nil {
		return nil, err
	}
	alpha, beta := c.floatAttribute("alpha", 1), c.floatAttribute("beta", 1)
	p := &params{weights: w, transposed: !transposed, alpha: float64(alpha)}
	p.out = w.dims[1]
	if transposed {
		p.out = w.dims[0]
	}
	b, err := c.constantArg(2)
	if err != nil {
		return nil, err
	}
	if b != nil {
		if b.err == nil && !broadcast(b, []int{1, p.out}, 1) {
			return nil, fmt.Errorf("bias %s is %s, expected %d", b.name, dims(b.dims), p.out)
		}
		p.steps = append(p.steps, step{add: b, factor: float64(beta)})
	}
	return c.dense(p, o, []int{1, p.out})
}

func matMul(c *call) (*operand, error) {
	o, k, err := c.row(0)
	if err != nil {
		return nil, err
	}
	w, err := c.matrix(1, k, false)
	if err != nil {
		return nil, err
	}
	p := &params{weights: w, transposed: true, alpha: 1, out: w.dims[1]}
	d := slices.Clone(o.dims)
	d[len(d)-1] = p.out
	return c.dense(p, o, d)
}

// dense appends a dense layer whose result has those dimensions in the file.
func (c *call) dense(p *params, o *operand, d []int) (*operand, error) {
	out, err := c.weighted(layer.Dense{Out: p.out}, p, o)
	if err != nil {
		return nil, err
	}
	out.dims = d
	return out, nil
}

// broadcast reports whether the values of b are one, or one for each index of an axis of dimensions d.
func broadcast(b *constant, d []int, axis int) bool {
	own := b.dims
	if len(own) > len(d) {
		return false
	}
	for i, n := range own {
		at := len(d) - len(own) + i
		if n != 1 && (at != axis || n != d[axis]) {
			return false
		}
	}
	return true
}

// addConstant adds a constant to the biases of the layer that computes an input.
func (c *call) addConstant(arg int, b *constant) (*operand, error) {
	o, p, err := c.foldable(arg)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, errors.New("adding a constant is supported behind Conv, Gemm and MatMul whose result nothing else reads")
	}
	if b.err == nil && !broadcast(b, o.dims, c.channelAxis(o)) {
		return nil, fmt.Errorf("constant %s is %s, expected one number for each channel of %s", b.name, dims(b.dims), dims(o.dims))
	}
	return o, p.step(step{add: b, factor: 1})
}

// foldable returns an input, and the weights of the layer that computes it if the node can become part
// of them.
func (c *call) foldable(arg int) (*operand, *params, error) {
	o, err := c.data(arg)
	if err != nil {
		return nil, nil, err
	}
	p := c.params[o.layer]
	name := c.node.inputs[arg]
	if !o.fresh || c.outputs[name] || len(c.readers[name]) != 1 {
		p = nil
	}
	return o, p, nil
}

func batchNormalization(c *call) (*operand, error) {
	c.expect("spatial", 1)
	c.expect("training_mode", 0)
	c.ignore("momentum", "is_test", "consumed_inputs")
	o, p, err := c.foldable(0)
	if err != nil {
		return nil, err
	}
	axis := c.channelAxis(o)
	if axis != 1 {
		return nil, fmt.Errorf("input 0 is %s, expected N×C×H×W", dims(o.dims))
	}
	s := step{factor: 1, epsilon: float64(c.floatAttribute("epsilon", 1e-5))}
	for i, dst := range []**constant{&s.scale, &s.add, &s.mean, &s.variance} {
		k, err := c.needed(i + 1)
		if err != nil {
			return nil, err
		}
		if k.err == nil && (len(k.dims) != 1 || k.elems() != o.dims[axis]) {
			return nil, fmt.Errorf("input %d is %s, expected %d", i+1, dims(k.dims), o.dims[axis])
		}
		*dst = k
	}
	if p != nil && !p.quantized {
		return o, p.step(s)
	}
	// A convolution with one weight for each channel computes it as well.
	channels := o.dims[axis]
	out, err := c.layer(layer.Conv{Out: channels, Kernel: 1, Groups: channels}, o)
	if err != nil {
		return nil, err
	}
	out.dims = o.dims
	c.params[out.layer] = &params{out: channels, dims: [4]int{channels, 1, 1, 1}, alpha: 1, steps: []step{s}}
	return out, nil
}

// step adds what is done to the sums of a layer.
func (p *params) step(s step) error {
	if len(p.steps) == maxSteps {
		return fmt.Errorf("more than %d nodes would become part of the layer before them", maxSteps)
	}
	p.steps = append(p.steps, s)
	return nil
}

// share finds layers that use the same weights.
func (im *importer) share() error {
	const most = 4
	type key struct {
		weights    *constant
		transposed bool
		dims       [4]int
		alpha      float64
		quantized  bool
		steps      [most]step
	}
	owners := map[key]string{}
	for i := range im.model.Nodes {
		n := &im.model.Nodes[i]
		p := im.params[n.Name]
		if p == nil {
			continue
		}
		k := key{weights: p.weights, transposed: p.transposed, dims: p.dims, alpha: p.alpha, quantized: p.quantized}
		if copy(k.steps[:], p.steps) == len(p.steps) {
			if owner, ok := owners[k]; ok {
				n.Weights = owner
				delete(im.params, n.Name)
				continue
			}
			owners[k] = n.Name
		}
		from := p.weights
		if from == nil {
			from = p.steps[0].scale
		}
		if from.uses++; from.uses > maxUses {
			return fmt.Errorf("tensor %s: more than %d layers have weights of their own from it", from.name, maxUses)
		}
	}
	return nil
}

// params are the weights and biases of a layer.
type params struct {
	weights    *constant // nil: each is 1
	transposed bool      // the file has the weights of an input side by side
	dims       [4]int    // as of a graph.Param
	out        int       // dims[0]
	alpha      float64   // by which the weights are multiplied
	steps      []step    // what is done to the sum, in order
	quantized  bool      // the layer computes with the integers of the weights
}

// A step is what is done to the outputs of a layer: x is multiplied, if there is a scale, and has a number
// added:
//
//	(x − mean)/√(variance + epsilon)·scale + add·factor
type step struct {
	add                   *constant
	factor                float64
	scale, mean, variance *constant
	epsilon               float64
}

// perChannel reports whether the scales of the weights are one, or one for each output channel.
func (p *params) perChannel() bool {
	q := p.weights.quant
	axis := 0
	if p.transposed {
		axis = 1
	}
	return len(q.scales) == 1 || q.axis == axis
}

// load reads the weights into the memory of w.
func (p *params) load(w kernels.Weights) (kernels.Weights, error) {
	var err error
	w.Scales = nil
	if p.weights == nil {
		w.Values = slices.Repeat([]float32{1}, p.out)
	} else {
		var scales []float32
		if w.Values, scales, err = p.weights.load(w.Values, p.out, p.transposed); err != nil {
			return w, err
		}
		if p.quantized {
			w.Scales = scales
		}
	}
	factors, biases := slices.Repeat([]float64{p.alpha}, p.out), make([]float64, p.out)
	for _, s := range p.steps {
		if err := s.apply(factors, biases); err != nil {
			return w, err
		}
	}
	k := len(w.Values) / p.out
	for o, f := range factors {
		if f == 1 {
			continue
		}
		channel := w.Values[o*k:][:k]
		for i := range channel {
			channel[i] = float32(float64(channel[i]) * f)
		}
	}
	w.Bias = slices.Grow(w.Bias[:0], p.out)
	for _, b := range biases {
		w.Bias = append(w.Bias, float32(b))
	}
	for o, v := range w.Bias {
		if v-v != 0 || factors[o]-factors[o] != 0 {
			return w, fmt.Errorf("bias %d is %g, expected a finite number", o, v)
		}
	}
	return w, nil
}

// apply changes a layer's factors of weights, and biases.
func (s step) apply(factors, biases []float64) error {
	if s.scale != nil {
		var values [3][]float64
		for i, c := range []*constant{s.scale, s.mean, s.variance} {
			var err error
			if values[i], err = c.numbers(); err != nil {
				return err
			}
		}
		for o := range factors {
			f := values[0][o] / math.Sqrt(values[2][o]+s.epsilon)
			factors[o] *= f
			biases[o] = (biases[o] - values[1][o]) * f
		}
	}
	add, err := s.add.numbers()
	if err != nil {
		return err
	}
	for o := range biases {
		biases[o] += add[min(o, len(add)-1)] * s.factor
	}
	return nil
}
