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

// sums implements vec.Sums. A lane of an accumulator has four bytes, and so has a group of
// inputs.
type sums struct {
	elements
	weight vec.Element

	// load loads the weights of a vector. It is nil where they are loaded as they are.
	load func(weights operand.Mem, v vec.V)

	// broadcast loads a group of inputs into all lanes.
	broadcast func(ops ...operand.Op)

	// multiply adds products to a sum. It may need a temporary register.
	multiply  func(sum, weights, input vec.V)
	temporary bool

	// embedded is a multiply that broadcasts its first operand, an input, from memory itself. It
	// is nil if the set has none.
	embedded func(ops ...operand.Op)
}

func (m *Machine) Dot(inputs, weights vec.Element) vec.Sums {
	switch {
	case inputs == vec.U8 && weights == vec.S8 && m.vnni:
		return sums{
			elements:  elements{m, vec.U8},
			weight:    vec.S8,
			broadcast: m.Ctx.VPBROADCASTD,
			// The factor that may be in memory is the signed one, the weights: inputs cannot be
			// broadcast by the instruction.
			multiply: func(sum, weights, input vec.V) { m.Ctx.VPDPBUSD(weights, input, sum) },
		}
	case inputs == vec.S16 && weights == vec.S16 && m.vnni:
		return sums{
			elements:  elements{m, vec.S16},
			weight:    vec.S16,
			broadcast: m.Ctx.VBROADCASTSS, // faster here, above all for short sums; see results/
			multiply:  func(sum, weights, input vec.V) { m.Ctx.VPDPWSSD(weights, input, sum) },
			embedded:  m.Ctx.VPDPWSSD_BCST,
		}
	case inputs == vec.F32 && weights == vec.F16:
		s := m.Float32().(float32s).sums
		s.weight, s.embedded = weights, nil
		s.load = func(weights operand.Mem, v vec.V) { m.Ctx.VCVTPH2PS(weights, v) }
		return s
	case inputs == vec.F32 && weights == vec.S8:
		s := m.Float32().(float32s).sums
		s.weight, s.embedded = weights, nil
		s.load = func(weights operand.Mem, v vec.V) {
			m.Ctx.VPMOVSXBD(weights, v)
			m.Ctx.VCVTDQ2PS(v, v)
		}
		return s
	case inputs == vec.S16 && !m.vnni && (weights == vec.S8 || weights == vec.S16):
		s := sums{
			elements:  elements{m, vec.S16},
			weight:    weights,
			broadcast: m.Ctx.VPBROADCASTD,
			multiply: func(sum, weights, input vec.V) {
				products := vec.Named(m, "products", m.vector())
				m.Ctx.VPMADDWD(weights, input, products)
				m.Ctx.VPADDD(products, sum, sum)
			},
			temporary: true,
		}
		if weights == vec.S8 {
			s.load = func(weights operand.Mem, v vec.V) { m.Ctx.VPMOVSXBW(weights, v) }
		}
		return s
	}
	panic(fmt.Sprintf("amd64: no sums of products of %s and %s on this machine", inputs.Name, weights.Name))
}

func (s sums) Group() int          { return vec.S32.Size / s.elem.Size }
func (s sums) Weight() vec.Element { return s.weight }
func (s sums) Offset() int         { return 0 }

func (s sums) AddMulTo(dst, weights, inputs vec.V) { s.multiply(dst, weights, inputs) }

// broadcasts reports whether multiply-adds broadcast their memory operand
// themselves. That saves a register and an instruction, but loads once per
// multiply-add: with two vectors a row, an explicit broadcast halves the loads,
// and loads are as scarce as multiply-adds.
func (s sums) broadcasts(vectors int) bool { return s.m.wide() && s.embedded != nil && vectors == 1 }

func (s sums) OuterRegisters(_, vectors int) int {
	switch {
	case s.broadcasts(vectors):
		return vectors
	case s.temporary && vectors > 1:
		return vectors + 2
	}
	return vectors + 1 // the last products of an input may take its register
}

// weightBytes is how many bytes of memory have the weights of a vector.
func (s sums) weightBytes() int { return s.Lanes() * s.weight.Size }

// loadWeights loads the weights of vector i from w on.
func (s sums) loadWeights(w vec.R, i int) vec.V {
	v, weights := s.m.vector(), operand.Mem{Base: w, Disp: i * s.weightBytes()}
	if s.load != nil {
		s.load(weights, v)
	} else {
		s.m.Ctx.VMOVUPS(weights, v)
	}
	return v
}

func (s sums) Outer(acc [][]vec.V, tile vec.Rows, w vec.R, steps int) {
	r := tile.(*rows)
	for k := range steps {
		s.outer(acc, r, w, k, k)
	}
	s.m.skip(w, steps*len(acc[0])*s.weightBytes())
	for _, b := range r.bases {
		s.Skip(b, steps*s.Group())
	}
}

func (s sums) OuterAt(acc [][]vec.V, tile vec.Rows, w vec.R, k int) {
	s.outer(acc, tile.(*rows), w, 0, k)
}

// outer adds an outer product: of group input of each row, and row k of the weights.
func (s sums) outer(acc [][]vec.V, r *rows, w vec.R, input, k int) {
	s.outerOf(acc, func(i int) operand.Mem { return r.at(i, input*vec.S32.Size) }, w, k)
}

// outerOf adds an outer product: of the groups of inputs at the address of each row, and row k of the weights.
func (s sums) outerOf(acc [][]vec.V, at func(row int) operand.Mem, w vec.R, k int) {
	m, vectors := s.m, len(acc[0])
	weights := make([]vec.V, vectors)
	for v := range weights {
		weights[v] = s.loadWeights(w, k*vectors+v)
	}
	vec.NameAll(m, "weights", weights)
	for i, row := range acc {
		input := at(i)
		if s.broadcasts(vectors) {
			s.embedded(input, weights[0], row[0])
			continue
		}
		a := vec.Named(m, "input", m.vector())
		s.broadcast(input, a)
		for v := range row {
			s.multiply(row[v], weights[v], a)
		}
	}
}
