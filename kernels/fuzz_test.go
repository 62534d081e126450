package kernels_test

import (
	"fmt"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
)

// sets returns the kernels of every instruction set that is supported here.
func sets(t testing.TB) []*kernels.Set {
	t.Helper()
	isas, err := kernels.Supported()
	if err != nil {
		t.Fatal(err)
	}
	var all []*kernels.Set
	for _, isa := range isas {
		set, err := kernels.For(isa)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, set)
	}
	return all
}

// fuzzed maps a fuzzed byte to a number from low to high.
func fuzzed(b byte, low, high int) int { return low + int(b)%(high-low+1) }

// fuzzedPad maps the digits of a fuzzed hexadecimal number, which are the padding at the top, left,
// bottom and right, to numbers up to high.
func fuzzedPad(digits uint16, high int) kernels.Padding {
	digit := func(i int) int { return fuzzed(byte(digits>>(4*i)&15), 0, high) }
	return kernels.Padding{Top: digit(3), Left: digit(2), Bottom: digit(1), Right: digit(0)}
}

// fuzzLayout maps a fuzzed byte to a layout whose halo is at least halo.
func fuzzLayout(b byte, halo int) layout {
	return layout{halo: halo + int(b&1), before: int(b >> 1 & 3), after: int(b >> 3 & 3)}
}

// FuzzDirect compares the direct algorithm with the reference, for any small shape, in any
// layout, on every instruction set, for float32 and for quantized values. A shape that does not fit
// the image must be refused.
func FuzzDirect(f *testing.F) {
	all := sets(f)
	f.Add(byte(2), byte(4), byte(0), byte(2), byte(2), byte(0), uint16(0x1111), byte(0), byte(4), byte(5), byte(0), byte(0), byte(0), byte(0))
	f.Add(byte(2), byte(95), byte(0), byte(6), byte(6), byte(1), uint16(0x0000), byte(0), byte(12), byte(14), byte(1), byte(0), byte(0), byte(1))
	f.Add(byte(15), byte(63), byte(0), byte(0), byte(0), byte(0), uint16(0x0000), byte(0), byte(7), byte(7), byte(1), byte(9), byte(0), byte(2))
	f.Add(byte(3), byte(9), byte(1), byte(4), byte(4), byte(0), uint16(0x2222), byte(1), byte(9), byte(8), byte(0), byte(3), byte(31), byte(0))
	f.Add(byte(8), byte(32), byte(0), byte(0), byte(0), byte(0), uint16(0x1111), byte(2), byte(5), byte(5), byte(1), byte(1), byte(0), byte(1))
	f.Add(byte(4), byte(16), byte(0), byte(3), byte(4), byte(0), uint16(0x0000), byte(1), byte(3), byte(4), byte(0), byte(0), byte(8), byte(0))
	f.Add(byte(0), byte(0), byte(3), byte(10), byte(10), byte(3), uint16(0x2222), byte(0), byte(22), byte(19), byte(1), byte(0), byte(0), byte(2))
	f.Add(byte(4), byte(16), byte(0), byte(0), byte(0), byte(1), uint16(0x2222), byte(0), byte(9), byte(8), byte(1), byte(0), byte(0), byte(1)) // 1×1, padding and stride
	f.Add(byte(3), byte(16), byte(0), byte(0), byte(6), byte(0), uint16(0x0231), byte(1), byte(9), byte(8), byte(0), byte(0), byte(0), byte(1))
	f.Add(byte(3), byte(16), byte(1), byte(2), byte(1), byte(1), uint16(0x2004), byte(0), byte(6), byte(8), byte(1), byte(0), byte(0), byte(0))
	f.Add(byte(3), byte(16), byte(0), byte(0), byte(0), byte(0), uint16(0x1302), byte(0), byte(6), byte(8), byte(1), byte(0), byte(0), byte(0)) // a border
	f.Add(byte(0), byte(0), byte(0), byte(8), byte(8), byte(0), uint16(0x0000), byte(0), byte(1), byte(1), byte(0), byte(0), byte(0), byte(0))
	f.Fuzz(func(t *testing.T, in, out, groups, kh, kw, stride byte, pad uint16, n, h, w, relu, dstLayout, srcLayout, threads byte) {
		g := fuzzed(groups, 1, 4)
		c := convCase{
			ConvShape: kernels.ConvShape{
				In: fuzzed(in, 1, 20) * g, Out: fuzzed(out, 1, 100) * g, KH: fuzzed(kh, 1, 11), KW: fuzzed(kw, 1, 11),
				Stride: fuzzed(stride, 1, 4), Pad: fuzzedPad(pad, 5), Groups: g,
			},
			n: fuzzed(n, 1, 3), h: fuzzed(h, 1, 24), w: fuzzed(w, 1, 40),
			relu: relu%2 == 1,
		}
		oh, ow := c.OutSize(c.h, c.w)
		if c.n*oh*ow*c.Out*c.K() > 1<<21 {
			t.Skip("too slow")
		}
		refused := oh < 1 || ow < 1
		defer clear(convCache) // a fuzzer does not come back to its shapes
		for _, set := range all {
			if refused {
				op, err := newDirect(set, c.ConvShape, make([]float32, c.Weights()), nil, false)
				if err != nil {
					t.Fatal(err)
				}
				_, err = op.Bind(kernels.NewView(kernels.Type{}, c.n, max(oh, 1), max(ow, 1), c.Out, 0), kernels.NewView(kernels.Type{}, c.n, c.h, c.w, c.In, c.Pad.Max()), 1)
				checkError(t, c.String(), err, []string{"convolution"})
				continue
			}
			dst, src, threads := fuzzLayout(dstLayout, 0), fuzzLayout(srcLayout, c.Pad.Max()), fuzzed(threads, 1, 3)
			c.testDirect(t, set, dst, src, threads)
			qconv(c, int32(dstLayout), int32(srcLayout)).test(t, set, "direct", dst, src, threads)
		}
	})
}

