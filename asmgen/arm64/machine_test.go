package arm64

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mmcloughlin/avo/reg"

	"firebench/asmgen/vec"
)

// TestRefuses: what one instruction cannot hold is a mistake found when
// generating. The assembler would make several instructions of some of it.
func TestRefuses(t *testing.T) {
	for name, f := range map[string]func(m *Machine, p vec.R, v vec.V){
		"load beyond its range":  func(m *Machine, p vec.R, v vec.V) { m.Load(p, 4096) },
		"load before its range":  func(m *Machine, p vec.R, v vec.V) { m.Load(p, -1) },
		"store beyond its range": func(m *Machine, p vec.R, v vec.V) { m.Store(v, p, 4096) },
		"addition of 4096":       func(m *Machine, p vec.R, v vec.V) { m.Float32().Skip(p, 1024) },
		"prefetch between lines": func(m *Machine, p vec.R, v vec.V) { m.Prefetch(p, 12) },
		"prefetch too far":       func(m *Machine, p vec.R, v vec.V) { m.Prefetch(p, 32768) },
		"count":                  func(m *Machine, p vec.R, v vec.V) { m.Int(1 << 16) },
		"lane":                   func(*Machine, vec.R, vec.V) { find("fmla").encode(0, 0, 0, lanes) },
		"lane of 2 bytes":        func(*Machine, vec.R, vec.V) { find("smlal").encode(0, 0, 0, 8) },
		"vector register":        func(*Machine, vec.R, vec.V) { find("fadd").encode(0, registers, 0) },
		"upper half":             func(*Machine, vec.R, vec.V) { find("smlal").encode(0, 0, registers/2, 0) },
		"stack pointer":          func(*Machine, vec.R, vec.V) { find("ldr").encode(0, 31, 0) },
		"missing operand":        func(*Machine, vec.R, vec.V) { find("fadd").encode(0, 0) },
		"unknown instruction":    func(*Machine, vec.R, vec.V) { find("fmlal") },
		"shift left by 16":       func(m *Machine, p vec.R, v vec.V) { m.Int16().ShiftLeft(v, 16) },
		"narrowing across":       func(m *Machine, p vec.R, v vec.V) { m.Int32().Narrow([]vec.V{v, v, v, v}, p, 8) },
		"sums of float32":        func(m *Machine, p vec.R, v vec.V) { m.Dot(vec.F32, vec.F32) },
		"sums of bytes":          func(m *Machine, p vec.R, v vec.V) { m.Dot(vec.U8, vec.S8) },
		"int16 inputs and bytes": func(m *Machine, p vec.R, v vec.V) { m.Dot(vec.S16, vec.U8) },
		"half a vector of weights": func(m *Machine, p vec.R, v vec.V) {
			m.Dot(vec.S16, vec.S16).Outer([][]vec.V{{v}}, m.Rows("row", p, 1), p, 1)
		},
		"division by three":       func(m *Machine, p vec.R, v vec.V) { m.DivBy(p, 3) },
		"loop without a comment":  func(m *Machine, p vec.R, v vec.V) { m.Loop("l", "", p, func() {}) },
		"products of three steps": func(m *Machine, p vec.R, v vec.V) { m.Float32().Outer([][]vec.V{{v}}, m.Rows("row", p, 1), p, 3) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			m := New(NEON, "arm64")
			m.Func("F", "func(p *float32)")
			f(m, m.Arg("p"), m.Zero())
		}()
	}
}

// TestPrintRefuses: what only shows once registers are allocated.
func TestPrintRefuses(t *testing.T) {
	for want, f := range map[string]func(m *Machine){
		"reserved":                                      func(m *Machine) { m.emit("MOVD $0, R{0}", out(reg.RSP)) },
		"not an instruction of this":                    func(m *Machine) { m.Ctx.VZEROUPPER() },
		"failed to allocate registers":                  func(m *Machine) { manyVectors(m, registers+1, 0) },
		"17 vector registers must be in the lower half": func(m *Machine) { manyVectors(m, registers, registers/2+1) },
	} {
		m := New(NEON, "arm64")
		m.Func("F", "func(p *float32)")
		f(m)
		m.Return()
		if _, _, err := m.Print("test", "test"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, expected one with %q", err, want)
		}
	}
	m := New(NEON, "arm64")
	m.Func("F", "func(p *float32)")
	manyVectors(m, registers, 0)
	m.Return()
	if asm, _, err := m.Print("test", "test"); err != nil || !strings.Contains(string(asm), "F31") {
		t.Errorf("all %d registers: %v", registers, err)
	}
}

// manyVectors has n vectors in use at a time, the last ones as multipliers that must be in the lower
// half.
func manyVectors(m *Machine, n, low int) {
	p := m.Arg("p")
	var v []vec.V
	for i := range n {
		v = append(v, m.Load(p, i))
	}
	for i := range low {
		m.word("smlal", []ref{inout(v[0]), in(v[1]), in(v[n-1-i])}, 0)
	}
	for i := range v {
		m.Store(v[i], p, i)
	}
}

