package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"firebench/net/evaluate"
)

// print writes the table, or -json's objects, and the page if every picture counted. There is
// nothing to print if none did.
func (m *measurement) print(stdout io.Writer) error {
	if len(m.paths) == 0 {
		return nil
	}
	var b strings.Builder
	if m.json {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		for _, r := range m.rows {
			if err := e.Encode(m.result(r)); err != nil {
				return err
			}
		}
	} else {
		m.text(&b)
	}
	if _, err := io.WriteString(stdout, b.String()); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	if m.out == nil || m.failed > 0 {
		return nil
	}
	if _, err := io.WriteString(m.out, m.markdown()); err != nil {
		return err
	}
	return m.out.Commit()
}

// text writes the table for a terminal.
func (m *measurement) text(b *strings.Builder) {
	threads := "1 thread"
	if n := m.rows[0].plan.Threads(); n > 1 {
		threads = fmt.Sprintf("%d threads", n)
	}
	fmt.Fprintf(b, "%s, %v %s, %s\n%s\n\n", m.Model.Name, m.Set.ISA, m.Algorithm, threads, m.how())
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 3, ' ', 0)
	for _, cells := range m.table(true) {
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	t.Flush()
	for line := range strings.Lines(table.String()) {
		fmt.Fprintln(b, strings.TrimRight(line, " \n"))
	}
	fmt.Fprintf(b, "\n%s The speed, with an interval of its median, is that of the network alone.\n", brackets)
	if len(m.rows) > 1 {
		fmt.Fprintf(b, "%s\n", m.logits())
	}
}

const brackets = "Brackets are 95 % intervals, Wilson's of shares."

// logits explains the last columns.
func (m *measurement) logits() string {
	return fmt.Sprintf("Logits are the scores before the softmax: \"off by\" is the largest difference from one of %s.", m.rows[0].arithmetic)
}

// how says what the pictures are, and how the network was quantized.
func (m *measurement) how() string {
	s := plural(len(m.paths), "picture")
	if n := len(m.paths) - m.labels; n > 0 {
		s += fmt.Sprintf(", %d without a label, which count for neither top-1 nor top-5", n)
	}
	if m.Quantized {
		s += "; quantized as the file has it"
	}
	if m.weights != "" {
		s += "; " + m.weights
	}
	if c := m.calibration; c != nil {
		s += fmt.Sprintf("; calibrated by %v with %s", c.Method, plural(c.Images, "picture"))
		if m.known > 0 {
			s += fmt.Sprintf(", %d of them among those measured", m.known)
		}
	}
	if keep := m.Compression.Keep; len(keep) > 0 {
		s += "; float32 in " + strings.Join(keep, ", ")
	}
	return s
}

// plural returns a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// table returns the cells of the table, with a speed or without, all rows of one length. Of a lone
// row, there is nothing to agree with.
func (m *measurement) table(withSpeed bool) [][]string {
	rows := [][]string{{"arithmetic", "top-1", "top-5"}}
	if len(m.rows) > 1 {
		rows[0] = append(rows[0], "top-1 as "+m.rows[0].arithmetic, "logits off by")
	}
	if withSpeed {
		rows[0] = append(rows[0], "images/s")
	}
	for i, r := range m.rows {
		cells := []string{r.arithmetic, share(r.score.Top1), share(r.score.Top5)}
		switch {
		case i > 0:
			cells = append(cells, share(r.score.Agreement), fmt.Sprintf("%.3g", r.score.Difference))
		case len(m.rows) > 1:
			cells = append(cells, "", "")
		}
		if withSpeed {
			cells = append(cells, speed(r.score.Speed))
		}
		rows = append(rows, cells)
	}
	return rows
}

// markdown returns the page. It has no times, so that it is the same wherever it is written.
func (m *measurement) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Accuracy of %s in integers\n\n", m.Model.Name)
	fmt.Fprintf(&b, "Written by `go run ./net/accuracy %s`: %s.\n\n", strings.Join(m.args, " "), m.how())
	for i, cells := range m.table(false) {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|---%s\n", strings.Repeat("|---:", len(cells)-1)+"|")
		}
	}
	fmt.Fprintf(&b, "\n%s %s\n\n", brackets, m.logits())
	b.WriteString(`* int8 is what Firebench computes: uint8 activations, int8 weights with a scale for each output channel, and exact sums, the same bits on
  every instruction set.
* Saturating sums are those of software that multiplies by VPMADDUBSW, as ONNX Runtime does on AVX2 without VNNI: each two neighbouring
  products are added in 16 bits, and what they do not hold is lost without a word. The sums are emulated here, of the same scales and weights.
* 7-bit weights are within ±63. No two products exceed 16 bits then, so that such software is exact, too; the price is the rounding of weights.
`)
	return b.String()
}

// share prints a share and its interval in percent.
func share(s evaluate.Share) string {
	if s.Total == 0 {
		return "–"
	}
	lo, hi := s.Interval()
	return fmt.Sprintf("%d/%d = %.1f %% [%.1f, %.1f]", s.Count, s.Total, 100*s.Value(), 100*lo, 100*hi)
}

// speed prints a speed and its interval.
func speed(s evaluate.Speed) string {
	if math.IsInf(s.Hi, 0) {
		return fmt.Sprintf("%.3g", s.Median)
	}
	return fmt.Sprintf("%.3g [%.3g, %.3g]", s.Median, s.Lo, s.Hi)
}

// A result is a row in the form of -json.
type result struct {
	Model      string `json:"model"`
	Arithmetic string `json:"arithmetic"`
	ISA        string `json:"isa"`
	Algorithm  string `json:"algorithm"`
	Threads    int    `json:"threads"`
	Pictures   int    `json:"pictures"`

	Top1       *shareResult `json:"top1"` // null without labels
	Top5       *shareResult `json:"top5"`
	Agreement  *shareResult `json:"agreement"` // null of the first row, as the next two
	Difference *float64     `json:"difference"`
	Picture    *string      `json:"picture"` // which has the difference
	Speed      speedResult  `json:"images/s"`
}

type shareResult struct {
	Count int     `json:"count"`
	Total int     `json:"total"`
	Share float64 `json:"share"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
}

type speedResult struct {
	Median float64  `json:"median"`
	Lo     *float64 `json:"lo"` // null of too few pictures
	Hi     *float64 `json:"hi"`
}

func (m *measurement) result(r row) result {
	s := r.score
	result := result{
		Model:      m.Model.Name,
		Arithmetic: r.arithmetic,
		ISA:        m.Set.ISA.String(),
		Algorithm:  m.Algorithm,
		Threads:    r.plan.Threads(),
		Pictures:   len(m.paths),
		Top1:       newShareResult(s.Top1),
		Top5:       newShareResult(s.Top5),
		Speed:      speedResult{Median: s.Speed.Median},
	}
	if r.plan != m.rows[0].plan {
		result.Agreement, result.Difference, result.Picture = newShareResult(s.Agreement), &s.Difference, &m.paths[s.Worst]
	}
	if !math.IsInf(s.Speed.Hi, 0) {
		result.Speed.Lo, result.Speed.Hi = &s.Speed.Lo, &s.Speed.Hi
	}
	return result
}

func newShareResult(s evaluate.Share) *shareResult {
	if s.Total == 0 {
		return nil
	}
	lo, hi := s.Interval()
	return &shareResult{s.Count, s.Total, s.Value(), lo, hi}
}
