package report

import (
	"fmt"
	"slices"

	"firebench/compare/samples"
)

// A table is what is printed of one kind of rows, in both its forms: for programs (CSV and
// JSON), and for people (text and Markdown), in groups with titles of their own.
type table struct {
	name    string
	title   string
	intro   []string // lines below the title: facts that the rows do not repeat
	explain []string // what the columns that people see are, a sentence or more each

	keys    []string // for programs
	records [][]any  // of string, bool, int, int64, number or *number

	head   []string // for people
	left   []bool   // align left: words
	groups []group
}

type group struct {
	title string
	rows  [][]string
}

// A column says how to print one thing about a row.
type column[Row any] struct {
	key   string               // in CSV and JSON; empty: for people only
	head  string               // for people; empty: for programs only
	left  bool                 // align left
	same  func(v any) string   // what the table's title says instead, when all rows have the same value; nil: nothing
	value func(Row) any        // string, bool, int, int64, number or *number, nil for unknown
	show  func(float64) string // how people read the number
}

// newTable prints rows. Consecutive rows with the same group title make a group.
func newTable[Row any](title string, rows []Row, groupTitle func(Row) string, columns ...[]column[Row]) *table {
	t := &table{title: title}
	var shown []column[Row]
	for _, c := range slices.Concat(columns...) {
		if c.key != "" {
			t.keys = append(t.keys, c.key)
		}
		if c.head == "" || c.empty(rows) {
			continue
		}
		if c.same != nil && c.constant(rows) {
			if what := c.same(c.value(rows[0])); what != "" {
				t.title += ", " + what
			}
			continue
		}
		shown = append(shown, c)
		t.head = append(t.head, c.head)
		t.left = append(t.left, c.left)
	}
	for _, row := range rows {
		var record []any
		for _, c := range slices.Concat(columns...) {
			if c.key != "" {
				record = append(record, c.value(row))
			}
		}
		t.records = append(t.records, record)
		var cells []string
		for _, c := range shown {
			cells = append(cells, pretty(c.value(row), c.show))
		}
		title := groupTitle(row)
		if n := len(t.groups); n == 0 || t.groups[n-1].title != title {
			t.groups = append(t.groups, group{title: title})
		}
		g := &t.groups[len(t.groups)-1]
		g.rows = append(g.rows, cells)
	}
	return t
}

// An explanation says what a column is.
type explanation struct {
	column string // its head, without the letter of a network; empty: not a column, but the intro
	text   string
}

// explainColumns adds explanations of the columns that people see.
func (t *table) explainColumns(explanations ...explanation) {
	for _, e := range explanations {
		if e.column == "" || t.shows(e.column) {
			t.explain = append(t.explain, e.text)
		}
	}
}

// shows reports whether people see a column of that head, for one network or for each.
func (t *table) shows(column string) bool {
	return slices.ContainsFunc(t.head, func(head string) bool {
		return head == column || slices.ContainsFunc(letters, func(letter string) bool { return head == letter+" "+column })
	})
}

// empty reports whether no row has a value.
func (c column[Row]) empty(rows []Row) bool {
	return !slices.ContainsFunc(rows, func(r Row) bool {
		s := pretty(c.value(r), c.show)
		return s != unknown && s != ""
	})
}

// constant reports whether all rows have the same value.
func (c column[Row]) constant(rows []Row) bool {
	return !slices.ContainsFunc(rows, func(r Row) bool { return c.value(r) != c.value(rows[0]) })
}

// noTitle is the group title of tables without groups.
func noTitle[Row any](Row) string { return "" }

// estimateColumns shows the estimate that of returns, which may be nil. Where no row has an
// interval, people see no column of them.
func estimateColumns[Row any](key, head string, of func(Row) *estimate) []column[Row] {
	part := func(f func(*estimate) *number) func(Row) any {
		return func(r Row) any {
			if e := of(r); e != nil {
				return f(e)
			}
			return (*number)(nil)
		}
	}
	return []column[Row]{
		{key: key, head: head, show: digits4, value: part(func(e *estimate) *number { return &e.median })},
		{head: "95% interval", value: func(r Row) any { return interval(of(r)) }},
		{key: key + "_lo", value: part(func(e *estimate) *number { return e.lo })},
		{key: key + "_hi", value: part(func(e *estimate) *number { return e.hi })},
		{key: key + "_n", value: func(r Row) any {
			if e := of(r); e != nil {
				return e.n
			}
			return 0
		}},
	}
}

