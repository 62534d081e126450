package kernels_test

import (
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
)

func TestParseAlgo(t *testing.T) {
	for algo, name := range map[kernels.Algo]string{kernels.Auto: "auto", kernels.Direct: "direct", kernels.Winograd: "winograd"} {
		if got := algo.String(); got != name {
			t.Errorf("Algo %d is %q, want %q", algo, got, name)
		}
		if got, err := kernels.ParseAlgo(name); err != nil || got != algo {
			t.Errorf("ParseAlgo(%q) = %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "Auto", "fft", "direct ", "Algo(3)"} {
		_, err := kernels.ParseAlgo(name)
		checkError(t, "ParseAlgo", err, []string{`"` + name + `"`, "auto, direct or winograd"})
	}
	if got := kernels.Algo(3).String(); got != "Algo(3)" {
		t.Errorf("Algo(3) is %q", got)
	}
}

// TestPick asks for every small shape and many that are none: the answer is Direct
// or Winograd, the same each time, and Winograd only where it is to be had.
func TestPick(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		picked := map[kernels.Algo]int{}
		for k := -1; k <= 12; k++ {
			for stride := -1; stride <= 5; stride++ {
				for pad := -1; pad <= 2; pad++ {
					for _, groups := range []int{0, 1, 2, 5} {
						for _, channels := range []int{0, 96} {
							s := kernels.ConvShape{In: channels, Out: 2 * channels, KH: k, KW: k, Stride: stride, Pad: pad, Groups: groups}
							for _, size := range []int{-1, 1, 6, 27, 1 << 20} {
								algo := kernels.Pick(set, s, size, size)
								picked[algo]++
								has := kernels.HasWinograd(set, s, size, size)
								if algo != kernels.Direct && !has {
									t.Errorf("Pick of %+v for %d×%d is %v, and there is no Winograd", s, size, size, algo)
								}
								if has && s.Check() != nil {
									t.Errorf("HasWinograd of %+v, which is no shape", s)
								}
								if again := kernels.Pick(set, s, size, size); again != algo {
									t.Errorf("Pick of %+v for %d×%d is %v and then %v", s, size, size, algo, again)
								}
							}
						}
					}
				}
			}
		}
		if picked[kernels.Direct] == 0 || picked[kernels.Winograd] == 0 || len(picked) != 2 {
			t.Errorf("picked %v", picked)
		}
		// Layers that Winograd's algorithm was made for, and layers that it was not.
		for _, c := range []struct {
			c    convCase
			want kernels.Algo
		}{
			{conv(55, 55, 16, 64, 3, 1, 1, 1), kernels.Winograd},
			{conv(27, 27, 64, 256, 3, 1, 1, 1), kernels.Winograd},
			{conv(227, 227, 3, 96, 7, 2, 0, 1), kernels.Winograd},
			{conv(55, 55, 64, 16, 1, 1, 0, 1), kernels.Direct},
			{conv(55, 55, 1, 1, 3, 1, 1, 1), kernels.Direct},
			{conv(2, 2, 512, 512, 3, 1, 1, 1), kernels.Direct},
		} {
			if got := kernels.Pick(set, c.c.ConvShape, c.c.h, c.c.w); got != c.want {
				t.Errorf("Pick of %v is %v, want %v", c.c, got, c.want)
			}
		}
	})
}

// TestNewConvAlgo: what is asked for is what comes, Auto is Pick, and Direct stands in
// where there is no Winograd: with NewConv's bits.
func TestNewConvAlgo(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range []convCase{
			conv(9, 9, 16, 32, 3, 1, 1, 1),
			conv(9, 9, 1, 1, 3, 1, 1, 1),
			conv(23, 24, 3, 40, 7, 2, 3, 1),
			conv(3, 9, 16, 32, 3, 1, 1, 1), // lower than a tile
			conv(9, 9, 4, 5, 3, 2, 1, 1),
			conv(9, 9, 4, 5, 1, 1, 0, 1),
		} {
			d, out := c.data(), c.output()
			source := d.src.in(layout{halo: c.Pad})
			src := source.view(make([]float32, source.size()))
			compute := func(op *kernels.Conv, err error) []float32 {
				if err != nil {
					t.Fatal(err)
				}
				dst := kernels.NewView(1, out.h, out.w, out.c, 0)
				task, err := op.Bind(dst, src, 1)
				if err != nil {
					t.Fatal(err)
				}
				run(task, 1)
				return dst.Data
			}
			bits := map[kernels.Algo][]float32{kernels.Direct: compute(kernels.NewConv(set, c.ConvShape, d.weights, d.bias, true))}
			has := kernels.HasWinograd(set, c.ConvShape, c.h, c.w)
			if has {
				bits[kernels.Winograd] = compute(kernels.NewWinograd(set, c.ConvShape, d.weights, d.bias, true))
				if slices.Equal(bits[kernels.Winograd], bits[kernels.Direct]) {
					t.Errorf("%v: both algorithms give the same bits", c)
				}
			}
			for asked, want := range map[kernels.Algo]kernels.Algo{
				kernels.Auto:     kernels.Pick(set, c.ConvShape, c.h, c.w),
				kernels.Direct:   kernels.Direct,
				kernels.Winograd: map[bool]kernels.Algo{true: kernels.Winograd, false: kernels.Direct}[has],
			} {
				op, err := kernels.NewConvAlgo(set, asked, c.ConvShape, c.h, c.w, d.weights, d.bias, true)
				if got := compute(op, err); op.Algo() != want || !slices.Equal(got, bits[want]) {
					t.Errorf("%v: asked for %v, got %v, want %v and its bits", c, asked, op.Algo(), want)
				}
				if op.Shape() != c.ConvShape {
					t.Errorf("shape %+v, want %+v", op.Shape(), c.ConvShape)
				}
			}
		}
		for _, algo := range []kernels.Algo{kernels.Auto, kernels.Direct, kernels.Winograd} {
			s := kernels.ConvShape{In: 3, Out: 3, KH: 3, KW: 3, Stride: 1, Groups: 1}
			_, err := kernels.NewConvAlgo(set, algo, s, 9, 9, make([]float32, 80), nil, false)
			checkError(t, algo.String(), err, []string{"80 weights", "81"})
			s.Stride = 0
			_, err = kernels.NewConvAlgo(set, algo, s, 9, 9, make([]float32, 81), nil, false)
			checkError(t, algo.String(), err, []string{"Stride is 0"})
		}
	})
}
