// Package chart draws line charts as SVG, which needs no fonts and suits light and dark pages.
package chart

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// A Chart is a plot of some series over one axis. The axes end at round numbers, unless Min and Max of them
// differ: they are its ends then.
type Chart struct {
	Title  string
	X, Y   Axis
	Series []Series
}

// An Axis has a name, which may be empty, and ends.
type Axis struct {
	Name     string
	Min, Max float64
}

// A Series is points with ascending or descending X, joined by a line. Those whose Y is not finite are left out.
type Series struct {
	Name string // in the legend; "" for none
	X, Y []float64

	// Low and High are the ends of an interval around each Y, or nil.
	Low, High []float64

	Dots bool // show each point
}

// A Layout says how large charts are, in pixels, and how many stand side by side. Zero values stand for 2 charts
// of 420×260.
type Layout struct{ Columns, Width, Height int }

// colours are those of series, in their order.
var colours = []string{"#2f81f7", "#d4730d", "#2da44e", "#a371f7", "#cf4a5b", "#6e7781"}

const (
	left, right = 56, 14 // of a chart's lines; pixels
	top, bottom = 30, 40
	legend      = 18 // height of a legend's row
)

// Write draws charts, row by row.
func Write(w io.Writer, title string, l Layout, charts ...Chart) error {
	if l.Columns == 0 {
		l.Columns = 2
	}
	if l.Width == 0 || l.Height == 0 {
		l.Width, l.Height = 420, 260
	}
	columns := max(1, min(l.Columns, len(charts)))
	rows := (len(charts) + columns - 1) / columns
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" font-family="system-ui, sans-serif" font-size="12">
<style>
text { fill: #1f2328 } .quiet { fill: #59636e } .line { fill: none; stroke-width: 2 } .interval { opacity: 0.2 } .axis { fill: none; stroke: #59636e } .grid { stroke: #59636e; opacity: 0.25 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .quiet { fill: #9198a1 } .axis, .grid { stroke: #9198a1 } }
</style>
<title>%s</title>
`, columns*l.Width, rows*l.Height, escape(title))
	for i, c := range charts {
		c.draw(&b, i%columns*l.Width, i/columns*l.Height, l.Width, l.Height)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// escape returns text as XML has it.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace

// draw draws the chart at x, y.
func (c Chart) draw(b *strings.Builder, x, y, width, height int) {
	named := 0
	for _, s := range c.Series {
		if s.Name != "" {
			named++
		}
	}
	x0, x1 := float64(x+left), float64(x+width-right)
	y0, y1 := float64(y+height-bottom), float64(y+top) // of the lower and the upper end
	if named > 0 {
		y1 += legend
	}
	xs, ys := c.X.scale(c.Series, func(s Series) [][]float64 { return [][]float64{s.X} }),
		c.Y.scale(c.Series, func(s Series) [][]float64 { return [][]float64{s.Y, s.Low, s.High} })
	at := func(px, py float64) string {
		return fmt.Sprintf("%.1f,%.1f", x0+xs.of(px)*(x1-x0), y0+ys.of(py)*(y1-y0))
	}

	fmt.Fprintf(b, "<text x=\"%.0f\" y=\"%d\" font-weight=\"bold\">%s</text>\n", x0, y+18, escape(c.Title))
	for _, t := range ys.ticks() {
		fmt.Fprintf(b, "<polyline class=\"grid\" points=\"%s %s\"/>", at(xs.min, t), at(xs.max, t))
		fmt.Fprintf(b, "<text class=\"quiet\" x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", x0-6, y0+ys.of(t)*(y1-y0)+4, number(t))
	}
	for _, t := range xs.ticks() {
		fmt.Fprintf(b, "<text class=\"quiet\" x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">%s</text>\n", x0+xs.of(t)*(x1-x0), y0+16, number(t))
	}
	fmt.Fprintf(b, "<polyline class=\"axis\" points=\"%s %s %s\"/>\n", at(xs.min, ys.max), at(xs.min, ys.min), at(xs.max, ys.min))
	if c.X.Name != "" {
		fmt.Fprintf(b, "<text class=\"quiet\" x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">%s</text>\n", x1, y0+32, escape(c.X.Name))
	}
	if c.Y.Name != "" {
		fmt.Fprintf(b, "<text class=\"quiet\" x=\"%.0f\" y=\"%d\" text-anchor=\"end\">%s</text>\n", x1, y+18, escape(c.Y.Name))
	}

	beside := x0
	for i, s := range c.Series {
		colour := colours[i%len(colours)]
		s.draw(b, colour, at)
		if s.Name != "" {
			fmt.Fprintf(b, "<rect fill=\"%s\" x=\"%.0f\" y=\"%d\" width=\"14\" height=\"4\"/><text class=\"quiet\" x=\"%.0f\" y=\"%d\">%s</text>\n",
				colour, beside, y+top, beside+18, y+top+6, escape(s.Name))
			beside += 34 + 7*float64(len([]rune(s.Name)))
		}
	}
}

// draw draws the line of a series; at says where a point is.
func (s Series) draw(b *strings.Builder, colour string, at func(x, y float64) string) {
	var line, upper, lower []string
	for i, y := range s.Y {
		if !finite(y) {
			continue
		}
		line = append(line, at(s.X[i], y))
		if s.Low != nil && finite(s.Low[i]) && finite(s.High[i]) {
			upper = append(upper, at(s.X[i], s.High[i]))
			lower = append([]string{at(s.X[i], s.Low[i])}, lower...)
		}
	}
	if len(upper) > 1 {
		fmt.Fprintf(b, "<polygon class=\"interval\" fill=\"%s\" points=\"%s\"/>\n", colour, strings.Join(append(upper, lower...), " "))
	}
	if len(line) > 1 {
		fmt.Fprintf(b, "<polyline class=\"line\" stroke=\"%s\" points=\"%s\"/>\n", colour, strings.Join(line, " "))
	}
	if s.Dots || len(line) == 1 {
		for _, p := range line {
			px, py, _ := strings.Cut(p, ",")
			fmt.Fprintf(b, "<circle fill=\"%s\" cx=\"%s\" cy=\"%s\" r=\"3.5\"/>", colour, px, py)
		}
		b.WriteString("\n")
	}
}

func finite(v float64) bool { return v-v == 0 }

// A scale maps numbers to the place on an axis, 0 to 1. step is the distance of its ticks.
type scale struct{ min, max, step float64 }

// scale returns a's scale for the values of all series.
func (a Axis) scale(series []Series, values func(Series) [][]float64) scale {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, s := range series {
		for _, list := range values(s) {
			for _, v := range list {
				if finite(v) {
					lo, hi = min(lo, v), max(hi, v)
				}
			}
		}
	}
	switch {
	case a.Min != a.Max:
		lo, hi = a.Min, a.Max
	case lo > hi:
		lo, hi = 0, 1
	case lo == hi:
		lo, hi = lo-math.Max(math.Abs(lo)/10, 1e-9), hi+math.Max(math.Abs(hi)/10, 1e-9)
	}
	// Steps of 1, 2 or 5 times a power of ten, at most six of them.
	power := math.Pow(10, math.Floor(math.Log10((hi-lo)/6)))
	step := 10 * power
	for _, f := range []float64{1, 2, 5} {
		if (hi-lo)/(f*power) <= 6 {
			step = f * power
			break
		}
	}
	if a.Min == a.Max {
		lo, hi = math.Floor(lo/step)*step, math.Ceil(hi/step)*step
	}
	return scale{lo, hi, step}
}

// of returns v's place; what lies beyond an end is there.
func (s scale) of(v float64) float64 { return min(max((v-s.min)/(s.max-s.min), 0), 1) }

// ticks returns the multiples of the step between the ends.
func (s scale) ticks() []float64 {
	var ticks []float64
	for i := math.Ceil(s.min/s.step - 1e-9); i*s.step <= s.max+1e-9*s.step; i++ {
		ticks = append(ticks, i*s.step)
	}
	return ticks
}

// number returns a tick as text, without the noise of its last digits.
func number(v float64) string {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 64)
	return strconv.FormatFloat(rounded+0, 'g', -1, 64) // not -0
}
