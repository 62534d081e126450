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
	"firebench/kernels/winograd"
)

// qwinogradOutputs is winogradOutputs for quantized values. Kernels with more than four taps are divided
// into subkernels of three or four, with as few products as possible.
var qwinogradOutputs = [...]int{3: 4, 4: 3, 5: 4, 6: 4, 7: 3, 8: 3, 9: 4, 10: 4, 11: 4, 12: 4}

// largeShapes are convolutions whose kernels have more taps in each phase than there are transforms for: with two
// and with three subkernels along a side, which overlap or not.
var largeShapes = []kernels.ConvShape{
	{KH: 6, KW: 6, Stride: 1, Pad: kernels.Pad(0), Groups: 1},
	{KH: 6, KW: 6, Stride: 1, Pad: kernels.Pad(3), Groups: 3},
	{KH: 7, KW: 7, Stride: 1, Pad: kernels.Pad(3), Groups: 1},
	{KH: 7, KW: 7, Stride: 1, Pad: kernels.Pad(0), Groups: 2},
	{KH: 8, KW: 8, Stride: 1, Pad: kernels.Pad(2), Groups: 1},
	{KH: 9, KW: 9, Stride: 1, Pad: kernels.Pad(4), Groups: 1},
	{KH: 10, KW: 10, Stride: 1, Pad: kernels.Pad(1), Groups: 2},
	{KH: 9, KW: 9, Stride: 2, Pad: kernels.Pad(1), Groups: 1},
	{KH: 13, KW: 13, Stride: 2, Pad: kernels.Pad(6), Groups: 1},
}

// qwinogradCase is winogradCase for quantized values; m is the number of a tile's outputs.
func qwinogradCase(s kernels.ConvShape, in, out, oh, ow, over int) (c qconvCase, m int) {
	return qconv(winogradCase(s, in, out, oh, ow, over), int32(37*(oh%3)), int32(17*(ow%4))), qwinogradOutputs[(s.KH+s.Stride-1)/s.Stride]
}

// TestQuantizedWinogradTransforms compares the transforms of a set with the loops that QTransforms
// documents them by, between guard pages. Products and biases have all values, so that sums overflow.
func TestQuantizedWinogradTransforms(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for r, k := range set.U8.Winograd {
			want := 0
			if r == 3 || r == 4 {
				want = 7 - r
			}
			if k.Outputs != want {
				t.Fatalf("Winograd[%d] has %d outputs, want %d", r, k.Outputs, want)
			}
			if k.Outputs > 0 {
				t.Run(fmt.Sprintf("taps=%d", r), func(t *testing.T) {
					a := winograd.NewInteger(k.Outputs, r)
					testQInput(t, set.U8.Input, k, a)
					testQOutput(t, set.U8.Lanes, k, a)
				})
			}
		}
	})
}

// compare fails at the first number that is not as wanted.
func compare[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	for i, v := range got {
		if v != want[i] {
			t.Fatalf("%s: value %d is %v, want %v", what, i, v, want[i])
		}
	}
}

func testQInput(t *testing.T, lanes int, k kernels.QTransforms, a *winograd.Algorithm) {
	const maxTiles, gap = 3, 3
	n, bt := a.N(), a.BT.Int()
	r := rand.New(rand.NewPCG(1, 1))
	wide := 3*lanes + gap
	srcMem, dstMem := guarded(t, n*(maxTiles*n*wide+gap)/4+1), guarded(t, n*n*(maxTiles*wide+gap)/2+1)
	for channels := lanes; channels <= 3*lanes; channels += lanes {
		for tiles := 1; tiles <= maxTiles; tiles++ {
			for round := range 4 {
				side, extra := round%2, gap*(round/2)
				pixel, tile := channels+extra, channels+extra
				step := []int{a.M, n}[round/2] * pixel
				row, matrix := tiles*n*pixel+extra, tiles*tile+extra
				src := sliceOf[uint8](srcMem, side, (n-1)*row+(tiles-1)*step+(n-1)*pixel+channels)
				for i := range src {
					src[i] = uint8(r.Uint32())
				}
				dst := sliceOf[int16](dstMem, side, (n*n-1)*matrix+(tiles-1)*tile+channels)
				want := slices.Clone(dst)
				for p := range n * n {
					for t := range tiles {
						for c := range channels {
							sum := 0
							for i, v := range bt[p/n] {
								for j, w := range bt[p%n] {
									sum += v * w * int(src[i*row+j*pixel+t*step+c])
								}
							}
							want[p*matrix+t*tile+c] = int16(sum)
						}
					}
				}
				k.Input(&dst[0], &src[0], tiles, channels, row, pixel, step, matrix, tile)
				compare(t, fmt.Sprintf("input of %d tiles × %d channels, round %d", tiles, channels, round), dst, want)
			}
		}
	}
}

