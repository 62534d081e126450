package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/workers"
)

// withTies returns random values of which many are the same, so that windows have several maxima.
func withTies(seed uint64, n int) []float32 {
	values := kerneltest.Random(seed, n)
	for i, v := range values {
		values[i] = float32(math.Round(float64(2 * v)))
	}
	return values
}

// testGradient runs the gradients of maximum and average pooling in the given layouts against the reference.
// Halos hold NaNs: the gradients must not read them.
func (p poolCase) testGradient(t *testing.T, set *kernels.Set, dst, src layout, threads int) {
	oh, ow := p.OutSize(p.h, p.w)
	if oh < 1 || ow < 1 {
		return // refused, see TestPoolGradientErrors
	}
	in := tensor{n: p.n, h: p.h, w: p.w, c: p.c, values: withTies(1, p.n*p.h*p.w*p.c)}
	top := tensor{n: p.n, h: oh, w: ow, c: p.c}
	for _, v := range ref.MaxPool(p.PoolShape, in.dense()) {
		top.values = append(top.values, float32(v))
	}
	grad := random(2, p.n, oh, ow, p.c)
	out := tensor{n: p.n, h: p.h, w: p.w, c: p.c}
	windows := p.KH * p.KW // that a pixel may be in, at most
	if p.KH == 0 {
		windows = 1
	}
	t.Run("max="+p.String(), func(t *testing.T) {
		want, abs := ref.MaxPoolGradient(p.PoolShape, in.dense(), grad.dense())
		exercise(t, threads, out.in(dst), []tensor{in.in(src), top.in(dst), grad.in(src)},
			func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
				return kernels.BindMaxPoolGradient(set, p.PoolShape, dst, srcs[0], srcs[1], srcs[2], threads)
			},
			func(side string, got kernels.View) {
				kerneltest.Compare(t, side, got, want, kerneltest.SumBound(windows, abs))
			})
	})
	t.Run("avg="+p.String(), func(t *testing.T) {
		want, abs := ref.AvgPoolGradient(p.PoolShape, p.h, p.w, grad.dense())
		exercise(t, threads, out.in(dst), []tensor{grad.in(src)},
			func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
				return kernels.BindAvgPoolGradient(set, p.PoolShape, dst, srcs[0], threads)
			},
			// The scale and its product are rounded, and then the sum.
			func(side string, got kernels.View) {
				kerneltest.Compare(t, side, got, want, kerneltest.SumBound(windows+2, abs))
			})
	})
}

// TestPoolGradientKernels compares the kernels with the loops that F32 documents them by, between guard pages:
// exactly.
func TestPoolGradientKernels(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		const windows, gap, scale = 3, 3, 0.3
		counts := channelCounts(set)
		wide := counts[len(counts)-1] + gap
		dstMem, srcMem := guarded(t, 3*8*wide), guarded(t, 3*8*wide)
		topMem, gradMem := guarded(t, windows*wide), guarded(t, windows*wide)
		x, y := withTies(1, 3*8*wide), kerneltest.Random(2, 3*8*wide)
		for i, channels := range counts {
			for side := range sides {
				for cols := 1; cols <= windows; cols++ {
					dstPixel, srcPixel := channels+i%2*gap, channels+(i+cols)%2*gap
					topPixel, gradPixel := channels+cols%2*gap, channels+(side+cols)%2*gap
					rows, dstRow, srcRow := 1+(i+cols)%3, (2*cols+1+side)*dstPixel, (2*cols+2)*srcPixel
					// last is the size of an operand whose window has a last pixel.
					last := func(rows, cols, row, pixel int) int { return (rows-1)*row + (cols-1)*pixel + channels }
					top, grad := topMem.load(side, x[:last(1, cols, 0, topPixel)]), gradMem.load(side, y[:last(1, cols, 0, gradPixel)])
					what := fmt.Sprintf("%d channels, %d×%d, %s", channels, rows, cols, sides[side])
					// check compares all values, those between the pixels included.
					check := func(name string, got, want []float32) {
						t.Helper()
						if !slices.Equal(got, want) {
							t.Errorf("%s of %s: not what the loop computes", name, what)
						}
					}
					// add is the loops of all maxima, for one window.
					add := func(dst, src, top, grad []float32, rows, cols int, fresh bool) {
						for c := range channels {
							g := grad[c]
							for i := range rows {
								for j := range cols {
									part := float32(0)
									if src[i*srcRow+j*srcPixel+c] == top[c] {
										part, g = g, 0
									}
									if fresh && i > 0 && j > 0 {
										dst[i*dstRow+j*dstPixel+c] = part
									} else {
										dst[i*dstRow+j*dstPixel+c] += part
									}
								}
							}
						}
					}
					src, dst := srcMem.load(side, x[:last(rows, cols, srcRow, srcPixel)]), dstMem.load(side, y[:last(rows, cols, dstRow, dstPixel)])
					want := slices.Clone(dst)
					add(want, src, top, grad, rows, cols, false)
					set.F32.MaxPoolGradient(&dst[0], &src[0], &top[0], &grad[0], rows, cols, channels, dstRow, dstPixel, srcRow, srcPixel)
					check("MaxPoolGradient", dst, want)

					for i := range rows {
						for j := range cols {
							for c := range channels {
								want[i*dstRow+j*dstPixel+c] += float32(grad[c] * scale)
							}
						}
					}
					set.F32.AvgPoolGradient(&dst[0], &grad[0], rows, cols, channels, dstRow, dstPixel, scale)
					check("AvgPoolGradient", dst, want)

					src, dst = srcMem.load(side, x[:last(3, 2*cols+1, srcRow, srcPixel)]), dstMem.load(side, y[:last(3, 2*cols+1, dstRow, dstPixel)])
					want = slices.Clone(dst)
					for p := range cols {
						add(want[2*p*dstPixel:], src[2*p*srcPixel:], top[p*topPixel:], grad[p*gradPixel:], 3, 3, true)
					}
					set.F32.MaxPool3x3s2Gradient(&dst[0], &src[0], &top[0], &grad[0], cols, channels, dstRow, dstPixel, srcRow, srcPixel, topPixel, gradPixel)
					check("MaxPool3x3s2Gradient", dst, want)
				}
			}
		}
	})
}

