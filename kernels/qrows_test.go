package kernels_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/workers"
)

// leastRows is how many inputs a pixel of a group must have for quantized rows.
const leastRows = 16

// qrows returns a case most of whose weights are zero, in rows, of which a share is kept.
func qrows(c convCase, srcZero, dstZero int32, density float64) qconvCase {
	q := qconv(c, srcZero, dstZero)
	q.pruned = 1 - density
	return q
}

// someZeros is the density of weights of which a single row is zero.
const someZeros = 1 - 1e-9

// TestGather compares the kernel with the loops that document it, between guard pages: chunks that overlap or
// lie apart in the source, and that overwrite what the one before wrote beyond its inputs.
func TestGather(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		const maxChunks, maxPixels, most = 4, 11, 16
		size := 1 // bytes of an input
		if set.U8.Widen != nil {
			size = 2
		}
		r := rand.New(rand.NewPCG(1, uint64(size)))
		const srcSize, dstSize = maxPixels * (maxChunks + 1) * most, 2 * maxPixels * (maxChunks + 1) * most
		srcMem, dstMem := guarded(t, srcSize/4), guarded(t, dstSize/4)
		placesMem, fromMem, toMem := guarded(t, maxChunks*most/4), guarded(t, maxChunks), guarded(t, maxChunks)
		for chunks := 1; chunks <= maxChunks; chunks++ {
			for pixels := 1; pixels <= maxPixels; pixels++ {
				var from, to []int32
				places := make([]uint8, chunks*most)
				written := int32(0)
				for range chunks {
					from = append(from, r.Int32N(maxChunks*most+1))
					to = append(to, written)
					written += r.Int32N(most+1) * int32(size)
				}
				for i := range places {
					places[i] = uint8(r.IntN(most))
				}
				srcStride := int(slices.Max(from)) + most
				dstStride := int(to[chunks-1]) + most*size + r.IntN(2)*3*size
				values := make([]uint8, (pixels-1)*srcStride+int(slices.Max(from))+most)
				for i := range values {
					values[i] = uint8(r.Uint32())
				}
				for side, name := range sides {
					dst := dstMem.bytesOf(side, (pixels-1)*dstStride+int(to[chunks-1])+most*size)
					want := slices.Clone(dst)
					for c := range chunks {
						for p := range pixels {
							for i := range most {
								at := want[p*dstStride+int(to[c])+i*size:][:size]
								clear(at)
								at[0] = values[p*srcStride+int(from[c])+int(places[most*c+i])]
							}
						}
					}
					src, places := loadAs(srcMem, side, values), loadAs(placesMem, side, places)
					from, to := loadAs(fromMem, side, from), loadAs(toMem, side, to)
					set.U8.Gather(&dst[0], &src[0], &places[0], &from[0], &to[0], chunks, pixels, srcStride, dstStride)
					if i := difference(dst, want); i >= 0 {
						t.Fatalf("chunks=%d pixels=%d, %s: byte %d of pixel %d is %d, want %d", chunks, pixels, name, i%dstStride, i/dstStride, dst[i], want[i])
					}
				}
			}
		}
	})
}

// TestQuantizedRows has kernels of all sizes with strides, paddings and groups, at every density.
func TestQuantizedRows(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for i, density := range []float64{0, 0.02, 0.2, 0.5, someZeros} {
			for j, k := range []int{1, 2, 3, 5} {
				for stride := 1; stride <= 2; stride++ {
					groups := 1 + 2*((i+j+stride)%2)
					c := conv(5, 7, (leastRows+i)*groups, 35*groups, k, stride, (k+i)/2, groups)
					c.n, c.relu = 1+(i+j)%2, stride%2 == 0
					qrows(c, int32(90*(j%2)), int32(7*(i%3)), density).test(t, set, "rows", layout{halo: j % 2}, layout{halo: c.Pad.Max()}, 1+(i+k)%3)
				}
			}
		}
	})
}

// TestQuantizedRowsChannels has channel counts around the numbers of inputs that are moved at a time and the widths
// of tiles and of what shares them, and as many pixels as fill tiles, and a few more or less.
func TestQuantizedRowsChannels(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, in := range append(kerneltest.Sizes(leastRows, 64), 300) {
			for _, density := range []float64{0.05, 0.4, someZeros} {
				if in >= leastRows {
					qrows(conv(2, 3, in, 33, 1, 1, 0, 1), 3, 9, density).test(t, set, "rows", layout{}, layout{}, 1)
				}
			}
		}
		wide, narrow := set.U8.Conv.Wide, set.U8.Conv.Narrow
		for _, out := range kerneltest.Sizes(wide.Width, narrow.Width, rowWidth) {
			qrows(conv(2, 4, 17, out, 3, 1, 1, 1), 3, 0, 0.3).test(t, set, "rows", layout{}, layout{halo: 1}, 2)
			qrows(conv(2, 4, 40, 2*out, 1, 1, 0, 2), 0, 9, 0.3).test(t, set, "rows", layout{}, layout{}, 1)
		}
		for _, pixels := range kerneltest.Sizes(wide.Height(), narrow.Height()) {
			qrows(conv(1, pixels, 20, rowWidth+narrow.Width, 1, 1, 0, 1), 0, 0, 0.3).test(t, set, "rows", layout{}, layout{}, 1)
			qrows(conv(3, pixels, 16, 9, 3, 1, 1, 1), 9, 0, 0.3).test(t, set, "rows", layout{}, layout{halo: 1}, 1)
		}
		// Inputs of more pixels than the scratch memory has room for.
		for _, density := range []float64{0.5, someZeros} {
			qrows(conv(1, 8*wide.Height()+3, 900, 20, 1, 1, 0, 1), 5, 0, density).test(t, set, "rows", layout{}, layout{}, 1)
			qrows(conv(2, 2*wide.Height()+1, 120, 20, 3, 1, 1, 1), 5, 0, density).test(t, set, "rows", layout{}, layout{halo: 1}, 2)
		}
	})
}

