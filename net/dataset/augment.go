package dataset

import (
	"fmt"
	"math"

	"firebench/net/preprocess"
)

// An Augment is how pictures are changed at random, so that the network never sees the same one twice. The zero
// value changes nothing: the network sees the square in the centre of each, exactly as classify shows it.
type Augment struct {
	// Crop takes the square from a random place of the resized picture. Pad is how many pixels are
	// first added on each side; they are zeros as the network sees them, which is the average colour.
	Crop bool
	Pad  int

	// MinArea, if it is not 0, takes a random part of the resized picture instead, and resizes it to the square: at
	// least this share of the picture's area, at most all of it, and from 3/4 to 4/3 as wide as high.
	MinArea float64

	// Mirror exchanges left and right of every second picture.
	Mirror bool

	// Jitter changes the brightness, the contrast and the saturation, each by a factor from 1-Jitter to 1+Jitter.
	Jitter float64
}

// Check returns an error if a is not possible.
func (a Augment) Check() error {
	switch {
	case a.Pad < 0 || a.Pad > 256:
		return fmt.Errorf("dataset: %d pixels added on each side, expected 0 to 256", a.Pad)
	case a.Pad > 0 && !a.Crop:
		return fmt.Errorf("dataset: %d pixels added on each side without a random crop", a.Pad)
	case !(a.MinArea >= 0 && a.MinArea <= 1):
		return fmt.Errorf("dataset: at least %g of a picture's area, expected 0 to 1", a.MinArea)
	case a.MinArea > 0 && a.Crop:
		return fmt.Errorf("dataset: both a random crop and a random resized crop")
	case !(a.Jitter >= 0 && a.Jitter < 1):
		return fmt.Errorf("dataset: jitter %g, expected at least 0 and less than 1", a.Jitter)
	}
	return nil
}

// An augmenter makes the network's inputs of pictures. It belongs to one goroutine.
type augmenter struct {
	Augment
	side   int
	values [3]*[256]float32
	grey   [3]int // weights, see channelOrder
	jitter jitter // of the picture at hand
	row    []byte // of the square, before it becomes values

	// Of a random resized crop: for each column of the square, where in a row its two pixels are and the weight of the
	// second, and for each of two rows of the picture its columns.
	columns []column
	rows    [2][]uint16
}

// A column of the square lies between two columns of the picture.
type column struct{ low, high, weight int32 }

// one is the weight of a pixel that is all there is, and so is it in both directions together.
const one = 256

func newAugmenter(a Augment, p *preprocess.Preprocessor) *augmenter {
	side := p.Side()
	m := &augmenter{Augment: a, side: side, grey: orderOf(p).greyWeights()}
	for c := range m.values {
		_, m.values[c] = p.Channel(c)
	}
	m.row = make([]byte, 3*side)
	if a.MinArea > 0 {
		m.columns = make([]column, side)
		for i := range m.rows {
			m.rows[i] = make([]uint16, 3*side)
		}
	}
	return m
}

// apply writes a picture to dst, side×side pixels of three channels.
func (m *augmenter) apply(dst []float32, px pixels, r *random) {
	left, top, mirror := int(px.left), int(px.top), false
	if m.Mirror {
		mirror = r.below(2) == 1
	}
	if m.Jitter > 0 {
		m.jitter = newJitter(m.Jitter, int(px.grey), r)
	}
	if m.MinArea > 0 {
		m.resizedCrop(dst, px, mirror, r)
		return
	}
	if m.Crop {
		left = r.below(int(px.width)+2*m.Pad-m.side+1) - m.Pad
		top = r.below(int(px.height)+2*m.Pad-m.side+1) - m.Pad
	}
	m.crop(dst, px, left, top, mirror)
}

// crop writes the square at a place of a picture; beyond the picture it is zeros.
func (m *augmenter) crop(dst []float32, px pixels, left, top int, mirror bool) {
	w, h := int(px.width), int(px.height)
	before := min(max(0, -left), m.side) // columns left of the picture
	n := max(0, min(left+m.side, w)-max(left, 0))
	first := before
	if mirror {
		first = m.side - before - n
	}
	for y := range m.side {
		out := dst[3*m.side*y:][:3*m.side]
		if top+y < 0 || top+y >= h || n == 0 {
			clear(out)
			continue
		}
		clear(out[:3*first])
		clear(out[3*(first+n):])
		m.write(out[3*first:][:3*n], px.bytes[3*(w*(top+y)+left+before):][:3*n], mirror)
	}
}

// write writes the pixels of a row.
func (m *augmenter) write(dst []float32, src []byte, mirror bool) {
	if m.Jitter > 0 {
		m.jitter.apply(m.row[:len(src)], src, m.grey)
		src = m.row[:len(src)]
	}
	a, b, c := m.values[0], m.values[1], m.values[2]
	if !mirror {
		for len(src) >= 3 && len(dst) >= 3 {
			dst[0], dst[1], dst[2] = a[src[0]], b[src[1]], c[src[2]]
			dst, src = dst[3:], src[3:]
		}
		return
	}
	for len(src) >= 3 && len(dst) >= 3 {
		last := dst[len(dst)-3:]
		last[0], last[1], last[2] = a[src[0]], b[src[1]], c[src[2]]
		dst, src = dst[:len(dst)-3], src[3:]
	}
}

