package kernels_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
)

// TestCheckAlgorithm: only Auto and the names of algorithms are accepted.
func TestCheckAlgorithm(t *testing.T) {
	for _, name := range append(kernels.Algorithms(), kernels.Auto) {
		if err := kernels.CheckAlgorithm(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	names := append([]string{kernels.Auto}, kernels.Algorithms()...)
	last := len(names) - 1
	known := strings.Join(names[:last], ", ") + " or " + names[last]
	for _, name := range []string{"", "Auto", "fft", "direct "} {
		checkError(t, name, kernels.CheckAlgorithm(name), []string{fmt.Sprintf("unknown algorithm %q, expected %s", name, known)})
	}
}

// TestSkipsZeros: what skips zeros is a candidate where there are some, and only there.
func TestSkipsZeros(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		p, q := conv(13, 13, 64, 64, 3, 1, 1, 1).problem(), qconv(conv(13, 13, 64, 64, 3, 1, 1, 1), 0, 0).problem()
		without := slices.Concat(kernels.Candidates(set, p), kernels.Candidates(set, q))
		p.Sparsity, p.RowSparsity = 0.5, 0.5
		q.Sparsity, q.RowSparsity = 0.5, 0.5
		with := slices.Concat(kernels.Candidates(set, p), kernels.Candidates(set, q))
		if !slices.Contains(kernels.Candidates(set, q), "rows") {
			t.Errorf("rows are no candidate for %+v", q)
		}
		for _, algo := range append(kernels.Algorithms(), kernels.Auto) {
			want := slices.Contains(with, algo) && !slices.Contains(without, algo)
			if got := kernels.SkipsZeros(algo); got != want {
				t.Errorf("%s skips zeros: %v, but it is a candidate without zeros: %v, with: %v",
					algo, got, slices.Contains(without, algo), slices.Contains(with, algo))
			}
		}
	})
}

// TestPick calls Pick for many problems, and for what is none. It must return a candidate, and the same one each time,
// and every algorithm for some problem.
func TestPick(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		picked := map[string]int{}
		for k := -1; k <= 12; k++ {
			for stride := -1; stride <= 5; stride++ {
				for pad := -1; pad <= 2; pad++ {
					for _, groups := range []int{0, 1, 2, 5} {
						for _, channels := range []int{0, 96} {
							for i, size := range []int{-1, 1, 6, 27, 1 << 15} {
								p := kernels.Problem{
									ConvShape: kernels.ConvShape{In: channels, Out: 2 * channels, KH: k, KW: k, Stride: stride, Pad: kernels.Pad(pad), Groups: groups},
									H:         size, W: size,
								}
								if zeros := float64((k+stride+pad+i)&3) * 0.3; zeros > 0 {
									p.Sparsity, p.RowSparsity = zeros, zeros*float64(k&1)
								}
								algo, candidates := kernels.Pick(set, p), kernels.Candidates(set, p)
								if p.Check() != nil {
									if algo != "" || candidates != nil {
										t.Errorf("Pick of %+v, which is no problem, is %q of %q", p, algo, candidates)
									}
									continue
								}
								picked[algo]++
								if !slices.Contains(candidates, algo) {
									t.Errorf("Pick of %+v is %s, the candidates are %q", p, algo, candidates)
								}
								if candidates[0] != kernels.Algorithms()[0] {
									t.Errorf("the candidates for %+v are %q, without the algorithm that can compute all", p, candidates)
								}
								if again := kernels.Pick(set, p); again != algo {
									t.Errorf("Pick of %+v is %s and then %s", p, algo, again)
								}
							}
						}
					}
				}
			}
		}
		for _, algo := range kernels.Algorithms() {
			if picked[algo] == 0 {
				t.Errorf("%s is never picked: %v", algo, picked)
			}
		}
		// Layers that Winograd's algorithm suits, and layers that it does not suit.
		for _, c := range []struct {
			c    convCase
			want string
		}{
			{conv(55, 55, 16, 64, 3, 1, 1, 1), "winograd"},
			{conv(27, 27, 64, 256, 3, 1, 1, 1), "winograd"},
			{conv(227, 227, 3, 96, 7, 2, 0, 1), "winograd"},
			{conv(55, 55, 64, 16, 1, 1, 0, 1), "direct"},
			{conv(55, 55, 1, 1, 3, 1, 1, 1), "direct"},
			{conv(2, 2, 512, 512, 3, 1, 1, 1), "direct"},
		} {
			if got := kernels.Pick(set, c.c.problem()); got != c.want {
				t.Errorf("Pick of %v is %s, want %s", c.c, got, c.want)
			}
		}
		// Quantized layers with a third of their rows of weights, nearly all, and a tenth.
		for _, c := range []struct {
			c       convCase
			density float64
			rows    bool
		}{
			{conv(27, 27, 384, 64, 1, 1, 0, 1), 1. / 3, true},
			{conv(13, 13, 512, 1000, 1, 1, 0, 1), 1. / 3, true},
			{conv(27, 27, 384, 64, 1, 1, 0, 1), 0.99, false},
			{conv(27, 27, 64, 256, 3, 1, 1, 1), 0.1, true},
			{conv(27, 27, 64, 256, 3, 1, 1, 1), 0.99, false},
		} {
			p := qconv(c.c, 0, 0).problem()
			want := "rows"
			if !c.rows {
				want = kernels.Pick(set, p)
			}
			p.Sparsity, p.RowSparsity = 1-c.density, 1-c.density
			if got := kernels.Pick(set, p); got != want {
				t.Errorf("Pick of %v, density %g, is %s, want %s", c.c, c.density, got, want)
			}
		}
	})
}

