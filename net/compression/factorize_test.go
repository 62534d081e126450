package compression

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/weights"
)

// factorizeModel is Factorize and Apply, and returns the reports.
func factorizeModel(t *testing.T, o FactorizeOptions, m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, []FactorizedLayer) {
	t.Helper()
	var reports []FactorizedLayer
	m, w, err := Factorize(o, func(l FactorizedLayer) { reports = append(reports, l) }).Apply(m, w)
	if err != nil {
		t.Fatal(err)
	}
	return m, w, reports
}

// single is a network of one layer and a ReLU.
func single(in layer.Shape, l layer.Layer) *graph.Model {
	return &graph.Model{Name: "single", Input: in, Nodes: []graph.Node{node("a", l), node("a.relu", layer.ReLU{})}}
}

// absolute returns the absolute values of the weights of m.
func absolute(t *testing.T, m *graph.Model, w graph.Weights) stored {
	t.Helper()
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	abs := stored{}
	for _, p := range params {
		l, err := w.Layer(p)
		if err != nil {
			t.Fatal(err)
		}
		l = kernels.Weights{Values: slices.Clone(l.Values), Bias: slices.Clone(l.Bias)}
		for _, values := range [][]float32{l.Values, l.Bias} {
			for i, v := range values {
				values[i] = max(v, -v)
			}
		}
		abs[p.Node] = l
	}
	return abs
}

// run returns the result of a network, directly computed.
func run(t *testing.T, m *graph.Model, w graph.Weights, x kernels.View) kernels.View {
	t.Helper()
	p := compile(t, m, w, graph.Options{Algo: "direct", Threads: 1})
	if err := kernels.Copy(p.Input(), x); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	return p.Output()
}

