package kernels

import "firebench/kernels/workers"

// direct computes each output as convolution is defined: one chain of multiply-adds.
var direct = algorithm{
	name: "direct",
	cycles: func(set *Set, p Problem, cache int) (int, bool) {
		if !p.floats() {
			return 0, false
		}
		// A core issues two vector multiply-adds a cycle, unless it waits for the weights.
		oh, ow := p.OutSize(p.H, p.W)
		return max(oh*ow*p.K()*vectors(p.Out, set.F32.Lanes)/2, stream(p.Weights()*Float32.Size(), cache)), true
	},
	pack:   packLoaded(newDirect),
	loader: newDirect,
}

func newDirect(set *Set, p Problem) Loader {
	return &directConv{newPacked[float32, float32](p, newBlocks(&set.F32.Conv, p.ConvShape, p.K())), set.F32}
}

// A directConv has panels whose rows run over (kernel row, kernel column, input channel).
type directConv struct {
	packed[float32, float32]
	f32 *F32
}

func (c *directConv) Algorithm() string { return direct.name }

// Load implements Loader.
func (c *directConv) Load(w Weights) error { return c.load(w, false) }

// LoadTransposed implements Loader.
func (c *directConv) LoadTransposed(w Weights) error { return c.load(w, true) }

func (c *directConv) load(w Weights, transposed bool) error {
	o, bias, err := c.problem.order(w, transposed)
	if err != nil {
		return err
	}
	packChannels(c.bias, c.blocks, bias)
	p := c.problem
	for i := range c.blocks {
		b := &c.blocks[i]
		packPanel(c.panels[b.weights:], w.Values, o, b, p.In/p.Groups, p.KH*p.KW)
	}
	return nil
}

func (c *directConv) Executed() int64 { return c.executed() }
func (c *directConv) RowAlign() int   { return 1 }
func (c *directConv) KernelRows() int { return c.problem.KH }

// Bind implements Conv. A 1×1 convolution with stride 1 needs no halo: its padding only adds a
// border to the output, which is written without a multiplication.
func (c *directConv) Bind(dst, src View, threads int) (workers.Task, error) {
	t, err := newTiledTask(&c.packed, &c.f32.Conv, dst, src, threads)
	if err != nil {
		return nil, err
	}
	lower := lowerBound(c.problem.ReLU)
	t.tiles = func(b *block, height int, dst, src []float32, prefetch *float32, dstStride, tiles, prefetchStep int) {
		c.f32.Conv.of(b).Funcs[height-1](&dst[0], &src[0], &c.panels[b.weights], &c.bias[b.bias], prefetch,
			&t.offsets[0], len(t.offsets), t.run, t.srcStride, dstStride, tiles, prefetchStep, lower)
	}
	return t, nil
}
