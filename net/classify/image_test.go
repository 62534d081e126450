package main

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/models"
	"firebench/net/tensor"
)

func TestRecipesFitModels(t *testing.T) {
	for _, m := range models.All() {
		r, ok := recipes[m.Recipe]
		if !ok {
			t.Errorf("%s: no recipe %q", m.Name, m.Recipe)
		} else if m.Input.H != r.crop || m.Input.W != r.crop || m.Input.C != 3 {
			t.Errorf("%s: recipe %s gives %d×%[3]d×3, the model wants %v", m.Name, m.Recipe, r.crop, m.Input)
		}
	}
}

// input applies a recipe, into a view with a halo of zeros.
func input(t *testing.T, name string, img image.Image) kernels.View {
	t.Helper()
	r, ok := recipes[name]
	if !ok {
		t.Fatalf("no recipe %q", name)
	}
	v := kernels.NewView(kernels.Type{}, 1, r.crop, r.crop, 3, 2)
	r.apply(v, img)
	return v
}

// TestRecipeColours applies the recipes to one colour.
func TestRecipeColours(t *testing.T) {
	for _, test := range []struct {
		recipe string
		colour color.Color
		want   [3]float64
	}{
		{"caffe-bgr-227", color.RGBA{10, 20, 30, 255}, [3]float64{30 - 104, 20 - 117, 10 - 123}},
		{"caffe-bgr-224", color.RGBA{10, 20, 30, 255}, [3]float64{30 - 104, 20 - 117, 10 - 123}},
		{"torchvision-rgb-224", color.RGBA{10, 20, 30, 255}, [3]float64{(10./255 - 0.485) / 0.229, (20./255 - 0.456) / 0.224, (30./255 - 0.406) / 0.225}},
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
		v := input(t, test.recipe, img)
		for y := range v.H {
			for x := range v.W {
				for c, want := range test.want {
					if got := float64(kernels.At[float32](v, 0, y, x, c)); math.Abs(got-want) > 1e-5 {
						t.Fatalf("%s of %v: pixel %d,%d, channel %d is %v, want %v", test.recipe, test.colour, x, y, c, got, want)
					}
				}
			}
		}
		for _, i := range []int{v.Index(0, -1, 5, 0), v.Index(0, v.H, 5, 0), v.Index(0, 5, -1, 0), v.Index(0, 5, v.W, 0)} {
			if kernels.Data[float32](v)[i] != 0 {
				t.Fatalf("%s wrote into the halo", test.recipe)
			}
		}
	}
}

// TestRecipeGeometry applies the recipes to images that they crop, but have no
// need to resize.
func TestRecipeGeometry(t *testing.T) {
	for _, test := range []struct {
		recipe    string
		w, h      int
		left, top int
	}{
		{recipe: "caffe-bgr-227", w: 256, h: 256, left: 14, top: 14},
		{recipe: "caffe-bgr-224", w: 256, h: 256, left: 16, top: 16},
		{recipe: "torchvision-rgb-224", w: 320, h: 256, left: 48, top: 16},
		{recipe: "torchvision-rgb-224", w: 256, h: 300, left: 16, top: 38},
	} {
		r := recipes[test.recipe]
		img := image.NewRGBA(image.Rect(0, 0, test.w, test.h))
		for y := range test.h {
			for x := range test.w {
				img.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), uint8(x >> 8), 255})
			}
		}
		v := input(t, test.recipe, img)
		for y := range v.H {
			for x := range v.W {
				p := img.RGBAAt(test.left+x, test.top+y)
				for c, o := range r.order {
					want := (float64([]uint8{p.R, p.G, p.B}[o])/255*r.scale - r.mean[c]) / r.dev[c]
					if got := float64(kernels.At[float32](v, 0, y, x, c)); math.Abs(got-want) > 1e-5 {
						t.Fatalf("%s of %d×%d: pixel %d,%d, channel %d is %v, want %v", test.recipe, test.w, test.h, x, y, c, got, want)
					}
				}
			}
		}
	}
}

