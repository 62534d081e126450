package training

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/workers"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/weights"
)

// stored are weights by node.
type stored map[string]kernels.Weights

func (s stored) Layer(p graph.Param) (kernels.Weights, error) { return s[p.Node], nil }

func (s stored) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }

// dense is a model of dense layers with so many outputs, of so many inputs.
func dense(in int, outs ...int) *graph.Model {
	m := &graph.Model{Name: "dense", Input: layer.Shape{H: 1, W: 1, C: in}}
	for i, out := range outs {
		m.Nodes = append(m.Nodes, graph.Node{Name: fmt.Sprintf("fc%d", i+1), Layer: layer.Dense{Out: out}})
	}
	return m
}

func newParams(t *testing.T, m *graph.Model, w graph.Weights) *Params {
	t.Helper()
	p, err := NewParams(m, w)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// optimize returns an optimizer of p that runs on some threads.
func optimize(t *testing.T, p *Params, s SGD, threads int, factor func(string) float64) *optimizer {
	t.Helper()
	pool := workers.NewPool(threads)
	t.Cleanup(pool.Close)
	o, err := newOptimizer(p, s, factor, pool)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func one(string) float64 { return 1 }

// TestSGD compares steps with those that testdata/sgd.py has recorded.
func TestSGD(t *testing.T) {
	data, err := os.ReadFile("testdata/sgd.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Form        Form
		Exact       bool
		Nesterov    bool
		Momentum    float64
		Decay       float64
		DecayBiases bool    `json:"decay_biases"`
		MaxNorm     float64 `json:"max_norm"`
		Images      int
		Rates       []float64
		Values      []float32
		Gradients   [][]float32
		Want        [][]float32
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 24 {
		t.Errorf("%d cases, want 24", len(cases))
	}
	for _, c := range cases {
		p := newParams(t, dense(3, 2), stored{"fc1": {Values: c.Values[:6], Bias: c.Values[6:]}})
		o := optimize(t, p, SGD{c.Form, c.Momentum, c.Nesterov, c.Decay, c.DecayBiases, c.MaxNorm}, 1, one)
		for step, rate := range c.Rates {
			o.step([][]float32{c.Gradients[step]}, c.Images, rate)
			for i, want := range c.Want[step] {
				// In a step there are some ten roundings of numbers below 4, and PyTorch's 1e-6 beside the norm.
				within := float64(step+1) * 4e-6
				if c.Exact {
					within = 0
				}
				if got := p.layers[0].all[i]; math.Abs(float64(got)-float64(want)) > within {
					t.Errorf("%v exact=%v nesterov=%v decay_biases=%v max_norm=%v: value %d is %v after step %d, want %v",
						c.Form, c.Exact, c.Nesterov, c.DecayBiases, c.MaxNorm, i, got, step, want)
				}
			}
		}
	}
}

// gradientsOf returns random gradients of p.
func gradientsOf(p *Params, seed uint64) [][]float32 {
	var gradients [][]float32
	for _, l := range p.layers {
		w, _ := weights.Random(seed).Layer(l.Param)
		gradients = append(gradients, slices.Concat(w.Values, w.Bias))
	}
	return gradients
}

// TestSGDThreads: any number of threads gives the same bits, with and without clipping, which needs a sum of all.
func TestSGDThreads(t *testing.T) {
	m := dense(130, 150, 140) // several chunks a layer
	for _, s := range []SGD{
		{Form: PyTorch, Momentum: 0.9, WeightDecay: 0.01, DecayBiases: true, MaxNorm: 0.001},
		{Form: Caffe, Momentum: 0.9, WeightDecay: 0.01, Nesterov: true},
	} {
		var want *Params
		for _, threads := range []int{1, 2, 3} {
			p := newParams(t, m, weights.Random(1))
			o := optimize(t, p, s, threads, one)
			for step := range 3 {
				o.step(gradientsOf(p, uint64(step+2)), 3, 0.1)
			}
			if want == nil {
				want = p
			}
			for i, l := range p.layers {
				if !slices.Equal(l.all, want.layers[i].all) {
					t.Errorf("%+v: layer %s has other bits at %d threads", s, l.Node, threads)
				}
			}
		}
	}
}

// TestClip: the average of the gradients is as long as MaxNorm, or as it was if it was shorter.
func TestClip(t *testing.T) {
	for _, c := range []struct{ max, want float64 }{{1, 1}, {100, 5}} {
		p := newParams(t, dense(1, 1), stored{"fc1": {Values: []float32{1}, Bias: []float32{2}}})
		o := optimize(t, p, SGD{Form: PyTorch, MaxNorm: c.max}, 1, one)
		if norm := o.step([][]float32{{6, 8}}, 2, 1); norm != 5 {
			t.Errorf("norm is %v, want 5", norm)
		}
		got := math.Hypot(1-float64(p.layers[0].all[0]), 2-float64(p.layers[0].all[1]))
		if math.Abs(got-c.want) > 1e-6 {
			t.Errorf("MaxNorm %v: the step is %v long, want %v", c.max, got, c.want)
		}
	}
	p := newParams(t, dense(1, 1), stored{"fc1": {Values: []float32{1}, Bias: []float32{2}}})
	o := optimize(t, p, SGD{MaxNorm: 1}, 1, one)
	if norm := o.step([][]float32{{float32(math.Inf(1)), 0}}, 1, 1); !math.IsInf(norm, 1) || !slices.Equal(p.layers[0].all, []float32{1, 2}) {
		t.Errorf("an infinite gradient: norm %v, values %v", norm, p.layers[0].all)
	}
}

// TestFactors: rates are multiplied by layer, and a layer with 0 stays as it is, decay or not, and needs no gradient.
func TestFactors(t *testing.T) {
	p := newParams(t, dense(1, 1, 1, 1), stored{"fc1": {Values: []float32{1}}, "fc2": {Values: []float32{1}}, "fc3": {Values: []float32{1}}})
	factor := map[string]float64{"fc1": 0, "fc2": 1, "fc3": 10}
	o := optimize(t, p, SGD{Form: PyTorch, WeightDecay: 0.5}, 1, func(node string) float64 { return factor[node] })
	o.step([][]float32{nil, {0.5, 0}, {0.5, 0}}, 1, 0.125)
	for i, want := range []float32{1, 1 - 0.125, 1 - 1.25} {
		if got := p.layers[i].all[0]; got != want {
			t.Errorf("layer %d: %v, want %v", i+1, got, want)
		}
	}
}

// TestMask: weights that a mask does not keep become zero and stay so, with momentum and decay; others are trained as
// without a mask.
func TestMask(t *testing.T) {
	m := dense(3, 2)
	w := stored{"fc1": {Values: []float32{1, 2, 3, 4, 5, 6}, Bias: []float32{7, 8}}}
	p, free := newParams(t, m, w), newParams(t, m, w)
	kept := []bool{true, false, true, false, true, true}
	if err := p.Mask(map[string][]bool{"fc1": kept}); err != nil {
		t.Fatal(err)
	}
	s := SGD{Momentum: 0.9, WeightDecay: 0.1, Nesterov: true}
	o, of := optimize(t, p, s, 1, one), optimize(t, free, s, 1, one)
	for step := range 3 {
		g := [][]float32{{1, 2, 3, 4, 5, 6, 7, 8}}
		o.step(g, 1, float64(step))
		of.step(g, 1, float64(step))
	}
	for i, got := range p.layers[0].all {
		want := free.layers[0].all[i]
		if i < len(kept) && !kept[i] {
			want = 0
		}
		if got != want {
			t.Errorf("value %d is %v, want %v", i, got, want)
		}
	}
	for _, c := range []struct {
		mask map[string][]bool
		want string
	}{
		{map[string][]bool{"fc2": {true}}, "training: mask: dense has no layer fc2 with weights"},
		{map[string][]bool{"fc1": {true}}, "training: mask of layer fc1: of 1 weights, expected 6"},
	} {
		if err := p.Mask(c.mask); err == nil || err.Error() != c.want {
			t.Errorf("%v: %v, want %s", c.mask, err, c.want)
		}
	}
}

// shared are weights with a codebook for fc1.
type shared struct {
	stored
	codebook []float32
	codes    []uint8
}

func (s shared) Codebook(p graph.Param) ([]float32, []uint8, bool) {
	return s.codebook, s.codes, p.Node == "fc1"
}

// TestShared: weights with one code stay equal; their value moves by the sum of their gradients and decays, and zero
// stays zero.
func TestShared(t *testing.T) {
	w := shared{stored{"fc1": {Values: []float32{2, 0, -1, 2, -1, 2}, Bias: []float32{1, 1}}}, []float32{0, -1, 2}, []uint8{2, 0, 1, 2, 1, 2}}
	p := newParams(t, dense(3, 2), w)
	o := optimize(t, p, SGD{Form: PyTorch, Momentum: 0.5, WeightDecay: 0.25}, 1, one)
	g := [][]float32{{1, 100, 2, 3, 4, 5, 6, 7}}
	o.step(g, 2, 0.125)
	// 2: (1+3+5)/2 + 3·0.25·2 = 6; -1: (2+4)/2 - 2·0.25 = 2.5.
	if want := []float32{2 - 0.75, 0, -1 - 0.3125, 1.25, -1.3125, 1.25, 1 - 3./8, 1 - 3.5/8}; !slices.Equal(p.layers[0].all, want) {
		t.Errorf("%v, want %v", p.layers[0].all, want)
	}
	o.step(g, 2, 0.125)
	// 2: V = 3 + 4.5 + 0.75·1.25; -1: V = 1.25 + 3 - 0.5·1.3125.
	two, minus := float32(1.25-8.4375/8), float32(-1.3125-3.59375/8)
	if want := []float32{two, 0, minus, two, minus, two}; !slices.Equal(p.layers[0].all[:6], want) {
		t.Errorf("%v, want %v", p.layers[0].all[:6], want)
	}
	codebook, codes, ok := p.Codebook(p.layers[0].Param)
	if !ok || !slices.Equal(codebook, []float32{0, minus, two}) || !slices.Equal(codes, w.codes) {
		t.Errorf("codebook %v, %v, %v", codebook, codes, ok)
	}
	if w.codebook[1] != -1 {
		t.Error("the codebook of the weights has changed")
	}
}

func TestSharedErrors(t *testing.T) {
	for _, c := range []struct {
		codebook []float32
		codes    []uint8
		want     string
	}{
		{[]float32{0, 1}, []uint8{1}, "training: dense: layer fc1: 1 codes for 2 values, expected 2 for at least one, of which the first is 0"},
		{[]float32{1, 0}, []uint8{1, 0}, "training: dense: layer fc1: 2 codes for 2 values, expected 2 for at least one, of which the first is 0"},
		{[]float32{0, 1}, []uint8{1, 2}, "training: dense: layer fc1: weight 1 is 0, which is not value 2 of its codebook"},
		{[]float32{0, 2}, []uint8{1, 0}, "training: dense: layer fc1: weight 0 is 1, which is not value 1 of its codebook"},
	} {
		_, err := NewParams(dense(2, 1), shared{stored{"fc1": {Values: []float32{1, 0}}}, c.codebook, c.codes})
		if err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

func TestSGDCheck(t *testing.T) {
	for _, c := range []struct {
		s    SGD
		want string
	}{
		{SGD{Form: 2}, "training: SGD: unknown form of momentum Form(2), expected caffe or pytorch"},
		{SGD{Momentum: 1}, "training: SGD: momentum is 1, expected at least 0 and less than 1"},
		{SGD{Nesterov: true}, "training: SGD: momentum of Nesterov's kind is 0, expected more"},
		{SGD{WeightDecay: math.NaN()}, "training: SGD: weight decay is NaN, expected 0 to 1"},
		{SGD{MaxNorm: -1}, "training: SGD: largest norm of the gradient is -1, expected more than 0 (0: any)"},
	} {
		if err := c.s.Check(); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	p := newParams(t, dense(1, 1), weights.Random(1))
	for factor, want := range map[float64]string{
		0:  "training: dense: all layers are frozen, expected one to train",
		-1: "training: layer fc1: factor of the learning rate is -1, expected a number that is not negative",
	} {
		if _, err := newOptimizer(p, SGD{}, func(string) float64 { return factor }, nil); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	var f Form
	if err := f.UnmarshalText([]byte("adam")); err == nil || err.Error() != `unknown form of momentum "adam", expected caffe or pytorch` {
		t.Error(err)
	}
}

// TestParamsAdapt: Params fit models with the same layers, and no others.
func TestParamsAdapt(t *testing.T) {
	p := newParams(t, dense(3, 2, 2), weights.Random(1))
	same := dense(3, 2, 2)
	if got, err := p.Adapt(same); got != same || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	for _, c := range []struct {
		m    *graph.Model
		want string
	}{
		{dense(3, 2), "training: weights of dense, which are of 2 layers, do not fit the model dense, where 1 have some"},
		{dense(3, 2, 1), "training: weights of dense do not fit the model dense: layer fc2 with weights [1 2 1 1] is number 1"},
		{dense(3, 2, 2, 2), "training: weights of dense do not fit the model dense: layer fc3 with weights [2 2 1 1] is number 2"},
	} {
		if _, err := p.Adapt(c.m); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// TestTie: layers of few values share them, and others do not.
func TestTie(t *testing.T) {
	m := dense(30, 20, 20, 20)
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	w := stored{}
	for i, p := range params {
		l := kernels.Weights{Values: make([]float32, p.Dims[0]*p.Dims[1]), Bias: make([]float32, p.Dims[0])}
		for j := range l.Values {
			switch i {
			case 0:
				l.Values[j] = float32(j % 256) // 255 values besides 0
			case 1:
				l.Values[j] = float32(1 + j%256) // 256
			case 2:
				if j < 100 {
					l.Values[j] = float32(1 + j%51) // less than two weights for each
				}
			}
		}
		w[p.Node] = l
	}
	p := newParams(t, m, w)
	p.Tie()
	for i, want := range []bool{true, false, false} {
		codebook, codes, ok := p.Codebook(params[i])
		if ok != want {
			t.Errorf("layer %d shares values: %t, expected %t", i, ok, want)
		}
		for j, code := range codes {
			if codebook[code] != w[params[i].Node].Values[j] {
				t.Fatalf("layer %d, weight %d: %g of the codebook, expected %g", i, j, codebook[code], w[params[i].Node].Values[j])
			}
		}
	}
}
