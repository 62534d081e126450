package graph_test

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/net/graph"
	"firebench/net/layer"
)

// checkNodes compares the value of every node of p with what package ref computes from the values
// that p has for the node's inputs. p was compiled with w and KeepAll, and run. Of convolutions with
// more than wholeMACs multiply-adds, only samples are compared. Quantized values are compared by the
// numbers that they stand for: a result must be the one that is closest to the reference.
func checkNodes(t *testing.T, p *graph.Plan, w stored, wholeMACs int) {
	t.Helper()
	m := p.Model()
	infos, err := m.Infer()
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string) kernels.View {
		v, ok := p.Node(name)
		if !ok {
			t.Fatalf("node %s: KeepAll did not keep it", name)
		}
		return v
	}
	algos := map[string]string{}
	for _, s := range p.Steps() {
		algos[s.Name] = s.Algo
	}
	for i, n := range infos {
		names := m.Nodes[i].Inputs
		if len(names) == 0 {
			names = []string{graph.Input}
			if i > 0 {
				names[0] = infos[i-1].Name
			}
		}
		var src []kernels.View
		for _, name := range names {
			src = append(src, floats(value(name)))
		}
		dst := value(n.Name)
		kerneltest.ZeroHalo(t, n.Name, dst)
		relu := rectified(p, infos[i:])
		what := n.Name + " (" + n.Layer.Op() + ")"
		compare := func(want []float64, bound func(i int) float64) {
			t.Helper()
			compareStored(t, what, dst, want, bound)
		}
		exact := func(want []float64) { t.Helper(); kerneltest.Compare(t, what, floats(dst), want, nil) }

		switch l := n.Layer.(type) {
		case layer.Weighted:
			c := convCheck{what: what, shape: l.ConvShape(n.In[0]), dst: dst, src: src[0], weights: w[n.Name].Values, bias: w[n.Name].Bias, relu: relu}
			if in := n.In[0].Type; in != (kernels.Type{}) {
				c.quantize(in)
			} else if algos[n.Name] == "winograd" {
				c.winograd = largest(dense(src[0]))
			}
			if n.Cost.MACs*int64(dst.N) <= int64(wholeMACs) {
				c.whole(t)
			} else {
				c.samples(t, rand.New(rand.NewPCG(3, uint64(i))))
			}
		case layer.MaxPool:
			exact(ref.MaxPool(poolShape(layer.AvgPool{Kernel: l.Kernel, KernelW: l.KernelW, Stride: l.Stride, Pad: l.Pad, Ceil: l.Ceil}), src[0]))
		case layer.AvgPool:
			s := poolShape(l)
			want, abs := ref.AvgPool(s, src[0])
			compare(want, kerneltest.SumBound(s.KH*s.KW, abs))
		case layer.GlobalAvgPool:
			want, abs := ref.AvgPool(kernels.PoolShape{}, src[0])
			compare(want, kerneltest.SumBound(src[0].H*src[0].W, abs))
		case layer.LRN:
			// A sum of Size squares, times a constant, plus one, to the power 3/4 by three
			// roots and a product, and a division.
			want := ref.LRN(kernels.LRNShape(l), src[0])
			kerneltest.Compare(t, what, dst, want, kerneltest.RelativeBound(l.Size+8, want))
		case layer.Softmax:
			// The difference from the largest logit is rounded, and exp turns the
			// absolute error into a relative one.
			want := ref.Softmax(src[0])
			spread := largest(dense(src[0]))
			kerneltest.Compare(t, what, dst, want, kerneltest.RelativeBound(4+int(2*spread), want))
		case layer.ReLU:
			want := dense(src[0])
			for i, v := range want {
				want[i] = max(v, 0)
			}
			exact(want)
		case layer.Add:
			want, b := dense(src[0]), dense(src[1])
			for i := range want {
				want[i] = float64(float32(want[i] + b[i]))
				if relu {
					want[i] = max(want[i], 0)
				}
			}
			compare(want, func(int) float64 { return 0 })
		case layer.Quantize:
			compare(dense(src[0]), func(int) float64 { return 0 })
		case layer.Dropout, layer.Dequantize:
			exact(dense(src[0]))
		case layer.Mul:
			want, b := dense(src[0]), dense(src[1])
			for i := range want {
				want[i] = float64(float32(want[i] * b[i]))
			}
			exact(want)
		case layer.Slice:
			exact(dense(src[0].Channels(l.First, l.C)))
		case layer.Concat:
			c := 0
			for i, s := range src {
				kerneltest.Compare(t, what+" of "+names[i], floats(dst.Channels(c, s.C)), dense(s), nil)
				c += s.C
			}
		default:
			t.Fatalf("%s: no reference for %T", what, l)
		}
	}
}

// compareStored is kerneltest.Compare for got of any type. A quantized value must be the closest one to
// want that there is.
func compareStored(t *testing.T, what string, got kernels.View, want []float64, bound func(i int) float64) {
	t.Helper()
	if got.Type != (kernels.Type{}) {
		low, high := float64(got.Scale)*float64(0-got.Zero), float64(got.Scale)*float64(255-got.Zero)
		want = slices.Clone(want)
		for i := range want {
			want[i] = min(max(want[i], low), high)
		}
		exact := bound
		// Half a step, and the rounding of a number of steps to float32, before and after.
		bound = func(i int) float64 { return exact(i) + float64(got.Scale)*(0.5+1e-4) }
	}
	kerneltest.Compare(t, what, floats(got), want, bound)
}

