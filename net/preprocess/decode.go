package preprocess

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
)

// Limits on pictures. They are checked before a picture is decoded, for what its header
// promises may have nothing to do with the size of the file.
const (
	// MaxMemory is how many bytes decoding and resizing a picture may take: enough for 50
	// megapixels of a JPEG that is not progressive, or of a PNG with 8 bits a channel.
	MaxMemory = 512 << 20

	minSide = 8
	maxSide = 16384

	// maxBlocks bounds the time that a JPEG takes: over all its scans, it may have as many
	// blocks of 8×8 samples. A scan of blocks that do not change takes a few bytes, and a
	// file can have any number of them. 50 megapixels in 10 progressive scans are 20 million.
	maxBlocks = 32_000_000
)

// ErrFormat is the error for what is not a picture in a known format.
var ErrFormat = errors.New("not a JPEG, PNG or GIF image")

// Decode reads a picture, a JPEG, PNG or GIF, from the start of r. Of an animation it is the
// first frame. The result is upright, as the Exif data of a JPEG say, and opaque: what
// shows through a picture is white.
//
// A picture of less than 8 or more than 16384 pixels on a side, or one that takes more
// than [MaxMemory] or too much time, is an error. All goes by the header, which is read
// first, so r must not change meanwhile.
func Decode(r io.ReadSeeker) (*image.RGBA, error) {
	h, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	return h.decode(r)
}

// A header is what is known of a picture before it is decoded.
type header struct {
	format        *format
	width, height int
	memory        int64 // bytes that decoding, and then resizing, takes at most
	orientation   orientation
}

// A format is a kind of files. The package does not use those registered with package image,
// for anyone may register one that has no limits.
type format struct {
	name   string
	magic  string
	header func(io.Reader) (header, error) // its memory is decoding's
	decode func(io.Reader) (image.Image, error)
}

var formats = []*format{
	{"JPEG", "\xff\xd8", jpegHeader, jpeg.Decode},
	{"PNG", "\x89PNG\r\n\x1a\n", pngHeader, png.Decode},
	{"GIF", "GIF8", gifHeader, gif.Decode},
}

// readHeader reads the header of the picture in r and checks the limits.
func readHeader(r io.ReadSeeker) (header, error) {
	format, err := detect(r)
	if err != nil {
		return header{}, err
	}
	h, err := format.header(r)
	if err != nil {
		return header{}, format.error(err)
	}
	if err := checkSides(h.width, h.height); err != nil {
		return header{}, err
	}
	h.format = format
	upright := 4 * int64(h.width) * int64(h.height)
	h.memory = max(h.memory, upright+resizeMemory(h.width, h.height))
	if h.orientation != normal {
		h.memory = max(h.memory, 2*upright)
	}
	if h.memory > MaxMemory {
		return header{}, fmt.Errorf("image of %d×%d pixels, which takes %d MB to decode, expected at most %d",
			h.width, h.height, h.memory>>20, MaxMemory>>20)
	}
	return h, nil
}

// detect returns the format of the picture in r and leaves r at its start.
func detect(r io.ReadSeeker) (*format, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var start [8]byte
	n, err := io.ReadFull(r, start[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	for _, f := range formats {
		if bytes.HasPrefix(start[:n], []byte(f.magic)) {
			_, err := r.Seek(0, io.SeekStart)
			return f, err
		}
	}
	return nil, ErrFormat
}

func checkSides(w, h int) error {
	switch {
	case min(w, h) < minSide:
		return fmt.Errorf("image of %d×%d pixels, expected at least %d on each side", w, h, minSide)
	case max(w, h) > maxSide:
		return fmt.Errorf("image of %d×%d pixels, expected at most %d on each side", w, h, maxSide)
	}
	return nil
}

// error says in which format a picture is damaged, or what the decoder does not know.
func (f *format) error(err error) error {
	var limit limitError
	var jpegFeature jpeg.UnsupportedError
	var pngFeature png.UnsupportedError
	if errors.As(err, &limit) || errors.As(err, &jpegFeature) || errors.As(err, &pngFeature) {
		return fmt.Errorf("%s image: %w", f.name, err)
	}
	return fmt.Errorf("damaged or truncated %s image: %w", f.name, err)
}

// A limitError says that a picture is beyond what is accepted, not damaged.
type limitError string

func (e limitError) Error() string { return string(e) }

// decode decodes the picture whose header h is.
func (h header) decode(r io.ReadSeeker) (*image.RGBA, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	img, err := h.format.decode(r)
	if err != nil {
		return nil, h.format.error(err)
	}
	// The first frame of an animation may be only a part of the canvas.
	if err := checkSides(img.Bounds().Dx(), img.Bounds().Dy()); err != nil {
		return nil, err
	}
	return h.orientation.upright(opaque(img)), nil
}

// pngHeader reads the header of a PNG.
func pngHeader(r io.Reader) (header, error) {
	config, err := png.DecodeConfig(r)
	if err != nil {
		return header{}, err
	}
	var pixel int64 // bytes, with the transparent colour that a picture without alpha may have
	switch config.ColorModel {
	case color.GrayModel, color.RGBAModel, color.NRGBAModel:
		pixel = 4
	case color.Gray16Model, color.RGBA64Model, color.NRGBA64Model:
		pixel = 8
	default: // a palette
		pixel = 1
	}
	// And four bytes without transparency. Before, the decoder has half an interlaced picture
	// twice, which is no more.
	pixels := int64(config.Width) * int64(config.Height)
	return header{width: config.Width, height: config.Height, memory: pixels * (pixel + 4)}, nil
}

// gifHeader reads the header of a GIF.
func gifHeader(r io.Reader) (header, error) {
	config, err := gif.DecodeConfig(r)
	if err != nil {
		return header{}, err
	}
	// A byte per pixel as decoded, and four without transparency.
	pixels := int64(config.Width) * int64(config.Height)
	return header{width: config.Width, height: config.Height, memory: pixels * (1 + 4)}, nil
}

// opaque returns img on a white ground; it may be img itself.
func opaque(img image.Image) *image.RGBA {
	switch img := img.(type) {
	case *image.YCbCr:
		return interpolateChroma(img)
	case *image.RGBA:
		if img.Opaque() {
			return img
		}
	}
	flat := image.NewRGBA(img.Bounds())
	draw.Draw(flat, flat.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(flat, flat.Rect, img, flat.Rect.Min, draw.Over)
	return flat
}
