package preprocess

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"slices"
	"strings"
	"testing"
)

// Segments of JPEG files that no encoder would write.

func segment(marker byte, data ...byte) []byte {
	n := len(data) + 2
	return append([]byte{0xff, marker, byte(n >> 8), byte(n)}, data...)
}

// sof returns the frame's segment; a factor such as 0x21 is one component's across and down.
func sof(marker byte, w, h int, factors ...byte) []byte {
	data := []byte{8, byte(h >> 8), byte(h), byte(w >> 8), byte(w), byte(len(factors))}
	for i, f := range factors {
		data = append(data, byte(i+1), f, 0)
	}
	return segment(marker, data...)
}

// sos returns the segment before a scan of the given components, numbered from 1. The last
// three bytes are those of a progressive picture's refinement of all coefficients but the first.
func sos(components ...byte) []byte {
	data := []byte{byte(len(components))}
	for _, c := range components {
		data = append(data, c, 0)
	}
	return segment(markerSOS, append(data, 1, 63, 0x10)...)
}

func jpegFile(parts ...[]byte) []byte {
	return slices.Concat([]byte("\xff\xd8"), slices.Concat(parts...), []byte("\xff\xd9"))
}

// progressive returns a grey JPEG with scans that visit all blocks and change none.
func progressive(w, h, scans int) []byte {
	huffman := segment(0xc4, append([]byte{0x10, 1, 15: 0, 16: 0}, 0xe0)...) // the one-bit code 0 is a run of 2^14 blocks and more
	scan := sos(1)
	var bits, n uint
	for blocks := (w + 7) / 8 * ((h + 7) / 8); blocks > 0; blocks -= 1<<15 - 2 {
		bits, n = bits<<15|(1<<14-2), n+15 // the code, then 14 bits: how many more
		for ; n >= 8; n -= 8 {
			if b := byte(bits >> (n - 8)); b == 0xff {
				scan = append(scan, b, 0)
			} else {
				scan = append(scan, b)
			}
		}
	}
	scan = append(scan, byte(bits<<(8-n))|byte(1<<(8-n)-1), 0)
	return jpegFile(sof(markerSOF2, w, h, 0x11), huffman, bytes.Repeat(scan, scans))
}

// TestSurvey counts the scans, and the blocks that they visit, of files that are hard to read.
func TestSurvey(t *testing.T) {
	grey := sof(markerSOF0, 20, 10, 0x42)                          // 3×2 blocks, not interleaved
	colour := sof(markerSOF2, 33, 17, 0x22, 0x11, 0x11)            // 3×2 MCUs of 4+1+1 blocks
	data := []byte("\x12\xff\x00\xda\xff\xd0\x34\xff\xd7\xff\x00") // with stuffed bytes and restarts
	scan := slices.Concat(sos(1), data)
	thumbnail := segment(markerAPP1, jpegFile(grey, scan, scan)...)
	for _, test := range []struct {
		name    string
		file    []byte
		scans   int
		blocks  int64
		visible string
	}{
		{"one scan", jpegFile(grey, scan), 1, 6, "20×10"},
		{"three scans", jpegFile(grey, scan, scan, scan), 3, 18, "20×10"},
		{"all components", jpegFile(colour, sos(1, 2, 3), data), 1, 36, "33×17"},
		{"each component", jpegFile(colour, sos(1), sos(2), sos(3), data), 3, 36, "33×17"},
		{"unknown component", jpegFile(colour, sos(9), data), 1, 0, "33×17"},
		{"thumbnail", jpegFile(thumbnail, grey, thumbnail, scan, thumbnail), 1, 6, "20×10"},
		{"comment", jpegFile(grey, segment(0xfe, scan...), scan), 1, 6, "20×10"},
		{"fill bytes", jpegFile([]byte{0xff, 0xff}, grey, []byte{0xff, 0xff, 0xff}, scan), 1, 6, "20×10"},
		{"bytes between", jpegFile([]byte("abc"), grey, []byte("\xff\x00abc\xff\x00"), scan, []byte("\xff\xd3x")), 1, 6, "20×10"},
		{"no end", slices.Concat([]byte("\xff\xd8"), grey, scan, scan), 2, 12, "20×10"},
		{"cut in a segment", slices.Concat([]byte("\xff\xd8"), grey, scan, sos(1)[:7]), 1, 6, "20×10"},
		{"after the end", slices.Concat(jpegFile(grey, scan), scan, scan), 1, 6, "20×10"},
		{"an empty scan", jpegFile(grey, segment(markerSOS), scan), 2, 6, "20×10"},
		{"a cut scan", jpegFile(colour, segment(markerSOS, 3, 1, 0, 2)), 1, 30, "33×17"},
		{"long data", jpegFile(grey, scan, bytes.Repeat([]byte("0123456789"), 50_000), scan), 2, 12, "20×10"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := surveyJPEG(bytes.NewReader(test.file))
			if err != nil {
				t.Fatal(err)
			}
			if size := fmt.Sprintf("%d×%d", s.width, s.height); s.scans != test.scans || s.blocks != test.blocks || size != test.visible {
				t.Errorf("%s pixels, %d scans, %d blocks, want %s, %d and %d", size, s.scans, s.blocks, test.visible, test.scans, test.blocks)
			}
		})
	}
}