// poolShape returns the shape of a pooling layer.
func poolShape(l layer.AvgPool) kernels.PoolShape {
	return kernels.PoolShape{
		KH: l.Kernel, KW: cmp.Or(l.KernelW, l.Kernel), Stride: cmp.Or(l.Stride, 1),
		Pad: l.Pad, Ceil: l.Ceil, ExcludePad: l.ExcludePad,
	}
}

// rectified reports whether a ReLU was fused into the first of nodes: the two then have the same
// memory.
func rectified(p *graph.Plan, nodes []graph.Info) bool {
	v, _ := p.Node(nodes[0].Name)
	for _, n := range nodes[1:] {
		if _, ok := n.Layer.(layer.ReLU); ok {
			if r, _ := p.Node(n.Name); same(r, v) {
				return true
			}
		}
	}
	return false
}

// A convCheck is a convolution and its result, which is to be checked.
type convCheck struct {
	what          string
	shape         kernels.ConvShape
	dst, src      kernels.View
	weights, bias []float32
	relu          bool
	winograd      float64   // the largest absolute input if Winograd's algorithm computed dst in float32, or 0
	biasStep      []float64 // of quantized biases
}

// quantize replaces the weights by those that are used with inputs of type in.
func (c *convCheck) quantize(in kernels.Type) {
	c.weights = slices.Clone(c.weights)
	k := c.shape.K()
	for o := range c.shape.Out {
		w := c.weights[o*k : (o+1)*k]
		scale := max(slices.Max(w), -slices.Min(w)) / 127
		if scale == 0 {
			scale = 1
		}
		for i, v := range w {
			w[i] = float32(math.RoundToEven(float64(v/scale))) * scale
		}
		c.biasStep = append(c.biasStep, float64(in.Scale*scale))
	}
}

// whole checks all outputs.
func (c convCheck) whole(t *testing.T) {
	t.Helper()
	want, abs := ref.Conv(c.shape, c.src, c.weights, c.bias, c.relu)
	bound := kerneltest.SumBound(c.shape.K()+1, abs)
	if c.winograd > 0 {
		bound = c.winogradBound(abs)
	}
	if sums := bound; c.biasStep != nil {
		bound = func(i int) float64 { return sums(i) + c.biasStep[i%c.shape.Out]/2 }
	}
	compareStored(t, c.what, c.dst, want, bound)
}

// winogradBound returns the bound for results of Winograd's algorithm, the smaller of two. One is
// what kernels.WinogradBound promises for the worst data. The other is what random data stays
// below. An error in one value of a tile spreads over the whole tile, so that it depends on the
// largest sum of absolute values of all outputs.
func (c convCheck) winogradBound(abs []float64) func(i int) float64 {
	b, k := kernels.WinogradBound(c.shape), c.shape.K()
	worst := make([]float64, c.shape.Out)
	for o := range worst {
		sum := 0.0
		for _, w := range c.weights[o*k : (o+1)*k] {
			sum += math.Abs(float64(w))
		}
		worst[o] = b * (c.winograd*sum + math.Abs(float64(c.bias[o])))
	}
	typical := winogradTypical * largest(abs)
	return func(i int) float64 { return min(worst[i%len(worst)], typical) }
}

// winogradTypical bounds the error of Winograd's algorithm with random weights, relative to the
// largest sum of absolute values. Measured errors are 3e-6 with few channels, and smaller with
// many.
const winogradTypical = 1e-5

// largest returns the largest absolute value.
func largest(values []float64) float64 {
	most := 0.0
	for _, v := range values {
		most = max(most, math.Abs(v))
	}
	return most
}

// samples checks some channels of a few rows, the first and the last row among them.
func (c convCheck) samples(t *testing.T, r *rand.Rand) {
	t.Helper()
	const channels, rows = 8, 6
	out := c.shape.Out / c.shape.Groups
	width := min(channels, out)
	for i := range rows {
		y, g, c0 := r.IntN(c.dst.H), r.IntN(c.shape.Groups), r.IntN(out-width+1)
		switch i {
		case 0:
			y, g, c0 = 0, 0, 0
		case 1:
			y, g, c0 = c.dst.H-1, c.shape.Groups-1, out-width
		}
		c.row(y, g, c0, width).whole(t)
	}
}

// row returns row y of the output, in the width channels of group g from c0 on, as a convolution
// of its own. It has no padding, as its input includes the halo that c reads.
func (c convCheck) row(y, g, c0, width int) convCheck {
	s := c.shape
	in, out := s.In/s.Groups, s.Out/s.Groups
	first, k := g*out+c0, s.K()

	p := c
	p.shape = kernels.ConvShape{In: in, Out: width, KH: s.KH, KW: s.KW, Stride: s.Stride, Groups: 1}
	p.weights = c.weights[first*k : (first+width)*k]
	p.bias = c.bias[first : first+width]
	if c.biasStep != nil {
		p.biasStep = c.biasStep[first : first+width]
	}
	p.dst = c.dst.Channels(first, width)
	p.dst.Offset = p.dst.Index(0, y, 0, 0)
	p.dst.H, p.dst.Halo = 1, 0
	p.src = c.src.Channels(g*in, in)
	p.src.Offset = p.src.Index(0, y*s.Stride-s.Pad.Top, -s.Pad.Left, 0)
	p.src.H, p.src.W, p.src.Halo = s.KH, s.Pad.Left+c.src.W+s.Pad.Right, 0
	return p
}