// configColumns shows the config of each row, without its algorithm. People see the columns of these
// keys; the titles of groups say the rest.
func configColumns[Row any](of func(Row) samples.Config, seen ...string) []column[Row] {
	columns := []column[Row]{
		{key: "run", head: "run", value: func(r Row) any { return of(r).Run + 1 }, same: func(v any) string {
			if v == 1 {
				return "" // there is no other
			}
			return fmt.Sprintf("run %d", v)
		}},
		{key: "isa", head: "isa", left: true, value: func(r Row) any { return of(r).ISA.String() }, same: text},
		{key: "threads", head: "threads", value: func(r Row) any { return of(r).Threads },
			same: func(v any) string { return samples.Plural(v.(int), "thread") }},
		{key: "batch", value: func(r Row) any { return of(r).Batch }},
		{key: "type", head: "type", left: true, value: func(r Row) any { return of(r).Type }, same: func(v any) string {
			if v == samples.F32 {
				return "" // what networks compute with unless something else is said
			}
			return text(v)
		}},
	}
	for i := range columns {
		if !slices.Contains(seen, columns[i].key) {
			columns[i].head = ""
		}
	}
	return columns
}

// text says a value that needs no words.
func text(v any) string { return fmt.Sprint(v) }

// algoColumn shows the algorithm of each row.
func algoColumn[Row any](of func(Row) string) []column[Row] {
	return []column[Row]{{key: "algo", head: "algo", left: true, value: func(r Row) any { return of(r) }}}
}

// speedColumns shows what follows from the time that of returns.
func speedColumns[Row any](of func(Row) *timing) []column[Row] {
	return []column[Row]{
		{key: "gops", head: "GOP/s", value: func(r Row) any { return of(r).gops }, show: digits4},
		{key: "peak_pct", head: "% peak", value: func(r Row) any { return of(r).peakPct }, show: percent},
	}
}

// samplesColumn shows how many samples the estimate that of returns has.
func samplesColumn[Row any](of func(Row) *estimate) []column[Row] {
	return []column[Row]{{head: "n", value: func(r Row) any { return of(r).n },
		same: func(v any) string { return samples.Plural(v.(int), "sample") }}}
}

// These are explanations that several tables need.
var (
	explainMs       = explanation{"ms", "ms are milliseconds per image, the median of the samples."}
	explainInterval = explanation{"95% interval", "The 95% interval is the confidence interval of the median; it assumes no distribution."}
	explainSamples  = explanation{"n", "n counts samples."}
	explainGOPS     = explanation{"GOP/s", "GOP/s count two per multiply-add of the direct convolution, whatever algorithm ran: operations on float32 values or, of int8, on integers."}
	explainPeak     = explanation{"% peak", "% peak relates the multiply-adds of the direct convolution, whatever algorithm ran, to the peak of the " +
		"instruction set and type, measured beside each time: that of fused multiply-adds or, of int8, that of the integer multiply-adds of the " +
		"direct convolution. An algorithm that multiplies less than the direct one may pass 100."}
	explainBusy = explanation{"% busy", "% busy relates the multiply-adds that were executed, those of wasted lanes and tiles " +
		"included, to the same peak. Of int8, Winograd's are of 16 bits: where the direct convolution has instructions for 8, they reach half of it at best."}
	explainNet = explanation{"% net", "% net is the time over that of the network with the same type: as auto runs it if auto picks the layer's algorithm; " +
		"else, or when that was not measured, with the same algorithm."}
	explainRegret = explanation{"regret %", "regret % is how much slower the algorithm that auto picks is than the fastest candidate, 0 when it is the fastest; " +
		"of a network, that of the sums over the layers that have several candidates."}
	explainOverF32 = explanation{"× f32", "× f32 is the time in float32 over that in int8, the median of the ratios within the samples."}
)
