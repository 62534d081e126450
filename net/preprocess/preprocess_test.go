package preprocess

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/tensor"
)

func TestModels(t *testing.T) {
	for _, m := range models.All() {
		p := lookup(t, m.Preprocessor)
		if side := p.Side(); p.Name() != m.Preprocessor || m.Input != (layer.Shape{H: side, W: side, C: 3}) {
			t.Errorf("%s: preprocessor %s gives %d×%[3]d×3, the model %s wants %v", m.Name, p.Name(), side, m.Preprocessor, m.Input)
		}
	}
}

func TestLookup(t *testing.T) {
	want := `unknown preprocessor "caffe", expected one of caffe-bgr-227, caffe-bgr-224, torchvision-rgb-224, cifar-rgb-32`
	if _, err := Lookup("caffe"); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func lookup(t *testing.T, name string) *Preprocessor {
	t.Helper()
	p, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// input applies a preprocessor, into a view with a halo of zeros.
func input(t *testing.T, name string, img image.Image) kernels.View {
	t.Helper()
	p := lookup(t, name)
	v := kernels.NewView(kernels.Type{}, 1, p.side, p.side, 3, 2)
	if err := p.Apply(v, img); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestApplyRefuses(t *testing.T) {
	p := lookup(t, "caffe-bgr-227")
	img := image.NewRGBA(image.Rect(0, 0, 10, 10))
	for _, test := range []struct {
		view kernels.View
		img  image.Image
		want string
	}{
		{kernels.NewView(kernels.Type{}, 2, 227, 227, 3, 0), img, "view of 2×227×227×3, expected 1×227×227×3 for caffe-bgr-227"},
		{kernels.NewView(kernels.Type{}, 1, 224, 227, 3, 0), img, "view of 1×224×227×3"},
		{kernels.NewView(kernels.Type{}, 1, 227, 224, 3, 0), img, "view of 1×227×224×3"},
		{kernels.NewView(kernels.Type{}, 1, 227, 227, 4, 0), img, "view of 1×227×227×4"},
		{kernels.NewView(kernels.Type{}, 1, 227, 227, 3, 0), img.SubImage(image.Rect(3, 3, 3, 9)), "empty image"},
	} {
		if err := p.Apply(test.view, test.img); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, expected one with %q", err, test.want)
		}
	}
}

// TestColours applies preprocessors to one colour.
func TestColours(t *testing.T) {
	for _, test := range []struct {
		preprocessor string
		colour       color.Color
		want         [3]float64
	}{
		{"caffe-bgr-227", color.RGBA{10, 20, 30, 255}, [3]float64{30 - 104, 20 - 117, 10 - 123}},
		{"caffe-bgr-224", color.RGBA{10, 20, 30, 255}, [3]float64{30 - 104, 20 - 117, 10 - 123}},
		{"torchvision-rgb-224", color.RGBA{10, 20, 30, 255}, [3]float64{(10./255 - 0.485) / 0.229, (20./255 - 0.456) / 0.224, (30./255 - 0.406) / 0.225}},
		{"cifar-rgb-32", color.RGBA{10, 20, 30, 255}, [3]float64{(10./255 - 0.4914) / 0.2470, (20./255 - 0.4822) / 0.2435, (30./255 - 0.4465) / 0.2616}},
		{"caffe-bgr-227", color.Gray{50}, [3]float64{50 - 104, 50 - 117, 50 - 123}},
		{"caffe-bgr-227", color.CMYK{245, 235, 225, 0}, [3]float64{30 - 104, 20 - 117, 10 - 123}},
		{"caffe-bgr-227", color.Transparent, [3]float64{255 - 104, 255 - 117, 255 - 123}},
		{"caffe-bgr-227", color.NRGBA{0, 0, 255, 51}, [3]float64{255 - 104, 204 - 117, 204 - 123}}, // a fifth of blue
	} {
		img := image.NewNRGBA(image.Rect(-5, 7, 95, 87))
		for y := img.Rect.Min.Y; y < img.Rect.Max.Y; y++ {
			for x := img.Rect.Min.X; x < img.Rect.Max.X; x++ {
				img.Set(x, y, test.colour)
			}
		}
		v := input(t, test.preprocessor, img)
		for y := range v.H {
			for x := range v.W {
				for c, want := range test.want {
					if got := float64(kernels.At[float32](v, 0, y, x, c)); math.Abs(got-want) > 1e-5 {
						t.Fatalf("%s of %v: pixel %d,%d, channel %d is %v, want %v", test.preprocessor, test.colour, x, y, c, got, want)
					}
				}
			}
		}
		for _, i := range []int{v.Index(0, -1, 5, 0), v.Index(0, v.H, 5, 0), v.Index(0, 5, -1, 0), v.Index(0, 5, v.W, 0)} {
			if kernels.Data[float32](v)[i] != 0 {
				t.Fatalf("%s wrote into the halo", test.preprocessor)
			}
		}
	}
}

// TestGeometry applies preprocessors to images that they crop, but have no
// need to resize.
func TestGeometry(t *testing.T) {
	for _, test := range []struct {
		preprocessor string
		w, h         int
		left, top    int
	}{
		{preprocessor: "caffe-bgr-227", w: 256, h: 256, left: 14, top: 14},
		{preprocessor: "caffe-bgr-224", w: 256, h: 256, left: 16, top: 16},
		{preprocessor: "torchvision-rgb-224", w: 320, h: 256, left: 48, top: 16},
		{preprocessor: "torchvision-rgb-224", w: 256, h: 300, left: 16, top: 38},
		{preprocessor: "cifar-rgb-32", w: 32, h: 32, left: 0, top: 0},
		{preprocessor: "cifar-rgb-32", w: 45, h: 32, left: 6, top: 0},
	} {
		p := lookup(t, test.preprocessor)
		img := image.NewRGBA(image.Rect(0, 0, test.w, test.h))
		for y := range test.h {
			for x := range test.w {
				img.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), uint8(x >> 8), 255})
			}
		}
		v := input(t, test.preprocessor, img)
		for y := range v.H {
			for x := range v.W {
				px := img.RGBAAt(test.left+x, test.top+y)
				for c, o := range p.order {
					want := p.values[c][[]uint8{px.R, px.G, px.B}[o]] // TestColours tests the values
					if got := kernels.At[float32](v, 0, y, x, c); got != want {
						t.Fatalf("%s of %d×%d: pixel %d,%d, channel %d is %v, want %v", test.preprocessor, test.w, test.h, x, y, c, got, want)
					}
				}
			}
		}
	}
}

