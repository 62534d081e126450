// Package amd64 is the vec.Machine of AVX2 with FMA and of AVX-512, without and with VNNI.
package amd64

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/reg"

	"firebench/asmgen/source"
	"firebench/asmgen/vec"
)

// A Set is an instruction set.
type Set struct {
	size      int // bytes in a vector
	registers int // vector registers
	vnni      bool
}

// The instruction sets.
var (
	AVX2       = Set{size: 32, registers: 16} // avo would hand out Y16 to Y31, which are AVX-512's
	AVX512     = Set{size: 64, registers: 32}
	AVX512VNNI = Set{size: 64, registers: 32, vnni: true}
)

// Machine implements vec.Machine.
type Machine struct {
	*source.File
	Set
	consts map[string]operand.Mem // of the file, by content
}

// New returns a machine. constraint is the build constraint of its file.
func New(set Set, constraint string) *Machine {
	return &Machine{source.New("amd64", constraint), set, map[string]operand.Mem{}}
}

// Print allocates registers and returns the assembly and the Go declarations of
// all functions so far. generator is named in the header.
func (m *Machine) Print(generator, pkg string) (asm, stubs []byte, err error) {
	passes := pass.Concat(pass.FunctionPass(foldLoads), pass.Compile, pass.FunctionPass(pruneSelfCopies), pass.FunctionPass(m.checkRegisters))
	return m.File.Print(passes, m.register, generator, pkg)
}

// register is the name of an allocated register.
func (m *Machine) register(id reg.ID) string {
	spec := reg.S64
	if id.Kind() == reg.KindVector {
		spec = reg.S256
		if m.wide() {
			spec = reg.S512
		}
	}
	return reg.LookupID(id, spec).Asm()
}

// pruneSelfCopies removes instructions that copy a vector register to itself, as Copy does
// where the allocator gave the copy the register of an original that is not needed any
// more. avo removes only integer moves of that kind.
func pruneSelfCopies(fn *ir.Function) error {
	fn.Nodes = slices.DeleteFunc(fn.Nodes, func(n ir.Node) bool {
		i, ok := n.(*ir.Instruction)
		return ok && i.Opcode == "VMOVAPS" && i.Operands[0] == i.Operands[1]
	})
	return nil
}

// checkRegisters refuses vector registers that the instruction set lacks, and BP,
// which belongs to the frame.
func (m *Machine) checkRegisters(fn *ir.Function) error {
	for _, i := range fn.Instructions() {
		for _, r := range i.Registers() {
			p := reg.ToPhysical(r)
			if p == nil {
				continue
			}
			if p.Kind() == reg.KindVector && int(p.PhysicalIndex()) >= m.registers {
				return fmt.Errorf("%s: %s is not a register of a machine with %d", fn.Name, p.Asm(), m.registers)
			}
			if p.ID() == reg.RBP.ID() {
				return fmt.Errorf("%s: uses BP", fn.Name)
			}
		}
	}
	return nil
}

func (m *Machine) Size() int      { return m.size }
func (m *Machine) Registers() int { return m.registers }

// wide reports whether vectors are those of AVX-512.
func (m *Machine) wide() bool { return m.size == 64 }

func (m *Machine) vector() vec.V {
	if m.wide() {
		return m.Ctx.ZMM()
	}
	return m.Ctx.YMM()
}

// Return clears the upper halves of the registers first: SSE code after
// it would otherwise run slowly on some processors. avo does not do it.
func (m *Machine) Return() {
	m.Ctx.VZEROUPPER()
	m.Ctx.RET()
}

func (m *Machine) Arg(param string) vec.R {
	r := vec.Named(m, param, m.Ctx.GP64())
	m.Ctx.Load(m.Ctx.Param(param), r)
	return r
}

func (m *Machine) SetArg(param string, r vec.R) { m.Ctx.MOVQ(r, m.Param(param)) }

func (m *Machine) Zero() vec.V {
	v := m.vector()
	if m.wide() {
		m.Ctx.VPXORD(v, v, v) // the floating-point form needs AVX512DQ
	} else {
		m.Ctx.VXORPS(v, v, v)
	}
	return v
}

// splat broadcasts a constant of four bytes from read-only data.
func (m *Machine) splat(c operand.Constant) vec.V {
	v := m.vector()
	m.Ctx.VBROADCASTSS(m.constant(c), v)
	return v
}