// FuzzWeightGradient compares the gradient of weights with the reference, for any small shape, in some layouts, on every
// instruction set, by both algorithms.
func FuzzWeightGradient(f *testing.F) {
	all := sets(f)
	f.Add(byte(2), byte(4), byte(0), byte(2), byte(2), byte(0), uint16(0x1111), byte(1), byte(4), byte(5), byte(0))
	f.Add(byte(15), byte(39), byte(0), byte(2), byte(2), byte(0), uint16(0x1111), byte(0), byte(12), byte(8), byte(1))
	f.Add(byte(2), byte(33), byte(0), byte(6), byte(6), byte(1), uint16(0x0000), byte(2), byte(12), byte(14), byte(2))
	f.Add(byte(15), byte(31), byte(1), byte(0), byte(0), byte(0), uint16(0x0000), byte(0), byte(7), byte(7), byte(3))
	f.Add(byte(3), byte(16), byte(0), byte(0), byte(0), byte(0), uint16(0x1302), byte(1), byte(6), byte(8), byte(4)) // a border
	f.Add(byte(4), byte(16), byte(2), byte(2), byte(3), byte(2), uint16(0x2031), byte(1), byte(9), byte(8), byte(5))
	f.Fuzz(func(t *testing.T, in, out, groups, kh, kw, stride byte, pad uint16, n, h, w, layout byte) {
		g := fuzzed(groups, 1, 3)
		c := convCase{
			ConvShape: kernels.ConvShape{
				In: fuzzed(in, 1, 40) * g, Out: fuzzed(out, 1, 70) * g, KH: fuzzed(kh, 1, 7), KW: fuzzed(kw, 1, 7),
				Stride: fuzzed(stride, 1, 3), Pad: fuzzedPad(pad, 4), Groups: g,
			},
			h: fuzzed(h, 1, 24), w: fuzzed(w, 1, 40),
		}.of(fuzzed(n, 1, 3))
		oh, ow := c.OutSize(c.h, c.w)
		if oh < 1 || ow < 1 || c.n*oh*ow*c.Out*c.K() > 1<<20 {
			t.Skip("no output, or too slow")
		}
		defer clear(weightGradientCache) // a fuzzer does not come back to its shapes
		for _, set := range all {
			c.test(t, set, int(layout), kerneltest.SumBound(c.pixels(), c.data().abs))
			if kernels.PickWeightGradient(set, c.problem()) == "winograd" {
				c := c.byWinograd()
				c.test(t, set, int(layout), c.winogradBound(false))
			}
		}
	})
}

