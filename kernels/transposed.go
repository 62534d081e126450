package kernels

import "fmt"

// Transposed returns the convolution that computes the gradient of the input of s, for images of h×w pixels,
// from the gradient of its output. The weights of t are those of s transposed, see [Loader], and its stride is 1.
//
// Where the stride of s is not 1, the gradient is first dilated by it, see [BindDilate], without zeros behind
// the last row and column. Where crop is not 0, so many rows and columns of the gradient, dilated or not, are
// then left out on each side, see [View.Crop]: their windows have nothing but padding.
func (s ConvShape) Transposed(h, w int) (t ConvShape, crop Padding, err error) {
	if err := s.Check(); err != nil {
		return t, crop, err
	}
	oh, ow := s.OutSize(h, w)
	if h < 1 || w < 1 || oh < 1 || ow < 1 {
		return t, crop, fmt.Errorf("convolution: image is %d×%d, expected at least one window of %d×%d with padding %v", h, w, s.KH, s.KW, s.Pad)
	}
	t = ConvShape{In: s.Out, Out: s.In, KH: s.KH, KW: s.KW, Stride: 1, Groups: s.Groups}
	gh, gw := (oh-1)*s.Stride+1, (ow-1)*s.Stride+1
	// Input i has tap k of the dilated gradient's i+before-k. A window of t that begins outside of the
	// gradient begins in padding; where the first begins further on, what is before it is left out.
	side := func(missing int) (pad, crop int) { return max(missing, 0), max(-missing, 0) }
	t.Pad.Top, crop.Top = side(s.KH - 1 - s.Pad.Top)
	t.Pad.Left, crop.Left = side(s.KW - 1 - s.Pad.Left)
	t.Pad.Bottom, crop.Bottom = side(h + s.Pad.Top - gh)
	t.Pad.Right, crop.Right = side(w + s.Pad.Left - gw)
	if crop.Top+crop.Bottom >= gh || crop.Left+crop.Right >= gw {
		return t, crop, fmt.Errorf("convolution: no window of %d×%d with stride %d and padding %v has a pixel of an image of %d×%d", s.KH, s.KW, s.Stride, s.Pad, h, w)
	}
	return t, crop, t.Check()
}
