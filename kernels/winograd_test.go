package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/winograd"
	"firebench/kernels/workers"
)

// winogradKernels are convolutions that Winograd's algorithm exists for: every
// number of taps at stride 1, the strided first layers of networks, and kernels that
// fill the taps of all phases or leave some without a weight.
var winogradKernels = []kernels.ConvShape{
	{KH: 3, KW: 3, Stride: 1, Pad: 0, Groups: 1},
	{KH: 3, KW: 3, Stride: 1, Pad: 1, Groups: 1},
	{KH: 3, KW: 3, Stride: 1, Pad: 2, Groups: 1},
	{KH: 3, KW: 3, Stride: 1, Pad: 1, Groups: 2},
	{KH: 4, KW: 4, Stride: 1, Pad: 0, Groups: 1},
	{KH: 4, KW: 4, Stride: 1, Pad: 2, Groups: 1},
	{KH: 5, KW: 5, Stride: 1, Pad: 2, Groups: 1},
	{KH: 5, KW: 5, Stride: 1, Pad: 2, Groups: 2},
	{KH: 5, KW: 5, Stride: 1, Pad: 4, Groups: 1},
	{KH: 5, KW: 5, Stride: 2, Pad: 2, Groups: 1},
	{KH: 6, KW: 6, Stride: 2, Pad: 1, Groups: 1},
	{KH: 7, KW: 7, Stride: 2, Pad: 0, Groups: 1},
	{KH: 7, KW: 7, Stride: 2, Pad: 3, Groups: 1},
	{KH: 8, KW: 8, Stride: 2, Pad: 0, Groups: 1},
	{KH: 8, KW: 8, Stride: 2, Pad: 3, Groups: 1},
	{KH: 9, KW: 9, Stride: 2, Pad: 1, Groups: 1},
	{KH: 7, KW: 7, Stride: 3, Pad: 1, Groups: 1},
	{KH: 11, KW: 11, Stride: 4, Pad: 0, Groups: 1},
	{KH: 11, KW: 11, Stride: 4, Pad: 2, Groups: 1},
}

// winogradCase describes a convolution of an image that gives oh×ow outputs, and
// leaves over as many rows and columns as the stride allows, modulo over.
func winogradCase(s kernels.ConvShape, in, out, oh, ow, over int) convCase {
	s.In, s.Out = in*s.Groups, out*s.Groups
	size := func(n, k int) int { return (n-1)*s.Stride + k - 2*s.Pad + over%s.Stride }
	return convCase{ConvShape: s, n: 1, h: size(oh, s.KH), w: size(ow, s.KW)}
}

// algorithm returns the F(m, r) for the case, with r taps in each phase.
func (c convCase) algorithm() *winograd.Algorithm {
	r := (c.KH + c.Stride - 1) / c.Stride
	return winograd.New(winogradOutputs[r], r)
}

// winogradRoundings are WinogradBound's n beyond the channels, and winogradBeta is its β,
// by the inputs of a tile on a side.
var (
	winogradRoundings = [...]float64{6: 2*4 + 2*5 + 3, 8: 2*6 + 2*7 + 3}
	winogradBeta      = [...]float64{6: 88.0 / 3, 8: 356.0 / 9}
)

// winogradOutputs are the outputs of a tile on a side, by taps.
var winogradOutputs = [...]int{3: 4, 4: 5, 5: 4}

// tileStart returns where the tile begins that output row or column y of size comes
// from: the last tile ends with the output and overwrites what it overlaps.
func tileStart(y, size, m int) int {
	if y >= size-m {
		return size - m
	}
	return y / m * m
}

// winogradBounds holds the error bounds of cases, as convCache holds their data.
var winogradBounds = map[convCase][]float64{}