func testQOutput(t *testing.T, lanes int, k kernels.QTransforms, a *winograd.Algorithm) {
	const maxTiles, gap = 3, 3
	n, m, at := a.N(), a.M, a.AT.Int()
	r := rand.New(rand.NewPCG(1, 2))
	wide := 3*lanes + gap
	srcMem, dstMem := guarded(t, n*n*(maxTiles*wide+gap)), guarded(t, m*(maxTiles*(m*wide+gap)+gap)/4+1)
	biasMem, scaleMem := guarded(t, wide), guarded(t, wide)
	for channels := lanes; channels <= 3*lanes; channels += lanes {
		for tiles := 1; tiles <= maxTiles; tiles++ {
			for round := range 8 {
				side, extra := round%2, gap*(round/2%2)
				lower, zero := int32(0), int32(0)
				if round >= 4 {
					lower, zero = int32(r.Uint32N(256)), int32(r.Uint32N(256))
				}
				tile := channels + extra
				matrix := tiles*tile + extra
				pixel := channels + extra
				step := m*pixel + extra
				row := tiles*step + extra
				src := sliceOf[int32](srcMem, side, (n*n-1)*matrix+(tiles-1)*tile+channels)
				for i := range src {
					src[i] = int32(r.Uint32())
				}
				bias, scale := sliceOf[int32](biasMem, side, channels), sliceOf[float32](scaleMem, side, channels)
				for c := range channels {
					// Values are within the bounds about half of the time, and some beyond what int16 holds.
					bias[c], scale[c] = int32(r.Uint32()), float32(math.Ldexp(1+r.Float64(), -24-c%3))
					if c%8 == 7 {
						scale[c] = math.Nextafter32(1, 0) // the product, and the zero point, exceed int32
					}
				}
				dst := sliceOf[uint8](dstMem, side, (m-1)*row+(tiles-1)*step+(m-1)*pixel+channels)
				want := slices.Clone(dst)
				for t := range tiles {
					for i := range m {
						for j := range m {
							for c := range channels {
								acc := bias[c]
								for k, v := range at[i] {
									for l, w := range at[j] {
										acc += int32(v) * int32(w) * src[(k*n+l)*matrix+t*tile+c]
									}
								}
								acc *= 0x38e38e39
								x := math.RoundToEven(float64(float32(acc)*scale[c])) + float64(zero)
								want[i*row+j*pixel+t*step+c] = uint8(min(max(x, float64(lower)), 255))
							}
						}
					}
				}
				k.Output(&dst[0], &src[0], &bias[0], &scale[0], tiles, channels, matrix, tile, row, pixel, step, lower, zero)
				compare(t, fmt.Sprintf("output of %d tiles × %d channels, round %d", tiles, channels, round), dst, want)
			}
		}
	}
}

