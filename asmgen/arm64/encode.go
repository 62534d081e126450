package arm64

import (
	"fmt"
	"strings"
)

// A form is the shape of an instruction's operands, which says where their numbers go. The
// numbers of registers come first, then a lane.
type form int

const (
	two      form = iota // vd, vn
	three                // vd, vn, vm
	element4             // vd, vn, a lane of vm of 4 bytes
	element2             // vd, vn, a lane of vm of 2 bytes
	indexed              // qt, [xn, xm]
)

// An encoding is an instruction that Go's assembler lacks.
type encoding struct {
	name string // the mnemonic; behind a dot, if the table has several of it, the last register's lanes
	text string // the operands in GNU's notation
	form form
	base uint32 // all operands are 0

	feature string // that the processor must have
}

// encodings is the only place that instruction words come from.
var encodings = []encoding{
	{"fadd", "v%d.4s, v%d.4s, v%d.4s", three, 0x4e20d400, asimd},
	{"fcmeq", "v%d.4s, v%d.4s, v%d.4s", three, 0x4e20e400, asimd},
	{"fcmgt", "v%d.4s, v%d.4s, v%d.4s", three, 0x6ea0e400, asimd},
	{"fcvtns", "v%d.4s, v%d.4s", two, 0x4e21a800, asimd},
	{"fcvtl", "v%d.4s, v%d.4h", two, 0x0e217800, asimd},
	{"fcvtl2", "v%d.4s, v%d.8h", two, 0x4e217800, asimd},
	{"fdiv", "v%d.4s, v%d.4s, v%d.4s", three, 0x6e20fc00, asimd},
	{"fmax", "v%d.4s, v%d.4s, v%d.4s", three, 0x4e20f400, asimd},
	{"fmin", "v%d.4s, v%d.4s, v%d.4s", three, 0x4ea0f400, asimd},
	{"fmla", "v%d.4s, v%d.4s, v%d.s[%d]", element4, 0x4f801000, asimd},
	{"fmul", "v%d.4s, v%d.4s, v%d.4s", three, 0x6e20dc00, asimd},
	{"fsqrt", "v%d.4s, v%d.4s", two, 0x6ea1f800, asimd},
	{"fsub", "v%d.4s, v%d.4s, v%d.4s", three, 0x4ea0d400, asimd},
	{"ldr", "q%d, [x%d, x%d]", indexed, 0x3ce06800, asimd},
	{"mul", "v%d.4s, v%d.4s, v%d.4s", three, 0x4ea09c00, asimd},
	{"scvtf", "v%d.4s, v%d.4s", two, 0x4e21d800, asimd},
	{"sdot", "v%d.4s, v%d.16b, v%d.4b[%d]", element4, 0x4f80e000, asimddp},
	{"sdot.16b", "v%d.4s, v%d.16b, v%d.16b", three, 0x4e809400, asimddp},
	{"smlal", "v%d.4s, v%d.4h, v%d.h[%d]", element2, 0x0f402000, asimd},
	{"smlal.4h", "v%d.4s, v%d.4h, v%d.4h", three, 0x0e608000, asimd},
	{"smlal2", "v%d.4s, v%d.8h, v%d.h[%d]", element2, 0x4f402000, asimd},
	{"sqadd", "v%d.8h, v%d.8h, v%d.8h", three, 0x4e600c00, asimd},
	{"sqxtn", "v%d.4h, v%d.4s", two, 0x0e614800, asimd},
	{"sqxtn2", "v%d.8h, v%d.4s", two, 0x4e614800, asimd},
	{"sqxtun", "v%d.8b, v%d.8h", two, 0x2e212800, asimd},
	{"sqxtun2", "v%d.16b, v%d.8h", two, 0x6e212800, asimd},
	{"str", "q%d, [x%d, x%d]", indexed, 0x3ca06800, asimd},
	{"sxtl", "v%d.8h, v%d.8b", two, 0x0f08a400, asimd},
	{"sxtl.4h", "v%d.4s, v%d.4h", two, 0x0f10a400, asimd},
	{"sxtl2", "v%d.8h, v%d.16b", two, 0x4f08a400, asimd},
	{"sxtl2.8h", "v%d.4s, v%d.8h", two, 0x4f10a400, asimd},
}

// find returns the encoding of an instruction.
func find(name string) encoding {
	for _, e := range encodings {
		if e.name == name {
			return e
		}
	}
	panic("arm64: no encoding of " + name)
}

// encode returns the instruction's word and how GNU's assembler writes it. The operands are
// numbers in the order of that notation.
func (e encoding) encode(o ...int) (word uint32, text string) {
	if len(o) != e.form.operands() {
		panic(fmt.Sprintf("arm64: %s with %d operands", e.name, len(o)))
	}
	args := make([]any, len(o))
	for i, n := range o {
		if limit := e.form.limit(i); n < 0 || n >= limit {
			panic(fmt.Sprintf("arm64: operand %d of %s is %d, the limit is %d", i, e.name, n, limit))
		}
		args[i] = n
	}
	word = e.base | uint32(o[0]) | uint32(o[1])<<5
	switch e.form {
	case three, indexed:
		word |= uint32(o[2]) << 16
	case element4:
		word |= uint32(o[2])<<16 | uint32(o[3])&1<<21 | uint32(o[3])>>1<<11
	case element2:
		word |= uint32(o[2])<<16 | uint32(o[3])&3<<20 | uint32(o[3])>>2<<11
	}
	mnemonic, _, _ := strings.Cut(e.name, ".")
	return word, mnemonic + " " + fmt.Sprintf(e.text, args...)
}

// operands is the number of register numbers and lanes that the form takes.
func (f form) operands() int {
	switch f {
	case two:
		return 2
	case element4, element2:
		return 4
	}
	return 3
}

// limit is the number of values of operand i.
func (f form) limit(i int) int {
	switch {
	case f == element4 && i == 3:
		return size / 4
	case f == element2 && i == 3:
		return size / 2
	case f == element2 && i == 2:
		return registers / 2 // the highest bit of the register's number is the lowest of the lane
	case f == indexed && i > 0:
		return 31 // number 31 would be the stack pointer or zero
	}
	return registers
}
