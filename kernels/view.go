package kernels

import (
	"fmt"
	"math"
	"unsafe"
)

// A View is a value in memory: N images of H×W pixels with C channels. Element (n, y, x, c) is
//
//	Data[T](v)[Offset + n·Batch + y·Row + x·Pixel + c]
//
// where T is the Go type of the view's element. Offset and the strides Batch, Row and Pixel count
// elements. Each image is surrounded by Halo pixels on all four sides, which have a y or an x
// that is negative or at least H or W. The halo of a source holds zeros, or the zero point of
// quantized values.
type View struct {
	Type
	Memory            []byte
	Offset            int
	N, H, W, C        int
	Batch, Row, Pixel int
	Halo              int

	// partial says that the view is some rows of larger images. The halo above and below them
	// is then that of the larger images, or other rows of theirs, and some of it may be missing.
	partial bool
}

// ViewSize returns how many elements ViewOf needs for n images of h×w pixels with c channels and
// a halo of halo pixels.
func ViewSize(n, h, w, c, halo int) int { return n * (h + 2*halo) * (w + 2*halo) * c }

// ViewOf returns the view of n images of h×w pixels with c channels of type t, laid out over memory
// without gaps, each with a halo of halo pixels of its own. It panics if memory is shorter than
// ViewSize elements.
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

// NewView returns what ViewOf returns for new memory, which is all zeros.
func NewView(t Type, n, h, w, c, halo int) View {
	return ViewOf(t, Alloc[byte](ViewSize(n, h, w, c, halo)*t.Element.Size()), n, h, w, c, halo)
}

// Data returns v's memory as elements; both share memory. It panics if T is not the Go type of v's
// element.
func Data[T Number](v View) []T {
	if e := elementOf[T](); e != v.Element {
		panic(fmt.Sprintf("kernels: a view of %v read as %v", v.Element, e))
	}
	return cast[T](v.Memory)
}

// At returns one element of v; y and x may lie in the halo.
func At[T Number](v View, n, y, x, c int) T { return Data[T](v)[v.Index(n, y, x, c)] }

// Pixel returns the C channels of one pixel of v, sharing memory; y and x may lie in the halo.
func Pixel[T Number](v View, n, y, x int) []T {
	i := v.Index(n, y, x, 0)
	return Data[T](v)[i : i+v.C : i+v.C]
}

// Channels returns the view of c channels from c0 on, of all pixels. Operations that write to
// different channels of one view concatenate their results in place.
func (v View) Channels(c0, c int) View {
	if c0 < 0 || c < 0 || c > v.C-c0 {
		panic(fmt.Sprintf("kernels: %d channels from %d on of a view with %d", c, c0, v.C))
	}
	v.Offset += c0
	v.C = c
	return v
}

// Rows returns the view of h rows from y0 on, of all images: a partial view, so that a value can be
// computed in parts. A task that reads a partial view also reads the rows above and below it that
// its windows reach. A task that writes one leaves the halo alone, and its source may have more
// rows than the destination needs.
func (v View) Rows(y0, h int) View {
	if y0 < 0 || h < 1 || h > v.H-y0 {
		panic(fmt.Sprintf("kernels: %d rows from %d on of a view with %d", h, y0, v.H))
	}
	v.Offset += y0 * v.Row
	v.H = h
	v.partial = true
	return v
}

// Crop returns the view without so many rows and columns on each side, of all images. What lies in the halo
// of the view that it returns is part of v.
func (v View) Crop(p Padding) View {
	if p.min() < 0 || p.Top+p.Bottom >= v.H || p.Left+p.Right >= v.W {
		panic(fmt.Sprintf("kernels: %v pixels cut off from a view of %d×%d", p, v.H, v.W))
	}
	v.Offset += p.Top*v.Row + p.Left*v.Pixel
	v.H -= p.Top + p.Bottom
	v.W -= p.Left + p.Right
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

// fits reports whether v can be the destination of an operation whose source gives h rows: v must
// have h rows, or, if it is partial, at most h.
func (v View) fits(h int) bool { return v.H == h || v.partial && v.H < h }

// Index returns the index of an element; y and x may lie in the halo.
func (v View) Index(n, y, x, c int) int {
	return v.Offset + n*v.Batch + y*v.Row + x*v.Pixel + c
}

// SameStart reports whether v and w begin at the same element in memory: a value that was
// written in place needs no copy.
func (v View) SameStart(w View) bool {
	// By address, not by indexing: a view that nobody has checked yet may lie outside its memory.
	start := func(v View) uintptr {
		return uintptr(unsafe.Pointer(unsafe.SliceData(v.Memory))) + uintptr(v.Offset*v.Element.Size())
	}
	return start(v) == start(w)
}

// String returns the shape, as N×H×W×C.
func (v View) String() string { return fmt.Sprintf("%d×%d×%d×%d", v.N, v.H, v.W, v.C) }

// flat reports whether all pixels of all images follow each other, Pixel elements apart.
func (v View) flat() bool {
	return v.Row == v.W*v.Pixel && (v.N == 1 || v.Batch == v.H*v.Row)
}

// check returns an error unless all elements, those of the halo included, lie inside the memory,
// and no element is also another element or part of the halo: the strides must keep pixels apart
// from each other and from the halo. name is what the error calls the view.
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
	if v.Pixel < v.C || v.Row < span(v.W, v.Halo, v.Pixel) || v.N > 1 && v.Batch < span(v.H, above, v.Row) {
		return fmt.Errorf("%s: view %v with a halo of %d overlaps itself: strides %d, %d, %d", name, v, v.Halo, v.Batch, v.Row, v.Pixel)
	}
	return v.checkRows(name, -above, v.H+above)
}

