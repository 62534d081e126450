package scalar

// WeightGradient1x4 adds the products of 1 input × 4 gradients at a time to their sums.
func WeightGradient1x4(dst, start, src, grad, _ *float32, tiles, startTile, images, rows, cols, srcImage, srcRow, srcPixel, _ int) {
	for t := range tiles {
		s := vec(start, t*startTile, 4)
		c0, c1, c2, c3 := s[0], s[1], s[2], s[3]
		g := vec(grad, 0, 4*images*rows*cols)
		for i := range images {
			for y := range rows {
				at := t + i*srcImage + y*srcRow
				for x := range cols {
					v := vec(src, at+x*srcPixel, 1)[0]
					c0 += float32(v * g[0])
					c1 += float32(v * g[1])
					c2 += float32(v * g[2])
					c3 += float32(v * g[3])
					g = g[4:]
				}
			}
		}
		d := vec(dst, t*4, 4)
		d[0], d[1], d[2], d[3] = c0, c1, c2, c3
	}
}

// WeightGradient2x4 adds the products of 2 inputs × 4 gradients at a time to their sums.
func WeightGradient2x4(dst, start, src, grad, _ *float32, tiles, startTile, images, rows, cols, srcImage, srcRow, srcPixel, _ int) {
	for t := range tiles {
		s := vec(start, t*startTile, 8)
		c0, c1, c2, c3 := s[0], s[1], s[2], s[3]
		d0, d1, d2, d3 := s[4], s[5], s[6], s[7]
		g := vec(grad, 0, 4*images*rows*cols)
		for i := range images {
			for y := range rows {
				at := 2*t + i*srcImage + y*srcRow
				for x := range cols {
					v := vec(src, at+x*srcPixel, 2)
					a, b := v[0], v[1]
					g0, g1, g2, g3 := g[0], g[1], g[2], g[3]
					g = g[4:]
					c0 += float32(a * g0)
					c1 += float32(a * g1)
					c2 += float32(a * g2)
					c3 += float32(a * g3)
					d0 += float32(b * g0)
					d1 += float32(b * g1)
					d2 += float32(b * g2)
					d3 += float32(b * g3)
				}
			}
		}
		d := vec(dst, t*8, 8)
		d[0], d[1], d[2], d[3] = c0, c1, c2, c3
		d[4], d[5], d[6], d[7] = d0, d1, d2, d3
	}
}

// PackSum copies a row of pixels, and adds up each of their channels.
func PackSum(dst, sums, src *float32, pixels, channels, srcPixel, dstPixel int) {
	s := vec(sums, 0, channels)
	for p := range pixels {
		y := vec(dst, p*dstPixel, channels)
		for c, v := range vec(src, p*srcPixel, channels) {
			y[c] = v
			s[c] += v
		}
	}
}
