package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/workers"
)

// A poolCase is a pooling of n images of h×w pixels with c channels.
type poolCase struct {
	kernels.PoolShape
	n, h, w, c int
}

func (p poolCase) String() string {
	s := fmt.Sprintf("%dx%dx%dx%d_k%dx%ds%dp%v", p.n, p.h, p.w, p.c, p.KH, p.KW, p.Stride, p.Pad)
	if p.Ceil {
		s += "_ceil"
	}
	if p.ExcludePad {
		s += "_exclude"
	}
	return s
}

// test runs maximum and average pooling in the given layouts against the
// reference. Halos hold NaNs: pooling must not read them.
func (p poolCase) test(t *testing.T, set *kernels.Set, dst, src layout, threads int) {
	oh, ow := p.OutSize(p.h, p.w)
	if oh < 1 || ow < 1 {
		return // refused, see TestPoolErrors
	}
	in := random(1, p.n, p.h, p.w, p.c)
	out := tensor{n: p.n, h: oh, w: ow, c: p.c}
	pool := func(name string, bind func(set *kernels.Set, s kernels.PoolShape, dst, src kernels.View, threads int) (workers.Task, error), want []float64, bound func(int) float64) {
		t.Run(name+"="+p.String(), func(t *testing.T) {
			exercise(t, threads, out.in(dst), []tensor{in.in(src)},
				func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
					return bind(set, p.PoolShape, dst, srcs[0], threads)
				},
				func(side string, got kernels.View) { kerneltest.Compare(t, side, got, want, bound) })
		})
	}
	pool("max", kernels.BindMaxPool, ref.MaxPool(p.PoolShape, in.dense()), nil)
	mean, abs := ref.AvgPool(p.PoolShape, in.dense())
	k := p.KH * p.KW
	if p.KH == 0 {
		k = p.h * p.w
	}
	pool("avg", kernels.BindAvgPool, mean, kerneltest.SumBound(k, abs))
}

// TestMaxPool3x3s2Kernel compares the kernel for rows of 3×3 windows with the loop that F32
// documents it by, between guard pages.
func TestMaxPool3x3s2Kernel(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		const maxPixels, gap = 5, 3
		counts := channelCounts(set)
		wide := counts[len(counts)-1] + gap
		dstMem := guarded(t, maxPixels*wide)
		srcMem := guarded(t, 3*(2*maxPixels+2)*wide)
		values := kerneltest.Random(1, len(srcMem[0]))
		for _, channels := range counts {
			for pixels := 1; pixels <= maxPixels; pixels++ {
				for side := range sides {
					srcPixel, dstPixel := channels+pixels%2*gap, channels+channels/set.F32.Lanes%2*gap
					srcRow := (2*pixels + 2) * srcPixel
					src := srcMem.load(side, values[:2*srcRow+2*pixels*srcPixel+channels])
					dst := dstMem.blank(side, (pixels-1)*dstPixel+channels)
					set.F32.MaxPool3x3s2(&dst[0], &src[0], pixels, channels, srcRow, srcPixel, dstPixel)
					compareRows(t, fmt.Sprintf("%d pixels × %d channels, %s", pixels, channels, sides[side]), dst, pixels, channels, dstPixel, func(p, c int) float64 {
						best := negInf
						for i := range 3 {
							for j := range 3 {
								best = max(best, src[i*srcRow+(2*p+j)*srcPixel+c])
							}
						}
						return float64(best)
					}, nil)
				}
			}
		}
	})
}

// TestPoolKernels compares the kernels for one window with the loops that F32 documents them by,
// between guard pages.
func TestPoolKernels(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		const maxSide, gap = 4, 3
		counts := channelCounts(set)
		wide := counts[len(counts)-1] + gap
		dstMem := guarded(t, wide)
		srcMem := guarded(t, maxSide*(maxSide+1)*wide)
		values := kerneltest.Random(1, len(srcMem[0]))
		for _, channels := range counts {
			for h := 1; h <= maxSide; h++ {
				for w := 1; w <= maxSide; w++ {
					for side := range sides {
						srcPixel := channels + (h+w)%2*gap
						srcRow := (w + h%2) * srcPixel
						src := srcMem.load(side, values[:(h-1)*srcRow+(w-1)*srcPixel+channels])
						what := fmt.Sprintf("%d×%d pixels × %d channels, %s", h, w, channels, sides[side])
						dst := dstMem.blank(side, channels)
						set.F32.MaxPool(&dst[0], &src[0], h, w, channels, srcRow, srcPixel)
						compareRows(t, "MaxPool of "+what, dst, 1, channels, channels, func(_, c int) float64 {
							best := negInf
							for i := range h {
								for j := range w {
									best = max(best, src[i*srcRow+j*srcPixel+c])
								}
							}
							return float64(best)
						}, nil)

						const scale = 0.3
						sum := func(c int, f func(float64) float64) (sum float64) {
							for i := range h {
								for j := range w {
									sum += f(float64(src[i*srcRow+j*srcPixel+c]))
								}
							}
							return sum * float64(float32(scale))
						}
						kerneltest.Poison(dst)
						set.F32.AvgPool(&dst[0], &src[0], h, w, channels, srcRow, srcPixel, scale)
						compareRows(t, "AvgPool of "+what, dst, 1, channels, channels,
							func(_, c int) float64 { return sum(c, func(x float64) float64 { return x }) },
							func(_, c int) float64 { return kerneltest.Tolerance(h*w, sum(c, math.Abs)) })
					}
				}
			}
		}
	})
}