// checkRows returns an error unless the rows first to last-1 of all images, with the halo to their
// left and right, lie inside the memory. Everything else that check checks must hold already.
func (v View) checkRows(name string, first, last int) error {
	size := len(v.Memory) / v.Element.Size()
	before := span(max(-first, 0), 0, v.Row) + span(v.Halo, 0, v.Pixel)
	behind := span(v.N-1, 0, v.Batch) + span(max(last-1, 0), 0, v.Row) + span(v.W-1, v.Halo, v.Pixel)
	if v.Offset < before || v.Offset > size || v.C > size-v.Offset-behind {
		return fmt.Errorf("%s: view %v with rows %d to %d and a halo of %d spans elements %d to %d of %d",
			name, v, first, last-1, v.Halo, v.Offset-before, v.Offset+behind+v.C-1, size)
	}
	return nil
}

// span returns (a+b)·stride, or an eighth of the largest int if that is less: it is more than any
// memory has, and the sum of a few spans does not overflow.
func span(a, b, stride int) int {
	const most = math.MaxInt / 8
	if a > most || b > most || stride > most || a+b > 0 && stride > most/(a+b) {
		return most
	}
	return (a + b) * stride
}

// checkViews checks the views of an operation: each must pass check, and all must hold the same
// number of images.
func checkViews(dst View, srcs ...View) error {
	if err := dst.check("destination"); err != nil {
		return err
	}
	for _, src := range srcs {
		if err := src.check("source"); err != nil {
			return err
		}
		if src.N != dst.N {
			return fmt.Errorf("source %v and destination %v hold different numbers of images", src, dst)
		}
	}
	return nil
}

// checkFloats is checkViews for operations on float32.
func checkFloats(dst View, srcs ...View) error {
	if err := checkViews(dst, srcs...); err != nil {
		return err
	}
	for _, v := range append(srcs, dst) {
		if v.Element != Float32 {
			return fmt.Errorf("a view of %v, expected %v", v.Element, Float32)
		}
	}
	return nil
}

// checkSame is checkFloats for operations that keep the shape.
func checkSame(dst View, srcs ...View) error {
	if err := checkFloats(dst, srcs...); err != nil {
		return err
	}
	return checkShapes(dst, srcs...)
}

// checkElements is checkViews for operations that there are for float32 and for quantized values:
// the views must all be of the one or all of the other.
func checkElements(dst View, srcs ...View) error {
	if err := checkViews(dst, srcs...); err != nil {
		return err
	}
	for _, v := range append(srcs, dst) {
		if v.Element != Float32 && !v.quantized() {
			return fmt.Errorf("a view of %v, expected %v or quantized %v", v.Type, Float32, Uint8)
		}
	}
	for _, src := range srcs {
		if src.Element != dst.Element {
			return fmt.Errorf("source of %v and destination of %v", src.Type, dst.Type)
		}
	}
	return nil
}

// checkTypes checks that all views have the same type.
func checkTypes(dst View, srcs ...View) error {
	for _, src := range srcs {
		if src.Type != dst.Type {
			return fmt.Errorf("source of %v and destination of %v", src.Type, dst.Type)
		}
	}
	return nil
}

// checkShapes checks that all views have the same shape.
func checkShapes(dst View, srcs ...View) error {
	for _, src := range srcs {
		if src.H != dst.H || src.W != dst.W || src.C != dst.C {
			return fmt.Errorf("source %v and destination %v differ in shape", src, dst)
		}
	}
	return nil
}
