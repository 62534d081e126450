package kernels_test

import (
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/workers"
)

// A weightGradientCase is the gradient of the weights of a convolution.
type weightGradientCase struct {
	convCase
	algo string
}

type weightGradientData struct {
	src, grad tensor
	want, abs []float64
}

// weightGradientCache keeps the data of cases, so that the reference is computed once for all instruction sets.
var weightGradientCache = map[weightGradientCase]*weightGradientData{}

func (c weightGradientCase) data() *weightGradientData {
	if d := weightGradientCache[c]; d != nil {
		return d
	}
	out := c.output()
	d := &weightGradientData{src: random(1, c.n, c.h, c.w, c.In), grad: random(2, c.n, out.h, out.w, out.c)}
	d.src.zeros = c.zeros()
	d.want, d.abs = ref.WeightGradient(c.ConvShape, d.src.dense(), d.grad.dense())
	weightGradientCache[c] = d
	return d
}

// of returns the case of n images, for the direct algorithm.
func (c convCase) of(n int) weightGradientCase {
	c.n = n
	return weightGradientCase{c, "direct"}
}

// compute binds and runs the case with memory of its own, in a layout of the source and one of the gradient.
func (c weightGradientCase) compute(t *testing.T, set *kernels.Set, threads int, src, grad layout) []float32 {
	t.Helper()
	d := c.data()
	src.halo = max(src.halo, c.zeros().Max())
	in, out := d.src.in(src), d.grad.in(grad)
	dst := kernels.NewView(kernels.Type{}, 1, 1, 1, c.Weights()+c.Out, 0)
	tasks, err := kernels.BindWeightGradient(set, c.algo, c.ConvShape, dst, in.view(make([]float32, in.size())), out.view(make([]float32, out.size())), threads)
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		run(task, threads)
	}
	return values(dst)
}

// TestWeightGradient compares gradients with the reference, between unreadable pages: shapes around the tiles, strides,
// groups, padding of all kinds, several images and layouts.
func TestWeightGradient(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		wide, narrow := set.F32.WeightGradient.Wide, set.F32.WeightGradient.Narrow
		cases := []weightGradientCase{
			conv(5, 4, 3, 5, 3, 1, 1, 1).of(2),
			conv(9, 7, 3, narrow.Width+1, 7, 2, 3, 1).of(2),
			conv(11, 13, 3, 7, 11, 4, 2, 1).of(1),
			conv(6, 5, 8, 6, 3, 2, 0, 2).of(2),
			conv(5, 5, 6, 9, 5, 1, 2, 3).of(1),
			conv(7, 6, 5, 4, 1, 1, 0, 1).of(3),
			conv(7, 6, 5, 4, 1, 2, 0, 1).of(3),
			conv(4, 5, 5, 6, 1, 1, 1, 1).of(2),
			conv(3, 3, 4, 6, 1, 1, 2, 2).of(2),
			conv(1, 1, 40, 10, 1, 1, 0, 1).of(5),
			conv(3, 3, 4, 10, 3, 1, 0, 1).of(5), // dense
			conv(1, 2500, 2, 3, 1, 1, 0, 1).of(2),
			conv(50, 49, 2, 3, 2, 1, 1, 1).of(2),
		}
		for _, in := range kerneltest.Sizes(wide.Height(), narrow.Height()) {
			cases = append(cases, conv(3, 4, in, 3, 1, 1, 0, 1).of(1))
		}
		for _, out := range kerneltest.Sizes(wide.Width, narrow.Width) {
			cases = append(cases, conv(3, 4, 2, out, 2, 1, 0, 1).of(1))
		}
		asymmetric := conv(6, 7, 4, 5, 3, 2, 0, 1).of(2)
		asymmetric.Pad = kernels.Padding{Top: 0, Left: 2, Bottom: 1, Right: 0}
		oblong := conv(6, 7, 4, 5, 3, 1, 0, 1).of(2)
		oblong.KW, oblong.Pad = 2, kernels.Padding{Top: 1, Bottom: 1, Left: 1}
		border := conv(3, 4, 3, 5, 1, 1, 0, 1).of(2)
		border.Pad = kernels.Padding{Top: 1, Right: 2}
		cases = append(cases, asymmetric, oblong, border)
		for i, c := range cases {
			t.Run(c.String(), func(t *testing.T) { c.test(t, set, i, kerneltest.SumBound(c.pixels(), c.data().abs)) })
		}
	})
}

// pixels returns the number of gradients of a channel.
func (c weightGradientCase) pixels() int { return len(c.data().grad.values) / c.Out }