// winogradBound returns the bounds of a case's outputs, each the lower of two: what
// WinogradBound promises for all data, and what random data may be expected to keep.
func (c convCase) winogradBound() []float64 {
	if b := winogradBounds[c]; b != nil {
		return b
	}
	typical := c.winogradSpread()
	bounds := c.winogradWorst(c.data())
	for i, b := range bounds {
		bounds[i] = min(b, typical)
	}
	winogradBounds[c] = bounds
	return bounds
}

// winogradSpread returns an error that no output of the case's data should reach.
// Inputs and weights have variance 1. The sum over k channels of the products at point
// (i, j) then has the variance k·b[i]·b[j]·g[i]·g[j], b and g being the sums of squares
// of the rows of BT and G, and an output is the sum of these values times those of AT.
// Each has seen n roundings. Were these independent and all as large as u, its error
// would be λ·√n times u and the values' size with a probability of 2·exp(-λ²/2) at most
// (Higham and Mary, "A new approach to probabilistic rounding error analysis", 2019): for
// λ = 4 one output in 1500. Few are that large: the tests come to half of it, and a
// constant of a transform that is off by 2·10⁻⁵ to more than all.
func (c convCase) winogradSpread() float64 {
	const unit, lambda = 1.0 / (1 << 24), 4
	a := c.algorithm()
	bt, g, at := a.BT.Float(), a.G.Float(), a.AT.Float()
	squares := func(row []float64) (sum float64) {
		for _, v := range row {
			sum += v * v
		}
		return sum
	}
	spread := 0.0
	for _, row := range at {
		sum := 0.0
		for i, v := range row {
			sum += v * v * squares(bt[i]) * squares(g[i])
		}
		spread = max(spread, sum)
	}
	k := float64(c.In / c.Groups * c.Stride * c.Stride)
	n := k + winogradRoundings[a.N()]
	return lambda * unit * math.Sqrt(n*k) * spread
}

// winogradWorst returns WinogradBound for each output of the case with such data.
func (c convCase) winogradWorst(d *convData) []float64 {
	m, side := c.algorithm().M, c.algorithm().N()
	src, out := d.src.dense(), c.output()
	ins, outs := c.In/c.Groups, c.Out/c.Groups
	sums := make([]float64, c.Out)
	for o := range sums {
		for _, w := range d.weights[o*c.K():][:c.K()] {
			sums[o] += math.Abs(float64(w))
		}
	}
	// largest returns the largest input of a group in the tile that begins at (y, x).
	type tile struct{ n, y, x, group int }
	cache := map[tile]float64{}
	largest := func(t tile) float64 {
		if top, ok := cache[t]; ok {
			return top
		}
		top := 0.0
		y0, x0 := t.y*c.Stride-c.Pad, t.x*c.Stride-c.Pad
		for y := max(y0, 0); y < min(y0+side*c.Stride, c.h); y++ {
			for x := max(x0, 0); x < min(x0+side*c.Stride, c.w); x++ {
				for _, v := range kernels.Pixel[float32](src, t.n, y, x)[t.group*ins:][:ins] {
					top = max(top, math.Abs(float64(v)))
				}
			}
		}
		cache[t] = top
		return top
	}
	factor := kernels.WinogradBound(c.ConvShape)
	bounds := make([]float64, 0, c.n*out.h*out.w*c.Out)
	for n := range c.n {
		for y := range out.h {
			for x := range out.w {
				for o := range c.Out {
					top := largest(tile{n, tileStart(y, out.h, m), tileStart(x, out.w, m), o / outs})
					bounds = append(bounds, factor*(top*sums[o]+math.Abs(float64(d.bias[o]))))
				}
			}
		}
	}
	return bounds
}