// TestPoolWindows has many windows, strides and paddings, with and without Ceil, on images from one
// pixel on, so that windows are clipped on all sides.
func TestPoolWindows(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		channels := set.F32.Lanes + 1
		for _, k := range [][2]int{{1, 1}, {2, 2}, {3, 3}, {3, 2}, {1, 3}, {5, 5}} {
			for stride := 1; stride <= 3; stride++ {
				for pad := 0; pad < min(k[0], k[1]); pad++ {
					for _, ceil := range []bool{false, true} {
						for _, size := range [][2]int{{1, 1}, {2, 1}, {3, 3}, {4, 5}, {5, 4}, {6, 7}, {7, 6}, {8, 8}} {
							s := kernels.PoolShape{KH: k[0], KW: k[1], Stride: stride, Pad: kernels.Pad(pad), Ceil: ceil}
							poolCase{s, 1, size[0], size[1], channels}.test(t, set, layout{}, layout{halo: 1}, 1)
						}
					}
				}
			}
		}
		for h := 1; h <= 4; h++ {
			for w := 1; w <= 4; w++ {
				poolCase{kernels.PoolShape{}, 2, h, w, channels}.test(t, set, layout{}, layout{}, 1)
			}
		}
		// SqueezeNet's last pool.
		poolCase{kernels.PoolShape{}, 1, 15, 15, 40}.test(t, set, layout{}, layout{}, 1)
	})
}

// TestPoolChannels has channel counts around multiples of the vector.
func TestPoolChannels(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, s := range []kernels.PoolShape{
			{KH: 3, KW: 3, Stride: 2},
			{KH: 2, KW: 2, Stride: 2, Pad: kernels.Pad(1)},
			{},
		} {
			for c := 1; c <= 40; c++ {
				poolCase{s, 1, 5, 7, c}.test(t, set, layout{}, layout{}, 1)
			}
			for _, c := range kerneltest.Sizes(set.F32.Lanes, 2*set.F32.Lanes, 4*set.F32.Lanes, 8*set.F32.Lanes) {
				poolCase{s, 1, 5, 7, c}.test(t, set, layout{halo: 1}, layout{after: 1}, 1)
			}
		}
	})
}

// TestPoolLayouts reads from and writes to every layout, in batches.
func TestPoolLayouts(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, s := range []kernels.PoolShape{
			{KH: 3, KW: 3, Stride: 2, Ceil: true},
			{KH: 3, KW: 3, Stride: 2, Pad: kernels.Pad(1)},
			{KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1)},
			{},
		} {
			for n := 1; n <= 3; n++ {
				for i, dst := range layouts {
					for j, src := range layouts {
						t.Run(fmt.Sprintf("layouts=%d,%d", i, j), func(t *testing.T) {
							poolCase{s, n, 6, 9, 21}.test(t, set, dst, src, 1+(i+j)%2)
						})
					}
				}
			}
		}
	})
}

// TestPoolThreads has enough work for many chunks, on several threads.
func TestPoolThreads(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for threads := 1; threads <= 3; threads++ {
			p := poolCase{kernels.PoolShape{KH: 3, KW: 3, Stride: 2, Ceil: true}, 2, 30, 40, 37}
			p.test(t, set, layout{halo: 1}, layout{}, threads)
			oh, ow := p.OutSize(p.h, p.w)
			task, err := kernels.BindMaxPool(set, p.PoolShape, kernels.NewView(kernels.Type{}, p.n, oh, ow, p.c, 0), kernels.NewView(kernels.Type{}, p.n, p.h, p.w, p.c, 0), threads)
			if err != nil {
				t.Fatal(err)
			}
			if chunks := task.Chunks(); threads > 1 && chunks < 2*threads {
				t.Errorf("%v: %d chunks for %d threads test nothing", p, chunks, threads)
			}
		}
	})
}