// TestResize cuts the square out of the resized picture, and compares it with what Apply writes. The picture is sometimes
// a part of another one.
func TestResize(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	all := image.NewRGBA(image.Rect(0, 0, 3000, 520))
	for i := range all.Pix {
		all.Pix[i] = uint8(r.Uint32()) | uint8(i%4/3*255)
	}
	for _, test := range []struct {
		preprocessor string
		src          image.Rectangle
		part         image.Rectangle // of the resized picture
	}{
		{"caffe-bgr-227", image.Rect(0, 0, 300, 200), image.Rect(0, 0, 256, 256)},
		{"caffe-bgr-224", image.Rect(5, 6, 261, 262), image.Rect(5, 6, 261, 262)},
		{"torchvision-rgb-224", image.Rect(1, 2, 300, 200), image.Rect(0, 0, 386, 256)},
		{"torchvision-rgb-224", image.Rect(0, 0, 256, 300), image.Rect(0, 0, 256, 300)},
		{"torchvision-rgb-224", image.Rect(0, 0, 3000, 256), image.Rect(1388-448, 0, 1388+224+448, 256)},
		{"torchvision-rgb-224", image.Rect(0, 0, 3000, 128), image.Rect(2888-448, 0, 2888+224+448, 256)},
		{"torchvision-rgb-224", image.Rect(7, 0, 15, 520), image.Rect(0, 8208-448, 256, 8208+224+448)},
		{"cifar-rgb-32", image.Rect(3, 4, 35, 36), image.Rect(3, 4, 35, 36)},
		{"cifar-rgb-32", image.Rect(0, 0, 300, 200), image.Rect(0, 0, 48, 32)},
	} {
		p := lookup(t, test.preprocessor)
		src := all.SubImage(test.src).(*image.RGBA)
		part, centre := p.Resize(src)
		if part.Rect != test.part || centre.Dx() != p.side || centre.Dy() != p.side || !centre.In(part.Rect) {
			t.Errorf("%s of %v: part %v with centre %v, want %v", p.name, test.src, part.Rect, centre, test.part)
			continue
		}
		want := input(t, p.name, src)
		for y := range p.side {
			for x := range p.side {
				px := part.RGBAAt(centre.Min.X+x, centre.Min.Y+y)
				for c, got := range kernels.Pixel[float32](want, 0, y, x) {
					colour, values := p.Channel(c)
					if got != values[[]uint8{px.R, px.G, px.B}[colour]] {
						t.Fatalf("%s of %v: pixel %d,%d is %v, but Apply writes %v", p.name, test.src, x, y, px, kernels.Pixel[float32](want, 0, y, x))
					}
				}
			}
		}
	}
}

