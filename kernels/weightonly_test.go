package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"unsafe"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/scalar"
	"firebench/kernels/workers"
)

// TestWConvTiles calls every height of the tiles for float16 and int8 weights, whose bits are random:
// the largest and the smallest weights are among them, zeros of both signs and subnormal float16
// values. The results must be those of the loops of WConvFunc, bit for bit.
func TestWConvTiles(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		testWConvTiles(t, set, "f16", set.F32.F16Conv, func(bits uint32) uint16 {
			const infinity = 31 << 10
			if w := uint16(bits); w&infinity != infinity {
				return w
			}
			return uint16(bits) & (1<<15 | 1023)
		}, scalar.Float16)
		testWConvTiles(t, set, "s8", set.F32.S8Conv, func(bits uint32) int8 { return int8(bits) }, func(w int8) float32 { return float32(w) })
	})
}

func testWConvTiles[W uint16 | int8](t *testing.T, set *kernels.Set, name string, tiles kernels.Tiles[kernels.WConvFunc[W]], weight func(bits uint32) W, value func(W) float32) {
	width := tiles.Wide.Width
	if width%set.F32.Lanes != 0 || tiles.Narrow.Width != width || tiles.Group != 1 {
		t.Errorf("%s: tiles of %d and %d channels in groups of %d, %d lanes", name, width, tiles.Narrow.Width, tiles.Group, set.F32.Lanes)
	}
	for i, f := range tiles.Wide.Funcs {
		t.Run(fmt.Sprintf("%s=%dx%d", name, i+1, width), func(t *testing.T) {
			testWConvTile(t, f, i+1, width, weight, value, mulAdd(set.ISA))
		})
	}
}

// testWConvTile compares one height of a tile with the loops of WConvFunc.
func testWConvTile[W uint16 | int8](t *testing.T, f kernels.WConvFunc[W], height, width int, weight func(bits uint32) W, value func(W) float32, mulAdd func(x, y, z float32) float32) {
	const maxRuns, maxRunLen, maxTiles, gap = 3, 9, 3, 5
	values := kerneltest.Random(1, 2*maxRuns*(maxTiles*height*(maxRunLen+gap)+maxRunLen))
	panel := make([]W, maxRuns*maxRunLen*width)
	for i, v := range kerneltest.Random(2, len(panel)) {
		panel[i] = weight(math.Float32bits(v))
	}
	biases, factors := kerneltest.Random(3, width), kerneltest.Random(4, width)
	bytes := len(kernels.Bytes(values[:1]))
	dstMem := guarded(t, maxTiles*height*(width+gap))
	srcMem := guarded(t, len(values))
	weightMem := guarded(t, len(panel)*int(unsafe.Sizeof(panel[0]))/bytes)
	biasMem, scaleMem := guarded(t, width), guarded(t, width)
	offsetMem := guarded(t, 2*maxRuns)
	for runs := 1; runs <= maxRuns; runs++ {
		for runLen := 1; runLen <= maxRunLen; runLen++ {
			for tiles := 1; tiles <= maxTiles; tiles++ {
				for side := range sides {
					pixels := tiles * height
					srcStride, dstStride := runLen+runs%2*gap, width+tiles%2*gap
					lower := negInf
					if (runs+runLen+tiles)%2 == 0 {
						lower = 0
					}
					// The runs lie apart, and in no order.
					extent := (pixels-1)*srcStride + runLen
					offsets := []int{(runs - 1) * extent, 0, extent}[:runs]
					src := srcMem.load(side, values[:runs*extent])
					size := runs * runLen * width
					weights := unsafe.Slice((*W)(unsafe.Pointer(&weightMem.slice(side, size*int(unsafe.Sizeof(panel[0]))/bytes)[0])), size)
					copy(weights, panel)
					bias, scale := biasMem.load(side, biases), scaleMem.load(side, factors)
					off := offsetMem.loadInts(side, offsets)
					dst := dstMem.blank(side, (pixels-1)*dstStride+width)
					f(&dst[0], &src[0], &weights[0], &bias[0], &scale[0], &off[0], runs, runLen, srcStride, dstStride, tiles, lower)

					what := fmt.Sprintf("runs=%d runLen=%d tiles=%d lower=%v, %s", runs, runLen, tiles, lower, sides[side])
					compareRows(t, what, dst, pixels, width, dstStride, func(m, n int) float64 {
						acc, k := float32(0), 0
						for r := range runs {
							for j := range runLen {
								acc = mulAdd(src[m*srcStride+offsets[r]+j], value(weights[k*width+n]), acc)
								k++
							}
						}
						return float64(max(mulAdd(acc, scale[n], bias[n]), lower))
					}, nil)
					if t.Failed() {
						return
					}
				}
			}
		}
	}
}

