// Package arm64 is the vec.Machine of NEON, and of NEON with dot products. avo knows no arm64, but its contexts,
// liveness analysis, register allocator and printers do not mind: instructions
// are text of ours, and avo's vector and integer registers stand for those of
// arm64 with the same number. Go's own mnemonics are used where Go has them,
// else a WORD with GNU's notation as its comment.
package arm64

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/reg"

	"firebench/asmgen/source"
	"firebench/asmgen/vec"
)

const (
	size      = 16 // bytes in a vector
	registers = 32 // vector registers
	intSize   = 8  // bytes in Go's int
)

// Features that instructions need, by the names that Linux has for them.
const (
	asimd   = "ASIMD"   // NEON
	asimddp = "ASIMDDP" // dot products
)

// Machine implements vec.Machine.
type Machine struct {
	*source.File
	Set
	// text returns an instruction once the numbers of its registers are known.
	text map[*ir.Instruction]func(numbers []int) string
	// low has the registers that some instruction can name in the lower half only.
	low map[reg.ID]bool
}

// A Set is an instruction set.
type Set struct{ dotProduct bool }

// The instruction sets.
var (
	NEON        = Set{}
	NEONDotProd = Set{dotProduct: true} // sums of four products of bytes
)

// New returns a machine. constraint is the build constraint of its file.
func New(set Set, constraint string) *Machine {
	return &Machine{source.New("arm64", constraint), set, map[*ir.Instruction]func([]int) string{}, map[reg.ID]bool{}}
}

// Print allocates registers and returns the assembly and the Go declarations of
// all functions so far. generator is named in the header.
func (m *Machine) Print(generator, pkg string) (asm, stubs []byte, err error) {
	// These are the passes of pass.Compile that are not about amd64.
	passes := pass.Concat(
		pass.Verify,
		pass.FunctionPass(pass.PruneDanglingLabels),
		pass.FunctionPass(pass.LabelTarget),
		pass.FunctionPass(pass.CFG),
		pass.FunctionPass(pass.Liveness),
		pass.FunctionPass(pass.AllocateRegisters),
		pass.FunctionPass(m.keepLow),
		pass.FunctionPass(pass.BindRegisters),
		pass.FunctionPass(pass.VerifyAllocation),
		pass.Func(pass.IncludeTextFlagHeader),
		pass.FunctionPass(pass.RequiredISAExtensions),
		pass.FunctionPass(m.lower),
	)
	return m.File.Print(passes, register, generator, pkg)
}

// register is the name of an allocated register.
func register(id reg.ID) string {
	if id.Kind() == reg.KindVector {
		return fmt.Sprintf("V%d", id.Index())
	}
	return fmt.Sprintf("R%d", id.Index())
}

// keepLow exchanges registers so that those which some instruction can name in the lower half
// only are there. avo's allocator does not know of them; to the other instructions all are alike.
func (m *Machine) keepLow(fn *ir.Function) error {
	low := map[reg.ID]bool{} // physical registers that must be in the lower half
	for v, p := range fn.Allocation {
		if m.low[v] {
			low[p] = true
		}
	}
	exchange := map[reg.ID]reg.ID{}
	free := 0
	for _, p := range slices.Sorted(maps.Keys(low)) {
		if p.Index() < registers/2 {
			continue
		}
		for free < registers/2 && low[vector(free)] {
			free++
		}
		if free == registers/2 {
			return fmt.Errorf("%s: %d vector registers must be in the lower half", fn.Name, len(low))
		}
		exchange[p], exchange[vector(free)] = vector(free), p
		free++
	}
	for v, p := range fn.Allocation {
		if q, ok := exchange[p]; ok {
			fn.Allocation[v] = q
		}
	}
	return nil
}

// vector is the vector register of a number.
func vector(n int) reg.ID { return reg.Vector.Lookup(reg.Index(n), reg.S128).ID() }

// lower replaces each instruction by its text.
func (m *Machine) lower(fn *ir.Function) error {
	for _, i := range fn.Instructions() {
		text := m.text[i]
		if text == nil {
			return fmt.Errorf("%s: %s is not an instruction of this machine", fn.Name, i.Opcode)
		}
		var numbers []int
		for _, op := range i.Operands {
			if _, branch := op.(operand.LabelRef); branch {
				continue
			}
			n, err := number(op)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", fn.Name, i.Opcode, err)
			}
			numbers = append(numbers, n)
		}
		opcode, operands, ok := strings.Cut(text(numbers), " ")
		i.Opcode, i.Operands = opcode, nil
		if ok {
			i.Operands = []operand.Op{operand.LabelRef(operands)}
		}
	}
	return nil
}

