package kernels_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/workers"
)

// A sparseCase is a convolution most of whose weights are zero, for an algorithm that profits from it.
type sparseCase struct {
	convCase
	algo    string
	density float64 // the share of weights, or of rows of panels, that are kept
}

func (c sparseCase) String() string { return fmt.Sprintf("%v_%s_%g", c.convCase, c.algo, c.density) }

// rowWidth is a multiple of the width of every tile, so that what is a row of zeros in one is a row of
// zeros in all.
const rowWidth = 32

// prune sets weights to zero: single ones, or for the algorithm "rows" those of one input for rowWidth
// output channels at a time. The first always becomes zero, because algorithms are no candidates where no
// weight is.
func prune(s kernels.ConvShape, weights []float32, algo string, density float64) []float32 {
	r := rand.New(rand.NewPCG(5, 0))
	weights = slices.Clone(weights)
	k, out := s.K(), s.Out/s.Groups
	width := 1
	if algo == "rows" {
		width = rowWidth
	}
	for g := range s.Groups {
		for first := 0; first < out; first += width {
			for i := range k {
				if r.Float64() < density && g+first+i > 0 {
					continue
				}
				for o := first; o < min(first+width, out); o++ {
					weights[(g*out+o)*k+i] = 0
				}
			}
		}
	}
	return weights
}

// sparseData keeps the data of cases, so that the reference is computed once for all instruction sets.
var sparseData = map[sparseCase]*convData{}

func (c sparseCase) data() *convData {
	d := sparseData[c]
	if d == nil {
		dense := c.convCase.data()
		d = &convData{src: dense.src, weights: prune(c.ConvShape, dense.weights, c.algo, c.density), bias: dense.bias}
		d.want, d.abs = ref.Conv(c.ConvShape, d.src.dense(), d.weights, d.bias, c.relu)
		sparseData[c] = d
	}
	return d
}

// bind binds the case to a new destination.
func (c sparseCase) bind(t testing.TB, set *kernels.Set, threads int) (kernels.View, workers.Task) {
	t.Helper()
	return c.bindData(t, set, c.algo, c.data(), threads)
}

// test compares the result with the reference, and with that of the direct algorithm, bit for bit.
func (c sparseCase) test(t *testing.T, set *kernels.Set, dst, src layout, threads int) {
	t.Run(c.String(), func(t *testing.T) {
		d := c.data()
		op, err := pack(set, c.algo, c.ConvShape, c.h, c.w, d.weights, d.bias, c.relu)
		if err != nil {
			t.Fatal(err)
		}
		same, direct := c.bindData(t, set, "direct", d, 1)
		run(direct, 1)
		exercise(t, threads, c.output().in(dst), []tensor{d.src.in(src)},
			func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
				return op.Bind(dst, srcs[0], threads)
			},
			func(side string, got kernels.View) {
				kerneltest.Compare(t, side, got, d.want, kerneltest.SumBound(c.K(), d.abs))
				if !slices.Equal(values(got), values(same)) {
					t.Errorf("%s: other bits than direct", side)
				}
			})
	})
}

// sparseAlgorithms are the algorithms that profit from weights of zero.
var sparseAlgorithms = []string{"rows", "sparse"}

// densities go from no weights to all.
var densities = []float64{0, 0.02, 0.2, 0.5, 1}

// TestSparse has kernels of all sizes with strides, paddings and groups, at every density.
func TestSparse(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, algo := range sparseAlgorithms {
			for i, density := range densities {
				for _, k := range []int{1, 2, 3, 5} {
					for stride := 1; stride <= 2; stride++ {
						for j, groups := range []int{1, 3} {
							c := sparseCase{conv(7, 11, 4*groups, 35*groups, k, stride, (k+j)/2, groups), algo, density}
							c.n, c.relu = 1+(i+j)%2, stride%2 == 0
							c.test(t, set, layout{halo: j}, layout{halo: c.Pad.Max()}, 1+(i+k)%3)
						}
					}
				}
			}
		}
	})
}

