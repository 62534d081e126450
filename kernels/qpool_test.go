package kernels_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/workers"
)

// u8 returns the type of quantized values.
func u8(scale float32, zero int32) kernels.Type {
	return kernels.Type{Element: kernels.Uint8, Scale: scale, Zero: zero}
}

// randomBytes returns n values, of which some are the smallest and some the largest one.
func randomBytes(seed uint64, n int) []uint8 {
	r := rand.New(rand.NewPCG(seed, 0))
	s := make([]uint8, n)
	for i := range s {
		// A ninth bit decides whether a number is one of the ends.
		switch x := r.Uint32(); {
		case x>>8&7 > 0:
			s[i] = uint8(x)
		default:
			s[i] = uint8(-(x & 1))
		}
	}
	return s
}

// guardedBytes returns a slab for n bytes.
func guardedBytes(t testing.TB, n int) slab { return guarded(t, (n+3)/4) }

// loadBytes returns a slice that touches the unreadable page and holds values.
func (s slab) loadBytes(side int, values []uint8) []uint8 {
	b := s.bytesOf(side, len(values))
	copy(b, values)
	return b
}

// byteCounts is channelCounts for kernels of quantized values.
func byteCounts(set *kernels.Set) []int {
	var counts []int
	for _, vectors := range []int{1, 2, 3, 4, 5, 7, 8, 9, 17} {
		counts = append(counts, vectors*set.U8.Bytes)
	}
	return counts
}

// requantize is the function that QConvFunc defines.
func requantize(acc int32, scale, lower, upper float32, zero int32) uint8 {
	return uint8(int32(math.RoundToEven(float64(min(max(float32(acc)*scale, lower), upper)))) + zero)
}

// checkBytes compares the values of rows, whose starts are stride apart, with want(row, col), and
// checks that nothing between the rows was written.
func checkBytes(t *testing.T, what string, got []uint8, rows, cols, stride int, want func(r, c int) uint8) {
	t.Helper()
	for i, b := range got {
		expected := uint8(other)
		if r, c := i/stride, i%stride; r < rows && c < cols {
			expected = want(r, c)
		}
		if b != expected {
			t.Fatalf("%s: row %d, column %d of %d×%d is %d, want %d", what, i/stride, i%stride, rows, cols, b, expected)
		}
	}
}

// TestQMaxPool3x3s2Kernel compares the kernel for rows of 3×3 windows with the loop that F32
// documents it by, between guard pages.
func TestQMaxPool3x3s2Kernel(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		const maxPixels, gap = 4, 3
		counts := byteCounts(set)
		wide := counts[len(counts)-1] + gap
		values := randomBytes(1, 3*(2*maxPixels+2)*wide)
		dstMem, srcMem := guardedBytes(t, maxPixels*wide), guardedBytes(t, len(values))
		for _, channels := range counts {
			for pixels := 1; pixels <= maxPixels; pixels++ {
				for side := range sides {
					srcPixel, dstPixel := channels+pixels%2*gap, channels+channels/set.U8.Bytes%2*gap
					srcRow := (2*pixels + 2) * srcPixel
					src := srcMem.loadBytes(side, values[:2*srcRow+2*pixels*srcPixel+channels])
					dst := dstMem.bytesOf(side, (pixels-1)*dstPixel+channels)
					set.U8.MaxPool3x3s2(&dst[0], &src[0], pixels, channels, srcRow, srcPixel, dstPixel)
					checkBytes(t, fmt.Sprintf("%d pixels × %d channels, %s", pixels, channels, sides[side]), dst, pixels, channels, dstPixel, func(p, c int) uint8 {
						best := uint8(0)
						for i := range 3 {
							for j := range 3 {
								best = max(best, src[i*srcRow+(2*p+j)*srcPixel+c])
							}
						}
						return best
					})
				}
			}
		}
	})
}

