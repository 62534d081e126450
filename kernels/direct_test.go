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

// testDirect compares the direct algorithm's result in the given layouts with the reference.
func (c convCase) testDirect(t *testing.T, set *kernels.Set, dst, src layout, threads int) {
	t.Run(c.String(), func(t *testing.T) {
		d := c.data()
		op, err := newDirect(set, c.ConvShape, d.weights, d.bias, c.relu)
		if err != nil {
			t.Fatal(err)
		}
		exercise(t, threads, c.output().in(dst), []tensor{d.src.in(src)},
			func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
				return op.Bind(dst, srcs[0], threads)
			},
			func(side string, got kernels.View) {
				kerneltest.Compare(t, side, got, d.want, kerneltest.SumBound(c.K(), d.abs))
			})
	})
}

// TestDirectKernelSizes has every kernel size with every stride, and with paddings up to one that
// is wider than half the kernel.
func TestDirectKernelSizes(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, k := range []int{1, 2, 3, 5, 7, 11} {
			for stride := 1; stride <= 4; stride++ {
				pads := []int{0, 1, k / 2, k/2 + 1}
				slices.Sort(pads)
				for _, pad := range slices.Compact(pads) {
					for _, groups := range []int{1, 2} {
						c := conv(13, 17, 4, 6, k, stride, pad, groups)
						c.relu = stride%2 == 0
						c.testDirect(t, set, layout{halo: pad % 2}, layout{halo: pad}, 1)
					}
				}
			}
		}
		// Kernels that are not square, and some that are wider than the image without its padding.
		for _, k := range [][2]int{{1, 3}, {3, 1}, {2, 5}, {5, 2}, {7, 4}, {1, 7}} {
			c := conv(5, 6, 3, 5, 0, 1, 1, 1)
			c.KH, c.KW = k[0], k[1]
			c.testDirect(t, set, layout{}, layout{halo: 1}, 1)
			c.Stride = 2
			c.testDirect(t, set, layout{}, layout{halo: 1}, 1)
		}
	})
}

// TestDirectChannels has channel counts on both sides of every tile's width.
func TestDirectChannels(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, k := range []int{1, 3} {
			test := func(in, out, groups int) {
				conv(3, 5, in, out, k, 1, k/2, groups).testDirect(t, set, layout{}, layout{halo: k / 2}, 1)
			}
			for in := 1; in <= 33; in++ {
				for _, out := range []int{1, 15, 16, 17, 31, 32, 33, 48} {
					test(in, out, 1)
				}
			}
			for out := 1; out <= 67; out++ {
				test(5, out, 1)
			}
			for _, out := range kerneltest.Sizes(set.F32.Conv.Wide.Width, set.F32.Conv.Narrow.Width) {
				test(2, out, 1)
				test(6, 3*out, 3) // each group starts a new tile
			}
			for _, groups := range []int{2, 4, 8} {
				test(8, 16, groups)
			}
			test(7, 7, 7) // depthwise
			test(3, 1000, 1)
		}
	})
}

// TestDirectStrips has strips, which are rows or parts of whole images, of lengths that leave every
// remainder when divided by the tiles' heights.
func TestDirectStrips(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		wide, narrow := set.F32.Conv.Wide.Height(), set.F32.Conv.Narrow.Height()
		// The channels fill a wide tile and a part of a narrow one.
		out := set.F32.Conv.Wide.Width + set.F32.Conv.Narrow.Width/2 + 1
		for w := 1; w <= 2*max(wide, narrow)+1; w++ {
			conv(2, w, 2, out, 3, 1, 1, 1).testDirect(t, set, layout{}, layout{halo: 1}, 1)
			conv(3, 2*w, 2, out, 3, 2, 1, 1).testDirect(t, set, layout{}, layout{halo: 1}, 1)
		}
		// The strips of a 1×1 convolution do not end with the image's rows.
		for _, pixels := range kerneltest.Sizes(wide, narrow, 8*wide, 8*narrow, 16*wide) {
			conv(1, pixels, 3, out, 1, 1, 0, 1).testDirect(t, set, layout{}, layout{}, 1)
			// The same pixels in rows of one pixel.
			conv(pixels, 1, 3, out, 1, 1, 0, 1).testDirect(t, set, layout{}, layout{}, 2)
		}
	})
}

