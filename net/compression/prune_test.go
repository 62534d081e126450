package compression

import (
	"cmp"
	"math"
	"reflect"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
)

// layers returns a network of two layers of one pixel: a with four outputs of three inputs, and b with two groups of
// two inputs and three outputs each.
func layers() (*graph.Model, stored) {
	m := &graph.Model{Name: "layers", Input: layer.Shape{H: 1, W: 1, C: 3}, Nodes: []graph.Node{
		node("a", layer.Conv{Out: 4, Kernel: 1}), node("b", layer.Conv{Out: 6, Kernel: 1, Groups: 2}),
	}}
	return m, stored{
		"a": {Values: []float32{
			1, -5, 0,
			-2, 4, 3,
			3, 1, -3,
			-6, 0, 2,
		}, Bias: []float32{1, 2, 3, 4}},
		"b": {Values: []float32{
			7, 1,
			-1, 2,
			8, 1,

			2, -4,
			2, 4,
			9, 1,
		}},
	}
}

func TestPrune(t *testing.T) {
	for what, test := range map[string]struct {
		options PruneOptions
		a, b    []float32
	}{
		"a threshold": {PruneOptions{Threshold: 3},
			[]float32{0, -5, 0, 0, 4, 3, 3, 0, -3, -6, 0, 0},
			[]float32{7, 0, 0, 0, 8, 0, 0, -4, 0, 4, 9, 0}},
		"a density of all": {PruneOptions{Density: 9. / 24}, // with the first of three 3s
			[]float32{0, -5, 0, 0, 4, 3, 0, 0, 0, -6, 0, 0},
			[]float32{7, 0, 0, 0, 8, 0, 0, -4, 0, 4, 9, 0}},
		"a density of all for which everything stays": {PruneOptions{Density: 1}, nil, nil},
		"densities of layers": {PruneOptions{Layers: map[string]float64{"a": 2. / 12}},
			[]float32{0, -5, 0, 0, 0, 0, 0, 0, 0, -6, 0, 0}, nil},
		"rows of panels": {PruneOptions{Layers: map[string]float64{"a": 6. / 12, "b": 4. / 12}, Panel: 2},
			// In a the squares are 5, 41, 9 in the first panel and 45, 1, 13 in the second. In b, a group has panels of 2
			// and of 1: 25, 2.5; 64, 1 and 4, 16; 81, 1 in the mean.
			[]float32{0, -5, 0, 0, 4, 0, 3, 0, -3, -6, 0, 2},
			[]float32{7, 0, -1, 0, 8, 0, 0, 0, 0, 0, 9, 0}},
		"a threshold of rows": {PruneOptions{Threshold: 3.7, Panel: 3},
			[]float32{0, -5, 0, 0, 4, 0, 0, 1, 0, -6, 0, 0},
			[]float32{7, 0, -1, 0, 8, 0, 2, 0, 2, 0, 9, 0}},
	} {
		m, w := layers()
		before := slices.Clone(w["a"].Values)
		n, pruned, err := Prune(test.options).Apply(m, w)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		params, _ := m.Params()
		for i, want := range [][]float32{test.a, test.b} {
			if want == nil {
				want = w[params[i].Node].Values
			}
			if got, err := pruned.Layer(params[i]); err != nil || !slices.Equal(got.Values, want) || !slices.Equal(got.Bias, w[params[i].Node].Bias) {
				t.Errorf("%s: %s has %v, error %v, want %v", what, params[i].Node, got, err, want)
			}
		}
		if !slices.Equal(before, w["a"].Values) || !reflect.DeepEqual(n, m) {
			t.Errorf("%s changed what was pruned", what)
		}
	}
}

// TestPruneDensity compares the weights that are kept of a whole network with the largest of all of them, sorted.
func TestPruneDensity(t *testing.T) {
	m := lookup(t, "squeezenet1.1")
	w := random(t, m)
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	var all []float32
	for _, p := range params {
		for _, v := range w[p.Node].Values {
			all = append(all, max(v, -v))
		}
	}
	slices.SortFunc(all, func(a, b float32) int { return cmp.Compare(b, a) })
	keep := int(math.Round(0.1 * float64(len(all))))
	if all[keep-1] == all[keep] {
		t.Fatal("the weights at the cut are equal")
	}
	_, pruned, err := Prune(PruneOptions{Density: 0.1}).Apply(m, w)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range params {
		got, err := pruned.Layer(p)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range w[p.Node].Values {
			if max(v, -v) < all[keep-1] {
				v = 0
			}
			if got.Values[i] != v {
				t.Fatalf("%s: weight %d is %g, want %g", p.Node, i, got.Values[i], v)
			}
		}
	}
}

