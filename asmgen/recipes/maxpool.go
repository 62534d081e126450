package recipes

import "firebench/asmgen/vec"

// MaxPool3x3s2 is the pooling of both networks: 3×3 windows, stride 2.
var MaxPool3x3s2 = Recipe{"maxpool", "", func(m vec.Machine, _ vec.Element, _ Tile) []string {
	maxPool3x3s2(m, m.Float32(), "MaxPool3x3s2", "float32")
	return []string{"MaxPool3x3s2"}
}}

// ordered is what maxima need to know of values.
type ordered interface {
	vec.Elements
	MaxWith(dst, v vec.V)
}

// maxPool3x3s2 emits the function name for values that have the Go type goType.
func maxPool3x3s2(m vec.Core, e ordered, name, goType string) {
	m.Func(name, "func(dst, src *"+goType+", pixels, channels, srcRow, srcPixel, dstPixel int)",
		name+" computes a row of 3×3 windows, stride 2; it equals",
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
	dst := m.Arg("dst")
	srcPixel, dstPixel := distance(m, e, "srcPixel"), distance(m, e, "dstPixel")
	srcRow := distance(m, e, "srcRow")
	rows := []vec.R{m.Arg("src")}
	for i := 1; i < 3; i++ {
		rows = append(rows, m.CopyInt(rows[i-1]))
		m.AddTo(rows[i], srcRow)
	}
	vec.NameAll(m, "src row", rows)
	zero := vec.Named(m, "zero", m.Int(0))
	eachPixel(m, []step{{rows[0], srcPixel, 2}, {rows[1], srcPixel, 2}, {rows[2], srcPixel, 2}, {dst, dstPixel, 1}}, func() {
		m.Comment("A distance from the row for each column; the channels run through all three")
		cols := []vec.R{m.CopyInt(zero)}
		for j := 1; j < 3; j++ {
			cols = append(cols, m.CopyInt(cols[j-1]))
			m.AddTo(cols[j], srcPixel)
		}
		vec.NameAll(m, "column", cols)
		eachVector(m, vectors(m, e, "channels"), cols, func() {
			var top vec.V
			for _, row := range rows {
				for _, col := range cols {
					if x := m.LoadAt(row, col); top == nil {
						top = vec.Named(m, "top", x)
					} else {
						e.MaxWith(top, x)
					}
				}
			}
			m.StoreAt(top, dst, cols[0])
		})
	})
	m.Return()
}