// newWinograd packs the case's weights.
func newWinograd(t testing.TB, set *kernels.Set, c convCase) kernels.Conv {
	t.Helper()
	d := c.data()
	op, err := newWinogradConv(set, c.ConvShape, d.weights, d.bias, c.relu)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// testWinograd runs the case in the given layouts against the reference, within the bounds of
// the outputs.
func (c convCase) testWinograd(t *testing.T, set *kernels.Set, dst, src layout, threads int, bounds []float64) {
	t.Run(c.String(), func(t *testing.T) {
		d := c.data()
		op := newWinograd(t, set, c)
		exercise(t, threads, c.output().in(dst), []tensor{d.src.in(src)},
			func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
				return op.Bind(dst, srcs[0], threads)
			},
			func(side string, got kernels.View) {
				kerneltest.Compare(t, side, got, d.want, func(i int) float64 { return bounds[i] })
			})
	})
}

// TestWinogradSizes has outputs on both sides of one and two tiles in both
// directions, for every kernel.
func TestWinogradSizes(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, s := range winogradKernels {
			m := winogradCase(s, 1, 1, 1, 1, 0).algorithm().M
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
					c.testWinograd(t, set, layout{halo: j % 2}, layout{halo: c.Pad + i%2}, 1, c.winogradBound())
				}
			}
		}
	})
}

// TestWinogradChannels has channel counts on both sides of the vectors and of every
// tile's width, on an image whose second row and column of tiles overlap the first.
func TestWinogradChannels(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		test := func(s kernels.ConvShape, in, out int) {
			m := winogradCase(s, 1, 1, 1, 1, 0).algorithm().M
			c := winogradCase(s, in, out, m+1, m+2, 1)
			c.testWinograd(t, set, layout{}, layout{halo: s.Pad}, 1, c.winogradBound())
		}
		square := func(k, stride, pad, groups int) kernels.ConvShape {
			return kernels.ConvShape{KH: k, KW: k, Stride: stride, Pad: pad, Groups: groups}
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
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
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
			c.testWinograd(t, set, layout{halo: 1}, layout{halo: c.Pad}, 1, c.winogradBound())
		}
	})
}

