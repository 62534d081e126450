// Package amd64 is the vec.Machine of AVX2 with FMA and of AVX-512, over avo. avo
// serves as a library: a context and a printer configuration of our own, not its
// global generator with its flags.
package amd64

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"

	"firebench/asmgen/vec"
)

// Machine implements vec.Machine.
type Machine struct {
	ctx       *build.Context
	lanes     int
	registers int
	labels    map[string]int          // of the current function, by name
	consts    map[float32]operand.Mem // of the file
}

// New returns a machine with vectors of lanes float32 values: 8 for AVX2, 16 for
// AVX-512. constraint is the build constraint of its files.
func New(lanes int, constraint string) *Machine {
	m := &Machine{ctx: build.NewContext(), lanes: lanes, consts: map[float32]operand.Mem{}}
	switch lanes {
	case 8:
		m.registers = 16 // avo would hand out Y16 to Y31, which are AVX-512's
	case 16:
		m.registers = 32
	default:
		panic(fmt.Sprintf("amd64: no vectors of %d lanes", lanes))
	}
	m.ctx.ConstraintExpr(constraint)
	return m
}

// Print allocates registers and returns the assembly and the Go declarations of
// all functions so far. name is the generator's, for the header.
func (m *Machine) Print(name, pkg string) (asm, stubs []byte, err error) {
	f, err := m.ctx.Result()
	if err != nil {
		return nil, nil, err
	}
	if err := pass.Compile.Execute(f); err != nil {
		return nil, nil, err
	}
	for _, fn := range f.Functions() {
		fn.Nodes = slices.DeleteFunc(fn.Nodes, selfCopy)
	}
	if err := m.checkRegisters(f); err != nil {
		return nil, nil, err
	}
	cfg := printer.Config{Name: name, Pkg: pkg}
	if asm, err = printer.NewGoAsm(cfg).Print(f); err != nil {
		return nil, nil, err
	}
	stubs, err = printer.NewStubs(cfg).Print(f)
	return asm, stubs, err
}

// selfCopy reports whether a node copies a vector register to itself, as Copy does where
// the allocator gave the copy the register of an original that is not needed any more.
// avo removes only integer moves of that kind.
func selfCopy(n ir.Node) bool {
	i, ok := n.(*ir.Instruction)
	return ok && i.Opcode == "VMOVAPS" && i.Operands[0] == i.Operands[1]
}

// checkRegisters refuses vector registers that the instruction set lacks, and BP,
// which belongs to the frame.
func (m *Machine) checkRegisters(f *ir.File) error {
	for _, fn := range f.Functions() {
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
	}
	return nil
}

func (m *Machine) Lanes() int     { return m.lanes }
func (m *Machine) Registers() int { return m.registers }

// size is the size of a vector in bytes.
func (m *Machine) size() int { return 4 * m.lanes }

func (m *Machine) vector() vec.V {
	if m.lanes == 16 {
		return m.ctx.ZMM()
	}
	return m.ctx.YMM()
}

func (m *Machine) Func(name, signature string, doc ...string) {
	m.labels = map[string]int{}
	m.ctx.Function(name)
	m.ctx.Attributes(attr.NOSPLIT)
	m.ctx.Pragma("noescape")
	m.ctx.SignatureExpr(signature)
	m.ctx.Doc(doc...)
}

// Return clears the upper halves of the registers first: SSE code after
// it would otherwise run slowly on some processors. avo does not do it.
func (m *Machine) Return() {
	m.ctx.VZEROUPPER()
	m.ctx.RET()
}

func (m *Machine) Int(param string) vec.R {
	r := m.ctx.GP64()
	m.ctx.Load(m.ctx.Param(param), r)
	return r
}

func (m *Machine) SetInt(param string, r vec.R) { m.ctx.MOVQ(r, m.param(param)) }

func (m *Machine) Splat(param string) vec.V {
	v := m.vector()
	m.ctx.VBROADCASTSS(m.param(param), v)
	return v
}

