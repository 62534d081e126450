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

// A convCase is a convolution of n images of h×w pixels.
type convCase struct {
	kernels.ConvShape
	n, h, w int
	relu    bool
}

func (c convCase) String() string {
	s := fmt.Sprintf("%dx%dx%dx%d_k%dx%ds%dp%dg%d_%d", c.n, c.h, c.w, c.In, c.KH, c.KW, c.Stride, c.Pad, c.Groups, c.Out)
	if c.relu {
		s += "_relu"
	}
	return s
}

// conv describes a square kernel's convolution of one image.
func conv(h, w, in, out, k, stride, pad, groups int) convCase {
	return convCase{
		ConvShape: kernels.ConvShape{In: in, Out: out, KH: k, KW: k, Stride: stride, Pad: pad, Groups: groups},
		n:         1, h: h, w: w,
	}
}

// output returns the tensor that the convolution writes.
func (c convCase) output() tensor {
	oh, ow := c.OutSize(c.h, c.w)
	return tensor{n: c.n, h: oh, w: ow, c: c.Out}
}

// problem describes the case to an algorithm.
func (c convCase) problem() kernels.Problem {
	return kernels.Problem{ConvShape: c.ConvShape, H: c.h, W: c.w, ReLU: c.relu}
}

// convData is what a case computes with, and what should come out.
type convData struct {
	src           tensor
	weights, bias []float32
	want, abs     []float64
}

// convCache keeps the data of cases, so that each instruction set does not
// compute the same reference again.
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
	d.src.zeros = c.Halo()
	d.want, d.abs = ref.Conv(c.ConvShape, d.src.dense(), d.weights, d.bias, c.relu)
	convCache[c] = d
	return d
}

// pack packs weights for the problem of an h×w image with the algorithm of that name, which
// must be one of its candidates if the problem is one at all.
func pack(set *kernels.Set, algo string, s kernels.ConvShape, h, w int, weights, bias []float32, relu bool) (kernels.Conv, error) {
	p := kernels.Problem{ConvShape: s, H: h, W: w, ReLU: relu}
	op, err := kernels.NewConv(set, algo, p, weights, bias)
	if err == nil && op.Algorithm() != algo {
		return nil, fmt.Errorf("%+v is packed for %s, asked for was %s", p, op.Algorithm(), algo)
	}
	return op, err
}

// newDirect packs weights for the direct algorithm, on images of any size.
func newDirect(set *kernels.Set, s kernels.ConvShape, weights, bias []float32, relu bool) (kernels.Conv, error) {
	return pack(set, "direct", s, 100, 100, weights, bias, relu)
}

// newWinogradConv packs weights for Winograd's algorithm, on images that are large enough.
func newWinogradConv(set *kernels.Set, s kernels.ConvShape, weights, bias []float32, relu bool) (kernels.Conv, error) {
	return pack(set, "winograd", s, 100, 100, weights, bias, relu)
}

// hasWinograd reports whether Winograd's algorithm is a candidate for the case.
func hasWinograd(set *kernels.Set, c convCase) bool {
	return slices.Contains(kernels.Candidates(set, c.problem()), "winograd")
}

// bindWinograd binds the case, with Winograd's algorithm if there is one, to a new
// destination.
func (c convCase) bindWinograd(t testing.TB, set *kernels.Set, threads int) (kernels.View, workers.Task) {
	t.Helper()
	d, out := c.data(), c.output()
	op, err := kernels.NewConv(set, "winograd", c.problem(), d.weights, d.bias)
	if err != nil {
		t.Fatal(err)
	}
	source := d.src.in(layout{halo: c.Pad})
	dst := kernels.NewView(kernels.Type{}, c.n, out.h, out.w, out.c, 0)
	task, err := op.Bind(dst, source.view(make([]float32, source.size())), threads)
	if err != nil {
		t.Fatal(err)
	}
	return dst, task
}
