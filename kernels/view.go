package kernels

import (
	"fmt"
	"unsafe"
)

// A View is a strided window onto NHWC memory: element (n, y, x, c) of its N
// images of H×W pixels with C channels is
//
//	Data[T](v)[Offset + n·Batch + y·Row + x·Pixel + c]
//
// with T the Go type of its element. Strides and Offset count elements. Around each image lie
// Halo pixels that are addressable with y or x below 0 or past H-1, W-1.
type View struct {
	Type
	Memory            []byte
	Offset            int
	N, H, W, C        int
	Batch, Row, Pixel int
	Halo              int

	partial bool // some rows of an image: the halo belongs to the rows around, of which some may be missing
}

// ViewSize returns how many elements ViewOf needs.
func ViewSize(n, h, w, c, halo int) int { return n * (h + 2*halo) * (w + 2*halo) * c }

// ViewOf lays n images of h×w pixels with c channels of type t out over memory, each inside
// its own halo. It panics when memory is shorter than ViewSize elements.
func ViewOf(t Type, memory []byte, n, h, w, c, halo int) View {
	row := (w + 2*halo) * c
	return View{
		Type:   t,
		Memory: memory[:ViewSize(n, h, w, c, halo)*t.Element.Size()],
		Offset: halo*row + halo*c,
		N:      n, H: h, W: w, C: c,
		Batch: (h + 2*halo) * row, Row: row, Pixel: c,
		Halo: halo,
	}
}

// NewView is ViewOf over fresh zeroed memory.
func NewView(t Type, n, h, w, c, halo int) View {
	return ViewOf(t, Alloc[byte](ViewSize(n, h, w, c, halo)*t.Element.Size()), n, h, w, c, halo)
}

// Data returns v's memory as elements. It panics when T is not the type of v's element.
func Data[T Number](v View) []T {
	if e := elementOf[T](); e != v.Element {
		panic(fmt.Sprintf("kernels: a view of %v read as %v", v.Element, e))
	}
	return cast[T](v.Memory)
}

// At returns one element of v; y and x may lie in the halo.
func At[T Number](v View, n, y, x, c int) T { return Data[T](v)[v.Index(n, y, x, c)] }

// Pixel returns the C channels of one pixel, sharing memory.
func Pixel[T Number](v View, n, y, x int) []T {
	i := v.Index(n, y, x, 0)
	return Data[T](v)[i : i+v.C : i+v.C]
}

// Channels returns the view of c channels from c0 on; the pixels stay where
// they are. A convolution that writes into it is a concatenation in place.
func (v View) Channels(c0, c int) View {
	if c0 < 0 || c < 0 || c > v.C-c0 {
		panic(fmt.Sprintf("kernels: %d channels from %d on of a view with %d", c, c0, v.C))
	}
	v.Offset += c0
	v.C = c
	return v
}

// Rows returns the view of h rows from y0 on. Reading it may go beyond, into the rows around it
// or the halo; a task that writes it leaves the halo alone, and may have a source that would
// give more rows.
func (v View) Rows(y0, h int) View {
	if y0 < 0 || h < 1 || h > v.H-y0 {
		panic(fmt.Sprintf("kernels: %d rows from %d on of a view with %d", h, y0, v.H))
	}
	v.Offset += y0 * v.Row
	v.H = h
	v.partial = true
	return v
}

// Image returns the view of image n alone.
func (v View) Image(n int) View {
	if n < 0 || n >= v.N {
		panic(fmt.Sprintf("kernels: image %d of a view with %d", n, v.N))
	}
	v.Offset += n * v.Batch
	v.N = 1
	return v
}

// fits reports whether h rows of output are what the view is for: just as many,
// or at least as many, if it is a part of an image.
func (v View) fits(h int) bool { return v.H == h || v.partial && v.H < h }

// Index returns the index of an element; y and x may lie in the halo.
func (v View) Index(n, y, x, c int) int {
	return v.Offset + n*v.Batch + y*v.Row + x*v.Pixel + c
}

// Overlays reports whether the first elements of v and w are the same.
func (v View) Overlays(w View) bool {
	return &v.Memory[v.Offset*v.Element.Size()] == &w.Memory[w.Offset*w.Element.Size()]
}

// String describes the shape for error messages.
func (v View) String() string { return fmt.Sprintf("%d×%d×%d×%d", v.N, v.H, v.W, v.C) }