// TestReadResized reads pictures as Read does, with the same errors.
func TestReadResized(t *testing.T) {
	p := lookup(t, "cifar-rgb-32")
	img := image.NewRGBA(image.Rect(0, 0, 40, 50))
	for i := range img.Pix {
		img.Pix[i] = uint8(i) | uint8(i%4/3*255)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	calls := 0
	err := p.ReadResized(bytes.NewReader(b.Bytes()), func(part *image.RGBA, centre image.Rectangle) {
		calls++
		want, wantCentre := p.Resize(img)
		if !bytes.Equal(part.Pix, want.Pix) || centre != wantCentre {
			t.Errorf("part %v with centre %v, want %v with %v and the same pixels", part.Rect, centre, want.Rect, wantCentre)
		}
	})
	if err != nil || calls != 1 {
		t.Errorf("%d calls, error %v", calls, err)
	}
	err = p.ReadResized(strings.NewReader("no picture"), func(*image.RGBA, image.Rectangle) { t.Error("called") })
	if err != ErrFormat {
		t.Errorf("error %v, want %v", err, ErrFormat)
	}
}

// TestExtremes applies preprocessors to the longest images.
func TestExtremes(t *testing.T) {
	for _, p := range preprocessors {
		for _, size := range []image.Point{{maxSide, minSide}, {minSide, maxSide}, {minSide, minSide}} {
			img := image.NewGray(image.Rectangle{Max: size})
			for i := range img.Pix {
				img.Pix[i] = 200
			}
			v := input(t, p.name, img)
			first := kernels.Pixel[float32](v, 0, 0, 0)
			for c, got := range kernels.Pixel[float32](v, 0, v.H-1, v.W-1) {
				if got != first[c] || got == 0 {
					t.Errorf("%s of %v: a grey image has %v in one corner and %v in another", p.name, size, first[c], got)
				}
			}
		}
	}
}

// TestGolden compares with the inputs that another implementation made of
// the same photographs: within one level of 256 on average, which is what
// decoders and the rounding in between differ by.
func TestGolden(t *testing.T) {
	for i, name := range []string{"n02097298_Scotch_terrier.JPEG", "n03016953_chiffonier.JPEG", "n02095889_Sealyham_terrier.JPEG"} {
		f, err := os.Open(kerneltest.Shared(t, "images/"+name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		img, err := Decode(f)
		if err != nil {
			t.Fatal(err)
		}
		want, err := tensor.ReadNPYFile(kerneltest.Shared(t, fmt.Sprintf("golden/input%d.npy", i)))
		if err != nil {
			t.Fatal(err)
		}
		got := tensor.FromView(input(t, "caffe-bgr-227", img))
		var squares, largest float64
		for i := range want.Data {
			d := math.Abs(float64(got.Data[i] - want.Data[i]))
			squares += d * d
			largest = max(largest, d)
		}
		if rms := math.Sqrt(squares / float64(len(want.Data))); !(rms <= 1 && largest <= 5) {
			t.Errorf("%s: differs by %.2f on average and %.0f at most, want 1 and 5", name, rms, largest)
		}
	}
}

// BenchmarkNormalize measures what is left to do for an input of the right size: from bytes to
// the network's values. It belongs beside BenchmarkNet, which starts with them.
func BenchmarkNormalize(b *testing.B) {
	for _, p := range preprocessors {
		b.Run("preprocessor="+p.name, func(b *testing.B) {
			centre := image.NewRGBA(image.Rect(0, 0, p.side, p.side))
			for i := range centre.Pix {
				centre.Pix[i] = byte(i * 7)
			}
			v := kernels.NewView(kernels.Type{}, 1, p.side, p.side, 3, 0)
			for b.Loop() {
				p.normalize(v, centre)
			}
		})
	}
}

func TestApplyToBytes(t *testing.T) {
	p, err := Lookup("caffe-bgr-227")
	if err != nil {
		t.Fatal(err)
	}
	v := kernels.NewView(kernels.Type{Element: kernels.Uint8, Scale: 1}, 1, 227, 227, 3, 0)
	if err := p.Apply(v, image.NewRGBA(image.Rect(0, 0, 300, 300))); err == nil || !strings.Contains(err.Error(), "u8") {
		t.Errorf("error %v, want one that names the type", err)
	}
}