// TestQuantizedWinogradSizes has outputs that are about as high and as wide as one and as two tiles,
// for every shape.
func TestQuantizedWinogradSizes(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, s := range slices.Concat(winogradShapes, largeShapes) {
			_, m := qwinogradCase(s, 1, 1, 9, 9, 0)
			for i, oh := range []int{m, m + 1, 2*m - 1, 2 * m, 2*m + 1, 13} {
				for j, ow := range []int{m, m + 1, 2*m - 1, 2 * m, 2*m + 1, 13} {
					if c, _ := qwinogradCase(s, 3, 5, oh, ow, i+j); c.h > 0 && c.w > 0 {
						c.relu = i%2 == 1
						if i == j {
							c.n = 2
						}
						c.test(t, set, "winograd", layout{halo: j % 2}, layout{halo: c.Pad.Max() + i%2}, 1)
					}
				}
			}
		}
	})
}

// TestQuantizedWinogradChannels has channel counts around multiples of the vectors and of every
// tile's width, and inputs that are whole groups of a product or not.
func TestQuantizedWinogradChannels(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		test := func(k, stride, pad, groups, in, out int) {
			s := kernels.ConvShape{KH: k, KW: k, Stride: stride, Pad: kernels.Pad(pad), Groups: groups}
			c, _ := qwinogradCase(s, in, out, 5, 6, 1)
			c.test(t, set, "winograd", layout{}, layout{halo: pad}, 1)
		}
		for _, out := range kerneltest.Sizes(set.U8.BatchMatMul.Wide.Width, set.U8.BatchMatMul.Narrow.Width) {
			test(3, 1, 1, 1, 5, out)
			test(3, 1, 1, 2, 8, out)
		}
		for _, in := range []int{1, 2, 15, 16, 17, 31, 32, 33, 48} {
			test(3, 1, 1, 1, in, 33)
			test(3, 1, 1, 2, in, 9)
			test(3, 1, 0, 3, in, 4)
			test(4, 1, 1, 1, in, 35)
			test(7, 2, 0, 1, in, 9)
			test(5, 1, 2, 1, in, 9)
			test(5, 1, 2, 3, in, 4)
			test(7, 1, 1, 2, in, 2)
		}
		test(3, 1, 1, 16, 3, 1) // the last group of inputs is at the end of a vector
		test(3, 1, 1, 7, 1, 1)  // depthwise
		test(5, 1, 2, 17, 1, 1)
		for in := 1; in <= 5; in++ {
			test(11, 4, 2, 1, in, 3)
			test(7, 2, 3, 1, in, 3)
		}
		test(3, 1, 1, 1, 300, 17)
	})
}

// TestQuantizedWinogradLayouts reads from and writes to every layout, in batches.
func TestQuantizedWinogradLayouts(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range []convCase{
			conv(6, 9, 5, 37, 3, 1, 0, 1),
			conv(6, 9, 18, 20, 3, 1, 1, 2),
			conv(6, 9, 16, 20, 3, 1, 1, 1),
			conv(16, 15, 3, 33, 7, 2, 1, 1),
			conv(31, 24, 2, 5, 11, 4, 0, 1),
			conv(8, 9, 5, 20, 5, 1, 0, 1),
			conv(6, 7, 16, 5, 5, 1, 2, 1),
			conv(7, 6, 32, 6, 5, 1, 1, 2),
			conv(7, 8, 16, 5, 7, 1, 3, 1),
			conv(19, 20, 2, 5, 9, 2, 0, 1),
		} {
			for n := 1; n <= 2; n++ {
				c.n, c.relu = n, n == 2
				for i, dst := range layouts {
					src := layouts[(i+n)%len(layouts)]
					src.halo = max(src.halo, c.Pad.Max())
					qconv(c, 128, 50).test(t, set, "winograd", dst, src, 1+i%2)
				}
			}
		}
	})
}

// TestQuantizedWinogradLayers has the sizes of the networks' layers, with few channels.
func TestQuantizedWinogradLayers(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, c := range []convCase{
			conv(13, 13, 48, 33, 3, 1, 1, 1),
			conv(27, 27, 16, 32, 3, 1, 1, 1),
			conv(55, 55, 16, 17, 3, 1, 1, 1),
			conv(115, 115, 3, 8, 7, 2, 0, 1),
			conv(224, 224, 3, 4, 11, 4, 2, 1),
			conv(27, 27, 16, 17, 5, 1, 2, 1),
			conv(27, 27, 96, 10, 5, 1, 2, 2),
		} {
			qconv(c, 104, 0).test(t, set, "winograd", layout{halo: 1}, layout{halo: c.Pad.Max()}, 1)
		}
	})
}

