package bench

import (
	"math/rand/v2"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// BenchmarkKernel measures one call of a convolution kernel, at its full height, for
// the kernel size, stride and input channels of every convolution: what the kernel
// reaches when its data is in the nearest cache and nothing happens around it.
func BenchmarkKernel(b *testing.B) {
	eachNet(b, func(b *testing.B, m *graph.Model) {
		nodes, err := m.Infer()
		if err != nil {
			b.Fatal(err)
		}
		for _, n := range nodes {
			conv, ok := n.Layer.(layer.Conv)
			if !ok {
				continue
			}
			sub(b, "layer="+n.Name, func(b *testing.B) {
				eachISA(b, func(b *testing.B, set *kernels.Set) {
					for _, t := range []kernels.Tile{set.Wide, set.Narrow} {
						sub(b, "kernel="+t.Name(set.ISA), func(b *testing.B) { tile(b, set, t, conv.ConvShape(n.In[0])) })
					}
				})
			})
		}
	})
}

// tile measures t on a convolution that differs from s in its output: one row of as many
// pixels, and as many channels, as t computes at a time.
func tile(b *testing.B, set *kernels.Set, t kernels.Tile, s kernels.ConvShape) {
	s.In, s.Out, s.Groups, s.Pad = s.In/s.Groups, t.Width, 1, 0
	pixels := t.Height()
	r := rand.New(rand.NewPCG(seed, 0))
	weights := make([]float32, s.Weights())
	for i := range weights {
		weights[i] = float32(r.NormFloat64())
	}
	c, err := kernels.NewConv(set, s, weights, nil, true)
	if err != nil {
		b.Fatal(err)
	}
	src := kernels.NewView(1, s.KH, (pixels-1)*s.Stride+s.KW, s.In, 0)
	for i := range src.Data {
		src.Data[i] = float32(r.NormFloat64())
	}
	task, err := c.Bind(kernels.NewView(1, 1, pixels, s.Out, 0), src, 1)
	if err != nil {
		b.Fatal(err)
	}
	macs := int64(pixels * s.Out * s.K())
	bytes := 4 * int64(len(src.Data)+s.Weights()+s.Out+pixels*s.Out)
	measure(b, set, kernels.Cost{MACs: macs, Bytes: bytes}, false, func() error {
		for i := range task.Chunks() {
			task.Chunk(0, i)
		}
		return nil
	})
}
