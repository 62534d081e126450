package kernels_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/workers"
)

// A qconvCase is a quantized convolution, for any algorithm.
type qconvCase struct {
	convCase
	srcZero, dstZero int32
	// extreme makes all inputs 255 or 0 and all weights -127 or 127, so that neither pairs nor sums
	// stay small.
	extreme bool
	pruned  float64 // the share of rows of weights that are zero, see prune
}

func (c qconvCase) String() string {
	return fmt.Sprintf("%v_zero%d_%d_%v_%g", c.convCase, c.srcZero, c.dstZero, c.extreme, c.pruned)
}

// qconv returns the case of a convolution with zero points.
func qconv(c convCase, srcZero, dstZero int32) qconvCase {
	return qconvCase{convCase: c, srcZero: srcZero, dstZero: dstZero}
}

func (c qconvCase) problem() kernels.Problem {
	p := c.convCase.problem()
	p.Src = kernels.Type{Element: kernels.Uint8, Scale: 0.02, Zero: c.srcZero}
	p.Dst = kernels.Type{Element: kernels.Uint8, Scale: 0.05, Zero: c.dstZero}
	return p
}

// qconvData is a case's operands and the output that it must have.
type qconvData struct {
	src, want []uint8 // NHWC
	weights   kernels.Weights
}

// data returns random operands, and the output as QLinearConv defines it, computed from the weights
// as integers.
func (c qconvCase) data() qconvData {
	r := rand.New(rand.NewPCG(1, uint64(c.K())))
	p := c.problem()
	d := qconvData{src: make([]uint8, c.n*c.h*c.w*c.In)}
	for i := range d.src {
		if d.src[i] = uint8(r.Uint32()); c.extreme {
			d.src[i] = uint8(-(d.src[i] >> 7))
		}
	}
	k := c.K()
	weights, bias := make([]int32, c.Weights()), make([]int64, c.Out)
	d.weights = kernels.Weights{Values: make([]float32, len(weights)), Bias: make([]float32, c.Out), Scales: make([]float32, c.Out)}
	for o := range c.Out {
		// Powers of two make all values exact.
		s := float32(math.Ldexp(1, -8+o%3))
		d.weights.Scales[o] = s
		for i := range k {
			w := r.Int32N(256) - 128
			if c.extreme {
				w = 127 - 254*(r.Int32N(8)/7)
			}
			d.weights.Values[o*k+i] = float32(w) * s
		}
		bias[o] = int64(r.Int32N(20000) - 10000)
		d.weights.Bias[o] = float32(bias[o]) * (p.Src.Scale * s)
	}
	if c.pruned > 0 {
		d.weights.Values = prune(c.ConvShape, d.weights.Values, "rows", 1-c.pruned)
	}
	for i, w := range d.weights.Values {
		weights[i] = int32(w / d.weights.Scales[i/k])
	}

	oh, ow := c.OutSize(c.h, c.w)
	channels, perGroup := c.In/c.Groups, c.Out/c.Groups
	for n := range c.n {
		for y := range oh {
			for x := range ow {
				for o := range c.Out {
					acc := bias[o]
					for i := range c.KH {
						for j := range c.KW {
							iy, ix := y*c.Stride+i-c.Pad.Top, x*c.Stride+j-c.Pad.Left
							if iy < 0 || ix < 0 || iy >= c.h || ix >= c.w {
								continue
							}
							for ch := range channels {
								v := int32(d.src[((n*c.h+iy)*c.w+ix)*c.In+o/perGroup*channels+ch]) - p.Src.Zero
								acc += int64(v * weights[o*k+(ch*c.KH+i)*c.KW+j])
							}
						}
					}
					scale := p.Src.Scale * d.weights.Scales[o] / p.Dst.Scale
					f := math.RoundToEven(float64(float32(int32(acc)) * scale))
					if c.relu {
						f = max(f, 0)
					}
					d.want = append(d.want, uint8(min(max(f+float64(p.Dst.Zero), 0), 255)))
				}
			}
		}
	}
	return d
}