// param is the argument slot of a parameter.
func (m *Machine) param(name string) operand.Mem {
	b, err := m.ctx.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

func (m *Machine) Zero() vec.V {
	v := m.vector()
	if m.lanes == 16 {
		m.ctx.VPXORD(v, v, v) // the floating-point form needs AVX512DQ
	} else {
		m.ctx.VXORPS(v, v, v)
	}
	return v
}

// Const broadcasts from read-only data.
func (m *Machine) Const(c float32) vec.V {
	mem, ok := m.consts[c]
	if !ok {
		mem = m.ctx.ConstData(fmt.Sprintf("const%d", len(m.consts)), operand.F32(c))
		m.consts[c] = mem
	}
	v := m.vector()
	m.ctx.VBROADCASTSS(mem, v)
	return v
}

func (m *Machine) Copy(v vec.V) vec.V {
	c := m.vector()
	m.ctx.VMOVAPS(v, c)
	return c
}

func (m *Machine) ZeroInt() vec.R {
	r := m.ctx.GP64()
	m.ctx.XORQ(r, r)
	return r
}

func (m *Machine) Count(n int) vec.R {
	r := m.ctx.GP64()
	m.ctx.MOVQ(operand.U32(uint32(n)), r)
	return r
}

func (m *Machine) CopyInt(r vec.R) vec.R {
	c := m.ctx.GP64()
	m.ctx.MOVQ(r, c)
	return c
}

func (m *Machine) AddInt(dst, src vec.R) { m.ctx.ADDQ(src, dst) }
func (m *Machine) SubInt(dst, src vec.R) { m.ctx.SUBQ(src, dst) }

func (m *Machine) Times(dst, src vec.R) { m.ctx.IMULQ(src, dst) }

func (m *Machine) AddMul(dst, src vec.R, n int) {
	switch n {
	case 1:
		m.ctx.ADDQ(src, dst)
	case 2, 4, 8:
		m.ctx.LEAQ(operand.Mem{Base: dst, Index: src, Scale: uint8(n)}, dst)
	default:
		t := m.ctx.GP64()
		m.ctx.IMUL3Q(operand.U32(uint32(n)), src, t)
		m.ctx.ADDQ(t, dst)
	}
}

func (m *Machine) AddVectors(p vec.R, n int) { m.addImm(p, n*m.size()) }
func (m *Machine) AddFloats(p vec.R, n int)  { m.addImm(p, 4*n) }

func (m *Machine) addImm(p vec.R, n int) {
	if n < 128 {
		m.ctx.ADDQ(operand.I8(int8(n)), p)
	} else {
		m.ctx.ADDQ(operand.U32(uint32(n)), p)
	}
}

func (m *Machine) Bytes(n vec.R)   { m.ctx.SHLQ(operand.U8(2), n) }
func (m *Machine) Vectors(n vec.R) { m.Halve(n, bits.TrailingZeros(uint(m.lanes))) }

func (m *Machine) Halve(n vec.R, times int) { m.ctx.SHRQ(operand.U8(uint8(times)), n) }

func (m *Machine) FloatAt(p, i vec.R) vec.R {
	r := m.ctx.GP64()
	m.ctx.LEAQ(operand.Mem{Base: p, Index: i, Scale: 4}, r)
	return r
}

func (m *Machine) NextInt(p vec.R) vec.R {
	r := m.ctx.GP64()
	m.ctx.MOVQ(operand.Mem{Base: p}, r)
	m.ctx.ADDQ(operand.I8(8), p)
	return r
}

// label returns a label that is unique in the function.
func (m *Machine) label(name string) string {
	m.labels[name]++
	if n := m.labels[name]; n > 1 {
		return fmt.Sprintf("%s%d", name, n)
	}
	return name
}

func (m *Machine) Loop(name string, n vec.R, body func()) {
	l := m.label(name)
	m.ctx.Label(l)
	body()
	m.ctx.DECQ(n)
	m.ctx.JNZ(operand.LabelRef(l))
}

func (m *Machine) LoopParam(name, param string, body func()) {
	l := m.label(name)
	m.ctx.Label(l)
	body()
	m.ctx.DECQ(m.param(param))
	m.ctx.JNZ(operand.LabelRef(l))
}

func (m *Machine) Steps(name string, n vec.R, unroll int, body func(n int)) {
	l := m.label(name)
	if unroll > 1 {
		m.ctx.SUBQ(operand.I8(int8(unroll)), n)
		m.ctx.JL(operand.LabelRef(l + "_rest"))
		m.ctx.Label(l + "_block")
		body(unroll)
		m.ctx.SUBQ(operand.I8(int8(unroll)), n)
		m.ctx.JGE(operand.LabelRef(l + "_block"))
		m.ctx.Label(l + "_rest")
		m.ctx.ADDQ(operand.I8(int8(unroll)), n)
	} else {
		m.ctx.TESTQ(n, n)
	}
	m.ctx.JZ(operand.LabelRef(l + "_done"))
	m.ctx.Label(l + "_one")
	body(1)
	m.ctx.DECQ(n)
	m.ctx.JNZ(operand.LabelRef(l + "_one"))
	m.ctx.Label(l + "_done")
}

func (m *Machine) Prefetch(p vec.R, bytes int) { m.ctx.PREFETCHT0(operand.Mem{Base: p, Disp: bytes}) }

func (m *Machine) Load(p vec.R, off int) vec.V {
	v := m.vector()
	m.ctx.VMOVUPS(operand.Mem{Base: p, Disp: off * m.size()}, v)
	return v
}

func (m *Machine) LoadX(p, x vec.R) vec.V {
	v := m.vector()
	m.ctx.VMOVUPS(operand.Mem{Base: p, Index: x, Scale: 1}, v)
	return v
}

func (m *Machine) Store(v vec.V, p vec.R, off int) {
	m.ctx.VMOVUPS(v, operand.Mem{Base: p, Disp: off * m.size()})
}

func (m *Machine) StoreX(v vec.V, p, x vec.R) {
	m.ctx.VMOVUPS(v, operand.Mem{Base: p, Index: x, Scale: 1})
}

func (m *Machine) Sum(a, b vec.V) vec.V {
	r := m.vector()
	m.ctx.VADDPS(b, a, r)
	return r
}

func (m *Machine) Difference(a, b vec.V) vec.V {
	r := m.vector()
	m.ctx.VSUBPS(b, a, r)
	return r
}

func (m *Machine) Add(dst, v vec.V) { m.ctx.VADDPS(v, dst, dst) }
func (m *Machine) Sub(dst, v vec.V) { m.ctx.VSUBPS(v, dst, dst) }
func (m *Machine) Mul(dst, v vec.V) { m.ctx.VMULPS(v, dst, dst) }
func (m *Machine) Div(dst, v vec.V) { m.ctx.VDIVPS(v, dst, dst) }

func (m *Machine) Sqrt(v vec.V) vec.V {
	r := m.vector()
	m.ctx.VSQRTPS(v, r)
	return r
}

// Max gives dst as the second source, which the instruction returns if either is
// NaN.
func (m *Machine) Max(dst, v vec.V) { m.ctx.VMAXPS(dst, v, dst) }

func (m *Machine) MulAdd(dst, a, b vec.V) { m.ctx.VFMADD231PS(a, b, dst) }
func (m *Machine) MulSub(dst, a, b vec.V) { m.ctx.VFNMADD231PS(a, b, dst) }