// TestDirectLayouts reads from and writes to every layout: with and without a halo, with all and
// with some channels of each pixel, in batches.
func TestDirectLayouts(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range []convCase{
			conv(5, 6, 5, 21, 1, 1, 0, 1),
			conv(6, 7, 5, 21, 1, 2, 0, 1),
			conv(5, 6, 5, 21, 1, 1, 1, 1),
			conv(6, 7, 5, 21, 3, 1, 1, 1),
			conv(7, 7, 4, 40, 3, 2, 0, 1),
			conv(7, 6, 6, 10, 3, 1, 1, 2),
			conv(4, 6, 6, 34, 4, 1, 0, 1),
		} {
			for n := 1; n <= 3; n++ {
				c.n, c.relu = n, n == 2
				for i, dst := range layouts {
					for j, src := range layouts {
						if c.KH > 1 && src.halo < c.Pad.Max() {
							continue // refused, see TestDirectErrors
						}
						t.Run(fmt.Sprintf("layouts=%d,%d", i, j), func(t *testing.T) {
							c.testDirect(t, set, dst, src, 1+(i+j)%2)
						})
					}
				}
			}
		}
	})
}

// TestDirectBorder has 1×1 convolutions with padding. The padding adds a border to the output,
// which depends on the bias only.
func TestDirectBorder(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for pad := 1; pad <= 3; pad++ {
			for _, relu := range []bool{false, true} {
				for _, size := range [][2]int{{1, 1}, {1, 4}, {4, 1}, {13, 13}} {
					for i, dst := range layouts {
						c := conv(size[0], size[1], 3, 20, 1, 1, pad, 1)
						c.n, c.relu = 1+i%2, relu
						t.Run(fmt.Sprintf("layout=%d", i), func(t *testing.T) {
							c.testDirect(t, set, dst, layouts[(i+pad)%len(layouts)], 1+i%3)
						})
					}
				}
			}
		}
	})
}

// TestDirect1x1Strided has 1×1 convolutions with padding and a stride, which read the halo.
func TestDirect1x1Strided(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, size := range [][4]int{{1, 1, 2, 1}, {4, 5, 2, 1}, {13, 13, 3, 2}, {7, 2, 2, 3}} {
			for i, dst := range layouts {
				c := conv(size[0], size[1], 3, set.F32.Conv.Wide.Width+1, 1, size[2], size[3], 1)
				c.n = 1 + i%2
				c.testDirect(t, set, dst, layout{halo: size[3] + i%2}, 1+i%3)
			}
		}
	})
}

// TestDirectDense has kernels as large as the image, which are dense layers. Their weights
// [out][C·H·W] are in the order OIHW as they are.
func TestDirectDense(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, size := range [][3]int{{1, 1, 1}, {1, 1, 37}, {2, 3, 5}, {6, 6, 16}} {
			for _, out := range append(kerneltest.Sizes(set.F32.Conv.Wide.Width, set.F32.Conv.Narrow.Width), 1000) {
				h, w, in := size[0], size[1], size[2]
				c := conv(h, w, in, out, 0, 1, 0, 1)
				c.KH, c.KW = h, w
				for n := 1; n <= 3; n++ {
					c.n = n
					c.testDirect(t, set, layout{}, layout{}, n)
				}
				// With a halo around the image, the inputs are not contiguous.
				c.testDirect(t, set, layout{}, layout{halo: 1}, 1)
			}
		}
	})
}

