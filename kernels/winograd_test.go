package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/winograd"
	"firebench/kernels/workers"
)

// winogradShapes are convolutions that Winograd's algorithm can compute: every number of taps at
// stride 1, the strided first layers of networks, and strided kernels that have a weight for
// every tap of every phase and ones that have not.
var winogradShapes = []kernels.ConvShape{
	{KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(0), Groups: 1},
	{KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1), Groups: 1},
	{KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(2), Groups: 1},
	{KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1), Groups: 2},
	{KH: 4, KW: 4, Stride: 1, Pad: kernels.Pad(0), Groups: 1},
	{KH: 4, KW: 4, Stride: 1, Pad: kernels.Pad(2), Groups: 1},
	{KH: 5, KW: 5, Stride: 1, Pad: kernels.Pad(2), Groups: 1},
	{KH: 5, KW: 5, Stride: 1, Pad: kernels.Pad(2), Groups: 2},
	{KH: 5, KW: 5, Stride: 1, Pad: kernels.Pad(4), Groups: 1},
	{KH: 5, KW: 5, Stride: 2, Pad: kernels.Pad(2), Groups: 1},
	{KH: 6, KW: 6, Stride: 2, Pad: kernels.Pad(1), Groups: 1},
	{KH: 7, KW: 7, Stride: 2, Pad: kernels.Pad(0), Groups: 1},
	{KH: 7, KW: 7, Stride: 2, Pad: kernels.Pad(3), Groups: 1},
	{KH: 8, KW: 8, Stride: 2, Pad: kernels.Pad(0), Groups: 1},
	{KH: 8, KW: 8, Stride: 2, Pad: kernels.Pad(3), Groups: 1},
	{KH: 9, KW: 9, Stride: 2, Pad: kernels.Pad(1), Groups: 1},
	{KH: 7, KW: 7, Stride: 3, Pad: kernels.Pad(1), Groups: 1},
	{KH: 11, KW: 11, Stride: 4, Pad: kernels.Pad(0), Groups: 1},
	{KH: 11, KW: 11, Stride: 4, Pad: kernels.Pad(2), Groups: 1},
	{KH: 3, KW: 3, Stride: 1, Pad: kernels.Padding{Top: 2, Right: 1}, Groups: 1},
	{KH: 7, KW: 7, Stride: 2, Pad: kernels.Padding{Top: 2, Left: 2, Bottom: 3, Right: 3}, Groups: 1},
}

// winogradCase returns a case with oh×ow outputs. The last over%Stride rows and columns of its
// image are not read, because they are too few for another output.
func winogradCase(s kernels.ConvShape, in, out, oh, ow, over int) convCase {
	s.In, s.Out = in*s.Groups, out*s.Groups
	size := func(n, k int) int { return (n-1)*s.Stride + k + over%s.Stride }
	return convCase{ConvShape: s, n: 1, h: size(oh, s.KH) - s.Pad.Top - s.Pad.Bottom, w: size(ow, s.KW) - s.Pad.Left - s.Pad.Right}
}

// winogradAlgorithm returns the F(m, r) for the case, with r taps in each phase.
func (c convCase) winogradAlgorithm() *winograd.Algorithm {
	r := (c.KH + c.Stride - 1) / c.Stride
	return winograd.New(winogradOutputs[r], r)
}

// winogradOutputs has the number of a tile's outputs along a side, by the number of taps.
var winogradOutputs = [...]int{3: 4, 4: 5, 5: 4}

// tileStart returns the first output row (or column) of the tile that output row y of size comes
// from: the last tile ends with the output, and overwrites rows of the tile that it overlaps.
func tileStart(y, size, m int) int {
	if y >= size-m {
		return size - m
	}
	return y / m * m
}

