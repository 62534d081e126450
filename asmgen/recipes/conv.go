package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// Conv is the convolution tile, the one kernel behind convolutions of every size
// and dense layers: functions Conv1xN to ConvMxN for a tile of M×N.
var Conv = Recipe{"conv", true, func(m vec.Machine, t Tile) []string {
	var names []string
	for rows := 1; rows <= t.Rows; rows++ {
		names = append(names, fmt.Sprintf("Conv%dx%d", rows, t.Cols))
		convTile(m, names[rows-1], rows, t.Cols)
	}
	return names
}}

// unrollMACs is how many vector multiply-adds the inner loop holds at least, so
// that what moves pointers and counts hardly matters.
const unrollMACs = 56

// How weights are prefetched: memory behind the level-2 cache is slow to start and
// hardware prefetching stops at every page. A tile of few rows reads its weights as
// fast as they come, near bytes ahead; a higher one has the time to fetch a line of
// the next panel with each step.
const (
	nearRows = 2
	near     = 4096
	line     = 64
)

// prefetched is how many lines of inputs and of weights n steps of the inner loop
// prefetch: with wide vectors one a step, which costs nothing there. Narrow ones need
// many instructions for a step, and on in-order cores each one more counts: no more
// weights than the steps read, and no inputs, which lie in a few long runs.
func prefetched(m vec.Machine, n, cols int) (inputs, weights int) {
	if m.Lanes() == 4 {
		return 0, (n*cols*4 + line - 1) / line
	}
	return n, n
}

func convTile(m vec.Machine, name string, rows, cols int) {
	vectors := cols / m.Lanes()
	if need := rows*vectors + m.Scratch(rows, vectors); need > m.Registers() {
		panic(fmt.Sprintf("%s: %d vector registers, the machine has %d", name, need, m.Registers()))
	}
	m.Func(name, "func(dst, src, weights, bias *float32, offsets *int, segs, segLen, srcStride, dstStride, tiles int, lo float32)",
		fmt.Sprintf("%s computes tiles × %d output pixels × %d channels; it equals", name, rows, cols),
		"",
		"	for t := range tiles {",
		fmt.Sprintf("		for m := range %d {", rows),
		fmt.Sprintf("			for n := range %d {", cols),
		"				acc, k := bias[n], 0",
		"				for s := range segs {",
		"					for j := range segLen {",
		fmt.Sprintf("						acc = fma(src[(t*%d+m)*srcStride+offsets[s]+j], weights[k*%d+n], acc)", rows, cols),
		"						k++",
		"					}",
		"				}",
		fmt.Sprintf("				dst[(t*%d+m)*dstStride+n] = max(acc, lo)", rows),
		"			}",
		"		}",
		"	}")
	src := m.Int("src")
	stride := m.Int("srcStride")
	m.Bytes(stride)
	tile := m.Rows(stride, rows)
	// The weights that come next, one step ahead of reading them for low tiles, which
	// use each once; else the panel behind this one, while this one is in use.
	var next vec.R
	if rows > nearRows {
		panel := m.Int("segs")
		m.Times(panel, m.Int("segLen"))
		next = m.Int("weights")
		m.Bytes(panel)
		m.AddMul(next, panel, cols)
	}
	m.LoopParam("tile", "tiles", func() {
		// The sums start at the bias.
		bias := m.Int("bias")
		acc := make([][]vec.V, rows)
		for v := range vectors {
			acc[0] = append(acc[0], m.Load(bias, v))
		}
		for i := 1; i < rows; i++ {
			for _, v := range acc[0] {
				acc[i] = append(acc[i], m.Copy(v))
			}
		}
		var ahead vec.R // the next tile's inputs, where tiles lie side by side
		if inputs, _ := prefetched(m, 1, cols); inputs > 0 {
			ahead = m.CopyInt(src)
			m.AddMul(ahead, stride, rows)
		}
		w := m.Int("weights")
		offsets := m.Int("offsets")
		segs := m.Int("segs")
		m.Loop("segment", segs, func() {
			tile.Start(m.FloatAt(src, m.NextInt(offsets)))
			steps := m.Int("segLen")
			unroll := 1
			for unroll < 4 && unroll*rows*vectors < unrollMACs {
				unroll *= 2
			}
			m.Steps("k", steps, unroll, func(n int) {
				for i := 0; rows <= nearRows && i < n*cols*4; i += line {
					m.Prefetch(w, near+i)
				}
				m.Outer(acc, tile, w, n)
				inputs, weights := prefetched(m, n, cols)
				for i := range n {
					if i < inputs {
						m.Prefetch(ahead, i*line)
					}
					if rows > nearRows && i < weights {
						m.Prefetch(next, i*line)
					}
				}
				if inputs > 0 {
					m.AddFloats(ahead, inputs*line/4)
				}
				if rows > nearRows {
					m.AddFloats(next, weights*line/4)
				}
			})
		})
		lo := m.Splat("lo")
		dst, dstStride := m.Int("dst"), m.Int("dstStride")
		m.Bytes(dstStride)
		for _, row := range acc {
			for v := range row {
				m.Max(row[v], lo)
				m.Store(row[v], dst, v)
			}
			m.AddInt(dst, dstStride)
		}
		m.SetInt("dst", dst)
		m.AddMul(src, stride, rows)
	})
	m.Return()
}
