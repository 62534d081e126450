package preprocess

import (
	"image"
	"image/color"
)

// interpolateChroma converts a decoded JPEG, whose colours may be stored at half
// the resolution, interpolating them linearly between the centres of the samples.
// So do libjpeg and, with it, the tools that the networks were trained with. Go's own conversion repeats the
// nearest sample; for a small image, resized to several times its colours'
// resolution, that moves the probabilities by up to a tenth.
func interpolateChroma(img *image.YCbCr) *image.RGBA {
	out := image.NewRGBA(img.Rect)
	w, h := img.Rect.Dx(), img.Rect.Dy()
	sx, sy := subsampling(img.SubsampleRatio)
	den := 4 * sx * sy // of the product of two weights
	xs := make([]tap, w)
	for x := range xs {
		xs[x] = tapAt(x, w, sx)
	}
	for y := range h {
		ty := tapAt(y, h, sy)
		at := func(plane []uint8, tx tap) uint8 {
			low, high := plane[ty.low*img.CStride:], plane[ty.high*img.CStride:]
			sum := (2*sy-ty.weight)*((2*sx-tx.weight)*int(low[tx.low])+tx.weight*int(low[tx.high])) +
				ty.weight*((2*sx-tx.weight)*int(high[tx.low])+tx.weight*int(high[tx.high]))
			return uint8((sum + den/2) / den)
		}
		for x, tx := range xs {
			r, g, b := color.YCbCrToRGB(img.Y[y*img.YStride+x], at(img.Cb, tx), at(img.Cr, tx))
			copy(out.Pix[y*out.Stride+4*x:], []uint8{r, g, b, 255})
		}
	}
	return out
}

// A tap says where along one axis a pixel finds its colour: in the sample high with
// this weight, and in the sample low with what remains to twice the subsampling.
type tap struct{ low, high, weight int }

// tapAt returns the tap of pixel i of n with one sample for s pixels.
func tapAt(i, n, s int) tap {
	// In units of half a pixel, the centre of pixel i is at 2i+1, that of sample j at
	// (2j+1)·s.
	from0 := 2*i + 1 - s
	low := (from0+2*s)/(2*s) - 1 // rounded down, also below 0
	last := (n+s-1)/s - 1
	return tap{max(low, 0), min(low+1, last), from0 - 2*s*low}
}

// subsampling returns how many pixels there are to a colour sample.
func subsampling(ratio image.YCbCrSubsampleRatio) (sx, sy int) {
	switch ratio {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	}
	return 1, 1
}
