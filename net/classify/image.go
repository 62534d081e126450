package main

import (
	"errors"
	"fmt"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"math"
	"strings"

	"golang.org/x/image/draw"

	"firebench/kernels"
)

// Limits on images. Decoding the worst kind, a progressive JPEG with four
// channels, takes 28 bytes per pixel.
const (
	minSide   = 8
	maxSide   = 16384
	maxPixels = 25_000_000
)

// A recipe turns an image into a network's input: resize, crop the centre, and
// for each channel (value/255·scale − mean) / dev.
type recipe struct {
	resize func(w, h int) (int, int)
	crop   int // side of the centre square that is used
	order  [3]int
	scale  float64
	mean   [3]float64
	dev    [3]float64
}

// Indices into the channels of image.RGBA.
const (
	red = iota
	green
	blue
)

// recipes are those that models and weights name.
var recipes = map[string]recipe{
	"caffe-bgr-227":       caffe(227),
	"caffe-bgr-224":       caffe(224),
	"torchvision-rgb-224": torchvision(224),
}

// caffe is the recipe of the Caffe models: the whole image squeezed into a
// square, channels in OpenCV's order, 0 to 255, minus ImageNet's rounded means.
func caffe(crop int) recipe {
	return recipe{
		resize: func(w, h int) (int, int) { return 256, 256 },
		crop:   crop,
		order:  [3]int{blue, green, red},
		scale:  255,
		mean:   [3]float64{104, 117, 123},
		dev:    [3]float64{1, 1, 1},
	}
}

// torchvision is the recipe of torchvision's models: the aspect ratio is kept,
// channels from 0 to 1 are normalized by ImageNet's means and deviations.
func torchvision(crop int) recipe {
	const short = 256
	return recipe{
		resize: func(w, h int) (int, int) {
			if w < h {
				return short, short * h / w
			}
			return short * w / h, short
		},
		crop:  crop,
		order: [3]int{red, green, blue},
		scale: 1,
		mean:  [3]float64{0.485, 0.456, 0.406},
		dev:   [3]float64{0.229, 0.224, 0.225},
	}
}

// apply writes img into the first image of v, which must have three channels and
// the crop's sides. The resampling filter is a triangle that widens when it shrinks
// the image.
func (r recipe) apply(v kernels.View, img image.Image) {
	// Only the centre of the resized image comes into being: all of it could be huge
	// for a long and narrow image.
	full := flatten(img)
	w, h := r.resize(full.Rect.Dx(), full.Rect.Dy())
	left := int(math.RoundToEven(float64(w-r.crop) / 2))
	top := int(math.RoundToEven(float64(h-r.crop) / 2))
	crop := image.NewRGBA(image.Rect(left, top, left+r.crop, top+r.crop))
	draw.BiLinear.Scale(crop, image.Rect(0, 0, w, h), full, full.Rect, draw.Src, nil)
	r.convert(v, crop)
}

// convert writes the pixels of crop into the first image of v.
func (r recipe) convert(v kernels.View, crop *image.RGBA) {
	var values [3][256]float32 // of a channel of v, by the byte
	for c := range values {
		for b := range values[c] {
			values[c][b] = float32((float64(b)/255*r.scale - r.mean[c]) / r.dev[c])
		}
	}
	first, second, third := r.order[0], r.order[1], r.order[2]
	for y := range r.crop {
		src := crop.Pix[y*crop.Stride:]
		dst := kernels.Data[float32](v)[v.Index(0, y, 0, 0):]
		for range r.crop { // &3: no bounds to check
			rgba, px := (*[4]byte)(src), (*[3]float32)(dst)
			px[0] = values[0][rgba[first&3]]
			px[1] = values[1][rgba[second&3]]
			px[2] = values[2][rgba[third&3]]
			src, dst = src[4:], dst[min(v.Pixel, len(dst)):]
		}
	}
}

// flatten returns img without transparency: what can be seen through is white. An
// orientation in Exif data is ignored, as the recipes' inventors did.
func flatten(img image.Image) *image.RGBA {
	if img, ok := img.(*image.YCbCr); ok {
		return interpolateChroma(img)
	}
	flat := image.NewRGBA(img.Bounds())
	draw.Draw(flat, flat.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(flat, flat.Rect, img, flat.Rect.Min, draw.Over)
	return flat
}

// decode reads a JPEG, PNG or GIF, of an animation the first picture, within the
// limits.
func decode(r io.ReadSeeker) (image.Image, error) {
	config, format, err := image.DecodeConfig(r)
	if err != nil {
		return nil, decodeError(format, err)
	}
	if err := checkSize(config.Width, config.Height); err != nil {
		return nil, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	img, format, err := image.Decode(r)
	if err != nil {
		return nil, decodeError(format, err)
	}
	// Again: the first picture of an animation may be a part of the canvas.
	return img, checkSize(img.Bounds().Dx(), img.Bounds().Dy())
}

func checkSize(w, h int) error {
	switch {
	case min(w, h) < minSide:
		return fmt.Errorf("image of %d×%d pixels, expected at least %d on each side", w, h, minSide)
	case max(w, h) > maxSide:
		return fmt.Errorf("image of %d×%d pixels, expected at most %d on each side", w, h, maxSide)
	case w*h > maxPixels:
		return fmt.Errorf("image of %d×%d pixels, expected at most %d megapixels", w, h, maxPixels/1_000_000)
	}
	return nil
}

func decodeError(format string, err error) error {
	if errors.Is(err, image.ErrFormat) {
		return errors.New("not a JPEG, PNG or GIF image (a tensor would be called .npy)")
	}
	return fmt.Errorf("damaged or truncated %s image: %w", strings.ToUpper(format), err)
}