// number returns the register's number. It refuses integer registers that are
// not free: the platform's R18, the assembler's R27, Go's R28, the frame pointer,
// the link register and the stack pointer; and the one that avo reserves.
func number(op operand.Op) (int, error) {
	r, ok := op.(reg.Register)
	if !ok {
		return 0, fmt.Errorf("%v is not a register", op)
	}
	p := reg.ToPhysical(r)
	if p == nil {
		return 0, fmt.Errorf("%s has no register", r.Asm())
	}
	n := int(p.PhysicalIndex())
	switch p.Kind() {
	case reg.KindVector:
		if n < registers {
			return n, nil
		}
	case reg.KindGP:
		if n != 18 && n < 27 && p.Info()&reg.Restricted == 0 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s: register %d is reserved", p.Asm(), n)
}

// A ref is a register as an instruction's operand.
type ref struct {
	r             reg.Register
	read, written bool
}

func in(r reg.Register) ref    { return ref{r, true, false} }
func out(r reg.Register) ref   { return ref{r, false, true} }
func inout(r reg.Register) ref { return ref{r, true, true} }

func (m *Machine) instruction(opcode string, text func([]int) string, refs []ref) *ir.Instruction {
	i := &ir.Instruction{Opcode: opcode}
	for _, r := range refs {
		i.Operands = append(i.Operands, r.r)
		if r.read {
			i.Inputs = append(i.Inputs, r.r)
		}
		if r.written {
			i.Outputs = append(i.Outputs, r.r)
		}
		if r.r.Kind() == reg.KindVector {
			i.ISA = []string{asimd}
		}
	}
	m.text[i] = text
	m.Ctx.Instruction(i)
	return i
}

// emit adds an instruction in Go's notation, where {0} stands for the number of
// the first register of refs.
func (m *Machine) emit(format string, refs ...ref) {
	opcode, _, _ := strings.Cut(format, " ")
	m.instruction(opcode, func(numbers []int) string {
		s := format
		for i, n := range numbers {
			s = strings.ReplaceAll(s, "{"+strconv.Itoa(i)+"}", strconv.Itoa(n))
		}
		return s
	}, refs)
}

// word adds an instruction that Go's assembler lacks: refs in GNU's order, then
// the lane if it takes one.
func (m *Machine) word(name string, refs []ref, lane ...int) {
	e := find(name)
	for i, r := range refs {
		if e.form.limit(i) == registers/2 {
			m.low[r.r.ID()] = true
		}
	}
	i := m.instruction(name, func(numbers []int) string {
		word, text := e.encode(append(numbers, lane...)...)
		return fmt.Sprintf("WORD $%#08x // %s", word, text)
	}, refs)
	i.ISA = []string{e.feature}
}

func (m *Machine) branch(opcode, label string) {
	i := &ir.Instruction{
		Opcode: opcode, Operands: []operand.Op{operand.LabelRef(label)},
		IsBranch: true, IsConditional: true,
	}
	m.text[i] = func([]int) string { return opcode + " " + label }
	m.Ctx.Instruction(i)
}

// imm checks an immediate operand: of a range that one instruction holds, and a
// multiple of scale. The assembler would make two instructions of another one,
// with help of R27.
func imm(n, low, high, scale int) int {
	if n < low || n > high || n%scale != 0 {
		panic(fmt.Sprintf("arm64: immediate %d is not a multiple of %d from %d to %d", n, scale, low, high))
	}
	return n
}

func (m *Machine) Size() int      { return size }
func (m *Machine) Registers() int { return registers }

func (m *Machine) Return() {
	i := &ir.Instruction{Opcode: "RET", IsTerminal: true}
	m.text[i] = func([]int) string { return "RET" }
	m.Ctx.Instruction(i)
}

// param is the argument slot of a parameter.
func (m *Machine) param(name string) string { return m.Param(name).Asm() }

func (m *Machine) Arg(param string) vec.R {
	r := vec.Named(m, param, m.Ctx.GP64())
	m.emit("MOVD "+m.param(param)+", R{0}", out(r))
	return r
}

func (m *Machine) SetArg(param string, r vec.R) {
	m.emit("MOVD R{0}, "+m.param(param), in(r))
}

func (m *Machine) Zero() vec.V {
	v := m.Ctx.XMM()
	m.emit("VMOVI $0, V{0}.B16", out(v))
	return v
}

func (m *Machine) Copy(v vec.V) vec.V {
	c := m.Ctx.XMM()
	m.emit("VMOV V{1}.B16, V{0}.B16", out(c), in(v))
	return c
}

func (m *Machine) Int(n int) vec.R {
	r := m.Ctx.GP64()
	m.emit(fmt.Sprintf("MOVD $%d, R{0}", imm(n, 0, 1<<16-1, 1)), out(r))
	return r
}

func (m *Machine) CopyInt(r vec.R) vec.R {
	c := m.Ctx.GP64()
	m.move(c, r)
	return c
}

func (m *Machine) move(dst, src vec.R) { m.emit("MOVD R{1}, R{0}", out(dst), in(src)) }

func (m *Machine) AddTo(dst, src vec.R)   { m.emit("ADD R{1}, R{0}, R{0}", inout(dst), in(src)) }
func (m *Machine) SubFrom(dst, src vec.R) { m.emit("SUB R{1}, R{0}, R{0}", inout(dst), in(src)) }
func (m *Machine) MulBy(dst, src vec.R)   { m.emit("MUL R{1}, R{0}, R{0}", inout(dst), in(src)) }

func (m *Machine) AddMulTo(dst, src vec.R, n int) {
	if bits.OnesCount(uint(n)) == 1 {
		m.addShifted(dst, dst, src, log2(n))
		return
	}
	m.emit("MADD R{1}, R{0}, R{2}, R{0}", inout(dst), in(src), in(m.Int(n)))
}

func (m *Machine) AddMul(a, b vec.R, n int) vec.R {
	r := m.Ctx.GP64()
	if bits.OnesCount(uint(n)) == 1 {
		m.addShifted(r, a, b, log2(n))
	} else {
		m.emit("MADD R{2}, R{1}, R{3}, R{0}", out(r), in(a), in(b), in(m.Int(n)))
	}
	return r
}

// addShifted sets dst to a + b·2^shift.
func (m *Machine) addShifted(dst, a, b vec.R, shift int) {
	if shift == 0 {
		m.emit("ADD R{2}, R{1}, R{0}", out(dst), in(a), in(b))
		return
	}
	m.emit(fmt.Sprintf("ADD R{2}<<%d, R{1}, R{0}", shift), out(dst), in(a), in(b))
}

// log2 is the binary logarithm of a power of two.
func log2(n int) int {
	if bits.OnesCount(uint(n)) != 1 {
		panic(fmt.Sprintf("arm64: %d is not a power of two", n))
	}
	return bits.TrailingZeros(uint(n))
}

func (m *Machine) DivBy(dst vec.R, n int) {
	m.emit(fmt.Sprintf("LSR $%d, R{0}, R{0}", log2(n)), inout(dst))
}

func (m *Machine) LoadInt(p vec.R) vec.R {
	r := m.Ctx.GP64()
	m.emit("MOVD (R{1}), R{0}", out(r), in(p))
	return r
}

func (m *Machine) LoadInt32(p vec.R, i int) vec.R {
	r := m.Ctx.GP64()
	m.emit(fmt.Sprintf("MOVW %d(R{1}), R{0}", imm(i*vec.S32.Size, 0, 16380, vec.S32.Size)), out(r), in(p))
	return r
}

func (m *Machine) LoadByte(p vec.R, i int) vec.R {
	r := m.Ctx.GP64()
	m.emit(fmt.Sprintf("MOVBU %d(R{1}), R{0}", imm(i, 0, 4095, 1)), out(r), in(p))
	return r
}

func (m *Machine) SkipBytes(p vec.R, n int)   { m.skip(p, n) }
func (m *Machine) SkipInts(p vec.R, n int)    { m.skip(p, n*intSize) }
func (m *Machine) SkipInt32s(p vec.R, n int)  { m.skip(p, n*vec.S32.Size) }
func (m *Machine) SkipVectors(p vec.R, n int) { m.skip(p, n*size) }

func (m *Machine) skip(p vec.R, bytes int) {
	m.emit(fmt.Sprintf("ADD $%d, R{0}, R{0}", imm(bytes, 0, 4095, 1)), inout(p))
}

// countDown subtracts n and sets the flags.
func (m *Machine) countDown(r vec.R, n int) {
	m.emit(fmt.Sprintf("SUBS $%d, R{0}, R{0}", imm(n, 0, 4095, 1)), inout(r))
}

func (m *Machine) Loop(name, comment string, n vec.R, body func()) {
	l := m.Label(name)
	m.Block(l, comment)
	body()
	m.countDown(n, 1)
	m.branch("BNE", l)
}

func (m *Machine) LoopArg(name, comment, param string, body func()) {
	l := m.Label(name)
	m.Block(l, comment)
	body()
	n := m.Arg(param)
	m.countDown(n, 1)
	m.SetArg(param, n)
	m.branch("BNE", l)
}

func (m *Machine) Steps(name, comment string, n vec.R, unroll int, body func(n int)) {
	l := m.Label(name)
	if unroll > 1 {
		m.countDown(n, unroll)
		m.branch("BLT", l+"_rest")
		m.Block(l+"_block", fmt.Sprintf("%s: %d a round", comment, unroll))
		body(unroll)
		m.countDown(n, unroll)
		m.branch("BGE", l+"_block")
		m.Block(l+"_rest", fmt.Sprintf("Fewer than %d are left", unroll))
		m.emit(fmt.Sprintf("ADDS $%d, R{0}, R{0}", unroll), inout(n))
	} else {
		m.countDown(n, 0)
	}
	m.branch("BEQ", l+"_done")
	m.Block(l+"_one", comment+": one a round")
	body(1)
	m.countDown(n, 1)
	m.branch("BNE", l+"_one")
	m.Ctx.Label(l + "_done")
}

func (m *Machine) Prefetch(p vec.R, bytes int)      { m.prefetch(p, bytes, "PLDL1KEEP") }
func (m *Machine) PrefetchLater(p vec.R, bytes int) { m.prefetch(p, bytes, "PLDL2KEEP") }

func (m *Machine) prefetch(p vec.R, bytes int, to string) {
	m.emit(fmt.Sprintf("PRFM %d(R{0}), %s", imm(bytes, 0, 32760, 8), to), in(p))
}

// displacement checks an access to vector i from a pointer on and returns its offset in bytes.
func displacement(i int) int { return imm(i*size, 0, 65520, size) }

func (m *Machine) Load(p vec.R, i int) vec.V {
	v := m.Ctx.XMM()
	m.emit(fmt.Sprintf("FMOVQ %d(R{1}), F{0}", displacement(i)), out(v), in(p))
	return v
}

func (m *Machine) LoadAt(p, x vec.R) vec.V {
	v := m.Ctx.XMM()
	m.word("ldr", []ref{out(v), in(p), in(x)})
	return v
}

func (m *Machine) Store(v vec.V, p vec.R, i int) {
	m.emit(fmt.Sprintf("FMOVQ F{0}, %d(R{1})", displacement(i)), in(v), in(p))
}

func (m *Machine) StoreAt(v vec.V, p, x vec.R) { m.word("str", []ref{in(v), in(p), in(x)}) }

// Transpose exchanges neighbouring values of rows, then pairs of them.
func (m *Machine) Transpose(rows []vec.V) []vec.V {
	if len(rows) != 4 {
		panic(fmt.Sprintf("arm64: transposing %d vectors", len(rows)))
	}
	both := func(arrangement string, a, b vec.V) (vec.V, vec.V) {
		even, odd := m.Ctx.XMM(), m.Ctx.XMM()
		m.emit(fmt.Sprintf("VTRN1 V{2}.%[1]s, V{1}.%[1]s, V{0}.%[1]s", arrangement), out(even), in(a), in(b))
		m.emit(fmt.Sprintf("VTRN2 V{2}.%[1]s, V{1}.%[1]s, V{0}.%[1]s", arrangement), out(odd), in(a), in(b))
		return even, odd
	}
	a0, a1 := both("S4", rows[0], rows[1])
	b0, b1 := both("S4", rows[2], rows[3])
	c0, c2 := both("D2", a0, b0)
	c1, c3 := both("D2", a1, b1)
	return []vec.V{c0, c1, c2, c3}
}
