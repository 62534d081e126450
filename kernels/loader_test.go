package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/workers"
)

// loaderAlgorithms are the algorithms that NewLoader has.
var loaderAlgorithms = []string{"direct", "winograd"}

// loaderCases are convolutions of many kinds, of images that are large enough for Winograd's algorithm.
func loaderCases() []convCase {
	return []convCase{
		conv(9, 8, 13, 37, 1, 1, 0, 1),
		conv(9, 8, 13, 37, 3, 1, 1, 1),
		conv(9, 8, 36, 22, 3, 1, 1, 2),
		conv(9, 11, 6, 9, 5, 1, 2, 3),
		conv(9, 8, 5, 7, 1, 1, 1, 1),
		conv(19, 17, 3, 20, 7, 2, 0, 1),
		conv(24, 26, 3, 17, 11, 4, 2, 1),
		conv(1, 1, 30, 50, 1, 1, 0, 1),
		conv(6, 6, 5, 40, 6, 1, 0, 1),
	}
}

// flipped returns the weights that LoadTransposed packs for a convolution of shape s.
func flipped(s kernels.ConvShape, weights []float32) []float32 {
	in, out, taps := s.In/s.Groups, s.Out/s.Groups, s.KH*s.KW
	values := make([]float32, s.Weights())
	for g := range s.Groups {
		for o := range out {
			for i := range in {
				for tap := range taps {
					values[((g*out+o)*in+i)*taps+tap] = weights[((g*in+i)*out+o)*taps+taps-1-tap]
				}
			}
		}
	}
	return values
}

// TestLoader: a Conv into which weights are loaded gives the bits of one that NewConv packed, whatever was
// loaded before; loading allocates nothing.
func TestLoader(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range loaderCases() {
			for _, algo := range loaderAlgorithms {
				p := c.problem()
				loader, err := kernels.NewLoader(set, algo, p)
				if err != nil {
					t.Fatal(err)
				}
				src := random(1, c.n, c.h, c.w, c.In).in(layout{halo: c.Pad.Max()})
				src.zeros = kernels.Pad(c.Pad.Max())
				in := src.view(make([]float32, src.size()))
				oh, ow := c.OutSize(c.h, c.w)
				dst, want := kernels.NewView(kernels.Type{}, c.n, oh, ow, c.Out, 0), kernels.NewView(kernels.Type{}, c.n, oh, ow, c.Out, 0)
				task, err := loader.Bind(dst, in, 1)
				if err != nil {
					t.Fatal(err)
				}
				for i, bias := range [][]float32{kerneltest.Random(3, c.Out), nil} {
					weights := kernels.Weights{Values: kerneltest.Random(uint64(4+i), c.Weights()), Bias: bias}
					for _, transposed := range []bool{false, true} {
						packed, load := weights, loader.Load
						if transposed {
							packed = kernels.Weights{Values: flipped(c.ConvShape, weights.Values)}
							load = loader.LoadTransposed
							if bias != nil {
								weights.Bias = make([]float32, c.In)
								for i := range weights.Bias {
									weights.Bias[i] = 1 // ignored
								}
							}
						}
						conv, err := kernels.NewConv(set, loader.Algorithm(), p, packed)
						if err != nil {
							t.Fatal(err)
						}
						if conv.Algorithm() != loader.Algorithm() || conv.Bytes() != loader.Bytes() {
							t.Errorf("%v: NewLoader makes %s of %d bytes, NewConv %s of %d", c, loader.Algorithm(), loader.Bytes(), conv.Algorithm(), conv.Bytes())
						}
						reference, err := conv.Bind(want, in, 1)
						if err != nil {
							t.Fatal(err)
						}
						run(reference, 1)
						if n := testing.AllocsPerRun(1, func() { err = load(weights) }); err != nil || n != 0 {
							t.Errorf("%v, %s, transposed %t: loading allocates %v times (%v)", c, algo, transposed, n, err)
						}
						run(task, 1)
						if got, want := digest(values(dst)), digest(values(want)); got != want {
							t.Errorf("%v, %s, weights %d, transposed %t: digest %s, want %s", c, algo, i, transposed, got, want)
						}
					}
				}
			}
		}
	})
}