// test compares the case with the reference, in two of the layouts between unreadable pages.
func (c weightGradientCase) test(t *testing.T, set *kernels.Set, i int, bound func(i int) float64) {
	d := c.data()
	dst := tensor{n: 1, h: 1, w: 1, c: c.Weights() + c.Out, layout: layouts[i%3]}
	src, grad := d.src.in(layouts[i%len(layouts)]), d.grad.in(layouts[(i+3)%len(layouts)])
	src.halo = max(src.halo, c.zeros().Max())
	threads := 1 + i%3
	dstMem, srcMem, gradMem := guarded(t, dst.size()), guarded(t, src.size()), guarded(t, grad.size())
	var scratch, common []slab
	for side, name := range sides {
		got := dst.view(dstMem[side])
		tasks, err := kernels.BindWeightGradient(set, c.algo, c.ConvShape, got, src.view(srcMem[side]), grad.view(gradMem[side]), threads)
		if err != nil {
			t.Fatal(err)
		}
		scratch = guardScratch(t, tasks[0], scratch, side)
		common = guardCommon(t, tasks[0], common, side)
		for _, task := range tasks {
			run(task, threads)
		}
		kerneltest.Compare(t, name, got, d.want, bound)
		kerneltest.Unwritten(t, name, got)
		kerneltest.ZeroHalo(t, name, got)
	}
}

// chain computes the case as the documentation of BindWeightGradient defines it.
func (c weightGradientCase) chain(slices int, mulAdd func(x, y, z float32) float32) []float32 {
	d := c.data()
	src, grad := d.src.dense(), d.grad.dense()
	in, outs := c.In/c.Groups, c.Out/c.Groups
	all := grad
	interior := c.zeros() == c.Pad
	top, left, h, w := 0, 0, grad.H, grad.W
	if !interior {
		top, left, h, w = c.Pad.Top, c.Pad.Left, c.h, c.w
	}
	pixels := c.n * h * w
	sum := func(o int, border bool, add func(acc float32, n, y, x int, g float32) float32) float32 {
		var sums []float32
		for i := range slices {
			acc := float32(0)
			for p := i * pixels / slices; p < (i+1)*pixels/slices; p++ {
				n, y, x := p/(h*w), p/w%h+top, p%w+left
				acc = add(acc, n, y, x, kernels.At[float32](grad, n, y, x, o))
			}
			sums = append(sums, acc)
		}
		if border && !interior {
			acc := float32(0)
			for n := range all.N {
				for y := range all.H {
					for x := range all.W {
						if y < top || y >= top+h || x < left || x >= left+w {
							acc = add(acc, n, y, x, kernels.At[float32](grad, n, y, x, o))
						}
					}
				}
			}
			sums = append(sums, acc)
		}
		for len(sums) > 1 {
			var pairs []float32
			for i := 0; i < len(sums); i += 2 {
				if i+1 < len(sums) {
					pairs = append(pairs, sums[i]+sums[i+1])
				} else {
					pairs = append(pairs, sums[i])
				}
			}
			sums = pairs
		}
		return sums[0]
	}
	var out []float32
	for o := range c.Out {
		for i := range in {
			for kh := range c.KH {
				for kw := range c.KW {
					out = append(out, sum(o, false, func(acc float32, n, y, x int, g float32) float32 {
						sy, sx := y*c.Stride-c.Pad.Top+kh, x*c.Stride-c.Pad.Left+kw
						v := float32(0)
						if sy >= 0 && sy < c.h && sx >= 0 && sx < c.w {
							v = kernels.At[float32](src, n, sy, sx, o/outs*in+i)
						}
						return mulAdd(v, g, acc)
					}))
				}
			}
		}
	}
	for o := range c.Out {
		out = append(out, sum(o, true, func(acc float32, _, _, _ int, g float32) float32 { return acc + g }))
	}
	return out
}

// TestDigestWeightGradient: the gradient of the weights has the bits that the documentation promises, on every
// instruction set, with any number of threads and in any layout. The cases have one slice, two slices and eight.
func TestDigestWeightGradient(t *testing.T) {
	type key struct {
		weightGradientCase
		fused bool
	}
	chains := map[key]string{}
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range []struct {
			weightGradientCase
			slices int
		}{
			{conv(17, 15, 3, 37, 7, 2, 0, 1).of(1), 1},
			{conv(9, 7, 16, 33, 3, 1, 1, 1).of(2), 1},
			{conv(5, 4, 12, 20, 5, 1, 2, 2).of(3), 1},
			{conv(5, 6, 24, 19, 1, 1, 1, 1).of(4), 1},
			{conv(1, 1, 30, 35, 1, 1, 0, 1).of(7), 1},
			{conv(33, 32, 1, 3, 2, 1, 1, 1).of(4), 2},
			{conv(61, 67, 2, 3, 1, 1, 1, 1).of(2), 2},
			{conv(61, 67, 2, 1, 1, 1, 0, 1).of(5), 8},
		} {
			k := key{c.weightGradientCase, set.ISA != kernels.Scalar}
			if chains[k] == "" {
				chains[k] = digest(c.chain(c.slices, mulAdd(set.ISA)))
			}
			for threads := 1; threads <= 3; threads++ {
				for _, l := range [][2]layout{{}, {{halo: 2, before: 1, after: 3}, {halo: 1, before: 2}}} {
					if got := digest(c.compute(t, set, threads, l[0], l[1])); got != chains[k] {
						t.Errorf("%v, %d threads, layouts %+v: digest %s, want %s", c, threads, l, got, chains[k])
					}
				}
			}
		}
	})
}

