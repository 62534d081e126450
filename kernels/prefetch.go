package kernels

// A prefetch says how the tiles that use one panel of weights prefetch the next panel while they
// compute. Each tile prefetches an equal share of it, so that memory delivers it at an even rate.
type prefetch struct {
	weights []float32 // the next panel and those behind it
	share   int       // float32 values that each tile prefetches
	step    int       // bytes that each step of a tile's sum prefetches: ConvFunc's prefetchStep
}

// prefetch returns how the tiles of a chunk prefetch the panel behind that of block b, which they
// all use. Their number is tiles, and their sums have k terms. Behind the last panel there is
// nothing to prefetch.
func (c *packed) prefetch(b *block, k, tiles int) prefetch {
	panel := k * b.tile.Width
	if b.weights+panel == len(c.panels) {
		return prefetch{weights: c.panels[b.weights:]}
	}
	return prefetch{c.panels[b.weights+panel:], panel / tiles, prefetchBytes(b.tile.Width, tiles)}
}

// start returns where the share of tile i begins.
func (p prefetch) start(i int) *float32 { return &p.weights[min(i*p.share, len(p.weights)-1)] }

// prefetchBytes returns how many bytes each step of a tile's sum must prefetch so that all
// tiles together prefetch one panel: a panel has a row of width weights for each step.
func prefetchBytes(width, tiles int) int { return (Float32.Size()*width + tiles - 1) / tiles }