// TestWinogradLayouts reads from and writes to every layout: with halos wider than
// the padding, into and from windows of the channels, in batches.
func TestWinogradLayouts(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
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
						if src.halo < c.Pad {
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

// manyRows is a case whose transformed inputs and products do not fit the cache, so
// that its rows of tiles are cut into blocks.
func manyRows(set *kernels.Set) convCase {
	const in, points = 16, 36
	// Two rows of tiles fill half of the cache; there are five.
	tiles := kernels.Level2()/2/(2*4*points*(in+set.F32.Wide.Width)) + 1
	return conv(18, 4*tiles, in, set.F32.Wide.Width+1, 3, 1, 1, 1)
}

// TestWinogradThreads compares bit for bit: neither the thread count nor the parts
// that rows and channels are cut into may change a result.
func TestWinogradThreads(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for i, c := range []convCase{
			manyRows(set),
			conv(27, 27, 16, 3*set.F32.Wide.Width+1, 3, 1, 1, 1),
			conv(27, 26, 24, 4*set.F32.Wide.Width, 5, 1, 2, 2),
			conv(41, 43, 3, 3*set.F32.Wide.Width, 7, 2, 0, 1),
		} {
			var one []float32
			for threads := 1; threads <= 3; threads++ {
				d, out := c.data(), c.output()
				source := d.src.in(layout{halo: c.Pad})
				got := kernels.NewView(kernels.Type{}, c.n, out.h, out.w, c.Out, 1)
				task, err := newWinograd(t, set, c).Bind(got, source.view(make([]float32, source.size())), threads)
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

// TestWinogradBound holds results for inputs and weights of very different
// magnitudes, which the errors of small outputs next to large inputs make hard,
// against WinogradBound alone. They must be beyond the direct algorithm's bound,
// or the test would show nothing.
func TestWinogradBound(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, s := range winogradKernels {
			for _, in := range []int{1, 9} {
				c := winogradCase(s, in, 3, 9, 10, 0)
				src := random(1, 1, c.h, c.w, c.In)
				d := &convData{src: src, weights: kerneltest.Random(2, c.Weights()), bias: kerneltest.Random(3, c.Out)}
				for _, values := range [][]float32{src.values, d.weights} {
					for i, e := range kerneltest.Random(4, len(values)) {
						values[i] = float32(math.Ldexp(float64(values[i]), int(4*e)))
					}
				}
				d.src.zeros = c.Pad
				d.want, d.abs = ref.Conv(c.ConvShape, src.dense(), d.weights, d.bias, false)
				op, err := newWinogradConv(set, c.ConvShape, d.weights, d.bias, false)
				if err != nil {
					t.Fatal(err)
				}
				out := c.output()
				got := kernels.NewView(kernels.Type{}, 1, out.h, out.w, out.c, 0)
				source := d.src.in(layout{halo: c.Pad})
				task, err := op.Bind(got, source.view(make([]float32, source.size())), 1)
				if err != nil {
					t.Fatal(err)
				}
				run(task, 1)
				bounds := c.winogradWorst(d)
				kerneltest.Compare(t, c.String(), got, d.want, func(i int) float64 { return bounds[i] })
				beyond := 0
				for i, v := range values(got) {
					if math.Abs(float64(v)-d.want[i]) > kerneltest.Tolerance(c.K(), d.abs[i]) {
						beyond++
					}
				}
				if beyond == 0 {
					t.Errorf("%v: no output is beyond the direct algorithm's bound", c)
				}
			}
		}
	})
}

// TestWinogradBoundValue checks the formula where its parts are known.
func TestWinogradBoundValue(t *testing.T) {
	for _, c := range []struct {
		s        kernels.ConvShape
		channels float64 // of all phases
		tile     int     // 0 if there is no algorithm
	}{
		{kernels.ConvShape{In: 1, Out: 5, KH: 3, KW: 3, Stride: 1, Groups: 1}, 1, 6},
		{kernels.ConvShape{In: 64, Out: 256, KH: 3, KW: 3, Stride: 1, Pad: 1, Groups: 1}, 64, 6},
		{kernels.ConvShape{In: 64, Out: 256, KH: 4, KW: 4, Stride: 1, Groups: 1}, 64, 8},
		{kernels.ConvShape{In: 96, Out: 256, KH: 5, KW: 5, Stride: 1, Pad: 2, Groups: 2}, 48, 8},
		{kernels.ConvShape{In: 3, Out: 96, KH: 7, KW: 7, Stride: 2, Groups: 1}, 12, 8},
		{kernels.ConvShape{In: 3, Out: 96, KH: 11, KW: 11, Stride: 4, Groups: 1}, 48, 6},
		{kernels.ConvShape{In: 3, Out: 96, KH: 3, KW: 3, Stride: 2, Groups: 1}, 0, 0},
		{kernels.ConvShape{In: 3, Out: 96, KH: 1, KW: 1, Stride: 1, Groups: 1}, 0, 0},
		{kernels.ConvShape{In: 3, Out: 96, KH: 3, KW: 3, Groups: 1}, 0, 0},
		{kernels.ConvShape{}, 0, 0},
	} {
		want := math.Inf(1)
		if c.tile > 0 {
			n, beta := c.channels+winogradRoundings[c.tile], winogradBeta[c.tile]
			want = n * 0x1p-24 / (1 - n*0x1p-24) * beta * beta
		}
		if got := kernels.WinogradBound(c.s); got != want && !(math.Abs(got/want-1) < 1e-12) {
			t.Errorf("WinogradBound(%+v) = %g, want %g", c.s, got, want)
		}
	}
}

// TestWinogradNaN puts a NaN, and infinities of both signs, at every input in turn.
// Each reaches all outputs whose window it is in, and no output whose tile, and no
// group whose channels, it is not in: these keep their bits.
func TestWinogradNaN(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, c := range []convCase{
			conv(9, 8, 1, set.F32.Wide.Width+1, 3, 1, 1, 1),
			conv(7, 9, 4, 4, 5, 1, 2, 2),
			conv(14, 15, 1, 3, 7, 2, 1, 1),
			conv(26, 27, 1, 2, 11, 4, 2, 1),
		} {
			for _, relu := range []bool{false, true} {
				c.relu = relu
				out, m, n := c.output(), c.algorithm().M, c.algorithm().N()
				got := kernels.NewView(kernels.Type{}, 1, out.h, out.w, out.c, 0)
				source := c.data().src.in(layout{halo: c.Pad})
				src := source.view(make([]float32, source.size()))
				task, err := newWinograd(t, set, c).Bind(got, src, 1)
				if err != nil {
					t.Fatal(err)
				}
				run(task, 1)
				clean := slices.Clone(kernels.Data[float32](got))
				// reads reports whether an output that starts at input y0 reads input y
				// among so many.
				reads := func(y0, y, size int) bool { return y0*c.Stride-c.Pad <= y && y < y0*c.Stride-c.Pad+size }
				check := func(odd float32, y, x, ch int) {
					i := 0
					for oy := range out.h {
						for ox := range out.w {
							near := reads(tileStart(oy, out.h, m), y, n*c.Stride) && reads(tileStart(ox, out.w, m), x, n*c.Stride)
							window := reads(oy, y, c.KH) && reads(ox, x, c.KW)
							for o := range out.c {
								v, was := kernels.Data[float32](got)[i], clean[i]
								i++
								group := o/(c.Out/c.Groups) == ch/(c.In/c.Groups)
								finite := v-v == 0
								switch {
								case (!near || !group) && v != was:
									t.Errorf("%v, %v at (%d, %d, %d): output (%d, %d, %d) is %v, was %v, and its tile does not hold it", c, odd, y, x, ch, oy, ox, o, v, was)
								case window && group && finite && !(relu && odd == odd): // ReLU makes -∞ 0
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

// TestWinogradNoBias: nil stands for zeros.
func TestWinogradNoBias(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		c := conv(6, 7, 3, 19, 3, 1, 1, 1)
		d, out := c.data(), c.output()
		source := d.src.in(layout{halo: 1})
		src := source.view(make([]float32, source.size()))
		var got [2]kernels.View
		for i, bias := range [][]float32{nil, make([]float32, c.Out)} {
			op, err := newWinogradConv(set, c.ConvShape, d.weights, bias, false)
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
		bound := c.winogradSpread()
		kerneltest.Compare(t, c.String(), got[0], want, func(int) float64 { return bound })
	})
}

// TestWinogradCandidate compares the candidates with the algorithm's documentation and with what
// Bind does, for every small shape.
func TestWinogradCandidate(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for kh := 1; kh <= 12; kh++ {
			for _, kw := range []int{kh, kh + 1} {
				for stride := 1; stride <= 5; stride++ {
					for pad := 0; pad <= 2; pad++ {
						for groups := 1; groups <= 2; groups++ {
							s := kernels.ConvShape{In: 2, Out: 2, KH: kh, KW: kw, Stride: stride, Pad: pad, Groups: groups}
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
		op, err = newWinogradConv(set, s, make([]float32, s.Weights()), nil, false)
		checkError(t, fmt.Sprintf("%+v", s), err, nil)
	}
	for oh := 0; oh <= 6; oh++ {
		for _, ow := range []int{1, 2, 4, 5} {
			h, w := (oh-1)*s.Stride+s.KH-2*s.Pad, (ow-1)*s.Stride+s.KW-2*s.Pad
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
			_, err := op.Bind(kernels.NewView(kernels.Type{}, 1, oh, ow, 2, 0), kernels.NewView(kernels.Type{}, 1, h, w, 2, s.Pad), 1)
			var parts []string
			if !want {
				parts = []string{"convolution", fmt.Sprintf("output 1×%d×%d×2 is smaller than Winograd's %d×%d tiles", oh, ow, m, m)}
			}
			checkError(t, fmt.Sprintf("%+v to %d×%d", s, oh, ow), err, parts)
		}
	}
}

// TestWinogradErrors: what does not fit is an error that says what was expected.
func TestWinogradErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	good := kernels.ConvShape{In: 4, Out: 6, KH: 3, KW: 3, Stride: 1, Pad: 1, Groups: 2}
	fails := func(what string, change func(*kernels.ConvShape), weights, biases int, parts ...string) {
		t.Helper()
		s := good
		change(&s)
		_, err := newWinogradConv(set, s, make([]float32, weights), make([]float32, biases), false)
		checkError(t, what, err, append(parts, "convolution"))
	}
	fails("In", func(s *kernels.ConvShape) { s.In = 0 }, 108, 6, "In")
	fails("Stride", func(s *kernels.ConvShape) { s.Stride = 0 }, 108, 6, "Stride")
	fails("Groups", func(s *kernels.ConvShape) { s.Groups = 3 }, 108, 6, "3 groups")
	fails("weights", func(*kernels.ConvShape) {}, 107, 6, "107 weights", "108")
	fails("biases", func(*kernels.ConvShape) {}, 108, 5, "5 biases", "6")
	fails("huge", func(s *kernels.ConvShape) { s.In, s.Out = 1<<20, 1<<20 }, 0, 0, "weights")

	op, err := newWinogradConv(set, good, make([]float32, 108), nil, false)
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

// boundTo binds the case, with Winograd's algorithm if there is one, to a new
// destination.
func (c convCase) boundTo(t testing.TB, set *kernels.Set, threads int) (kernels.View, workers.Task) {
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

// TestShareScratch lets tasks of all kinds share their scratch memory, several
// times with different company. They give what they give alone, whoever wrote
// there before, and allocate nothing when they run.
func TestShareScratch(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for threads := 1; threads <= 2; threads++ {
			cases := []convCase{
				conv(13, 14, 17, 9, 3, 1, 1, 1),
				conv(31, 30, 3, set.F32.Wide.Width+1, 7, 2, 0, 1),
				conv(9, 9, 4, 10, 5, 1, 2, 2),
				conv(9, 40, 4, 3, 1, 1, 0, 1), // direct, through a line buffer
			}
			var tasks []workers.Task
			var dsts []kernels.View
			var alone [][]float32
			for _, c := range cases {
				dst, task := c.boundTo(t, set, threads)
				run(task, threads)
				alone = append(alone, kernels.Data[float32](dst))
				dst, task = c.boundTo(t, set, threads)
				tasks, dsts = append(tasks, task), append(dsts, dst)
			}
			relu, err := kernels.BindReLU(set, dsts[0], dsts[0], threads) // has none
			if err != nil {
				t.Fatal(err)
			}
			if n := kernels.ShareScratch(threads, []workers.Task{relu}); n != 0 {
				t.Errorf("%d bytes of scratch memory for a task without any", n)
			}
			pool := workers.NewPool(threads)
			defer pool.Close()
			check := func(order ...int) {
				t.Helper()
				for _, i := range order {
					kerneltest.Poison(kernels.Data[float32](dsts[i]))
					if n := testing.AllocsPerRun(5, func() { pool.Run(nil, tasks[i]) }); n != 0 {
						t.Errorf("%v allocates %v times a run", cases[i], n)
					}
					if !slices.Equal(kernels.Data[float32](dsts[i]), alone[i]) {
						t.Errorf("%v, %d threads: another result with shared scratch memory than alone", cases[i], threads)
					}
				}
			}
			all := kernels.ShareScratch(threads, append(tasks, relu))
			check(0, 1, 2, 3, 1, 0, 3, 2)
			_, first := scratchOf(tasks[0])
			for _, task := range tasks {
				need, own := scratchOf(task)
				for i, memory := range own {
					if len(memory) < need || &memory[0] != &first[i][0] || i > 0 && &memory[0] == &first[0][0] {
						t.Errorf("%d threads: worker %d does not share its scratch memory between tasks and with nobody else", threads, i)
					}
				}
			}
			most := int64(0)
			for _, task := range tasks {
				most = max(most, kernels.ShareScratch(threads, []workers.Task{task}))
			}
			if all != most || most == 0 {
				t.Errorf("%d bytes of scratch memory for all, want those of the largest task, %d", all, most)
			}
			check(3, 2, 1, 0)
			kernels.ShareScratch(threads, []workers.Task{tasks[1], tasks[3]})
			kernels.ShareScratch(threads, []workers.Task{tasks[0], tasks[1]})
			check(0, 1, 3, 2, 1, 0)
		}
	})
}

// TestShareScratchAlone runs lists of tasks side by side, each on a thread of its own,
// and, when they are done, a task on all threads in the same memory.
func TestShareScratchAlone(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		cases := []convCase{
			conv(13, 14, 17, 9, 3, 1, 1, 1),
			conv(31, 30, 3, set.F32.Wide.Width+1, 7, 2, 0, 1),
			conv(9, 40, 4, 3, 1, 1, 0, 1),
		}
		for threads := 1; threads <= 3; threads++ {
			var lists [3][]workers.Task
			var dsts [3][]kernels.View
			var want [][]float32
			for _, c := range cases {
				dst, task := c.boundTo(t, set, threads)
				run(task, threads)
				want = append(want, kernels.Data[float32](dst))
				for j := range lists {
					dst, task := c.boundTo(t, set, 1)
					lists[j], dsts[j] = append(lists[j], task), append(dsts[j], dst)
				}
			}
			dst, task := cases[0].boundTo(t, set, threads)
			size := kernels.ShareScratch(threads, []workers.Task{task}, lists[:]...)
			most := 0
			for j, list := range lists {
				for _, task := range list {
					need, own := scratchOf(task)
					most = max(most, need)
					_, first := scratchOf(list[0])
					_, other := scratchOf(lists[(j+1)%len(lists)][0])
					if len(own) != 1 || len(own[0]) < need || &own[0][0] != &first[0][0] || &own[0][0] == &other[0][0] {
						t.Errorf("list %d does not have scratch memory of its own", j)
					}
				}
			}
			if want := int64(most * len(lists)); size != want {
				t.Errorf("%d bytes of scratch memory, want %d", size, want)
			}
			var wait sync.WaitGroup
			for _, list := range lists {
				wait.Go(func() {
					for _, task := range list {
						run(task, 1)
					}
				})
			}
			wait.Wait()
			run(task, threads)
			for j := range dsts {
				for i, dst := range dsts[j] {
					if !slices.Equal(kernels.Data[float32](dst), want[i]) {
						t.Errorf("%v, list %d: another result than alone", cases[i], j)
					}
				}
			}
			if !slices.Equal(kernels.Data[float32](dst), want[0]) {
				t.Errorf("%v, %d threads: another result than before", cases[0], threads)
			}
		}
	})
}

// TestWinogradOrder: the order in which chunks run does not change a result, although tiles
// overlap and rows of tiles may have so many channels that not one fits the cache.
func TestWinogradOrder(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, in := range []int{200, 1100} {
			for _, out := range []int{4, 3*set.F32.Wide.Width + 1} {
				c := conv(9, 41, in, out, 3, 1, 1, 1)
				size, source := c.output(), random(1, 1, c.h, c.w, in).in(layout{halo: c.Pad})
				source.zeros = c.Pad
				src := source.view(make([]float32, source.size()))
				op, err := newWinogradConv(set, c.ConvShape, kerneltest.Random(2, c.Weights()), nil, false)
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
				forwards := compute(func(i, _ int) int { return i })
				if !slices.Equal(compute(func(i, n int) int { return n - 1 - i }), forwards) {
					t.Errorf("%v: chunks in reverse order give another result", c)
				}
			}
		}
	})
}