// TestQuantizedRowsLayouts reads from and writes to every layout, in batches: 1×1 convolutions, also with a
// border and a stride, dense layers, and unequal paddings.
func TestQuantizedRowsLayouts(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		cases := []convCase{
			conv(5, 6, 18, 21, 1, 1, 0, 1),
			conv(6, 7, 16, 21, 1, 2, 1, 1),
			conv(5, 6, 18, 21, 1, 1, 1, 1),
			conv(7, 6, 34, 10, 3, 1, 1, 2),
			conv(4, 6, 16, 34, 4, 1, 0, 1),
		}
		for i, pad := range unequal {
			c := conv(6, 9, 16, 20, 1+2*(i%2), 1, 0, 1)
			c.Pad = pad
			cases = append(cases, c)
		}
		for i, size := range [][3]int{{1, 1, 37}, {2, 3, 19}, {3, 3, 16}} {
			c := conv(size[0], size[1], size[2], 40, 0, 1, 0, 1)
			c.KH, c.KW, c.n = size[0], size[1], []int{1, 9, 70}[i]
			cases = append(cases, c)
		}
		for i, c := range cases {
			for j, dst := range layouts {
				for k, src := range layouts {
					if (i+j+k)%3 > 0 || testing.Short() && (i+j+k)%4 > 0 || src.halo < c.Halo() {
						continue
					}
					if c.n < 2 {
						c.n = 1 + (i+j+k)%3
					}
					t.Run(fmt.Sprintf("layouts=%d,%d", j, k), func(t *testing.T) {
						qrows(c, 128, 50, 0.3).test(t, set, "rows", dst, src, 1+(j+k)%2)
					})
				}
			}
		}
	})
}

// TestQuantizedRowsThreads has enough work for many chunks: their number must not change a bit.
func TestQuantizedRowsThreads(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, c := range []convCase{
			conv(21, 37, 16, 130, 3, 1, 1, 1),
			conv(35, 35, 24, 65, 1, 1, 0, 1),
			conv(13, 13, 150, 1000, 1, 1, 1, 1),
			conv(1, 1, 300, 1000, 1, 1, 0, 1),
		} {
			for threads := 1; threads <= 3; threads++ {
				qrows(c, 1, 2, 0.2).test(t, set, "rows", layout{halo: 1}, layout{halo: c.Pad.Max()}, threads)
			}
		}
	})
}

// TestQuantizedRowsExtremes has sums of the largest products, and outputs so fine that the kernels are the scalar ones.
func TestQuantizedRowsExtremes(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, zero := range []int32{0, 255} {
			c := qrows(conv(4, 5, 64, 40, 3, 1, 1, 1), zero, zero, 0.9)
			c.extreme = true
			c.test(t, set, "rows", layout{}, layout{halo: 1}, 1)
		}

		p := conv(1, 3, 18, 2, 1, 1, 0, 1).problem()
		p.Src, p.Dst = u8(1, 7), u8(1e-12, 99)
		weights := make([]float32, p.Weights())
		weights[17], weights[18+17] = 1, -1
		op, err := kernels.NewConv(set, "rows", p, kernels.Weights{Values: weights, Scales: []float32{1, 1}})
		if err != nil {
			t.Fatal(err)
		}
		src, dst := kernels.NewView(p.Src, 1, 1, 3, 18, 0), kernels.NewView(p.Dst, 1, 1, 3, 2, 0)
		for x := range 3 {
			kernels.Pixel[uint8](src, 0, 0, x)[17] = uint8(8 - x)
		}
		task, err := op.Bind(dst, src, 1)
		if err != nil {
			t.Fatal(err)
		}
		run(task, 1)
		if want := []uint8{255, 0, 99, 99, 0, 255}; op.Algorithm() != "rows" || !slices.Equal(dst.Memory, want) {
			t.Errorf("%s: outputs %v, want %v", op.Algorithm(), dst.Memory, want)
		}
	})
}