// TestFactorizeFullRank: with full rank, which costs more than the layer, the factors compute what the layer does. Results
// differ by the reported error of the weights, times the norm of the input, and by rounding: of so many sums as there are
// layers, each with as many terms, of absolute values that the networks of absolute values compute.
func TestFactorizeFullRank(t *testing.T) {
	for _, test := range []struct {
		name string
		in   layer.Shape
		l    layer.Layer
		rank Rank
		want []string
	}{
		{"dense", layer.Shape{H: 2, W: 3, C: 4}, layer.Dense{Out: 9}, Rank{N: 9}, []string{"a.reduce(input) 1×1×9", "a.expand(a.reduce) 1×1×9"}},
		{"dense, reducing", layer.Shape{H: 1, W: 1, C: 4}, layer.Dense{Out: 9}, Rank{N: 4}, []string{"a.reduce(input) 1×1×4", "a.expand(a.reduce) 1×1×9"}},
		{"1×1", layer.Shape{H: 5, W: 4, C: 6}, layer.Conv{Out: 8, Kernel: 1}, Rank{N: 6}, []string{"a.reduce(input) 5×4×6", "a.expand(a.reduce) 5×4×8"}},
		{"1×1, padded, stride 2", layer.Shape{H: 5, W: 4, C: 9}, layer.Conv{Out: 8, Kernel: 1, Stride: 2, Pad: kernels.Pad(1)}, Rank{N: 8}, []string{"a.reduce(input) 4×3×8", "a.expand(a.reduce) 4×3×8"}},
		{"spatial", layer.Shape{H: 7, W: 6, C: 4}, layer.Conv{Out: 5, Kernel: 3, Pad: kernels.Pad(1)}, Rank{N: 12}, []string{"a.vertical(input) 7×6×12", "a.horizontal(a.vertical) 7×6×5"}},
		{"spatial, unequal", layer.Shape{H: 7, W: 6, C: 3}, layer.Conv{Out: 2, Kernel: 4, KernelW: 2, Pad: kernels.Padding{Top: 2, Left: 1, Bottom: 1}}, Rank{N: 4}, []string{"a.vertical(input) 7×6×4", "a.horizontal(a.vertical) 7×6×2"}},
		{"spatial, of a row", layer.Shape{H: 7, W: 6, C: 3}, layer.Conv{Out: 2, Kernel: 1, KernelW: 3}, Rank{N: 3}, []string{"a.vertical(input) 7×6×3", "a.horizontal(a.vertical) 7×4×2"}},
		{"spatial, of a column", layer.Shape{H: 7, W: 6, C: 3}, layer.Conv{Out: 2, Kernel: 3, KernelW: 1}, Rank{N: 2}, []string{"a.vertical(input) 5×6×2", "a.horizontal(a.vertical) 5×6×2"}},
		{"tucker", layer.Shape{H: 7, W: 6, C: 4}, layer.Conv{Out: 5, Kernel: 3, Pad: kernels.Pad(1)}, Rank{4, 5}, []string{"a.reduce(input) 7×6×4", "a.core(a.reduce) 7×6×5", "a.expand(a.core) 7×6×5"}},
		{"tucker, stride 2", layer.Shape{H: 9, W: 8, C: 3}, layer.Conv{Out: 7, Kernel: 3, KernelW: 2, Stride: 2, Pad: kernels.Padding{Top: 1, Right: 1}}, Rank{3, 7}, []string{"a.reduce(input) 9×8×3", "a.core(a.reduce) 4×4×7", "a.expand(a.core) 4×4×7"}},
	} {
		m := single(test.in, test.l)
		w := random(t, m)
		f, err := newFactoring(FactorizeOptions{Ranks: map[string]Rank{"a": {1, test.rank.Out}}}, m, w)
		if test.rank.Out > 0 {
			f, err = newFactoring(FactorizeOptions{Energy: 0.5, Tucker: true}, m, w)
			f.Energy = 0
		}
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		f.targets[0].rank = test.rank
		var report FactorizedLayer
		if err := f.run(func(l FactorizedLayer) { report = l }); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		fw := stored(f.weights)
		infos, err := f.model.Infer()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		terms := 0
		for i, n := range infos[:len(infos)-1] {
			got = append(got, fmt.Sprintf("%s(%s) %v", n.Name, cmpInput(f.model, i), n.Out))
			terms += n.Layer.(layer.Weighted).ConvShape(n.In[0]).K() + 1
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: nodes %q, want %q", test.name, got, test.want)
		}
		// The error is that of float32 numbers, two or three of which are multiplied, in sums.
		if report.Error > 1e-6 || report.Node != "a" || report.Rank != test.rank {
			t.Errorf("%s: %+v, want a small error", test.name, report)
		}
		x := noise(test.in, 3)
		abs := noise(test.in, 3)
		data := kernels.Data[float32](abs)
		for i, v := range data {
			data[i] = max(v, -v)
		}
		kernels.Data[float32](x)[0] = -1
		data[0] = 1
		before, after := run(t, m, w, x), run(t, f.model, fw, x)
		absBefore, absAfter := run(t, m, absolute(t, m, w), abs), run(t, f.model, absolute(t, f.model, fw), abs)
		var want []float64
		var bounds []float64
		shift := report.Error * math.Sqrt(norm2(w["a"].Values)*norm2(data))
		for y := range before.H {
			for c := range before.W {
				for o, v := range kernels.Pixel[float32](before, 0, y, c) {
					want = append(want, float64(v))
					bounds = append(bounds, shift+
						kerneltest.Tolerance(terms, float64(kernels.Pixel[float32](absBefore, 0, y, c)[o]))+
						kerneltest.Tolerance(terms, float64(kernels.Pixel[float32](absAfter, 0, y, c)[o])))
				}
			}
		}
		kerneltest.Compare(t, test.name, after, want, func(i int) float64 { return bounds[i] })
	}
}

// cmpInput returns the name of what node i of m reads.
func cmpInput(m *graph.Model, i int) string {
	switch {
	case len(m.Nodes[i].Inputs) > 0:
		return strings.Join(m.Nodes[i].Inputs, " ")
	case i == 0:
		return graph.Input
	}
	return m.Nodes[i-1].Name
}

