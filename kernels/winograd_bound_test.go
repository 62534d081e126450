package kernels_test

import (
	"math"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
)

// The numbers in WinogradBound's formula, by the number of a tile's inputs along a side:
// winogradRoundings is n without the channels, and winogradBeta is β.
var (
	winogradRoundings = [...]float64{6: 2*4 + 2*5 + 3, 8: 2*6 + 2*7 + 3}
	winogradBeta      = [...]float64{6: 88.0 / 3, 8: 356.0 / 9}
)

// winogradBoundCache keeps the error bounds of cases, as convCache keeps their data.
var winogradBoundCache = map[convCase][]float64{}

// winogradBound returns the bounds of a case's outputs. Each is the lower of two: the one that
// WinogradBound promises for all data, and the one that random data are expected to keep.
func (c convCase) winogradBound() []float64 {
	if b := winogradBoundCache[c]; b != nil {
		return b
	}
	typical := c.winogradTypical()
	bounds := c.winogradWorst(c.data())
	for i, b := range bounds {
		bounds[i] = min(b, typical)
	}
	winogradBoundCache[c] = bounds
	return bounds
}

// winogradTypical returns an error that no output of the case's data should reach. Inputs and
// weights have variance 1. At element (i, j) of a tile, the sum of the products over k channels
// then has the variance k·b[i]·b[j]·g[i]·g[j], where b and g are the sums of squares of the rows
// of BT and G. An output is a sum of these values times entries of AT, and each of them was
// rounded n times. If the roundings were independent and all as large as u, the output's error
// would exceed λ·√n·u times the standard deviation of the values with a probability of at most
// 2·exp(-λ²/2) (Higham and Mary, "A new approach to probabilistic rounding error analysis",
// 2019): for λ = 4, in one output of 1500. Few roundings are as large as u: the errors in the
// tests come to half of this bound, and those of a transform in which one constant is off by
// 2·10⁻⁵ exceed it.
func (c convCase) winogradTypical() float64 {
	const unit, lambda = 1.0 / (1 << 24), 4
	a := c.winogradAlgorithm()
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

// winogradWorst returns what WinogradBound promises for each output of the case with data d.
func (c convCase) winogradWorst(d *convData) []float64 {
	m, side := c.winogradAlgorithm().M, c.winogradAlgorithm().N()
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
		y0, x0 := t.y*c.Stride-c.Pad.Top, t.x*c.Stride-c.Pad.Left
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

// TestWinogradBound compares results with the reference, within WinogradBound alone. Inputs and
// weights have very different magnitudes, which makes it hard: a small output has a large error
// if there are large inputs in its tile. Some errors must exceed the direct algorithm's bound, or
// the test would show nothing.
func TestWinogradBound(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, s := range winogradShapes {
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
				op, err := newWinograd(set, c.ConvShape, d.weights, d.bias, false)
				if err != nil {
					t.Fatal(err)
				}
				out := c.output()
				got := kernels.NewView(kernels.Type{}, 1, out.h, out.w, out.c, 0)
				source := d.src.in(layout{halo: c.Pad.Max()})
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

// TestWinogradBoundValue compares WinogradBound with its formula, for shapes whose n and β are
// known.
func TestWinogradBoundValue(t *testing.T) {
	for _, c := range []struct {
		s        kernels.ConvShape
		channels float64 // of all phases
		tile     int     // 0 if there is no algorithm
	}{
		{kernels.ConvShape{In: 1, Out: 5, KH: 3, KW: 3, Stride: 1, Groups: 1}, 1, 6},
		{kernels.ConvShape{In: 64, Out: 256, KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1), Groups: 1}, 64, 6},
		{kernels.ConvShape{In: 64, Out: 256, KH: 4, KW: 4, Stride: 1, Groups: 1}, 64, 8},
		{kernels.ConvShape{In: 96, Out: 256, KH: 5, KW: 5, Stride: 1, Pad: kernels.Pad(2), Groups: 2}, 48, 8},
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