// TestDirectThreads has enough work for many chunks, and compares bit for bit: neither the number
// of threads nor the division into chunks may change a result.
func TestDirectThreads(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range []convCase{
			conv(41, 37, 16, 33, 3, 1, 1, 1),
			conv(55, 55, 24, 65, 1, 1, 0, 1),
			conv(30, 29, 12, 48, 5, 1, 2, 2),
			conv(31, 31, 48, 100, 1, 1, 1, 1),
		} {
			var one []float32
			for threads := 1; threads <= 3; threads++ {
				c.testDirect(t, set, layout{halo: 1}, layout{halo: c.Pad.Max()}, threads)

				got := kernels.NewView(kernels.Type{}, c.n, c.output().h, c.output().w, c.Out, 1)
				src := c.data().src.in(layout{halo: c.Pad.Max()})
				task := bindDirect(t, set, c, got, src.view(make([]float32, src.size())), threads)
				if chunks := task.Chunks(); threads > 1 && chunks < 2*threads {
					t.Errorf("%v: %d chunks for %d threads test nothing", c, chunks, threads)
				}
				run(task, threads)
				if threads == 1 {
					one = kernels.Data[float32](got)
				} else if !slices.Equal(kernels.Data[float32](got), one) {
					t.Errorf("%v: %d threads give another result than one", c, threads)
				}
			}
		}
	})
}

// bindDirect packs the case's weights for the direct algorithm and binds them to the views.
func bindDirect(t testing.TB, set *kernels.Set, c convCase, dst, src kernels.View, threads int) workers.Task {
	t.Helper()
	d := c.data()
	op, err := newDirect(set, c.ConvShape, d.weights, d.bias, c.relu)
	if err != nil {
		t.Fatal(err)
	}
	task, err := op.Bind(dst, src, threads)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// TestDirectNoBias: a bias of nil stands for zeros.
func TestDirectNoBias(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		c := conv(4, 5, 3, 19, 3, 1, 0, 1)
		d := c.data()
		op, err := newDirect(set, c.ConvShape, d.weights, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		want, abs := ref.Conv(c.ConvShape, d.src.dense(), d.weights, nil, false)
		got := kernels.NewView(kernels.Type{}, 1, 2, 3, 19, 0)
		task, err := op.Bind(got, d.src.dense(), 1)
		if err != nil {
			t.Fatal(err)
		}
		run(task, 1)
		kerneltest.Compare(t, c.String(), got, want, kerneltest.SumBound(c.K(), abs))
	})
}

// TestDirectNaN puts a NaN, and then infinities of both signs, in the place of one input after the
// other. Each must reach exactly the outputs whose window has this input, through ReLU as well, and
// 0·∞ must be a NaN.
func TestDirectNaN(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, base := range []convCase{
			conv(4, 5, 3, set.F32.Conv.Wide.Width+1, 3, 1, 1, 1),
			conv(4, 5, 2, set.F32.Conv.Narrow.Width, 1, 1, 0, 1),
		} {
			for _, relu := range []bool{false, true} {
				c := base
				c.relu = relu
				op, err := newDirect(set, c.ConvShape, c.data().weights, c.data().bias, relu)
				if err != nil {
					t.Fatal(err)
				}
				src := c.data().src.in(layout{halo: c.Pad.Max()})
				view := src.view(make([]float32, src.size()))
				got := kernels.NewView(kernels.Type{}, 1, c.output().h, c.output().w, c.Out, 0)
				task, err := op.Bind(got, view, 1)
				if err != nil {
					t.Fatal(err)
				}
				for _, odd := range []float32{nan, inf, -inf} {
					for y := range c.h {
						for x := range c.w {
							for ch := range c.In {
								p := &kernels.Data[float32](view)[view.Index(0, y, x, ch)]
								keep := *p
								*p = odd
								want, abs := ref.Conv(c.ConvShape, view, c.data().weights, c.data().bias, relu)
								run(task, 1)
								what := fmt.Sprintf("%v with %v at (%d, %d, %d)", c, odd, y, x, ch)
								kerneltest.Compare(t, what, got, want, kerneltest.SumBound(c.K(), abs))
								*p = keep
							}
						}
					}
				}
			}
		}
	})
}

