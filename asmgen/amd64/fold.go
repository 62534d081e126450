package amd64

import (
	"slices"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
	"github.com/mmcloughlin/avo/x86"
)

// folding are the instructions of integers that foldLoads gives an operand in memory. The first operand
// may be there; the other one can take its place where the order does not matter.
var folding = map[string]struct {
	build       func(ops ...operand.Op) (*ir.Instruction, error)
	commutative bool
}{
	"VPADDD": {x86.VPADDD, true},
	"VPSUBD": {x86.VPSUBD, false},
}

// foldLoads lets an addition read from memory the vector that it alone needs, before registers are
// allocated. It saves an instruction, and a register that the processor must rename.
func foldLoads(fn *ir.Function) error {
	uses := map[reg.ID]int{}
	for _, i := range fn.Instructions() {
		for _, r := range i.InputRegisters() {
			uses[r.ID()]++
		}
	}
	// The loads that nothing has made void so far: a write to memory, or to the address.
	loads := map[reg.ID]*ir.Instruction{}
	folded := map[*ir.Instruction]bool{}
	for n, node := range fn.Nodes {
		i, ok := node.(*ir.Instruction)
		if !ok {
			if _, ok := node.(ir.Label); ok {
				clear(loads)
			}
			continue
		}
		if f, ok := folding[i.Opcode]; ok {
			for k := range 2 {
				r, ok := i.Operands[k].(reg.Register)
				if !ok || k == 1 && !f.commutative || loads[r.ID()] == nil {
					continue
				}
				load := loads[r.ID()]
				add, err := f.build(load.Operands[0], i.Operands[1-k], i.Operands[2])
				if err != nil {
					return err
				}
				fn.Nodes[n], folded[load] = add, true
				break
			}
		}
		if slices.ContainsFunc(i.Outputs, operand.IsMem) {
			clear(loads)
		}
		for _, r := range i.OutputRegisters() {
			delete(loads, r.ID())
			for id, load := range loads {
				if slices.ContainsFunc(load.InputRegisters(), func(in reg.Register) bool { return in.ID() == r.ID() }) {
					delete(loads, id)
				}
			}
		}
		if i.Opcode == "VMOVUPS" && operand.IsMem(i.Operands[0]) {
			if r := i.Operands[1].(reg.Register); uses[r.ID()] == 1 {
				loads[r.ID()] = i
			}
		}
	}
	fn.Nodes = slices.DeleteFunc(fn.Nodes, func(n ir.Node) bool {
		i, ok := n.(*ir.Instruction)
		return ok && folded[i]
	})
	return nil
}