// other is what the tests of quantized values fill memory with that must not change, or whose value
// must not matter.
const other = 0xa5

// bytesOf returns n bytes of one side of a slab, all of them other.
func (s slab) bytesOf(side, n int) []uint8 {
	b := kernels.Bytes(s[side])
	if side == 0 {
		b = b[:n:n]
	} else {
		b = b[len(b)-n:]
	}
	for i := range b {
		b[i] = other
	}
	return b
}

// qview lays a value out over memory of one side of a slab.
func qview(t kernels.Type, s slab, side int, x tensor) kernels.View {
	v := kernels.ViewOf(t, s.bytesOf(side, x.size()*t.Element.Size()), x.n, x.h+x.below, x.w+x.right, x.before+x.c+x.after, x.halo).Channels(x.before, x.c)
	v.H, v.W = x.h, x.w
	return v
}

// setPixels sets the pixels of v to values, and the pixels zeros of its halo to the zero point.
func setPixels[T kernels.Number](v kernels.View, values []T, zeros kernels.Padding) {
	for n := range v.N {
		for y := -zeros.Top; y < v.H+zeros.Bottom; y++ {
			for x := -zeros.Left; x < v.W+zeros.Right; x++ {
				px := kernels.Pixel[T](v, n, y, x)
				if y >= 0 && y < v.H && x >= 0 && x < v.W {
					values = values[copy(px, values):]
					continue
				}
				for i := range px {
					px[i] = T(v.Zero)
				}
			}
		}
	}
}

// checkPixels checks that v's memory holds the values, the zero point in the halo, and nothing
// else that was written.
func checkPixels[T kernels.Number](t *testing.T, side string, v kernels.View, values []T) {
	t.Helper()
	want := v
	want.Memory = bytes.Repeat([]byte{other}, len(v.Memory))
	setPixels(want, values, kernels.Pad(v.Halo))
	if bytes.Equal(want.Memory, v.Memory) {
		return
	}
	for n := range v.N {
		for y := range v.H {
			for x := range v.W {
				for c := range v.C {
					if got, want := kernels.At[T](v, n, y, x, c), kernels.At[T](want, n, y, x, c); got != want {
						t.Fatalf("%s: element (%d, %d, %d, %d) is %v, want %v", side, n, y, x, c, got, want)
					}
				}
			}
		}
	}
	for i, got := range v.Memory {
		if got != want.Memory[i] {
			t.Fatalf("%s: byte %d, of the halo or outside the view, is %d, want %d", side, i, got, want.Memory[i])
		}
	}
}

// exerciseQuantized is exercise for one quantized source.
func exerciseQuantized(t *testing.T, threads int, dst, src tensor, dstType, srcType kernels.Type, zeros kernels.Padding, values, want []uint8,
	bind func(dst, src kernels.View) (workers.Task, error)) {

	t.Helper()
	out, in := guarded(t, dst.size()/4+1), guarded(t, src.size()/4+1)
	var scratch []slab
	for side, name := range sides {
		got, source := qview(dstType, out, side, dst), qview(srcType, in, side, src)
		setPixels(source, values, zeros)
		task, err := bind(got, source)
		if err != nil {
			t.Fatal(err)
		}
		scratch = guardScratch(t, task, scratch, side)
		run(task, threads)
		checkPixels(t, name, got, want)
	}
}

// test compares the output of an algorithm, in the given layouts, with the definition.
func (c qconvCase) test(t *testing.T, set *kernels.Set, algo string, dst, src layout, threads int) {
	t.Run(c.String(), func(t *testing.T) {
		d, p := c.data(), c.problem()
		op, err := kernels.NewConv(set, algo, p, d.weights)
		if err != nil {
			t.Fatal(err)
		}
		if op.Algorithm() != algo {
			t.Fatalf("packed for %s, asked for was %s", op.Algorithm(), algo)
		}
		source := tensor{n: c.n, h: c.h, w: c.w, c: c.In}.in(src)
		exerciseQuantized(t, threads, c.output().in(dst), source, p.Dst, p.Src, c.zeros(), d.src, d.want,
			func(dst, src kernels.View) (workers.Task, error) { return op.Bind(dst, src, threads) })
	})
}

