package main

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/perf/benchunit"
)

// formats are the ways to write a report.
var formats = map[string]func(w io.Writer, r *report) error{
	"text": func(w io.Writer, r *report) error { return writePage(w, r, textStyle) },
	"md":   func(w io.Writer, r *report) error { return writePage(w, r, mdStyle) },
	"csv":  writeCSV,
	"json": writeJSON,
}

// legend says under each page what the columns are; the package comment says more.
const legend = `Medians per image with 95% intervals; p by the Mann-Whitney U-test. GFLOP/s count 2 per
multiply-add of the direct convolution, % of peak relates them to the FMA peak that was
measured beside each time, % FMA busy the multiply-adds that were executed. FLOP/B and
GB/s count the least possible traffic. MB are float32 weights. Regret: how much slower the
algorithm that auto picks is than the fastest candidate.`

// writeJSON writes the report as one object.
func writeJSON(w io.Writer, r *report) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) { return []byte(n.String()), nil }

// String returns n with six digits.
func (n number) String() string { return strconv.FormatFloat(float64(n), 'g', 6, 64) }

// writeCSV writes every table with a header row, an empty line between them.
func writeCSV(w io.Writer, r *report) error {
	out := csv.NewWriter(w)
	write := func(rows [][]string) {
		out.WriteAll(rows) // keeps its first error
		fmt.Fprintln(w)
	}
	if r.Machine != nil {
		rows := [][]string{append([]string{"machine", "files"}, configKeys...)}
		for _, m := range r.Machine {
			row := []string{strconv.Itoa(m.Index), strings.Join(m.Files, " ")}
			for _, k := range configKeys {
				row = append(row, m.Config[k])
			}
			rows = append(rows, row)
		}
		write(rows)
	}
	for _, t := range tables(r) {
		write(t.csv)
	}
	rows := [][]string{{"note"}}
	for _, n := range r.Notes {
		rows = append(rows, []string{n})
	}
	return out.WriteAll(rows)
}

// A style is a way to write text for people.
type style struct {
	title, group string // formats
	table        func(w io.Writer, t *table, rows [][]string)
	text         func(string) string // escapes
}

var (
	textStyle = style{"%s\n\n", "%s\n", alignedTable, func(s string) string { return s }}
	mdStyle   = style{"### %s\n\n", "**%s**\n\n", pipeTable, mdEscape}
)