// weightOnlyTypes are the types of weights that are not float32.
var weightOnlyTypes = kernels.WeightsTypes()[1:]

// rounded returns the weights of type wt that are nearest to weights, k for each channel: their values,
// and what these are multiplied by.
func rounded(wt kernels.WeightsType, weights []float32, k int) (values, scales []float32) {
	for w := range slices.Chunk(weights, k) {
		largest := 0.0
		for _, v := range w {
			largest = max(largest, math.Abs(float64(v)))
		}
		scale := float32(max(largest/127, 0x1p-126))
		if wt == kernels.Float16Weights {
			scale = float32(max(math.Exp2(math.Floor(math.Log2(largest))), 0x1p-126))
		}
		for _, v := range w {
			v := float64(v / scale)
			step := 1.0
			if wt == kernels.Float16Weights { // 11 bits, but none below 2^-24
				_, exponent := math.Frexp(v)
				step = math.Ldexp(1, max(exponent-11, -24))
			}
			values = append(values, float32(math.RoundToEven(v/step)*step))
		}
		scales = append(scales, scale)
	}
	return values, scales
}

// testWeightOnly compares a case with what the direct algorithm makes of the rounded weights, bit for bit.
func (c convCase) testWeightOnly(t *testing.T, set *kernels.Set, wt kernels.WeightsType, dst, src layout, threads int) {
	t.Run(fmt.Sprintf("%v_%v", wt, c), func(t *testing.T) {
		d, out := c.data(), c.output()
		values, scales := rounded(wt, d.weights, c.K())
		sums := kernels.NewView(kernels.Type{}, c.n, out.h, out.w, c.Out, 0)
		source := d.src.in(src)
		direct, err := newDirect(set, c.ConvShape, values, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		task, err := direct.Bind(sums, source.view(make([]float32, source.size())), 1)
		if err != nil {
			t.Fatal(err)
		}
		run(task, 1)
		var want []float64
		for i, sum := range kernels.Data[float32](sums) {
			v := mulAdd(set.ISA)(sum, scales[i%c.Out], d.bias[i%c.Out])
			if c.relu {
				v = max(v, 0)
			}
			want = append(want, float64(v))
		}

		p := c.problem()
		p.WeightsType = wt
		op, err := kernels.NewConv(set, kernels.Auto, p, kernels.Weights{Values: d.weights, Bias: d.bias})
		if err != nil {
			t.Fatal(err)
		}
		exercise(t, threads, out.in(dst), []tensor{source},
			func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
				return op.Bind(dst, srcs[0], threads)
			},
			func(side string, got kernels.View) { kerneltest.Compare(t, side, got, want, nil) })
	})
}

// TestWeightOnly has dense layers of sizes around the tiles', on one image and several, and some other
// convolutions in various layouts.
func TestWeightOnly(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, wt := range weightOnlyTypes {
			for _, size := range [][3]int{{1, 1, 1}, {1, 1, 37}, {2, 3, 5}, {6, 6, 16}} {
				for _, out := range append(kerneltest.Sizes(set.F32.F16Conv.Wide.Width), 1000) {
					c := conv(size[0], size[1], size[2], out, 0, 1, 0, 1)
					c.KH, c.KW = c.h, c.w
					for c.n = 1; c.n <= 3; c.n++ {
						c.relu = c.n == 2
						c.testWeightOnly(t, set, wt, layout{}, layout{}, c.n)
					}
					c.n, c.relu = 1, false
					c.testWeightOnly(t, set, wt, layout{}, layout{halo: 1}, 1)
				}
			}
			for i, c := range []convCase{
				conv(5, 6, 5, 21, 1, 1, 0, 1),
				conv(5, 6, 5, 21, 1, 1, 1, 1),
				conv(6, 7, 5, 21, 3, 1, 1, 1),
				conv(7, 6, 6, 10, 3, 2, 1, 2),
				conv(9, 9, 5, 5, 3, 1, 0, 5),
			} {
				for j, dst := range layouts {
					c.n, c.relu = 1+j%2, (i+j/2)%2 == 0
					c.testWeightOnly(t, set, wt, dst, layout{halo: c.Pad.Max(), before: j % 3}, 1+j%3)
				}
			}
		}
	})
}

