package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/workers"
)

// everyPair returns two slices that together hold every pair of uint8 values.
func everyPair() (a, b []uint8) {
	for i := range 1 << 16 {
		a, b = append(a, uint8(i>>8)), append(b, uint8(i))
	}
	return a, b
}

// A qaddArgs is the arguments of U8.Add.
type qaddArgs struct {
	zeroA, zeroB                 int32
	scaleA, scaleB, lower, upper float32
	zero                         int32
}

// qaddCases have sums that lie halfway between integers, with rounded products and without, and
// sums beyond both ends.
var qaddCases = []qaddArgs{
	{0, 0, 0.5, 0.5, 0, 255, 0},
	{3, 250, 0.5, 0.25, -100, 155, 100},
	{128, 128, 1.0 / 3, 1.0 / 6, -128, 127, 128},
	{7, 9, 0.7, 0.1, 0, 200, 55}, // with ReLU
	{255, 0, 1e30, 1e30, -17, 238, 17},
	{1, 2, 1e-30, 0x1p-149, -17, 238, 17},
}

// add computes what U8 defines.
func (p qaddArgs) add(a, b uint8) uint8 {
	x := float32(float32(int32(a)-p.zeroA)*p.scaleA) + float32(float32(int32(b)-p.zeroB)*p.scaleB)
	return uint8(int32(math.RoundToEven(float64(min(max(x, p.lower), p.upper)))) + p.zero)
}

// quantize computes what U8 defines.
func quantize(x, scale float32, zero int32) uint8 {
	if x != x {
		return uint8(zero)
	}
	q := min(max(x/scale, float32(0-zero)), float32(255-zero))
	return uint8(int32(math.RoundToEven(float64(q))) + zero)
}

// hardToQuantize returns numbers that lie halfway between two integers of a scale, their neighbours,
// infinities, NaNs, zeros, and numbers of extreme sizes.
func hardToQuantize(scale float32) []float32 {
	inf := float32(math.Inf(1))
	hard := []float32{
		inf, -inf, 0, float32(math.Copysign(0, -1)), math.MaxFloat32, -math.MaxFloat32, 0x1p-149, -0x1p-149, 0x1p-126,
		float32(math.NaN()), math.Float32frombits(0xffc00001), math.Float32frombits(0x7f800001), 1 << 31, -1 << 31, 1 << 32,
	}
	for i := -520; i <= 520; i++ {
		x := float32(i) / 2 * scale
		hard = append(hard, x, math.Nextafter32(x, inf), math.Nextafter32(x, -inf))
	}
	return hard
}

var (
	quantizedScales = []float32{1, 0.1, 1.0 / 3, 0.0186584, 0x1p-140, 1e30}
	zeroPoints      = []int32{0, 1, 128, 255}
)

// TestQAddKernel compares the kernel with the loop that U8 documents it by, for every pair of
// values.
func TestQAddKernel(t *testing.T) {
	a, b := everyPair()
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		dst := make([]uint8, len(a))
		for _, p := range qaddCases {
			set.U8.Add(&dst[0], &a[0], &b[0], len(dst), p.zeroA, p.zeroB, p.scaleA, p.scaleB, p.lower, p.upper, p.zero)
			for i, got := range dst {
				if want := p.add(a[i], b[i]); got != want {
					t.Fatalf("%+v: %d + %d = %d, want %d", p, a[i], b[i], got, want)
				}
			}
		}
	})
}

// TestQuantizeKernels compares the kernels from and to float32 with the loops that U8 documents
// them by, for the numbers that are hard and for all integers.
func TestQuantizeKernels(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, scale := range quantizedScales {
			for _, zero := range zeroPoints {
				numbers := hardToQuantize(scale)
				for len(numbers)%set.U8.Bytes > 0 {
					numbers = append(numbers, 0)
				}
				got := make([]uint8, len(numbers))
				set.U8.Quantize(&got[0], &numbers[0], len(got), scale, zero)
				for i, q := range got {
					if want := quantize(numbers[i], scale, zero); q != want {
						t.Fatalf("scale %g, zero point %d: %g becomes %d, want %d", scale, zero, numbers[i], q, want)
					}
				}

				var integers [256]uint8
				for i := range integers {
					integers[i] = uint8(i)
				}
				var back [256]float32
				set.U8.Dequantize(&back[0], &integers[0], len(back), scale, zero)
				for i, x := range back {
					if want := float32(int32(i)-zero) * scale; x != want {
						t.Fatalf("scale %g, zero point %d: %d becomes %g, want %g", scale, zero, i, x, want)
					}
				}
			}
		}
	})
}

