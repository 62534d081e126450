package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/winograd"
)

// TestWinogradGradientTransforms compares the transforms with the loops of GradientTransforms, between guard pages.
func TestWinogradGradientTransforms(t *testing.T) {
	a := winograd.NewGradient(3, 4)
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		const maxTiles, gap = 3, 3
		n, g, at := a.N(), a.G.Float(), a.AT.Float()
		wide := 3 * set.F32.Lanes
		size := (n*n + 1) * (maxTiles + 1) * (wide + gap)
		dstMem, srcMem := guarded(t, size), guarded(t, size)
		random := kerneltest.Random(1, size)
		for channels := set.F32.Lanes; channels <= wide; channels += set.F32.Lanes {
			for tiles := 1; tiles <= maxTiles; tiles++ {
				for round := range 4 {
					side, extra := round%2, round/2*gap
					what := fmt.Sprintf("%d tiles × %d channels, round %d", tiles, channels, round)
					pixel := channels + extra
					row := tiles*a.R*pixel + extra
					tile := channels + gap - extra
					matrix := tiles*tile + extra
					src := srcMem.load(side, random[:(a.R-1)*row+(tiles*a.R-1)*pixel+channels])
					dst := dstMem.blank(side, (n*n-1)*matrix+(tiles-1)*tile+channels)
					set.F32.WinogradGradient.Gradient(&dst[0], &src[0], tiles, channels, row, pixel, a.R*pixel, matrix, tile)
					compareMatrices(t, "gradients of "+what, dst, n, tiles, channels, matrix, tile, g, 1, func(p, k, l, c int) float32 {
						return src[k*row+(p*a.R+l)*pixel+c]
					})

					src = srcMem.load(side, random[:(n*n-1)*matrix+(tiles-1)*tile+channels])
					dst = dstMem.blank(side, (a.M*a.M-1)*matrix+(tiles-1)*tile+channels)
					set.F32.WinogradGradient.Weights(&dst[0], &src[0], tiles, channels, matrix, tile, matrix, tile, 0.3)
					compareMatrices(t, "weights of "+what, dst, a.M, tiles, channels, matrix, tile, at, 0.3, func(p, k, l, c int) float32 {
						return src[(k*n+l)*matrix+p*tile+c]
					})
					if t.Failed() {
						return
					}
				}
			}
		}
	})
}

// compareMatrices compares n×n matrices [tile][channel] with scale·T·x·Tᵀ, where x(p, k, l, c) is an element of tile p.
func compareMatrices(t *testing.T, what string, got []float32, n, tiles, channels, matrix, tile int, by [][]float64, scale float32, x func(p, k, l, c int) float32) {
	t.Helper()
	view := kernels.View{Memory: kernels.Bytes(got), N: 1, H: n * n, W: tiles, C: channels, Row: matrix, Pixel: tile}
	var want, abs []float64
	for e := range n * n {
		for p := range tiles {
			for c := range channels {
				sum, mag := separable(by[e/n], by[e%n], func(k, l int) float32 { return x(p, k, l, c) })
				want, abs = append(want, sum*float64(scale)), append(abs, mag*float64(scale))
			}
		}
	}
	kerneltest.Compare(t, what, view, want, kerneltest.SumBound(2*len(by[0])+1, abs))
	kerneltest.Unwritten(t, what, view)
}

// winogradBound returns the bounds of the errors of a case by Winograd's algorithm: for all data, or with random the lower of that and
// what random data are expected to keep, as winogradBound's of a convolution are. No term of a gradient is rounded more than n times: in
// two sums of each of three transforms, in the sum over at most all tiles, by the scale and by each pair of slices. The magnitude
// of all terms is at most β² times the sum over tiles of the largest input times the sum of the
// absolute gradients. And on random data, whose variance is 1, a result is a sum over k tiles of independent
// values whose variance the squares of the matrices give.
func (c weightGradientCase) winogradBound(random bool) func(i int) float64 {
	const unit, lambda = 1.0 / (1 << 24), 4
	a, d := winograd.NewGradient(3, 4), c.data()
	bt, g, at := a.BT.Float(), a.G.Float(), a.AT.Float()
	src, grad := d.src.dense(), d.grad.dense()
	rows, cols := (grad.H+a.R-1)/a.R, (grad.W+a.R-1)/a.R
	tiles := float64(c.n * rows * cols)
	n := tiles + 2*4 + 2*4 + 2*5 + 1 + 6
	beta, spread := 0.0, 0.0
	for _, row := range at {
		for k := range a.R {
			sum := 0.0
			for i, v := range row {
				norm := 0.0
				for _, b := range bt[i] {
					norm += math.Abs(b)
				}
				sum += math.Abs(v) * norm * math.Abs(g[i][k])
			}
			beta = max(beta, sum/float64(a.Scale))
		}
		sum := 0.0
		for i, v := range row {
			b, q := 0.0, 0.0
			for _, v := range bt[i] {
				b += v * v
			}
			for _, v := range g[i] {
				q += v * v
			}
			sum += v * v * b * q
		}
		spread = max(spread, sum/float64(a.Scale*a.Scale))
	}
	typical := math.Inf(1)
	if random {
		typical = lambda * unit * math.Sqrt(n*tiles) * spread
	}
	worst := make([]float64, c.In*c.Out)
	for image := range c.n {
		for tile := range rows * cols {
			y0, x0 := tile/cols*a.R, tile%cols*a.R
			most := make([]float64, c.In)
			for y := max(y0-c.Pad.Top, 0); y < min(y0-c.Pad.Top+a.N(), c.h); y++ {
				for x := max(x0-c.Pad.Left, 0); x < min(x0-c.Pad.Left+a.N(), c.w); x++ {
					for i, v := range kernels.Pixel[float32](src, image, y, x) {
						most[i] = max(most[i], math.Abs(float64(v)))
					}
				}
			}
			for y := y0; y < min(y0+a.R, grad.H); y++ {
				for x := x0; x < min(x0+a.R, grad.W); x++ {
					for o, v := range kernels.Pixel[float32](grad, image, y, x) {
						for i, m := range most {
							worst[o*c.In+i] += m * math.Abs(float64(v))
						}
					}
				}
			}
		}
	}
	return func(i int) float64 {
		if i < c.Weights() {
			return min(n*unit/(1-n*unit)*beta*beta*worst[i/9], typical)
		}
		return kerneltest.Tolerance(c.pixels(), d.abs[i])
	}
}

