package amd64

import (
	"github.com/mmcloughlin/avo/operand"

	"firebench/asmgen/vec"
)

// rowsPerBase is how many rows one pointer addresses with the strides 1, 3 and 5
// and the scales 1, 2 and 4: 0, s, 2s, 3s, 4s, 5s, 2·3s.
const rowsPerBase = 7

// rows addresses n rows through as few moving pointers as possible: what moves
// costs an addition in the inner loop.
type rows struct {
	m                *Machine
	n                int
	stride, by3, by5 vec.R
	bases            []vec.R
}

func (m *Machine) Rows(stride vec.R, n int) vec.Rows {
	r := &rows{m: m, n: n, stride: stride}
	if n > 3 {
		r.by3 = m.ctx.GP64()
		m.ctx.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, r.by3)
	}
	if n > 5 {
		r.by5 = m.ctx.GP64()
		m.ctx.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 4}, r.by5)
	}
	for range (n + rowsPerBase - 1) / rowsPerBase {
		r.bases = append(r.bases, m.ctx.GP64())
	}
	return r
}

func (r *rows) Start(p vec.R) {
	m := r.m
	m.ctx.MOVQ(p, r.bases[0])
	for i, b := range r.bases[1:] {
		m.ctx.LEAQ(operand.Mem{Base: r.bases[i], Index: r.by5, Scale: 1}, b)
		m.ctx.LEAQ(operand.Mem{Base: b, Index: r.stride, Scale: 2}, b)
	}
}

// at is the address of float32 k of row i, counted from the moving pointers.
func (r *rows) at(i, k int) operand.Mem {
	mem := operand.Mem{Base: r.bases[i/rowsPerBase], Disp: 4 * k}
	switch i % rowsPerBase {
	case 0:
	case 1, 2, 4:
		mem.Index, mem.Scale = r.stride, uint8(i%rowsPerBase)
	case 3, 6:
		mem.Index, mem.Scale = r.by3, uint8(i%rowsPerBase/3)
	case 5:
		mem.Index, mem.Scale = r.by5, 1
	}
	return mem
}

func (m *Machine) LoadRow(tile vec.Rows, i int) vec.V {
	v := m.vector()
	m.ctx.VMOVUPS(tile.(*rows).at(i, 0), v)
	return v
}

func (m *Machine) StoreRow(v vec.V, tile vec.Rows, i int) {
	m.ctx.VMOVUPS(v, tile.(*rows).at(i, 0))
}

// embedded reports whether multiply-adds broadcast their memory operand
// themselves. That saves a register and an instruction, but loads once per
// multiply-add: with two vectors a row, an explicit broadcast halves the loads,
// and loads are as scarce as multiply-adds.
func (m *Machine) embedded(vectors int) bool { return m.lanes == 16 && vectors == 1 }

func (m *Machine) Scratch(_, vectors int) int {
	if m.embedded(vectors) {
		return vectors
	}
	return vectors + 1
}

func (m *Machine) Outer(acc [][]vec.V, tile vec.Rows, w vec.R, steps int) {
	r := tile.(*rows)
	vectors := len(acc[0])
	for k := range steps {
		b := make([]vec.V, vectors)
		for v := range b {
			b[v] = m.Load(w, k*vectors+v)
		}
		for i, row := range acc {
			if m.embedded(vectors) {
				m.ctx.VFMADD231PS_BCST(r.at(i, k), b[0], row[0])
				continue
			}
			a := m.vector()
			m.ctx.VBROADCASTSS(r.at(i, k), a)
			for v := range row {
				m.ctx.VFMADD231PS(b[v], a, row[v])
			}
		}
	}
	m.AddVectors(w, steps*vectors)
	for _, b := range r.bases {
		m.AddFloats(b, steps)
	}
}