// TestQuantizedWinogradExtremes has the largest inputs, weights and transforms of them: all inputs are
// 255, or 0, and weights have the signs with which an element of a tile becomes greatest or least. There are
// two input channels, whose products are added as one pair, or as many as leave the sums in range.
func TestQuantizedWinogradExtremes(t *testing.T) {
	bt := winograd.NewInteger(4, 3).BT.Int()
	var cases []*integerCase
	for k, g := range map[int]winograd.Matrix{3: winograd.NewInteger(4, 3).G, 4: winograd.NewInteger(3, 4).G} {
		for _, in := range []int{2, 57} {
			// Images of one tile each: all 0, all 255, and 255 where an element of the inputs has a
			// positive, or a negative factor.
			c := &integerCase{ConvShape: kernels.ConvShape{In: in, Out: 2 * 36, KH: k, KW: k, Stride: 1, Groups: 1}, images: 2 + 2*36}
			for image := range c.images {
				for i := range 36 {
					f := 1 - image // of the first two images, 1 and 0
					if e := image - 2; e >= 0 {
						f = bt[e/2/6][i/6] * bt[e/2%6][i%6] * (1 - 2*(e%2))
					}
					c.src = append(c.src, bytes.Repeat([]byte{byte(255 * min(max(f, 0), 1))}, in)...)
				}
			}
			// The same for the weights of an output channel and an element of the transformed weights.
			for o := range c.Out {
				for i := range c.K() {
					tap, w := i%(k*k), int32(127)
					if f := g.Int()[o/2/6][tap/k] * g.Int()[o/2%6][tap%k]; f == 0 || (f < 0) == (o%2 == 0) {
						w = -128
					}
					c.weights = append(c.weights, w)
				}
			}
			c.computeSums()
			cases = append(cases, c)
		}
	}
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range cases {
			c.test(t, set)
		}
	})
}

// An integerCase is a convolution of images of 6×6 pixels, whose scales are 1.
type integerCase struct {
	kernels.ConvShape
	images  int
	src     []uint8
	weights []int32
	sums    []int64 // NHWC
}

func (c *integerCase) computeSums() {
	oh, ow := c.OutSize(6, 6)
	for p := range c.images * oh * ow {
		n, y, x := p/ow/oh, p/ow%oh, p%ow
		for o := range c.Out {
			sum := int64(0)
			for ky := range c.KH {
				for kx := range c.KW {
					src, w := c.src[((n*6+y+ky)*6+x+kx)*c.In:], c.weights[o*c.K()+ky*c.KW+kx:]
					for ch := range c.In {
						sum += int64(src[ch]) * int64(w[ch*c.KH*c.KW])
					}
				}
			}
			c.sums = append(c.sums, sum)
		}
	}
}

// test compares the outputs of Winograd's algorithm with the sums. The eight bits of an output show these
// in three parts.
func (c *integerCase) test(t *testing.T, set *kernels.Set) {
	t.Helper()
	w := kernels.Weights{Values: make([]float32, len(c.weights)), Scales: slices.Repeat([]float32{1}, c.Out)}
	for i, v := range c.weights {
		w.Values[i] = float32(v)
	}
	for _, shift := range []int{0, 9, 18} {
		p := kernels.Problem{ConvShape: c.ConvShape, H: 6, W: 6, Src: kernels.Type{Element: kernels.Uint8, Scale: 1}}
		p.Dst = kernels.Type{Element: kernels.Uint8, Scale: float32(int(1) << shift), Zero: 128}
		op, err := kernels.NewConv(set, "winograd", p, w)
		if err != nil {
			t.Fatal(err)
		}
		if op.Algorithm() != "winograd" {
			t.Fatalf("%+v is packed for %s", p, op.Algorithm())
		}
		oh, ow := p.OutSize(p.H, p.W)
		src, dst := kernels.NewView(p.Src, c.images, p.H, p.W, p.In, 0), kernels.NewView(p.Dst, c.images, oh, ow, p.Out, 0)
		setPixels(src, c.src, kernels.Padding{})
		task, err := op.Bind(dst, src, 1)
		if err != nil {
			t.Fatal(err)
		}
		run(task, 1)
		want := make([]uint8, len(c.sums))
		for i, v := range c.sums {
			want[i] = uint8(min(max(math.RoundToEven(float64(float32(v)/p.Dst.Scale))+128, 0), 255))
		}
		checkPixels(t, fmt.Sprintf("%d inputs, %d×%d taps, scale %g", p.In, p.KH, p.KW, p.Dst.Scale), dst, want)
	}
}

