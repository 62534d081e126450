package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/winograd"
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

// algorithm returns the F(m, r) for the case: m+r = 7, with r taps in each phase.
func (c convCase) algorithm() *winograd.Algorithm {
	r := (c.KH + c.Stride - 1) / c.Stride
	return winograd.New(7-r, r)
}

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
	bounds := c.winogradWorst()
	for i, b := range bounds {
		bounds[i] = min(b, typical)
	}
	winogradBounds[c] = bounds
	return bounds
}

// winogradSpread returns an error that no output of the case's data should reach.
// Inputs and weights have variance 1. The sum over k channels of the products at point
// (i, j) then has the variance k·b[i]·b[j]·g[i]·g[j], b and g being the sums of squares
// of the rows of BT and G, and an output is the sum of 36 such values times those of
// AT. Each has seen n roundings. Were they independent, and all as large as u, the error
// would have √n·u times the standard deviation of these sums (Higham and Mary, "A new
// approach to probabilistic rounding error analysis", 2019, where λ = 4 is safe for more
// outputs than the tests have); most are much smaller than u, which makes up
// for the tails of products of few channels.
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
	n := k + 21 // four passes of up to 4 or 5 terms, weights and bias
	return lambda * unit * math.Sqrt(n*k) * spread
}

// winogradWorst returns WinogradBound for each output of the case.
func (c convCase) winogradWorst() []float64 {
	d, m := c.data(), c.algorithm().M
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
		for y := max(y0, 0); y < min(y0+6*c.Stride, c.h); y++ {
			for x := max(x0, 0); x < min(x0+6*c.Stride, c.w); x++ {
				for _, v := range src.Pixels(t.n, y, x)[t.group*ins:][:ins] {
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
func newWinograd(t testing.TB, set *kernels.Set, c convCase) *kernels.Conv {
	t.Helper()
	d := c.data()
	op, err := kernels.NewWinograd(set, c.ConvShape, d.weights, d.bias, c.relu)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// testWinograd runs the case in the given layouts against the reference, with
// scratch memory that is no larger than it needs to be, and full of NaNs.
func (c convCase) testWinograd(t *testing.T, set *kernels.Set, dst, src layout, threads int) {
	t.Run(c.String(), func(t *testing.T) {
		d, bounds := c.data(), c.winogradBound()
		op := newWinograd(t, set, c)
		var scratch []slab
		side := 0
		exercise(t, threads, c.output().in(dst), []tensor{d.src.in(src)},
			func(dst kernels.View, srcs []kernels.View) (kernels.Task, error) {
				task, err := op.Bind(dst, srcs[0], threads)
				if err == nil {
					scratch = guardScratch(t, task, scratch, side)
					side++
				}
				return task, err
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
					c.testWinograd(t, set, layout{halo: j % 2}, layout{halo: c.Pad + i%2}, 1)
				}
			}
		}
	})
}

// TestWinogradChannels has channel counts on both sides of the vectors and of every
// tile's width, on an image whose second row and column of tiles overlap the first.
func TestWinogradChannels(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		test := func(s kernels.ConvShape, in, out int) {
			m := winogradCase(s, 1, 1, 1, 1, 0).algorithm().M
			winogradCase(s, in, out, m+1, m+2, 1).testWinograd(t, set, layout{}, layout{halo: s.Pad}, 1)
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
			c.testWinograd(t, set, layout{halo: 1}, layout{halo: c.Pad}, 1)
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
			conv(13, 10, 3, 33, 7, 2, 1, 1),
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
							c.testWinograd(t, set, dst, src, 1+(i+j)%2)
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
	tiles := kernels.Level2()/2/(2*4*points*(in+set.Conv.Width)) + 1
	return conv(18, 4*tiles, in, set.Conv.Width+1, 3, 1, 1, 1)
}

// TestWinogradThreads compares bit for bit: neither the thread count nor the parts
// that rows and channels are cut into may change a result.
func TestWinogradThreads(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range []convCase{
			manyRows(set),
			conv(27, 27, 16, 3*set.Conv.Width+1, 3, 1, 1, 1),
			conv(27, 26, 24, 4*set.Conv.Width, 5, 1, 2, 2),
			conv(41, 43, 3, 2*set.Conv.Width, 7, 2, 0, 1),
		} {
			var one []float32
			for threads := 1; threads <= 3; threads++ {
				d, out := c.data(), c.output()
				source := d.src.in(layout{halo: c.Pad})
				got := kernels.NewView(c.n, out.h, out.w, c.Out, 1)
				task, err := newWinograd(t, set, c).Bind(got, source.view(make([]float32, source.size())), threads)
				if err != nil {
					t.Fatal(err)
				}
				if chunks := task.Chunks(); chunks < 2*threads {
					t.Errorf("%v: %d chunks for %d threads test nothing", c, chunks, threads)
				}
				run(task, threads)
				if threads == 1 {
					one = got.Data
					bounds := c.winogradBound()
					kerneltest.Compare(t, c.String(), got, d.want, func(i int) float64 { return bounds[i] })
				} else if !slices.Equal(got.Data, one) {
					t.Errorf("%v: %d threads give another result than one", c, threads)
				}
			}
		}
	})
}
