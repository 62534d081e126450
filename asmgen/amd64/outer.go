package amd64

import (
	"fmt"

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
	stride, by3, by5 vec.R
	bases            []vec.R
}

func (m *Machine) Rows(name string, stride vec.R, n int) vec.Rows {
	r := &rows{m: m, stride: stride}
	if n > 3 {
		r.by3 = vec.Named(m, "3·"+m.NameOf(stride), m.Ctx.GP64())
		m.Ctx.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, r.by3)
	}
	if n > 5 {
		r.by5 = vec.Named(m, "5·"+m.NameOf(stride), m.Ctx.GP64())
		m.Ctx.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 4}, r.by5)
	}
	for i := 0; i < n; i += rowsPerBase {
		r.bases = append(r.bases, vec.Named(m, fmt.Sprintf("%s %d", name, i), m.Ctx.GP64()))
	}
	return r
}

func (r *rows) Start(p vec.R) {
	m := r.m
	m.Ctx.MOVQ(p, r.bases[0])
	for i, b := range r.bases[1:] {
		m.Ctx.LEAQ(operand.Mem{Base: r.bases[i], Index: r.by5, Scale: 1}, b)
		m.Ctx.LEAQ(operand.Mem{Base: b, Index: r.stride, Scale: 2}, b)
	}
}

// at is the address of what lies bytes behind the start of row i, counted from the
// moving pointers.
func (r *rows) at(i, bytes int) operand.Mem {
	mem := operand.Mem{Base: r.bases[i/rowsPerBase], Disp: bytes}
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
	m.Ctx.VMOVUPS(tile.(*rows).at(i, 0), v)
	return v
}

func (m *Machine) StoreRow(v vec.V, tile vec.Rows, i int) {
	m.Ctx.VMOVUPS(v, tile.(*rows).at(i, 0))
}

// embedded reports whether multiply-adds broadcast their memory operand
// themselves. That saves a register and an instruction, but loads once per
// multiply-add: with two vectors a row, an explicit broadcast halves the loads,
// and loads are as scarce as multiply-adds.
func (f float32s) embedded(vectors int) bool { return f.m.size == AVX512 && vectors == 1 }

func (f float32s) OuterRegisters(_, vectors int) int {
	if f.embedded(vectors) {
		return vectors
	}
	return vectors + 1
}

func (f float32s) Outer(acc [][]vec.V, tile vec.Rows, w vec.R, steps int) {
	m, r := f.m, tile.(*rows)
	vectors := len(acc[0])
	for k := range steps {
		weights := make([]vec.V, vectors)
		for v := range weights {
			weights[v] = m.Load(w, k*vectors+v)
		}
		vec.NameAll(m, "weights", weights)
		for i, row := range acc {
			input := r.at(i, k*f.elem.Size)
			if f.embedded(vectors) {
				m.Ctx.VFMADD231PS_BCST(input, weights[0], row[0])
				continue
			}
			a := vec.Named(m, "input", m.vector())
			m.Ctx.VBROADCASTSS(input, a)
			for v := range row {
				m.Ctx.VFMADD231PS(weights[v], a, row[v])
			}
		}
	}
	m.SkipVectors(w, steps*vectors)
	for _, b := range r.bases {
		f.Skip(b, steps)
	}
}
