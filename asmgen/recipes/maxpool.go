package recipes

import "firebench/asmgen/vec"

// MaxPool3x3s2 is the pooling of both networks: 3×3 windows, stride 2.
var MaxPool3x3s2 = Recipe{"maxpool", "", func(m vec.Machine, _ Tile) []string {
	m.Func("MaxPool3x3s2", "func(dst, src *float32, pixels, channels, srcRow, srcPixel, dstPixel int)",
		"MaxPool3x3s2 computes a row of 3×3 windows, stride 2; it equals",
		"",
		"	for p := range pixels {",
		"		for c := range channels {",
		"			top := src[2*p*srcPixel+c]",
		"			for i := range 3 {",
		"				for j := range 3 {",
		"					top = max(top, src[i*srcRow+(2*p+j)*srcPixel+c])",
		"				}",
		"			}",
		"			dst[p*dstPixel+c] = top",
		"		}",
		"	}")
	dst := m.Int("dst")
	pixel := m.Int("srcPixel")
	m.Bytes(pixel)
	dstPixel := m.Int("dstPixel")
	m.Bytes(dstPixel)
	row := m.Int("srcRow")
	m.Bytes(row)
	rows := [3]vec.R{0: m.Int("src")}
	for i := 1; i < 3; i++ {
		rows[i] = m.CopyInt(rows[i-1])
		m.AddInt(rows[i], row)
	}
	first := m.ZeroInt()
	m.LoopParam("pixel", "pixels", func() {
		// One offset a column; the channels run through all three.
		cols := [3]vec.R{0: m.CopyInt(first)}
		for j := 1; j < 3; j++ {
			cols[j] = m.CopyInt(cols[j-1])
			m.AddInt(cols[j], pixel)
		}
		n := m.Int("channels")
		m.Vectors(n)
		m.Loop("channel", n, func() {
			var top vec.V
			for i, r := range rows {
				for j, c := range cols {
					if x := m.LoadX(r, c); i == 0 && j == 0 {
						top = x
					} else {
						m.Max(top, x)
					}
				}
			}
			m.StoreX(top, dst, cols[0])
			for _, c := range cols {
				m.AddVectors(c, 1)
			}
		})
		for _, r := range rows {
			m.AddMul(r, pixel, 2)
		}
		m.AddInt(dst, dstPixel)
	})
	m.Return()
	return []string{"MaxPool3x3s2"}
}}