// TestQuantizedDirectSizes has every kernel size with strides and paddings, on one and two groups of
// channels, whose numbers are whole groups of a kernel's inputs or not.
func TestQuantizedDirectSizes(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, k := range []int{1, 2, 3, 5, 7} {
			for stride := 1; stride <= 3; stride++ {
				for _, pad := range slices.Compact([]int{0, k / 2}) {
					for i, channels := range [][2]int{{3, 1}, {8, 1}, {6, 2}, {8, 2}} {
						c := qconv(conv(9, 11, channels[0], 6, k, stride, pad, channels[1]), int32(100*(i%2)), int32(7*(k%3)))
						c.relu = stride == 2
						c.test(t, set, "direct", layout{halo: pad % 2}, layout{halo: pad}, 1)
					}
				}
			}
		}
	})
}

// TestQuantizedDirectChannels has channel counts on both sides of every tile's width, and lengths of
// strips on both sides of every tile's height.
func TestQuantizedDirectChannels(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		wide, narrow := set.U8.Conv.Wide, set.U8.Conv.Narrow
		for _, out := range kerneltest.Sizes(wide.Width, narrow.Width) {
			qconv(conv(3, 5, 5, out, 3, 1, 1, 1), 3, 0).test(t, set, "direct", layout{}, layout{halo: 1}, 2)
			qconv(conv(3, 5, 8, 2*out, 1, 1, 0, 2), 0, 9).test(t, set, "direct", layout{}, layout{}, 1)
		}
		for in := 1; in <= 9; in++ {
			qconv(conv(2, 3, in, wide.Width+1, 1, 1, 0, 1), 1, 2).test(t, set, "direct", layout{}, layout{}, 1)
		}
		for _, w := range kerneltest.Sizes(wide.Height(), narrow.Height()) {
			qconv(conv(2, w, 3, wide.Width+narrow.Width, 3, 1, 1, 1), 0, 0).test(t, set, "direct", layout{}, layout{halo: 1}, 1)
			qconv(conv(1, 8*w+1, 4, wide.Width+1, 1, 1, 0, 1), 0, 0).test(t, set, "direct", layout{}, layout{}, 2)
		}
	})
}

// TestQuantizedDirectLayouts reads from and writes to every layout, in batches, with and without
// ReLU. The kernels of some of the cases are as large as the image, as those of dense layers.
func TestQuantizedDirectLayouts(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range []convCase{
			conv(5, 6, 5, 21, 1, 1, 0, 1),
			conv(5, 6, 8, 21, 1, 1, 0, 1),
			conv(5, 6, 8, 21, 1, 1, 1, 1),
			conv(6, 7, 3, 21, 3, 1, 1, 1),
			conv(6, 7, 8, 21, 3, 2, 1, 1),
			conv(7, 6, 6, 10, 3, 1, 1, 2),
			conv(7, 6, 16, 10, 3, 1, 1, 2),
			conv(3, 3, 8, 33, 3, 1, 0, 1),
			conv(3, 3, 5, 33, 3, 1, 0, 1),
		} {
			for n := 1; n <= 2; n++ {
				c.n, c.relu = n, n == 2
				for i, dst := range layouts {
					src := layouts[(i+n)%len(layouts)]
					src.halo = max(src.halo, c.Pad.Max())
					qconv(c, 128, 50).test(t, set, "direct", dst, src, 1+i%2)
				}
			}
		}
	})
}

// TestQuantizedDirectExtremes has sums of the largest products, which pairs of int16 cannot hold.
func TestQuantizedDirectExtremes(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, zero := range []int32{0, 255} {
			c := qconv(conv(4, 5, 64, 40, 3, 1, 1, 1), zero, zero)
			c.extreme = true
			c.test(t, set, "direct", layout{}, layout{halo: 1}, 1)
		}
	})
}

