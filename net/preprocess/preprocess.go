// Package preprocess stands before and after a network: it decodes pictures, also hostile
// ones, turns them into inputs as the network was trained to see them, and says which of
// the ImageNet classes the outputs are.
//
// A network's model names its [Preprocessor]. For a single picture, [Preprocessor.Read] is
// all that is needed; [Ahead] reads many on all processors while the network runs.
package preprocess

import (
	"context"
	"fmt"
	"image"
	"io"
	"math"
	"strings"

	"golang.org/x/image/draw"
	"golang.org/x/sync/semaphore"

	"firebench/kernels"
)

// A Preprocessor turns pictures into a network's input: it resizes the picture, keeps the
// square in its centre, and maps each of three channels from 0…255 to
// (value/255·scale − mean) / deviation. It may be used by many goroutines at once.
type Preprocessor struct {
	name   string
	side   int                       // of the square
	size   func(w, h int) (int, int) // of the resized picture
	order  [channels]int             // which colour each channel holds
	values [channels][256]float32    // of each channel, by the byte of its colour
}

const channels = 3

// The colours' places in a pixel of an image.RGBA.
const (
	red = iota
	green
	blue
)

// preprocessors are those that models and weights name.
var preprocessors = []*Preprocessor{
	caffe(227),
	caffe(224),
	torchvision(224),
	cifar(),
}

// Names returns the names of all preprocessors.
func Names() []string {
	var names []string
	for _, p := range preprocessors {
		names = append(names, p.name)
	}
	return names
}

