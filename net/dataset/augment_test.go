package dataset

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"firebench/net/preprocess"
)

// source returns a picture of w×h pixels with the square in its centre.
func source(w, h, side int, colour func(x, y, c int) uint8) pixels {
	px := pixels{width: int32(w), height: int32(h), left: int32(w-side) / 2, top: int32(h-side) / 2, bytes: make([]byte, 3*w*h)}
	sum := 0.0
	for y := range h {
		for x := range w {
			for c := range 3 {
				v := colour(x, y, c)
				px.bytes[3*(y*w+x)+c] = v
				sum += float64(v) * bt601[c]
			}
		}
	}
	px.grey = uint8(sum / float64(w*h))
	return px
}

// bt601 is how much of the grey of a pixel red, green and blue are.
var bt601 = [3]float64{0.299, 0.587, 0.114}

// applied returns an input of the network.
func applied(p *preprocess.Preprocessor, a Augment, px pixels, seed uint64) []float32 {
	dst := make([]float32, 3*p.Side()*p.Side())
	for i := range dst {
		dst[i] = float32(math.NaN())
	}
	r := newRandom(seed)
	newAugmenter(a, p).apply(dst, px, &r)
	return dst
}

// bytesOf returns the bytes that became the values of an input.
func bytesOf(t *testing.T, p *preprocess.Preprocessor, input []float32) []byte {
	t.Helper()
	var inverse [3]map[float32]byte
	for c := range inverse {
		inverse[c] = map[float32]byte{}
		_, values := p.Channel(c)
		for b, v := range values {
			inverse[c][v] = byte(b)
		}
	}
	out := make([]byte, len(input))
	for i, v := range input {
		b, ok := inverse[i%3][v]
		if !ok {
			t.Fatalf("value %d is %g, which no byte has", i, v)
		}
		out[i] = b
	}
	return out
}

