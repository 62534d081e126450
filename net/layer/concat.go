package layer

import (
	"errors"
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// A Concat lines up the channels of its inputs, which agree in height, width and type.
type Concat struct{}

// Op returns concat.
func (Concat) Op() string { return "concat" }

// OutShape implements Layer.
func (Concat) OutShape(in []Shape) (Shape, error) {
	if len(in) == 0 {
		return Shape{}, errors.New("no inputs, expected at least 1")
	}
	if err := inputs(in, len(in)); err != nil {
		return Shape{}, err
	}
	out := in[0]
	for _, s := range in[1:] {
		if s.H != out.H || s.W != out.W {
			return Shape{}, fmt.Errorf("inputs %v and %v differ in height or width", in[0], s)
		}
		if s.Type != out.Type {
			return Shape{}, fmt.Errorf("inputs %v and %v differ in type", in[0], s)
		}
		if out.C += s.C; out.C > maxElems {
			break // out.Check refuses the shape; adding more channels could overflow
		}
	}
	return out, out.Check()
}

// Cost implements Layer. It is what copying the inputs costs; inputs that are produced in the
// result cost nothing.
func (c Concat) Cost(in []Shape) kernels.Cost {
	var cost kernels.Cost
	for _, s := range in {
		cost = cost.Add(traffic(s, s))
	}
	return cost
}

// Bind implements Layer. It copies those inputs that were not produced in the result.
func (Concat) Bind(b Binding) ([]workers.Task, error) {
	var tasks []workers.Task
	c := 0
	for _, src := range b.Src {
		dst := b.Dst.Channels(c, src.C)
		c += src.C
		if dst.SameStart(src) {
			continue
		}
		t, err := kernels.BindCopy(dst, src, b.Threads)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// FirstChannel implements Concatenation.
func (Concat) FirstChannel(in []Shape, i int) int {
	c := 0
	for _, s := range in[:i] {
		c += s.C
	}
	return c
}

// Gradient implements Differentiable.
func (c Concat) Gradient(in []Shape, i int) ([]Operation, error) {
	return operation(Slice{c.FirstChannel(in, i), in[i].C}, Upstream)
}