var mdEscape = strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`).Replace

// writePage writes the report for people. Errors of w are left to its Flush.
func writePage(w io.Writer, r *report, s style) error {
	for _, m := range r.Machine {
		line := s.text(describe(m))
		if len(r.Machine) > 1 {
			line = fmt.Sprintf("Machine %d: %s", m.Index, line)
		}
		fmt.Fprintf(w, "%s\n\n", line)
	}
	for _, t := range tables(r) {
		if len(t.groups) == 0 {
			continue
		}
		fmt.Fprintf(w, s.title, s.text(t.title))
		for _, g := range t.groups {
			if g.title != "" {
				fmt.Fprintf(w, s.group, s.text(g.title))
			}
			s.table(w, &t, g.rows)
			fmt.Fprintln(w)
		}
	}
	fmt.Fprintln(w, s.text(legend))
	for i, n := range r.Notes {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "- %s\n", s.text(n))
	}
	return nil
}

// describe puts the facts about a machine in a line.
func describe(m machineInfo) string {
	get := func(key string) string { return cmp.Or(m.Config[key], "unknown") }
	return fmt.Sprintf("CPU %s; cores %s; %s/%s; instruction sets %s; caches %s",
		get("cpu"), get("cores"), get("goos"), get("goarch"), get("isas"), get("caches"))
}

// alignedTable lines the columns up for a terminal.
func alignedTable(w io.Writer, t *table, rows [][]string) {
	rows = append([][]string{t.head}, rows...)
	width := make([]int, len(t.head))
	for _, row := range rows {
		for i, s := range row {
			width[i] = max(width[i], utf8.RuneCountInString(s))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, s := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(s))
			if t.left[i] {
				line.WriteString(s + pad)
			} else {
				line.WriteString(pad + s)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// pipeTable writes a table as GitHub's Markdown has them.
func pipeTable(w io.Writer, t *table, rows [][]string) {
	rule := make([]string, len(t.head))
	for i, left := range t.left {
		rule[i] = "---:"
		if left {
			rule[i] = "---"
		}
	}
	for i, row := range append([][]string{t.head, rule}, rows...) {
		cells := slices.Clone(row)
		if i != 1 {
			for j := range cells {
				cells[j] = mdEscape(cells[j])
			}
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
}

// A table holds rows of one kind in both their forms: for people, in groups with titles
// of their own, and as CSV.
type table struct {
	title  string
	head   []string
	left   []bool // align left: words
	groups []group
	csv    [][]string // the first row is the heading
}

type group struct {
	title string
	rows  [][]string
}

// A column says how to print one thing about a row.
type column[Row any] struct {
	head string               // for people; empty: CSV only
	key  string               // in CSV; empty: for people only
	left bool                 // align left
	hide bool                 // from people: it would say the same in each row
	val  func(Row) any        // string, int, int64, number or *number
	show func(float64) string // how people read the number
}

// newTable prints rows. Consecutive rows with the same group title make a group.
func newTable[Row any](title string, rows []Row, groupTitle func(Row) string, columns []column[Row]) table {
	t := table{title: title, csv: [][]string{nil}}
	for _, c := range columns {
		if c.key != "" {
			t.csv[0] = append(t.csv[0], c.key)
		}
		if c.head != "" && !c.hide {
			t.head = append(t.head, c.head)
			t.left = append(t.left, c.left)
		}
	}
	for _, row := range rows {
		var cells, fields []string
		for _, c := range columns {
			v := c.val(row)
			if c.key != "" {
				fields = append(fields, plain(v))
			}
			if c.head != "" && !c.hide {
				cells = append(cells, pretty(v, c.show))
			}
		}
		t.csv = append(t.csv, fields)
		title := groupTitle(row)
		if n := len(t.groups); n == 0 || t.groups[n-1].title != title {
			t.groups = append(t.groups, group{title: title})
		}
		g := &t.groups[len(t.groups)-1]
		g.rows = append(g.rows, cells)
	}
	return t
}

// plain prints a value for programs.
func plain(v any) string {
	if p, ok := v.(*number); ok {
		if p == nil {
			return ""
		}
		return p.String()
	}
	return fmt.Sprint(v)
}

// pretty prints a value for people, numbers by show.
func pretty(v any, show func(float64) string) string {
	switch v := v.(type) {
	case *number:
		if v == nil {
			return "-"
		}
		return show(float64(*v))
	case number:
		return show(float64(v))
	case int64:
		return show(float64(v))
	}
	return fmt.Sprint(v)
}

// These are ways to show a number.

func digits3(v float64) string { return fixed(v, decimals(v, 3)) }
func digits4(v float64) string { return fixed(v, decimals(v, 4)) }
func percent(v float64) string { return fixed(v, 1) }

func scaled(v float64) string {
	if v == 0 {
		return "-" // a layer without multiply-adds
	}
	return benchunit.Scale(v, benchunit.Decimal)
}

func pvalue(v float64) string {
	if v < 0.001 {
		return "<0.001"
	}
	return fixed(v, 3)
}

func fixed(v float64, decimals int) string { return strconv.FormatFloat(v, 'f', decimals, 64) }

// decimals returns how many decimals show a positive v with that many digits, with a limit.
func decimals(v float64, digits int) int {
	n := digits - 1
	for ; n > 0 && v >= 10; n-- {
		v /= 10
	}
	for ; n < 8 && v < 1; n++ {
		v *= 10
	}
	return n
}

// interval shows the interval of e, with as many decimals as its median.
func interval(e *estimate) string {
	switch {
	case e == nil || e.N == 0:
		return "-"
	case e.Lo == nil:
		return "∞" // too few samples; the notes say how many it takes
	}
	n := decimals(float64(e.Median), 4)
	return fixed(float64(*e.Lo), n) + "–" + fixed(float64(*e.Hi), n)
}

// estimateColumns shows the estimate that of returns, which may be nil.
func estimateColumns[Row any](head, key string, of func(Row) *estimate) []column[Row] {
	part := func(f func(*estimate) *number) func(Row) any {
		return func(r Row) any {
			if e := of(r); e != nil {
				return f(e)
			}
			return (*number)(nil)
		}
	}
	return []column[Row]{
		{head: head, key: key, show: digits4, val: part(func(e *estimate) *number { return &e.Median })},
		{head: "95% interval", val: func(r Row) any { return interval(of(r)) }},
		{key: key + "_lo", val: part(func(e *estimate) *number { return e.Lo })},
		{key: key + "_hi", val: part(func(e *estimate) *number { return e.Hi })},
		{key: key + "_n", val: func(r Row) any {
			if e := of(r); e != nil {
				return e.N
			}
			return 0
		}},
	}
}

// settingColumns shows the setting of each row; inTitle says that the groups' titles do so
// for people.
func settingColumns[Row any](rows []Row, inTitle bool, of func(Row) setting) []column[Row] {
	all := func(usual func(setting) bool) bool {
		return !slices.ContainsFunc(rows, func(r Row) bool { return !usual(of(r)) })
	}
	columns := []column[Row]{
		{head: "machine", key: "machine", hide: all(func(s setting) bool { return s.Machine == 1 }),
			val: func(r Row) any { return of(r).Machine }},
		{head: "isa", key: "isa", left: true,
			val: func(r Row) any { return of(r).ISA }},
		{head: "threads", key: "threads",
			val: func(r Row) any { return of(r).Threads }},
		{head: "batch", key: "batch", hide: all(func(s setting) bool { return s.Batch == 1 }),
			val: func(r Row) any { return of(r).Batch }},
	}
	for i := range columns {
		columns[i].hide = columns[i].hide || inTitle
	}
	return columns
}

// algoColumn shows the algorithm of each row.
func algoColumn[Row any](rows []Row, of func(Row) string) []column[Row] {
	return []column[Row]{{
		head: "algo", key: "algo", left: true,
		hide: !slices.ContainsFunc(rows, func(r Row) bool { return of(r) != "" }),
		val:  func(r Row) any { return of(r) },
	}}
}

// tables returns the tables of the report that were asked for.
func tables(r *report) []table {
	var ts []table
	if r.Machine != nil {
		ts = append(ts, peakTable(r))
	}
	if r.Networks != nil {
		ts = append(ts, networkTable(r.Networks))
	}
	if r.Stages != nil {
		ts = append(ts, stageTable(r.Stages))
	}
	if r.Layers != nil {
		ts = append(ts, layerTable(r.Layers))
	}
	if r.Candidates != nil {
		ts = append(ts, candidateTable(r.Candidates))
	}
	return ts
}

func noTitle[Row any](Row) string { return "" }

func peakTable(r *report) table {
	var rows []peakRow
	for _, m := range r.Machine {
		rows = append(rows, m.Peaks...)
	}
	return newTable("Machine", rows, noTitle, slices.Concat(
		[]column[peakRow]{
			{head: "machine", key: "machine", val: func(r peakRow) any { return r.Machine }, hide: len(r.Machine) == 1},
			{head: "isa", key: "isa", left: true, val: func(r peakRow) any { return r.ISA }},
			{head: "threads", key: "threads", val: func(r peakRow) any { return r.Threads }},
		},
		estimateColumns("FMA GFLOP/s", "fma_gflops", func(r peakRow) *estimate { return r.FMA }),
		estimateColumns("read GB/s", "read_gbs", func(r peakRow) *estimate { return r.Read }),
	))
}

func networkTable(rows []networkRow) table {
	return newTable("Networks", rows, noTitle, slices.Concat(
		[]column[networkRow]{{head: "network", key: "net", left: true, val: func(r networkRow) any { return r.Net }}},
		settingColumns(rows, false, func(r networkRow) setting { return r.setting }),
		algoColumn(rows, func(r networkRow) string { return r.Algo }),
		[]column[networkRow]{
			{head: "parameters", key: "params", val: func(r networkRow) any { return r.Params }, show: scaled},
			{head: "MB", key: "mb", val: func(r networkRow) any { return r.MB }, show: digits3},
			{head: "mult-adds", key: "macs", val: func(r networkRow) any { return r.MACs }, show: scaled},
		},
		estimateColumns("ms/image", "ms", func(r networkRow) *estimate { return &r.Ms }),
		[]column[networkRow]{
			{head: "GFLOP/s", key: "gflops", val: func(r networkRow) any { return r.GFLOPS }, show: digits4},
			{head: "% of peak", key: "peak_pct", val: func(r networkRow) any { return r.PeakPct }, show: percent},
			{head: "images/s", key: "images_per_sec", val: func(r networkRow) any { return r.ImagesPerSec }, show: digits4},
			{head: "× scalar", key: "over_scalar", val: func(r networkRow) any { return r.OverScalar }, show: digits3},
			{head: "n", val: func(r networkRow) any { return r.Ms.N }},
		},
	))
}

func stageTable(rows []stageRow) table {
	title := "Stages"
	columns := slices.Concat(
		[]column[stageRow]{{head: "stage", key: "stage", left: true, val: func(r stageRow) any { return r.Stage }}},
		settingColumns(rows, true, func(r stageRow) setting { return r.setting }),
	)
	if len(rows) > 0 {
		a, b := rows[0].A.Net, rows[0].B.Net
		title = fmt.Sprintf("Stages of %s (A) and %s (B)", a, b)
	}
	columns = append(columns, sideColumns("A", "a", func(r stageRow) stageSide { return r.A })...)
	columns = append(columns, sideColumns("B", "b", func(r stageRow) stageSide { return r.B })...)
	columns = append(columns,
		column[stageRow]{head: "A/B", key: "ratio", val: func(r stageRow) any { return r.Ratio }, show: digits3},
		column[stageRow]{head: "p", key: "p", val: func(r stageRow) any { return r.P }, show: pvalue},
		column[stageRow]{head: "n", val: func(r stageRow) any { return samples(r) }},
	)
	return newTable(title, rows, func(r stageRow) string { return r.title }, columns)
}

// sideColumns shows one side of the stages.
func sideColumns(head, key string, of func(stageRow) stageSide) []column[stageRow] {
	return slices.Concat(
		[]column[stageRow]{
			{key: key + "_net", val: func(r stageRow) any { return of(r).Net }},
			{key: key + "_algo", val: func(r stageRow) any { return of(r).Algo }},
			{head: head + " mult-adds", key: key + "_macs", val: func(r stageRow) any { return of(r).MACs }, show: scaled},
		},
		estimateColumns(head+" ms", key+"_ms", func(r stageRow) *estimate {
			if t := of(r).Time; t != nil {
				return &t.Ms
			}
			return nil
		}),
		[]column[stageRow]{
			{key: key + "_gflops", val: func(r stageRow) any {
				if t := of(r).Time; t != nil {
					return t.GFLOPS
				}
				return (*number)(nil)
			}},
			{head: "% of peak", key: key + "_peak_pct", show: percent, val: func(r stageRow) any {
				if t := of(r).Time; t != nil {
					return t.PeakPct
				}
				return (*number)(nil)
			}},
		},
	)
}

// samples shows the numbers of samples; sums have none.
func samples(r stageRow) string {
	if r.Stage == "sum" {
		return "-"
	}
	n := func(t *timing) int {
		if t == nil {
			return 0
		}
		return t.Ms.N
	}
	return fmt.Sprintf("%d+%d", n(r.A.Time), n(r.B.Time))
}

func layerTable(rows []layerRow) table {
	title := func(r layerRow) string { return size(r.H, r.W) + " outputs, " + r.title }
	return newTable("Layers by output size", rows, title, slices.Concat(
		[]column[layerRow]{
			{key: "h", val: func(r layerRow) any { return r.H }},
			{key: "w", val: func(r layerRow) any { return r.W }},
			{head: "network", key: "net", left: true, val: func(r layerRow) any { return r.Net }},
			{head: "layer", key: "layer", left: true, val: func(r layerRow) any { return r.Layer }},
			{head: "op", key: "op", left: true, val: func(r layerRow) any { return r.Op }},
		},
		settingColumns(rows, true, func(r layerRow) setting { return r.setting }),
		algoColumn(rows, func(r layerRow) string { return r.Algo }),
		[]column[layerRow]{{head: "mult-adds", key: "macs", val: func(r layerRow) any { return r.MACs }, show: scaled}},
		estimateColumns("ms", "ms", func(r layerRow) *estimate { return &r.Ms }),
		[]column[layerRow]{
			{head: "GFLOP/s", key: "gflops", val: func(r layerRow) any { return r.GFLOPS }, show: digits4},
			{head: "% of peak", key: "peak_pct", val: func(r layerRow) any { return r.PeakPct }, show: percent},
			{head: "% FMA busy", key: "fma_pct", val: func(r layerRow) any { return r.FMAPct }, show: percent},
			{head: "FLOP/B", key: "flop_per_byte", val: func(r layerRow) any { return r.FLOPB }, show: digits4},
			{head: "GB/s", key: "gbs", val: func(r layerRow) any { return r.GBs }, show: digits4},
			{head: "% of net", key: "net_pct", val: func(r layerRow) any { return r.NetPct }, show: percent},
		},
	))
}

func candidateTable(rows []candidateRow) table {
	title := func(r candidateRow) string { return r.Net + ", " + r.title }
	return newTable("Candidates for each layer", rows, title, slices.Concat(
		[]column[candidateRow]{
			{key: "net", val: func(r candidateRow) any { return r.Net }},
			{head: "layer", key: "layer", left: true, val: func(r candidateRow) any { return r.Layer }},
			{head: "op", key: "op", left: true, val: func(r candidateRow) any { return r.Op }},
		},
		settingColumns(rows, true, func(r candidateRow) setting { return r.setting }),
		algoColumn(rows, func(r candidateRow) string { return r.Algo }),
		estimateColumns("ms", "ms", func(r candidateRow) *estimate { return &r.Ms }),
		[]column[candidateRow]{
			{head: "GFLOP/s", key: "gflops", val: func(r candidateRow) any { return r.GFLOPS }, show: digits4},
			{head: "% of peak", key: "peak_pct", val: func(r candidateRow) any { return r.PeakPct }, show: percent},
			{head: "% FMA busy", key: "fma_pct", val: func(r candidateRow) any { return r.FMAPct }, show: percent},
			{head: "pick", left: true, val: func(r candidateRow) any {
				if r.Picked {
					return "✓"
				}
				return ""
			}},
			{key: "picked", val: func(r candidateRow) any { return r.Picked }},
			{head: "regret %", key: "regret_pct", val: func(r candidateRow) any { return r.RegretPct }, show: percent},
		},
	))
}
