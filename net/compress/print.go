package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"firebench/net/evaluate"
)

// print writes the ladder for a terminal.
func (c *command) print(b *strings.Builder, l *ladder) {
	fmt.Fprintf(b, "%s, %v %s, %s, %s\n", l.steps[0].model.Name, c.Set.ISA, c.Algorithm,
		plural(l.steps[0].plan.Threads(), "thread"), plural(c.rounds, "round"))
	if len(l.paths) > 0 {
		fmt.Fprintln(b, l.pictures())
	}
	b.WriteString("\n")
	columns := []column{columnStep, columnParameters, columnNonzeros, columnDisk, columnMemory, columnExecuted, columnMS, columnSpeedup}
	if len(l.paths) > 0 {
		columns = append(columns, columnTop1, columnTop5, columnAgreement)
	}
	writeTable(b, l.table(columns))
	b.WriteString("\nBytes on disk are those of a file in the format FBW, of quantized networks in ONNX; bytes in memory those of the packed weights.\n" +
		"Multiply-adds are those that the kernels execute: Winograd's algorithm needs fewer than a layer has, and sparse kernels skip zeros.\n" +
		"Brackets are 95 % intervals.\n")
	if c.layers {
		b.WriteString("\n")
		writeTable(b, l.layerTable())
		b.WriteString("\nLayers run alone here, so that their times add up to more than the network's.\n")
	}
}

// pictures says what pictures have been measured.
func (l *ladder) pictures() string {
	s := plural(len(l.paths), "picture")
	if n := len(l.paths) - l.labels; n > 0 {
		s += fmt.Sprintf(", %d without a label, which count for neither top-1 nor top-5", n)
	}
	return s
}

// writeTable aligns columns.
func writeTable(b *strings.Builder, rows [][]string) {
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 3, ' ', 0)
	for _, cells := range rows {
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	t.Flush()
	for line := range strings.Lines(table.String()) {
		fmt.Fprintln(b, strings.TrimRight(line, " \n"))
	}
}

// A column of a ladder's table.
type column struct {
	title string
	cell  func(l *ladder, s *step) string
}

var (
	columnStep       = column{"step", func(_ *ladder, s *step) string { return s.name }}
	columnParameters = column{"parameters", func(_ *ladder, s *step) string { return commas(s.params) }}
	columnNonzeros   = column{"nonzeros", func(_ *ladder, s *step) string { return commas(s.nonzeros) }}
	columnDisk       = column{"bytes on disk", func(_ *ladder, s *step) string {
		if s.file == formatFBW.name {
			return commas(s.disk)
		}
		return commas(s.disk) + " (" + s.file + ")"
	}}
	columnMemory   = column{"in memory", func(_ *ladder, s *step) string { return commas(s.plan.WeightBytes()) }}
	columnExecuted = column{"multiply-adds", func(_ *ladder, s *step) string { return millions(s.executed()) }}
	columnMS       = column{"ms", func(_ *ladder, s *step) string { return digits3(s.ms()) }}
	columnSpeedup  = column{"× as fast", func(l *ladder, s *step) string {
		if s == l.steps[0] {
			return ""
		}
		median, lo, hi := l.speedup(s)
		if math.IsInf(hi, 0) {
			return digits3(median)
		}
		return fmt.Sprintf("%s [%s, %s]", digits3(median), digits3(lo), digits3(hi))
	}}
	columnTop1      = column{"top-1", func(_ *ladder, s *step) string { return share(s.score.Top1) }}
	columnTop5      = column{"top-5", func(_ *ladder, s *step) string { return share(s.score.Top5) }}
	columnAgreement = column{"top-1 as the first", func(l *ladder, s *step) string {
		if s == l.steps[0] {
			return ""
		}
		return share(s.score.Agreement)
	}}
)

// table returns the cells of a table of the steps, with titles.
func (l *ladder) table(columns []column) [][]string {
	var titles []string
	for _, c := range columns {
		titles = append(titles, c.title)
	}
	rows := [][]string{titles}
	for _, s := range l.steps {
		var cells []string
		for _, c := range columns {
			cells = append(cells, c.cell(l, s))
		}
		rows = append(rows, cells)
	}
	return rows
}

// layerTable returns the cells of the table of all layers.
func (l *ladder) layerTable() [][]string {
	rows := [][]string{{"step", "layer", "weights", "nonzeros", "bytes on disk", "multiply-adds", "algorithm", "ms", ""}}
	for _, s := range l.steps {
		for _, r := range s.layers {
			disk := "-"
			if r.bits > 0 {
				disk = commas((r.bits + 7) / 8)
			}
			rows = append(rows, []string{s.name, r.name, commas(int64(r.weights)), commas(int64(r.nonzeros)), disk,
				millions(r.executed), r.algorithm, digits3(r.ms), s.notes[r.name]})
		}
	}
	return rows
}

// share prints a share and its interval in percent.
func share(s evaluate.Share) string {
	if s.Total == 0 {
		return "–"
	}
	lo, hi := s.Interval()
	return fmt.Sprintf("%d/%d = %.1f %% [%.1f, %.1f]", s.Count, s.Total, 100*s.Value(), 100*lo, 100*hi)
}

// commas prints a number in groups of three digits.
func commas(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// millions prints a number of multiply-adds.
func millions(n int64) string { return digits3(float64(n)/1e6) + " M" }

// digits3 prints a positive number with three digits.
func digits3(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.9995:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