// TestWeightOnlyExtremes: weights of all sizes that float32 has are rounded to as many bits, channel by
// channel, whatever their neighbours' are, and the packed weights' error is what Rounded says.
func TestWeightOnlyExtremes(t *testing.T) {
	const k, tiny = 64, 0x1p-149
	for _, wt := range weightOnlyTypes {
		for _, size := range []float32{1, 65504, 1e5, 3e38, 1e-4, 1e-30, 0x1p-126, 0x1p-126 - tiny, 100 * tiny, tiny, 0} {
			c := conv(1, 1, k, 2, 1, 1, 0, 1)
			w := kernels.Weights{Values: kerneltest.Random(5, 2*k)}
			largest := max(slices.Max(w.Values[:k]), -slices.Min(w.Values[:k]))
			for i := range k {
				w.Values[i] *= size / largest
			}
			values, scales := rounded(wt, w.Values, k)
			p := c.problem()
			p.WeightsType = wt
			kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
				op, err := kernels.NewConv(set, kernels.Auto, p, w)
				if err != nil {
					t.Fatal(err)
				}
				// Each input alone is 1, and 2^100 where weights are too small for products to be normal numbers.
				one := float32(1)
				if size < 1e-20 {
					one = 0x1p100
				}
				src, dst := kernels.NewView(kernels.Type{}, k, 1, 1, k, 0), kernels.NewView(kernels.Type{}, k, 1, 1, 2, 0)
				for i := range k {
					kernels.Pixel[float32](src, i, 0, 0)[i] = one
				}
				task, err := op.Bind(dst, src, 1)
				if err != nil {
					t.Fatal(err)
				}
				run(task, 1)
				errors, squares := 0.0, 0.0
				for i := range k {
					for c, got := range kernels.Pixel[float32](dst, i, 0, 0) {
						w := w.Values[c*k+i]
						if want := float32(one*values[c*k+i]) * scales[c]; got != want {
							t.Fatalf("%v, weights up to %g: channel %d has %g for %g, want %g", wt, size, c, got/one, w, want/one)
						}
						diff := float64(values[c*k+i])*float64(scales[c]) - float64(w)
						errors += diff * diff
						squares += float64(w) * float64(w)
					}
				}
				got, want := op.(kernels.Rounded).WeightsError(), math.Sqrt(errors/squares)
				if math.Abs(got-want) > 1e-12*want {
					t.Errorf("%v, weights up to %g: error %g, want %g", wt, size, got, want)
				}
			})
		}
	}
}

// TestWeightOnlyScales: int8 weights are multiples of the scale that they come with. No sum is too large
// for float32 where the weights are float16.
func TestWeightOnlyScales(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		wt   kernels.WeightsType
		w    kernels.Weights
		want float64 // the error
	}{
		{kernels.Int8Weights, kernels.Weights{Values: []float32{3, -1, 0.25, 2}}, 0.00396},
		{kernels.Int8Weights, kernels.Weights{Values: []float32{3, -1, 0.25, 2}, Scales: []float32{0.25}}, 0},
		{kernels.Int8Weights, kernels.Weights{Values: []float32{3, -1, 0.25, 2}, Scales: []float32{0}}, 0.00396},
		{kernels.Float16Weights, kernels.Weights{Values: []float32{3, -1, 0.25, 2}, Scales: []float32{7}}, 0},
		{kernels.Float16Weights, kernels.Weights{Values: []float32{1 + 0x1p-11, 0, 0, 0}}, 0x1p-11},
		{kernels.Float16Weights, kernels.Weights{Values: []float32{0, 0, 0, 0}}, 0},
		{kernels.Int8Weights, kernels.Weights{Values: []float32{0, 0, 0, 0}}, 0},
	} {
		p := conv(1, 1, 4, 1, 1, 1, 0, 1).problem()
		p.WeightsType = c.wt
		op, err := kernels.NewConv(set, kernels.Auto, p, c.w)
		if err != nil {
			t.Fatal(err)
		}
		got := op.(kernels.Rounded).WeightsError()
		if exact := c.want == 0; exact && got != 0 || !exact && (got < c.want*0.9 || got > c.want*1.1) {
			t.Errorf("%v of %+v: error %g, want about %g", c.wt, c.w, got, c.want)
		}
	}
}

// TestWeightOnlyBound: the results are as close to those of float32 weights as the rounding of the
// weights allows.
func TestWeightOnlyBound(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		c := conv(1, 1, 500, 70, 1, 1, 0, 1)
		d := c.data()
		for _, wt := range weightOnlyTypes {
			p := c.problem()
			p.WeightsType = wt
			op, err := kernels.NewConv(set, kernels.Auto, p, kernels.Weights{Values: d.weights, Bias: d.bias})
			if err != nil {
				t.Fatal(err)
			}
			dst := kernels.NewView(kernels.Type{}, 1, 1, 1, c.Out, 0)
			task, err := op.Bind(dst, d.src.dense(), 1)
			if err != nil {
				t.Fatal(err)
			}
			run(task, 1)
			kerneltest.Compare(t, wt.String(), dst, d.want, func(o int) float64 {
				w, bound := d.weights[o*c.K():][:c.K()], kerneltest.Tolerance(c.K()+1, 2*d.abs[o])
				half := float64(max(slices.Max(w), -slices.Min(w))) / 127 / 2
				for i, x := range d.src.values {
					if wt == kernels.Float16Weights {
						half = math.Abs(float64(w[i]))*0x1p-11 + 0x1p-22
					}
					bound += math.Abs(float64(x)) * half
				}
				return bound
			})
		}
	})
}

