package kernels

// pack lays the weights out in panels: the output channels of each group are cut
// into blocks of the wide tile, then at most one of the narrow one; a panel holds,
// for every k in (kernel row, kernel column, input channel) order, one weight per
// column of the tile, zeros beyond the block's channels.
func (c *Conv) pack(weights, bias []float32) {
	s := c.shape
	in, out, k := s.In/s.Groups, s.Out/s.Groups, s.K()
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
	for _, b := range c.blocks {
		if bias != nil {
			copy(c.bias[b.bias:], bias[b.out:b.out+b.width])
		}
		packPanel(c.panels[b.weights:][:k*b.tile.Width], weights[b.out*k:][:b.width*k], b.tile.Width, in, s.KH*s.KW)
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
