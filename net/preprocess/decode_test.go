package preprocess

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"firebench/kernels"
)

// encoders write an image in each format.
var encoders = map[string]func(io.Writer, image.Image) error{
	"JPEG": func(w io.Writer, img image.Image) error { return jpeg.Encode(w, img, nil) },
	"PNG":  png.Encode,
	"GIF":  func(w io.Writer, img image.Image) error { return gif.Encode(w, img, nil) },
}

func encoded(t testing.TB, format string, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encoders[format](&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestDecode checks that pictures of all formats are opaque when they have been decoded.
func TestDecode(t *testing.T) {
	for format := range encoders {
		for name, img := range map[string]interface {
			image.Image
			Set(x, y int, c color.Color)
		}{
			"grey":        image.NewGray(image.Rect(0, 0, 20, 10)),
			"grey16":      image.NewGray16(image.Rect(0, 0, 20, 10)),
			"RGBA":        image.NewRGBA(image.Rect(0, 0, 20, 10)),
			"RGBA64":      image.NewRGBA64(image.Rect(0, 0, 20, 10)),
			"transparent": image.NewNRGBA(image.Rect(0, 0, 20, 10)),
		} {
			for y := range 10 {
				for x := range 20 {
					img.Set(x, y, color.White)
				}
			}
			if name == "transparent" {
				if format != "PNG" { // their encoders know no transparency
					continue
				}
				img = image.NewNRGBA(image.Rect(0, 0, 20, 10))
			}
			r := bytes.NewReader(encoded(t, format, img))
			r.Seek(3, io.SeekStart) // Decode goes back
			got, err := Decode(r)
			if err != nil {
				t.Fatalf("%s, %s: %v", format, name, err)
			}
			if got.Rect != img.Bounds() || !got.Opaque() || got.RGBAAt(7, 5).R < 254 {
				t.Errorf("%s, %s: %v, a pixel is %v", format, name, got.Rect, got.RGBAAt(7, 5))
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 30, 20))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i)
	}
	type test struct {
		name string
		file []byte
		want string
	}
	tests := []test{
		{"empty", nil, "not a JPEG, PNG or GIF image"},
		{"text", []byte("This is not a picture.\n"), "not a JPEG, PNG or GIF image"},
		{"BMP", []byte("BM\x00\x00\x00\x00"), "not a JPEG, PNG or GIF image"},
		{"12 bits", bytes.Replace(jpegFile(sof(markerSOF0, 9, 9, 0x11)), []byte{11, 8}, []byte{11, 12}, 1), "JPEG image: unsupported JPEG feature: precision"},
	}
	for format := range encoders {
		file := encoded(t, format, img)
		for _, n := range []int{10, len(file) / 2, len(file) - 5} {
			tests = append(tests, test{format + " that is cut", file[:n], "damaged or truncated " + format + " image: "})
		}
		tests = append(tests,
			test{format + " of a line", encoded(t, format, image.NewGray(image.Rect(0, 0, 9, 1))), "image of 9×1 pixels, expected at least 8 on each side"},
			test{format + " that is too long", encoded(t, format, image.NewGray(image.Rect(0, 0, 8, 16385))), "image of 8×16385 pixels, expected at most 16384 on each side"},
		)
	}
	for _, test := range tests {
		if _, err := Decode(bytes.NewReader(test.file)); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, expected one line with %q", test.name, err, test.want)
		}
	}
	broken := errors.New("broken disk")
	if _, err := Decode(seeker{iotest.ErrReader(broken)}); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

// A seeker cannot go anywhere, and says that it has.
type seeker struct{ io.Reader }

func (seeker) Seek(int64, int) (int64, error) { return 0, nil }

// TestMemory checks what decoding takes of pictures that are not JPEGs, in bytes a pixel.
func TestMemory(t *testing.T) {
	const w, h = 200, 150
	palette := color.Palette{color.Black, color.White}
	for _, test := range []struct {
		format string
		img    image.Image
		want   int64
	}{
		{"PNG", image.NewGray(image.Rect(0, 0, w, h)), 4 + 4},
		{"PNG", image.NewGray16(image.Rect(0, 0, w, h)), 8 + 4},
		{"PNG", image.NewRGBA(image.Rect(0, 0, w, h)), 4 + 4},
		{"PNG", image.NewNRGBA64(image.Rect(0, 0, w, h)), 8 + 4},
		{"PNG", image.NewPaletted(image.Rect(0, 0, w, h), palette), 1 + 4},
		{"GIF", image.NewPaletted(image.Rect(0, 0, w, h), palette), 1 + 4},
	} {
		for _, format := range formats {
			if format.name != test.format {
				continue
			}
			got, err := format.header(bytes.NewReader(encoded(t, test.format, test.img)))
			if err != nil {
				t.Fatal(err)
			}
			if got.memory != test.want*w*h {
				t.Errorf("%s of %T: %d bytes, want %d", test.format, test.img, got.memory, test.want*w*h)
			}
		}
	}
	// What resizing takes is more where the picture is long and narrow.
	header, err := readHeader(bytes.NewReader(encoded(t, "GIF", image.NewGray(image.Rect(0, 0, 9000, 10)))))
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(9000 * (4*10 + 256*32)); header.memory != want {
		t.Errorf("a narrow picture takes %d bytes, want %d", header.memory, want)
	}
}

// TestReadWaits checks that a picture is not decoded while others take the memory.
func TestReadWaits(t *testing.T) {
	file := encoded(t, "PNG", image.NewGray(image.Rect(0, 0, 100, 100)))
	h, err := readHeader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	p := lookup(t, "caffe-bgr-227")
	synctest.Test(t, func(t *testing.T) {
		others := MaxMemory - h.memory + 1
		if err := memory.Acquire(context.Background(), others); err != nil {
			t.Fatal(err)
		}
		done := false
		go func() {
			if err := p.Read(kernels.NewView(kernels.Type{}, 1, 227, 227, 3, 0), bytes.NewReader(file)); err != nil {
				t.Error(err)
			}
			done = true
		}()
		synctest.Wait()
		if done {
			t.Error("the picture has been read, without memory for it")
		}
		memory.Release(1)
		synctest.Wait()
		if !done {
			t.Error("the picture has not been read, though there is memory for it")
		}
		memory.Release(others - 1)
	})
	if !memory.TryAcquire(MaxMemory) {
		t.Fatal("a picture that has been read still takes memory")
	}
	memory.Release(MaxMemory)
}

// FuzzDecode checks that whatever is decoded is opaque, upright and within the limits.
func FuzzDecode(f *testing.F) {
	img := image.NewGray(image.Rect(0, 0, 9, 8))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i)
	}
	for format := range encoders {
		f.Add(encoded(f, format, img))
	}
	f.Add(progressive(16, 8, 2))
	f.Add(jpegFile(exif("MM", turnedLeft), sof(markerSOF0, 8, 8, 0x22, 0x11, 0x11), sos(1, 2, 3)))
	f.Fuzz(func(t *testing.T, file []byte) {
		// Larger pictures are no different and take longer.
		h, err := readHeader(bytes.NewReader(file))
		if err != nil || h.width*h.height > 1<<16 {
			return
		}
		img, err := Decode(bytes.NewReader(file))
		if err != nil {
			return
		}
		w, h2 := img.Rect.Dx(), img.Rect.Dy()
		if h.orientation >= transposed {
			w, h2 = h2, w
		}
		if w > h.width || h2 > h.height || w < minSide || h2 < minSide || !img.Opaque() {
			t.Errorf("the header says %d×%d pixels, decoded are %v", h.width, h.height, img.Rect)
		}
	})
}