// TestWeightOnlyBytes: packed weights take a half and a quarter of what they take in float32, and
// four bytes more for each channel.
func TestWeightOnlyBytes(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		c := conv(1, 1, 300, 128, 1, 1, 0, 1)
		p := c.problem()
		for i, want := range []int64{(4*300 + 4) * 128, (2*300 + 8) * 128, (300 + 8) * 128} {
			p.WeightsType = kernels.WeightsTypes()[i]
			op, err := kernels.NewConv(set, "direct", p, kernels.Weights{Values: c.data().weights})
			if err != nil {
				t.Fatal(err)
			}
			if op.Bytes() != want || p.WeightBytes() != want {
				t.Errorf("%v: %d bytes packed, %d of the problem, want %d", p.WeightsType, op.Bytes(), p.WeightBytes(), want)
			}
			if got, want := op.Executed(), int64(300*128); got != want {
				t.Errorf("%v: %d multiply-adds, want %d", p.WeightsType, got, want)
			}
			if got := op.Problem(); got != p || op.Algorithm() != "direct" {
				t.Errorf("packed %+v for %+v with %s", got, p, op.Algorithm())
			}
		}
	})
}

// TestWeightOnlyErrors: weights that are no numbers, and types that do not exist or do not go with
// quantized values, are refused.
func TestWeightOnlyErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	c := conv(1, 1, 4, 2, 1, 1, 0, 1)
	for _, odd := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, wt := range weightOnlyTypes {
			p := c.problem()
			p.WeightsType = wt
			w := kernels.Weights{Values: make([]float32, 8)}
			w.Values[5] = float32(odd)
			_, err := kernels.NewConv(set, kernels.Auto, p, w)
			checkError(t, fmt.Sprint(wt, odd), err, []string{"convolution: channel 1: a weight is " + fmt.Sprint(odd), "finite"})
		}
	}
	p := c.problem()
	p.WeightsType = 3
	checkError(t, "unknown", p.Check(), []string{"convolution: unknown type of weights WeightsType(3)"})
	p = qconv(c, 3, 4).problem()
	p.WeightsType = kernels.Int8Weights
	checkError(t, "quantized", p.Check(), []string{"weights of type i8 for u8(", "expected f32 from f32"})
}

// TestWeightsTypeText: names are read as they are printed.
func TestWeightsTypeText(t *testing.T) {
	for i, name := range []string{"f32", "f16", "i8"} {
		var wt kernels.WeightsType
		err := wt.UnmarshalText([]byte(name))
		text, errText := wt.MarshalText()
		if err != nil || errText != nil || wt != kernels.WeightsTypes()[i] || string(text) != name {
			t.Errorf("%s: %v, %v, %v, %q", name, wt, err, errText, text)
		}
	}
	var wt kernels.WeightsType
	checkError(t, "bf16", wt.UnmarshalText([]byte("bf16")), []string{`unknown type of weights "bf16", expected one of f32, f16, i8`})
}

// TestWeightOnlyNaN: a NaN and infinities reach the outputs as from float32 weights.
func TestWeightOnlyNaN(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		c := conv(1, 1, 3, set.F32.F16Conv.Wide.Width+1, 1, 1, 0, 1)
		d := c.data()
		for _, wt := range weightOnlyTypes {
			for _, odd := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				p := c.problem()
				p.WeightsType, p.ReLU = wt, true
				values, _ := rounded(wt, d.weights, c.K())
				op, err := kernels.NewConv(set, kernels.Auto, p, kernels.Weights{Values: d.weights, Bias: d.bias})
				if err != nil {
					t.Fatal(err)
				}
				src, dst := d.src.dense(), kernels.NewView(kernels.Type{}, 1, 1, 1, c.Out, 0)
				kernels.Data[float32](src)[1] = float32(odd)
				task, err := op.Bind(dst, src, 1)
				if err != nil {
					t.Fatal(err)
				}
				run(task, 1)
				want, _ := ref.Conv(c.ConvShape, src, values, nil, true)
				kerneltest.Compare(t, fmt.Sprint(wt, odd), dst, want, nil)
			}
		}
	})
}
