package kernels_test

import (
	"fmt"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/workers"
)

// unequal has paddings of each side alone, and of all sides by different numbers of pixels.
var unequal = []kernels.Padding{
	{Top: 2}, {Left: 2}, {Bottom: 2}, {Right: 2},
	{Top: 1, Left: 2, Bottom: 3}, {Left: 1, Bottom: 1, Right: 4}, {Top: 3, Left: 1, Bottom: 2, Right: 4},
}

// TestPaddingString: equal numbers are one.
func TestPaddingString(t *testing.T) {
	for p, want := range map[kernels.Padding]string{{}: "0", kernels.Pad(3): "3", {Top: 1, Left: 2, Bottom: 3, Right: 4}: "1,2,3,4", {Right: 1}: "0,0,0,1"} {
		if got := p.String(); got != want {
			t.Errorf("%#v is %q, want %q", p, got, want)
		}
	}
}

// TestConvPadding pads each side alone, for all algorithms and types. The pixels of the halo that
// are no padding hold other values than zeros.
func TestConvPadding(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		tested := map[string]int{}
		for i, pad := range unequal {
			for j, s := range []kernels.ConvShape{
				{KH: 1, KW: 1, Stride: 1, Groups: 1}, // with a border
				{KH: 1, KW: 1, Stride: 2, Groups: 1},
				{KH: 1, KW: 7, Stride: 1, Groups: 1},
				{KH: 7, KW: 1, Stride: 1, Groups: 2},
				{KH: 2, KW: 2, Stride: 1, Groups: 1},
				{KH: 3, KW: 3, Stride: 1, Groups: 1},
				{KH: 3, KW: 3, Stride: 2, Groups: 1},
				{KH: 5, KW: 5, Stride: 1, Groups: 2},
				{KH: 7, KW: 7, Stride: 2, Groups: 1},
			} {
				// With 32 channels, Winograd's tiles read the source itself.
				s.In, s.Out, s.Pad = []int{3, 32}[i%2]*s.Groups, 9*s.Groups, pad
				c := convCase{ConvShape: s, n: 1 + j%2, h: 12 + i%3, w: 13 + j%3, relu: j%3 == 0}
				dst, src, threads := layout{halo: j % 2}, layout{halo: pad.Max() + i%2, before: i % 2}, 1+(i+j)%3
				for _, algo := range kernels.Candidates(set, c.problem()) {
					tested["f32 "+algo]++
					if algo == "direct" {
						c.testDirect(t, set, dst, src, threads)
					} else {
						c.testWinograd(t, set, dst, src, threads, c.winogradBound())
					}
				}
				q := qconv(c, int32(100*(i%2)), int32(7*j))
				for _, algo := range kernels.Candidates(set, q.problem()) {
					tested["u8 "+algo]++
					q.test(t, set, algo, dst, src, threads)
				}
			}
		}
		if len(tested) != 4 {
			t.Errorf("tested %v, want direct and winograd for f32 and for u8", tested)
		}
	})
}

// TestConvPaddingErrors refuses a number of padding on each side alone, and a halo that is smaller
// than the largest of them.
func TestConvPaddingErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []kernels.Padding{{Top: 1}, {Left: 1}, {Bottom: 1}, {Right: 1}} {
		s := kernels.ConvShape{In: 1, Out: 1, KH: 3, KW: 3, Stride: 1, Groups: 1}
		for _, factor := range []int{-1, 1<<20 + 1} {
			s.Pad = kernels.Padding{Top: factor * p.Top, Left: factor * p.Left, Bottom: factor * p.Bottom, Right: factor * p.Right}
			checkError(t, fmt.Sprint(s.Pad), s.Check(), []string{"convolution", fmt.Sprintf("Pad is %v, expected 0 to 1048576", s.Pad)})
		}
		s.Pad = p
		op, err := newDirect(set, s, make([]float32, 9), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		oh, ow := s.OutSize(5, 5)
		dst := kernels.NewView(kernels.Type{}, 1, oh, ow, 1, 0)
		for halo, want := range [][]string{{"convolution", "halo 0", "padding 1"}, nil} {
			_, err = op.Bind(dst, kernels.NewView(kernels.Type{}, 1, 5, 5, 1, halo), 1)
			checkError(t, fmt.Sprintf("padding %v, halo %d", p, halo), err, want)
		}
	}
}

// windowPaddings returns the largest padding of each side alone that windows of kh×kw pixels can
// have, of all sides, and some in between.
func windowPaddings(kh, kw int) []kernels.Padding {
	return slices.Compact([]kernels.Padding{
		{}, {Top: kh - 1}, {Left: kw - 1}, {Bottom: kh - 1}, {Right: kw - 1},
		{Top: kh / 2, Right: kw - 1}, {Left: kw / 2, Bottom: kh - 1, Right: (kw - 1) / 2}, {Top: kh - 1, Left: kw - 1, Bottom: kh - 1, Right: kw - 1},
	})
}

