package kernels

import "firebench/kernels/workers"

// BindHalo prepares filling v's halo with zeros, or with the zero point of quantized values.
// Only a value whose rows are computed in parts needs this task: a task that writes whole
// images fills the halo itself.
func BindHalo(v View) (workers.Task, error) {
	if err := v.check("halo"); err != nil {
		return nil, err
	}
	return serial(v.fillHalo), nil
}

// BindZero prepares filling all pixels of v, but not its halo, with zeros, or with the zero
// point of quantized values.
func BindZero(v View) (workers.Task, error) {
	if err := v.check("zero"); err != nil {
		return nil, err
	}
	return serial(v.fillZero), nil
}

// A serial is a task of one chunk.
type serial func()

func (serial) Chunks() int      { return 1 }
func (f serial) Chunk(_, _ int) { f() }

// fillHalo does what BindHalo describes. A partial view is left alone, because its halo
// belongs to the whole image.
func (v View) fillHalo() {
	if v.Halo > 0 && !v.partial {
		v.fill(true)
	}
}

// fillZero does what BindZero describes.
func (v View) fillZero() { v.fill(false) }

// fill fills either the halo or all other pixels with zeros or the zero point.
func (v View) fill(halo bool) {
	switch v.Element {
	case Float32:
		fill(v, halo, float32(0))
	case Uint8:
		fill(v, halo, uint8(v.Zero))
	case Int8:
		fill(v, halo, int8(v.Zero))
	case Int32:
		fill(v, halo, v.Zero)
	}
}

func fill[T Number](v View, halo bool, zero T) {
	data := Data[T](v)
	// row fills the pixels x0 <= x < x1 of a row.
	row := func(n, y, x0, x1 int) {
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
	for n := range v.N {
		if !halo {
			for y := range v.H {
				row(n, y, 0, v.W)
			}
			continue
		}
		for y := -v.Halo; y < v.H+v.Halo; y++ {
			if y < 0 || y >= v.H {
				row(n, y, -v.Halo, v.W+v.Halo)
			} else {
				row(n, y, -v.Halo, 0)
				row(n, y, v.W, v.W+v.Halo)
			}
		}
	}
}