// TestDirectErrors: a shape, weights or views that do not fit are an error that says what was
// expected.
func TestDirectErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	good := kernels.ConvShape{In: 4, Out: 6, KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1), Groups: 2}
	newConv := func(change func(*kernels.ConvShape)) error {
		s := good
		change(&s)
		_, err := newDirect(set, s, make([]float32, good.Weights()), nil, false)
		return err
	}
	fails := func(what string, err error, parts ...string) {
		t.Helper()
		checkError(t, what, err, append(parts, "convolution"))
	}
	if err := newConv(func(*kernels.ConvShape) {}); err != nil {
		t.Error(err)
	}
	fails("In", newConv(func(s *kernels.ConvShape) { s.In = 0 }), "In")
	fails("Out", newConv(func(s *kernels.ConvShape) { s.Out = -1 }), "Out")
	fails("KH", newConv(func(s *kernels.ConvShape) { s.KH = 0 }), "KH")
	fails("KW", newConv(func(s *kernels.ConvShape) { s.KW = 1 << 30 }), "KW")
	fails("Stride", newConv(func(s *kernels.ConvShape) { s.Stride = 0 }), "Stride")
	fails("Pad", newConv(func(s *kernels.ConvShape) { s.Pad.Top = -1 }), "Pad")
	fails("Groups", newConv(func(s *kernels.ConvShape) { s.Groups = 3 }), "3 groups", "4 input", "6 output")
	fails("weights", newConv(func(s *kernels.ConvShape) { s.Out = 8 }), "108 weights", "144")
	_, err = newDirect(set, good, make([]float32, good.Weights()), make([]float32, 5), false)
	fails("biases", err, "5 biases", "6")
	// The number of weights does not fit in an int64.
	huge := kernels.ConvShape{In: 1 << 20, Out: 1 << 20, KH: 1 << 12, KW: 1 << 12, Stride: 1, Groups: 1}
	_, err = newDirect(set, huge, nil, nil, false)
	fails("huge", err)

	op, err := newDirect(set, good, make([]float32, good.Weights()), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	bind := func(dst, src kernels.View) error {
		_, err := op.Bind(dst, src, 1)
		return err
	}
	src, dst := kernels.NewView(kernels.Type{}, 2, 5, 7, 4, 1), kernels.NewView(kernels.Type{}, 2, 5, 7, 6, 0)
	if err := bind(dst, src); err != nil {
		t.Error(err)
	}
	fails("no halo", bind(dst, kernels.NewView(kernels.Type{}, 2, 5, 7, 4, 0)), "halo", "padding 1")
	fails("input channels", bind(dst, kernels.NewView(kernels.Type{}, 2, 5, 7, 5, 1)), "4 input channels")
	fails("output channels", bind(kernels.NewView(kernels.Type{}, 2, 5, 7, 5, 0), src), "5×7×6")
	fails("output height", bind(kernels.NewView(kernels.Type{}, 2, 4, 7, 6, 0), src), "5×7×6")
	fails("output width", bind(kernels.NewView(kernels.Type{}, 2, 5, 8, 6, 0), src), "5×7×6")
	fails("batch", bind(kernels.NewView(kernels.Type{}, 1, 5, 7, 6, 0), src), "images")
	short := src
	short.Memory = short.Memory[:len(short.Memory)-4]
	fails("short source", bind(dst, short), "source")
	short = dst
	short.Memory = short.Memory[4:]
	fails("short destination", bind(short, src), "destination")
	torn := dst
	torn.Row--
	fails("overlapping rows", bind(torn, src), "overlaps")
	fails("empty", bind(kernels.View{}, src), "destination")

	s := kernels.ConvShape{In: 1, Out: 1, KH: 9, KW: 9, Stride: 1, Groups: 1}
	op, err = newDirect(set, s, make([]float32, s.Weights()), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = op.Bind(kernels.NewView(kernels.Type{}, 1, 1, 1, 1, 0), kernels.NewView(kernels.Type{}, 1, 8, 9, 1, 0), 1)
	fails("kernel larger than the image", err)
}
