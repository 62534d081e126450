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
					tiles := []kernels.Tile[kernels.ConvFunc]{set.F32.Conv.Wide, set.F32.Conv.Narrow}
					if tiles[0].Width == tiles[1].Width {
						tiles = tiles[:1] // one tile serves as both
					}
					for _, t := range tiles {
						sub(b, "kernel="+t.Name("conv_f32", set.ISA), func(b *testing.B) { tile(b, set, t, conv.ConvShape(n.In[0])) })
					}
				})
			})
		}
	})
}

// tile measures t on a convolution that differs from s in its output: one row of as many
// pixels, and as many channels, as t computes at a time.
func tile(b *testing.B, set *kernels.Set, t kernels.Tile[kernels.ConvFunc], s kernels.ConvShape) {
	s.In, s.Out, s.Groups, s.Pad = s.In/s.Groups, t.Width, 1, 0
	pixels := t.Height()
	r := rand.New(rand.NewPCG(seed, 0))
	weights := make([]float32, s.Weights())
	for i := range weights {
		weights[i] = float32(r.NormFloat64())
	}
	p := kernels.Problem{ConvShape: s, H: s.KH, W: (pixels-1)*s.Stride + s.KW, ReLU: true}
	c, err := kernels.NewConv(set, kernels.Algorithms()[0], p, kernels.Weights{Values: weights})
	if err != nil {
		b.Fatal(err)
	}
	src, dst := kernels.NewView(kernels.Type{}, 1, p.H, p.W, s.In, 0), kernels.NewView(kernels.Type{}, 1, 1, pixels, s.Out, 0)
	values := kernels.Data[float32](src)
	for i := range values {
		values[i] = float32(r.NormFloat64())
	}
	task, err := c.Bind(dst, src, 1)
	if err != nil {
		b.Fatal(err)
	}
	cost := kernels.Cost{
		MACs:        int64(pixels * s.Out * s.K()),
		Weights:     int64(s.Weights()+s.Out) * int64(kernels.Float32.Size()),
		Activations: int64(len(src.Memory) + len(dst.Memory)),
	}
	measure(b, set, cost, false, func() error {
		for i := range task.Chunks() {
			task.Chunk(0, i)
		}
		return nil
	})
}