// TestQuantizedFineOutputs has outputs that are so much finer than products of inputs and weights that
// the scaled sums are no int32.
func TestQuantizedFineOutputs(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		p := conv(1, 3, 2, 2, 1, 1, 0, 1).problem()
		p.Src = kernels.Type{Element: kernels.Uint8, Scale: 1, Zero: 7}
		p.Dst = kernels.Type{Element: kernels.Uint8, Scale: 1e-12, Zero: 99}
		op, err := kernels.NewConv(set, "direct", p, kernels.Weights{Values: []float32{1, 0, 0, -1}, Scales: []float32{1, 1}})
		if err != nil {
			t.Fatal(err)
		}
		src, dst := kernels.NewView(p.Src, 1, 1, 3, 2, 0), kernels.NewView(p.Dst, 1, 1, 3, 2, 0)
		copy(src.Memory, []uint8{8, 8, 7, 7, 6, 6})
		task, err := op.Bind(dst, src, 1)
		if err != nil {
			t.Fatal(err)
		}
		run(task, 1)
		if want := []uint8{255, 0, 99, 99, 0, 255}; !bytes.Equal(dst.Memory, want) {
			t.Errorf("outputs %v, want %v", dst.Memory, want)
		}
	})
}

// TestQuantizedDeadChannel: a channel with hardly any weights, but a bias, does not keep a layer from
// Winograd's algorithm.
func TestQuantizedDeadChannel(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		c := qconv(conv(12, 12, 8, 16, 3, 1, 1, 1), 0, 0)
		w := kernels.Weights{Values: kerneltest.Random(1, c.Weights()), Bias: kerneltest.Random(2, c.Out)}
		for _, dead := range []float32{0, 1e-30, 1e-8} {
			for i := range c.K() {
				w.Values[i] = dead
			}
			op, err := kernels.NewConv(set, "winograd", c.problem(), w)
			if err != nil {
				t.Fatal(err)
			}
			if op.Algorithm() != "winograd" {
				t.Errorf("weights of %g: packed for %s", dead, op.Algorithm())
			}
		}
	})
}

// TestQuantizedWeights has weights without scales, among them channels with no weights but a bias, or
// with such small ones that the bias needs a greater scale, and weights that cannot be quantized.
func TestQuantizedWeights(t *testing.T) {
	inf := float32(math.Inf(1))
	nan := float32(math.NaN())
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		c := qconv(conv(1, 1, 2, 4, 1, 1, 0, 1), 0, 10)
		p := c.problem() // from scale 0.02 to 0.05
		for _, scales := range [][]float32{nil, {0.5 / 127, 0, 0, 0}, {0, 1e-38, 1e-38, 1e-38}} {
			op, err := kernels.NewConv(set, "direct", p, kernels.Weights{
				Values: []float32{0.5, -0.25, 0, 0, 1e-30, 0, 0, 1e-40},
				Bias:   []float32{1, 2, 3, 0},
				Scales: scales,
			})
			if err != nil {
				t.Fatal(err)
			}
			src, dst := kernels.NewView(p.Src, 1, 1, 1, 2, 0), kernels.NewView(p.Dst, 1, 1, 1, 4, 0)
			copy(src.Memory, []uint8{100, 50}) // 2 and 1
			task, err := op.Bind(dst, src, 1)
			if err != nil {
				t.Fatal(err)
			}
			run(task, 1)
			// 2·0.5 - 1·0.25 + 1, 2, 3 and 0, as multiples of 0.05 from 10 on.
			if want := []uint8{10 + 35, 10 + 40, 10 + 60, 10}; !bytes.Equal(dst.Memory, want) {
				t.Errorf("scales %v: outputs %v, want %v", scales, dst.Memory, want)
			}
		}

		for _, w := range []struct {
			weights kernels.Weights
			parts   []string
		}{
			{kernels.Weights{Values: []float32{0, 0, 0, nan, 0, 0, 0, 0}}, []string{"channel 1", "a weight is NaN"}},
			{kernels.Weights{Values: []float32{0, 0, 0, 0, 0, 0, 0, -inf}}, []string{"channel 3", "a weight is -Inf"}},
			{kernels.Weights{Values: make([]float32, 8), Bias: []float32{0, 0, inf, 0}}, []string{"channel 2", "the bias is +Inf"}},
			{kernels.Weights{Values: make([]float32, 8), Scales: []float32{1, 1, 1}}, []string{"3 scales, expected 4"}},
			{kernels.Weights{Values: make([]float32, 8), Scales: []float32{1, -1, 1, 1}}, []string{"scale of channel 1 is -1"}},
			{kernels.Weights{Values: make([]float32, 8), Scales: []float32{1, 1, inf, 1}}, []string{"scale of channel 2 is +Inf"}},
		} {
			_, err := kernels.NewConv(set, "direct", p, w.weights)
			checkError(t, fmt.Sprint(w.weights), err, w.parts)
		}
	})
}