// TestQElementKernels compares the kernels of a set with the loops that U8 documents them by,
// between guard pages, also in place.
func TestQElementKernels(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		counts := byteCounts(set)
		most := counts[len(counts)-1]
		x, y := randomBytes(1, most), randomBytes(2, most)
		numbers := kerneltest.Random(3, most)
		dstMem, aMem, bMem := guardedBytes(t, most), guardedBytes(t, most), guardedBytes(t, most)
		floatMem := guarded(t, most)
		for _, n := range counts {
			for side := range sides {
				what := fmt.Sprintf("%d values, %s", n, sides[side])
				for _, where := range []string{"", ", dst = a", ", dst = b"} {
					p := qaddCases[2]
					a, b, dst := aMem.loadBytes(side, x[:n]), bMem.loadBytes(side, y[:n]), dstMem.bytesOf(side, n)
					switch where {
					case ", dst = a":
						dst = a
					case ", dst = b":
						dst = b
					}
					set.U8.Add(&dst[0], &a[0], &b[0], n, p.zeroA, p.zeroB, p.scaleA, p.scaleB, p.lower, p.upper, p.zero)
					checkBytes(t, "Add of "+what+where, dst, 1, n, n, func(_, i int) uint8 { return p.add(x[i], y[i]) })
				}
				for _, lower := range zeroPoints {
					clamp := func(_, i int) uint8 { return max(x[i], uint8(lower)) }
					a, dst := aMem.loadBytes(side, x[:n]), dstMem.bytesOf(side, n)
					set.U8.Clamp(&dst[0], &a[0], n, lower)
					checkBytes(t, "Clamp of "+what, dst, 1, n, n, clamp)
					set.U8.Clamp(&a[0], &a[0], n, lower)
					checkBytes(t, "Clamp of "+what+", in place", a, 1, n, n, clamp)
				}
				const scale, zero = 0.02, 100
				dst, src := dstMem.bytesOf(side, n), floatMem.load(side, numbers[:n])
				set.U8.Quantize(&dst[0], &src[0], n, scale, zero)
				checkBytes(t, "Quantize of "+what, dst, 1, n, n, func(_, i int) uint8 { return quantize(numbers[i], scale, zero) })
				bytes, floats := aMem.loadBytes(side, x[:n]), floatMem.blank(side, n)
				set.U8.Dequantize(&floats[0], &bytes[0], n, scale, zero)
				compareRows(t, "Dequantize of "+what, floats, 1, n, n, func(_, i int) float64 { return float64(float32(int32(x[i])-zero) * scale) }, nil)
			}
		}
	})
}

// The types of the tests of whole views.
var (
	typeA, typeB, typeSum = u8(0.1, 30), u8(0.07, 128), u8(0.12, 99)
)

// qelementOps are operations on whole views of quantized values.
var qelementOps = []struct {
	name  string
	types []kernels.Type // of the sources
	dst   kernels.Type
	bind  func(set *kernels.Set, dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error)
	f     func(a, b uint8) uint8
}{
	{"add", []kernels.Type{typeA, typeB}, typeSum, func(set *kernels.Set, dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error) {
		return kernels.BindAdd(set, dst, srcs[0], srcs[1], false, threads)
	}, qaddArgs{30, 128, typeA.Scale / typeSum.Scale, typeB.Scale / typeSum.Scale, -99, 156, 99}.add},
	{"addrelu", []kernels.Type{typeA, typeB}, typeSum, func(set *kernels.Set, dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error) {
		return kernels.BindAdd(set, dst, srcs[0], srcs[1], true, threads)
	}, qaddArgs{30, 128, typeA.Scale / typeSum.Scale, typeB.Scale / typeSum.Scale, 0, 156, 99}.add},
	{"relu", []kernels.Type{typeB}, typeB, func(set *kernels.Set, dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error) {
		return kernels.BindReLU(set, dst, srcs[0], threads)
	}, func(a, _ uint8) uint8 { return max(a, 128) }},
}

