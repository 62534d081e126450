package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
)

// TestViewWindows: a window holds the elements that its name says.
func TestViewWindows(t *testing.T) {
	v := kernels.NewView(kernels.Type{}, 3, 4, 5, 6, 2)
	for i := range kernels.Data[float32](v) {
		kernels.Data[float32](v)[i] = float32(i)
	}
	same := func(what string, w kernels.View, n, h, c int, at func(n, y, x, c int) float32) {
		t.Helper()
		if w.N != n || w.H != h || w.W != v.W || w.C != c || w.Halo != v.Halo {
			t.Errorf("%s is %v with a halo of %d", what, w, w.Halo)
			return
		}
		for n := range n {
			for y := range h {
				for x := range v.W {
					for c := range c {
						if got, want := kernels.At[float32](w, n, y, x, c), at(n, y, x, c); got != want {
							t.Fatalf("%s holds %v at (%d, %d, %d, %d), want %v", what, got, n, y, x, c, want)
						}
					}
				}
			}
		}
	}
	same("Rows(1, 3)", v.Rows(1, 3), 3, 3, 6, func(n, y, x, c int) float32 { return kernels.At[float32](v, n, y+1, x, c) })
	same("Rows(1, 3).Rows(2, 1)", v.Rows(1, 3).Rows(2, 1), 3, 1, 6, func(n, y, x, c int) float32 { return kernels.At[float32](v, n, y+3, x, c) })
	same("Image(2)", v.Image(2), 1, 4, 6, func(_, y, x, c int) float32 { return kernels.At[float32](v, 2, y, x, c) })
	same("all of them", v.Channels(2, 3).Image(1).Rows(0, 2), 1, 2, 3, func(_, y, x, c int) float32 { return kernels.At[float32](v, 1, y, x, c+2) })
	for name, f := range map[string]func(){
		"Rows(-1, 2)":          func() { v.Rows(-1, 2) },
		"Rows(0, 0)":           func() { v.Rows(0, 0) },
		"Rows(0, 5)":           func() { v.Rows(0, 5) },
		"Rows(4, 1)":           func() { v.Rows(4, 1) },
		"Rows(1, 2).Rows(1,2)": func() { v.Rows(1, 2).Rows(1, 2) },
		"Image(3)":             func() { v.Image(3) },
		"Image(-1)":            func() { v.Image(-1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s did not panic", name)
				}
			}()
			f()
		}()
	}
}

// TestHalo: BindHalo clears the halo and nothing else, and refuses a view
// that does not fit its memory.
func TestHalo(t *testing.T) {
	for halo := range 3 {
		for _, l := range []layout{{halo: halo}, {halo: halo, before: 2, after: 1}} {
			x := random(1, 2, 3, 4, 5).in(l)
			v := x.view(make([]float32, x.size()))
			task, err := kernels.BindHalo(v)
			if err != nil {
				t.Fatal(err)
			}
			run(task, 2)
			what := fmt.Sprintf("layout %+v", l)
			kerneltest.ZeroHalo(t, what, v)
			kerneltest.Unwritten(t, what, v)
			if !slices.Equal(values(v), x.values) {
				t.Errorf("%s: the image changed", what)
			}
		}
	}
	short := kernels.NewView(kernels.Type{}, 1, 3, 3, 2, 1)
	short.Memory = short.Memory[4:]
	_, err := kernels.BindHalo(short)
	checkError(t, "short", err, []string{"halo", "spans"})
}

