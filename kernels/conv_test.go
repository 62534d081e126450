package kernels_test

import (
	"fmt"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/workers"
)

// A convCase is a convolution of n images of h×w pixels, for any algorithm.
type convCase struct {
	kernels.ConvShape
	n, h, w int
	relu    bool
}

func (c convCase) String() string {
	s := fmt.Sprintf("%dx%dx%dx%d_k%dx%ds%dp%vg%d_%d", c.n, c.h, c.w, c.In, c.KH, c.KW, c.Stride, c.Pad, c.Groups, c.Out)
	if c.relu {
		s += "_relu"
	}
	return s
}

// conv returns the case of one image and a kernel of k×k taps.
func conv(h, w, in, out, k, stride, pad, groups int) convCase {
	return convCase{
		ConvShape: kernels.ConvShape{In: in, Out: out, KH: k, KW: k, Stride: stride, Pad: kernels.Pad(pad), Groups: groups},
		n:         1, h: h, w: w,
	}
}

// zeros returns the padding that a source must hold around its images: none for a 1×1 kernel with
// stride 1.
func (c convCase) zeros() kernels.Padding {
	if c.Halo() == 0 {
		return kernels.Padding{}
	}
	return c.Pad
}

// output returns the shape of the convolution's output, as a tensor without values.
func (c convCase) output() tensor {
	oh, ow := c.OutSize(c.h, c.w)
	return tensor{n: c.n, h: oh, w: ow, c: c.Out}
}

// problem returns the case as an algorithm's problem.
func (c convCase) problem() kernels.Problem {
	return kernels.Problem{ConvShape: c.ConvShape, H: c.h, W: c.w, ReLU: c.relu}
}

// convData is a case's operands and the output that the reference expects.
type convData struct {
	src           tensor
	weights, bias []float32
	want, abs     []float64
}

// convCache keeps the data of cases, so that the reference is computed once for all instruction
// sets.
var convCache = map[convCase]*convData{}

func (c convCase) data() *convData {
	if d := convCache[c]; d != nil {
		return d
	}
	d := &convData{
		src:     random(1, c.n, c.h, c.w, c.In),
		weights: kerneltest.Random(2, c.Weights()),
		bias:    kerneltest.Random(3, c.Out),
	}
	d.src.zeros = c.zeros()
	d.want, d.abs = ref.Conv(c.ConvShape, d.src.dense(), d.weights, d.bias, c.relu)
	convCache[c] = d
	return d
}

// pack packs weights for images of h×w pixels with the algorithm named algo, and fails if that is
// not a candidate.
func pack(set *kernels.Set, algo string, s kernels.ConvShape, h, w int, weights, bias []float32, relu bool) (kernels.Conv, error) {
	p := kernels.Problem{ConvShape: s, H: h, W: w, ReLU: relu}
	op, err := kernels.NewConv(set, algo, p, kernels.Weights{Values: weights, Bias: bias})
	if err == nil && op.Algorithm() != algo {
		return nil, fmt.Errorf("%+v is packed for %s, asked for was %s", p, op.Algorithm(), algo)
	}
	return op, err
}

// newDirect packs weights for the direct algorithm, to be bound to images of any size.
func newDirect(set *kernels.Set, s kernels.ConvShape, weights, bias []float32, relu bool) (kernels.Conv, error) {
	return pack(set, "direct", s, 100, 100, weights, bias, relu)
}

// newWinograd packs weights for Winograd's algorithm, to be bound to images that are large enough.
func newWinograd(set *kernels.Set, s kernels.ConvShape, weights, bias []float32, relu bool) (kernels.Conv, error) {
	return pack(set, "winograd", s, 100, 100, weights, bias, relu)
}

// hasWinograd reports whether Winograd's algorithm is a candidate for the case.
func hasWinograd(set *kernels.Set, c convCase) bool {
	return slices.Contains(kernels.Candidates(set, c.problem()), "winograd")
}

// bind binds the case to a new destination, with Winograd's algorithm if that is a candidate.
func (c convCase) bind(t testing.TB, set *kernels.Set, threads int) (kernels.View, workers.Task) {
	t.Helper()
	return c.bindData(t, set, "winograd", c.data(), threads)
}

// bindData does so with the data of a case and an algorithm.
func (c convCase) bindData(t testing.TB, set *kernels.Set, algo string, d *convData, threads int) (kernels.View, workers.Task) {
	t.Helper()
	op, err := kernels.NewConv(set, algo, c.problem(), kernels.Weights{Values: d.weights, Bias: d.bias})
	if err != nil {
		t.Fatal(err)
	}
	out := c.output()
	source := d.src.in(layout{halo: c.Pad.Max()})
	dst := kernels.NewView(kernels.Type{}, c.n, out.h, out.w, out.c, 0)
	task, err := op.Bind(dst, source.view(make([]float32, source.size())), threads)
	if err != nil {
		t.Fatal(err)
	}
	return dst, task
}