// TestKeepLow: registers that must be in the lower half change places with others, and all
// instructions agree.
func TestKeepLow(t *testing.T) {
	m := New(NEON, "arm64")
	m.Func("F", "func(p *float32)")
	manyVectors(m, registers, registers/2)
	m.Return()
	asm, _, err := m.Print("test", "test")
	if err != nil {
		t.Fatal(err)
	}
	loaded, stored := map[string]string{}, map[string]string{} // register by address
	for _, f := range regexp.MustCompile(`FMOVQ (\d+\(R\d\)), (F\d+)`).FindAllStringSubmatch(string(asm), -1) {
		loaded[f[1]] = f[2]
	}
	for _, f := range regexp.MustCompile(`FMOVQ (F\d+), (\d+\(R\d\))`).FindAllStringSubmatch(string(asm), -1) {
		stored[f[2]] = f[1]
	}
	used := slices.Compact(slices.Sorted(maps.Values(loaded)))
	if len(used) != registers || !maps.Equal(loaded, stored) {
		t.Errorf("loaded %v, stored %v", loaded, stored)
	}
	multipliers := map[string]bool{}
	for _, f := range regexp.MustCompile(`smlal v\d+\.4s, v\d+\.4h, (v\d+)`).FindAllStringSubmatch(string(asm), -1) {
		multipliers[f[1]] = true
	}
	if len(multipliers) != registers/2 {
		t.Errorf("%d multipliers, expected %d", len(multipliers), registers/2)
	}
}

// TestSchedule checks that every multiply-add is there once, in the order of its
// accumulator's steps, after its loads, and how many registers that takes.
func TestSchedule(t *testing.T) {
	for rows := 1; rows <= 24; rows++ {
		for vectors := 1; vectors <= 4; vectors++ {
			for parts := 1; parts <= 2; parts++ {
				for _, steps := range []int{1, lanes} {
					if vectors%parts == 0 {
						testSchedule(t, rows, vectors, parts, steps)
					}
				}
			}
		}
	}
}

func testSchedule(t *testing.T, rows, vectors, parts, steps int) {
	for _, c := range []struct {
		name   string
		inputs int                     // vectors of them
		of     func(row, step int) int // that has the input of a row and a step
	}{
		{"of rows", rows, ofRow},
		{"beside each other", steps * ((rows + lanes - 1) / lanes), func(row, step int) int { return step*((rows+lanes-1)/lanes) + row/lanes }},
	} {
		name := fmt.Sprintf("inputs %s: %d rows, %d vectors, %d parts, %d steps", c.name, rows, vectors, parts, steps)
		uses := make([]int, c.inputs)
		for step := range steps {
			for row := range rows {
				uses[c.of(row, step)] += vectors
			}
		}
		list, scratch := schedule(rows, vectors, parts, steps, c.of)
		next := map[[2]int]int{} // step by accumulator
		a, b := make([]int, c.inputs), make([]int, steps*vectors/parts)
		macs, live, most := 0, 0, 0
		for _, s := range list {
			switch s.kind {
			case loadInputs:
				a[s.inputs] += uses[s.inputs] // to come
				live++
			case loadWeights:
				b[s.weights] += rows * parts
				live++
			case multiply:
				most = max(most, live)
				acc := [2]int{s.row, s.vector}
				if next[acc] != s.step || a[s.inputs] == 0 || b[s.weights] == 0 || s.inputs != c.of(s.row, s.step) || s.weights != (s.step*vectors+s.vector)/parts {
					t.Fatalf("%s: %+v out of order", name, s)
				}
				next[acc]++
				macs++
				if a[s.inputs]--; a[s.inputs] == 0 {
					live--
				}
				if b[s.weights]--; b[s.weights] == 0 {
					live--
				}
			}
		}
		if macs != rows*vectors*steps || live != 0 {
			t.Errorf("%s: %d multiply-adds, %d registers left", name, macs, live)
		}
		if scratch != most {
			t.Errorf("%s: scratch is %d, expected %d", name, scratch, most)
		}
	}
}

// TestBeside: neighbouring inputs are loaded without one beyond the last, and each row's is among those of its vector.
func TestBeside(t *testing.T) {
	size := map[string]int{"FMOVS": 1, "FMOVD": 2, "FMOVQ": 4}
	for rows := 1; rows <= 24; rows++ {
		per, first, opcodes := beside(rows)
		for row := range rows {
			if i := row / per; i >= len(first) || row < first[i] || row >= first[i]+size[opcodes[i]] {
				t.Errorf("%d rows: that of row %d is not in vector %d: first %d, loaded by %v", rows, row, i, first, opcodes)
			}
		}
		for i, row := range first {
			if row+size[opcodes[i]] > rows {
				t.Errorf("%d rows: vector %d has %d inputs from %d on", rows, i, size[opcodes[i]], row)
			}
		}
	}
}