// packWinograd packs the case's weights for Winograd's algorithm.
func packWinograd(t testing.TB, set *kernels.Set, c convCase) kernels.Conv {
	t.Helper()
	d := c.data()
	op, err := newWinograd(set, c.ConvShape, d.weights, d.bias, c.relu)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// testWinograd compares the result of Winograd's algorithm in the given layouts with the reference;
// bounds are those of the outputs.
func (c convCase) testWinograd(t *testing.T, set *kernels.Set, dst, src layout, threads int, bounds []float64) {
	t.Run(c.String(), func(t *testing.T) {
		d := c.data()
		op := packWinograd(t, set, c)
		exercise(t, threads, c.output().in(dst), []tensor{d.src.in(src)},
			func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
				return op.Bind(dst, srcs[0], threads)
			},
			func(side string, got kernels.View) {
				kerneltest.Compare(t, side, got, d.want, func(i int) float64 { return bounds[i] })
			})
	})
}

// TestWinogradSizes has outputs that are about as high and as wide as one and as two tiles, for
// every shape.
func TestWinogradSizes(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, s := range winogradShapes {
			m := winogradCase(s, 1, 1, 1, 1, 0).winogradAlgorithm().M
			sizes := []int{m, m + 1, 2*m - 1, 2 * m, 2*m + 1, 13}
			for i, oh := range sizes {
				for j, ow := range sizes {
					c := winogradCase(s, 3, 5, oh, ow, i+j)
					if c.h < 1 || c.w < 1 {
						continue
					}
					c.relu = i%2 == 1
					if i == j {
						c.n = 2
					}
					c.testWinograd(t, set, layout{halo: j % 2}, layout{halo: c.Pad.Max() + i%2}, 1, c.winogradBound())
				}
			}
		}
	})
}

// TestWinogradChannels has channel counts around multiples of the vector and of every tile's width,
// on an image whose second row and column of tiles overlap the first.
func TestWinogradChannels(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		test := func(s kernels.ConvShape, in, out int) {
			m := winogradCase(s, 1, 1, 1, 1, 0).winogradAlgorithm().M
			c := winogradCase(s, in, out, m+1, m+2, 1)
			c.testWinograd(t, set, layout{}, layout{halo: s.Pad.Max()}, 1, c.winogradBound())
		}
		square := func(k, stride, pad, groups int) kernels.ConvShape {
			return kernels.ConvShape{KH: k, KW: k, Stride: stride, Pad: kernels.Pad(pad), Groups: groups}
		}
		for out := 1; out <= 67; out++ {
			test(square(3, 1, 1, 1), 5, out)
		}
		for _, in := range []int{1, 3, 5, 15, 16, 17, 31, 32, 33, 48, 64} {
			for _, out := range []int{1, 16, 33, 67} {
				test(square(3, 1, 1, 1), in, out)
			}
			test(square(3, 1, 1, 2), in, 9)
			test(square(5, 1, 2, 3), in, 17)
			test(square(4, 1, 1, 1), in, 35)
			test(square(7, 2, 0, 1), in, 33)
			test(square(11, 4, 2, 1), in, 3)
		}
		test(square(3, 1, 1, 7), 1, 1) // depthwise
		for _, out := range []int{1, 67} {
			test(square(3, 1, 1, 1), 1000, out)
		}
		test(square(7, 2, 3, 1), 250, 5)
		test(square(3, 1, 1, 1), 3, 1000)
	})
}

// TestWinogradLayers has the sizes of the networks' layers, with few channels.
func TestWinogradLayers(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range []convCase{
			conv(13, 13, 48, 33, 3, 1, 1, 1),
			conv(27, 27, 16, 32, 3, 1, 1, 1),
			conv(55, 55, 16, 17, 3, 1, 1, 1),
			conv(27, 27, 16, 20, 5, 1, 2, 2),
			conv(115, 115, 3, 8, 7, 2, 0, 1),
			conv(60, 60, 3, 8, 8, 2, 0, 1),
			conv(227, 227, 3, 4, 11, 4, 0, 1),
			conv(224, 224, 3, 4, 11, 4, 2, 1),
		} {
			c.testWinograd(t, set, layout{halo: 1}, layout{halo: c.Pad.Max()}, 1, c.winogradBound())
		}
	})
}