// TestQPoolKernels compares the kernels for one window with the loops that U8 documents them by,
// between guard pages. The scales make sums halves of odd numbers, results of all sizes, and sums
// that float32 has to round.
func TestQPoolKernels(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		const maxSide, gap = 3, 3
		counts := byteCounts(set)
		wide := counts[len(counts)-1] + gap
		values := randomBytes(1, maxSide*(maxSide+1)*wide)
		dstMem, srcMem := guardedBytes(t, wide), guardedBytes(t, len(values))
		for _, channels := range counts {
			for h := 1; h <= maxSide; h++ {
				for w := 1; w <= maxSide; w++ {
					for side := range sides {
						srcPixel := channels + (h+w)%2*gap
						srcRow := (w + h%2) * srcPixel
						src := srcMem.loadBytes(side, values[:(h-1)*srcRow+(w-1)*srcPixel+channels])
						what := fmt.Sprintf("%d×%d pixels × %d channels, %s", h, w, channels, sides[side])
						dst := dstMem.bytesOf(side, channels)
						set.U8.MaxPool(&dst[0], &src[0], h, w, channels, srcRow, srcPixel)
						checkBytes(t, "MaxPool of "+what, dst, 1, channels, channels, func(_, c int) uint8 {
							best := uint8(0)
							for i := range h {
								for j := range w {
									best = max(best, src[i*srcRow+j*srcPixel+c])
								}
							}
							return best
						})

						for _, a := range []struct {
							bias  int32
							scale float32
							zero  int32
						}{
							{0, 0.5, 0},
							{-int32(h*w) * 128, 0.5, 128},
							{-int32(h*w) * 255, 1 / float32(h*w), 255},
							{-100, 1.0 / 3, 3},
							{1<<24 + 1, 0x1p-17, 10},
							{-1<<30 - 1, 0x1p-23, 200},
							{1 << 20, 1e30, 7},
							{-1 << 20, 1e30, 7},
						} {
							dst := dstMem.bytesOf(side, channels)
							set.U8.AvgPool(&dst[0], &src[0], h, w, channels, srcRow, srcPixel, a.bias, a.scale, a.zero)
							checkBytes(t, fmt.Sprintf("AvgPool of %s, %+v", what, a), dst, 1, channels, channels, func(_, c int) uint8 {
								acc := a.bias
								for i := range h {
									for j := range w {
										acc += int32(src[i*srcRow+j*srcPixel+c])
									}
								}
								return requantize(acc, a.scale, float32(0-a.zero), float32(255-a.zero), a.zero)
							})
						}
					}
				}
			}
		}
	})
}

// A value is an operand of a test, with its type and its dense values, or of a destination the
// values that it must get.
type value[T kernels.Number] struct {
	tensor
	typ  kernels.Type
	data []T
}

// in returns the value with layout l.
func (x value[T]) in(l layout) value[T] {
	x.layout = l
	return x
}

// quantizedValue returns a random one.
func quantizedValue(typ kernels.Type, seed uint64, n, h, w, c int) value[uint8] {
	return value[uint8]{tensor{n: n, h: h, w: w, c: c}, typ, randomBytes(seed, n*h*w*c)}
}

// exerciseValues is exercise for values of any types.
func exerciseValues[D, S kernels.Number](t *testing.T, threads int, dst value[D], srcs []value[S], bind func(dst kernels.View, srcs []kernels.View) (workers.Task, error)) {
	t.Helper()
	out := guardedBytes(t, dst.size()*dst.typ.Element.Size())
	in := make([]slab, len(srcs))
	for i, src := range srcs {
		in[i] = guardedBytes(t, src.size()*src.typ.Element.Size())
	}
	for side, name := range sides {
		got := qview(dst.typ, out, side, dst.tensor)
		views := make([]kernels.View, len(srcs))
		for i, src := range srcs {
			views[i] = qview(src.typ, in[i], side, src.tensor)
			setPixels(views[i], src.data, kernels.Padding{})
		}
		task, err := bind(got, views)
		if err != nil {
			t.Fatal(err)
		}
		run(task, threads)
		checkPixels(t, name, got, dst.data)
	}
}

// A qpoolCase is a pooling of quantized values.
type qpoolCase struct {
	poolCase
	from, to kernels.Type // to only of averages: a maximum keeps the type
}

