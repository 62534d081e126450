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

// print writes the table, or -json's objects. There is nothing to print if no picture counted.
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
	return nil
}

// text writes the table for people.
func (m *measurement) text(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n\n", m.title())
	t := tabwriter.NewWriter(b, 0, 0, 3, ' ', 0)
	head, rows := m.table()
	for _, cells := range append([][]string{head}, rows...) {
		fmt.Fprintln(t, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	t.Flush()
	fmt.Fprintf(b, "\n%s\n", m.notes())
}

// title says what was measured.
func (m *measurement) title() string {
	threads := "1 thread"
	if n := m.rows[0].plan.Threads(); n > 1 {
		threads = fmt.Sprintf("%d threads", n)
	}
	return fmt.Sprintf("%s, %v %s, %s, %s", m.Model.Name, m.Set.ISA, m.Algorithm, threads, m.pictures())
}

// pictures says how many pictures counted, and for what.
func (m *measurement) pictures() string {
	n := len(m.paths)
	s := fmt.Sprintf("%d pictures", n)
	if n == 1 {
		s = "1 picture"
	}
	if m.labels < n {
		s += fmt.Sprintf(", %d without a label, which count for neither top-1 nor top-5", n-m.labels)
	}
	return s
}

// table returns the cells of the table. Of a lone row, there is nothing to agree with.
func (m *measurement) table() (head []string, rows [][]string) {
	head = []string{"arithmetic", "top-1", "top-5", "images/s"}
	if len(m.rows) > 1 {
		head = append(head, "top-1 as float32", "logits off by")
	}
	for i, r := range m.rows {
		cells := []string{r.arithmetic, share(r.score.Top1), share(r.score.Top5), speed(r.score.Speed)}
		if i > 0 {
			cells = append(cells, share(r.score.Agreement), fmt.Sprintf("%.3g", r.score.Difference))
		}
		rows = append(rows, cells)
	}
	return head, rows
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

// notes explain the columns.
func (m *measurement) notes() string {
	s := "Brackets are 95 % intervals: Wilson's of the shares, and of the median of the speed, which is that of the network alone."
	if len(m.rows) > 1 {
		s += "\nLogits are the scores before the softmax; the last column is the largest difference from one of float32."
	}
	return s
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
	Agreement  *shareResult `json:"agreement"` // null of float32, as the next two
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