// TestWinogradLayouts reads from and writes to every layout: with halos that are wider than the
// padding, with all and with some channels of each pixel, in batches.
func TestWinogradLayouts(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range []convCase{
			conv(6, 9, 5, 37, 3, 1, 0, 1),
			conv(6, 9, 18, 20, 3, 1, 1, 2),
			conv(16, 15, 3, 33, 7, 2, 1, 1),
			conv(31, 24, 2, 5, 11, 4, 0, 1),
		} {
			for n := 1; n <= 2; n++ {
				c.n, c.relu = n, n == 2
				for i, dst := range layouts {
					for j, src := range layouts {
						if src.halo < c.Pad.Max() {
							continue // refused, see TestWinogradRefuses
						}
						t.Run(fmt.Sprintf("layouts=%d,%d", i, j), func(t *testing.T) {
							c.testWinograd(t, set, dst, src, 1+(i+j)%2, c.winogradBound())
						})
					}
				}
			}
		}
	})
}

// manyRows returns a case whose transformed inputs and products do not fit into the cache, so
// that its rows of tiles are divided into parts.
func manyRows(set *kernels.Set) convCase {
	const in, elements = 16, 36
	// Two rows of tiles fill half of the cache; there are five.
	tiles := kernels.Level2()/2/(2*4*elements*(in+set.F32.Conv.Wide.Width)) + 1
	return conv(18, 4*tiles, in, set.F32.Conv.Wide.Width+1, 3, 1, 1, 1)
}

// TestWinogradThreads compares bit for bit: neither the number of threads nor the parts that rows
// and channels are divided into may change a result.
func TestWinogradThreads(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for i, c := range []convCase{
			manyRows(set),
			conv(27, 27, 16, 3*set.F32.Conv.Wide.Width+1, 3, 1, 1, 1),
			conv(27, 26, 24, 4*set.F32.Conv.Wide.Width, 5, 1, 2, 2),
			conv(41, 43, 3, 3*set.F32.Conv.Wide.Width, 7, 2, 0, 1),
		} {
			var one []float32
			for threads := 1; threads <= 3; threads++ {
				d, out := c.data(), c.output()
				source := d.src.in(layout{halo: c.Pad.Max()})
				got := kernels.NewView(kernels.Type{}, c.n, out.h, out.w, c.Out, 1)
				task, err := packWinograd(t, set, c).Bind(got, source.view(make([]float32, source.size())), threads)
				if err != nil {
					t.Fatal(err)
				}
				if chunks := task.Chunks(); chunks < threads || i == 0 && chunks < 2 {
					t.Errorf("%v: %d chunks for %d threads test nothing", c, chunks, threads)
				}
				run(task, threads)
				if threads == 1 {
					one = kernels.Data[float32](got)
					bounds := c.winogradBound()
					kerneltest.Compare(t, c.String(), got, d.want, func(i int) float64 { return bounds[i] })
				} else if !slices.Equal(kernels.Data[float32](got), one) {
					t.Errorf("%v: %d threads give another result than one", c, threads)
				}
			}
		}
	})
}

