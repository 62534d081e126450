package kernels

// cut divides the output channels of each group into blocks of the wide tile, then
// at most one of the narrow one, gives each block a panel of k rows as wide as its
// tile, zeros beyond the block's channels, and packs the biases.
func (c *Conv) cut(k int, bias []float32) {
	s := c.shape
	in, out := s.In/s.Groups, s.Out/s.Groups
	size, columns := 0, 0
	for g := range s.Groups {
		for n := 0; n < out; {
			tile := &c.set.Wide
			if out-n <= c.set.Narrow.Width {
				tile = &c.set.Narrow
			}
			width := min(tile.Width, out-n)
			c.blocks = append(c.blocks, convBlock{tile, g * in, g*out + n, width, size, columns})
			size += k * tile.Width
			columns += tile.Width
			n += width
		}
	}
	c.panels = Alloc(size)
	c.bias = Alloc(columns)
	if bias != nil {
		for _, b := range c.blocks {
			copy(c.bias[b.bias:], bias[b.out:b.out+b.width])
		}
	}
}

// pack fills the panels for the direct algorithm: for every k in (kernel row,
// kernel column, input channel) order, one weight per column of the tile.
func (c *Conv) pack(weights []float32) {
	s := c.shape
	k := s.K()
	for _, b := range c.blocks {
		packPanel(c.panels[b.weights:][:k*b.tile.Width], weights[b.out*k:][:b.width*k], b.tile.Width, s.In/s.Groups, s.KH*s.KW)
	}
}

// packPanel transposes one block: weights[n][ci][tap] to panel[(tap, ci)][n]. It goes
// through a few input channels at a time, because rows of both are often a multiple
// of 4 KiB apart and would chase each other out of the cache.
func packPanel(panel, weights []float32, width, in, taps int) {
	const channels = 16
	k := in * taps
	for ci := 0; ci < in; ci += channels {
		rows := min(channels, in-ci)
		for tap := range taps {
			out := panel[(tap*in+ci)*width:][:rows*width]
			for n := 0; n*k < len(weights); n++ {
				w := weights[n*k+ci*taps+tap:]
				for i := range rows {
					out[i*width+n] = w[i*taps]
				}
			}
		}
	}
}