// eachElementOp runs every operation, and both conversions, on views of a shape in the given layouts.
func eachElementOp(t *testing.T, set *kernels.Set, n, h, w, c int, dst, a, b layout, threads int) {
	out := tensor{n: n, h: h, w: w, c: c}
	x, y := quantizedValue(typeA, 1, n, h, w, c).in(a), quantizedValue(typeB, 2, n, h, w, c).in(b)
	name := fmt.Sprintf("=%dx%dx%dx%d", n, h, w, c)
	for _, e := range qelementOps {
		t.Run(e.name+name, func(t *testing.T) {
			want, srcs := value[uint8]{out, e.dst, make([]uint8, len(x.data))}, []value[uint8]{x, y}[:len(e.types)]
			for i := range want.data {
				want.data[i] = e.f(x.data[i], y.data[i])
			}
			for i := range srcs {
				srcs[i].typ = e.types[i]
			}
			exerciseValues(t, threads, want.in(dst), srcs, func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
				return e.bind(set, dst, srcs, threads)
			})
		})
	}
	quantized := value[uint8]{out, typeA, make([]uint8, len(x.data))}
	numbers := value[float32]{out, kernels.Type{}, kerneltest.Random(3, len(x.data))}
	for i, v := range numbers.data {
		quantized.data[i] = quantize(v, typeA.Scale, typeA.Zero)
	}
	t.Run("quantize"+name, func(t *testing.T) {
		exerciseValues(t, threads, quantized.in(dst), []value[float32]{numbers.in(a)}, func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
			return kernels.BindQuantize(set, dst, srcs[0], threads)
		})
	})
	numbers.data = slices.Clone(numbers.data)
	for i, q := range x.data {
		numbers.data[i] = float32(int32(q)-typeA.Zero) * typeA.Scale
	}
	t.Run("dequantize"+name, func(t *testing.T) {
		exerciseValues(t, threads, numbers.in(dst), []value[uint8]{x}, func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
			return kernels.BindDequantize(set, dst, srcs[0], threads)
		})
	})
}

// TestQElementSizes has rows whose lengths leave every remainder when divided by the vector's.
func TestQElementSizes(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for c := 1; c <= 66; c++ {
			eachElementOp(t, set, 1, 2, 1, c, layout{}, layout{}, layout{}, 1)
		}
		for _, n := range kerneltest.Sizes(set.U8.Bytes, 4*set.U8.Bytes) {
			eachElementOp(t, set, 1, 1, n, 1, layout{}, layout{}, layout{}, 1)
		}
		eachElementOp(t, set, 2, 31, 30, 65, layout{halo: 1}, layout{}, layout{}, 3)
	})
}

// TestQElementLayouts reads from and writes to every layout.
func TestQElementLayouts(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for i, dst := range layouts {
			for j, a := range layouts {
				b := layouts[(i+2*j)%len(layouts)]
				t.Run(fmt.Sprintf("layouts=%d,%d", i, j), func(t *testing.T) {
					eachElementOp(t, set, 2, 3, 4, 37, dst, a, b, 1+(i+j)%2)
				})
			}
		}
	})
}

// TestQElementInPlace: ReLU and add may write where they read, whatever is left over beyond whole
// vectors.
func TestQElementInPlace(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for _, e := range qelementOps {
			for _, l := range layouts {
				for target := range e.types {
					x := []value[uint8]{quantizedValue(e.types[0], 1, 2, 3, 4, 37), quantizedValue(typeB, 2, 2, 3, 4, 37)}
					want := make([]uint8, len(x[0].data))
					for i := range want {
						want[i] = e.f(x[0].data[i], x[1].data[i])
					}
					views := make([]kernels.View, len(e.types))
					for i := range views {
						src := x[i].in(l)
						views[i] = qview(e.types[i], guardedBytes(t, src.size()), 0, src.tensor)
						setPixels(views[i], src.data, kernels.Padding{})
					}
					dst := views[target]
					dst.Type = e.dst
					task, err := e.bind(set, dst, views, 2)
					if err != nil {
						t.Fatal(err)
					}
					run(task, 2)
					checkPixels(t, fmt.Sprintf("%s into source %d, %+v", e.name, target, l), dst, want)
				}
			}
		}
	})
}

