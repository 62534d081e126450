package preprocess

import (
	"bytes"
	"encoding/binary"
	"image"
)

// An orientation is the value of Exif's tag of that name: how the rows and columns
// of a stored picture lie in what is seen. See the Exif standard, 4.6.5.1.6.
type orientation uint16

const (
	normal             orientation = 1 // the first row is at the top, the first column at the left
	mirrored           orientation = 2
	turned             orientation = 3 // by 180°
	mirroredUpsideDown orientation = 4
	transposed         orientation = 5
	turnedLeft         orientation = 6 // the camera; the picture must be turned to the right
	transversed        orientation = 7
	turnedRight        orientation = 8
)

// exifOrientation returns the orientation in the data of a JPEG's APP1 segment, and normal
// if they are not Exif data, have none or are damaged: a picture can be seen without them.
func exifOrientation(data []byte) orientation {
	const (
		entry = 12 // bytes of a directory's entry: tag, type, count and value
		tag   = 0x112
		short = 3 // the type, a uint16
	)
	tiff, ok := bytes.CutPrefix(data, []byte("Exif\x00\x00"))
	if !ok || len(tiff) < 8 {
		return normal
	}
	var order binary.ByteOrder
	switch string(tiff[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return normal
	}
	start := order.Uint32(tiff[4:])
	if int64(start)+2 > int64(len(tiff)) {
		return normal
	}
	directory := tiff[start:]
	n := int(order.Uint16(directory))
	for e := directory[2:]; n > 0 && len(e) >= entry; n, e = n-1, e[entry:] {
		if order.Uint16(e) != tag {
			continue
		}
		o := orientation(order.Uint16(e[8:]))
		if order.Uint16(e[2:]) == short && order.Uint32(e[4:]) == 1 && o >= normal && o <= turnedRight {
			return o
		}
		return normal
	}
	return normal
}

// upright returns what is seen of a stored picture; it may be img itself.
func (o orientation) upright(img *image.RGBA) *image.RGBA {
	if o == normal {
		return img
	}
	// Where in img the result starts, and how far its next column and row are.
	w, h := img.Rect.Dx(), img.Rect.Dy()
	start, nextX, nextY := 0, 4, img.Stride
	switch o {
	case mirrored, turned, transversed, turnedRight: // from the last column
		start, nextX = (w-1)*nextX, -nextX
	}
	switch o {
	case turned, mirroredUpsideDown, turnedLeft, transversed: // from the last row
		start, nextY = start+(h-1)*nextY, -nextY
	}
	switch o {
	case transposed, turnedLeft, transversed, turnedRight: // columns become rows
		w, h, nextX, nextY = h, w, nextY, nextX
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	dst := out.Pix
	for y := range h {
		for x := range w {
			src := start + x*nextX + y*nextY
			copy(dst[:4], img.Pix[src:src+4])
			dst = dst[4:]
		}
	}
	return out
}
