package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// SpMM is the product of a sparse matrix and a dense one whose rows are a few vectors: functions
// SpMM1xN to SpMMVxN for rows of up to V vectors of N lanes. SpMMAdd adds the product to what
// is there.
var (
	SpMM    = Recipe{"spmm", spmmSignature(", bias"), func(m vec.Machine, _ vec.Element, t Tile) []string { return spmms("SpMM", m, t, false) }}
	SpMMAdd = Recipe{"spmm", spmmSignature(""), func(m vec.Machine, _ vec.Element, t Tile) []string { return spmms("SpMMAdd", m, t, true) }}
)

func spmmSignature(bias string) string {
	return fmt.Sprintf("func(dst, src, values%s *float32, columns, counts *uint8, rows int, lower float32)", bias)
}

func spmms(family string, m vec.Machine, t Tile, add bool) (names []string) {
	f := m.Float32()
	if t.Cols != f.Lanes() {
		panic(fmt.Sprintf("%s: %d lanes, the machine has %d", family, t.Cols, f.Lanes()))
	}
	for n := 1; n <= t.Rows; n++ {
		names = append(names, fmt.Sprintf("%s%dx%d", family, n, t.Cols))
		spmm(m, f, names[n-1], n, add)
	}
	return names
}

func spmm(m vec.Core, f vec.Float32, name string, vectors int, add bool) {
	width := vectors * f.Lanes()
	start, signature, does := "bias[r]", spmmSignature(", bias"), "multiplies a sparse matrix by one"
	if add {
		start, signature, does = fmt.Sprintf("dst[r*%d+n]", width), spmmSignature(""), "adds the product of a sparse matrix and one"
	}
	m.Func(name, signature,
		fmt.Sprintf("%s %s with %d columns; it equals", name, does, width),
		"",
		"	next := 0",
		"	for r := range rows {",
		fmt.Sprintf("		for n := range %d {", width),
		fmt.Sprintf("			acc := %s", start),
		"			for j := range counts[r] {",
		fmt.Sprintf("				acc = fma(values[next+j], src[columns[next+j]*%d+n], acc)", width),
		"			}",
		fmt.Sprintf("			dst[r*%d+n] = max(acc, lower)", width),
		"		}",
		"		next += counts[r]",
		"	}")
	lower := f.SplatArg("lower")
	dst, src, values, columns, counts := m.Arg("dst"), m.Arg("src"), m.Arg("values"), m.Arg("columns"), m.Arg("counts")
	var bias vec.R
	if !add {
		bias = m.Arg("bias")
	}
	m.Loop("row", "For each row of the sparse matrix", m.Arg("rows"), func() {
		m.Comment("The sums of a row")
		sum := make([]vec.V, vectors)
		for v := range sum {
			switch {
			case add:
				sum[v] = m.Load(dst, v)
			case v == 0:
				sum[v] = f.SplatAt(bias)
			default:
				sum[v] = m.Copy(sum[0])
			}
		}
		if !add {
			f.Skip(bias, 1)
		}
		vec.NameAll(m, "sum", sum)
		count := vec.Named(m, "count", m.LoadByte(counts, 0))
		m.SkipBytes(counts, 1)
		m.Steps("k", "For each value of the row, times a row of the dense matrix", count, 2, func(n int) {
			for i := range n {
				column := vec.Named(m, "column", m.LoadByte(columns, i))
				f.AddMulRow(sum, values, i, vec.Named(m, "row", m.AddMul(src, column, width*f.Element().Size)))
			}
			m.SkipBytes(columns, n)
			f.Skip(values, n)
		})
		m.Comment("The sums, at least lower, are the outputs")
		for v := range sum {
			f.MaxWith(sum[v], lower)
			m.Store(sum[v], dst, v)
		}
		m.SkipVectors(dst, vectors)
	})
	m.Return()
}