// byWinograd returns the case for Winograd's algorithm.
func (c weightGradientCase) byWinograd() weightGradientCase {
	c.algo = "winograd"
	return c
}

// TestWinogradGradient compares gradients by Winograd's algorithm with the reference: images whose tiles do and do not reach beyond
// them, channels that do and do not fill vectors and tiles, and several slices.
func TestWinogradGradient(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		lanes, width := set.F32.Lanes, set.F32.WeightGradient.Wide.Width
		cases := []weightGradientCase{
			conv(4, 4, 1, 1, 3, 1, 1, 1).of(1),
			conv(4, 4, lanes, width, 3, 1, 1, 1).of(2),
			conv(8, 12, 2*lanes, width+1, 3, 1, 1, 1).of(1),
			conv(9, 10, lanes+1, 3, 3, 1, 1, 1).of(2),
			conv(13, 13, lanes, 2*width, 3, 1, 1, 1).of(1),
			conv(7, 6, 3, 5, 3, 1, 0, 1).of(3),
			conv(6, 31, 3, 2, 3, 1, 2, 1).of(2),
			conv(80, 30, 2, 3, 3, 1, 1, 1).of(2),
			conv(4, 1100, 1, 2, 3, 1, 1, 1).of(1), // one row of tiles for two slices
		}
		asymmetric := conv(6, 7, lanes, 5, 3, 1, 0, 1).of(2)
		asymmetric.Pad = kernels.Padding{Top: 0, Left: 2, Bottom: 1, Right: 0}
		for i, c := range append(cases, asymmetric) {
			c = c.byWinograd()
			t.Run(c.String(), func(t *testing.T) { c.test(t, set, i, c.winogradBound(true)) })
		}
	})
}

// TestDigestWinogradGradient: Winograd's algorithm gives the same bits on all instruction sets that have a fused
// multiply-add, with any number of threads and in any layout; the scalar kernels do so for themselves.
func TestDigestWinogradGradient(t *testing.T) {
	type key struct {
		weightGradientCase
		fused bool
	}
	want := map[key]string{}
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range []weightGradientCase{
			conv(13, 10, 16, 50, 3, 1, 1, 1).of(2).byWinograd(),
			conv(33, 31, 1, 3, 3, 1, 1, 1).of(5).byWinograd(),
		} {
			k := key{c, set.ISA != kernels.Scalar}
			for threads := 1; threads <= 3; threads++ {
				for _, l := range [][2]layout{{}, {{halo: 2, before: 1, after: 3}, {halo: 1, before: 2}}} {
					got := digest(c.compute(t, set, threads, l[0], l[1]))
					if want[k] == "" {
						want[k] = got
					}
					if got != want[k] {
						t.Errorf("%v, %d threads, layouts %+v: digest %s, want %s", c, threads, l, got, want[k])
					}
				}
			}
		}
	})
}

// TestPickWeightGradient: Winograd's algorithm is picked for 3×3 kernels that it saves multiplications for, and takes
// the place of no other.
func TestPickWeightGradient(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range []struct {
			convCase
			want string
		}{
			{conv(13, 13, 64, 256, 3, 1, 1, 1), "winograd"},
			{conv(55, 55, 16, 64, 3, 1, 1, 1), "winograd"},
			{conv(3, 13, 64, 256, 3, 1, 1, 1), "direct"},
			{conv(13, 13, 64, 256, 3, 2, 1, 1), "direct"},
			{conv(13, 13, 64, 256, 3, 1, 1, 2), "direct"},
			{conv(13, 13, 64, 256, 1, 1, 0, 1), "direct"},
			{conv(27, 27, 64, 192, 5, 1, 2, 1), "direct"},
		} {
			if got := kernels.PickWeightGradient(set, c.problem()); got != c.want {
				t.Errorf("%v: picked %s, want %s", c, got, c.want)
			}
		}
		// Where it cannot be computed, another algorithm is.
		c := conv(5, 4, 3, 5, 3, 2, 1, 1).of(1).byWinograd()
		c.test(t, set, 0, kerneltest.SumBound(c.pixels(), c.data().abs))
	})
}