// TestQuantizedWinogradCondition: weights with which a sum could be too large by one, for some inputs, are
// packed for the direct algorithm, and ones with which it just fits for Winograd's. With inputs that lead to
// this sum, both give the right output.
func TestQuantizedWinogradCondition(t *testing.T) {
	const limit = 1<<31/64 - 1
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, sign := range []int64{1, -1} {
			for _, zero := range []int32{0, 100} {
				for beyond := range int64(2) {
					p := kernels.Problem{ConvShape: kernels.ConvShape{In: 112, Out: 3, KH: 3, KW: 3, Stride: 1, Groups: 1}, H: 6, W: 6}
					p.Src = kernels.Type{Element: kernels.Uint8, Scale: 1, Zero: zero}
					// An output is 1 where the sum is the limit.
					p.Dst = kernels.Type{Element: kernels.Uint8, Scale: limit, Zero: 5}
					w := kernels.Weights{Values: make([]float32, p.Weights()), Bias: make([]float32, p.Out), Scales: []float32{1, 1, 1}}
					// Channel 1 has weights 127, and -50 in the middle: its sum is largest where inputs are 255, and
					// 0 in the middle. It is so large that the bias for the rest is a float32.
					greatest := int64(0)
					for i := range p.K() {
						if i%9 == 4 {
							w.Values[p.K()+i] = float32(sign * -50)
							greatest += 50 * int64(zero)
						} else {
							w.Values[p.K()+i] = float32(sign * 127)
							greatest += 127 * int64(255-zero)
						}
					}
					least := int64(limit)
					if sign < 0 {
						least++ // int32 has one more negative number
					}
					bias := least - greatest + beyond
					w.Bias[1] = float32(sign * bias)
					if int64(w.Bias[1]) != sign*bias {
						t.Fatalf("%d is no float32", bias)
					}
					op, err := kernels.NewConv(set, "winograd", p, w)
					if err != nil {
						t.Fatal(err)
					}
					want := []string{"winograd", "direct"}[beyond]
					if got := op.Algorithm(); got != want {
						t.Errorf("sign %d, zero point %d, %d beyond the limit: packed for %s, want %s", sign, zero, beyond, got, want)
					}
					src, dst := kernels.NewView(p.Src, 1, 6, 6, p.In, 0), kernels.NewView(p.Dst, 1, 4, 4, 3, 0)
					for i := range kernels.Data[uint8](src) {
						kernels.Data[uint8](src)[i] = 255
					}
					clear(kernels.Pixel[uint8](src, 0, 1, 1))
					task, err := op.Bind(dst, src, 1)
					if err != nil {
						t.Fatal(err)
					}
					run(task, 1)
					if got := kernels.At[uint8](dst, 0, 0, 0, 1); int64(got) != 5+sign {
						t.Errorf("sign %d, zero point %d, %d beyond the limit: output is %d, want %d", sign, zero, beyond, got, 5+sign)
					}
				}
			}
		}
	})
}

