package chart_test

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"firebench/net/chart"
)

// draw returns the picture of charts, which must be well-formed XML.
func draw(t *testing.T, l chart.Layout, charts ...chart.Chart) string {
	t.Helper()
	var b strings.Builder
	if err := chart.Write(&b, "a < b & c", l, charts...); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(b.String()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, &b)
		}
	}
	if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
		t.Errorf("a number that is not finite in\n%s", &b)
	}
	return b.String()
}

func TestWrite(t *testing.T) {
	svg := draw(t, chart.Layout{Columns: 1, Width: 170, Height: 170}, chart.Chart{
		Title: "Loss", X: chart.Axis{Name: "epoch"},
		Series: []chart.Series{{Name: "train", X: []float64{0, 5, 10}, Y: []float64{2, 1, 0}, Low: []float64{2, 1, 0}, High: []float64{2, 2, 0}}},
	})
	// Of 170 pixels, 56 and 14 are beside the lines, 30+18 above and 40 below.
	for _, want := range []string{
		"<title>a &lt; b &amp; c</title>",
		`width="170" height="170"`,
		`points="56.0,48.0 106.0,89.0 156.0,130.0"`,
		`points="56.0,48.0 106.0,48.0 156.0,130.0 156.0,130.0 106.0,89.0 56.0,48.0"`,
		">Loss</text>", ">epoch</text>", ">train</text>",
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in\n%s", want, svg)
		}
	}
}

// ticks returns the texts of the ticks of the chart's x axis.
func ticks(t *testing.T, axis chart.Axis, x ...float64) []string {
	svg := draw(t, chart.Layout{}, chart.Chart{X: axis, Y: chart.Axis{Min: 0, Max: 1}, Series: []chart.Series{{X: x, Y: make([]float64, len(x))}}})
	var texts []string
	for _, m := range regexp.MustCompile(`text-anchor="middle">([^<]*)<`).FindAllStringSubmatch(svg, -1) {
		texts = append(texts, m[1])
	}
	return texts
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		axis chart.Axis
		x    []float64
		want []string
	}{
		{chart.Axis{}, []float64{0, 10}, []string{"0", "2", "4", "6", "8", "10"}},
		{chart.Axis{}, []float64{0.1, 0.7}, []string{"0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"}},
		{chart.Axis{}, []float64{-0.3, 0.9}, []string{"-0.4", "-0.2", "0", "0.2", "0.4", "0.6", "0.8", "1"}},
		{chart.Axis{Min: 0, Max: 1}, []float64{0.5, 7}, []string{"0", "0.2", "0.4", "0.6", "0.8", "1"}},
		{chart.Axis{}, []float64{99, 61203}, []string{"0", "20000", "40000", "60000", "80000"}},
		{chart.Axis{}, nil, []string{"0", "0.2", "0.4", "0.6", "0.8", "1"}},
	} {
		if got := ticks(t, c.axis, c.x...); !slices.Equal(got, c.want) {
			t.Errorf("%v over %v: ticks %q, want %q", c.axis, c.x, got, c.want)
		}
	}
}

// TestNotFinite: points that are not finite are left out, and series of one or no point are drawn, too.
func TestNotFinite(t *testing.T) {
	svg := draw(t, chart.Layout{}, chart.Chart{Series: []chart.Series{
		{X: []float64{0, 1, 2}, Y: []float64{math.NaN(), math.Inf(1), 3}, Dots: true},
		{X: []float64{1, 2}, Y: []float64{1, 2}},
		{},
	}}, chart.Chart{})
	if got := strings.Count(svg, "<circle"); got != 1 {
		t.Errorf("%d dots, want 1", got)
	}
	if got := strings.Count(svg, `class="line"`); got != 1 {
		t.Errorf("%d lines, want 1", got)
	}
}
