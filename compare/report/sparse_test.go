package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
)

// pruned are lines of a layer with weights of zero, which say whether auto picks the algorithm.
func pruned(layer, pattern string, density float64, algo string, pick int, ms ...float64) string {
	in := lines(fmt.Sprintf("Sparse/net=alexnet/layer=%s/op=any/density=%g/pattern=%s/algo=%s/isa=avx2", layer, density, pattern, algo), ms...)
	return strings.ReplaceAll(in, " ns/op", fmt.Sprintf(" ns/op\t%d pick", pick))
}

// sparseRows shows rows.
func sparseRows(rows []sparseRow) []string {
	var out []string
	for _, r := range rows {
		s := fmt.Sprintf("%s, %s: %s %g:", r.part.Net.Name, r.title, r.part.Name, r.config.Zeros.Density)
		for _, algo := range kernels.Algorithms() {
			if ms := r.ms[algo]; ms != nil {
				s += fmt.Sprint(" ", algo, " ", *ms)
			}
		}
		if r.pick != "" {
			s += fmt.Sprint(", picks ", r.pick, ", regret ", percent(float64(*r.regretPct)))
		}
		if r.overDense != nil {
			s += fmt.Sprint(", × ", r.overDense.median)
		}
		if r.breakEven.text != "" {
			s += ", break-even " + r.breakEven.text
		}
		out = append(out, s)
	}
	return out
}

// The densities of a layer stand one below the other, each pattern apart. What skips zeros is compared with
// the faster of direct and winograd.
func TestSparse(t *testing.T) {
	r := rowsOf(t,
		pruned("conv3", "unstructured", 0.5, "direct", 1, 8)+pruned("conv3", "unstructured", 0.5, "sparse", 0, 10)+
			pruned("conv3", "unstructured", 0.25, "sparse", 0, 4)+pruned("conv3", "unstructured", 0.25, "direct", 1, 8)+
			pruned("conv3", "vector", 0.5, "direct", 0, 8)+pruned("conv3", "vector", 0.5, "winograd", 1, 4)+pruned("conv3", "vector", 0.5, "rows", 0, 5)+
			pruned("conv3", "vector", 0.1, "direct", 0, 8)+pruned("conv3", "vector", 0.1, "winograd", 0, 4)+pruned("conv3", "vector", 0.1, "rows", 1, 1)+pruned("conv3", "vector", 0.1, "sparse", 0, 2)+
			pruned("conv2", "vector", 0.9, "direct", 1, 3),
		strings.ReplaceAll(pruned("conv3", "vector", 0.1, "winograd", 0, 3)+pruned("conv3", "vector", 0.1, "rows", 1, 2), "/density", "/type=int8/density"),
		strings.ReplaceAll(pruned("fc6", "vector", 0.1, "direct", 0, 6)+pruned("fc6", "vector", 0.1, "rows", 1, 3), "avx2", "avx2-2"),
		// Weights of the network are no concern of this table, nor is this of others.
		marked("net=alexnet/layer=conv3", "winograd", 1, 7))
	want := []string{
		"alexnet, avx2, 1 thread, vector: conv2 0.9: direct 3, picks direct, regret 0.0, break-even -",
		"alexnet, avx2, 1 thread, vector: conv3 0.1: direct 8 winograd 4 rows 1 sparse 2, picks rows, regret 0.0, × 4, break-even 0.40",
		"alexnet, avx2, 1 thread, vector: conv3 0.5: direct 8 winograd 4 rows 5, picks winograd, regret 0.0, × 0.8",
		"alexnet, avx2, 1 thread, unstructured: conv3 0.25: direct 8 sparse 4, picks direct, regret 100.0, × 2, break-even 0.42",
		"alexnet, avx2, 1 thread, unstructured: conv3 0.5: direct 8 sparse 10, picks direct, regret 0.0, × 0.8",
		"alexnet, avx2, 1 thread, int8, vector: conv3 0.1: winograd 3 rows 2, picks rows, regret 0.0, × 1.5, break-even >0.1",
		"alexnet, avx2, 2 threads, vector: fc6 0.1: direct 6 rows 3, picks rows, regret 0.0, × 2, break-even >0.1",
	}
	if got := sparseRows(r.sparse); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(r.layers) != 1 || r.layers[0].ms.median != 7 || len(r.candidates) != 0 {
		t.Errorf("layers %+v, candidates %+v", r.layers, r.candidates)
	}
	// The ratios are those within the samples.
	e := rowsOf(t, pruned("conv3", "vector", 0.1, "direct", 0, 40, 20, 10)+pruned("conv3", "vector", 0.1, "rows", 1, 20, 5, 5)).sparse[0].overDense
	if near(t, "median", e.median, 2); e.n != 3 {
		t.Errorf("%d ratios, want 3", e.n)
	}
}

// Without one clear pick there is no regret, but a note.
func TestUnknownSparsePick(t *testing.T) {
	r := rowsOf(t, pruned("conv3", "vector", 0.1, "direct", 0, 4)+pruned("conv3", "vector", 0.1, "rows", 0, 2)+
		pruned("conv3", "vector", 0.5, "direct", 1, 4)+pruned("conv3", "vector", 0.5, "rows", 0, 5))
	const what = "avx2, 1 thread, vector: no candidate, or more than one, is marked as the pick of alexnet: layer conv3"
	if x := r.sparse[0]; x.pick != "" || x.regretPct != nil || hasNote(r, what) != 1 {
		t.Errorf("%+v, notes %q", x, r.notes)
	}
}

// The break-even lies on the line between the two densities around it, and is not guessed beyond all of them.
func TestBreakEven(t *testing.T) {
	type point struct{ density, overDense float64 } // 0: not measured
	for _, test := range []struct {
		points []point
		want   string
	}{
		{nil, "-"},
		{[]point{{0.1, 0}}, "-"},
		{[]point{{0.1, 1}, {0.2, 0.5}}, "<0.1"},
		{[]point{{0.1, 4}, {0.67, 1.01}}, ">0.67"},
		{[]point{{0.1, 4}, {0.67, 0}}, ">0.1"},
		{[]point{{0.2, 2}, {0.4, 1}}, "0.40"},
		{[]point{{0.2, 2}, {0.4, 0.5}}, "0.27"},                // half a time before and one time after
		{[]point{{0.1, 8}, {0.2, 2}, {0.4, 0.8}}, "0.33"},      // in the last part of the line
		{[]point{{0.2, 2}, {0.3, 0}, {0.4, 0.5}}, "0.27"},      // nothing is known between
		{[]point{{0.1, 2}, {0.3, 0.5}, {0.5, 1.1}}, "0.17"},    // the first of two
		{[]point{{0.25, 4}, {0.5, 2}, {0.9973, 0.99}}, "0.99"}, // no more digits than that
	} {
		var rows []sparseRow
		for _, p := range test.points {
			var r sparseRow
			if r.config.Zeros.Density = p.density; p.overDense > 0 {
				r.overDense = &estimate{median: number(p.overDense)}
			}
			rows = append(rows, r)
		}
		got := findBreakEven(rows)
		if got.text != test.want || (got.density == nil) != strings.ContainsAny(test.want, "<>-") {
			t.Errorf("%v: %+v, want %s", test.points, got, test.want)
		}
	}
}
