// Package arm64 is the vec.Machine of NEON. avo knows no arm64, but its contexts,
// liveness analysis, register allocator and printers do not mind: instructions
// are text of ours, and avo's vector and integer registers stand for those of
// arm64 with the same number. Go's own mnemonics are used where Go has them,
// else a WORD with GNU's notation as its comment.
package arm64

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"

	"firebench/asmgen/vec"
)

const (
	lanes     = 4  // float32 values in a vector
	size      = 16 // bytes in a vector
	registers = 32 // vector registers
)

// Machine implements vec.Machine.
type Machine struct {
	ctx    *build.Context
	labels map[string]int // of the current function, by name
	// text returns an instruction once the numbers of its registers are known.
	text map[*ir.Instruction]func(numbers []int) string
}

// New returns a machine. constraint is the build constraint of its files.
func New(constraint string) *Machine {
	m := &Machine{ctx: build.NewContext(), text: map[*ir.Instruction]func([]int) string{}}
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
	// These are the passes of pass.Compile that are not about amd64.
	passes := pass.Concat(
		pass.Verify,
		pass.FunctionPass(pass.PruneDanglingLabels),
		pass.FunctionPass(pass.LabelTarget),
		pass.FunctionPass(pass.CFG),
		pass.FunctionPass(pass.Liveness),
		pass.FunctionPass(pass.AllocateRegisters),
		pass.FunctionPass(pass.BindRegisters),
		pass.FunctionPass(pass.VerifyAllocation),
		pass.Func(pass.IncludeTextFlagHeader),
		pass.FunctionPass(pass.RequiredISAExtensions),
		pass.FunctionPass(m.lower),
	)
	if err := passes.Execute(f); err != nil {
		return nil, nil, err
	}
	cfg := printer.Config{Name: name, Pkg: pkg}
	if asm, err = printer.NewGoAsm(cfg).Print(f); err != nil {
		return nil, nil, err
	}
	stubs, err = printer.NewStubs(cfg).Print(f)
	return asm, stubs, err
}

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
			i.ISA = []string{"ASIMD"}
		}
	}
	m.text[i] = text
	m.ctx.Instruction(i)
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
	m.instruction(name, func(numbers []int) string {
		word, text := encode(name, append(numbers, lane...)...)
		return fmt.Sprintf("WORD $%#08x // %s", word, text)
	}, refs)
}

