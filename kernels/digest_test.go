package kernels_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
)

// digestCases are convolutions that together use every tile in many heights, with strips that are
// rows and strips that are not, with groups, as dense layers, and with a border.
func digestCases() []convCase {
	cases := []convCase{
		conv(33, 31, 3, 96, 7, 2, 0, 1),   // a first layer of SqueezeNet's kind
		conv(27, 27, 48, 16, 1, 1, 0, 1),  // squeeze
		conv(27, 13, 16, 64, 1, 1, 0, 1),  // expand
		conv(27, 13, 16, 64, 3, 1, 1, 1),  // expand
		conv(13, 13, 24, 67, 1, 1, 1, 1),  // the published head's padding
		conv(9, 8, 12, 20, 5, 1, 2, 2),    // groups
		conv(23, 23, 3, 33, 11, 4, 2, 1),  // a first layer of AlexNet's kind
		conv(1, 257, 33, 49, 1, 1, 0, 1),  // ragged
		conv(1, 1, 300, 1000, 1, 1, 0, 1), // dense
	}
	for i := range cases {
		cases[i].relu = i%2 == 0
	}
	return cases
}

// chain computes the case as the documentation of package kernels defines the direct algorithm:
// each output is one chain of multiply-adds over (kernel row, kernel column, input channel) that
// starts at the bias.
func (c convCase) chain(mulAdd func(x, y, z float32) float32) []float32 {
	d := c.data()
	src := d.src.dense()
	oh, ow := c.OutSize(c.h, c.w)
	var out []float32
	zeros := make([]float32, c.In)
	in, outs := c.In/c.Groups, c.Out/c.Groups
	for n := range c.n {
		for y := range oh {
			for x := range ow {
				for o := range c.Out {
					acc := d.bias[o]
					for kh := range c.KH {
						for kw := range c.KW {
							px := zeros
							if sy, sx := y*c.Stride-c.Pad.Top+kh, x*c.Stride-c.Pad.Left+kw; sy >= 0 && sy < c.h && sx >= 0 && sx < c.w {
								px = kernels.Pixel[float32](src, n, sy, sx)
							}
							for i, v := range px[o/outs*in:][:in] {
								acc = mulAdd(v, d.weights[((o*in+i)*c.KH+kh)*c.KW+kw], acc)
							}
						}
					}
					if c.relu {
						acc = max(acc, 0)
					}
					out = append(out, acc)
				}
			}
		}
	}
	return out
}

// digest returns a hash of the bits of values.
func digest(values []float32) string {
	b := make([]byte, 0, 4*len(values))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return fmt.Sprintf("%.12x", sha256.Sum256(b))
}

// TestDigest: the direct algorithm gives the bits of the chain that the documentation promises,
// on every instruction set that has a fused multiply-add, with any number of threads and in any
// layout. The scalar kernels give the bits of the chain whose products are rounded.
func TestDigest(t *testing.T) {
	type key struct {
		convCase
		fused bool
	}
	chains := map[key]string{}
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, c := range digestCases() {
			k := key{c, set.ISA != kernels.Scalar}
			if chains[k] == "" {
				chains[k] = digest(c.chain(mulAdd(set.ISA)))
			}
			d, out := c.data(), c.output()
			for threads := 1; threads <= 3; threads++ {
				for _, l := range []layout{{}, {halo: 2, before: 1, after: 3}} {
					dst := out.in(l).view(make([]float32, out.in(l).size()))
					src := d.src.in(layout{halo: max(l.halo, c.Pad.Max()), before: l.before, after: l.after})
					run(bindDirect(t, set, c, dst, src.view(make([]float32, src.size())), threads), threads)
					if got := digest(values(dst)); got != chains[k] {
						t.Errorf("%v, %d threads, layout %+v: digest %s, want %s", c, threads, l, got, chains[k])
					}
				}
			}
		}
	})
}

// TestDigestWinograd: Winograd's algorithm gives the same bits on all instruction sets that have
// a fused multiply-add, with any number of threads and in any layout. The scalar kernels round
// otherwise: their bits are the same with any number of threads and in any layout.
func TestDigestWinograd(t *testing.T) {
	cases := []convCase{
		conv(27, 13, 16, 64, 3, 1, 1, 1),
		conv(13, 15, 48, 67, 3, 1, 1, 1),
		conv(9, 11, 22, 40, 3, 1, 0, 2),
		conv(14, 9, 5, 33, 4, 1, 1, 1),
		conv(13, 13, 32, 50, 5, 1, 2, 2),
		conv(33, 31, 3, 96, 7, 2, 0, 1),
		conv(39, 41, 3, 31, 11, 4, 2, 1),
		conv(22, 23, 7, 9, 8, 2, 3, 1),
	}
	type key struct {
		convCase
		fused bool
	}
	want := map[key]string{}
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for i, c := range cases {
			c.relu, c.n = i%2 == 0, 1+i%2
			k := key{c, set.ISA != kernels.Scalar}
			op, d, out := packWinograd(t, set, c), c.data(), c.output()
			for threads := 1; threads <= 3; threads++ {
				for _, l := range []layout{{}, {halo: 2, before: 1, after: 3}} {
					dst := out.in(l).view(make([]float32, out.in(l).size()))
					src := d.src.in(layout{halo: max(l.halo, c.Pad.Max()), before: l.before, after: l.after})
					task, err := op.Bind(dst, src.view(make([]float32, src.size())), threads)
					if err != nil {
						t.Fatal(err)
					}
					run(task, threads)
					got := digest(values(dst))
					if want[k] == "" {
						want[k] = got
					}
					if got != want[k] {
						t.Errorf("%v, %d threads, layout %+v: digest %s, want %s", c, threads, l, got, want[k])
					}
				}
			}
		}
	})
}

// TestDigestTiles: an output does not depend on the tile that computes it. Every range of output
// channels, computed alone, has the same bits as in the whole layer.
func TestDigestTiles(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		c := conv(5, 29, 7, 2*set.F32.Conv.Wide.Width+set.F32.Conv.Narrow.Width+3, 3, 1, 1, 1)
		d := c.data()
		source := d.src.in(layout{halo: 1})
		src := source.view(make([]float32, source.size()))
		whole := kernels.NewView(kernels.Type{}, 1, 5, 29, c.Out, 0)
		run(bindDirect(t, set, c, whole, src, 1), 1)

		for _, width := range kerneltest.Sizes(set.F32.Conv.Narrow.Width, set.F32.Conv.Wide.Width) {
			for first := 0; first+width <= c.Out; first += width {
				s := c.ConvShape
				s.Out = width
				op, err := newDirect(set, s, d.weights[first*s.K():][:s.Weights()], d.bias[first:][:width], false)
				if err != nil {
					t.Fatal(err)
				}
				part := kernels.NewView(kernels.Type{}, 1, 5, 29, width, 0)
				task, err := op.Bind(part, src, 1)
				if err != nil {
					t.Fatal(err)
				}
				run(task, 1)
				if got, want := digest(values(part)), digest(values(whole.Channels(first, width))); got != want {
					t.Errorf("output channels %d to %d alone: digest %s, within %d channels %s", first, first+width-1, got, c.Out, want)
				}
			}
		}
	})
}