// TestQuantizedWinogradScale: a factor that cannot be divided by 64 is an obstacle, and so is one
// of 64.
func TestQuantizedWinogradScale(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		p := conv(8, 8, 1, 1, 3, 1, 1, 1).problem()
		p.Src, p.Dst = kernels.Type{Element: kernels.Uint8, Scale: 1}, kernels.Type{Element: kernels.Uint8, Scale: 1}
		for _, c := range []struct {
			scale float64
			want  string
		}{{0x1p-120, "winograd"}, {0x1.000002p-120, "winograd"}, {0x1.000002p-121, "direct"}, {0x1.fffffep5, "winograd"}, {64, "direct"}} {
			op, err := kernels.NewConv(set, "winograd", p, kernels.Weights{Values: make([]float32, 9), Scales: []float32{float32(c.scale)}})
			if err != nil {
				t.Fatal(err)
			}
			if op.Algorithm() != c.want {
				t.Errorf("a factor of %g is packed for %s, want %s", c.scale, op.Algorithm(), c.want)
			}
		}
	})
}

// TestQuantizedWinogradThreads: neither the number of threads nor the parts that rows and channels are
// divided into, nor their order, may change a result.
func TestQuantizedWinogradThreads(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		wide := set.U8.BatchMatMul.Wide.Width
		for i, c := range []convCase{
			conv(18, 2*manyRows(set).w, 16, wide+1, 3, 1, 1, 1),
			conv(27, 27, 16, 3*wide+1, 3, 1, 1, 1),
			conv(41, 43, 3, 3*wide, 7, 2, 0, 1),
			conv(27, 26, 32, 4*wide, 5, 1, 2, 2),
		} {
			q := qconv(c, 9, 3)
			d, p, out := q.data(), q.problem(), c.output()
			op, err := kernels.NewConv(set, "winograd", p, d.weights)
			if err != nil {
				t.Fatal(err)
			}
			src := kernels.NewView(p.Src, c.n, c.h, c.w, c.In, c.Pad.Max())
			setPixels(src, d.src, c.Pad)
			for threads := 1; threads <= 3; threads++ {
				got := kernels.NewView(p.Dst, c.n, out.h, out.w, c.Out, 1)
				task, err := op.Bind(got, src, threads)
				if err != nil {
					t.Fatal(err)
				}
				if chunks := task.Chunks(); chunks < threads || i == 0 && chunks < 2 {
					t.Errorf("%v: %d chunks for %d threads test nothing", c, chunks, threads)
				}
				run(task, threads)
				checkPixels(t, fmt.Sprintf("%v, %d threads", c, threads), got, d.want)
				for i := task.Chunks() - 1; i >= 0; i-- { // in the reverse order
					task.Chunk(0, i)
				}
				checkPixels(t, fmt.Sprintf("%v, %d threads, chunks in reverse order", c, threads), got, d.want)
			}
		}
	})
}

// TestQuantizedWinogradParts computes parts of the rows one by one, from sources that have the rows which
// a part needs, and other values in all others.
func TestQuantizedWinogradParts(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, c := range []convCase{
			conv(21, 9, 16, 20, 3, 1, 1, 1),
			conv(21, 9, 5, 20, 3, 1, 0, 1),
			conv(39, 21, 3, 9, 7, 2, 3, 1),
			conv(64, 40, 3, 9, 11, 4, 2, 1),
			conv(21, 9, 16, 20, 5, 1, 2, 1),
			conv(21, 9, 6, 20, 5, 1, 0, 2),
			conv(23, 11, 16, 3, 7, 1, 3, 1),
			conv(41, 21, 3, 3, 9, 2, 4, 1),
		} {
			q := qconv(c, 77, 11)
			d, p, out := q.data(), q.problem(), c.output()
			op, err := kernels.NewConv(set, "winograd", p, d.weights)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := op.KernelRows(), (c.KH+c.Stride-1)/c.Stride*c.Stride; got != want {
				t.Errorf("%v reads %d rows for an output, want %d", c, got, want)
			}
			got := kernels.NewView(p.Dst, c.n, out.h, out.w, c.Out, 0)
			align := op.RowAlign()
			for y := 0; y < out.h; {
				end := y + align
				if out.h-end < align {
					end = out.h
				}
				src := kernels.NewView(p.Src, c.n, c.h, c.w, c.In, c.Pad.Max())
				setPixels(src, d.src, c.Pad)
				first, last := y*c.Stride-c.Pad.Top, (end-1)*c.Stride-c.Pad.Top+c.KH
				for row := -src.Halo; row < c.h+src.Halo; row++ {
					if row < first || row >= last {
						from := src.Index(0, row, -src.Halo, 0)
						for i := range src.Row {
							kernels.Data[uint8](src)[from+i] = other
						}
					}
				}
				task, err := op.Bind(got.Rows(y, end-y), src.Rows(y*c.Stride, src.H-y*c.Stride), 1)
				if err != nil {
					t.Fatal(err)
				}
				run(task, 1)
				y = end
			}
			if !bytes.Equal(kernels.Data[uint8](got), d.want) {
				t.Errorf("%v: other values than those of the output computed at once", c)
			}
		}
	})
}