// TestQuantize checks integers that were worked out by hand, and that weights and biases made of
// integers become the same integers again.
func TestQuantize(t *testing.T) {
	p := conv(1, 1, 2, 4, 1, 1, 0, 1).problem()
	p.Src, p.Dst = u8(0.5, 3), u8(0.25, 7)
	q, err := p.Quantize(kernels.Weights{
		Values: []float32{0.75, -1, 254, 3, 0, 0, 1, -1},
		Bias:   []float32{1.125, 31, -5, 0},
		Scales: []float32{0.5, 0, 0, 0x1p-10},
	})
	if err != nil {
		t.Fatal(err)
	}
	dead := float32(5.0 / (1 << 24 * 0.5)) // the bias becomes 2²⁴
	if want := []int8{2, -2, 127, 2, 0, 0, 127, -128}; !slices.Equal(q.Values, want) {
		t.Errorf("weights %v, want %v", q.Values, want)
	}
	if want := []int32{4, 31, -1 << 24, 0}; !slices.Equal(q.Bias, want) {
		t.Errorf("biases %v, want %v", q.Bias, want)
	}
	if want := []float32{0.5, 2, dead, 0x1p-10}; !slices.Equal(q.Scales, want) {
		t.Errorf("scales %v, want %v", q.Scales, want)
	}

	p = conv(1, 1, 50, 400, 1, 1, 0, 1).problem()
	p.Src, p.Dst = u8(0.0123, 3), u8(0.0456, 7)
	w := kernels.Weights{Values: kerneltest.Random(1, p.Weights()), Bias: kerneltest.Random(2, p.Out)}
	for c := range p.Out {
		size := float32(math.Ldexp(1, -c/8)) // to 2⁻⁵⁰, beside which the bias is too large
		for i := range p.K() {
			w.Values[c*p.K()+i] *= size
		}
	}
	first, err := p.Quantize(w)
	if err != nil {
		t.Fatal(err)
	}
	w.Scales = first.Scales
	for c, s := range first.Scales {
		w.Bias[c] = float32(float64(first.Bias[c]) * float64(p.Src.Scale*s))
		for i := c * p.K(); i < (c+1)*p.K(); i++ {
			w.Values[i] = float32(first.Values[i]) * s
		}
	}
	again, err := p.Quantize(w)
	if err != nil {
		t.Fatal(err)
	}
	for c := range p.Out {
		if first.Bias[c] != again.Bias[c] || first.Scales[c] != again.Scales[c] {
			t.Errorf("channel %d: bias %d, scale %g, and again %d, %g", c, first.Bias[c], first.Scales[c], again.Bias[c], again.Scales[c])
		}
	}
	if !slices.Equal(first.Values, again.Values) {
		t.Error("the weights are others the second time")
	}

	_, err = p.Quantize(kernels.Weights{Values: w.Values[1:]})
	checkError(t, "weights", err, []string{"19999 weights, expected 20000"})
	p.Dst = kernels.Type{}
	_, err = p.Quantize(w)
	checkError(t, "float32", err, []string{"f32 from u8(scale 0.0123, zero 3), expected quantized u8 from quantized u8"})
	p.Groups = 3
	_, err = p.Quantize(w)
	checkError(t, "groups", err, []string{"3 groups do not divide"})
}