// FuzzWinograd compares every candidate with the reference for square kernels, for float32 and for
// quantized values. The results of Winograd's algorithm must keep the bound for all data only: among
// very many shapes, some outputs exceed the one that is typical of random data.
func FuzzWinograd(f *testing.F) {
	all := sets(f)
	f.Add(byte(15), byte(31), byte(0), byte(2), byte(0), uint16(0x1111), byte(0), byte(12), byte(12), byte(1), byte(0), byte(0), byte(0))
	f.Add(byte(2), byte(8), byte(0), byte(6), byte(1), uint16(0x0000), byte(1), byte(22), byte(24), byte(0), byte(9), byte(31), byte(1))
	f.Add(byte(0), byte(0), byte(0), byte(10), byte(3), uint16(0x2222), byte(0), byte(30), byte(39), byte(1), byte(6), byte(8), byte(2))
	f.Add(byte(8), byte(16), byte(1), byte(4), byte(0), uint16(0x2222), byte(1), byte(6), byte(8), byte(0), byte(0), byte(1), byte(0))
	f.Add(byte(5), byte(40), byte(2), byte(3), byte(0), uint16(0x3333), byte(0), byte(5), byte(3), byte(1), byte(3), byte(2), byte(1))
	f.Add(byte(5), byte(40), byte(0), byte(2), byte(0), uint16(0x0000), byte(0), byte(4), byte(9), byte(1), byte(3), byte(2), byte(1)) // lower than a tile
	f.Add(byte(5), byte(40), byte(1), byte(6), byte(1), uint16(0x0000), byte(0), byte(20), byte(20), byte(1), byte(3), byte(2), byte(1))
	f.Add(byte(5), byte(40), byte(0), byte(6), byte(1), uint16(0x2233), byte(0), byte(20), byte(20), byte(1), byte(3), byte(2), byte(1))
	f.Add(byte(5), byte(40), byte(0), byte(2), byte(0), uint16(0x1040), byte(0), byte(9), byte(12), byte(1), byte(3), byte(2), byte(1))
	f.Add(byte(0x00), byte(0x28), byte(0x12), byte(0x04), byte(0x00), uint16(0x0000), byte(0x00), byte(0x5a), byte(0x6f), byte(0x06), byte(0x1a), byte(0x00), byte(0x17)) // beyond what is typical
	f.Fuzz(func(t *testing.T, in, out, groups, k, stride byte, pad uint16, n, h, w, relu, dstLayout, srcLayout, threads byte) {
		g, size := fuzzed(groups, 1, 3), fuzzed(k, 1, 12)
		c := convCase{
			ConvShape: kernels.ConvShape{
				In: fuzzed(in, 1, 40) * g, Out: fuzzed(out, 1, 70) * g, KH: size, KW: size,
				Stride: fuzzed(stride, 1, 4), Pad: fuzzedPad(pad, 5), Groups: g,
			},
			n: fuzzed(n, 1, 2), h: fuzzed(h, 1, 40), w: fuzzed(w, 1, 40),
			relu: relu%2 == 1,
		}
		oh, ow := c.OutSize(c.h, c.w)
		if oh < 1 || ow < 1 || c.n*oh*ow*c.Out*c.K() > 1<<21 {
			t.Skip("no output, or too slow")
		}
		defer clear(convCache) // a fuzzer does not come back to its shapes
		for _, set := range all {
			dst, src, threads := fuzzLayout(dstLayout, 0), fuzzLayout(srcLayout, c.Pad.Max()), fuzzed(threads, 1, 3)
			if hasWinograd(set, c) {
				c.testWinograd(t, set, dst, src, threads, c.winogradWorst(c.data()))
			}
			c.testDirect(t, set, dst, src, threads)
			q := qconv(c, int32(dstLayout), int32(srcLayout))
			for _, algo := range kernels.Candidates(set, q.problem()) {
				if algo == "winograd" && c.K() > 1000 {
					continue // sums of some of these weights are too large, see TestQuantizedWinogradCondition
				}
				q.test(t, set, algo, dst, src, threads)
			}
		}
	})
}

