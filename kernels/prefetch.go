package kernels

import "unsafe"

// A prefetch says how the tiles that use one panel of weights prefetch the next panel while they
// compute. Each tile prefetches an equal share of it, so that memory delivers it at an even rate.
type prefetch[W number] struct {
	weights []W // the next panel and those behind it
	share   int // weights that each tile prefetches
	step    int // bytes that each step of a tile's sum prefetches: ConvFunc's prefetchStep
}

// prefetch returns how the tiles of a chunk prefetch the panel behind that of block b, which they
// all use. Their number is tiles, and their sums have so many steps. Behind the last panel there is
// nothing to prefetch.
func (c *packed[W, B]) prefetch(b *block, steps, tiles int) prefetch[W] {
	panel := b.rows * b.tile
	if panel == 0 || b.weights+panel == len(c.panels) {
		return prefetch[W]{weights: c.panels[b.weights:]}
	}
	return prefetch[W]{c.panels[b.weights+panel:], panel / tiles, prefetchBytes[W](panel/steps, tiles)}
}

// start returns where the share of tile i begins.
func (p prefetch[W]) start(i int) *W {
	if len(p.weights) == 0 {
		return nil
	}
	return &p.weights[min(i*p.share, len(p.weights)-1)]
}

// prefetchBytes returns how many bytes each step of a tile's sum must prefetch so that all
// tiles together prefetch one panel: a panel has a row of width weights for each step.
func prefetchBytes[W number](width, tiles int) int {
	return (int(unsafe.Sizeof(W(0)))*width + tiles - 1) / tiles
}