// TestWinogradNaN puts a NaN, and then infinities of both signs, in the place of one input after
// the other. Each must reach all outputs whose window has this input. An output whose tile or
// whose group does not have this input must keep its bits.
func TestWinogradNaN(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, c := range []convCase{
			conv(9, 8, 1, set.F32.Conv.Wide.Width+1, 3, 1, 1, 1),
			conv(7, 9, 4, 4, 5, 1, 2, 2),
			conv(14, 15, 1, 3, 7, 2, 1, 1),
			conv(26, 27, 1, 2, 11, 4, 2, 1),
		} {
			for _, relu := range []bool{false, true} {
				c.relu = relu
				out, m, n := c.output(), c.winogradAlgorithm().M, c.winogradAlgorithm().N()
				got := kernels.NewView(kernels.Type{}, 1, out.h, out.w, out.c, 0)
				source := c.data().src.in(layout{halo: c.Pad.Max()})
				src := source.view(make([]float32, source.size()))
				task, err := packWinograd(t, set, c).Bind(got, src, 1)
				if err != nil {
					t.Fatal(err)
				}
				run(task, 1)
				clean := slices.Clone(kernels.Data[float32](got))
				// reads reports whether input row (or column) y is among the size rows that
				// are read from output row y0 on, with pad rows of padding before the image.
				reads := func(y0, y, pad, size int) bool { return y0*c.Stride-pad <= y && y < y0*c.Stride-pad+size }
				check := func(odd float32, y, x, ch int) {
					i := 0
					for oy := range out.h {
						for ox := range out.w {
							inTile := reads(tileStart(oy, out.h, m), y, c.Pad.Top, n*c.Stride) && reads(tileStart(ox, out.w, m), x, c.Pad.Left, n*c.Stride)
							inWindow := reads(oy, y, c.Pad.Top, c.KH) && reads(ox, x, c.Pad.Left, c.KW)
							for o := range out.c {
								v, was := kernels.Data[float32](got)[i], clean[i]
								i++
								group := o/(c.Out/c.Groups) == ch/(c.In/c.Groups)
								finite := v-v == 0
								switch {
								case (!inTile || !group) && v != was:
									t.Errorf("%v, %v at (%d, %d, %d): output (%d, %d, %d) is %v, was %v, and its tile does not hold it", c, odd, y, x, ch, oy, ox, o, v, was)
								case inWindow && group && finite && !(relu && odd == odd): // ReLU makes 0 of -∞, but keeps NaN
									t.Errorf("%v, %v at (%d, %d, %d): output (%d, %d, %d) is %v", c, odd, y, x, ch, oy, ox, o, v)
								}
							}
						}
					}
				}
				for y := range c.h {
					for x := range c.w {
						for ch := range c.In {
							p := &kernels.Data[float32](src)[src.Index(0, y, x, ch)]
							keep := *p
							for _, odd := range []float32{nan, inf, negInf} {
								*p = odd
								run(task, 1)
								check(odd, y, x, ch)
							}
							*p = keep
						}
					}
				}
			}
		}
	})
}

// TestWinogradNoBias: a bias of nil stands for zeros.
func TestWinogradNoBias(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		c := conv(6, 7, 3, 19, 3, 1, 1, 1)
		d, out := c.data(), c.output()
		source := d.src.in(layout{halo: 1})
		src := source.view(make([]float32, source.size()))
		var got [2]kernels.View
		for i, bias := range [][]float32{nil, make([]float32, c.Out)} {
			op, err := newWinograd(set, c.ConvShape, d.weights, bias, false)
			if err != nil {
				t.Fatal(err)
			}
			got[i] = kernels.NewView(kernels.Type{}, 1, out.h, out.w, out.c, 0)
			task, err := op.Bind(got[i], src, 1)
			if err != nil {
				t.Fatal(err)
			}
			run(task, 1)
		}
		if !slices.Equal(kernels.Data[float32](got[0]), kernels.Data[float32](got[1])) {
			t.Error("no bias and a bias of zeros differ")
		}
		want, _ := ref.Conv(c.ConvShape, d.src.dense(), d.weights, nil, false)
		bound := c.winogradTypical()
		kerneltest.Compare(t, c.String(), got[0], want, func(int) float64 { return bound })
	})
}