// TestLoaderErrors: only float32 values have a Loader, and only weights that fit are loaded.
func TestLoaderErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	p := conv(9, 8, 6, 4, 3, 1, 1, 2).problem()
	half := p
	half.WeightsType = kernels.Float16Weights
	_, err = kernels.NewLoader(set, "direct", half)
	checkError(t, "float16", err, []string{"f32", "f16"})
	_, err = kernels.NewLoader(set, "direct", qconv(conv(9, 8, 6, 4, 3, 1, 1, 1), 0, 0).problem())
	checkError(t, "quantized", err, []string{"u8", "f32"})
	_, err = kernels.NewLoader(set, "fast", p)
	checkError(t, "algorithm", err, []string{"fast"})
	_, err = kernels.NewLoader(set, "direct", kernels.Problem{})
	checkError(t, "problem", err, []string{"In is 0"})
	for _, algo := range []string{"rows", "sparse", kernels.Auto} {
		loader, err := kernels.NewLoader(set, algo, p)
		if err != nil || loader.Algorithm() != kernels.Pick(set, p) {
			t.Errorf("NewLoader(%s) is for %v (%v), want the pick", algo, loader.Algorithm(), err)
		}
		checkError(t, "weights", loader.Load(kernels.Weights{Values: make([]float32, 5)}), []string{"5 weights", "4×3×3×3"})
		checkError(t, "transposed weights", loader.LoadTransposed(kernels.Weights{Values: make([]float32, 5)}), []string{"5 weights", "6×2×3×3"})
		checkError(t, "transposed biases", loader.LoadTransposed(kernels.Weights{Values: make([]float32, 108), Bias: make([]float32, 4)}), []string{"4 biases", "6"})
	}
}

// inputGradient returns the gradient of a convolution's input by its definition: each product of an output is a
// product of the output's gradient.
func inputGradient(s kernels.ConvShape, h, w int, grad kernels.View, weights []float32) (out, abs []float64) {
	out, abs = make([]float64, grad.N*h*w*s.In), make([]float64, grad.N*h*w*s.In)
	in, outs := s.In/s.Groups, s.Out/s.Groups
	for n := range grad.N {
		for y := range grad.H {
			for x := range grad.W {
				for o, g := range kernels.Pixel[float32](grad, n, y, x) {
					for i := range in {
						for kh := range s.KH {
							for kw := range s.KW {
								iy, ix := y*s.Stride-s.Pad.Top+kh, x*s.Stride-s.Pad.Left+kw
								if iy < 0 || iy >= h || ix < 0 || ix >= w {
									continue
								}
								d := float64(g) * float64(weights[((o*in+i)*s.KH+kh)*s.KW+kw])
								at := ((n*h+iy)*w+ix)*s.In + o/outs*in + i
								out[at] += d
								abs[at] += math.Abs(d)
							}
						}
					}
				}
			}
		}
	}
	return out, abs
}

// testInputGradient computes the gradient of the input by the transposed convolution, and compares it with
// inputGradient.
func testInputGradient(t *testing.T, set *kernels.Set, c convCase) {
	t.Run(c.String(), func(t *testing.T) {
		oh, ow := c.OutSize(c.h, c.w)
		if oh < 1 || ow < 1 {
			_, _, err := c.Transposed(c.h, c.w)
			checkError(t, c.String(), err, []string{"at least one window"})
			return
		}
		grad := random(2, c.n, oh, ow, c.Out)
		weights := kerneltest.Random(3, c.Weights())
		want, abs := inputGradient(c.ConvShape, c.h, c.w, grad.dense(), weights)
		s, crop, err := c.Transposed(c.h, c.w)
		if err != nil {
			if checkError(t, c.String(), err, []string{"no window"}); slices.Max(abs) > 0 {
				t.Errorf("%v: %v, but some inputs have a gradient", c, err)
			}
			return
		}

		dilated := tensor{n: c.n, h: (oh-1)*c.Stride + 1, w: (ow-1)*c.Stride + 1, c: c.Out, layout: layout{halo: s.Pad.Max()}}
		src := dilated.view(make([]float32, dilated.size()))
		dilate, err := kernels.BindDilate(src, grad.dense(), c.Stride, 2)
		if err != nil {
			t.Fatal(err)
		}
		run(dilate, 2)
		src = src.Crop(crop)
		loader, err := kernels.NewLoader(set, "direct", kernels.Problem{ConvShape: s, H: src.H, W: src.W})
		if err != nil {
			t.Fatal(err)
		}
		if err := loader.LoadTransposed(kernels.Weights{Values: weights}); err != nil {
			t.Fatal(err)
		}
		out := tensor{n: c.n, h: c.h, w: c.w, c: c.In}
		dst := out.view(make([]float32, out.size()))
		task, err := loader.Bind(dst, src, 1)
		if err != nil {
			t.Fatal(err)
		}
		run(task, 1)
		kerneltest.Compare(t, "gradient", dst, want, kerneltest.SumBound(s.K(), abs))
	})
}