// TestQElementErrors: types and shapes that do not fit are an error that says what was expected.
func TestQElementErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	view := func(typ kernels.Type) kernels.View { return kernels.NewView(typ, 1, 2, 3, 5, 0) }
	float, a, b := view(kernels.Type{}), view(typeA), view(typeB)
	plain, signed := view(kernels.Type{Element: kernels.Uint8}), view(kernels.Type{Element: kernels.Int8, Scale: 1})
	narrow, batch := kernels.NewView(typeA, 1, 2, 3, 4, 0), kernels.NewView(typeA, 2, 2, 3, 5, 0)
	tiny := view(u8(1e-38, 0))
	add := func(dst, a, b kernels.View) error {
		_, err := kernels.BindAdd(set, dst, a, b, false, 1)
		return err
	}
	relu := func(dst, src kernels.View) error {
		_, err := kernels.BindReLU(set, dst, src, 1)
		return err
	}
	quantize := func(dst, src kernels.View) error {
		_, err := kernels.BindQuantize(set, dst, src, 1)
		return err
	}
	dequantize := func(dst, src kernels.View) error {
		_, err := kernels.BindDequantize(set, dst, src, 1)
		return err
	}
	for _, c := range []struct {
		name string
		err  error
		want []string
	}{
		{"add", add(a, b, a), nil},
		{"add, float32 to quantized", add(a, float, b), []string{"add", "source of f32 and destination of u8(scale 0.1, zero 30)"}},
		{"add, quantized to float32", add(float, float, b), []string{"add", "source of u8", "destination of f32"}},
		{"add, no scale", add(a, b, plain), []string{"add", "a view of u8, expected f32 or quantized u8"}},
		{"add, signed", add(signed, signed, signed), []string{"add", "a view of s8", "expected f32 or quantized u8"}},
		{"add, shapes", add(a, b, narrow), []string{"add", "1×2×3×4", "1×2×3×5"}},
		{"add, first scale", add(tiny, view(u8(1, 0)), tiny), []string{"add", "scale 1,", "scale 1e-38,", "too large"}},
		{"add, second scale", add(tiny, tiny, view(u8(1, 0))), []string{"add", "scale 1,", "scale 1e-38,", "too large"}},
		{"ReLU", relu(a, view(typeA)), nil},
		{"ReLU, types", relu(a, b), []string{"ReLU", "source of u8(scale 0.07, zero 128) and destination of u8(scale 0.1, zero 30)"}},
		{"ReLU, elements", relu(a, float), []string{"ReLU", "f32", "u8"}},
		{"ReLU, no scale", relu(plain, plain), []string{"ReLU", "a view of u8"}},
		{"ReLU, shapes", relu(a, narrow), []string{"ReLU", "1×2×3×4"}},
		{"quantize", quantize(a, float), nil},
		{"quantize, quantized", quantize(a, b), []string{"quantize: u8(scale 0.07, zero 128) to u8(scale 0.1, zero 30), expected f32 to quantized u8"}},
		{"quantize to float32", quantize(float, float), []string{"quantize: f32 to f32"}},
		{"quantize, no scale", quantize(plain, float), []string{"quantize: f32 to u8, expected f32 to quantized u8"}},
		{"quantize, shapes", quantize(narrow, float), []string{"quantize", "1×2×3×4"}},
		{"quantize, batch", quantize(batch, float), []string{"quantize", "images"}},
		{"dequantize", dequantize(float, a), nil},
		{"dequantize to quantized", dequantize(a, b), []string{"dequantize: u8(scale 0.07, zero 128) to u8(scale 0.1, zero 30), expected quantized u8 to f32"}},
		{"dequantize, float32", dequantize(float, float), []string{"dequantize: f32 to f32"}},
		{"dequantize, no scale", dequantize(float, plain), []string{"dequantize: u8 to f32"}},
		{"dequantize, shapes", dequantize(float, narrow), []string{"dequantize", "1×2×3×4"}},
		{"dequantize, empty", dequantize(float, kernels.View{}), []string{"dequantize", "empty"}},
	} {
		checkError(t, c.name, c.err, c.want)
	}
}