func (m *Machine) branch(opcode, label string) {
	i := &ir.Instruction{
		Opcode: opcode, Operands: []operand.Op{operand.LabelRef(label)},
		IsBranch: true, IsConditional: true,
	}
	m.text[i] = func([]int) string { return opcode + " " + label }
	m.ctx.Instruction(i)
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

func (m *Machine) Lanes() int     { return lanes }
func (m *Machine) Registers() int { return registers }

func (m *Machine) Func(name, signature string, doc ...string) {
	m.labels = map[string]int{}
	m.ctx.Function(name)
	m.ctx.Attributes(attr.NOSPLIT)
	m.ctx.Pragma("noescape")
	m.ctx.SignatureExpr(signature)
	m.ctx.Doc(doc...)
}

func (m *Machine) Return() {
	i := &ir.Instruction{Opcode: "RET", IsTerminal: true}
	m.text[i] = func([]int) string { return "RET" }
	m.ctx.Instruction(i)
}

// param is the argument slot of a parameter.
func (m *Machine) param(name string) string {
	b, err := m.ctx.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr.Asm()
}

func (m *Machine) Int(param string) vec.R {
	r := m.ctx.GP64()
	m.emit("MOVD "+m.param(param)+", R{0}", out(r))
	return r
}

func (m *Machine) SetInt(param string, r vec.R) {
	m.emit("MOVD R{0}, "+m.param(param), in(r))
}

func (m *Machine) Splat(param string) vec.V {
	v := m.ctx.XMM()
	m.emit("FMOVS "+m.param(param)+", F{0}", out(v))
	m.emit("VDUP V{0}.S[0], V{0}.S4", inout(v))
	return v
}

func (m *Machine) Zero() vec.V {
	v := m.ctx.XMM()
	m.emit("VMOVI $0, V{0}.B16", out(v))
	return v
}

func (m *Machine) Const(c float32) vec.V {
	r, v := m.ctx.GP64(), m.ctx.XMM()
	m.emit(fmt.Sprintf("MOVD $%#08x, R{0}", math.Float32bits(c)), out(r))
	m.emit("VDUP R{1}, V{0}.S4", out(v), in(r))
	return v
}

func (m *Machine) Copy(v vec.V) vec.V {
	c := m.ctx.XMM()
	m.emit("VMOV V{1}.B16, V{0}.B16", out(c), in(v))
	return c
}

func (m *Machine) ZeroInt() vec.R { return m.Count(0) }

func (m *Machine) Count(n int) vec.R {
	r := m.ctx.GP64()
	m.emit(fmt.Sprintf("MOVD $%d, R{0}", imm(n, 0, 1<<16-1, 1)), out(r))
	return r
}

func (m *Machine) CopyInt(r vec.R) vec.R {
	c := m.ctx.GP64()
	m.move(c, r)
	return c
}

func (m *Machine) move(dst, src vec.R) { m.emit("MOVD R{1}, R{0}", out(dst), in(src)) }

func (m *Machine) AddInt(dst, src vec.R) { m.emit("ADD R{1}, R{0}, R{0}", inout(dst), in(src)) }
func (m *Machine) SubInt(dst, src vec.R) { m.emit("SUB R{1}, R{0}, R{0}", inout(dst), in(src)) }
func (m *Machine) Times(dst, src vec.R)  { m.emit("MUL R{1}, R{0}, R{0}", inout(dst), in(src)) }

func (m *Machine) AddMul(dst, src vec.R, n int) {
	if bits.OnesCount(uint(n)) == 1 {
		m.addShifted(dst, dst, src, bits.TrailingZeros(uint(n)))
		return
	}
	m.emit("MADD R{1}, R{0}, R{2}, R{0}", inout(dst), in(src), in(m.Count(n)))
}

// addShifted sets dst to a + b·2^shift.
func (m *Machine) addShifted(dst, a, b vec.R, shift int) {
	if shift == 0 {
		m.emit("ADD R{2}, R{1}, R{0}", out(dst), in(a), in(b))
		return
	}
	m.emit(fmt.Sprintf("ADD R{2}<<%d, R{1}, R{0}", shift), out(dst), in(a), in(b))
}

func (m *Machine) AddVectors(p vec.R, n int) { m.addImm(p, n*size) }
func (m *Machine) AddFloats(p vec.R, n int)  { m.addImm(p, 4*n) }

func (m *Machine) addImm(p vec.R, n int) {
	m.emit(fmt.Sprintf("ADD $%d, R{0}, R{0}", imm(n, 0, 4095, 1)), inout(p))
}

func (m *Machine) Bytes(n vec.R)   { m.emit("LSL $2, R{0}, R{0}", inout(n)) }
func (m *Machine) Vectors(n vec.R) { m.Halve(n, bits.TrailingZeros(lanes)) }

func (m *Machine) Halve(n vec.R, times int) {
	m.emit(fmt.Sprintf("LSR $%d, R{0}, R{0}", times), inout(n))
}

func (m *Machine) FloatAt(p, i vec.R) vec.R {
	r := m.ctx.GP64()
	m.addShifted(r, p, i, 2)
	return r
}

func (m *Machine) NextInt(p vec.R) vec.R {
	r := m.ctx.GP64()
	m.emit("MOVD (R{1}), R{0}", out(r), in(p))
	m.addImm(p, 8)
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

// countDown subtracts n and sets the flags.
func (m *Machine) countDown(r vec.R, n int) {
	m.emit(fmt.Sprintf("SUBS $%d, R{0}, R{0}", imm(n, 0, 4095, 1)), inout(r))
}

func (m *Machine) Loop(name string, n vec.R, body func()) {
	l := m.label(name)
	m.ctx.Label(l)
	body()
	m.countDown(n, 1)
	m.branch("BNE", l)
}

func (m *Machine) LoopParam(name, param string, body func()) {
	l := m.label(name)
	m.ctx.Label(l)
	body()
	n := m.Int(param)
	m.countDown(n, 1)
	m.SetInt(param, n)
	m.branch("BNE", l)
}

func (m *Machine) Steps(name string, n vec.R, unroll int, body func(n int)) {
	l := m.label(name)
	if unroll > 1 {
		m.countDown(n, unroll)
		m.branch("BLT", l+"_rest")
		m.ctx.Label(l + "_block")
		body(unroll)
		m.countDown(n, unroll)
		m.branch("BGE", l+"_block")
		m.ctx.Label(l + "_rest")
		m.emit(fmt.Sprintf("ADDS $%d, R{0}, R{0}", unroll), inout(n))
	} else {
		m.countDown(n, 0)
	}
	m.branch("BEQ", l+"_done")
	m.ctx.Label(l + "_one")
	body(1)
	m.countDown(n, 1)
	m.branch("BNE", l+"_one")
	m.ctx.Label(l + "_done")
}

func (m *Machine) Prefetch(p vec.R, bytes int) {
	m.emit(fmt.Sprintf("PRFM %d(R{0}), PLDL1KEEP", imm(bytes, 0, 32760, 8)), in(p))
}

// offset checks the offset, in vectors, of an access to one vector.
func offset(off int) int { return imm(off*size, 0, 65520, size) }

func (m *Machine) Load(p vec.R, off int) vec.V {
	v := m.ctx.XMM()
	m.emit(fmt.Sprintf("FMOVQ %d(R{1}), F{0}", offset(off)), out(v), in(p))
	return v
}

func (m *Machine) LoadX(p, x vec.R) vec.V {
	v := m.ctx.XMM()
	m.word("ldr", []ref{out(v), in(p), in(x)})
	return v
}

func (m *Machine) Store(v vec.V, p vec.R, off int) {
	m.emit(fmt.Sprintf("FMOVQ F{0}, %d(R{1})", offset(off)), in(v), in(p))
}

func (m *Machine) StoreX(v vec.V, p, x vec.R) { m.word("str", []ref{in(v), in(p), in(x)}) }

func (m *Machine) Sum(a, b vec.V) vec.V {
	r := m.ctx.XMM()
	m.word("fadd", []ref{out(r), in(a), in(b)})
	return r
}

func (m *Machine) Difference(a, b vec.V) vec.V {
	r := m.ctx.XMM()
	m.word("fsub", []ref{out(r), in(a), in(b)})
	return r
}

func (m *Machine) Add(dst, v vec.V) { m.word("fadd", []ref{inout(dst), in(dst), in(v)}) }
func (m *Machine) Sub(dst, v vec.V) { m.word("fsub", []ref{inout(dst), in(dst), in(v)}) }
func (m *Machine) Mul(dst, v vec.V) { m.word("fmul", []ref{inout(dst), in(dst), in(v)}) }
func (m *Machine) Div(dst, v vec.V) { m.word("fdiv", []ref{inout(dst), in(dst), in(v)}) }

func (m *Machine) Sqrt(v vec.V) vec.V {
	r := m.ctx.XMM()
	m.word("fsqrt", []ref{out(r), in(v)})
	return r
}

// Max returns NaN where either is NaN.
func (m *Machine) Max(dst, v vec.V) { m.word("fmax", []ref{inout(dst), in(dst), in(v)}) }

func (m *Machine) MulAdd(dst, a, b vec.V) {
	m.emit("VFMLA V{2}.S4, V{1}.S4, V{0}.S4", inout(dst), in(a), in(b))
}

func (m *Machine) MulSub(dst, a, b vec.V) {
	m.emit("VFMLS V{2}.S4, V{1}.S4, V{0}.S4", inout(dst), in(a), in(b))
}