// TestQuantizedWinogradCandidate: the algorithm is a candidate where the kernel is square and has three
// taps or more, and the output is as large as a tile.
func TestQuantizedWinogradCandidate(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for k := 1; k <= 12; k++ {
			for stride := 1; stride <= 5; stride++ {
				for groups := 1; groups <= 2; groups++ {
					m := 0
					if stride == 1 || groups == 1 {
						m = qwinogradOutputs[(k+stride-1)/stride]
					}
					for oh := 1; oh <= 5; oh++ {
						size := func(o int) int { return (o-1)*stride + k }
						c := qconv(conv(size(oh), size(5), 2, 2, k, stride, 0, groups), 1, 2)
						want := m > 0 && oh >= m
						if got := slices.Contains(kernels.Candidates(set, c.problem()), "winograd"); got != want {
							t.Errorf("Winograd is a candidate for %v: %v", c, got)
						}
						wide := conv(size(oh), size(5), 2, 2, k, stride, 0, groups)
						wide.ConvShape.KW++
						if slices.Contains(kernels.Candidates(set, qconv(wide, 0, 0).problem()), "winograd") {
							t.Errorf("Winograd is a candidate for %v", wide)
						}
					}
				}
			}
		}
	})
}

// TestQuantizedWinogradPacked counts bytes and multiply-adds by hand.
func TestQuantizedWinogradPacked(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		wide, group := set.U8.BatchMatMul.Wide.Width, set.U8.BatchMatMul.Group
		c := qconv(conv(13, 8, 3, 2*wide, 3, 1, 1, 1), 0, 0)
		op, err := kernels.NewConv(set, "winograd", c.problem(), c.data().weights)
		if err != nil {
			t.Fatal(err)
		}
		k := (3 + group - 1) / group * group
		if got, want := op.Bytes(), int64(36*k*2*wide*2+2*wide*(4+4)); got != want {
			t.Errorf("%d bytes of weights, biases and factors, want %d", got, want)
		}
		if got, want := op.Executed(), int64(36*4*2*k*2*wide); got != want {
			t.Errorf("%d multiply-adds, want %d", got, want)
		}
		// Two groups with 3 channels, and 3×3 subkernels of F(4×4, 3×3).
		c = qconv(conv(13, 12, 6, 2*wide, 9, 1, 4, 2), 0, 0)
		if op, err = kernels.NewConv(set, "winograd", c.problem(), c.data().weights); err != nil {
			t.Fatal(err)
		}
		k = (3*3*3 + group - 1) / group * group
		if got, want := op.Bytes(), int64(36*k*2*wide*2+2*wide*(4+4)); got != want {
			t.Errorf("%d bytes of weights, biases and factors of subkernels, want %d", got, want)
		}
		if got, want := op.Executed(), int64(36*4*3*k*2*wide); got != want {
			t.Errorf("%d multiply-adds of subkernels, want %d", got, want)
		}
	})
}
