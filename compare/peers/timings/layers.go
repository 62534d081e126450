package timings

import (
	"fmt"
	"slices"
	"strings"
)

// other is the row of a table of layers for all that has no layer of ours.
const other = "(other)"

// writeLayers writes the layers of a row. A line has a layer of Firebench, which computes activations
// with it, and what the peers call by its name; what they call otherwise is added up in the last
// but one.
func (r *Run) writeLayers(b *strings.Builder, st style, row Row) {
	var names []string
	var impls []string
	for _, l := range r.Layers[row] {
		if l.Impl == Firebench && !slices.Contains(names, l.Layer) {
			names = append(names, l.Layer)
		}
		if !slices.Contains(impls, l.Impl) {
			impls = append(impls, l.Impl)
		}
	}
	ms := map[string]map[string]float64{}
	total := map[string]float64{}
	ops := map[string]string{}
	for _, l := range r.Layers[row] {
		name := l.Layer
		if l.Impl == Firebench {
			ops[name] = l.Op
		} else {
			name = match(names, name)
		}
		if ms[name] == nil {
			ms[name] = map[string]float64{}
		}
		ms[name][l.Impl] += l.NS / 1e6
		total[l.Impl] += l.NS / 1e6
	}
	rows := [][]string{append([]string{"layer", "op"}, impls...)}
	for _, name := range append(names, other) {
		if ms[name] == nil {
			continue
		}
		cells := []string{name, ops[name]}
		for _, impl := range impls {
			cell := "-"
			if v, ok := ms[name][impl]; ok {
				cell = fmt.Sprintf("%.4f", v)
			}
			cells = append(cells, cell)
		}
		rows = append(rows, cells)
	}
	cells := []string{"total", ""}
	for _, impl := range impls {
		cells = append(cells, fmt.Sprintf("%.4f", total[impl]))
	}
	rows = append(rows, cells)
	fmt.Fprintf(b, "%s\n\n", st.title(fmt.Sprintf("Layers of %v: milliseconds, by the profiles", row)))
	st.table(b, rows, 2)
	b.WriteString("\nProfiles cost time, and layers that run alone another: a total is not the time of the network.\n\n")
}

// match returns the name, out of those of our layers, that a peer's layer has: the longest that
// it equals or begins with. Peers append what they have merged into a layer or made of it.
func match(names []string, layer string) string {
	found := other
	for _, name := range names {
		rest, ok := strings.CutPrefix(layer, name)
		if ok && (rest == "" || strings.ContainsRune("/:_+,|", rune(rest[0]))) && (found == other || len(name) > len(found)) {
			found = name
		}
	}
	return found
}