// TestCrop finds out where each input comes from, of pictures whose pixels are all different.
func TestCrop(t *testing.T) {
	p := preprocessor(t, "cifar-rgb-32")
	type test struct {
		w, h, pad int
		mirror    bool
	}
	tests := []test{{34, 36, 0, false}, {33, 32, 2, true}, {32, 32, 256, true}}
	if !testing.Short() {
		tests = append(tests, test{32, 32, 4, true}, test{32, 32, 4, false}, test{40, 33, 0, true})
	}
	for _, test := range tests {
		px := source(test.w, test.h, 32, func(x, y, c int) uint8 { return []uint8{uint8(x), uint8(y), uint8(x ^ y)}[c] })
		seen := map[string]int{}
		for seed := range 12 * uint64((test.w+2*test.pad-31)*(test.h+2*test.pad-31)) {
			got := applied(p, Augment{Crop: true, Pad: test.pad, Mirror: test.mirror}, px, seed)
			// Every place is tried.
			found := ""
			for left := -test.pad; left <= test.w+test.pad-32 && found == ""; left++ {
				for top := -test.pad; top <= test.h+test.pad-32 && found == ""; top++ {
					for _, mirror := range []bool{false, true}[:1+btoi(test.mirror)] {
						if test.pad < 100 && isCrop(p, got, px, left, top, mirror) {
							found = fmt.Sprint(left, top, mirror)
							break
						}
					}
				}
			}
			if found == "" && test.pad < 100 {
				t.Fatalf("%+v: an input of seed %d is no part of the picture", test, seed)
			}
			seen[found]++
			if test.pad > 100 && seed > 200 {
				break
			}
		}
		if test.pad > 100 {
			continue // mostly nothing but zeros: it must not fail
		}
		places := (test.w + 2*test.pad - 31) * (test.h + 2*test.pad - 31) * (1 + btoi(test.mirror))
		if len(seen) != places {
			t.Errorf("%+v: %d places are used, want %d", test, len(seen), places)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// isCrop reports whether an input is the square at a place of a picture.
func isCrop(p *preprocess.Preprocessor, input []float32, px pixels, left, top int, mirror bool) bool {
	side := p.Side()
	for y := range side {
		for x := range side {
			sx, sy := left+x, top+y
			if mirror {
				sx = left + side - 1 - x
			}
			for c := range 3 {
				_, values := p.Channel(c)
				want := float32(0)
				if sx >= 0 && sx < int(px.width) && sy >= 0 && sy < int(px.height) {
					want = values[px.bytes[3*(sy*int(px.width)+sx)+c]]
				}
				if input[3*(y*side+x)+c] != want {
					return false
				}
			}
		}
	}
	return true
}

// TestMirror mirrors the centre of a picture, of half the seeds.
func TestMirror(t *testing.T) {
	p := preprocessor(t, "cifar-rgb-32")
	px := source(36, 40, 32, func(x, y, c int) uint8 { return uint8(x) })
	mirrored := 0
	for seed := range uint64(200) {
		got := applied(p, Augment{Mirror: true}, px, seed)
		switch {
		case isCrop(p, got, px, 2, 4, true):
			mirrored++
		case !isCrop(p, got, px, 2, 4, false):
			t.Fatal("not the centre")
		}
	}
	if mirrored < 70 || mirrored > 130 {
		t.Errorf("%d of 200 are mirrored", mirrored)
	}
}

// TestResizedCrop resizes parts of a picture whose colours are linear: a plane stays one. It shows which part it was.
func TestResizedCrop(t *testing.T) {
	p := preprocessor(t, "cifar-rgb-32")
	const w, h = 120, 60
	px := source(w, h, 32, func(x, y, c int) uint8 { return []uint8{uint8(2 * x), uint8(4 * y), 77}[c] })
	least, most, mirrored := 1.0, 0.0, 0
	for seed := range uint64(300) {
		got := bytesOf(t, p, applied(p, Augment{MinArea: 0.25, Mirror: true}, px, seed))
		at := func(x, y, c int) float64 { return float64(got[3*(32*y+x)+c]) }
		width := (at(26, 0, 0) - at(5, 0, 0)) / 21 * 32 / 2 // away from the picture's edges, where nothing is beyond
		height := (at(0, 26, 1) - at(0, 5, 1)) / 21 * 32 / 4
		if width < 0 {
			mirrored++
		}
		area := math.Abs(width) * height / (w * h)
		ratio := math.Abs(width) / height
		least, most = min(least, area), max(most, area)
		if ratio < 0.72 || ratio > 1.4 {
			t.Errorf("seed %d: a part of %.1f×%.1f pixels", seed, width, height)
		}
		for y := range 32 {
			for x := range 32 {
				// The centres of pixels, as far as there are any.
				wantX := at(5, y, 0) + (at(26, y, 0)-at(5, y, 0))/21*float64(x-5)
				wantY := at(x, 5, 1) + (at(x, 26, 1)-at(x, 5, 1))/21*float64(y-5)
				wantX, wantY = min(max(wantX, 0), 2*(w-1)), min(max(wantY, 0), 4*(h-1))
				if math.Abs(at(x, y, 0)-wantX) > 2 || math.Abs(at(x, y, 1)-wantY) > 2 || at(x, y, 2) != 77 {
					t.Fatalf("seed %d: pixel %d,%d is %g,%g,%g, want %g,%g,77", seed, x, y, at(x, y, 0), at(x, y, 1), at(x, y, 2), wantX, wantY)
				}
			}
		}
	}
	// Of 2:1 there is no part of 4:3 and more than two thirds of the area.
	if least < 0.23 || least > 0.27 || most > 0.68 || most < 0.6 {
		t.Errorf("parts from %.2f to %.2f of the picture", least, most)
	}
	if mirrored < 110 || mirrored > 190 {
		t.Errorf("%d of 300 are mirrored", mirrored)
	}
}

// TestResizedWhole takes all of the picture, which has the size already.
func TestResizedWhole(t *testing.T) {
	p := preprocessor(t, "cifar-rgb-32")
	px := source(32, 32, 32, func(x, y, c int) uint8 { return uint8(7*x + 11*y + 13*c) })
	for seed := range uint64(20) {
		got := applied(p, Augment{MinArea: 1, Mirror: true}, px, seed)
		if !isCrop(p, got, px, 0, 0, false) && !isCrop(p, got, px, 0, 0, true) {
			t.Errorf("seed %d: the whole picture is not itself", seed)
		}
	}
}

// TestJitter compares with the formula in float64.
func TestJitter(t *testing.T) {
	for _, name := range []string{"cifar-rgb-32", "caffe-bgr-224"} {
		p := preprocessor(t, name)
		side := p.Side()
		if side > 32 && testing.Short() {
			continue
		}
		px := source(side, side, side, func(x, y, c int) uint8 { return uint8(x*3 + y*5 + c*40) })
		order := orderOf(p)
		var brighter, darker bool
		for seed := range uint64(30) {
			r := newRandom(seed)
			brightness, contrast, saturation := r.between(0.6, 1.4), r.between(0.6, 1.4), r.between(0.6, 1.4)
			brighter, darker = brighter || brightness > 1.3, darker || brightness < 0.7
			got := bytesOf(t, p, applied(p, Augment{Jitter: 0.4}, px, seed))
			for i := 0; i < len(got); i += 3 {
				grey := 0.0
				for c, colour := range order {
					grey += bt601[colour] * float64(px.bytes[i+c])
				}
				for c := range 3 {
					v := grey + saturation*(float64(px.bytes[i+c])-grey)
					v = float64(px.grey) + contrast*(v-float64(px.grey))
					v = min(max(brightness*v, 0), 255)
					if math.Abs(v-float64(got[i+c])) > 1.6 {
						t.Fatalf("%s: %d becomes %d, want %g", name, px.bytes[i+c], got[i+c], v)
					}
				}
			}
		}
		if !brighter || !darker {
			t.Error("too few seeds")
		}
	}
}

// TestAverage packs a picture, whose average grey is known.
func TestAverage(t *testing.T) {
	for _, name := range []string{"cifar-rgb-32", "caffe-bgr-224"} {
		d := &Dataset{preprocessor: preprocessor(t, name), order: orderOf(preprocessor(t, name)), budget: budget{limit: 1 << 20}}
		red := bytes.Repeat([]byte{200}, 1024)
		record := append(append(append([]byte{0}, red...), bytes.Repeat([]byte{100}, 1024)...), bytes.Repeat([]byte{50}, 1024)...)
		px, err := d.pixels(&picture{record: 1, content: content{data: record}}, new([]byte))
		if err != nil {
			t.Fatal(err)
		}
		// 0.299·200 + 0.587·100 + 0.114·50 = 124.2
		if px.grey != 124 {
			t.Errorf("%s: the average grey is %d, want 124", name, px.grey)
		}
	}
}

// TestRandom checks what the sources of random numbers return.
func TestRandom(t *testing.T) {
	seen := map[uint64]bool{}
	for a := range uint64(30) {
		for b := range uint64(30) {
			r, s := newRandom(a, b), newRandom(a, b)
			v := r.pcg.Uint64()
			if seen[v] || v != s.pcg.Uint64() {
				t.Errorf("seeds %d and %d are those of another source", a, b)
			}
			seen[v] = true
		}
	}
	r := newRandom(1)
	var counts [10]int
	for range 10000 {
		counts[r.below(10)]++
		if v := r.between(-2, 3); v < -2 || v >= 3 {
			t.Errorf("%g is not between -2 and 3", v)
		}
	}
	for i, n := range counts {
		if n < 850 || n > 1150 {
			t.Errorf("%d comes %d times of 10000", i, n)
		}
	}
	// What was in the order before does not matter, and each comes everywhere.
	var first [4][4]int
	order := make([]int32, 4)
	for range 4000 {
		r.permute(order)
		for i, v := range order {
			first[i][v]++
		}
	}
	for i := range first {
		for v, n := range first[i] {
			if n < 850 || n > 1150 {
				t.Errorf("%d is at place %d in %d of 4000", v, i, n)
			}
		}
	}
}

// BenchmarkAugment measures what there is to do for a picture that is in memory.
func BenchmarkAugment(b *testing.B) {
	for _, name := range []string{"cifar-rgb-32", "caffe-bgr-224"} {
		p := preprocessor(b, name)
		size := p.Side() * 8 / 7 // 36 and 256
		px := source(size, size, p.Side(), func(x, y, c int) uint8 { return uint8(x*3 + y*5 + c*40) })
		dst := make([]float32, 3*p.Side()*p.Side())
		for _, a := range []struct {
			name string
			Augment
		}{
			{"none", Augment{}},
			{"crop", Augment{Crop: true, Pad: 4, Mirror: true}},
			{"crop-jitter", Augment{Crop: true, Pad: 4, Mirror: true, Jitter: 0.4}},
			{"resized", Augment{MinArea: 0.2, Mirror: true}},
			{"resized-jitter", Augment{MinArea: 0.2, Mirror: true, Jitter: 0.4}},
		} {
			b.Run("preprocessor="+name+"/augment="+a.name, func(b *testing.B) {
				m, r := newAugmenter(a.Augment, p), newRandom(1)
				for b.Loop() {
					m.apply(dst, px, &r)
				}
			})
		}
	}
}