// TestViewErrors: a view of what is not in its memory, or that is its own neighbour, is
// refused by every operation, without overflow.
func TestViewErrors(t *testing.T) {
	good := kernels.NewView(kernels.Type{}, 2, 4, 5, 3, 1)
	for _, c := range []struct {
		what   string
		change func(v *kernels.View)
		parts  []string
	}{
		{"good", func(*kernels.View) {}, nil},
		{"no images", func(v *kernels.View) { v.N = 0 }, []string{"empty"}},
		{"a negative halo", func(v *kernels.View) { v.Halo = -1 }, []string{"empty", "-1"}},
		{"a huge halo", func(v *kernels.View) { v.Halo = math.MaxInt }, []string{"overlaps"}},
		{"very many images", func(v *kernels.View) { v.N = math.MaxInt / 2 }, []string{"spans"}},
		{"very high images", func(v *kernels.View) { v.N, v.H = 1, math.MaxInt }, []string{"spans"}},
		{"very wide images", func(v *kernels.View) { v.W = math.MaxInt }, []string{"overlaps"}},
		{"very many channels", func(v *kernels.View) { v.C = math.MaxInt }, []string{"overlaps"}},
		{"rows very far apart", func(v *kernels.View) { v.N, v.Row = 1, 1<<62 }, []string{"spans"}},
		{"images very far apart", func(v *kernels.View) { v.Batch = math.MaxInt }, []string{"spans"}},
		{"everything very far apart", func(v *kernels.View) { v.Batch, v.Row, v.Pixel = math.MaxInt, math.MaxInt, math.MaxInt }, []string{"spans"}},
		{"negative strides", func(v *kernels.View) { v.Batch, v.Row, v.Pixel = -v.Batch, -v.Row, -v.Pixel }, []string{"overlaps"}},
		{"a negative offset", func(v *kernels.View) { v.Offset = -1 }, []string{"spans"}},
		{"a huge offset", func(v *kernels.View) { v.Offset = math.MaxInt }, []string{"spans"}},
		{"no room for the halo between rows", func(v *kernels.View) { v.Row = v.W * v.Pixel }, []string{"overlaps"}},
		{"no room for the halo between images", func(v *kernels.View) { v.Batch = v.H * v.Row }, []string{"overlaps"}},
		{"one halo between rows", func(v *kernels.View) { v.Row = (v.W + 1) * v.Pixel }, nil},
		{"no last row of the halo", func(v *kernels.View) { v.Memory = v.Memory[:len(v.Memory)-4*v.Row] }, []string{"spans"}},
		{"no memory", func(v *kernels.View) { v.Memory = nil }, []string{"spans"}},
		{"memory that is not aligned", func(v *kernels.View) { v.Memory = v.Memory[1 : len(v.Memory)-3 : len(v.Memory)-3] }, []string{"aligned"}},
		{"no element", func(v *kernels.View) { v.Element = 99 }, []string{"Element(99)"}},
		{"float32 with a zero point", func(v *kernels.View) { v.Zero = 3 }, []string{"f32", "zero 3"}},
	} {
		v := good
		c.change(&v)
		_, err := kernels.BindHalo(v)
		checkError(t, c.what, err, c.parts)
		set, setErr := kernels.For(kernels.Scalar)
		if setErr != nil {
			t.Fatal(setErr)
		}
		_, err = kernels.BindReLU(set, v, v, 1)
		checkError(t, c.what, err, c.parts)
	}
}

// TestPartialViewErrors: what a window of rows reads beyond its own rows must be there as well.
func TestPartialViewErrors(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		s := kernels.ConvShape{In: 3, Out: 4, KH: 3, KW: 3, Stride: 1, Pad: 1, Groups: 1}
		for _, algo := range kernels.Algorithms() {
			op, err := pack(set, algo, s, 8, 8, make([]float32, s.Weights()), nil, false)
			if err != nil {
				t.Fatal(err)
			}
			dst, src := kernels.NewView(kernels.Type{}, 1, 8, 8, 4, 0), kernels.NewView(kernels.Type{}, 1, 8, 8, 3, 1)
			bind := func(dst, src kernels.View) error {
				_, err := op.Bind(dst, src, 1)
				return err
			}
			checkError(t, algo+", all rows", bind(dst.Rows(0, 8), src.Rows(0, 8)), nil)
			below := src
			below.Memory = src.Memory[:len(src.Memory)-4*src.Row] // no last row of the halo
			checkError(t, algo+", no halo below", bind(dst, below), []string{"source", "spans"})
			checkError(t, algo+", no halo below a window", bind(dst, below.Rows(0, 8)), []string{"source", "spans"})
			checkError(t, algo+", a window that ends before", bind(dst.Rows(0, 7), below.Rows(0, 7)), nil)
			above := src
			above.Memory, above.Offset = src.Memory[4*src.Row:], src.Offset-src.Row
			checkError(t, algo+", no halo above", bind(dst, above), []string{"source", "spans"})
			checkError(t, algo+", no halo above a window", bind(dst, above.Rows(0, 8)), []string{"source", "spans"})
			checkError(t, algo+", a window that begins behind", bind(dst.Rows(1, 7), above.Rows(1, 7)), nil)
		}
	})
}

// FuzzView compares the check of views with counting: all elements and halo pixels must be
// in the memory, and an element must not be another element or in the halo.
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
		// Strides that let pixels interleave are refused, although none may meet another.
		ordered := v.Pixel >= v.C && v.Row >= (v.W+v.Halo)*v.Pixel && (v.N == 1 || v.Batch >= (v.H+v.Halo)*v.Row)
		if err != nil && !outside && !overlaps && ordered {
			t.Errorf("%+v is refused: %v", v, err)
		}
	})
}

// TestTypes: views of every element have halos that hold the zero point, and no
// other type's numbers.
func TestTypes(t *testing.T) {
	testType(t, kernels.Type{Element: kernels.Float32}, float32(0))
	testType(t, kernels.Type{Element: kernels.Uint8, Scale: 0.5, Zero: 200}, uint8(200))
	testType(t, kernels.Type{Element: kernels.Int8, Scale: 0.5, Zero: -100}, int8(-100))
	testType(t, kernels.Type{Element: kernels.Int32, Scale: 0.5, Zero: -1 << 31}, int32(-1<<31))
	testType(t, kernels.Type{Element: kernels.Int32}, int32(0))
}

func testType[T kernels.Number](t *testing.T, typ kernels.Type, zero T) {
	v := kernels.NewView(typ, 2, 3, 4, 5, 2)
	if v.Type != typ || len(v.Memory) != 2*7*8*5*int(unsafe.Sizeof(zero)) || typ.Element.Size() != int(unsafe.Sizeof(zero)) {
		t.Errorf("a view of %v has type %v and %d bytes", typ, v.Type, len(v.Memory))
	}
	data := kernels.Data[T](v)
	for i := range data {
		data[i] = 77
	}
	v = v.Channels(1, 3)
	task, err := kernels.BindHalo(v)
	if err != nil {
		t.Fatal(err)
	}
	run(task, 1)
	inside := map[int]T{}
	for n := range v.N {
		for y := -2; y < v.H+2; y++ {
			for x := -2; x < v.W+2; x++ {
				want := T(77)
				if y < 0 || y >= v.H || x < 0 || x >= v.W {
					want = zero
				}
				for c := range v.C {
					inside[v.Index(n, y, x, c)] = want
				}
			}
		}
	}
	for i, got := range data {
		want, ok := inside[i]
		if !ok {
			want = 77
		}
		if got != want {
			t.Fatalf("%v: element %d is %v, want %v", typ, i, got, want)
		}
	}
	if task, err = kernels.BindZero(v.Rows(1, 2)); err != nil {
		t.Fatal(err)
	}
	run(task, 1)
	if a, b := kernels.At[T](v, 1, 1, 3, 2), kernels.At[T](v, 1, 0, 3, 2); a != zero || b != 77 {
		t.Errorf("%v: BindZero of the rows from 1 on leaves %v there and %v in row 0", typ, a, b)
	}
	defer func() {
		if r := fmt.Sprint(recover()); !strings.Contains(r, "a view of "+typ.Element.String()) {
			t.Errorf("%v read as another type: panic %q", typ, r)
		}
	}()
	if typ.Element == kernels.Float32 {
		kernels.Data[int32](v)
	} else {
		kernels.Data[float32](v)
	}
}

func TestTypeErrors(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		typ   kernels.Type
		parts []string
	}{
		{kernels.Type{Element: kernels.Uint8, Scale: 0.25, Zero: 255}, nil},
		{kernels.Type{Element: kernels.Int8, Scale: 0.25, Zero: -128}, nil},
		{kernels.Type{Element: kernels.Uint8, Scale: 0.25, Zero: 256}, []string{"256", "0 to 255", "u8"}},
		{kernels.Type{Element: kernels.Uint8, Scale: 0.25, Zero: -1}, []string{"-1", "0 to 255"}},
		{kernels.Type{Element: kernels.Int8, Scale: 0.25, Zero: 128}, []string{"128", "-128 to 127", "s8"}},
		{kernels.Type{Element: kernels.Uint8, Zero: 3}, []string{"scale is 0"}},
		{kernels.Type{Element: kernels.Uint8, Scale: -1}, []string{"scale is -1"}},
		{kernels.Type{Element: kernels.Uint8, Scale: nan}, []string{"scale is NaN"}},
		{kernels.Type{Element: kernels.Uint8, Scale: inf}, []string{"scale is +Inf"}},
		{kernels.Type{Element: kernels.Float32, Scale: 1}, []string{"f32"}},
		{kernels.Type{Element: 4}, []string{"Element(4)"}},
	} {
		checkError(t, fmt.Sprint(c.typ), c.typ.Check(), c.parts)
	}
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	// No operation takes bytes for float32.
	bytes := kernels.NewView(kernels.Type{Element: kernels.Uint8, Scale: 1}, 1, 6, 6, 4, 1)
	floats := kernels.NewView(kernels.Type{}, 1, 6, 6, 4, 1)
	s := kernels.ConvShape{In: 4, Out: 4, KH: 3, KW: 3, Stride: 1, Pad: 1, Groups: 1}
	op, err := newDirect(set, s, make([]float32, s.Weights()), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	pool := kernels.PoolShape{KH: 1, KW: 1, Stride: 1}
	for _, v := range [][2]kernels.View{{bytes, floats}, {floats, bytes}} {
		for name, bind := range map[string]func(dst, src kernels.View) error{
			"convolution": func(dst, src kernels.View) error { _, err := op.Bind(dst, src, 1); return err },
			"maximum":     func(dst, src kernels.View) error { _, err := kernels.BindMaxPool(set, pool, dst, src, 1); return err },
			"average":     func(dst, src kernels.View) error { _, err := kernels.BindAvgPool(set, pool, dst, src, 1); return err },
			"LRN":         func(dst, src kernels.View) error { _, err := kernels.BindLRN(set, alexLRN(5), dst, src, 1); return err },
			"add":         func(dst, src kernels.View) error { _, err := kernels.BindAdd(set, dst, src, src, true, 1); return err },
			"ReLU":        func(dst, src kernels.View) error { _, err := kernels.BindReLU(set, dst, src, 1); return err },
			"copy":        func(dst, src kernels.View) error { _, err := kernels.BindCopy(dst, src, 1); return err },
			"softmax":     func(dst, src kernels.View) error { _, err := kernels.BindSoftmax(dst, src); return err },
		} {
			checkError(t, name, bind(v[0], v[1]), []string{"u8", "f32"})
		}
	}
}