// TestPoolGradientWindows has many windows, strides and paddings, with and without Ceil, on images from one
// pixel on, so that windows are clipped on all sides.
func TestPoolGradientWindows(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		channels := set.F32.Lanes + 1
		for _, k := range [][2]int{{1, 1}, {2, 2}, {3, 3}, {3, 2}, {1, 3}, {5, 5}} {
			for stride := 1; stride <= 3; stride++ {
				for pad := 0; pad < min(k[0], k[1]); pad++ {
					for _, ceil := range []bool{false, true} {
						for _, size := range [][2]int{{1, 1}, {2, 1}, {4, 5}, {7, 6}, {8, 8}} {
							s := kernels.PoolShape{KH: k[0], KW: k[1], Stride: stride, Pad: kernels.Pad(pad), Ceil: ceil, ExcludePad: pad == 1}
							poolCase{s, 1, size[0], size[1], channels}.testGradient(t, set, layout{}, layout{halo: 1}, 1)
						}
					}
				}
			}
		}
		// Windows that reach beyond one side only, also of images that hold none.
		for _, pad := range []kernels.Padding{{Right: 1}, {Bottom: 1}, {Left: 1}, {Top: 2}, {Right: 2, Bottom: 2}, {Top: 1, Left: 2, Right: 1}} {
			for h := 1; h <= 6; h++ {
				for w := 1; w <= 6; w++ {
					poolCase{kernels.PoolShape{KH: 3, KW: 3, Stride: 2, Pad: pad}, 1, h, w, channels}.testGradient(t, set, layout{}, layout{halo: 1}, 1)
				}
			}
		}
		poolCase{kernels.PoolShape{}, 2, 4, 3, channels}.testGradient(t, set, layout{}, layout{}, 1)
		poolCase{kernels.PoolShape{}, 1, 15, 15, 40}.testGradient(t, set, layout{}, layout{}, 1)
	})
}

// TestPoolGradientChannels has channel counts around multiples of the vector.
func TestPoolGradientChannels(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, s := range []kernels.PoolShape{
			{KH: 3, KW: 3, Stride: 2},
			{KH: 2, KW: 2, Stride: 2, Pad: kernels.Pad(1)},
			{},
		} {
			for c := 1; c <= 40; c++ {
				poolCase{s, 1, 5, 7, c}.testGradient(t, set, layout{}, layout{}, 1)
			}
			for _, c := range kerneltest.Sizes(set.F32.Lanes, 2*set.F32.Lanes, 4*set.F32.Lanes, 8*set.F32.Lanes) {
				poolCase{s, 1, 5, 7, c}.testGradient(t, set, layout{halo: 1}, layout{after: 1}, 1)
			}
		}
	})
}