// TestWinogradCandidate: for every small shape, Winograd's algorithm must be a candidate exactly
// where its documentation says so, and Bind must accept the same sizes.
func TestWinogradCandidate(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for kh := 1; kh <= 12; kh++ {
			for _, kw := range []int{kh, kh + 1} {
				for stride := 1; stride <= 5; stride++ {
					for pad := 0; pad <= 2; pad++ {
						for groups := 1; groups <= 2; groups++ {
							s := kernels.ConvShape{In: 2, Out: 2, KH: kh, KW: kw, Stride: stride, Pad: kernels.Pad(pad), Groups: groups}
							testWinogradCandidate(t, set, s)
						}
					}
				}
			}
		}
	})
}

func testWinogradCandidate(t *testing.T, set *kernels.Set, s kernels.ConvShape) {
	taps := (s.KH + s.Stride - 1) / s.Stride
	kernel := s.KH == s.KW && taps >= 3 && taps <= 5 && (s.Stride == 1 || s.Groups == 1)
	m := 0
	var op kernels.Conv
	if kernel {
		m = winogradOutputs[taps]
		var err error
		op, err = newWinograd(set, s, make([]float32, s.Weights()), nil, false)
		checkError(t, fmt.Sprintf("%+v", s), err, nil)
	}
	for oh := 0; oh <= 6; oh++ {
		for _, ow := range []int{1, 2, 4, 5} {
			h, w := (oh-1)*s.Stride+s.KH-s.Pad.Top-s.Pad.Bottom, (ow-1)*s.Stride+s.KW-s.Pad.Left-s.Pad.Right
			if h < 1 || w < 1 {
				continue
			}
			want := kernel && oh >= m && ow >= m
			if got := hasWinograd(set, convCase{ConvShape: s, n: 1, h: h, w: w}); got != want {
				t.Errorf("Winograd is a candidate for %+v with outputs of %d×%d: %v", s, oh, ow, got)
			}
			if op == nil || oh == 0 {
				continue
			}
			_, err := op.Bind(kernels.NewView(kernels.Type{}, 1, oh, ow, 2, 0), kernels.NewView(kernels.Type{}, 1, h, w, 2, s.Pad.Max()), 1)
			var parts []string
			if !want {
				parts = []string{"convolution", fmt.Sprintf("output 1×%d×%d×2 is smaller than Winograd's %d×%d tiles", oh, ow, m, m)}
			}
			checkError(t, fmt.Sprintf("%+v to %d×%d", s, oh, ow), err, parts)
		}
	}
}

// TestWinogradErrors: a shape, weights or views that do not fit are an error that says what was
// expected.
func TestWinogradErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	good := kernels.ConvShape{In: 4, Out: 6, KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1), Groups: 2}
	fails := func(what string, change func(*kernels.ConvShape), weights, biases int, parts ...string) {
		t.Helper()
		s := good
		change(&s)
		_, err := newWinograd(set, s, make([]float32, weights), make([]float32, biases), false)
		checkError(t, what, err, append(parts, "convolution"))
	}
	fails("In", func(s *kernels.ConvShape) { s.In = 0 }, 108, 6, "In")
	fails("Stride", func(s *kernels.ConvShape) { s.Stride = 0 }, 108, 6, "Stride")
	fails("Groups", func(s *kernels.ConvShape) { s.Groups = 3 }, 108, 6, "3 groups")
	fails("weights", func(*kernels.ConvShape) {}, 107, 6, "107 weights", "108")
	fails("biases", func(*kernels.ConvShape) {}, 108, 5, "5 biases", "6")
	fails("huge", func(s *kernels.ConvShape) { s.In, s.Out = 1<<20, 1<<20 }, 0, 0, "weights")

	op, err := newWinograd(set, good, make([]float32, 108), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := op.Bytes(), int64(4*(36*2*4*2+4*2)); got != want { // two groups of 3 channels, in tiles 4 wide
		t.Errorf("%d bytes of weights and biases, want %d", got, want)
	}
	src, dst := kernels.NewView(kernels.Type{}, 2, 5, 7, 4, 1), kernels.NewView(kernels.Type{}, 2, 5, 7, 6, 0)
	for _, c := range []struct {
		name     string
		dst, src kernels.View
		parts    []string
	}{
		{"good", dst, src, nil},
		{"no halo", dst, kernels.NewView(kernels.Type{}, 2, 5, 7, 4, 0), []string{"halo 0", "padding 1"}},
		{"input channels", dst, kernels.NewView(kernels.Type{}, 2, 5, 7, 5, 1), []string{"4 input channels"}},
		{"output channels", kernels.NewView(kernels.Type{}, 2, 5, 7, 5, 0), src, []string{"5×7×6"}},
		{"output size", kernels.NewView(kernels.Type{}, 2, 4, 7, 6, 0), src, []string{"5×7×6"}},
		{"batch", kernels.NewView(kernels.Type{}, 1, 5, 7, 6, 0), src, []string{"images"}},
		{"empty", kernels.View{}, src, []string{"destination"}},
	} {
		_, err := op.Bind(c.dst, c.src, 1)
		checkError(t, c.name, err, c.parts)
	}
}

