package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// Conv is the convolution tile, the kernel behind direct convolutions of every size
// and dense layers: functions Conv1xN to ConvMxN for a tile of M×N.
var Conv = Recipe{"conv", convSignature, func(m vec.Machine, t Tile) []string {
	return heights("Conv", m, t, convTile)
}}

// heights emits one function for each height of a tile.
func heights(family string, m vec.Machine, t Tile, emit func(m vec.Machine, name string, rows, cols int)) []string {
	vectors := t.Cols / m.Lanes()
	if need := t.Rows*vectors + m.Scratch(t.Rows, vectors); need > m.Registers() {
		panic(fmt.Sprintf("%s of %d×%d: %d vector registers, the machine has %d", family, t.Rows, t.Cols, need, m.Registers()))
	}
	var names []string
	for rows := 1; rows <= t.Rows; rows++ {
		names = append(names, fmt.Sprintf("%s%dx%d", family, rows, t.Cols))
		emit(m, names[rows-1], rows, t.Cols)
	}
	return names
}

// unrollMACs is how many vector multiply-adds the inner loop holds at least, so
// that what moves pointers and counts hardly matters.
const unrollMACs = 56

// line is the size of a cache line in bytes.
const line = 64

// A tile of at most nearRows rows reads its weights as fast as they come, and each once:
// it prefetches its own, near bytes ahead, because memory is slow to start and hardware
// prefetching stops at every page.
const (
	nearRows = 2
	near     = 4096
)

// An inner is the loop over the steps of a sum, the same for both families: the outer
// products of a column of inputs and a row of weights, and what is prefetched beside
// them.
type inner struct {
	m          vec.Machine
	rows, cols int
	acc        [][]vec.V
	tile       vec.Rows
	w          vec.R // weights of the next step
	ahead      vec.R // inputs of the next tile, where tiles lie side by side; or nil
	next, pace vec.R // weights of the next panel, and how many bytes of them a step asks for; or nil
}

// prefetchesTiles reports whether tiles prefetch what the next one reads and writes. With
// narrow vectors, on cores that work in order, each instruction beside the multiply-adds
// counts.
func prefetchesTiles(m vec.Machine) bool { return m.Lanes() > 4 }

func (l *inner) steps(n vec.R) {
	m, vectors := l.m, len(l.acc[0])
	unroll := 1
	for unroll < 4 && unroll*l.rows*vectors < unrollMACs {
		unroll *= 2
	}
	m.Steps("k", n, unroll, func(n int) {
		for i := 0; l.rows <= nearRows && i < n*l.cols*4; i += line {
			m.Prefetch(l.w, near+i)
		}
		m.Outer(l.acc, l.tile, l.w, n)
		if l.ahead != nil {
			lines := min(n, (n*l.rows*4+line-1)/line)
			for i := range lines {
				m.Prefetch(l.ahead, i*line)
			}
			m.AddFloats(l.ahead, lines*line/4)
		}
		if l.next != nil {
			for i := 0; i < n*l.cols*4/2; i += line { // the whole panel if two tiles share this one; rarely there are fewer
				m.Prefetch(l.next, i)
			}
			m.AddMul(l.next, l.pace, n)
		}
	})
}

// paceDoc describes the arguments that do not change the result.
func paceDoc(rows int) []string {
	if rows <= nearRows {
		return []string{"", fmt.Sprintf("It prefetches its weights %d bytes ahead; next and pace are for higher tiles.", near)}
	}
	return []string{"", "Meanwhile it prefetches the weights at next, moving on by pace bytes a step of a sum."}
}

const convSignature = "func(dst, src, weights, bias, next *float32, offsets *int, segs, segLen, srcStride, dstStride, tiles, pace int, lo float32)"

func convTile(m vec.Machine, name string, rows, cols int) {
	m.Func(name, convSignature,
		append([]string{
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
			"	}"}, paceDoc(rows)...)...)
	l := inner{m: m, rows: rows, cols: cols}
	stride := m.Int("srcStride")
	m.Bytes(stride)
	l.tile = m.Rows(stride, rows)
	if rows > nearRows {
		l.next, l.pace = m.Int("next"), m.Int("pace")
	}
	m.LoopParam("tile", "tiles", func() {
		// The sums start at the bias.
		bias := m.Int("bias")
		l.acc = make([][]vec.V, rows)
		for v := range cols / m.Lanes() {
			l.acc[0] = append(l.acc[0], m.Load(bias, v))
		}
		for i := 1; i < rows; i++ {
			for _, v := range l.acc[0] {
				l.acc[i] = append(l.acc[i], m.Copy(v))
			}
		}
		if rows > nearRows && prefetchesTiles(m) {
			// Stores wait for their lines, one after the other: prefetch the next tile's.
			out, dstStride := m.Int("dst"), m.Int("dstStride")
			m.Bytes(dstStride)
			m.AddMul(out, dstStride, rows)
			for range rows {
				for i := 0; i < 4*cols; i += line {
					m.Prefetch(out, i)
				}
				m.AddInt(out, dstStride)
			}
			l.ahead = m.Int("src")
			m.AddMul(l.ahead, stride, rows)
		}
		l.w = m.Int("weights")
		offsets := m.Int("offsets")
		m.Loop("segment", m.Int("segs"), func() {
			l.tile.Start(m.FloatAt(m.Int("src"), m.NextInt(offsets)))
			l.steps(m.Int("segLen"))
		})
		lo := m.Splat("lo")
		dst, dstStride := m.Int("dst"), m.Int("dstStride")
		m.Bytes(dstStride)
		for _, row := range l.acc {
			for v := range row {
				m.Max(row[v], lo)
				m.Store(row[v], dst, v)
			}
			m.AddInt(dst, dstStride)
		}
		m.SetInt("dst", dst)
		src := m.Int("src")
		m.AddMul(src, stride, rows)
		m.SetInt("src", src)
	})
	m.Return()
}