func TestSurveyRefuses(t *testing.T) {
	grey := sof(markerSOF0, 20, 10, 0x11)
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "unexpected EOF"},
		{"start only", []byte("\xff\xd8"), "unexpected EOF"},
		{"no frame", jpegFile(), "no frame"},
		{"scan first", jpegFile(sos(1), grey), "scan before the frame"},
		{"two frames", jpegFile(grey, grey), "two frames"},
		{"short frame", jpegFile(segment(markerSOF0, 8, 0, 1)), "frame segment of 3 bytes"},
		{"long frame", jpegFile(append(segment(markerSOF0, 8, 0, 9, 0, 9, 1, 1, 0x11, 0)[:3], 20)), "unexpected EOF"},
		{"another number", jpegFile(segment(markerSOF0, 8, 0, 9, 0, 9, 3, 1, 0x11, 0)), "frame segment of 9 bytes"},
		{"two components", jpegFile(sof(markerSOF0, 9, 9, 0x11, 0x11)), "2 components, expected 1, 3 or 4"},
		{"no factor", jpegFile(sof(markerSOF0, 9, 9, 0x10)), "sampling factors 1×0"},
		{"large factor", jpegFile(sof(markerSOF0, 9, 9, 0x51)), "sampling factors 5×1"},
		{"negative length", jpegFile([]byte{0xff, 0xe0, 0, 1}), "segment of length 1, expected at least 2"},
	} {
		if _, err := surveyJPEG(bytes.NewReader(test.file)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, expected one with %q", test.name, err, test.want)
		}
	}
}

// TestScanLimit decodes pictures with few scans, and none that would take minutes.
func TestScanLimit(t *testing.T) {
	file := progressive(400, 400, 10)
	if _, err := jpeg.Decode(bytes.NewReader(file)); err != nil {
		t.Fatalf("the test's files are no JPEGs: %v", err)
	}
	if _, err := Decode(bytes.NewReader(file)); err != nil {
		t.Error(err)
	}
	const most = maxBlocks / (625 * 625)
	if _, err := readHeader(bytes.NewReader(progressive(5000, 5000, most))); err != nil {
		t.Errorf("%d scans: %v", most, err)
	}
	want := fmt.Sprintf("JPEG image: 5000×5000 pixels in %d scans, which are %d blocks to decode, expected at most 32000000", most+1, (most+1)*625*625)
	if _, err := readHeader(bytes.NewReader(progressive(5000, 5000, most+1))); err == nil || err.Error() != want {
		t.Errorf("%d scans: error %v, want %s", most+1, err, want)
	}
	if _, err := Decode(bytes.NewReader(progressive(5000, 5000, 1000))); err == nil {
		t.Error("1000 scans: no error")
	}
}

// TestJPEGMemory checks what decoding takes, by the frame alone, in bytes a pixel: the
// samples, their coefficients if the picture is progressive, and four bytes for the result.
func TestJPEGMemory(t *testing.T) {
	for _, test := range []struct {
		name    string
		marker  byte
		factors []byte
		want    float64
	}{
		{"grey", markerSOF0, []byte{0x11}, 1 + 4},
		{"4:2:0", markerSOF0, []byte{0x22, 0x11, 0x11}, 1.5 + 4},
		{"4:2:2", markerSOF0, []byte{0x21, 0x11, 0x11}, 2 + 4},
		{"4:4:4", markerSOF0, []byte{0x11, 0x11, 0x11}, 3 + 4},
		{"CMYK", markerSOF0, []byte{0x11, 0x11, 0x11, 0x11}, 4 + 4},
		{"progressive grey", markerSOF2, []byte{0x11}, 5 + 4},
		{"progressive 4:2:0", markerSOF2, []byte{0x22, 0x11, 0x11}, 5*1.5 + 4},
		{"progressive CMYK", markerSOF2, []byte{0x11, 0x11, 0x11, 0x11}, 5*4 + 4},
	} {
		s, err := surveyJPEG(bytes.NewReader(jpegFile(sof(test.marker, 4000, 4000, test.factors...))))
		if err != nil {
			t.Fatal(err)
		}
		if got := float64(s.memory()) / (4000 * 4000); got != test.want {
			t.Errorf("%s: %v bytes a pixel, want %v", test.name, got, test.want)
		}
	}
}

// TestMegapixels checks the sizes of pictures that are accepted, by their frame alone.
func TestMegapixels(t *testing.T) {
	for _, test := range []struct {
		name string
		file []byte
		want string // part of the error
	}{
		{"a phone's 48", jpegFile(sof(markerSOF0, 8064, 6048, 0x22, 0x11, 0x11)), ""},
		{"a phone's 50", jpegFile(sof(markerSOF0, 8160, 6144, 0x22, 0x11, 0x11)), ""},
		{"50, on end", jpegFile(exif("II", 6), sof(markerSOF0, 8160, 6144, 0x22, 0x11, 0x11)), ""},
		{"50, all colours", jpegFile(sof(markerSOF0, 8192, 6144, 0x11, 0x11, 0x11)), ""},
		{"a panorama", jpegFile(sof(markerSOF0, 16384, 3072, 0x22, 0x11, 0x11)), ""},
		{"25 progressive", jpegFile(sof(markerSOF2, 5000, 5000, 0x11, 0x11, 0x11)), ""},
		{"25 progressive CMYK", jpegFile(sof(markerSOF2, 5000, 5000, 0x11, 0x11, 0x11, 0x11)), "image of 5000×5000 pixels, which takes 572 MB to decode, expected at most 512"},
		{"a wall", jpegFile(sof(markerSOF0, 16000, 16000, 0x11)), "image of 16000×16000 pixels, which takes 1220 MB to decode"},
		{"too wide", jpegFile(sof(markerSOF0, 16385, 8, 0x11)), "image of 16385×8 pixels, expected at most 16384 on each side"},
		{"too low", jpegFile(sof(markerSOF0, 8, 7, 0x11)), "image of 8×7 pixels, expected at least 8 on each side"},
		{"no lines", jpegFile(sof(markerSOF0, 8, 0, 0x11)), "image of 8×0 pixels"},
	} {
		_, err := readHeader(bytes.NewReader(test.file))
		if test.want == "" && err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: error %v, expected one with %q", test.name, err, test.want)
		}
	}
}