// resizedCrop writes a part of a picture, resized to the square.
func (m *augmenter) resizedCrop(dst []float32, px pixels, mirror bool, r *random) {
	left, top, w, h := m.part(float64(px.width), float64(px.height), r)
	for x := range m.columns {
		low, weight := between(x, m.side, left, w, int(px.width))
		c := column{low: 3 * int32(low), high: 3 * int32(min(low+1, int(px.width)-1)), weight: int32(weight)}
		if mirror {
			m.columns[m.side-1-x] = c
		} else {
			m.columns[x] = c
		}
	}
	have := [2]int{-1, -1} // which rows of the picture are in rows
	resized := m.row
	for y := range m.side {
		low, weight := between(y, m.side, top, h, int(px.height))
		if have[1] == low { // the row below becomes that above
			have[0], have[1] = have[1], have[0]
			m.rows[0], m.rows[1] = m.rows[1], m.rows[0]
		}
		for i, row := range [2]int{low, min(low+1, int(px.height)-1)} {
			if have[i] != row {
				m.resizeRow(m.rows[i], px.bytes[3*int(px.width)*row:][:3*int(px.width)])
				have[i] = row
			}
		}
		above, below, second := m.rows[0], m.rows[1], uint32(weight)
		below, resized := below[:len(above)], resized[:len(above)]
		for i, v := range above {
			resized[i] = uint8((uint32(v)*(one-second) + uint32(below[i])*second + one*one/2) / (one * one))
		}
		m.write(dst[3*m.side*y:][:3*m.side], resized, false)
	}
}

// resizeRow writes a row of a picture with the columns of the square.
func (m *augmenter) resizeRow(dst []uint16, src []byte) {
	for _, c := range m.columns {
		low, high, second := (*[3]byte)(src[c.low:]), (*[3]byte)(src[c.high:]), uint16(c.weight)
		px := (*[3]uint16)(dst)
		// At most 255·256.
		px[0] = uint16(low[0])*(one-second) + uint16(high[0])*second
		px[1] = uint16(low[1])*(one-second) + uint16(high[1])*second
		px[2] = uint16(low[2])*(one-second) + uint16(high[2])*second
		dst = dst[3:]
	}
}

// between returns the pixel before the centre of pixel i of n that are resized from length pixels from start on, of a picture
// with limit pixels, and the weight of the one after it.
func between(i, n int, start, length float64, limit int) (low, weight int) {
	at := start + float64((float64(i)+0.5)*length/float64(n)) - 0.5
	fixed := int(min(max(at, 0), float64(limit-1)) * one)
	return fixed / one, fixed % one
}

// part returns a random part of a picture of w×h pixels.
func (m *augmenter) part(w, h float64, r *random) (left, top, width, height float64) {
	for range 10 {
		area := float64(r.between(m.MinArea, 1) * w * h)
		ratio := r.between(3./4, 1)
		if r.below(2) == 1 {
			ratio = 1 / ratio
		}
		width, height = math.Sqrt(float64(area*ratio)), math.Sqrt(area/ratio)
		if width <= w && height <= h {
			return r.between(0, w-width), r.between(0, h-height), width, height
		}
	}
	// A long and narrow picture has no such part: its square in the centre.
	width = min(w, h)
	return (w - width) / 2, (h - width) / 2, width, width
}

// A jitter is a change of colours in numbers of 1/65536: a channel becomes itself times own, plus the pixel's grey times
// grey, plus offset.
type jitter struct{ own, grey, offset int }

// newJitter returns a random change of the colours of a picture whose average grey is known.
func newJitter(by float64, average int, r *random) jitter {
	brightness, contrast, saturation := r.between(1-by, 1+by), r.between(1-by, 1+by), r.between(1-by, 1+by)
	gain := float64(brightness * contrast)
	return jitter{
		own:    int(gain * saturation * 65536),
		grey:   int(float64(gain*(1-saturation)) * 65536),
		offset: int(float64(brightness*(1-contrast))*65536)*average + 65536/2,
	}
}

// apply writes the changed pixels of src to dst, which may be src; grey are the weights of the channels.
func (j *jitter) apply(dst, src []byte, grey [3]int) {
	for len(src) >= 3 && len(dst) >= 3 {
		a, b, c := int(src[0]), int(src[1]), int(src[2])
		shared := (grey[0]*a+grey[1]*b+grey[2]*c)>>16*j.grey + j.offset
		dst[0] = clamp((a*j.own + shared) >> 16)
		dst[1] = clamp((b*j.own + shared) >> 16)
		dst[2] = clamp((c*j.own + shared) >> 16)
		dst, src = dst[3:], src[3:]
	}
}

func clamp(v int) uint8 { return uint8(min(max(v, 0), 255)) }