// FuzzSparse compares the algorithms that skip zeros with the reference and with the direct one, for any
// small shape, in any layout, at any density, for float32 and for quantized values.
func FuzzSparse(f *testing.F) {
	all := sets(f)
	f.Add(byte(2), byte(4), byte(0), byte(2), byte(2), byte(0), uint16(0x1111), byte(0), byte(4), byte(5), byte(77), byte(0), byte(0), byte(0))
	f.Add(byte(139), byte(95), byte(0), byte(0), byte(0), byte(0), uint16(0x0000), byte(0), byte(12), byte(14), byte(50), byte(0), byte(0), byte(1))
	f.Add(byte(15), byte(69), byte(1), byte(0), byte(0), byte(0), uint16(0x1302), byte(1), byte(7), byte(7), byte(0), byte(9), byte(0), byte(2))
	f.Add(byte(3), byte(9), byte(1), byte(4), byte(3), byte(1), uint16(0x2022), byte(1), byte(9), byte(8), byte(255), byte(3), byte(31), byte(0))
	f.Add(byte(29), byte(129), byte(0), byte(2), byte(3), byte(0), uint16(0x0000), byte(2), byte(2), byte(3), byte(200), byte(0), byte(8), byte(1)) // a dense layer
	f.Fuzz(func(t *testing.T, in, out, groups, kh, kw, stride byte, pad uint16, n, h, w, density, dstLayout, srcLayout, threads byte) {
		g := fuzzed(groups, 1, 3)
		c := convCase{
			ConvShape: kernels.ConvShape{
				In: fuzzed(in, 1, 160) * g, Out: fuzzed(out, 1, 140) * g, KH: fuzzed(kh, 1, 6), KW: fuzzed(kw, 1, 6),
				Stride: fuzzed(stride, 1, 3), Pad: fuzzedPad(pad, 3), Groups: g,
			},
			n: fuzzed(n, 1, 4), h: fuzzed(h, 1, 20), w: fuzzed(w, 1, 40),
			relu: density%2 == 1,
		}
		oh, ow := c.OutSize(c.h, c.w)
		if oh < 1 || ow < 1 || c.n*oh*ow*c.Out*c.K() > 1<<21 {
			t.Skip("no output, or too slow")
		}
		defer clear(convCache) // a fuzzer does not come back to its shapes
		defer clear(sparseData)
		for _, set := range all {
			for _, algo := range sparseAlgorithms {
				sparseCase{c, algo, float64(density) / 255}.test(t, set, fuzzLayout(dstLayout, 0), fuzzLayout(srcLayout, c.Pad.Max()), fuzzed(threads, 1, 3))
			}
			if c.In/g >= leastRows {
				q := qrows(c, int32(dstLayout), int32(srcLayout), min(float64(density)/255, someZeros))
				q.test(t, set, "rows", fuzzLayout(dstLayout, 0), fuzzLayout(srcLayout, c.Pad.Max()), fuzzed(threads, 1, 3))
			}
		}
	})
}

// FuzzPool does for maximum and average pooling, of float32 and of quantized values, and for their gradients,
// what FuzzDirect does for convolutions.
func FuzzPool(f *testing.F) {
	all := sets(f)
	f.Add(byte(2), byte(2), byte(1), uint16(0x0000), true, false, byte(0), byte(6), byte(6), byte(15), byte(0), byte(0), byte(0))
	f.Add(byte(2), byte(2), byte(1), uint16(0x1111), false, false, byte(1), byte(7), byte(8), byte(32), byte(9), byte(1), byte(1))
	f.Add(byte(4), byte(2), byte(0), uint16(0x2222), true, false, byte(0), byte(0), byte(1), byte(7), byte(0), byte(31), byte(2))
	f.Add(byte(2), byte(4), byte(1), uint16(0x1020), false, true, byte(0), byte(7), byte(8), byte(37), byte(0), byte(1), byte(1))
	f.Add(byte(2), byte(2), byte(1), uint16(0x0011), true, true, byte(1), byte(6), byte(7), byte(32), byte(9), byte(1), byte(1))
	f.Add(byte(255), byte(0), byte(0), uint16(0x0000), false, false, byte(2), byte(12), byte(12), byte(39), byte(0), byte(0), byte(0))
	f.Fuzz(func(t *testing.T, kh, kw, stride byte, pad uint16, ceil, exclude bool, n, h, w, c, dstLayout, srcLayout, threads byte) {
		p := poolCase{
			PoolShape: kernels.PoolShape{KH: fuzzed(kh, 1, 7), KW: fuzzed(kw, 1, 7), Stride: fuzzed(stride, 1, 5), Pad: fuzzedPad(pad, 6), Ceil: ceil, ExcludePad: exclude},
			n:         fuzzed(n, 1, 3), h: fuzzed(h, 1, 20), w: fuzzed(w, 1, 20), c: fuzzed(c, 1, 70),
		}
		if kh == 255 {
			p.PoolShape = kernels.PoolShape{}
		}
		refused := p.Check() != nil
		if !refused {
			oh, ow := p.OutSize(p.h, p.w)
			refused = oh < 1 || ow < 1
		}
		for _, set := range all {
			if refused {
				src := kernels.NewView(kernels.Type{}, p.n, p.h, p.w, p.c, 0)
				_, err := kernels.BindMaxPool(set, p.PoolShape, src, src, 1)
				checkError(t, p.String(), err, []string{"pooling"})
				continue
			}
			dst, src, threads := fuzzLayout(dstLayout, 0), fuzzLayout(srcLayout, 0), fuzzed(threads, 1, 3)
			p.test(t, set, dst, src, threads)
			p.testGradient(t, set, dst, src, threads)
			qpoolCase{p, u8(0.1, int32(srcLayout)), u8(0.07, int32(dstLayout))}.test(t, set, dst, src, threads)
		}
	})
}