// flat reports whether the pixels of all images form one run of Pixel stride.
func (v View) flat() bool {
	return v.Row == v.W*v.Pixel && (v.N == 1 || v.Batch == v.H*v.Row)
}

// fillHalo fills the halo with zeros, for quantized values with the zero point. Whoever
// writes a value does that on each run, because arenas reuse memory.
func (v View) fillHalo() {
	if v.Halo == 0 || v.partial {
		return
	}
	for n := range v.N {
		for y := -v.Halo; y < v.H+v.Halo; y++ {
			if y < 0 || y >= v.H {
				v.fill(n, y, -v.Halo, v.W+v.Halo)
			} else {
				v.fill(n, y, -v.Halo, 0)
				v.fill(n, y, v.W, v.W+v.Halo)
			}
		}
	}
}

// fillZero fills all pixels but those of the halo in the same way.
func (v View) fillZero() {
	for n := range v.N {
		for y := range v.H {
			v.fill(n, y, 0, v.W)
		}
	}
}

// fill fills the pixels x0 <= x < x1 of a row with zeros or the zero point.
func (v View) fill(n, y, x0, x1 int) {
	switch v.Element {
	case Float32:
		fill(v, n, y, x0, x1, float32(0))
	case Uint8:
		fill(v, n, y, x0, x1, uint8(v.Zero))
	case Int8:
		fill(v, n, y, x0, x1, int8(v.Zero))
	case Int32:
		fill(v, n, y, x0, x1, v.Zero)
	}
}

func fill[T Number](v View, n, y, x0, x1 int, zero T) {
	data := Data[T](v)
	pixels, run := x1-x0, v.C
	if v.Pixel == v.C {
		pixels, run = 1, pixels*run
	}
	for x := range pixels {
		px := data[v.Index(n, y, x0+x, 0):][:run]
		if zero == 0 {
			clear(px)
			continue
		}
		for i := range px {
			px[i] = zero
		}
	}
}

// check proves that every element and halo pixel lies inside the memory, and that none of
// them is two: strides keep pixels apart from each other and from the halo.
func (v View) check(name string) error {
	if err := v.Type.Check(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if v.N < 1 || v.H < 1 || v.W < 1 || v.C < 1 || v.Halo < 0 {
		return fmt.Errorf("%s: empty view %v with a halo of %d", name, v, v.Halo)
	}
	if uintptr(unsafe.Pointer(unsafe.SliceData(v.Memory)))%uintptr(v.Element.Size()) != 0 {
		return fmt.Errorf("%s: view %v of %v is not aligned", name, v, v.Element)
	}
	above := v.Halo
	if v.partial {
		above = 0
	}
	if v.Pixel < v.C || v.Row < v.span(v.W, v.Halo, v.Pixel) || v.N > 1 && v.Batch < v.span(v.H, above, v.Row) {
		return fmt.Errorf("%s: view %v with a halo of %d overlaps itself: strides %d, %d, %d", name, v, v.Halo, v.Batch, v.Row, v.Pixel)
	}
	return v.checkRows(name, -above, v.H+above)
}

// checkRows proves that rows first to last-1 of all images, with the halo to their left and
// right, lie inside the memory of a view that is well formed but for that.
func (v View) checkRows(name string, first, last int) error {
	size := len(v.Memory) / v.Element.Size()
	before := v.span(max(-first, 0), 0, v.Row) + v.span(v.Halo, 0, v.Pixel)
	behind := v.span(v.N-1, 0, v.Batch) + v.span(max(last-1, 0), 0, v.Row) + v.span(v.W-1, v.Halo, v.Pixel)
	if v.Offset < before || v.Offset > size || v.C > size-v.Offset-behind {
		return fmt.Errorf("%s: view %v with rows %d to %d and a halo of %d spans elements %d to %d of %d",
			name, v, first, last-1, v.Halo, v.Offset-before, v.Offset+behind+v.C-1, size)
	}
	return nil
}

// span returns (a+b)·stride, or a number beyond any memory where that is more than an eighth
// of what an int holds: sums of a few spans do not overflow.
func (v View) span(a, b, stride int) int {
	const most = int(^uint(0)>>1) / 8
	if a > most || b > most || stride > most || a+b > 0 && stride > most/(a+b) {
		return most
	}
	return (a + b) * stride
}