// TestMaxPoolNaN: a NaN that is the first value of a window is the maximum; a NaN elsewhere in
// the window may be ignored. Infinities are numbers like any others.
func TestMaxPoolNaN(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, s := range []kernels.PoolShape{
			{KH: 3, KW: 3, Stride: 2},
			{KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1)},
			{KH: 2, KW: 2, Stride: 2, Ceil: true},
			{},
		} {
			// The channels fill all vectors of the widest unrolled loop, and one is left over.
			src := kernels.NewView(kernels.Type{}, 1, 5, 7, 9*set.F32.Lanes+1, 0)
			random := kerneltest.Random(1, len(kernels.Data[float32](src)))
			oh, ow := s.OutSize(src.H, src.W)
			dst := kernels.NewView(kernels.Type{}, 1, oh, ow, src.C, 0)
			task, err := kernels.BindMaxPool(set, s, dst, src, 1)
			if err != nil {
				t.Fatal(err)
			}
			for y := range src.H {
				for x := range src.W {
					for phase := range 3 {
						// put sets every third channel of one pixel.
						put := func(v float32) {
							px := kernels.Pixel[float32](src, 0, y, x)
							for c := phase; c < len(px); c += 3 {
								px[c] = v
							}
						}
						what := fmt.Sprintf("%+v at (%d, %d), channels %d, %d…", s, y, x, phase, phase+3)
						copy(kernels.Data[float32](src), random)
						for _, v := range []float32{inf, negInf} {
							put(v)
							run(task, 1)
							kerneltest.Compare(t, fmt.Sprint(v, " with ", what), dst, ref.MaxPool(s, src), nil)
						}
						ignored := ref.MaxPool(s, src)
						put(nan)
						want := ref.MaxPool(s, src)
						run(task, 1)
						for i, got := range kernels.Data[float32](dst) {
							first := y == max(i/dst.C/dst.W*s.Stride-s.Pad.Top, 0) && x == max(i/dst.C%dst.W*s.Stride-s.Pad.Left, 0)
							if math.IsNaN(want[i]) && !first && float64(got) == ignored[i] {
								want[i] = ignored[i]
							}
						}
						kerneltest.Compare(t, "NaN with "+what, dst, want, nil)
					}
				}
			}
		}
	})
}

// TestPoolErrors: a shape or views that do not fit are an error that says what was expected.
func TestPoolErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	view := func(n, h, w, c int) kernels.View { return kernels.NewView(kernels.Type{}, n, h, w, c, 0) }
	good := kernels.PoolShape{KH: 3, KW: 3, Stride: 2}
	for _, c := range []struct {
		name     string
		shape    kernels.PoolShape
		dst, src kernels.View
		want     []string
	}{
		{"good", good, view(2, 2, 3, 4), view(2, 5, 7, 4), nil},
		{"good global", kernels.PoolShape{}, view(2, 1, 1, 4), view(2, 5, 7, 4), nil},
		{"stride", kernels.PoolShape{KH: 3, KW: 3}, view(2, 2, 3, 4), view(2, 5, 7, 4), []string{"Stride is 0"}},
		{"window", kernels.PoolShape{KH: 3, Stride: 1}, view(2, 3, 7, 4), view(2, 5, 7, 4), []string{"window", "3×0"}},
		{"negative window", kernels.PoolShape{KH: -1, KW: -1, Stride: 1}, view(2, 3, 7, 4), view(2, 5, 7, 4), []string{"window"}},
		{"padding", kernels.PoolShape{KH: 2, KW: 3, Stride: 1, Pad: kernels.Pad(2)}, view(2, 3, 7, 4), view(2, 5, 7, 4), []string{"Pad is 2", "2×3"}},
		{"negative padding", kernels.PoolShape{KH: 2, KW: 3, Stride: 1, Pad: kernels.Pad(-1)}, view(2, 3, 7, 4), view(2, 5, 7, 4), []string{"Pad is -1"}},
		{"size", good, view(2, 3, 3, 4), view(2, 5, 7, 4), []string{"2×3×3×4", "2×3×4"}},
		{"channels", good, view(2, 2, 3, 5), view(2, 5, 7, 4), []string{"2×2×3×5", "2×3×4"}},
		{"batch", good, view(1, 2, 3, 4), view(2, 5, 7, 4), []string{"images"}},
		{"window larger than the image", good, view(1, 1, 1, 1), view(1, 2, 5, 1), []string{"pooling"}},
		{"empty source", good, view(1, 1, 1, 1), kernels.View{}, []string{"source"}},
	} {
		for name, bind := range map[string]func(*kernels.Set, kernels.PoolShape, kernels.View, kernels.View, int) (workers.Task, error){
			"max": kernels.BindMaxPool, "average": kernels.BindAvgPool,
		} {
			_, err := bind(set, c.shape, c.dst, c.src, 1)
			checkError(t, name+", "+c.name, err, c.want)
		}
	}
}
