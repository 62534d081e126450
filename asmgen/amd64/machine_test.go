package amd64

import (
	"strings"
	"testing"

	"firebench/asmgen/vec"
)

// TestRefuses: a recipe's mistakes are found when generating.
func TestRefuses(t *testing.T) {
	for name, f := range map[string]func(m *Machine, p vec.R){
		"int16 inputs and bytes": func(m *Machine, _ vec.R) { m.Dot(vec.S16, vec.U8) },
		"bytes without VNNI":     func(m *Machine, _ vec.R) { m.Dot(vec.U8, vec.S8) },
		"division by three":      func(m *Machine, p vec.R) { m.DivBy(p, 3) },
		"unknown parameter":      func(m *Machine, p vec.R) { m.SetArg("q", p) },
		"empty comment":          func(m *Machine, p vec.R) { m.Comment("") },
		"loop without a comment": func(m *Machine, p vec.R) { m.Loop("l", "", p, func() {}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			m := New(AVX2, "amd64")
			m.Func("F", "func(p *float32)")
			f(m, m.Arg("p"))
		}()
	}
}

// TestTooManyRegisters: AVX2 has 16 vector registers, though avo would hand out 32.
func TestTooManyRegisters(t *testing.T) {
	for set, registers := range map[Set]int{AVX2: 16, AVX512: 32, AVX512VNNI: 32} {
		for _, n := range []int{registers, registers + 1} {
			m := New(set, "amd64")
			m.Func("F", "func(p *float32)")
			p := m.Arg("p")
			var all []vec.V
			for i := range n {
				all = append(all, m.Load(p, i))
			}
			for i, v := range all {
				m.Store(v, p, i)
			}
			m.Return()
			if _, _, err := m.Print("test", "test"); (err == nil) != (n == registers) {
				t.Errorf("%d vectors of %d bytes: error %v", n, set.size, err)
			}
		}
	}
}

// TestRegisterMap: the map says what registers hold, by the allocation.
func TestRegisterMap(t *testing.T) {
	m := New(AVX2, "amd64")
	f := m.Float32()
	m.Func("F", "func(dst, src *float32, n int)")
	dst, src := m.Arg("dst"), m.Arg("src")
	sums := []vec.V{m.Zero(), m.Zero(), m.Zero()}
	vec.NameAll(m, "sum", sums)
	m.Loop("block", "For each block", m.Arg("n"), func() {
		for i, sum := range sums {
			f.AddTo(sum, m.Load(src, i))
		}
	})
	last := vec.Named(m, "last", m.CopyInt(dst)) // takes the place of src
	m.Store(sums[2], last, 0)
	m.Store(sums[0], dst, 1)
	m.Store(sums[1], dst, 2)
	m.Return()
	asm, _, err := m.Print("test", "test")
	if err != nil {
		t.Fatal(err)
	}
	want := "TEXT ·F(SB), NOSPLIT, $0-24\n" +
		"\t// Registers, a slash between what one of them holds by turns:\n" +
		"\t// AX dst, CX src/last, DX n\n" +
		"\t// Y0-Y2 sum[0:3], Y3 temporary\n"
	if !strings.Contains(string(asm), want) {
		t.Errorf("expected\n%s\nin\n%s", want, asm)
	}

	// The order of the allocation, not that of the names.
	m = New(AVX2, "amd64")
	m.Func("F", "func(p *float32)")
	p := m.Arg("p")
	a, b, c := m.Load(p, 0), m.Load(p, 1), m.Load(p, 2)
	vec.NameAll(m, "part", []vec.V{a, c, b})
	for i, v := range []vec.V{a, b, c} {
		m.Store(v, p, i)
	}
	m.Return()
	if asm, _, err = m.Print("test", "test"); err != nil {
		t.Fatal(err)
	}
	if want := "\t// Y0 part[0], Y1 part[2], Y2 part[1]\n"; !strings.Contains(string(asm), want) {
		t.Errorf("expected\n%s\nin\n%s", want, asm)
	}
}

// TestFoldLoads: additions read their operands from memory where nothing else needs these, and
// nothing between the load and the addition writes to memory or changes the address.
func TestFoldLoads(t *testing.T) {
	for _, c := range []struct {
		what string
		emit func(m *Machine, p vec.R, v vec.V) vec.V // adds to v, or subtracts from it
		want string
	}{
		{"first", func(m *Machine, p vec.R, v vec.V) vec.V { return m.Int32().Add(m.Load(p, 1), v) }, "VPADDD 32(AX), Y0, Y1"},
		{"second", func(m *Machine, p vec.R, v vec.V) vec.V { return m.Int32().Add(v, m.Load(p, 1)) }, "VPADDD 32(AX), Y0, Y1"},
		{"subtracted", func(m *Machine, p vec.R, v vec.V) vec.V { return m.Int32().Sub(v, m.Load(p, 1)) }, "VPSUBD 32(AX), Y0, Y1"},
		{"subtracted from", func(m *Machine, p vec.R, v vec.V) vec.V { return m.Int32().Sub(m.Load(p, 1), v) }, "VMOVUPS 32(AX), Y1"},
		{"needed twice", func(m *Machine, p vec.R, v vec.V) vec.V {
			x := m.Load(p, 1)
			return m.Int32().Add(m.Int32().Add(v, x), x)
		}, "VMOVUPS 32(AX), Y1"},
		{"a write between", func(m *Machine, p vec.R, v vec.V) vec.V {
			x := m.Load(p, 1)
			m.Store(v, p, 1)
			return m.Int32().Add(v, x)
		}, "VMOVUPS 32(AX), Y1"},
		{"a changed address", func(m *Machine, p vec.R, v vec.V) vec.V {
			x := m.Load(p, 1)
			m.SkipVectors(p, 1)
			return m.Int32().Add(v, x)
		}, "VMOVUPS 32(AX), Y1"},
		{"a loop between", func(m *Machine, p vec.R, v vec.V) vec.V {
			x := m.Load(p, 1)
			m.Loop("l", "For each", m.Arg("n"), func() { v = m.Int32().Add(v, x) })
			return v
		}, "VMOVUPS 32(AX), Y1"},
	} {
		m := New(AVX2, "amd64")
		m.Func("F", "func(p *int32, n int)")
		p := m.Arg("p")
		v := m.Load(p, 0)
		m.Store(c.emit(m, p, v), p, 2)
		m.Store(v, p, 3) // a second use: v itself stays in a register
		m.Return()
		asm, _, err := m.Print("test", "test")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(string(asm)), " "); !strings.Contains(got, c.want) {
			t.Errorf("%s: expected %q in\n%s", c.what, c.want, asm)
		}
	}
}
