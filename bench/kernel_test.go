package bench

import (
	"cmp"
	"math/rand/v2"
	"testing"

	"firebench/kernels"
	"firebench/net/layer"
)

// BenchmarkKernel measures one call of a convolution kernel, at its full height, for
// the kernel size, stride and input channels of every convolution: what the kernel
// reaches when its data is in the nearest cache and nothing happens around it.
func BenchmarkKernel(b *testing.B) {
	eachNet(b, func(b *testing.B, net *network) {
		nodes, err := net.Infer()
		if err != nil {
			b.Fatal(err)
		}
		for _, n := range nodes {
			conv, ok := n.Layer.(layer.Conv)
			if !ok {
				continue
			}
			sub(b, "layer="+n.Name, func(b *testing.B) {
				eachType(b, net, func(b *testing.B, t *numberType) {
					t.eachISA(b, func(b *testing.B, set *kernels.Set) {
						for _, k := range t.tiles(set) {
							sub(b, "kernel="+k.name, func(b *testing.B) { measureTile(b, t, set, k, conv, n.In[0].C) })
						}
					})
				})
			})
		}
	})
}

// A tile is a kernel that computes so many pixels by so many channels.
type tile struct {
	name             string
	pixels, channels int
}

// tilesOf returns the tiles of a family, one where it serves as both.
func tilesOf[F any](family string, isa kernels.ISA, t kernels.Tiles[F]) []tile {
	var tiles []tile
	for _, k := range []kernels.Tile[F]{t.Wide, t.Narrow} {
		if len(tiles) == 0 || tiles[0].channels != k.Width {
			tiles = append(tiles, tile{k.Name(family, isa), k.Height(), k.Width})
		}
	}
	return tiles
}

// measureTile measures a tile on a convolution that differs from conv, whose input has so many
// channels, in its output: one row of as many pixels, and as many channels, as the tile computes
// at a time. Where an algorithm stores the inputs in another form first, that counts.
func measureTile(b *testing.B, t *numberType, set *kernels.Set, k tile, conv layer.Conv, channels int) {
	conv.Type = t.values
	in := layer.Shape{H: conv.Kernel, W: (k.pixels-1)*max(conv.Stride, 1) + cmp.Or(conv.KernelW, conv.Kernel), C: channels / max(conv.Groups, 1), Type: t.values}
	conv.Out, conv.Pad, conv.Groups = k.channels, kernels.Pad(0), 1
	shape := conv.ConvShape(in)
	r := rand.New(rand.NewPCG(seed, 0))
	weights := make([]float32, shape.Weights())
	for i := range weights {
		weights[i] = float32(r.NormFloat64())
	}
	p := kernels.Problem{ConvShape: shape, H: in.H, W: in.W, Src: t.values, Dst: t.values, ReLU: true}
	c, err := kernels.NewConv(set, kernels.Algorithms()[0], p, kernels.Weights{Values: weights})
	if err != nil {
		b.Fatal(err)
	}
	src, dst := kernels.NewView(t.values, 1, p.H, p.W, in.C, 0), kernels.NewView(t.values, 1, 1, k.pixels, conv.Out, 0)
	t.fill(src, r)
	task, err := c.Bind(dst, src, 1)
	if err != nil {
		b.Fatal(err)
	}
	measure(b, t, set, conv.Cost([]layer.Shape{in}), false, func() error {
		for i := range task.Chunks() {
			task.Chunk(0, i)
		}
		return nil
	})
}