// Lookup returns the preprocessor of that name; the error lists the names that there are.
func Lookup(name string) (*Preprocessor, error) {
	for _, p := range preprocessors {
		if p.name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("unknown preprocessor %q, expected one of %s", name, strings.Join(Names(), ", "))
}

// caffe is what the Caffe models were trained with: the whole picture is squeezed into
// 256×256 pixels; channels are in OpenCV's order, from 0 to 255, minus ImageNet's rounded
// means. See https://github.com/forresti/SqueezeNet, train_val.prototxt.
func caffe(side int) *Preprocessor {
	return &Preprocessor{
		name:  fmt.Sprintf("caffe-bgr-%d", side),
		side:  side,
		size:  func(w, h int) (int, int) { return resized, resized },
		order: [channels]int{blue, green, red},
		values: normalized(255,
			[channels]float64{104, 117, 123},
			[channels]float64{1, 1, 1}),
	}
}

// torchvision is what torchvision's models were trained with: the shorter side becomes
// 256 pixels, the aspect ratio is kept; channels from 0 to 1 are normalized by ImageNet's
// means and deviations. See https://docs.pytorch.org/vision/stable/models.html.
func torchvision(side int) *Preprocessor {
	return &Preprocessor{
		name:  fmt.Sprintf("torchvision-rgb-%d", side),
		side:  side,
		size:  shorterSide(resized),
		order: [channels]int{red, green, blue},
		values: normalized(1,
			[channels]float64{0.485, 0.456, 0.406},
			[channels]float64{0.229, 0.224, 0.225}),
	}
}

// cifar is for networks that see 32×32 pixels, as the pictures of CIFAR-10 have; the shorter side of any other
// becomes 32 pixels. Channels from 0 to 1 are normalized by the means and deviations of CIFAR-10's training pictures.
func cifar() *Preprocessor {
	const side = 32
	return &Preprocessor{
		name:  "cifar-rgb-32",
		side:  side,
		size:  shorterSide(side),
		order: [channels]int{red, green, blue},
		values: normalized(1,
			[channels]float64{0.4914, 0.4822, 0.4465},
			[channels]float64{0.2470, 0.2435, 0.2616}),
	}
}

// resized is the shorter side of a picture that has been resized, before the centre is cut out. No preprocessor
// has a larger one.
const resized = 256

// shorterSide returns the size of a picture whose shorter side becomes n pixels, and whose aspect ratio is kept.
func shorterSide(n int) func(w, h int) (int, int) {
	return func(w, h int) (int, int) {
		if w < h {
			return n, n * h / w
		}
		return n * w / h, n
	}
}

// normalized returns the values of each channel by the byte of its colour.
func normalized(scale float64, mean, deviation [channels]float64) (values [channels][256]float32) {
	for c := range values {
		for b := range values[c] {
			values[c][b] = float32((float64(b)/255*scale - mean[c]) / deviation[c])
		}
	}
	return values
}

// Name returns the name that models use, for example caffe-bgr-227.
func (p *Preprocessor) Name() string { return p.name }

// Side returns the height and width of the inputs that p makes; they have 3 channels.
func (p *Preprocessor) Side() int { return p.side }

// Channel returns which colour channel c of the inputs holds, 0 for red, 1 for green and 2 for blue, and its values
// by the byte of that colour. The values are not to be changed.
func (p *Preprocessor) Channel(c int) (colour int, values *[256]float32) {
	return p.order[c], &p.values[c]
}

// memory is what the pictures that are being read may take together.
var memory = semaphore.NewWeighted(MaxMemory)

// Read decodes the picture in r, from its start and as [Decode] does, and writes it into v as
// [Preprocessor.Apply] does. However many goroutines read at a time, their pictures
// take at most MaxMemory together: they wait for each other.
func (p *Preprocessor) Read(v kernels.View, r io.ReadSeeker) error {
	return decoded(r, func(img *image.RGBA) error { return p.Apply(v, img) })
}

// ReadResized decodes the picture in r, as Read does, and calls use with what [Preprocessor.Resize] returns.
func (p *Preprocessor) ReadResized(r io.ReadSeeker, use func(part *image.RGBA, centre image.Rectangle)) error {
	return decoded(r, func(img *image.RGBA) error {
		use(p.Resize(img))
		return nil
	})
}

// decoded calls use with the picture in r, when there is memory for it.
func decoded(r io.ReadSeeker, use func(*image.RGBA) error) error {
	h, err := readHeader(r)
	if err != nil {
		return err
	}
	if err := memory.Acquire(context.Background(), h.memory); err != nil {
		return err
	}
	defer memory.Release(h.memory)
	img, err := h.decode(r)
	if err != nil {
		return err
	}
	return use(img)
}

// resizeMemory returns how many bytes the resizing of a picture takes at most beside the
// picture: draw has four float64 for each row of the source and column of the result.
func resizeMemory(w, h int) int64 { return 32 * resized * int64(max(w, h)) }

// Apply writes img into v: one image of Side×Side pixels with 3 channels, in float32. Whatever
// shows through img is white. The resampling filter is a triangle that widens when it
// shrinks the picture. It fails when v has another shape or type.
func (p *Preprocessor) Apply(v kernels.View, img image.Image) error {
	if v.N != 1 || v.H != p.side || v.W != p.side || v.C != channels {
		return fmt.Errorf("preprocess: view of %v, expected 1×%d×%[2]d×%d for %s", v, p.side, channels, p.name)
	}
	if v.Type != (kernels.Type{}) {
		return fmt.Errorf("preprocess: view of %v, expected %v", v.Type, kernels.Float32)
	}
	src := opaque(img)
	if src.Rect.Empty() {
		return fmt.Errorf("preprocess: empty image, %v", src.Rect)
	}
	whole, centre := p.frame(src)
	p.normalize(v, scale(src, whole, centre))
	return nil
}

// Resize returns the resized picture, of which [Preprocessor.Apply] keeps the square centre: training keeps other parts
// of it. It has as many pixels around the centre as there are, but no more than 2·Side on each side:
// a long and narrow picture is huge when its shorter side is 256 pixels. It may be img itself, if that has the size.
// An empty img is a panic.
func (p *Preprocessor) Resize(img image.Image) (part *image.RGBA, centre image.Rectangle) {
	src := opaque(img)
	whole, centre := p.frame(src)
	if whole.Size() == src.Rect.Size() && whole.Dx() <= 5*p.side && whole.Dy() <= 5*p.side {
		return src, centre.Add(src.Rect.Min)
	}
	return scale(src, whole, centre.Inset(-2*p.side).Intersect(whole)), centre
}

// frame returns the rectangle of the resized picture, and the square in its centre.
func (p *Preprocessor) frame(src *image.RGBA) (whole, centre image.Rectangle) {
	w, h := p.size(src.Rect.Dx(), src.Rect.Dy())
	left := int(math.RoundToEven(float64(w-p.side) / 2))
	top := int(math.RoundToEven(float64(h-p.side) / 2))
	return image.Rect(0, 0, w, h), image.Rect(left, top, left+p.side, top+p.side)
}

// scale returns a part of src resized to whole. Only that is computed.
func scale(src *image.RGBA, whole, part image.Rectangle) *image.RGBA {
	dst := image.NewRGBA(part)
	draw.BiLinear.Scale(dst, whole, src, src.Rect, draw.Src, nil)
	return dst
}

// normalize writes the pixels of centre, which has the sides of v, into v.
func (p *Preprocessor) normalize(v kernels.View, centre *image.RGBA) {
	first, second, third := p.order[0], p.order[1], p.order[2]
	for y := range p.side {
		src := centre.Pix[y*centre.Stride:]
		dst := kernels.Data[float32](v)[v.Index(0, y, 0, 0):]
		for range p.side { // &3: no bounds to check
			rgba, px := (*[4]byte)(src), (*[channels]float32)(dst)
			px[0] = p.values[0][rgba[first&3]]
			px[1] = p.values[1][rgba[second&3]]
			px[2] = p.values[2][rgba[third&3]]
			src, dst = src[4:], dst[min(v.Pixel, len(dst)):]
		}
	}
}