// TestTransposed has all paddings that a kernel can have and more, so that windows lie in them, strides that
// are larger than the kernel, and images of all sizes.
func TestTransposed(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, k := range [][2]int{{1, 1}, {3, 3}, {2, 3}, {1, 3}} {
			for stride := 1; stride <= 3; stride++ {
				for _, pad := range []kernels.Padding{{}, kernels.Pad(1), {Top: 2, Right: 1}, {Left: 2, Bottom: 3}, {Bottom: 1}} {
					for _, size := range [][2]int{{1, 1}, {2, 3}, {4, 5}, {7, 6}} {
						testInputGradient(t, set, convCase{
							ConvShape: kernels.ConvShape{In: 3, Out: 5, KH: k[0], KW: k[1], Stride: stride, Pad: pad, Groups: 1},
							n:         1, h: size[0], w: size[1],
						})
					}
				}
			}
		}
		for _, c := range loaderCases() {
			c.n = 2
			testInputGradient(t, set, c)
		}
	})
}

// TestTransposedErrors: a shape without outputs has no transposed one.
func TestTransposedErrors(t *testing.T) {
	_, _, err := kernels.ConvShape{}.Transposed(5, 5)
	checkError(t, "empty", err, []string{"In is 0"})
	_, _, err = kernels.ConvShape{In: 1, Out: 1, KH: 3, KW: 3, Stride: 1, Groups: 1}.Transposed(2, 5)
	checkError(t, "small", err, []string{"2×5", "3×3"})
}

// TestDilate: pixels are stride apart, with zeros between them and behind the last, in all layouts.
func TestDilate(t *testing.T) {
	for stride := 1; stride <= 4; stride++ {
		for i, l := range layouts {
			src := random(1, 2, 3, 2, 5)
			dst := tensor{n: 2, h: 2*stride + 1 + i%stride, w: stride + 1 + (i+1)%stride, c: 5}
			want := make([]float64, dst.n*dst.h*dst.w*dst.c)
			for j, v := range src.values {
				c, x, y, n := j%5, j/5%2, j/5/2%3, j/5/2/3
				want[((n*dst.h+y*stride)*dst.w+x*stride)*5+c] = float64(v)
			}
			exercise(t, 2, dst.in(l), []tensor{src.in(layouts[(i+1)%len(layouts)])},
				func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
					return kernels.BindDilate(dst, srcs[0], stride, 2)
				},
				func(side string, got kernels.View) {
					kerneltest.Compare(t, fmt.Sprintf("stride %d, %s", stride, side), got, want, nil)
				})
		}
	}
	view := func(n, h, w, c int) kernels.View { return kernels.NewView(kernels.Type{}, n, h, w, c, 0) }
	for _, c := range []struct {
		dst, src kernels.View
		stride   int
		want     []string
	}{
		{view(1, 5, 6, 2), view(1, 3, 3, 2), 2, nil},
		{view(1, 7, 6, 2), view(1, 3, 3, 2), 2, []string{"1×7×6×2", "1×3×3×2", "2 pixels"}},
		{view(1, 5, 6, 2), view(1, 3, 3, 3), 2, []string{"1×3×3×3"}},
		{view(1, 5, 6, 2), view(2, 3, 3, 2), 2, []string{"images"}},
		{view(1, 5, 6, 2), view(1, 3, 3, 2), 0, []string{"stride is 0"}},
	} {
		_, err := kernels.BindDilate(c.dst, c.src, c.stride, 1)
		checkError(t, fmt.Sprintf("%v to %v", c.src, c.dst), err, c.want)
	}
}

// TestCrop: what Crop leaves has the elements that it had, and it refuses to leave nothing.
func TestCrop(t *testing.T) {
	v := random(1, 2, 5, 6, 3).dense()
	w := v.Crop(kernels.Padding{Top: 1, Left: 2, Bottom: 3, Right: 0})
	if w.H != 1 || w.W != 4 {
		t.Fatalf("%v is left", w)
	}
	for n := range 2 {
		for x := range 4 {
			if kernels.At[float32](w, n, 0, x, 2) != kernels.At[float32](v, n, 1, x+2, 2) {
				t.Errorf("pixel (%d, 0, %d) is another one than before", n, x)
			}
		}
	}
	for _, p := range []kernels.Padding{{Top: -1}, {Top: 2, Bottom: 3}, {Left: 6}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Crop(%v) of %v does not panic", p, v)
				}
			}()
			v.Crop(p)
		}()
	}
}