// test runs maximum and average pooling in the given layouts. A maximum must be that of ref, an
// average what BindAvgPool defines, and no further from the mean of the numbers that the values stand
// for than half a step.
func (p qpoolCase) test(t *testing.T, set *kernels.Set, dst, src layout, threads int) {
	oh, ow := p.OutSize(p.h, p.w)
	if oh < 1 || ow < 1 {
		return // refused, see TestPoolErrors
	}
	in := quantizedValue(p.from, 1, p.n, p.h, p.w, p.c)
	plain, numbers := in.tensor, in.tensor
	for _, q := range in.data {
		plain.values = append(plain.values, float32(q))
		numbers.values = append(numbers.values, p.from.Scale*float32(int32(q)-p.from.Zero))
	}
	out := value[uint8]{tensor{n: p.n, h: oh, w: ow, c: p.c}, p.from, nil}
	for _, v := range ref.MaxPool(p.PoolShape, plain.dense()) {
		out.data = append(out.data, uint8(v))
	}
	t.Run("max="+p.String(), func(t *testing.T) {
		exerciseValues(t, threads, out.in(dst), []value[uint8]{in.in(src)}, func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
			return kernels.BindMaxPool(set, p.PoolShape, dst, srcs[0], threads)
		})
	})
	t.Run("avg="+p.String(), func(t *testing.T) {
		out := value[uint8]{out.tensor, p.to, p.averages(in.data)}
		mean, _ := ref.AvgPool(p.PoolShape, numbers.dense())
		for i, q := range out.data {
			got, step := float64(p.to.Scale)*float64(int32(q)-p.to.Zero), float64(p.to.Scale)
			low, high := -step*float64(p.to.Zero), step*float64(255-p.to.Zero)
			if math.Abs(got-min(max(mean[i], low), high)) > 0.501*step {
				t.Fatalf("value %d is %d, which is %g, want %g", i, q, got, mean[i])
			}
		}
		exerciseValues(t, threads, out.in(dst), []value[uint8]{in.in(src)}, func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
			return kernels.BindAvgPool(set, p.PoolShape, dst, srcs[0], threads)
		})
	})
}

// averages computes what BindAvgPool defines.
func (p qpoolCase) averages(in []uint8) []uint8 {
	s := p.PoolShape
	oh, ow := s.OutSize(p.h, p.w)
	if s.KH == 0 {
		s = kernels.PoolShape{KH: p.h, KW: p.w, Stride: 1}
	}
	var out []uint8
	for n := range p.n {
		for y := range oh {
			for x := range ow {
				for c := range p.c {
					var acc, divisor int32
					for i := y*s.Stride - s.Pad.Top; i < min(y*s.Stride-s.Pad.Top+s.KH, p.h+s.Pad.Bottom); i++ {
						for j := x*s.Stride - s.Pad.Left; j < min(x*s.Stride-s.Pad.Left+s.KW, p.w+s.Pad.Right); j++ {
							inside := i >= 0 && i < p.h && j >= 0 && j < p.w
							if inside || !s.ExcludePad {
								divisor++
							}
							if inside {
								acc += int32(in[((n*p.h+i)*p.w+j)*p.c+c]) - p.from.Zero
							}
						}
					}
					product := p.to.Scale * float32(divisor)
					out = append(out, requantize(acc, p.from.Scale/product, float32(0-p.to.Zero), float32(255-p.to.Zero), p.to.Zero))
				}
			}
		}
	}
	return out
}

// TestQPoolWindows has windows, strides and paddings, with and without Ceil, on images from one pixel
// on, so that windows are clipped on all sides.
func TestQPoolWindows(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		channels := set.U8.Bytes + 1
		for _, k := range [][2]int{{1, 1}, {2, 2}, {3, 3}, {3, 2}} {
			for stride := 1; stride <= 3; stride++ {
				for pad := 0; pad < min(k[0], k[1]); pad++ {
					for _, ceil := range []bool{false, true} {
						for _, size := range [][2]int{{1, 1}, {2, 1}, {3, 3}, {4, 5}, {7, 6}} {
							s := kernels.PoolShape{KH: k[0], KW: k[1], Stride: stride, Pad: kernels.Pad(pad), Ceil: ceil}
							qpoolCase{poolCase{s, 1, size[0], size[1], channels}, u8(0.1, 9), u8(0.06, 100)}.test(t, set, layout{}, layout{halo: 1}, 1)
						}
					}
				}
			}
		}
		// SqueezeNet's last pools, with the types of its activations.
		for _, side := range []int{13, 14, 15} {
			qpoolCase{poolCase{kernels.PoolShape{}, 1, side, side, 104}, u8(0.2, 0), u8(0.15, 0)}.test(t, set, layout{}, layout{}, 1)
		}
	})
}

// TestQPoolChannels has channel counts around multiples of the vector: those that fill none are left
// to the scalar kernels, those that are left over beyond the last whole one to a vector that overlaps
// it.
func TestQPoolChannels(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, s := range []kernels.PoolShape{
			{KH: 3, KW: 3, Stride: 2},
			{KH: 2, KW: 2, Stride: 2, Pad: kernels.Pad(1)},
			{},
		} {
			for _, c := range kerneltest.Sizes(32, 64, 256) {
				qpoolCase{poolCase{s, 1, 5, 7, c}, u8(0.5, 3), u8(0.25, 255)}.test(t, set, layout{halo: 1}, layout{after: 1}, 1)
			}
		}
	})
}