// TestSparseChannels has channel counts around the widths of tiles, the lengths of lists and the parts of the
// inputs, and as many pixels as fill vectors, and a few more or less.
func TestSparseChannels(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		test := func(h, w, in, out, k, groups int, density float64) {
			for i, algo := range sparseAlgorithms {
				c := sparseCase{conv(h, w, in, out, k, 1, k/2, groups), algo, density}
				c.relu = (in+out+i)%2 == 0
				c.test(t, set, layout{}, layout{halo: k / 2}, 1)
			}
		}
		for _, in := range []int{1, 7, 8, 9, 127, 128, 129, 255, 256, 257, 300} {
			for _, density := range []float64{0.1, 0.99} { // with as many weights as a list holds
				test(3, 6, in, 33, 1, 1, density)
			}
		}
		for _, out := range kerneltest.Sizes(set.F32.Conv.Wide.Width, set.F32.Conv.Narrow.Width, 64) {
			test(3, 6, 5, out, 3, 1, 0.3)
			test(3, 6, 10, 2*out, 1, 2, 0.3)
		}
		for _, pixels := range kerneltest.Sizes(set.F32.SpMM.Width, set.F32.SpMM.Width*set.F32.SpMM.Height(), set.F32.Conv.Wide.Height()) {
			test(1, pixels, 9, 20, 1, 1, 0.3)
			test(3, pixels, 2, 20, 3, 1, 0.3)
		}
	})
}

// TestSparseLayouts reads from and writes to every layout, in batches: 1×1 convolutions, also with a
// border and a stride, dense layers, and unequal paddings.
func TestSparseLayouts(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		cases := []convCase{
			conv(5, 6, 5, 21, 1, 1, 0, 1),
			conv(6, 7, 9, 21, 1, 2, 1, 1),
			conv(5, 6, 5, 21, 1, 1, 1, 1),
			conv(7, 6, 6, 10, 3, 1, 1, 2),
			conv(4, 6, 6, 34, 4, 1, 0, 1),
		}
		for i, pad := range unequal {
			c := conv(6, 9, 3, 20, 1+2*(i%2), 1, 0, 1)
			c.Pad = pad
			cases = append(cases, c)
		}
		for i, size := range [][3]int{{1, 1, 37}, {2, 3, 5}, {6, 6, 16}} {
			c := conv(size[0], size[1], size[2], 40, 0, 1, 0, 1)
			c.KH, c.KW, c.n = size[0], size[1], []int{1, 9, 70}[i]
			cases = append(cases, c)
		}
		for i, c := range cases {
			for j, dst := range layouts {
				for k, src := range layouts {
					if testing.Short() && (i+j+k)%4 > 0 || src.halo < c.Halo() {
						continue
					}
					if c.n < 2 {
						c.n = 1 + (i+j+k)%3
					}
					t.Run(fmt.Sprintf("layouts=%d,%d", j, k), func(t *testing.T) {
						for _, algo := range sparseAlgorithms {
							sparseCase{c, algo, 0.3}.test(t, set, dst, src, 1+(j+k)%2)
						}
					})
				}
			}
		}
	})
}

// TestSparseThreads has enough work for many chunks: their number must not change a bit.
func TestSparseThreads(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range []convCase{
			conv(41, 37, 16, 130, 3, 1, 1, 1),
			conv(55, 55, 24, 65, 1, 1, 0, 1),
			conv(30, 29, 12, 144, 5, 1, 2, 2),
			conv(13, 13, 150, 1000, 1, 1, 1, 1),
			conv(1, 1, 300, 1000, 1, 1, 0, 1),
		} {
			for _, algo := range sparseAlgorithms {
				for threads := 1; threads <= 3; threads++ {
					c := sparseCase{c, algo, 0.2}
					c.test(t, set, layout{halo: 1}, layout{halo: c.Pad.Max()}, threads)
				}
			}
		}
	})
}

// TestSparseNaN: an input that is not finite reaches the outputs that have a weight for it, and no other:
// neither other pixels, nor channels whose weight is zero.
func TestSparseNaN(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, algo := range sparseAlgorithms {
			c := sparseCase{conv(4, 5, 3, rowWidth+1, 3, 1, 1, 1), algo, 0.3}
			d := c.data()
			op, err := pack(set, algo, c.ConvShape, c.h, c.w, d.weights, d.bias, false)
			if err != nil {
				t.Fatal(err)
			}
			src := d.src.in(layout{halo: 1})
			view := src.view(make([]float32, src.size()))
			got := kernels.NewView(kernels.Type{}, 1, c.h, c.w, c.Out, 0)
			task, err := op.Bind(got, view, 1)
			if err != nil {
				t.Fatal(err)
			}
			for y := range c.h {
				for x := range c.w {
					for ch := range c.In {
						p := &kernels.Data[float32](view)[view.Index(0, y, x, ch)]
						keep := *p
						*p = float32(math.NaN())
						run(task, 1)
						*p = keep
						for i, v := range values(got) {
							oy, ox, o := i/(c.w*c.Out), i/c.Out%c.w, i%c.Out
							kh, kw := y-oy+1, x-ox+1
							want := kh >= 0 && kh < 3 && kw >= 0 && kw < 3 && d.weights[((o*c.In+ch)*3+kh)*3+kw] != 0
							if (v != v) != want {
								t.Fatalf("%v: NaN at (%d, %d, %d) makes output (%d, %d, %d) %v", c, y, x, ch, oy, ox, o, v)
							}
						}
					}
				}
			}
		}
	})
}