// TestRecipeExtremes applies the recipes to the longest images.
func TestRecipeExtremes(t *testing.T) {
	for name := range recipes {
		for _, size := range []image.Point{{maxSide, minSide}, {minSide, maxSide}, {minSide, minSide}} {
			img := image.NewGray(image.Rectangle{Max: size})
			for i := range img.Pix {
				img.Pix[i] = 200
			}
			v := input(t, name, img)
			first := kernels.Pixel[float32](v, 0, 0, 0)
			for c, got := range kernels.Pixel[float32](v, 0, v.H-1, v.W-1) {
				if got != first[c] || got == 0 {
					t.Errorf("%s of %v: a grey image has %v in one corner and %v in another", name, size, first[c], got)
				}
			}
		}
	}
}

// TestRecipeGolden compares with the inputs that another implementation made of
// the same photographs: within one level of 256 on average, which is what
// decoders and the rounding in between differ by.
func TestRecipeGolden(t *testing.T) {
	for i, name := range []string{"n02097298_Scotch_terrier.JPEG", "n03016953_chiffonier.JPEG", "n02095889_Sealyham_terrier.JPEG"} {
		f, err := os.Open(kerneltest.Shared(t, "images/"+name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		img, err := decode(f)
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

// TestInterpolateChroma checks that colours that change linearly across the image
// do so after the conversion, at every subsampling and at odd sizes.
func TestInterpolateChroma(t *testing.T) {
	for _, ratio := range []image.YCbCrSubsampleRatio{
		image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420,
		image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410,
	} {
		for _, size := range []image.Point{{32, 24}, {31, 25}, {9, 17}, {1, 1}} {
			img := image.NewYCbCr(image.Rectangle{Max: size}, ratio)
			sx, sy := subsampling(ratio)
			// The value of a linear function at pixel x, y, and its sample.
			cb := func(x, y float64) float64 { return 80 + 2*x + y }
			cr := func(x, y float64) float64 { return 170 - x - 2*y }
			for j := range (size.Y + sy - 1) / sy {
				for i := range (size.X + sx - 1) / sx {
					x, y := float64(i*sx)+float64(sx-1)/2, float64(j*sy)+float64(sy-1)/2
					img.Cb[j*img.CStride+i] = uint8(math.Round(cb(x, y)))
					img.Cr[j*img.CStride+i] = uint8(math.Round(cr(x, y)))
				}
			}
			for i := range img.Y {
				img.Y[i] = uint8(90 + i%7)
			}
			got := interpolateChroma(img)
			if got.Rect != img.Rect {
				t.Fatalf("bounds %v, want %v", got.Rect, img.Rect)
			}
			for y := range size.Y {
				for x := range size.X {
					// Beyond the outermost centres, colours are constant.
					cx := min(max(float64(x), float64(sx-1)/2), float64((size.X+sx-1)/sx*sx-sx)+float64(sx-1)/2)
					cy := min(max(float64(y), float64(sy-1)/2), float64((size.Y+sy-1)/sy*sy-sy)+float64(sy-1)/2)
					r, g, b := color.YCbCrToRGB(img.Y[img.YOffset(x, y)], uint8(math.Round(cb(cx, cy))), uint8(math.Round(cr(cx, cy))))
					p := got.RGBAAt(x, y)
					for c, pair := range [][2]uint8{{p.R, r}, {p.G, g}, {p.B, b}, {p.A, 255}} {
						// One level of chroma is at most 1.8 of blue.
						if d := math.Abs(float64(pair[0]) - float64(pair[1])); d > 2 {
							t.Fatalf("%v %v: pixel %d,%d, channel %d is %d, want %d", ratio, size, x, y, c, pair[0], pair[1])
						}
					}
				}
			}
		}
	}
}

// BenchmarkConvert measures what is left to do for an input of the right size: from bytes to
// the network's values. It belongs beside BenchmarkNet, which starts with them.
func BenchmarkConvert(b *testing.B) {
	for name, r := range recipes {
		b.Run("recipe="+name, func(b *testing.B) {
			crop := image.NewRGBA(image.Rect(0, 0, r.crop, r.crop))
			for i := range crop.Pix {
				crop.Pix[i] = byte(i * 7)
			}
			v := kernels.NewView(kernels.Type{}, 1, r.crop, r.crop, 3, 0)
			for b.Loop() {
				r.convert(v, crop)
			}
		})
	}
}