// constant returns the address of read-only data.
func (m *Machine) constant(data ...operand.Constant) operand.Mem {
	content := fmt.Sprintf("%#v", data)
	mem, ok := m.consts[content]
	if !ok {
		mem = m.Ctx.StaticGlobal(fmt.Sprintf("const%d", len(m.consts)))
		m.Ctx.DataAttributes(attr.RODATA | attr.NOPTR)
		for _, d := range data {
			m.Ctx.AppendDatum(d)
		}
		m.consts[content] = mem
	}
	return mem
}

// splatArg broadcasts an argument of four bytes.
func (m *Machine) splatArg(param string) vec.V {
	v := vec.Named(m, param, m.vector())
	m.Ctx.VBROADCASTSS(m.Param(param), v)
	return v
}

func (m *Machine) Copy(v vec.V) vec.V {
	c := m.vector()
	m.Ctx.VMOVAPS(v, c)
	return c
}

func (m *Machine) Int(n int) vec.R {
	r := m.Ctx.GP64()
	if n == 0 {
		m.Ctx.XORQ(r, r)
	} else {
		m.Ctx.MOVQ(operand.U32(uint32(n)), r)
	}
	return r
}

func (m *Machine) CopyInt(r vec.R) vec.R {
	c := m.Ctx.GP64()
	m.Ctx.MOVQ(r, c)
	return c
}

func (m *Machine) AddTo(dst, src vec.R)   { m.Ctx.ADDQ(src, dst) }
func (m *Machine) SubFrom(dst, src vec.R) { m.Ctx.SUBQ(src, dst) }
func (m *Machine) MulBy(dst, src vec.R)   { m.Ctx.IMULQ(src, dst) }

func (m *Machine) AddMulTo(dst, src vec.R, n int) {
	switch n {
	case 1:
		m.Ctx.ADDQ(src, dst)
	case 2, 4, 8:
		m.Ctx.LEAQ(operand.Mem{Base: dst, Index: src, Scale: uint8(n)}, dst)
	default:
		t := m.Ctx.GP64()
		m.Ctx.IMUL3Q(operand.U32(uint32(n)), src, t)
		m.Ctx.ADDQ(t, dst)
	}
}

func (m *Machine) AddMul(a, b vec.R, n int) vec.R {
	r := m.Ctx.GP64()
	m.Ctx.IMUL3Q(operand.U32(uint32(n)), b, r)
	m.Ctx.ADDQ(a, r)
	return r
}

// log2 is the binary logarithm of a power of two.
func log2(n int) int {
	if bits.OnesCount(uint(n)) != 1 {
		panic(fmt.Sprintf("amd64: %d is not a power of two", n))
	}
	return bits.TrailingZeros(uint(n))
}

func (m *Machine) DivBy(dst vec.R, n int) { m.Ctx.SHRQ(operand.U8(uint8(log2(n))), dst) }

// intSize is the size of Go's int in bytes.
const intSize = 8

func (m *Machine) LoadInt(p vec.R) vec.R {
	r := m.Ctx.GP64()
	m.Ctx.MOVQ(operand.Mem{Base: p}, r)
	return r
}

func (m *Machine) LoadInt32(p vec.R, i int) vec.R {
	r := m.Ctx.GP64()
	m.Ctx.MOVLQSX(operand.Mem{Base: p, Disp: i * vec.S32.Size}, r)
	return r
}

func (m *Machine) LoadByte(p vec.R, i int) vec.R {
	r := m.Ctx.GP64()
	m.Ctx.MOVBQZX(operand.Mem{Base: p, Disp: i}, r)
	return r
}

func (m *Machine) SkipBytes(p vec.R, n int)   { m.skip(p, n) }
func (m *Machine) SkipInts(p vec.R, n int)    { m.skip(p, n*intSize) }
func (m *Machine) SkipInt32s(p vec.R, n int)  { m.skip(p, n*vec.S32.Size) }
func (m *Machine) SkipVectors(p vec.R, n int) { m.skip(p, n*m.size) }

func (m *Machine) skip(p vec.R, bytes int) {
	if bytes < 128 {
		m.Ctx.ADDQ(operand.I8(int8(bytes)), p)
	} else {
		m.Ctx.ADDQ(operand.U32(uint32(bytes)), p)
	}
}

