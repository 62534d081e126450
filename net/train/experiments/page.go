package main

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firebench/bench/machine"
	"firebench/kernels"
	"firebench/net/chart"
	"firebench/net/files"
)

// plotOf returns the path of the plot that belongs to a page.
func plotOf(page string) string { return strings.TrimSuffix(page, filepath.Ext(page)) + ".svg" }

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// writePage writes the page and its plot.
func (c *command) writePage() error {
	facts, err := machine.Facts()
	if err != nil {
		return err
	}
	isa, err := kernels.Best()
	if err != nil {
		return err
	}
	facts = append(machine.TestingFacts(), facts...)
	fact := func(key string) string {
		if i := slices.IndexFunc(facts, func(f machine.Fact) bool { return f.Key == key }); i >= 0 {
			return facts[i].Value
		}
		return ""
	}
	all := c.trained()
	var spent time.Duration
	pictures, val := 0, 0
	for _, n := range all {
		spent += n.run.Time
		pictures, val = n.run.Pictures, n.run.Result.Images
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# The design of SqueezeNet, measured\n\nWritten by `go run ./net/train/experiments %s` on %s, family/model/stepping %s, with %s cores (%s/%s, caches %s): float32 on %v.\n\n",
		strings.Join(c.args, " "), fact("cpu"), fact("cpu-id"), fact("cores"), fact("goos"), fact("goarch"), fact("caches"), isa)
	fmt.Fprintf(&b, `Networks for pictures of 32×32 pixels (`+"`squeezenet.Micro`"+`) that differ in one choice each from squeezenet-cifar: squeeze ratio 0.125, half of the expand
channels 3×3, max pools after layers 3 and 5, no bypass. Each was trained alike from random weights, once, with the same seed: %s of %s pictures of %d classes, with the
recipe %s, batches of %d and a highest rate of %v; %v in all. "Correct" is the share of %s other pictures after the last epoch, with its 95 %% interval, which
knows nothing of what another seed would give. Bytes are those of the weights in float32, multiply-adds those of an image, computed directly, and the time that of an image on
one thread, the median of %s in which all networks took turns.

![Accuracy and time](%s)
`, plural(c.recipe.Epochs, "epoch"), commas(int64(pictures)), len(c.classes), c.recipe.Name, c.recipe.Batch, c.recipe.Rate, spent.Round(time.Second), commas(int64(val)), plural(c.rounds, "round"), filepath.Base(plotOf(c.page)))

	var charts []chart.Chart
	byTime := chart.Chart{Title: "Accuracy, % by time", X: chart.Axis{Name: "ms per image"}}
	byParams := chart.Chart{Title: "Accuracy, % by size", X: chart.Axis{Name: "thousands of parameters"}}
	for _, e := range c.chosen() {
		cells, choices, networks, err := c.rows(e)
		if err != nil {
			return err
		}
		if len(networks) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n", e.title)
		for i, row := range cells {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
			if i == 0 {
				fmt.Fprintf(&b, "|---|---%s|\n", strings.Repeat("|---:", len(row)-2))
			}
		}
		if missing := len(e.choices) - len(networks); missing > 0 {
			fmt.Fprintf(&b, "\n%d of %d networks were not trained.\n", missing, len(e.choices))
		}
		if e.axis != "" {
			accuracy, ms := chart.Series{Dots: true}, chart.Series{Dots: true}
			for i, n := range networks {
				lo, hi := n.correct.Interval()
				accuracy.X, accuracy.Y = append(accuracy.X, choices[i].x), append(accuracy.Y, 100*n.correct.Value())
				accuracy.Low, accuracy.High = append(accuracy.Low, 100*lo), append(accuracy.High, 100*hi)
				ms.X, ms.Y = append(ms.X, choices[i].x), append(ms.Y, n.ms())
			}
			charts = append(charts,
				chart.Chart{Title: e.title + ": correct, %", X: chart.Axis{Name: e.axis}, Series: []chart.Series{accuracy}},
				chart.Chart{Title: e.title + ": ms per image", X: chart.Axis{Name: e.axis}, Series: []chart.Series{ms}})
		}
		for _, plot := range []struct {
			chart *chart.Chart
			x     func(*network) float64
		}{
			{&byTime, (*network).ms},
			{&byParams, func(n *network) float64 { return float64(n.params) / 1000 }},
		} {
			sorted := slices.Clone(networks)
			slices.SortFunc(sorted, func(a, b *network) int { return cmp.Compare(plot.x(a), plot.x(b)) })
			s := chart.Series{Name: e.name, Dots: true}
			for _, n := range sorted {
				s.X, s.Y = append(s.X, plot.x(n)), append(s.Y, 100*n.correct.Value())
			}
			plot.chart.Series = append(plot.chart.Series, s)
		}
	}
	var plot bytes.Buffer
	if err := chart.Write(&plot, "What the choices of the design give and cost", chart.Layout{}, append(charts, byTime, byParams)...); err != nil {
		return err
	}
	if err := files.Write(plotOf(c.page), plot.Bytes()); err != nil {
		return err
	}
	return files.Write(c.page, []byte(b.String()))
}
