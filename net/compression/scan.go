package compression

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"firebench/kernels"
	"firebench/net/evaluate"
	"firebench/net/graph"
	"firebench/net/preprocess"
)

// A Curve says how much of one layer can be pruned.
type Curve struct {
	Node    string
	Density float64 // of the layer as it was, of rows if rows are pruned
	Points  []CurvePoint
}

// A CurvePoint is a network with one layer pruned to a density, and how often its most probable class is still that
// of the original network.
type CurvePoint struct {
	Density   float64
	Agreement evaluate.Share
}

// ScanOptions say what [Scan] tries.
type ScanOptions struct {
	Densities []float64
	Panel     int // as in PruneOptions
	Images    iter.Seq2[kernels.View, error]

	Plan graph.Options // of the network that runs on the images, on all processors; only Set and Algo matter

	// Done is called for each layer in their order, unless it is nil.
	Done func(Curve)
}

// Scan prunes each layer alone to each density, see [Prune], and returns what that does to the answers.
func Scan(m *graph.Model, w graph.Weights, o ScanOptions) ([]Curve, error) {
	fail := func(err error) ([]Curve, error) { return nil, fmt.Errorf("compression: %s: %w", m.Name, err) }
	if len(o.Densities) == 0 || o.Images == nil {
		return fail(errors.New("scan: expected densities and images"))
	}
	adapted, err := w.Adapt(m)
	if err != nil {
		return fail(err)
	}
	m, w = adapted, adaptedWeights{w, nil}
	images, err := keep(m, o.Images)
	if err != nil {
		return fail(err)
	}
	all, err := unitsOf(m, o.Panel)
	if err != nil {
		return fail(err)
	}
	want, err := logits(m, w, images, o.Plan)
	if err != nil {
		return fail(err)
	}
	params, err := m.Params()
	if err != nil {
		return fail(err)
	}
	var curves []Curve
	for _, p := range params {
		kept := 0
		if err := (&pruning{w, all, nil}).each(p, func(_ int, bits uint32, weights int) {
			if bits != 0 {
				kept += weights
			}
		}); err != nil {
			return fail(err)
		}
		c := Curve{Node: p.Node, Density: float64(kept) / float64(size(p))}
		for _, density := range o.Densities {
			_, pruned, err := Prune(PruneOptions{Layers: map[string]float64{p.Node: density}, Panel: o.Panel})(m, w)
			if err != nil {
				return nil, err
			}
			point := CurvePoint{density, evaluate.Share{Total: len(images)}}
			if density >= c.Density { // nothing is pruned
				point.Agreement.Count = len(images)
				c.Points = append(c.Points, point)
				continue
			}
			got, err := logits(m, pruned, images, o.Plan)
			if err != nil {
				return fail(err)
			}
			for i := range images {
				if preprocess.TopK(got[i], 1)[0] == preprocess.TopK(want[i], 1)[0] {
					point.Agreement.Count++
				}
			}
			c.Points = append(c.Points, point)
		}
		if o.Done != nil {
			o.Done(c)
		}
		curves = append(curves, c)
	}
	return curves, nil
}

// WriteCurves draws a picture, SVG, with a plot for each layer: agreement over density, with its 95 % interval, up to the
// density of the layer as it was. The picture needs no fonts and suits light and dark pages.
func WriteCurves(w io.Writer, title string, curves []Curve) error {
	const (
		columns       = 4
		head          = 56       // the title and what lines mean
		width, height = 220, 124 // of a plot with the space around it
		side, top     = 44, 24   // of that space
		across, down  = width - side - 20, height - top - 24
	)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" font-family="system-ui, sans-serif" font-size="11">
<style>
text { fill: #1f2328 } .quiet { fill: #59636e } .line { fill: none; stroke: #2f81f7; stroke-width: 2 } .interval { fill: #2f81f7; opacity: 0.2 } .axis { fill: none; stroke: #59636e } .limit { stroke: #bc4c00; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .quiet { fill: #9198a1 } .axis { stroke: #9198a1 } .limit { stroke: #f0883e } }
</style>
<title>%[3]s</title>
<text x="%[4]d" y="20" font-size="14">%[3]s</text>
<path class="line" d="M%[4]d,38h20"/><text class="quiet" x="%[5]d" y="42">share of the images, up, over the density of the layer</text>
<path class="interval" d="M%[6]d,33h20v10h-20z"/><text class="quiet" x="%[7]d" y="42">95 %% interval</text>
<path class="limit" d="M%[8]d,32v12"/><text class="quiet" x="%[9]d" y="42">density before pruning</text>
`, columns*width, head+(len(curves)+columns-1)/columns*height, escape(title), side, side+26, side+350, side+376, side+480, side+488)
	for i, c := range curves {
		x0, y0 := i%columns*width+side, head+i/columns*height+top
		at := func(density, agreement float64) string {
			return fmt.Sprintf("%.1f,%.1f", float64(x0)+density*across, float64(y0)+(1-agreement)*down)
		}
		points := []CurvePoint{{c.Density, evaluate.Share{}}} // where nothing is pruned
		for _, p := range c.Points {
			if p.Density < c.Density {
				points = append(points, p)
			}
		}
		slices.SortFunc(points, func(p, q CurvePoint) int { return cmp.Compare(p.Density, q.Density) })
		var line, lower, upper []string
		for _, p := range points {
			agreement, lo, hi := 1.0, 1.0, 1.0
			if p.Density < c.Density {
				agreement = p.Agreement.Value()
				lo, hi = p.Agreement.Interval()
			}
			line = append(line, at(p.Density, agreement))
			upper = append(upper, at(p.Density, hi))
			lower = append([]string{at(p.Density, lo)}, lower...)
		}
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\">%s</text>", x0, y0-7, escape(c.Node))
		fmt.Fprintf(&b, "<polyline class=\"axis\" points=\"%s %s %s\"/>", at(0, 1), at(0, 0), at(1, 0))
		fmt.Fprintf(&b, "<polyline class=\"limit\" points=\"%s %s\"/>", at(c.Density, 0), at(c.Density, 1))
		fmt.Fprintf(&b, "<polygon class=\"interval\" points=\"%s\"/>", strings.Join(append(upper, lower...), " "))
		fmt.Fprintf(&b, "<polyline class=\"line\" points=\"%s\"/>\n", strings.Join(line, " "))
		for _, label := range []struct {
			x, y   int
			anchor string
			text   string
		}{
			{x0 - 5, y0 + 4, "end", "100 %"}, {x0 - 5, y0 + down/2 + 4, "end", "50 %"}, {x0 - 5, y0 + down + 4, "end", "0 %"},
			{x0, y0 + down + 14, "middle", "0"}, {x0 + across/2, y0 + down + 14, "middle", "0.5"}, {x0 + across, y0 + down + 14, "middle", "1"},
		} {
			fmt.Fprintf(&b, "<text class=\"quiet\" x=\"%d\" y=\"%d\" text-anchor=\"%s\">%s</text>", label.x, label.y, label.anchor, label.text)
		}
		b.WriteString("\n")
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// escape returns text as XML has it.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace
