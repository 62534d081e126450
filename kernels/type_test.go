package kernels_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"unsafe"

	"firebench/kernels"
)

// TestTypes: views of every element are filled with their zero point, and cannot be read as
// numbers of another type.
func TestTypes(t *testing.T) {
	testType(t, kernels.Type{Element: kernels.Float32}, float32(0))
	testType(t, kernels.Type{Element: kernels.Uint8, Scale: 0.5, Zero: 200}, uint8(200))
	testType(t, kernels.Type{Element: kernels.Int8, Scale: 0.5, Zero: -100}, int8(-100))
	testType(t, kernels.Type{Element: kernels.Int32, Scale: 0.5, Zero: -1 << 31}, int32(-1<<31))
	testType(t, kernels.Type{Element: kernels.Int32}, int32(0))
}

// testType does what TestTypes describes for one type, whose zero point is zero.
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
	want := map[int]T{} // by index, of the view's channels
	for n := range v.N {
		for y := -2; y < v.H+2; y++ {
			for x := -2; x < v.W+2; x++ {
				w := T(77)
				if y < 0 || y >= v.H || x < 0 || x >= v.W {
					w = zero
				}
				for c := range v.C {
					want[v.Index(n, y, x, c)] = w
				}
			}
		}
	}
	for i, got := range data {
		w, ok := want[i]
		if !ok {
			w = 77
		}
		if got != w {
			t.Fatalf("%v: element %d is %v, want %v", typ, i, got, w)
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

// TestTypeErrors: Check returns an error for types that make no sense, and no operation takes
// views of other elements than its own.
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
	// No operation takes uint8 in the place of float32.
	bytes := kernels.NewView(kernels.Type{Element: kernels.Uint8, Scale: 1}, 1, 6, 6, 4, 1)
	floats := kernels.NewView(kernels.Type{}, 1, 6, 6, 4, 1)
	s := kernels.ConvShape{In: 4, Out: 4, KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1), Groups: 1}
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
			"softmax":     func(dst, src kernels.View) error { _, err := kernels.BindSoftmax(dst, src); return err },
		} {
			checkError(t, name, bind(v[0], v[1]), []string{"u8", "f32"})
		}
	}
}

// TestCopyTypes: values of every type are copied, and no type becomes another.
func TestCopyTypes(t *testing.T) {
	u8 := kernels.Type{Element: kernels.Uint8, Scale: 0.5, Zero: 9}
	src := kernels.NewView(u8, 2, 3, 4, 7, 1)
	for i := range src.Memory {
		src.Memory[i] = byte(i * 37)
	}
	for _, channels := range []int{5, 7} {
		dst := kernels.NewView(u8, 2, 3, 4, 7, 2)
		from, to := src.Channels(7-channels, channels), dst.Channels(0, channels)
		task, err := kernels.BindCopy(to, from, 2)
		if err != nil {
			t.Fatal(err)
		}
		run(task, 2)
		for n := range 2 {
			for y := -1; y < 3; y++ {
				for x := range 4 {
					for c := range channels {
						want := uint8(9) // in the halo
						if y >= 0 {
							want = kernels.At[uint8](from, n, y, x, c)
						}
						if got := kernels.At[uint8](to, n, y, x, c); got != want {
							t.Fatalf("%d channels: (%d, %d, %d, %d) is %d, want %d", channels, n, y, x, c, got, want)
						}
					}
				}
			}
		}
	}
	other := u8
	other.Scale = 2
	for _, typ := range []kernels.Type{other, {}} {
		_, err := kernels.BindCopy(kernels.NewView(typ, 2, 3, 4, 7, 0), src, 1)
		checkError(t, "copy", err, []string{"copy", "u8", typ.String()})
	}
}
