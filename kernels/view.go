package kernels

import "fmt"

// A View is a strided window onto NHWC memory: element (n, y, x, c) of its N
// images of H×W pixels with C channels is
//
//	Data[Offset + n·Batch + y·Row + x·Pixel + c]
//
// Strides and Offset count float32 values. Around each image lie Halo pixels that
// are addressable with y or x below 0 or past H-1, W-1.
type View struct {
	Data              []float32
	Offset            int
	N, H, W, C        int
	Batch, Row, Pixel int
	Halo              int

	window bool // of rows: the halo belongs to the rows around, of which some may be missing
}

// ViewSize returns how many float32 values ViewOf needs.
func ViewSize(n, h, w, c, halo int) int { return n * (h + 2*halo) * (w + 2*halo) * c }

// ViewOf lays n images of h×w pixels with c channels out over data, each inside
// its own halo. It panics when data is shorter than ViewSize.
func ViewOf(data []float32, n, h, w, c, halo int) View {
	row := (w + 2*halo) * c
	return View{
		Data:   data[:ViewSize(n, h, w, c, halo)],
		Offset: halo*row + halo*c,
		N:      n, H: h, W: w, C: c,
		Batch: (h + 2*halo) * row, Row: row, Pixel: c,
		Halo: halo,
	}
}

// NewView is ViewOf over fresh zeroed memory.
func NewView(n, h, w, c, halo int) View {
	return ViewOf(Alloc(ViewSize(n, h, w, c, halo)), n, h, w, c, halo)
}

// Channels returns the window of c channels from c0 on; the pixels stay where
// they are. A convolution that writes into it is a concatenation in place.
func (v View) Channels(c0, c int) View {
	if c0 < 0 || c < 0 || c0+c > v.C {
		panic(fmt.Sprintf("kernels: channels %d to %d of a view with %d", c0, c0+c, v.C))
	}
	v.Offset += c0
	v.C = c
	return v
}

// Rows returns the window of h rows from y0 on. Reading it may go beyond, into the
// rows around it or the halo; a task that writes it leaves the halo alone, and may
// have a source that would give more rows.
func (v View) Rows(y0, h int) View {
	if y0 < 0 || h < 1 || y0+h > v.H {
		panic(fmt.Sprintf("kernels: rows %d to %d of a view with %d", y0, y0+h, v.H))
	}
	v.Offset += y0 * v.Row
	v.H = h
	v.window = true
	return v
}

// Image returns the window of image n alone.
func (v View) Image(n int) View {
	if n < 0 || n >= v.N {
		panic(fmt.Sprintf("kernels: image %d of a view with %d", n, v.N))
	}
	v.Offset += n * v.Batch
	v.N = 1
	return v
}

// fits reports whether h rows of output are what the view is for: just as many,
// or at least, if it is a window.
func (v View) fits(h int) bool { return v.H == h || v.window && v.H < h }

// Index returns the index into Data of an element; y and x may lie in the halo.
func (v View) Index(n, y, x, c int) int {
	return v.Offset + n*v.Batch + y*v.Row + x*v.Pixel + c
}

// At returns one element.
func (v View) At(n, y, x, c int) float32 { return v.Data[v.Index(n, y, x, c)] }

// Pixels returns the C channels of one pixel, sharing memory.
func (v View) Pixels(n, y, x int) []float32 {
	i := v.Index(n, y, x, 0)
	return v.Data[i : i+v.C : i+v.C]
}

// String describes the shape for error messages.
func (v View) String() string { return fmt.Sprintf("%d×%d×%d×%d", v.N, v.H, v.W, v.C) }

// flat reports whether the pixels of all images form one run of Pixel stride.
func (v View) flat() bool {
	return v.Row == v.W*v.Pixel && (v.N == 1 || v.Batch == v.H*v.Row)
}

// zeroHalo clears the halo: it belongs to the producer, and arenas reuse memory.
func (v View) zeroHalo() {
	if v.Halo == 0 || v.window {
		return
	}
	for n := range v.N {
		for y := -v.Halo; y < v.H+v.Halo; y++ {
			if y < 0 || y >= v.H {
				v.clearRun(n, y, -v.Halo, v.W+v.Halo)
			} else {
				v.clearRun(n, y, -v.Halo, 0)
				v.clearRun(n, y, v.W, v.W+v.Halo)
			}
		}
	}
}

// clearRun zeroes the pixels x0 <= x < x1 of a row.
func (v View) clearRun(n, y, x0, x1 int) {
	if v.Pixel == v.C {
		clear(v.Data[v.Index(n, y, x0, 0):v.Index(n, y, x1, 0)])
		return
	}
	for x := x0; x < x1; x++ {
		clear(v.Pixels(n, y, x))
	}
}

// check reports whether every element and halo pixel lies inside Data.
func (v View) check(name string) error {
	if v.N < 1 || v.H < 1 || v.W < 1 || v.C < 1 || v.Halo < 0 {
		return fmt.Errorf("%s: empty view %v", name, v)
	}
	if v.Pixel < v.C || v.Row < v.W*v.Pixel || (v.N > 1 && v.Batch < v.H*v.Row) {
		return fmt.Errorf("%s: view %v overlaps itself: strides %d, %d, %d", name, v, v.Batch, v.Row, v.Pixel)
	}
	above := v.Halo
	if v.window {
		above = 0
	}
	first := v.Index(0, -above, -v.Halo, 0)
	last := v.Index(v.N-1, v.H-1+above, v.W-1+v.Halo, v.C-1)
	if first < 0 || last >= len(v.Data) {
		return fmt.Errorf("%s: view %v spans elements %d to %d of %d", name, v, first, last, len(v.Data))
	}
	return nil
}
