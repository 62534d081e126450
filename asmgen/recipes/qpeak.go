package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// QPeak measures the machine's arithmetic on what QConv multiplies.
var QPeak = Recipe{"qpeak", "", func(m vec.Machine, e vec.Element, _ Tile) []string {
	f := m.Dot(e, vec.S8)
	m.Func("QMACPeak", "func(n int)",
		fmt.Sprintf("QMACPeak runs n rounds, n >= 1, of %d independent multiply-adds of vectors in", peakFMAs(m)),
		fmt.Sprintf("registers, all zero. A lane adds %d products.", f.Group()))
	peak(m, f)
	return []string{"QMACPeak"}
}}
