package report

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"firebench/compare/samples"
)

// formats are the ways to write a report, to a w that does not fail.
var formats = []struct {
	name  string
	write func(w io.Writer, r *Report) error
}{
	{"text", func(w io.Writer, r *Report) error { return writePage(w, r, textStyle) }},
	{"md", func(w io.Writer, r *Report) error { return writePage(w, r, mdStyle) }},
	{"csv", writeCSV},
	{"json", writeJSON},
}

// Formats returns the names of the formats.
func Formats() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// Write writes the report in a format out of Formats: text for terminals of 120
// columns, md as GitHub reads it; csv and json have more columns and the same keys. Its
// errors are those of w, or name an unknown format.
func (r *Report) Write(w io.Writer, format string) error {
	i := slices.Index(Formats(), format)
	if i < 0 {
		return fmt.Errorf("unknown format %q, expected one of %s", format, strings.Join(Formats(), ", "))
	}
	var out bytes.Buffer
	if err := formats[i].write(&out, r); err != nil {
		return err
	}
	_, err := w.Write(out.Bytes())
	return err
}

// writeJSON writes one object: the runs, each table as an array of objects with
// the keys of its columns, and the notes.
func writeJSON(w io.Writer, r *Report) error {
	var runs []any
	for i, run := range r.runs {
		runs = append(runs, object{{"run", i + 1}, {"commit", run.Commit}, {"machine", run.Facts}, {"recordings", recordings(run)}})
	}
	report := object{{"runs", runs}}
	for _, t := range r.tables {
		rows := []object{}
		for _, record := range t.records {
			var row object
			for i, v := range record {
				row = append(row, member{t.keys[i], v})
			}
			rows = append(rows, row)
		}
		report = append(report, member{t.name, rows})
	}
	report = append(report, member{"notes", append([]string{}, r.notes...)})
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}

func recordings(run *samples.Run) []object {
	list := []object{}
	for _, r := range run.Recordings {
		list = append(list, object{{"file", r.File}, {"time", r.Time}, {"command", r.Command}})
	}
	return list
}

// An object is a JSON object whose members keep their order.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	for i, m := range o {
		out.WriteByte("{,"[min(i, 1)])
		if err := enc.Encode(m.key); err != nil {
			return nil, err
		}
		out.WriteByte(':')
		if err := enc.Encode(m.value); err != nil {
			return nil, err
		}
	}
	if len(o) == 0 {
		out.WriteByte('{')
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// writeCSV writes the runs, every table and the notes, each with a header row, an
// empty line between them.
func writeCSV(w io.Writer, r *Report) error {
	out := csv.NewWriter(w)
	runs := [][]string{append([]string{"run", "files", "commit", "recorded", "command"}, samples.FactKeys...)}
	for i, run := range r.runs {
		var files, times, commands []string
		for _, r := range run.Recordings {
			files, times, commands = append(files, r.File), append(times, r.Time), append(commands, r.Command)
		}
		row := []string{strconv.Itoa(i + 1), join(files), run.Commit, join(times), join(commands)}
		for _, k := range samples.FactKeys {
			row = append(row, run.Facts[k])
		}
		runs = append(runs, row)
	}
	out.WriteAll(runs) // keeps its first error
	for _, t := range r.tables {
		rows := [][]string{t.keys}
		for _, record := range t.records {
			var row []string
			for _, v := range record {
				row = append(row, plain(v))
			}
			rows = append(rows, row)
		}
		fmt.Fprintln(w)
		out.WriteAll(rows)
	}
	rows := [][]string{{"note"}}
	for _, n := range r.notes {
		rows = append(rows, []string{n})
	}
	fmt.Fprintln(w)
	return out.WriteAll(rows)
}

// join joins the words that are not empty, each once.
func join(words []string) string {
	words = slices.DeleteFunc(slices.Clone(words), func(s string) bool { return s == "" })
	return strings.Join(slices.Compact(words), "; ")
}

// A style is a way to write text for people.
type style struct {
	title, group, intro string // formats
	table               func(w io.Writer, t *table, rows [][]string)
	text                func(string) string // escapes
}

var (
	textStyle = style{"%s\n\n", "%s\n", "%s\n", alignedTable, func(s string) string { return s }}
	mdStyle   = style{"### %s\n\n", "**%s**\n\n", "%s  \n", pipeTable, mdEscape}
)

var mdEscape = strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`).Replace

// textWidth is the width of running text in characters.
const textWidth = 120

// bullet makes an item of a list, in lines of at most textWidth.
func bullet(s string) string {
	var b strings.Builder
	line := "-"
	for _, word := range strings.Fields(s) {
		if utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > textWidth {
			b.WriteString(line + "\n")
			line = " "
		}
		line += " " + word
	}
	return b.String() + line
}

// writePage writes the report for people.
func writePage(w io.Writer, r *Report, s style) error {
	for i, run := range r.runs {
		lines := describe(run)
		if len(r.runs) > 1 {
			lines[0] = fmt.Sprintf("Run %d: %s", i+1, lines[0])
		}
		for _, line := range lines {
			fmt.Fprintf(w, s.intro, s.text(line))
		}
		fmt.Fprintln(w)
	}
	var explain []string
	for _, t := range r.tables {
		if len(t.groups) == 0 {
			continue
		}
		fmt.Fprintf(w, s.title, s.text(t.title))
		for _, line := range t.intro {
			fmt.Fprintf(w, s.intro, s.text(line))
		}
		if len(t.intro) > 0 {
			fmt.Fprintln(w)
		}
		for _, g := range t.groups {
			if g.title != "" {
				fmt.Fprintf(w, s.group, s.text(g.title))
			}
			s.table(w, t, g.rows)
			fmt.Fprintln(w)
		}
		for _, e := range t.explain {
			if !slices.Contains(explain, e) {
				explain = append(explain, e)
			}
		}
	}
	for i, list := range [][]string{explain, r.notes} {
		if len(list) > 0 {
			fmt.Fprintf(w, s.title, []string{"Columns", "Notes"}[i])
			for _, item := range list {
				fmt.Fprintln(w, bullet(s.text(item)))
			}
			fmt.Fprintln(w)
		}
	}
	return nil
}

// describe puts the facts about a run in lines.
func describe(run *samples.Run) []string {
	get := func(key string) string { return cmp.Or(run.Facts[key], "unknown") }
	cpu := get("cpu")
	if id := run.Facts["cpu-id"]; id != "" {
		cpu += ", family/model/stepping " + id
	}
	lines := []string{
		fmt.Sprintf("CPU %s; cores %s; %s/%s", cpu, get("cores"), get("goos"), get("goarch")),
		fmt.Sprintf("instruction sets %s; caches %s", get("isas"), get("caches")),
	}
	for _, r := range run.Recordings {
		line := fmt.Sprintf("recorded %s, commit %s", cmp.Or(r.Time, "at an unknown time"), cmp.Or(run.Commit, "unknown"))
		if r.Command != "" {
			line += ", by " + r.Command
		}
		if len(run.Recordings) > 1 {
			line += ", in " + r.File
		}
		lines = append(lines, line)
	}
	return lines
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