// TestQuantizedSparsity: NewConv counts zeros after quantization, and rows of rowWidth of them whatever the width of
// tiles. Rows are a candidate where there are some, for pixels of enough inputs, and what they pack is as small as
// what is left. The set that saturates sums of neighbours has no rows, which would make other inputs neighbours.
func TestQuantizedSparsity(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		p := qconv(conv(4, 4, 2*leastRows, 2*rowWidth, 1, 1, 0, 1), 3, 4).problem()
		w := kernels.Weights{Values: make([]float32, p.Weights()), Scales: make([]float32, p.Out)}
		for i := range w.Values {
			w.Values[i] = float32(1 + i%100)
		}
		for i := range w.Scales {
			w.Scales[i] = 1
		}
		conv := func(algo string) kernels.Conv {
			t.Helper()
			// What the problem says of zeros is not what counts.
			p := p
			p.Sparsity, p.RowSparsity = 0.25, 0.75
			c, err := kernels.NewConv(set, algo, p, w)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		if c := conv("rows"); c.Problem() != p || c.Algorithm() != "direct" {
			t.Errorf("dense weights: %+v packed for %s", c.Problem(), c.Algorithm())
		}
		// One input of all channels and all of the second half but three of half of them are nearly nothing, and a weight is.
		for o := range p.Out {
			row := w.Values[o*p.In:][:p.In]
			row[0] = 0.5
			if o < rowWidth {
				for i := leastRows; i < p.In-3; i++ {
					row[i] = -0.25
				}
			}
		}
		w.Values[p.Weights()-1] = 0
		kept := []int{p.In - 1 - (leastRows - 3), p.In - 1}
		sum := kept[0] + kept[1]
		p.Sparsity = float64(p.Weights()-rowWidth*sum+1) / float64(p.Weights())
		p.RowSparsity = 1 - float64(sum)/float64(2*p.In)
		for _, algo := range []string{"rows", "direct"} {
			if c := conv(algo); c.Problem() != p || c.Algorithm() != algo {
				t.Errorf("%s: problem %+v, want %+v; packed for %s", algo, c.Problem(), p, c.Algorithm())
			}
		}
		group := set.U8.Conv.Group
		rows := (kept[0]+group-1)/group*group + (kept[1]+group-1)/group*group
		c := conv("rows")
		if got, want := c.Bytes(), int64(rows*rowWidth+8*p.Out+2*2*(16+4+4)); got != want {
			t.Errorf("%d bytes, want %d", got, want)
		}
		if got, want := c.Executed(), int64(16*rows*rowWidth); got != want {
			t.Errorf("%d multiply-adds, want %d", got, want)
		}

		has := func(set *kernels.Set, p kernels.Problem) bool {
			return slices.Contains(kernels.Candidates(set, p), "rows")
		}
		few := p
		few.In = leastRows - 1
		if !has(set, p) || has(set, few) || has(kernels.Saturating(set), p) {
			t.Errorf("rows are a candidate for %d inputs: %v, for %d: %v, where sums saturate: %v", p.In, has(set, p), few.In, has(set, few), has(kernels.Saturating(set), p))
		}
	})
}

// TestQuantizedRowsErrors: views that do not fit are refused.
func TestQuantizedRowsErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	p := qconv(conv(5, 7, 16, 6, 3, 1, 1, 1), 0, 0).problem()
	op, err := kernels.NewConv(set, "rows", p, kernels.Weights{Values: make([]float32, p.Weights())})
	if err != nil {
		t.Fatal(err)
	}
	src, dst := kernels.NewView(p.Src, 2, 5, 7, 16, 1), kernels.NewView(p.Dst, 2, 5, 7, 6, 0)
	_, err = op.Bind(dst, src, 1)
	checkError(t, "views that fit", err, nil)
	_, err = op.Bind(dst, kernels.NewView(p.Src, 2, 5, 7, 16, 0), 1)
	checkError(t, "halo", err, []string{"halo", "padding 1"})
	_, err = op.Bind(dst.Channels(0, 5), src, 1)
	checkError(t, "outputs", err, []string{"5×7×6"})
	_, err = op.Bind(dst, src.Channels(0, 3), 1)
	checkError(t, "inputs", err, []string{"16 input channels"})
}

// bindRows binds quantized rows of a case, of which a third is kept.
func bindRows(t testing.TB, set *kernels.Set, c convCase, threads int) workers.Task {
	t.Helper()
	q := qconv(c, 3, 4)
	weights := prune(c.ConvShape, kerneltest.Random(1, c.Weights()), "rows", 0.3)
	op, err := kernels.NewConv(set, "rows", q.problem(), kernels.Weights{Values: weights})
	if err != nil {
		t.Fatal(err)
	}
	out := c.output()
	task, err := op.Bind(kernels.NewView(q.problem().Dst, out.n, out.h, out.w, out.c, 1), kernels.NewView(q.problem().Src, c.n, c.h, c.w, c.In, c.Halo()), threads)
	if err != nil {
		t.Fatal(err)
	}
	return task
}