func (m *Machine) Loop(name, comment string, n vec.R, body func()) {
	l := m.Label(name)
	m.Block(l, comment)
	body()
	m.Ctx.DECQ(n)
	m.Ctx.JNZ(operand.LabelRef(l))
}

func (m *Machine) LoopArg(name, comment, param string, body func()) {
	l := m.Label(name)
	m.Block(l, comment)
	body()
	m.Ctx.DECQ(m.Param(param))
	m.Ctx.JNZ(operand.LabelRef(l))
}

func (m *Machine) Steps(name, comment string, n vec.R, unroll int, body func(n int)) {
	l := m.Label(name)
	if unroll > 1 {
		m.Ctx.SUBQ(operand.I8(int8(unroll)), n)
		m.Ctx.JL(operand.LabelRef(l + "_rest"))
		m.Block(l+"_block", fmt.Sprintf("%s: %d a round", comment, unroll))
		body(unroll)
		m.Ctx.SUBQ(operand.I8(int8(unroll)), n)
		m.Ctx.JGE(operand.LabelRef(l + "_block"))
		m.Block(l+"_rest", fmt.Sprintf("Fewer than %d are left", unroll))
		m.Ctx.ADDQ(operand.I8(int8(unroll)), n)
	} else {
		m.Ctx.TESTQ(n, n)
	}
	m.Ctx.JZ(operand.LabelRef(l + "_done"))
	m.Block(l+"_one", comment+": one a round")
	body(1)
	m.Ctx.DECQ(n)
	m.Ctx.JNZ(operand.LabelRef(l + "_one"))
	m.Ctx.Label(l + "_done")
}

func (m *Machine) Prefetch(p vec.R, bytes int) { m.Ctx.PREFETCHT0(operand.Mem{Base: p, Disp: bytes}) }

func (m *Machine) PrefetchLater(p vec.R, bytes int) {
	m.Ctx.PREFETCHT1(operand.Mem{Base: p, Disp: bytes})
}

func (m *Machine) Load(p vec.R, i int) vec.V {
	v := m.vector()
	m.Ctx.VMOVUPS(operand.Mem{Base: p, Disp: i * m.size}, v)
	return v
}

func (m *Machine) LoadAt(p, x vec.R) vec.V {
	v := m.vector()
	m.Ctx.VMOVUPS(operand.Mem{Base: p, Index: x, Scale: 1}, v)
	return v
}

func (m *Machine) Store(v vec.V, p vec.R, i int) {
	m.Ctx.VMOVUPS(v, operand.Mem{Base: p, Disp: i * m.size})
}

func (m *Machine) StoreAt(v vec.V, p, x vec.R) {
	m.Ctx.VMOVUPS(v, operand.Mem{Base: p, Index: x, Scale: 1})
}

// Transpose interleaves neighbouring rows, then pairs of them, within the halves of the vectors, and
// exchanges halves.
func (m *Machine) Transpose(rows []vec.V) []vec.V {
	if m.wide() || len(rows) != 8 {
		panic(fmt.Sprintf("amd64: transposing %d vectors of %d bytes", len(rows), m.size))
	}
	result := func() vec.V { return m.vector() }
	var pairs [8]vec.V // 2i has columns 0, 1, 4 and 5 of rows 2i and 2i+1, 2i+1 has the others
	for i := 0; i < 8; i += 2 {
		pairs[i], pairs[i+1] = result(), result()
		m.Ctx.VUNPCKLPS(rows[i+1], rows[i], pairs[i])
		m.Ctx.VUNPCKHPS(rows[i+1], rows[i], pairs[i+1])
	}
	var fours [8]vec.V // j has columns j and j+4 of the first four rows, j+4 of the others
	for i := 0; i < 8; i += 4 {
		for j := range 4 {
			fours[i+j] = result()
			low, high := pairs[i+j/2], pairs[i+2+j/2]
			m.Ctx.VSHUFPS(operand.U8(0x44+j%2*0xaa), high, low, fours[i+j])
		}
	}
	columns := make([]vec.V, 8)
	for j := range 4 {
		columns[j], columns[j+4] = result(), result()
		m.Ctx.VPERM2F128(operand.U8(0x20), fours[j+4], fours[j], columns[j])
		m.Ctx.VPERM2F128(operand.U8(0x31), fours[j+4], fours[j], columns[j+4])
	}
	return columns
}
