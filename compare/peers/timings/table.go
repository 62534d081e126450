package timings

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/perf/benchmath"

	"firebench/compare/samples"
)

const confidence = 0.95

// summary returns the median of values and its interval, from order statistics: no distribution is
// assumed.
func summary(values []float64) Ratio {
	s := benchmath.AssumeNothing.Summary(benchmath.NewSample(values, &benchmath.DefaultThresholds), confidence)
	return Ratio{s.Center, max(s.Lo, 0), s.Hi}
}

// A style is how tables are printed.
type style struct {
	title func(s string) string
	table func(w io.Writer, rows [][]string, left int)
	item  string // begins an item of a list
	star  string // is the mark of the fastest peer, in running text
	code  string // stands around a command
}

var (
	text     = style{title: func(s string) string { return s }, table: textTable, item: "  ", star: best}
	markdown = style{title: func(s string) string { return "### " + s }, table: markdownTable, item: "* ", star: `\` + best, code: "`"}
)

// WriteText writes the tables for terminals.
func (r *Run) WriteText(w io.Writer) error { return r.write(w, text) }

// WriteMarkdown writes the tables as GitHub reads them.
func (r *Run) WriteMarkdown(w io.Writer) error { return r.write(w, markdown) }

func (r *Run) write(w io.Writer, st style) error {
	var b strings.Builder
	if r.Recorded != "" {
		fmt.Fprintf(&b, "%s, family/model/stepping %s, %s cores; %s/%s; instruction sets %s; caches %s.\nRecorded %s, commit %s, by %s.\n\n",
			r.Fact("cpu"), r.Fact("cpu-id"), r.Fact("cores"), r.Fact("goos"), r.Fact("goarch"), r.Fact("isas"), r.Fact("caches"),
			r.Recorded, r.Commit, st.code+r.Command+st.code)
	}
	r.writeTimes(&b, st)
	r.writeRatios(&b, st)
	for _, row := range r.Rows {
		if len(r.Layers[row]) > 0 {
			r.writeLayers(&b, st, row)
		}
	}
	r.writeEngines(&b, st)
	_, err := io.WriteString(w, b.String())
	return err
}

// best is the mark of the fastest peer.
const best = "*"

// marked puts the mark of the fastest peer beside a figure.
func (r *Run) marked(row Row, impl, figure string) string {
	if peer, ok := r.Best(row); ok && peer == impl {
		return best + figure
	}
	return figure
}

// headings are those of a table with a column for each of impls.
func headings(impls []string) []string {
	return append([]string{"network", "type", "threads"}, impls...)
}

func (r Row) cells() []string { return []string{r.Net, r.Type, strconv.Itoa(r.Threads)} }

// measured returns the rows that have samples; others have layers alone.
func (r *Run) measured() []Row {
	return slices.DeleteFunc(slices.Clone(r.Rows), func(row Row) bool { return len(r.Samples[row]) == 0 })
}

func (r *Run) writeTimes(b *strings.Builder, st style) {
	rounds := 0
	rows := [][]string{headings(r.Impls)}
	for _, row := range r.measured() {
		rounds = max(rounds, r.rounds(row))
		cells := row.cells()
		for _, impl := range r.Impls {
			cell := "-"
			if ms, ok := r.MS(row, impl); ok {
				cell = r.marked(row, impl, digits3(ms))
			}
			cells = append(cells, cell)
		}
		rows = append(rows, cells)
	}
	unit := "image"
	if trains := func(row Row) bool { return row.Type == Train }; slices.ContainsFunc(r.Rows, trains) {
		unit = fmt.Sprintf("image or, of type %s, step on %d images", Train, TrainBatch)
	}
	fmt.Fprintf(b, "%s\n\n", st.title("Milliseconds per "+unit+", median of "+samples.Plural(rounds, "round")))
	st.table(b, rows, 2)
	b.WriteString("\n")
}

func (r *Run) writeRatios(b *strings.Builder, st style) {
	peers := slices.DeleteFunc(slices.Clone(r.Impls), func(impl string) bool { return impl == Firebench })
	rows := [][]string{headings(peers)}
	var verdicts []string
	faster, compared := 0, 0
	for _, row := range r.measured() {
		cells := row.cells()
		for _, peer := range peers {
			cell := "-"
			if ratio, ok := r.Ratio(row, peer); ok {
				cell = r.marked(row, peer, ratio.String())
			}
			cells = append(cells, cell)
		}
		rows = append(rows, cells)
		if verdict, ok := r.verdict(row, peers); ok {
			if compared++; verdict == "" {
				faster++
			} else {
				verdicts = append(verdicts, verdict)
			}
		}
	}
	if len(peers) == 0 {
		return
	}
	fmt.Fprintf(b, "%s\n\n", st.title("Time over that of Firebench, with 95 % intervals: above 1 Firebench is faster"))
	st.table(b, rows, 2)
	fmt.Fprintf(b, "\n%s marks the fastest peer. A ratio is the median of the ratios within the rounds; its interval comes from order statistics and\nassumes no distribution; fewer than six rounds have none.\n", st.star)
	if compared == 0 {
		b.WriteString("\n")
		return
	}
	fmt.Fprintf(b, "\nFirebench is faster than every peer in %d of %s", faster, samples.Plural(compared, "row"))
	if len(verdicts) == 0 {
		b.WriteString(".\n\n")
		return
	}
	b.WriteString("; in the others it is\n\n")
	for _, v := range verdicts {
		fmt.Fprintf(b, "%s%s\n", st.item, v)
	}
	b.WriteString("\n")
}

// verdict says how Firebench is not faster than every peer, "" if it is. ok is false if there are too
// few rounds, or no peers, to say.
func (r *Run) verdict(row Row, peers []string) (verdict string, ok bool) {
	fastest, ok := r.Best(row)
	ratio, _ := r.Ratio(row, fastest)
	if !ok || math.IsInf(ratio.Hi, 1) {
		return "", false
	}
	if ratio.Hi < 1 {
		return fmt.Sprintf("slower than %s: %v, %v", fastest, row, ratio), true
	}
	var close []string
	for _, peer := range peers {
		if ratio, ok := r.Ratio(row, peer); ok && ratio.Lo <= 1 {
			close = append(close, fmt.Sprintf("%s %v", peer, ratio))
		}
	}
	if len(close) == 0 {
		return "", true
	}
	return fmt.Sprintf("not told apart from another: %v, %s", row, strings.Join(close, ", ")), true
}

// String returns the ratio and its interval, if it has one.
func (x Ratio) String() string {
	if x.Lo <= 0 || math.IsInf(x.Hi, 1) {
		return digits3(x.Median)
	}
	return fmt.Sprintf("%s [%s, %s]", digits3(x.Median), digits3(x.Lo), digits3(x.Hi))
}

func (r *Run) writeEngines(b *strings.Builder, st style) {
	if len(r.Engines) > 0 {
		fmt.Fprintf(b, "%s\n\n", st.title("Engines and their settings"))
		rows := [][]string{{"engine", "version", "settings"}}
		for _, e := range r.Engines {
			rows = append(rows, []string{e.Impl, e.Version, e.Settings})
		}
		st.table(b, rows, len(rows[0]))
		b.WriteString("\n")
	}
	if len(r.Skips)+len(r.Notes) > 0 {
		fmt.Fprintf(b, "%s\n\n", st.title("Skipped, and other notes"))
		for i, s := range r.Skips {
			alike := func(o Skip) bool { return o.Impl == s.Impl && o.Reason == s.Reason }
			if slices.ContainsFunc(r.Skips[:i], alike) {
				continue // it is in the line of the first
			}
			where := "all rows"
			if s.Row != (Row{}) {
				where = s.Row.String()
			}
			n := 0
			for _, o := range r.Skips[i+1:] {
				if alike(o) {
					n++
				}
			}
			if n > 0 {
				where += fmt.Sprintf(", and %s more", samples.Plural(n, "row"))
			}
			fmt.Fprintf(b, "%s%s, %s: %s\n", st.item, s.Impl, where, s.Reason)
		}
		for _, n := range r.Notes {
			fmt.Fprintf(b, "%s%s\n", st.item, n)
		}
		b.WriteString("\n")
	}
}

// digits3 shows a positive number with three digits.
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

// textTable aligns columns: so many from the left to the left, the others to the right.
func textTable(w io.Writer, rows [][]string, left int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i > 0 {
				line += "  "
			}
			if i < left {
				line += cell + space
			} else {
				line += space + cell
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

func markdownTable(w io.Writer, rows [][]string, left int) {
	for i, row := range rows {
		for _, cell := range row {
			fmt.Fprintf(w, "| %s ", strings.NewReplacer("|", `\|`, "*", `\*`).Replace(cell))
		}
		fmt.Fprintln(w, "|")
		if i > 0 {
			continue
		}
		for j := range row {
			if j < left {
				fmt.Fprint(w, "| --- ")
			} else {
				fmt.Fprint(w, "| ---: ")
			}
		}
		fmt.Fprintln(w, "|")
	}
}
