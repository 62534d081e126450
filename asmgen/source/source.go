// Package source is what the machines have in common: a file of assembly that grows
// function by function, with labels, comments and names of registers, and is printed
// when the registers are allocated. Underneath is avo as a library: a context and a
// printer configuration of our own, not its global generator with its flags.
package source

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

// A File implements the part of vec.Functions that is the same for all machines.
type File struct {
	Ctx *build.Context

	machine string         // for messages
	labels  map[string]int // of the current function, by name
	names   []name         // in the order of naming
}

// A name is what a register holds.
type name struct {
	text     string
	index    int // among the registers that were named together; -1 for one alone
	register reg.ID
}

// New returns an empty file. constraint is its build constraint.
func New(machine, constraint string) *File {
	f := &File{Ctx: build.NewContext(), machine: machine}
	f.Ctx.ConstraintExpr(constraint)
	return f
}

func (f *File) Func(name, signature string, doc ...string) {
	f.labels = map[string]int{}
	f.Ctx.Function(name)
	f.Ctx.Attributes(attr.NOSPLIT)
	f.Ctx.Pragma("noescape")
	f.Ctx.SignatureExpr(signature)
	f.Ctx.Doc(doc...)
}

// Param is the argument slot of a parameter.
func (f *File) Param(name string) operand.Mem {
	b, err := f.Ctx.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// Label returns a label that is unique in the function.
func (f *File) Label(name string) string {
	f.labels[name]++
	if n := f.labels[name]; n > 1 {
		return fmt.Sprintf("%s%d", name, n)
	}
	return name
}

// Comment adds a sentence, with its full stop and in lines of moderate length.
func (f *File) Comment(sentence string) {
	if sentence == "" {
		panic(f.machine + ": a block without a comment")
	}
	f.Ctx.Comment(wrap(strings.Fields(sentence + "."))...)
}

// Block begins a block of instructions: a comment, and below it the label.
func (f *File) Block(label, comment string) {
	f.Comment(comment)
	f.Ctx.Label(label)
}

func (f *File) Name(text string, registers ...reg.Register) {
	for i, r := range registers {
		if len(registers) == 1 {
			i = -1
		}
		f.names = append(f.names, name{text, i, r.ID()})
	}
}

// NameOf returns a register's first name, "" if it has none.
func (f *File) NameOf(r reg.Register) string {
	for _, n := range f.names {
		if n.register == r.ID() {
			return n.text
		}
	}
	return ""
}

// Print runs the machine's passes, among them the allocation of registers, and returns
// the assembly and the Go declarations of all functions. register is the machine's way to
// write a register that was allocated. generator is named in the header.
func (f *File) Print(passes pass.Interface, register func(reg.ID) string, generator, pkg string) (asm, stubs []byte, err error) {
	file, err := f.Ctx.Result()
	if err != nil {
		return nil, nil, err
	}
	if err := passes.Execute(file); err != nil {
		return nil, nil, err
	}
	for _, fn := range file.Functions() {
		if lines := f.registers(fn.Allocation, register); lines != nil {
			fn.Nodes = append([]ir.Node{ir.NewComment(lines...)}, fn.Nodes...)
		}
	}
	cfg := printer.Config{Name: generator, Pkg: pkg}
	if asm, err = printer.NewGoAsm(cfg).Print(file); err != nil {
		return nil, nil, err
	}
	stubs, err = printer.NewStubs(cfg).Print(file)
	return asm, stubs, err
}
