package preprocess

import (
	"image"
	"image/color"
	"math"
	"testing"
)

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