// TestPoolGradientLayouts reads from and writes to every layout, in batches.
func TestPoolGradientLayouts(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, s := range []kernels.PoolShape{
			{KH: 3, KW: 3, Stride: 2, Ceil: true},
			{KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1)},
			{},
		} {
			for i, dst := range layouts {
				for j, src := range layouts {
					t.Run(fmt.Sprintf("layouts=%d,%d", i, j), func(t *testing.T) {
						poolCase{s, 1 + j%3, 6, 9, 21}.testGradient(t, set, dst, src, 1+(i+j)%2)
					})
				}
			}
		}
	})
}

// TestPoolGradientThreads: the bits are the same on any number of threads, also where an image is divided, and
// on all instruction sets.
func TestPoolGradientThreads(t *testing.T) {
	want := map[string]string{}
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for n := 1; n <= 2; n++ {
			s := kernels.PoolShape{KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1)}
			src, grad := random(1, n, 12, 13, 85), random(2, n, 12, 13, 85)
			top, dst := kernels.NewView(kernels.Type{}, n, 12, 13, 85, 0), kernels.NewView(kernels.Type{}, n, 12, 13, 85, 1)
			task, err := kernels.BindMaxPool(set, s, top, src.dense(), 1)
			if err != nil {
				t.Fatal(err)
			}
			run(task, 1)
			for threads := 1; threads <= 4; threads++ {
				for name, bind := range map[string]func() (workers.Task, error){
					"max": func() (workers.Task, error) {
						return kernels.BindMaxPoolGradient(set, s, dst, src.dense(), top, grad.dense(), threads)
					},
					"avg": func() (workers.Task, error) {
						return kernels.BindAvgPoolGradient(set, s, dst, grad.dense(), threads)
					},
				} {
					task, err := bind()
					if err != nil {
						t.Fatal(err)
					}
					if chunks := task.Chunks(); chunks < threads && set.F32.Lanes*threads <= 85 {
						t.Errorf("%s: %d chunks for %d threads", name, chunks, threads)
					}
					run(task, threads)
					got, key := digest(values(dst)), fmt.Sprint(name, n)
					if want[key] == "" {
						want[key] = got
					}
					if got != want[key] {
						t.Errorf("%s, %d images, %d threads: digest %s, want %s", name, n, threads, got, want[key])
					}
				}
			}
		}
	})
}

// TestPoolGradientErrors: a shape or views that do not fit are an error that says what was expected.
func TestPoolGradientErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	view := func(n, h, w, c int) kernels.View { return kernels.NewView(kernels.Type{}, n, h, w, c, 0) }
	s := kernels.PoolShape{KH: 3, KW: 3, Stride: 2}
	for _, c := range []struct {
		name              string
		dst, src, y, grad kernels.View
		want              []string
	}{
		{"good", view(2, 5, 7, 4), view(2, 5, 7, 4), view(2, 2, 3, 4), view(2, 2, 3, 4), nil},
		{"size", view(2, 5, 7, 4), view(2, 5, 7, 4), view(2, 3, 3, 4), view(2, 3, 3, 4), []string{"2×3×3×4", "2×3×4"}},
		{"source", view(2, 5, 7, 4), view(2, 5, 6, 4), view(2, 2, 3, 4), view(2, 2, 3, 4), []string{"2×5×6×4", "2×5×7×4"}},
		{"result", view(2, 5, 7, 4), view(2, 5, 7, 4), view(2, 2, 2, 4), view(2, 2, 3, 4), []string{"2×2×2×4", "2×2×3×4"}},
		{"batch", view(1, 5, 7, 4), view(1, 5, 7, 4), view(2, 2, 3, 4), view(2, 2, 3, 4), []string{"images"}},
		{"rows", view(2, 6, 7, 4).Rows(0, 5), view(2, 5, 7, 4), view(2, 2, 3, 4), view(2, 2, 3, 4), []string{"part of the rows"}},
		{"type", kernels.NewView(u8(1, 0), 2, 5, 7, 4, 0), view(2, 5, 7, 4), view(2, 2, 3, 4), view(2, 2, 3, 4), []string{"u8"}},
	} {
		_, err := kernels.BindMaxPoolGradient(set, s, c.dst, c.src, c.y, c.grad, 1)
		checkError(t, "max, "+c.name, err, c.want)
		if c.name != "source" && c.name != "result" {
			_, err = kernels.BindAvgPoolGradient(set, s, c.dst, c.grad, 1)
			checkError(t, "average, "+c.name, err, c.want)
		}
	}
}