// TestQPoolLayouts reads from and writes to every layout, in batches, on threads.
func TestQPoolLayouts(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, s := range []kernels.PoolShape{
			{KH: 3, KW: 3, Stride: 2, Ceil: true},
			{KH: 3, KW: 3, Stride: 2, Pad: kernels.Pad(1)},
			{},
		} {
			for i, dst := range layouts {
				for j, src := range []layout{layouts[i], layouts[(i+3)%len(layouts)]} {
					t.Run(fmt.Sprintf("layouts=%d,%d", i, j), func(t *testing.T) {
						qpoolCase{poolCase{s, 2, 6, 9, 53}, u8(0.02, 128), u8(0.02, 128)}.test(t, set, dst, src, 1+(i+j)%2)
					})
				}
			}
		}
		qpoolCase{poolCase{kernels.PoolShape{KH: 3, KW: 3, Stride: 2, Ceil: true}, 2, 30, 40, 75}, u8(0.1, 0), u8(0.1, 0)}.test(t, set, layout{halo: 1}, layout{}, 3)
	})
}

// TestQPoolErrors: types that do not fit are an error that says what was expected.
func TestQPoolErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	view := func(typ kernels.Type, h, w int) kernels.View { return kernels.NewView(typ, 1, h, w, 3, 0) }
	s := kernels.PoolShape{KH: 2, KW: 2, Stride: 2}
	for _, c := range []struct {
		name     string
		dst, src kernels.Type
		max, avg []string
	}{
		{"good", u8(0.5, 3), u8(0.5, 3), nil, nil},
		{"other scale", u8(0.5, 3), u8(0.25, 3), []string{"pooling", "source of u8(scale 0.25, zero 3) and destination of u8(scale 0.5, zero 3)"}, nil},
		{"other zero point", u8(0.5, 3), u8(0.5, 2), []string{"pooling", "zero 2", "zero 3"}, nil},
		{"no scale", kernels.Type{Element: kernels.Uint8}, kernels.Type{Element: kernels.Uint8}, []string{"pooling", "a view of u8, expected f32 or quantized u8"}, []string{"pooling", "a view of u8, expected f32 or quantized u8"}},
		{"signed", kernels.Type{Element: kernels.Int8, Scale: 1}, kernels.Type{Element: kernels.Int8, Scale: 1}, []string{"s8", "expected f32 or quantized u8"}, []string{"s8"}},
		{"from float32", u8(0.5, 3), kernels.Type{}, []string{"source of f32 and destination of u8"}, []string{"pooling", "source of f32 and destination of u8"}},
		{"to float32", kernels.Type{}, u8(0.5, 3), []string{"source of u8", "destination of f32"}, []string{"source of u8", "destination of f32"}},
		{"scales far apart", u8(1e-30, 0), u8(1e10, 0), []string{"scale 1e+10", "scale 1e-30"}, []string{"pooling", "scale 1e+10", "scale 1e-30", "too large"}},
	} {
		_, err := kernels.BindMaxPool(set, s, view(c.dst, 2, 2), view(c.src, 4, 4), 1)
		checkError(t, "max, "+c.name, err, c.max)
		_, err = kernels.BindAvgPool(set, s, view(c.dst, 2, 2), view(c.src, 4, 4), 1)
		checkError(t, "average, "+c.name, err, c.avg)
	}

	const most = 8421504 // 255 times one more is above 2³¹-1
	for side, want := range map[int][]string{most: nil, most + 1: {"pooling", "8421505", "at most 8421504 pixels"}} {
		src := kernels.NewView(u8(1, 0), 1, 1, side, 1, 0)
		_, err := kernels.BindAvgPool(set, kernels.PoolShape{}, kernels.NewView(u8(1, 0), 1, 1, 1, 1, 0), src, 1)
		checkError(t, fmt.Sprintf("average of %d pixels", side), err, want)
		_, err = kernels.BindMaxPool(set, kernels.PoolShape{}, kernels.NewView(u8(1, 0), 1, 1, 1, 1, 0), src, 1)
		checkError(t, fmt.Sprintf("maximum of %d pixels", side), err, nil)
	}
}
