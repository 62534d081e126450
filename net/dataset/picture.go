package dataset

import (
	"bytes"
	"fmt"
	"image"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"firebench/net/files"
	"firebench/net/preprocess"
)

// A picture of a data set.
type picture struct {
	path   string // within the data set
	record int32  // in a file of records, the first being 1, 0 for any other
	label  int32

	mu      sync.Mutex
	content content
	err     error  // it cannot be read
	named   bool   // a batch has said so
	kept    pixels // none if it is not in memory
}

// A content is where a picture's bytes are: data, or a part of file, or the file at the picture's path. If there is an err,
// that is why they are none of these.
type content struct {
	data         []byte
	file         *os.File
	offset, size int64
	err          error
}

// pixels are a resized picture, or that part of it that may get into the network.
type pixels struct {
	width, height int32
	left, top     int32  // of the square in the centre of the resized picture
	grey          uint8  // the average
	bytes         []byte // for each pixel one for each channel, in the order of the network's
}

// A channelOrder is which colour each channel holds.
type channelOrder [3]int

func orderOf(p *preprocess.Preprocessor) (order channelOrder) {
	for c := range order {
		order[c], _ = p.Channel(c)
	}
	return order
}

// A budget is memory that is taken and given back.
type budget struct {
	limit int64
	used  atomic.Int64
}

// reserve takes n bytes if they are there, and gives them back if n is negative.
func (b *budget) reserve(n int64) bool {
	if b.used.Add(n) <= b.limit || n <= 0 {
		return true
	}
	b.used.Add(-n)
	return false
}

// indexSize is what a picture takes beside its path, pixels and content.
const indexSize = 256

// reserveIndex takes the memory of a picture or folder that has been found.
func (d *Dataset) reserveIndex(path string) error {
	if !d.budget.reserve(indexSize + int64(len(path))) {
		return fmt.Errorf("%s: the names of its pictures alone take more than %d MB, which is what pictures may take", d.path, d.budget.limit>>20)
	}
	return nil
}

// reserveContent takes the memory of a picture in a compressed archive.
func (d *Dataset) reserveContent(size int64) error {
	if !d.budget.reserve(size) {
		return fmt.Errorf("%s: its pictures take more than %d MB, which is what pictures may take: allow more, or unpack the archive", d.path, d.budget.limit>>20)
	}
	return nil
}

// pixels returns the pixels of p, from memory if they are there. The error names the picture. Pixels that memory has no place
// for are written to scratch, which is made larger when it has to.
func (d *Dataset) pixels(p *picture, scratch *[]byte) (pixels, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept.bytes != nil {
		return p.kept, nil
	}
	if p.err != nil {
		return pixels{}, p.err
	}
	var px pixels
	err := d.decode(p, func(part *image.RGBA, centre image.Rectangle) {
		size := 3 * part.Rect.Dx() * part.Rect.Dy()
		if kept := d.budget.reserve(int64(size - len(p.content.data))); kept {
			px = d.pack(part, centre, make([]byte, size))
			p.kept = px
		} else {
			if cap(*scratch) < size {
				*scratch = make([]byte, size)
			}
			px = d.pack(part, centre, (*scratch)[:size])
		}
	})
	if err != nil {
		p.err = files.Error(d.name(p), err)
		d.unreadable.Add(1)
		d.budget.reserve(-int64(len(p.content.data)))
		p.content = content{}
		return pixels{}, p.err
	}
	if p.kept.bytes != nil {
		p.content = content{}
	}
	return px, nil
}

// decode calls use with the resized picture.
func (d *Dataset) decode(p *picture, use func(part *image.RGBA, centre image.Rectangle)) error {
	var r io.ReadSeeker
	switch c := p.content; {
	case c.err != nil:
		return c.err
	case c.data != nil:
		r = bytes.NewReader(c.data)
	case c.file != nil:
		r = io.NewSectionReader(c.file, c.offset, c.size)
	default:
		file, err := files.Open(d.in(p.path), MaxPicture)
		if err != nil {
			return err
		}
		defer file.Close()
		r = file
	}
	if p.record == 0 {
		return d.preprocessor.ReadResized(r, use)
	}
	var record [recordSize]byte
	if _, err := io.ReadFull(r, record[:]); err != nil {
		return unexpectedEOF(err)
	}
	use(d.preprocessor.Resize(decodeRecord(record[:])))
	return nil
}

// pack writes the channels of a resized picture, of which centre is the square in the middle, to dst.
func (d *Dataset) pack(part *image.RGBA, centre image.Rectangle, dst []byte) pixels {
	w, h := part.Rect.Dx(), part.Rect.Dy()
	px := pixels{
		width: int32(w), height: int32(h),
		left: int32(centre.Min.X - part.Rect.Min.X), top: int32(centre.Min.Y - part.Rect.Min.Y),
		bytes: dst,
	}
	weights, sum := d.order.greyWeights(), int64(0)
	for y := range h {
		row, out := part.Pix[y*part.Stride:][:4*w], dst[3*y*w:][:3*w]
		for x := range w {
			rgba, channels := (*[4]byte)(row[4*x:]), (*[3]byte)(out[3*x:])
			for c, colour := range d.order {
				channels[c] = rgba[colour&3]
				sum += int64(weights[c] * int(channels[c]))
			}
		}
	}
	px.grey = uint8(sum >> 16 / int64(w*h))
	return px
}

// greyWeights returns how much of the grey of a pixel each channel is, in 1/65536, as ITU-R BT.601 has it.
func (o channelOrder) greyWeights() (weights [3]int) {
	for c, colour := range o {
		weights[c] = [...]int{19595, 38470, 7471}[colour]
	}
	return weights
}