// FuzzPoolSizes compares the output size of a pooling shape with its definition: it counts the
// windows, one stride apart, that lie in the padded image. With Ceil, one more window counts if
// there are pixels left for it and it starts inside the image. A window larger than the padded
// image is refused.
func FuzzPoolSizes(f *testing.F) {
	f.Add(3, 3, 2, 0, 0, 0, 0, true, 111, 55)
	f.Add(2, 2, 3, 1, 1, 1, 1, true, 4, 1)
	f.Add(3, 2, 2, 0, 1, 2, 0, true, 4, 6)
	f.Add(3, 4, 2, 2, 0, 0, 3, false, 5, 6)
	f.Fuzz(func(t *testing.T, kh, kw, stride, top, left, bottom, right int, ceil bool, h, w int) {
		s := kernels.PoolShape{KH: kh, KW: kw, Stride: stride, Pad: kernels.Padding{Top: top, Left: left, Bottom: bottom, Right: right}, Ceil: ceil}
		if s.KH == 0 || s.Check() != nil || h < 1 || w < 1 || h > 1000 || w > 1000 {
			t.Skip()
		}
		count := func(size, before, after, k int) int {
			if k > before+size+after {
				return 0
			}
			n := 0
			for start := -before; ; start += stride {
				whole := start+k <= size+after
				// The previous window left pixels over.
				over := ceil && start-stride+k < size+after && start < size
				if !whole && !over {
					return n
				}
				n++
			}
		}
		oh, ow := s.OutSize(h, w)
		if wh, ww := count(h, top, bottom, kh), count(w, left, right, kw); oh != wh || ow != ww {
			t.Errorf("%+v of %d×%d is %d×%d, want %d×%d", s, h, w, oh, ow, wh, ww)
		}
		if oh > 0 && ow > 0 && h*w <= 400 {
			// Every window of the reference holds a pixel, or its maximum is -Inf.
			src := random(1, 1, h, w, 1)
			for i, v := range ref.MaxPool(s, src.dense()) {
				if v < -100 {
					t.Errorf("%+v of %d×%d: window %d is empty", s, h, w, i)
				}
			}
		}
	})
}

// FuzzView compares the check of views with a count: all elements, those of the halo included,
// must be in the memory, and no element may also be another element or part of the halo.
func FuzzView(f *testing.F) {
	f.Add(uint8(2), uint8(3), uint8(4), uint8(2), uint8(60), uint8(12), uint8(2), uint8(1), uint8(20), uint8(150))
	f.Add(uint8(1), uint8(3), uint8(4), uint8(2), uint8(0), uint8(8), uint8(2), uint8(1), uint8(10), uint8(90))
	f.Add(uint8(1), uint8(1), uint8(1), uint8(1), uint8(0), uint8(1), uint8(1), uint8(0), uint8(0), uint8(1))
	f.Fuzz(func(t *testing.T, n, h, w, c, batch, row, pixel, halo, offset, size uint8) {
		v := kernels.View{
			Memory: make([]byte, 4*int(size)), Offset: int(offset),
			N: int(n % 3), H: int(h % 5), W: int(w % 5), C: int(c % 4),
			Batch: int(batch), Row: int(row % 40), Pixel: int(pixel % 6), Halo: int(halo % 3),
		}
		_, err := kernels.BindHalo(v)
		if v.N*v.H*v.W*v.C == 0 {
			checkError(t, fmt.Sprintf("%+v", v), err, []string{"empty"})
			return
		}
		elements, halos, outside := map[int]int{}, map[int]bool{}, false
		for n := range v.N {
			for y := -v.Halo; y < v.H+v.Halo; y++ {
				for x := -v.Halo; x < v.W+v.Halo; x++ {
					for c := range v.C {
						i := v.Index(n, y, x, c)
						outside = outside || i < 0 || i >= int(size)
						if y < 0 || y >= v.H || x < 0 || x >= v.W {
							halos[i] = true
						} else {
							elements[i]++
						}
					}
				}
			}
		}
		overlaps := false
		for i, count := range elements {
			overlaps = overlaps || count > 1 || halos[i]
		}
		if err == nil && (outside || overlaps) {
			t.Errorf("%+v is accepted: outside %v, overlaps %v", v, outside, overlaps)
		}
		// Strides that interleave pixels are refused even if no pixels overlap.
		ordered := v.Pixel >= v.C && v.Row >= (v.W+v.Halo)*v.Pixel && (v.N == 1 || v.Batch >= (v.H+v.Halo)*v.Row)
		if err != nil && !outside && !overlaps && ordered {
			t.Errorf("%+v is refused: %v", v, err)
		}
	})
}
