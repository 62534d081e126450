package kernels_test

import (
	"bytes"
	"math"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/workers"
)

// saturated returns the output of a case whose sums of two neighbouring products saturate. Unlike the
// kernels it gathers all inputs of a window, in the order of im2col.
func (c qconvCase) saturated(d qconvData) (want []uint8) {
	p := c.problem()
	oh, ow := c.OutSize(c.h, c.w)
	channels, perGroup, k := c.In/c.Groups, c.Out/c.Groups, c.K()
	for n := range c.n {
		for y := range oh {
			for x := range ow {
				for o := range c.Out {
					var inputs, weights []int32
					for i := range c.KH {
						for j := range c.KW {
							iy, ix := y*c.Stride+i-c.Pad.Top, x*c.Stride+j-c.Pad.Left
							for ch := range channels {
								q := p.Src.Zero
								if iy >= 0 && ix >= 0 && iy < c.h && ix < c.w {
									q = int32(d.src[((n*c.h+iy)*c.w+ix)*c.In+o/perGroup*channels+ch])
								}
								inputs = append(inputs, q)
								weights = append(weights, int32(d.weights.Values[o*k+(ch*c.KH+i)*c.KW+j]/d.weights.Scales[o]))
							}
						}
					}
					product := p.Src.Scale * d.weights.Scales[o]
					acc := int32(math.RoundToEven(float64(d.weights.Bias[o] / product)))
					for i := 0; i < k; i += 2 {
						sum := inputs[i] * weights[i]
						if i+1 < k {
							sum += inputs[i+1] * weights[i+1]
						}
						acc += max(-32768, min(sum, 32767))
					}
					for _, w := range weights {
						acc -= p.Src.Zero * w
					}
					f := math.RoundToEven(float64(float32(acc) * (product / p.Dst.Scale)))
					if c.relu {
						f = max(f, 0)
					}
					want = append(want, uint8(min(max(f+float64(p.Dst.Zero), 0), 255)))
				}
			}
		}
	}
	return want
}

// TestSaturating has sums of an odd number of products, whose pairs reach over the ends of the rows of a
// window, and windows whose pixels are apart.
func TestSaturating(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		set = kernels.Saturating(set)
		differ := 0
		for _, c := range []qconvCase{
			qconv(conv(9, 11, 3, 6, 7, 2, 0, 1), 117, 0),
			qconv(conv(5, 6, 1, 4, 3, 1, 1, 1), 0, 3),
			qconv(conv(5, 6, 8, 9, 3, 1, 1, 1), 9, 0),
			qconv(conv(5, 6, 9, 8, 1, 1, 0, 1), 0, 0),
			qconv(conv(5, 6, 8, 6, 1, 1, 1, 1), 0, 0),
			qconv(conv(5, 6, 6, 10, 3, 1, 1, 2), 200, 100),
			qconv(conv(3, 3, 5, 33, 3, 1, 0, 1), 0, 0),
		} {
			for _, extreme := range []bool{false, true} {
				c.extreme, c.relu = extreme, !extreme
				t.Run(c.String(), func(t *testing.T) {
					d, p := c.data(), c.problem()
					want := c.saturated(d)
					if !bytes.Equal(want, d.want) {
						differ++
					}
					op, err := kernels.NewConv(set, kernels.Auto, p, d.weights)
					if err != nil {
						t.Fatal(err)
					}
					dst, src := c.output().in(layout{}), tensor{n: c.n, h: c.h, w: c.w, c: c.In}.in(layout{halo: c.Pad.Max()})
					exerciseQuantized(t, 2, dst, src, p.Dst, p.Src, c.zeros(), d.src, want,
						func(dst, src kernels.View) (workers.Task, error) { return op.Bind(dst, src, 2) })
				})
			}
		}
		if differ < 7 {
			t.Errorf("%d cases saturate, want 7 at least", differ)
		}
	})
}

// TestSaturatingPair has the pairs of weights and inputs from which on sums saturate.
func TestSaturatingPair(t *testing.T) {
	scalar, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		inputs  [2]uint8
		weights [2]float32
		want    float64 // the sum
	}{
		{[2]uint8{255, 255}, [2]float32{127, 127}, 32767},
		{[2]uint8{255, 255}, [2]float32{-128, -128}, -32768},
		{[2]uint8{255, 255}, [2]float32{63, 63}, 32130},
		{[2]uint8{255, 255}, [2]float32{64, 64}, 32640},
		{[2]uint8{255, 255}, [2]float32{127, -128}, -255},
		{[2]uint8{255, 3}, [2]float32{127, 127}, 32766},
		{[2]uint8{255, 4}, [2]float32{127, 127}, 32767},
		{[2]uint8{255, 1}, [2]float32{-128, -128}, -32768},
		{[2]uint8{255, 2}, [2]float32{-128, -128}, -32768},
	} {
		p := kernels.Problem{
			ConvShape: kernels.ConvShape{In: 2, Out: 1, KH: 1, KW: 1, Stride: 1, Groups: 1}, H: 1, W: 1,
			Src: kernels.Type{Element: kernels.Uint8, Scale: 1},
			Dst: kernels.Type{Element: kernels.Uint8, Scale: 1, Zero: 100},
		}
		// The bias takes all but the last part of the sum away.
		op, err := kernels.NewConv(kernels.Saturating(scalar), kernels.Auto, p, kernels.Weights{
			Values: test.weights[:], Bias: []float32{float32(-test.want)}, Scales: []float32{1},
		})
		if err != nil {
			t.Fatal(err)
		}
		src, dst := kernels.NewView(p.Src, 1, 1, 1, 2, 0), kernels.NewView(p.Dst, 1, 1, 1, 1, 0)
		copy(kernels.Pixel[uint8](src, 0, 0, 0), test.inputs[:])
		task, err := op.Bind(dst, src, 1)
		if err != nil {
			t.Fatal(err)
		}
		run(task, 1)
		if got := int(kernels.At[uint8](dst, 0, 0, 0, 0)) - 100; got != 0 {
			t.Errorf("%v·%v: the sum is %v, want %v", test.inputs, test.weights, test.want+float64(got), test.want)
		}
	}
}

// TestSaturatingFineOutputs: sums saturate as well where their products with the scale are no int32,
// for which sets that compute exactly have other kernels.
func TestSaturatingFineOutputs(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		p := conv(1, 1, 2, 1, 1, 1, 0, 1).problem()
		p.Src, p.Dst = kernels.Type{Element: kernels.Uint8, Scale: 1}, kernels.Type{Element: kernels.Uint8, Scale: 1e-12}
		w := kernels.Weights{Values: []float32{127, 127}, Bias: []float32{-40000}, Scales: []float32{1}}
		for set, want := range map[*kernels.Set]uint8{set: 255, kernels.Saturating(set): 0} { // 64770 and 32767 less 40000
			op, err := kernels.NewConv(set, "direct", p, w)
			if err != nil {
				t.Fatal(err)
			}
			src, dst := kernels.NewView(p.Src, 1, 1, 1, 2, 0), kernels.NewView(p.Dst, 1, 1, 1, 1, 0)
			copy(src.Memory, []uint8{255, 255})
			task, err := op.Bind(dst, src, 1)
			if err != nil {
				t.Fatal(err)
			}
			run(task, 1)
			if got := dst.Memory[0]; got != want {
				t.Errorf("output %d, want %d", got, want)
			}
		}
	})
}
