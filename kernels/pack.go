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
			tile := &c.set.Conv
			if out-n <= c.set.ConvNarrow.Width {
				tile = &c.set.ConvNarrow
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

// packPanel transposes one block: weights[n][ci][tap] to panel[(tap, ci)][n].
func packPanel(panel, weights []float32, width, in, taps int) {
	k := in * taps
	for n := 0; n*k < len(weights); n++ {
		row := weights[n*k:][:k]
		for ci := range in {
			for tap, v := range row[ci*taps:][:taps] {
				panel[(tap*in+ci)*width+n] = v
			}
		}
	}
}