// eachPadding calls f for poolings with these paddings, with and without Ceil and ExcludePad, on images
// from one pixel on.
func eachPadding(f func(p poolCase)) {
	for i, k := range [][2]int{{1, 3}, {3, 1}, {2, 2}, {3, 3}, {2, 5}, {6, 3}} {
		for l, pad := range windowPaddings(k[0], k[1]) {
			for _, exclude := range []bool{false, true} {
				for j, size := range [][2]int{{1, 1}, {3, 2}, {6, 9}, {9, 6}} {
					s := kernels.PoolShape{KH: k[0], KW: k[1], Stride: 1 + (i+j+l)%3, Pad: pad, Ceil: j%2 == 0, ExcludePad: exclude}
					f(poolCase{s, 1 + j%2, size[0], size[1], 21})
				}
			}
		}
	}
}

// TestPoolPadding pads each side alone, for both types.
func TestPoolPadding(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		eachPadding(func(p poolCase) {
			p.test(t, set, layout{}, layout{halo: 1}, 1+p.Stride%2)
			qpoolCase{p, u8(0.1, 9), u8(0.06, 100)}.test(t, set, layout{}, layout{halo: 1}, 1+p.Stride%2)
		})
	})
}

// TestPoolExcludePad: with ExcludePad, the mean of a window has the bits of the mean of its pixels
// inside the image as an image of their own.
func TestPoolExcludePad(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, types := range [][2]kernels.Type{{}, {u8(0.1, 9), u8(0.06, 100)}} {
			eachPadding(func(p poolCase) {
				oh, ow := p.OutSize(p.h, p.w)
				if !p.ExcludePad || oh < 1 || ow < 1 {
					return
				}
				src, dst := kernels.NewView(types[0], p.n, p.h, p.w, p.c, 0), kernels.NewView(types[1], p.n, oh, ow, p.c, 0)
				want := kernels.NewView(types[1], p.n, oh, ow, p.c, 0)
				if src.Element == kernels.Float32 {
					copy(kernels.Data[float32](src), kerneltest.Random(1, p.n*p.h*p.w*p.c))
				} else {
					copy(src.Memory, randomBytes(1, len(src.Memory)))
				}
				bind := func(s kernels.PoolShape, dst, src kernels.View) workers.Task {
					task, err := kernels.BindAvgPool(set, s, dst, src, 1)
					if err != nil {
						t.Fatal(err)
					}
					return task
				}
				run(bind(p.PoolShape, dst, src), 1)
				for y := range oh {
					for x := range ow {
						y0, x0 := y*p.Stride-p.Pad.Top, x*p.Stride-p.Pad.Left
						y1, x1 := min(y0+p.KH, p.h), min(x0+p.KW, p.w)
						y0, x0 = max(y0, 0), max(x0, 0)
						window, mean := src, want
						window.Offset, window.H, window.W = src.Index(0, y0, x0, 0), y1-y0, x1-x0
						mean.Offset, mean.H, mean.W = want.Index(0, y, x, 0), 1, 1
						run(bind(kernels.PoolShape{}, mean, window), 1)
					}
				}
				if !slices.Equal(dst.Memory, want.Memory) {
					t.Errorf("%v of %v: other bits than those of the windows alone", p, types[0])
				}
			})
		}
	})
}

// TestPoolPaddingErrors: a window that has no pixel of the image is refused, on each side alone.
func TestPoolPaddingErrors(t *testing.T) {
	for _, c := range []struct {
		pad kernels.Padding
		ok  bool
	}{
		{kernels.Padding{Top: 1, Left: 2, Bottom: 1, Right: 2}, true},
		{kernels.Padding{Top: 2}, false}, {kernels.Padding{Left: 3}, false}, {kernels.Padding{Bottom: 2}, false}, {kernels.Padding{Right: 3}, false},
		{kernels.Padding{Top: -1}, false}, {kernels.Padding{Left: -1}, false}, {kernels.Padding{Bottom: -1}, false}, {kernels.Padding{Right: -1}, false},
	} {
		var want []string
		if !c.ok {
			want = []string{"pooling", fmt.Sprintf("Pad is %v, expected less than the window 2×3", c.pad)}
		}
		checkError(t, fmt.Sprint(c.pad), kernels.PoolShape{KH: 2, KW: 3, Stride: 1, Pad: c.pad}.Check(), want)
	}
}