// TestNewConv: NewConv packs for the algorithm that it is given if that is a candidate, and
// otherwise, and for Auto, for the one that Pick returns. The bits of the result, which differ
// from algorithm to algorithm, must show it.
func TestNewConv(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range []convCase{
			conv(9, 9, 16, 32, 3, 1, 1, 1),
			conv(9, 9, 1, 1, 3, 1, 1, 1),
			conv(23, 24, 3, 40, 7, 2, 3, 1),
			conv(3, 9, 16, 32, 3, 1, 1, 1), // lower than a tile
			conv(9, 9, 4, 5, 3, 2, 1, 1),
			conv(9, 9, 4, 5, 1, 1, 0, 1),
		} {
			c.relu = true
			d, out := c.data(), c.output()
			source := d.src.in(layout{halo: c.Pad.Max()})
			src := source.view(make([]float32, source.size()))
			compute := func(algo string) (used string, bits []float32) {
				op, err := kernels.NewConv(set, algo, c.problem(), kernels.Weights{Values: d.weights, Bias: d.bias})
				if err != nil {
					t.Fatal(err)
				}
				if op.Problem() != c.problem() {
					t.Errorf("problem %+v, want %+v", op.Problem(), c.problem())
				}
				dst := kernels.NewView(kernels.Type{}, 1, out.h, out.w, out.c, 0)
				task, err := op.Bind(dst, src, 1)
				if err != nil {
					t.Fatal(err)
				}
				run(task, 1)
				return op.Algorithm(), values(dst)
			}
			candidates := kernels.Candidates(set, c.problem())
			bits := map[string][]float32{}
			for _, algo := range candidates {
				var used string
				if used, bits[algo] = compute(algo); used != algo {
					t.Errorf("%v: asked for %s, got %s", c, algo, used)
				}
			}
			// Other algorithms may well agree; these two round differently.
			if slices.Contains(candidates, "winograd") && slices.Equal(bits["winograd"], bits["direct"]) {
				t.Errorf("%v: direct and winograd give the same bits", c)
			}
			for _, algo := range append(kernels.Algorithms(), kernels.Auto) {
				if slices.Contains(candidates, algo) {
					continue
				}
				used, got := compute(algo)
				if want := kernels.Pick(set, c.problem()); used != want || !slices.Equal(got, bits[want]) {
					t.Errorf("%v: asked for %s, got %s, want %s and its bits", c, algo, used, want)
				}
			}
		}
		p := kernels.Problem{ConvShape: kernels.ConvShape{In: 3, Out: 3, KH: 3, KW: 3, Stride: 1, Groups: 1}, H: 9, W: 9}
		fails := func(p kernels.Problem, weights int, parts ...string) {
			t.Helper()
			for _, algo := range append(kernels.Algorithms(), kernels.Auto) {
				_, err := kernels.NewConv(set, algo, p, kernels.Weights{Values: make([]float32, weights)})
				checkError(t, algo, err, append(parts, "convolution"))
			}
		}
		fails(p, 80, "80 weights", "81")
		bad := p
		bad.Stride = 0
		fails(bad, 81, "Stride is 0")
		bad = p
		bad.H = 0
		fails(bad, 81, "0×9")
		bad.H, bad.W = 1<<16, 1<<16
		fails(bad, 81, "65536×65536")
		bad = p
		bad.Src = kernels.Type{Element: kernels.Uint8, Scale: 0.5}
		fails(bad, 81, "no algorithm", "f32 from u8")
		_, err := kernels.NewConv(set, "fft", p, kernels.Weights{Values: make([]float32, 81)})
		checkError(t, "fft", err, []string{"convolution", `"fft"`, "direct"})
	})
}

// TestExecuted counts the multiply-adds of small convolutions by hand.
func TestExecuted(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		wide, narrow := int64(set.F32.Conv.Wide.Width), int64(set.F32.Conv.Narrow.Width)
		for _, c := range []struct {
			what  string
			shape kernels.ConvShape
			algo  string
			h, w  int
			want  int64
		}{
			{"one channel too many", kernels.ConvShape{In: 2, Out: int(wide) + 1, KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1), Groups: 1}, "direct", 5, 6, 5 * 6 * 18 * (wide + narrow)},
			{"groups", kernels.ConvShape{In: 4, Out: 2 * int(wide), KH: 3, KW: 3, Stride: 2, Groups: 2}, "direct", 7, 5, 3 * 2 * 18 * 2 * wide},
			{"a border", kernels.ConvShape{In: 3, Out: int(wide), KH: 1, KW: 1, Stride: 1, Pad: kernels.Pad(1), Groups: 1}, "direct", 4, 5, 4 * 5 * 3 * wide},
			{"tiles of 4×4", kernels.ConvShape{In: 2, Out: int(wide), KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1), Groups: 1}, "winograd", 13, 8, 36 * 4 * 2 * 2 * wide},
			{"four phases", kernels.ConvShape{In: 3, Out: int(wide), KH: 7, KW: 7, Stride: 2, Groups: 1}, "winograd", 17, 19, 64 * 2 * 2 * 12 * wide},
		} {
			conv, err := pack(set, c.algo, c.shape, c.h, c.w, make([]float32, c.shape.Weights()), nil, false)
			if err != nil {
				t.Fatal(err)
			}
			if got := conv.Executed(); got != c.want {
				t.Errorf("%s: %d multiply-adds, want %d", c.what, got, c.want)
			}
		}
	})
}