// TestFactorizeNodes has a network in which some layers are replaced.
func TestFactorizeNodes(t *testing.T) {
	m := &graph.Model{Name: "net", Input: layer.Shape{H: 8, W: 8, C: 16}, Head: "d", Outputs: []string{"d", "b"}, Nodes: []graph.Node{
		node("a", layer.Conv{Out: 32, Kernel: 3, Pad: kernels.Pad(1)}), node("a.relu", layer.ReLU{}),
		node("b", layer.Conv{Out: 16, Kernel: 1}), node("c", layer.Conv{Out: 24, Kernel: 5, Stride: 2}, "a.relu"),
		node("d", layer.Dense{Out: 10}),
	}}
	w := random(t, m)
	before := m.Clone()
	q, qw, reports := factorizeModel(t, FactorizeOptions{Ranks: map[string]Rank{"a": {N: 5}, "b": {N: 4}, "c": {6, 7}, "d": {N: 3}}}, m, w)
	if !reflect.DeepEqual(m, before) {
		t.Fatalf("the rewrite changed its model to %+v", m)
	}
	want := []string{
		"a.vertical() f32", "a.horizontal() f32", "a.relu() f32", "b.reduce() f32", "b.expand() f32",
		"c.reduce(a.relu) f32", "c.core() f32", "c.expand() f32", "d.reduce() f32", "d.expand() f32",
	}
	if got := nodes(t, q); !slices.Equal(got, want) { // without inputs, a node reads the one before
		t.Errorf("nodes\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if q.Head != "d.reduce" || !slices.Equal(q.Outputs, []string{"d.expand", "b.expand"}) {
		t.Errorf("head %s, outputs %v", q.Head, q.Outputs)
	}
	// The ReLU is part of the last layer, and only that has a bias.
	p := compile(t, q, qw, graph.Options{})
	for _, s := range p.Steps() {
		if s.Name == "a.relu" {
			t.Error("the ReLU is a step of its own")
		}
	}
	params, err := q.Params()
	if err != nil {
		t.Fatal(err)
	}
	for _, param := range params {
		l, err := qw.Layer(param)
		if err != nil || len(l.Values) != param.Dims[0]*param.Dims[1]*param.Dims[2]*param.Dims[3] {
			t.Errorf("%s has %d weights for %v, error %v", param.Node, len(l.Values), param.Dims, err)
		}
		name, part, _ := strings.Cut(param.Node, ".")
		last := part == "horizontal" || part == "expand"
		if last && !slices.Equal(l.Bias, w[name].Bias) || !last && l.Bias != nil {
			t.Errorf("%s has the bias %v, the layer %v", param.Node, l.Bias, w[name].Bias)
		}
	}
	// The costs are those of the table.
	infos, err := m.Infer()
	if err != nil {
		t.Fatal(err)
	}
	after, err := q.Infer()
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for _, n := range infos {
		if _, ok := n.Layer.(layer.Weighted); !ok {
			continue
		}
		var sum kernels.Cost
		for _, f := range after {
			if strings.HasPrefix(f.Name, n.Name+".") && f.Name != "a.relu" {
				sum = sum.Add(f.Cost)
			}
		}
		if r := reports[i]; r.Node != n.Name || r.Before != n.Cost || r.After != sum || r.After.MACs > r.Before.MACs || r.Error < 0.1 || r.Error > 1 {
			t.Errorf("report %+v; costs %+v and %+v", r, n.Cost, sum)
		}
		i++
	}
	if i != len(reports) {
		t.Errorf("%d reports, want %d", len(reports), i)
	}
}

// TestFactorizeRecovers has weights of low rank, which the factors have exactly but for rounding.
func TestFactorizeRecovers(t *testing.T) {
	for _, test := range []struct {
		name string
		l    layer.Layer
		rank Rank
	}{
		{"dense", layer.Dense{Out: 40}, Rank{N: 3}},
		{"1×1", layer.Conv{Out: 40, Kernel: 1}, Rank{N: 3}},
		{"spatial", layer.Conv{Out: 12, Kernel: 3}, Rank{N: 3}},
		{"tucker", layer.Conv{Out: 40, Kernel: 3}, Rank{4, 5}},
		{"tucker, stride 2", layer.Conv{Out: 40, Kernel: 3, Stride: 2}, Rank{4, 5}},
	} {
		m := single(layer.Shape{H: 5, W: 5, C: 24}, test.l)
		full := random(t, m)
		o := FactorizeOptions{Ranks: map[string]Rank{"a": test.rank}}
		_, low, reports := factorizeModel(t, o, m, full)
		if e := reports[0].Error; e < 0.3 {
			t.Errorf("%s: the error of random weights is %v", test.name, e)
		}
		// The product of the factors is of low rank.
		targets, err := o.targets(m)
		if err != nil {
			t.Fatal(err)
		}
		values := multiplied(t, targets[0], low)
		_, again, reports := factorizeModel(t, o, m, stored{"a": {Values: values, Bias: full["a"].Bias}})
		if e := reports[0].Error; e > 1e-6 {
			t.Errorf("%s: the error of weights of that rank is %v", test.name, e)
		}
		got := multiplied(t, targets[0], again)
		lost := 0.0
		for i, v := range values {
			lost += (float64(v) - float64(got[i])) * (float64(v) - float64(got[i]))
		}
		if e := math.Sqrt(lost / norm2(values)); e > 1e-6 {
			t.Errorf("%s: the product of the factors differs by %v", test.name, e)
		}
	}
}

// multiplied returns the weights of the layer that a target's factors compute, by their definition.
func multiplied(t *testing.T, tt *target, w graph.Weights) []float32 {
	t.Helper()
	var f [][]float32
	in := tt.In[0]
	for _, n := range tt.nodes(tt.rank) {
		s := n.Layer.(layer.Weighted).ConvShape(in)
		l, err := w.Layer(graph.Param{Node: n.Name, Dims: [4]int{s.Out, s.In, s.KH, s.KW}})
		if err != nil {
			t.Fatal(err)
		}
		f = append(f, l.Values)
		if in, err = n.Layer.OutShape([]layer.Shape{in}); err != nil {
			t.Fatal(err)
		}
	}
	s, r := tt.shape, tt.rank
	values := make([]float32, s.Weights())
	for o := range s.Out {
		for i := range s.In {
			for y := range s.KH {
				for x := range s.KW {
					sum := 0.0
					for n := range r.N {
						switch tt.form {
						case pair:
							sum += float64(f[1][o*r.N+n]) * float64(f[0][((n*s.In+i)*s.KH+y)*s.KW+x])
						case spatial:
							sum += float64(f[1][(o*r.N+n)*s.KW+x]) * float64(f[0][(n*s.In+i)*s.KH+y])
						case tucker:
							for m := range r.Out {
								sum += float64(f[2][o*r.Out+m]) * float64(f[1][((m*r.N+n)*s.KH+y)*s.KW+x]) * float64(f[0][n*s.In+i])
							}
						}
					}
					values[((o*s.In+i)*s.KH+y)*s.KW+x] = float32(sum)
				}
			}
		}
	}
	return values
}

// diagonal returns the weights of a square dense layer with these singular values.
func diagonal(s []float64) kernels.Weights {
	values := make([]float32, len(s)*len(s))
	for i, v := range s {
		j := (i*7 + 3) % len(s) // 7 must not divide the number
		values[i*len(s)+j] = float32(v)
	}
	return kernels.Weights{Values: values}
}

// TestFactorizeEnergy has weights with known energies. More energy than the break-even rank has leaves the layer as it is.
func TestFactorizeEnergy(t *testing.T) {
	small := append([]float64{8, 6, 5, 3, 1}, make([]float64, 5)...) // 64, 36, 25, 9 and 1 of 135
	large := falling(exactRows+8, 0.95)
	rank := func(energy float64) int { return int(math.Ceil(math.Log(1-energy) / math.Log(0.95*0.95))) }
	flat := falling(exactRows+8, 1)
	almost := falling(exactRows+8, 0.996) // half of these values, up to break-even, have 87.5 % of the energy
	for _, test := range []struct {
		s      []float64
		energy float64
		want   int
	}{
		{small, 0.2, 1}, {small, 64. / 135, 1}, {small, 64.1 / 135, 2}, {small, 100. / 135, 2}, {small, 0.92, 3}, {small, 125.1 / 135, 4}, {small, 134. / 135, 4}, {small, 0.999, 0},
		{large, 0.5, rank(0.5)}, {large, 0.99, rank(0.99)}, {large, 0.9995, rank(0.9995)},
		{flat, 0.9, 0}, {flat, 0.1, 52}, {almost, 0.9, 0},
		{make([]float64, 10), 0.9, 1}, // any rank is all of zeros
	} {
		if testing.Short() && len(test.s) > exactRows {
			continue
		}
		m := single(layer.Shape{H: 1, W: 1, C: len(test.s)}, layer.Dense{Out: len(test.s)})
		w := stored{"a": diagonal(test.s)}
		q, _, reports := factorizeModel(t, FactorizeOptions{Energy: test.energy}, m, w)
		r := reports[0]
		if r.Rank != (Rank{N: test.want}) {
			t.Errorf("energy %v of %d: rank %v, want %d", test.energy, len(test.s), r.Rank, test.want)
		}
		if test.want == 0 {
			if !reflect.DeepEqual(q, m) || r.Error != 0 || r.After != r.Before {
				t.Errorf("energy %v of %d: the layer should stay, %+v", test.energy, len(test.s), r)
			}
			continue
		}
		all, kept := 0.0, 0.0
		for i, s := range test.s {
			all += s * s
			if i < test.want {
				kept += s * s
			}
		}
		if want := math.Sqrt(1 - keptShare(kept, all)); math.Abs(r.Error-want) > 2e-5 {
			t.Errorf("energy %v of %d: error %v, want %v", test.energy, len(test.s), r.Error, want)
		}
	}
}

// TestFactorizeEnergyTucker: three layers have at least the energy, at the least cost that the bound of the error allows.
func TestFactorizeEnergyTucker(t *testing.T) {
	in := layer.Shape{H: 6, W: 6, C: 12}
	m := single(in, layer.Conv{Out: 16, Kernel: 3})
	o := FactorizeOptions{Ranks: map[string]Rank{"a": {4, 5}}}
	_, low, _ := factorizeModel(t, o, m, random(t, m))
	targets, err := o.targets(m)
	if err != nil {
		t.Fatal(err)
	}
	values := multiplied(t, targets[0], low)
	for i, v := range kerneltest.Random(9, len(values)) {
		values[i] += 1e-4 * v
	}
	w := stored{"a": {Values: values}}
	for _, test := range []struct {
		energy float64
		want   Rank // or zero for less than 4x5
	}{{0.9999, Rank{4, 5}}, {0.6, Rank{}}, {0.3, Rank{}}} {
		_, _, reports := factorizeModel(t, FactorizeOptions{Energy: test.energy, Tucker: true}, m, w)
		r := reports[0]
		if test.want.N > 0 && r.Rank != test.want || r.Rank.N > 4 || r.Rank.Out > 5 || r.Rank.N < 1 {
			t.Errorf("energy %v: rank %v, want %v", test.energy, r.Rank, test.want)
		}
		if test.want.N == 0 && r.Rank == (Rank{4, 5}) {
			t.Errorf("energy %v: rank %v, want less", test.energy, r.Rank)
		}
		if r.Error*r.Error > 1-test.energy {
			t.Errorf("energy %v: error %v", test.energy, r.Error)
		}
	}
	if _, _, reports := factorizeModel(t, FactorizeOptions{Energy: 0.999, Tucker: true}, m, random(t, m)); reports[0].Rank.N != 0 {
		t.Errorf("random weights have the rank %v, want none that saves anything", reports[0].Rank)
	}
}

// TestFactorizeBudget has one layer whose energy lies in few singular values, and another one where it does not.
func TestFactorizeBudget(t *testing.T) {
	set, err := kernels.For(kernels.Scalar) // the estimates of others are another machine's
	if err != nil {
		t.Fatal(err)
	}
	const n = 40
	m := &graph.Model{Name: "two", Input: layer.Shape{H: 1, W: 1, C: n}, Nodes: []graph.Node{node("steep", layer.Dense{Out: n}), node("flat", layer.Dense{Out: n})}}
	w := stored{"steep": diagonal(falling(n, 0.5)), "flat": diagonal(falling(n, 0.999))}
	for _, test := range []struct {
		budget      float64
		steep, flat int
	}{
		// A rank costs 2·n of the n² multiply-adds of a layer, of which there are two.
		{0.9, 10, 0}, {0.75, 10, 0}, {0.7, 8, 0}, {0.55, 2, 0}, {0.53, 1, 0},
		{0.5, 10, 10},
	} {
		_, _, reports := factorizeModel(t, FactorizeOptions{Budget: test.budget, Set: set}, m, w)
		after := 0.0
		for i, want := range []int{test.steep, test.flat} {
			if got := reports[i].Rank.N; got != want {
				t.Errorf("budget %v: %s has the rank %d, want %d", test.budget, reports[i].Node, got, want)
			}
			after += float64(reports[i].After.MACs)
		}
		if after > test.budget*2*n*n {
			t.Errorf("budget %v: %v multiply-adds", test.budget, after)
		}
	}
	_, _, err = Factorize(FactorizeOptions{Budget: 0.01, Set: set}, nil).Apply(m, w)
	if want := "compression: two: factorize: budget is 0.01, expected at least 0.050, which is left with the least ranks"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestFactorizeThreads: all numbers of threads give the same bits, as do weights that reuse their memory.
func TestFactorizeThreads(t *testing.T) {
	m := &graph.Model{Name: "net", Input: layer.Shape{H: 8, W: 8, C: 16}, Nodes: []graph.Node{
		node("a", layer.Conv{Out: 32, Kernel: 3, Pad: kernels.Pad(1)}), node("b", layer.Conv{Out: 24, Kernel: 5, Stride: 2}), node("c", layer.Dense{Out: 10}),
	}}
	o := FactorizeOptions{Ranks: map[string]Rank{"a": {N: 5}, "b": {6, 7}, "c": {N: 3}}}
	var first stored
	for _, threads := range []int{1, 2, 5} {
		o.Threads = threads
		var w graph.Weights = random(t, m)
		if threads == 5 {
			w = weights.Random(1)
		}
		q, qw, _ := factorizeModel(t, o, m, w)
		params, err := q.Params()
		if err != nil {
			t.Fatal(err)
		}
		got := stored{}
		for _, p := range params {
			if got[p.Node], err = qw.Layer(p); err != nil {
				t.Fatal(err)
			}
			if first != nil && !sameBits(got[p.Node].Values, first[p.Node].Values) {
				t.Errorf("%d threads: %s has other weights than with one", threads, p.Node)
			}
		}
		if first == nil {
			first = got
		}
	}
}

// TestFactorizeQuantize quantizes a network of factors. The logits stay close to those of float32.
func TestFactorizeQuantize(t *testing.T) {
	m := &graph.Model{Name: "net", Input: layer.Shape{H: 12, W: 12, C: 16}, Nodes: []graph.Node{
		node("a", layer.Conv{Out: 32, Kernel: 3, Pad: kernels.Pad(1)}), node("a.relu", layer.ReLU{}),
		node("b", layer.Conv{Out: 24, Kernel: 5, Stride: 2}), node("b.relu", layer.ReLU{}), node("c", layer.Dense{Out: 10}), node("prob", layer.Softmax{}),
	}}
	m, w, _ := factorizeModel(t, FactorizeOptions{Ranks: map[string]Rank{"a": {N: 15}, "b": {12, 14}, "c": {N: 5}}}, m, random(t, m))
	q, qw := quantizeModel(t, calibrate(t, m, w), Options{}, m, w)
	infos, err := q.Infer()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range infos {
		if _, ok := n.Layer.(layer.Weighted); ok && n.Out.Type.Element != kernels.Uint8 {
			t.Errorf("%s is of %v", n.Name, n.Out.Type)
		}
	}
	logits := func(m *graph.Model, w graph.Weights) []float32 {
		p := compile(t, m, w, graph.Options{Threads: 1})
		if err := kernels.Copy(p.Input(), noise(m.Input, 1)); err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		return kernels.Pixel[float32](p.Logits(), 0, 0, 0)
	}
	want, got := logits(m, w), logits(q, qw)
	largest := slices.Max(want) - slices.Min(want)
	for i := range want {
		if d := got[i] - want[i]; max(d, -d) > largest/10 {
			t.Errorf("logit %d is %v, want %v", i, got[i], want[i])
		}
	}
	if _, _, err := Factorize(FactorizeOptions{Ranks: map[string]Rank{"a.vertical": {N: 1}}}, nil).Apply(q, qw); err == nil || !strings.Contains(err.Error(), "layer a.vertical: it computes with u8, expected f32: factorize before quantizing") {
		t.Errorf("a quantized layer: error %v", err)
	}
}

func TestFactorizeCheck(t *testing.T) {
	net := &graph.Model{Name: "net", Input: layer.Shape{H: 28, W: 28, C: 64}, Nodes: []graph.Node{
		node("a", layer.Conv{Out: 256, Kernel: 3, Pad: kernels.Pad(1)}), node("a.relu", layer.ReLU{}),
		node("b", layer.Conv{Out: 64, Kernel: 5, Stride: 2}), node("c", layer.Conv{Out: 64, Kernel: 3, Groups: 2}),
		node("d", layer.Conv{Out: 64, Kernel: 1}), node("e", layer.Conv{Out: 64, Kernel: 1}), node("f", layer.Conv{Out: 3, Kernel: 3, Stride: 2}),
	}}
	net.Nodes[5].Weights = "d"
	owt, v1 := lookup(t, "alexnet-owt"), lookup(t, "squeezenet1.0")
	ranks := func(name string, n, out int) FactorizeOptions {
		return FactorizeOptions{Ranks: map[string]Rank{name: {n, out}}}
	}
	for _, test := range []struct {
		m    *graph.Model
		o    FactorizeOptions
		want string // "" for none
	}{
		// Dense and 1×1 layers: 4096·9216/(4096 + 9216) = 2835.7, 1000·512/(1000 + 512) = 338.6.
		{owt, ranks("fc6", 2835, 0), ""},
		{owt, ranks("fc6", 2836, 0), "layer fc6: rank 2836 costs 37752832 multiply-adds, more than the layer's 37748736; the break-even rank is 2835"},
		{owt, ranks("fc7", 5000, 0), "layer fc7: rank 5000 costs 40960000 multiply-adds, more than the layer's 16777216; the break-even rank is 2048"},
		{v1, ranks("conv10", 338, 0), ""},
		{v1, ranks("conv10", 339, 0), "layer conv10: rank 339 costs 86623992 multiply-adds, more than the layer's 86528000; the break-even rank is 338"},
		// 3·r·(64 + 256) of 9·64·256 a pixel.
		{net, ranks("a", 153, 0), ""},
		{net, ranks("a", 154, 0), "layer a: rank 154 costs 115906560 multiply-adds, more than the layer's 115605504; the break-even rank is 153"},
		// 64·n + 9·n·out + 256·out a pixel.
		{net, ranks("a", 64, 172), ""},
		{net, ranks("a", 64, 173), "layer a: rank 64x173 costs 116057088 multiply-adds, more than the layer's 115605504; with 64 channels before the kernel it breaks even at 172 behind it"},
		{net, ranks("a", 65, 100), "layer a: rank is 65x100, expected at most 64x256"},
		{net, ranks("a", 1, 10), "layer a: rank is 1x10, expected at most 64x9"},
		{net, ranks("a", 4000, 1), "layer a: rank 4000x1 costs 229128704 multiply-adds, more than the layer's 115605504; with 4000 channels before the kernel it breaks even at 0 behind it"},
		{net, ranks("a", 0, 0), "layer a: rank is 0, expected at least 1"},
		{net, ranks("a", 5, -1), "layer a: rank is 5x-1, expected at least 1"},
		{net, ranks("b", 5, 0), "layer b: rank is 5, expected two numbers, such as 5x5: the kernel moves by 2 pixels"},
		{net, ranks("c", 5, 0), "layer c: it has 2 groups, expected 1"},
		{net, ranks("d", 5, 0), "layer d: node e uses its weights as well"},
		{net, ranks("e", 5, 0), "layer e: its weights are those of d"},
		{net, ranks("a.relu", 5, 0), "layer a.relu: it is relu, expected a convolution or a dense layer"},
		{net, ranks("x", 5, 0), "there is no layer x"},
		{owt, ranks("fc6", 5, 6), "layer fc6: rank is 5x6, expected one number for dense"},
		{owt, ranks("fc6", 1<<30, 0), "layer fc6: convolution: Out is 1073741824, expected 1 to 1048576"},
		{owt, FactorizeOptions{}, "expected one of ranks, an energy and a budget"},
		{owt, FactorizeOptions{Energy: 0.5, Budget: 0.5}, "expected one of ranks, an energy and a budget"},
		{owt, FactorizeOptions{Energy: 1}, "energy is 1, expected a number between 0 and 1"},
		{owt, FactorizeOptions{Budget: -0.1}, "budget is -0.1, expected a number between 0 and 1"},
		{owt, FactorizeOptions{Energy: math.NaN()}, "energy is NaN, expected a number between 0 and 1"},
		{owt, FactorizeOptions{Energy: 0.9}, ""},
	} {
		got := ""
		if err := test.o.Check(test.m); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%+v: error %q, want %q", test.o, got, test.want)
		}
		if test.want != "" {
			if _, _, err := Factorize(test.o, nil)(test.m, weights.Random(1)); err == nil || err.Error() != "compression: "+test.m.Name+": factorize: "+test.want {
				t.Errorf("%+v: error %v", test.o, err)
			}
		}
	}
	taken := net.Clone()
	taken.Nodes[1].Name = "b.core"
	if _, _, err := Factorize(ranks("b", 1, 1), nil).Apply(taken, random(t, taken)); err == nil || !strings.HasSuffix(err.Error(), "the name b.core is taken") {
		t.Errorf("a node with the name of a factor: error %v", err)
	}
	// Weights that do not fit, or are not finite, are named.
	m := single(layer.Shape{H: 1, W: 1, C: 4}, layer.Dense{Out: 4})
	for want, values := range map[string][]float32{
		"layer a: convolution: 3 weights, expected 16 for 4×4×1×1": {1, 2, 3},
		"layer a: weights are not finite":                          append(make([]float32, 15), float32(math.NaN())),
	} {
		if _, _, err := Factorize(ranks("a", 1, 0), nil).Apply(m, stored{"a": {Values: values}}); err == nil || err.Error() != "compression: single: factorize: "+want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// TestFactorizeModels: all models can be factorized in every layer without groups.
func TestFactorizeModels(t *testing.T) {
	for _, m := range models.All() {
		m.Input.H, m.Input.W = 87, 75
		for i, n := range m.Nodes {
			if _, ok := n.Layer.(layer.Dense); ok {
				m.Nodes[i].Layer = layer.Dense{Out: 60}
			}
		}
		if m.Name != "alexnet" && m.Name != "squeezenet1.1" || testing.Short() {
			continue // the others have the same kinds of layers
		}
		infos, err := m.Infer()
		if err != nil {
			t.Fatal(err)
		}
		o := FactorizeOptions{Ranks: map[string]Rank{}}
		for i, n := range infos {
			target, err := o.target(m, i, n, Rank{})
			if err != nil {
				continue
			}
			target.rank = Rank{N: 2}
			if target.form == tucker {
				target.rank.Out = 2
			}
			if target.check() == nil {
				o.Ranks[n.Name] = target.rank
			}
		}
		q, qw, reports := factorizeModel(t, o, m, weights.Random(1))
		if len(reports) != len(o.Ranks) || len(reports) < 5 {
			t.Errorf("%s: %d reports of %d layers", m.Name, len(reports), len(o.Ranks))
		}
		p := compile(t, q, qw, graph.Options{})
		if err := p.Run(); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}

func TestRankText(t *testing.T) {
	for text, want := range map[string]Rank{"64": {N: 64}, "64x48": {64, 48}, "1x1": {1, 1}} {
		var r Rank
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want || r.String() != text {
			t.Errorf("%q is %+v, error %v", text, r, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "x", "5x", "x5", "5x0", "5x6x7", "a", "1.5", "99999999999999999999"} {
		r := Rank{}
		if err := r.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "expected a number such as 64, or two such as 64x48") {
			t.Errorf("%q: error %v", text, err)
		}
	}
}