func TestWeightGradientRefused(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	view := func(n, h, w, c, halo int) kernels.View { return kernels.NewView(kernels.Type{}, n, h, w, c, halo) }
	shape := kernels.ConvShape{In: 2, Out: 3, KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1), Groups: 1}
	dst, src, grad := view(1, 1, 1, 57, 0), view(2, 4, 5, 2, 1), view(2, 4, 5, 3, 0)
	bad := shape
	bad.Groups = 2
	for _, c := range []struct {
		what           string
		s              kernels.ConvShape
		dst, src, grad kernels.View
		want           []string
	}{
		{"all right", shape, dst, src, grad, nil},
		{"groups", bad, dst, src, grad, []string{"2 groups do not divide"}},
		{"no halo", shape, dst, view(2, 4, 5, 2, 0), grad, []string{"gradient of weights: ", "halo 0"}},
		{"other images", shape, dst, src, view(1, 4, 5, 3, 0), []string{"gradient of weights: ", "different numbers of images"}},
		{"other rows", shape, dst, src, view(2, 3, 5, 3, 0), []string{"2×4×5×2", "2×3×5×3"}},
		{"some rows", shape, dst, src, grad.Rows(1, 2), []string{"2 rows of gradients, expected 4"}},
		{"no biases", shape, view(1, 1, 1, 54, 0), src, grad, []string{"destination 1×1×1×54", "expected 1×1×1×57"}},
		{"a batch", shape, view(2, 1, 1, 57, 0), src, grad, []string{"destination 2×1×1×57", "expected 1×1×1×57"}},
		{"bytes", shape, kernels.NewView(kernels.Type{Element: kernels.Int32}, 1, 1, 1, 57, 0), src, grad, []string{"of s32, expected 1×1×1×57 of f32"}},
	} {
		_, err := kernels.BindWeightGradient(set, "direct", c.s, c.dst, c.src, c.grad, 1)
		checkError(t, c.what, err, c.want)
	}
	_, err = kernels.BindWeightGradient(set, "fast", shape, dst, src, grad, 1)
	checkError(t, "algorithm", err, []string{`gradient of weights: unknown algorithm "fast"`})
}

// TestWeightGradientScratch: tasks that share memory compute what they compute alone, and allocate nothing.
func TestWeightGradientScratch(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for threads := 1; threads <= 2; threads++ {
			var tasks [][]workers.Task
			var all []workers.Task
			var dsts []kernels.View
			cases := []weightGradientCase{conv(13, 14, 5, 19, 3, 1, 1, 1).of(30), conv(9, 8, 12, 20, 1, 1, 0, 1).of(2)}
			for _, c := range cases {
				d := c.data()
				src := d.src.in(layout{halo: c.zeros().Max()})
				dst := kernels.NewView(kernels.Type{}, 1, 1, 1, c.Weights()+c.Out, 0)
				two, err := kernels.BindWeightGradient(set, c.algo, c.ConvShape, dst, src.view(make([]float32, src.size())), d.grad.dense(), threads)
				if err != nil {
					t.Fatal(err)
				}
				tasks, all, dsts = append(tasks, two), append(all, two...), append(dsts, dst)
			}
			if n := kernels.ShareScratch(threads, all); n <= 0 {
				t.Errorf("%d bytes of scratch memory", n)
			}
			for i, c := range cases {
				want := c.compute(t, set, 1, layout{}, layout{})
				pool := workers.NewPool(threads)
				ctx := t.Context()
				if n := testing.AllocsPerRun(2, func() {
					for _, task := range tasks[i] {
						pool.Run(ctx, task)
					}
				}); n != 0 {
					t.Errorf("%v allocates %v times", c, n)
				}
				pool.Close()
				if got := values(dsts[i]); !slices.Equal(got, want) {
					t.Errorf("%v, %d threads: another result with shared scratch memory than alone", c, threads)
				}
			}
		}
	})
}
