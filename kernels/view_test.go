package kernels_test

import (
	"math"
	"testing"

	"firebench/kernels"
)

// TestViewParts: Rows, Image and Channels return views of the elements that they should, and
// panic if there are no such elements.
func TestViewParts(t *testing.T) {
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

// TestViewErrors: operations refuse a view that reaches beyond its memory or overlaps itself,
// also if its sizes or strides are so large that sums of them overflow.
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
		{"rows very far apart", func(v *kernels.View) { v.N, v.Row = 1, math.MaxInt/2+1 }, []string{"spans"}},
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