// TestSparsity: NewConv counts zeros, in the rows of the panels of the set that it packs for, and
// what it packs is as small as its list of weights. The candidates of dense weights are those of a problem
// without zeros.
func TestSparsity(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		s := kernels.ConvShape{In: 8, Out: 2 * rowWidth, KH: 1, KW: 1, Stride: 1, Groups: 1}
		p := kernels.Problem{ConvShape: s, H: 4, W: 4}
		weights := kerneltest.Random(1, s.Weights())
		conv := func(algo string) kernels.Conv {
			t.Helper()
			// What the problem says of zeros is not what counts.
			p := p
			p.Sparsity, p.RowSparsity = 0.25, 0.75
			c, err := kernels.NewConv(set, algo, p, kernels.Weights{Values: weights})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		for _, algo := range sparseAlgorithms {
			if c := conv(algo); c.Problem() != p || c.Algorithm() == algo {
				t.Errorf("%s of dense weights: %+v packed for %s", algo, c.Problem(), c.Algorithm())
			}
		}
		if got := kernels.Candidates(set, p); slices.Contains(got, "rows") || slices.Contains(got, "sparse") {
			t.Errorf("candidates of dense weights are %q", got)
		}
		// One input of all channels, two of half of them, and a weight.
		for o := range s.Out {
			weights[o*s.In] = 0
			if o < rowWidth {
				weights[o*s.In+3], weights[o*s.In+5] = 0, 0
			}
		}
		weights[s.Weights()-1] = 0
		zeros := s.Out + 2*rowWidth + 1
		p.Sparsity, p.RowSparsity = float64(zeros)/float64(s.Weights()), 1-12./16
		for _, algo := range append(sparseAlgorithms, "direct") {
			c := conv(algo)
			if got := c.Problem(); got != p || c.Algorithm() != algo {
				t.Errorf("%s: problem %+v, want %+v; packed for %s", algo, got, p, c.Algorithm())
			}
			kept := s.Weights() - zeros
			switch algo {
			case "rows":
				rows := 12 * rowWidth / set.F32.Conv.Wide.Width
				if got, want := c.Bytes(), int64(4*12*rowWidth+4*rows+4*s.Out); got != want {
					t.Errorf("rows: %d bytes, want %d", got, want)
				}
				if got, want := c.Executed(), int64(16*12*rowWidth); got != want {
					t.Errorf("rows: %d multiply-adds, want %d", got, want)
				}
			case "sparse":
				if got, want := c.Bytes(), int64(5*kept+s.Out+4*s.Out); got != want {
					t.Errorf("sparse: %d bytes, want %d", got, want)
				}
				if got, want := c.Executed(), int64(16*kept); got != want {
					t.Errorf("sparse: %d multiply-adds, want %d", got, want)
				}
			}
		}
		for _, bad := range []float64{-0.1, 1.1, math.NaN()} {
			p.Sparsity, p.RowSparsity = bad, 0
			checkError(t, "sparsity", p.Check(), []string{"sparsity", "0 to 1"})
			p.Sparsity, p.RowSparsity = 0, bad
			checkError(t, "sparsity of rows", p.Check(), []string{"sparsity", "0 to 1"})
		}
	})
}

// TestSparseErrors: views that do not fit are refused, as by direct, and so is a window whose inputs lie too
// far apart for offsets of 32 bits.
func TestSparseErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	for _, algo := range sparseAlgorithms {
		s := kernels.ConvShape{In: 4, Out: 6, KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1), Groups: 1}
		op, err := pack(set, algo, s, 5, 7, make([]float32, s.Weights()), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		src, dst := kernels.NewView(kernels.Type{}, 2, 5, 7, 4, 1), kernels.NewView(kernels.Type{}, 2, 5, 7, 6, 0)
		_, err = op.Bind(dst, src, 1)
		checkError(t, algo, err, nil)
		_, err = op.Bind(dst, kernels.NewView(kernels.Type{}, 2, 5, 7, 4, 0), 1)
		checkError(t, algo, err, []string{"halo", "padding 1"})
		_, err = op.Bind(dst.Channels(0, 5), src, 1)
		checkError(t, algo, err, []string{"5×7×6"})
		_, err = op.Bind(dst, src.Channels(0, 3), 1)
		checkError(t, algo, err, []string{"4 input channels"})
	}
}
