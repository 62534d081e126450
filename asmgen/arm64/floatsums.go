package arm64

import (
	"fmt"

	"firebench/asmgen/vec"
)

// floatSums is sums of float32 inputs and of weights that become float32 when they are loaded, a
// vector of them at a time.
type floatSums struct{ sums }

// parts is how many vectors of float32 values a vector of weights makes.
func (s floatSums) parts() int { return s.elem.Size / s.weight.Size }

// OuterRegisters counts the inputs, the weights in use and those that are made meanwhile.
func (s floatSums) OuterRegisters(rows, _ int) int { return rows + 2*s.parts() + 2 }

// Outer makes the next weights before it multiplies by those that it has, so that no multiplication
// waits for them on a core that works in order.
func (s floatSums) Outer(acc [][]vec.V, tile vec.Rows, w vec.R, steps int) {
	m, r := s.m, tile.(*rows)
	vectors, parts := len(acc[0]), s.parts()
	if vectors%parts != 0 {
		panic(fmt.Sprintf("arm64: weights for %d accumulators, vectors of weights are for %d", vectors, parts))
	}
	var inputs []vec.V
	for i := range acc {
		inputs = append(inputs, vec.Named(m, "inputs", s.loadSteps(r, i, steps)))
	}
	loads := steps * vectors / parts
	next := s.floats(m.Load(w, 0))
	for i := range loads {
		weights := next
		if i+1 < loads {
			next = s.floats(m.Load(w, i+1))
		}
		for j, v := range weights {
			n := i*parts + j
			for row := range acc {
				m.word("fmla", []ref{inout(acc[row][n%vectors]), in(v), in(inputs[row])}, n/vectors)
			}
		}
	}
	m.SkipVectors(w, loads)
	for _, b := range r.bases {
		s.Skip(b, steps)
	}
}

// floats makes float32 values of a vector of weights.
func (s floatSums) floats(v vec.V) (values []vec.V) {
	apply := func(name string, v vec.V) vec.V {
		r := s.m.Ctx.XMM()
		s.m.word(name, []ref{out(r), in(v)})
		return r
	}
	if s.weight == vec.F16 {
		values = []vec.V{apply("fcvtl", v), apply("fcvtl2", v)}
	} else {
		low, high := apply("sxtl", v), apply("sxtl2", v)
		for _, half := range []vec.V{low, high} {
			values = append(values, apply("sxtl.4h", half), apply("sxtl2.8h", half))
		}
		for _, v := range values {
			s.m.word("scvtf", []ref{inout(v), in(v)})
		}
	}
	vec.NameAll(s.m, "weights", values)
	return values
}
