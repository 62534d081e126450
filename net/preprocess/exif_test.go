package preprocess

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"slices"
	"testing"
)

// exif returns a JPEG's segment with a directory of two entries, in the byte order "II" or
// "MM". The second is the orientation.
func exif(order string, o orientation) []byte {
	var bo binary.AppendByteOrder = binary.LittleEndian
	if order == "MM" {
		bo = binary.BigEndian
	}
	b := []byte("Exif\x00\x00" + order)
	b = bo.AppendUint16(b, 42)
	b = bo.AppendUint32(b, 10)
	b = append(b, "??"...)
	b = bo.AppendUint16(b, 2)
	entry := func(tag, kind uint16, value uint16) {
		b = bo.AppendUint16(b, tag)
		b = bo.AppendUint16(b, kind)
		b = bo.AppendUint32(b, 1)
		b = bo.AppendUint16(b, value)
		b = append(b, 0, 0)
	}
	entry(0x10f, 3, 7)
	entry(0x112, 3, uint16(o))
	return segment(markerAPP1, b...)
}

// turned24 returns a JPEG that is seen as blocks of 8×8 pixels, three side by side and two
// below each other, each lighter than the one before. The rows and columns that are stored
// begin at the sides that the Exif standard gives for the orientation o.
func turned24(t *testing.T, o orientation) []byte {
	t.Helper()
	const w, h = 24, 16
	firstRow := [...]string{normal: "top", mirrored: "top", turned: "bottom", mirroredUpsideDown: "bottom",
		transposed: "left", turnedLeft: "right", transversed: "right", turnedRight: "left"}[o]
	firstColumn := [...]string{normal: "left", mirrored: "right", turned: "right", mirroredUpsideDown: "left",
		transposed: "top", turnedLeft: "top", transversed: "bottom", turnedRight: "bottom"}[o]
	stored := image.NewGray(image.Rect(0, 0, w, h))
	if firstRow == "left" || firstRow == "right" {
		stored = image.NewGray(image.Rect(0, 0, h, w))
	}
	for row := range stored.Rect.Dy() {
		for column := range stored.Rect.Dx() {
			var x, y int
			for _, i := range []struct {
				n     int
				first string
			}{{row, firstRow}, {column, firstColumn}} {
				switch i.first {
				case "top":
					y = i.n
				case "bottom":
					y = h - 1 - i.n
				case "left":
					x = i.n
				case "right":
					x = w - 1 - i.n
				}
			}
			stored.SetGray(column, row, color.Gray{block(x, y)})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, stored, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func block(x, y int) uint8 { return uint8(30 + 40*(y/8*3+x/8)) }

func TestOrientation(t *testing.T) {
	for o := normal; o <= turnedRight; o++ {
		for _, order := range []string{"II", "MM"} {
			file := turned24(t, o)
			img, err := Decode(bytes.NewReader(slices.Concat(file[:2], exif(order, o), file[2:])))
			if err != nil {
				t.Fatal(err)
			}
			if want := image.Rect(0, 0, 24, 16); img.Rect != want {
				t.Fatalf("orientation %d: bounds %v, want %v", o, img.Rect, want)
			}
			for y := range 16 {
				for x := range 24 {
					px, want := img.RGBAAt(x, y), block(x, y)
					if math.Abs(float64(px.R)-float64(want)) > 2 || px.A != 255 {
						t.Fatalf("orientation %d: pixel %d,%d is %v, want %d", o, x, y, px, want)
					}
				}
			}
		}
	}
}

// TestExifIgnored checks that damaged Exif data do not matter.
func TestExifIgnored(t *testing.T) {
	const header = 4 // marker and length
	good := exif("II", turnedLeft)[header:]
	if o := exifOrientation(good); o != turnedLeft {
		t.Fatalf("orientation %d of good data", o)
	}
	if o := exifOrientation(append(slices.Clone(good), "and more"...)); o != turnedLeft {
		t.Errorf("orientation %d of longer data", o)
	}
	with := func(at int, values ...byte) []byte {
		b := slices.Clone(good)
		copy(b[at:], values)
		return b
	}
	const tiff, second = 6, 6 + 10 + 2 + 12 // where the byte order and the second entry are
	tests := map[string][]byte{
		"another name":       with(0, 'e'),
		"byte order":         with(tiff, 'X', 'X'),
		"mixed byte order":   with(tiff, 'M', 'M'),
		"version":            with(tiff+2, 43),
		"offset at the end":  with(tiff+4, byte(len(good)-tiff)),
		"offset beyond":      with(tiff+4, 0xff, 0xff, 0xff, 0xff),
		"one entry":          with(tiff+10, 1),
		"other tag":          with(second, 0x13),
		"other type":         with(second+2, 4),
		"two values":         with(second+4, 2),
		"many values":        with(second+4, 1, 0, 0, 1),
		"orientation 0":      with(second+8, 0),
		"orientation 9":      with(second+8, 9),
		"orientation 6 + 2⁸": with(second+8, 6, 1),
	}
	for n := range len(good) - 2 { // the last two bytes are padding, but part of the entry
		tests["cut at "+string(rune('0'+n/10))+string(rune('0'+n%10))] = good[:n]
	}
	for name, data := range tests {
		if o := exifOrientation(data); o != normal {
			t.Errorf("%s: orientation %d", name, o)
		}
	}
}