// TestWinogradOrder: the order in which chunks run must not change a result, although tiles
// overlap. The most channels are so many that not even one row of tiles fits into the cache.
func TestWinogradOrder(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, in := range []int{200, 1100} {
			for _, out := range []int{4, 3*set.F32.Conv.Wide.Width + 1} {
				c := conv(9, 41, in, out, 3, 1, 1, 1)
				size, source := c.output(), random(1, 1, c.h, c.w, in).in(layout{halo: c.Pad.Max()})
				source.zeros = c.Pad
				src := source.view(make([]float32, source.size()))
				op, err := newWinograd(set, c.ConvShape, kerneltest.Random(2, c.Weights()), nil, false)
				if err != nil {
					t.Fatal(err)
				}
				compute := func(order func(i, n int) int) []float32 {
					dst := kernels.NewView(kernels.Type{}, 1, size.h, size.w, size.c, 0)
					task, err := op.Bind(dst, src, 2)
					if err != nil {
						t.Fatal(err)
					}
					for i := range task.Chunks() {
						task.Chunk(0, order(i, task.Chunks()))
					}
					return values(dst)
				}
				forward := compute(func(i, _ int) int { return i })
				if !slices.Equal(compute(func(i, n int) int { return n - 1 - i }), forward) {
					t.Errorf("%v: chunks in reverse order give another result", c)
				}
			}
		}
	})
}

// TestWinogradParts: what a part of the rows transforms and multiplies fills two thirds of the
// level-2 cache at most, and all of it where the weights do not fit the cache anyway.
func TestWinogradParts(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		cache := kernels.Level2()
		for _, large := range []bool{false, true} {
			const in, rows = 64, 60
			out, budget := set.F32.Conv.Wide.Width, cache*2/3
			if large { // 36·in·out weights of 4 bytes
				out, budget = (cache/(4*36*in)/out+1)*out, cache
			}
			// Of one row of tiles: 36 elements of 64 transformed channels and of a tile's products.
			perTile := 4 * 36 * (in + set.F32.Conv.Wide.Width)
			cols := budget / (7 * perTile) // seven rows of tiles fit
			c := conv(4*rows, 4*cols, in, out, 3, 1, 1, 1)
			op, err := newWinograd(set, c.ConvShape, make([]float32, c.Weights()), nil, false)
			if err != nil {
				t.Fatal(err)
			}
			task, err := op.Bind(kernels.NewView(kernels.Type{}, 1, c.h, c.w, out, 0), kernels.NewView(kernels.Type{}, 1, c.h, c.w, in, 1), 1)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := task.Chunks(), (rows+6)/7; got != want {
				t.Errorf("large weights %v: %d parts of %d rows of tiles, want %d", large, got, rows, want)
			}
		}
	})
}
