package arm64

import "fmt"

// A form is the shape of an instruction's operands.
type form int

const (
	two     form = iota // vd.4s, vn.4s
	three               // vd.4s, vn.4s, vm.4s
	element             // vd.4s, vn.4s, vm.s[lane]
	indexed             // qt, [xn, xm]
)

// An encoding is an instruction that Go's assembler lacks.
type encoding struct {
	name string
	form form
	base uint32 // all register numbers and the lane are 0
}

// encodings is the only place that instruction words come from.
var encodings = []encoding{
	{"fadd", three, 0x4e20d400},
	{"fdiv", three, 0x6e20fc00},
	{"fmax", three, 0x4e20f400},
	{"fmla", element, 0x4f801000},
	{"fmul", three, 0x6e20dc00},
	{"fsqrt", two, 0x6ea1f800},
	{"fsub", three, 0x4ea0d400},
	{"ldr", indexed, 0x3ce06800},
	{"str", indexed, 0x3ca06800},
}

// encode returns the instruction's word and how GNU's assembler writes it. The
// operands are register numbers in the order of that notation, for element
// followed by the lane.
func encode(name string, operands ...int) (word uint32, text string) {
	for _, e := range encodings {
		if e.name == name {
			return e.encode(operands...)
		}
	}
	panic("arm64: no encoding of " + name)
}

func (e encoding) encode(o ...int) (word uint32, text string) {
	if len(o) != e.form.operands() {
		panic(fmt.Sprintf("arm64: %s with %d operands", e.name, len(o)))
	}
	for i, n := range o {
		if limit := e.form.limit(i); n < 0 || n >= limit {
			panic(fmt.Sprintf("arm64: operand %d of %s is %d, the limit is %d", i, e.name, n, limit))
		}
	}
	word = e.base | uint32(o[0]) | uint32(o[1])<<5
	if e.form != two {
		word |= uint32(o[2]) << 16
	}
	switch e.form {
	case two:
		text = fmt.Sprintf("%s v%d.4s, v%d.4s", e.name, o[0], o[1])
	case three:
		text = fmt.Sprintf("%s v%d.4s, v%d.4s, v%d.4s", e.name, o[0], o[1], o[2])
	case element:
		word |= uint32(o[3])&1<<21 | uint32(o[3])>>1<<11
		text = fmt.Sprintf("%s v%d.4s, v%d.4s, v%d.s[%d]", e.name, o[0], o[1], o[2], o[3])
	case indexed:
		text = fmt.Sprintf("%s q%d, [x%d, x%d]", e.name, o[0], o[1], o[2])
	}
	return word, text
}

// operands is the number of register numbers and lanes that the form takes.
func (f form) operands() int {
	switch f {
	case two:
		return 2
	case element:
		return 4
	}
	return 3
}

// limit is the number of values of operand i.
func (f form) limit(i int) int {
	switch {
	case f == element && i == 3:
		return lanes
	case f == indexed && i > 0:
		return 31 // number 31 would be the stack pointer or zero
	}
	return 32
}