func TestPruneRefuses(t *testing.T) {
	m, w := layers()
	for want, o := range map[string]PruneOptions{
		"compression: layers: prune: expected one of a density, densities of layers and a threshold":       {},
		"compression: layers: prune: density is 1.5, expected more than 0 and at most 1":                   {Density: 1.5},
		"compression: layers: prune: threshold is -1, expected a number that is not negative":              {Threshold: -1},
		"compression: layers: prune: threshold is NaN, expected a number that is not negative":             {Threshold: math.NaN()},
		"compression: layers: prune: panels of -1 output channels, expected 1 to 1024 (0: single weights)": {Density: 1, Panel: -1},
		"compression: layers: prune: layer c: no node of layers has this name and weights of its own":      {Layers: map[string]float64{"a": 1, "c": 1}},
		"compression: layers: prune: layer a: density is NaN, expected more than 0 and at most 1":          {Layers: map[string]float64{"a": math.NaN()}},
	} {
		if _, _, err := Prune(o).Apply(m, w); err == nil || err.Error() != want {
			t.Errorf("%+v: error %v, want %s", o, err, want)
		}
	}
	if _, _, err := Prune(PruneOptions{Density: 1, Threshold: 1}).Apply(m, w); err == nil {
		t.Error("no error for a density and a threshold")
	}
	for want, bad := range map[string]kernels.Weights{
		"compression: layers: layer a: 3 weights, expected 12 for [4 3 1 1]":     {Values: make([]float32, 3)},
		"compression: layers: layer a: weight 0 is NaN, expected a finite value": {Values: []float32{float32(math.NaN()), 11: 0}},
	} {
		w["a"] = bad
		if _, _, err := Prune(PruneOptions{Density: 0.5}).Apply(m, w); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		if _, err := NewMask(m, w); err == nil || err.Error() != want {
			t.Errorf("mask: error %v, want %s", err, want)
		}
	}
}

// TestMask: what was pruned stays zero in other values of the layer.
func TestMask(t *testing.T) {
	m, w := layers()
	mask, err := NewMask(m, w)
	if err != nil {
		t.Fatal(err)
	}
	values := []float32{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	mask.Apply("a", values)
	if want := []float32{1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1}; !slices.Equal(values, want) {
		t.Errorf("values %v, want %v", values, want)
	}
	defer func() {
		if got, want := recover(), "compression: a mask of 12 weights for 2 of layer a"; got != want {
			t.Errorf("panic %v, want %s", got, want)
		}
	}()
	mask.Apply("a", values[:2])
}

// TestPrunedQuantized: kernels that skip rows of zeros give a network that is pruned, then quantized, the very logits
// of those that do not, and most layers have them.
func TestPrunedQuantized(t *testing.T) {
	m := lookup(t, "squeezenet1.1")
	m.Input.H, m.Input.W = 87, 75
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	densities := map[string]float64{}
	for _, p := range params {
		densities[p.Node] = 1. / 3
	}
	_, pruned, err := Prune(PruneOptions{Layers: densities, Panel: 32}).Apply(m, random(t, m))
	if err != nil {
		t.Fatal(err)
	}
	q, w := quantizeModel(t, calibrate(t, m, pruned), Options{}, m, pruned)
	input := noise(m.Input, 2)
	want := uint64(0) // the digest of the logits, on all instruction sets
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, algo := range []string{"direct", "rows", kernels.Auto} {
			p := compile(t, q, w, graph.Options{Set: set, Algo: algo})
			skips := 0
			for _, s := range p.Steps() {
				if s.Algo == "rows" {
					skips++
				}
			}
			// The first layer has too few inputs.
			if all := len(params) - 1; algo == "direct" && skips > 0 || algo == "rows" && skips != all || algo == kernels.Auto && (skips < all/2 || skips > all) {
				t.Errorf("%s: %d layers of %d skip rows", algo, skips, len(params))
			}
			if err := kernels.Copy(p.Input(), input); err != nil {
				t.Fatal(err)
			}
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
			logits := digest(p.Logits(), 0)
			if want == 0 {
				want = logits
			}
			if logits != want {
				t.Errorf("%s: the logits have the digest %#x, want %#x", algo, logits, want)
			}
		}
	})
}
