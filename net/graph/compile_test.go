package graph_test

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/weights"
)

// TestManyProcessors checks that a plan has at most 1024 threads, however large GOMAXPROCS is.
func TestManyProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3000))
	m := small(image, node("conv1", conv))
	p := compile(t, m, random(t, m), graph.Options{})
	if got := p.Threads(); got != 1024 {
		t.Errorf("%d threads, want 1024", got)
	}
	_, err := graph.Compile(m, random(t, m), graph.Options{Threads: 1025})
	if err == nil || !strings.Contains(err.Error(), "threads is 1025, expected 1 to 1024") {
		t.Errorf("1025 threads: error %v", err)
	}
}

// TestPick checks that a plan takes the algorithms that kernels.Pick names, for a network in which
// it names both.
func TestPick(t *testing.T) {
	m := small(layer.Shape{H: 40, W: 40, C: 3},
		node("few", layer.Conv{Out: 64, Kernel: 3, Pad: kernels.Pad(1)}),
		node("many", layer.Conv{Out: 64, Kernel: 3, Pad: kernels.Pad(1)}),
		node("flat", layer.Conv{Out: 16, Kernel: 1}),
		node("tiny", layer.Conv{Out: 16, Kernel: 39}),
	)
	infos, err := m.Infer()
	if err != nil {
		t.Fatal(err)
	}
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		seen := map[string]bool{}
		for i, s := range compile(t, m, random(t, m), graph.Options{Set: set}).Steps() {
			in := infos[i].In[0]
			problem := kernels.Problem{ConvShape: infos[i].Layer.(layer.Conv).ConvShape(in), H: in.H, W: in.W}
			if want := kernels.Pick(set, problem); s.Algo != want || s.Pick != want {
				t.Errorf("%s: algorithm %s, picked %s, want %s", s.Name, s.Algo, s.Pick, want)
			}
			if want := kernels.Candidates(set, problem); !slices.Equal(s.Candidates, want) {
				t.Errorf("%s: candidates %q, want %q", s.Name, s.Candidates, want)
			}
			seen[s.Algo] = true
		}
		if !seen["direct"] || !seen["winograd"] {
			t.Errorf("the only algorithm is %v", seen)
		}
	})
}

// sparse keeps one in ten of the weights that it calls single, and all weights for one in five input channels of
// those that it calls rows.
type sparse struct{ graph.Weights }

func (s sparse) Layer(p graph.Param) (kernels.Weights, error) {
	w, err := s.Weights.Layer(p)
	for i := range w.Values {
		channel := i / (p.Dims[2] * p.Dims[3]) % p.Dims[1]
		if strings.HasPrefix(p.Node, "single") && i%10 > 0 || strings.HasPrefix(p.Node, "rows") && channel%5 > 0 {
			w.Values[i] = 0
		}
	}
	return w, err
}

// TestPickSparse: a plan knows which weights are zero.
func TestPickSparse(t *testing.T) {
	m := small(layer.Shape{H: 13, W: 13, C: 129},
		node("single", layer.Conv{Out: 129, Kernel: 1}),
		node("rows", layer.Conv{Out: 64, Kernel: 3, Pad: kernels.Pad(1)}),
		node("dense", layer.Conv{Out: 65, Kernel: 1}),
		node("rows-fc", layer.Dense{Out: 32}),
	)
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		p := compile(t, m, sparse{random(t, m)}, graph.Options{Set: set})
		for i, want := range []struct {
			algo       string
			candidates []string
		}{{"sparse", []string{"direct", "rows", "sparse"}}, {"rows", []string{"direct", "winograd", "rows", "sparse"}}, {"direct", []string{"direct"}}, {"rows", []string{"direct", "rows", "sparse"}}} {
			s := p.Steps()[i]
			if s.Algo != want.algo || s.Pick != want.algo || !slices.Equal(s.Candidates, want.candidates) {
				t.Errorf("%s: algorithm %s, picked %s of %q, want %s of %q", s.Name, s.Algo, s.Pick, s.Candidates, want.algo, want.candidates)
			}
		}
		if p.Steps()[0].Executed > p.Steps()[0].Cost.MACs/5 {
			t.Errorf("%d multiply-adds are executed of %d", p.Steps()[0].Executed, p.Steps()[0].Cost.MACs)
		}
	})
}

// padded adds padding to a model, as the published weights of SqueezeNet v1.0 do.
type padded struct{ graph.Weights }

func (padded) Adapt(m *graph.Model) (*graph.Model, error) {
	return small(m.Input, node("a", layer.Conv{Out: 4, Kernel: 1, Pad: kernels.Pad(1)})), nil
}

func TestAdapt(t *testing.T) {
	m := small(image, node("a", layer.Conv{Out: 4, Kernel: 1}))
	p, err := graph.Compile(m, padded{weights.Random(1)}, graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if out := p.Output(); out.H != image.H+2 || out.W != image.W+2 {
		t.Errorf("the output is %v: compiled without asking the weights", out)
	}
	if l := p.Model().Nodes[0].Layer.(layer.Conv); l.Pad != kernels.Pad(1) {
		t.Errorf("Model has %+v, want the weights' version", l)
	}
}

func TestCompileErrors(t *testing.T) {
	missing := errors.New("no such layer")
	tests := []struct {
		name    string
		weights graph.Weights
		options graph.Options
		want    string
	}{
		{"negative batch", weights.Random(1), graph.Options{Batch: -1}, "graph: small: batch is -1"},
		{"huge batch", weights.Random(1), graph.Options{Batch: math.MaxInt}, "graph: small: batch is"},
		{"too much memory", weights.Random(1), graph.Options{Batch: 1 << 16, KeepAll: true}, "graph: small: batch 65536 needs"},
		{"negative threads", weights.Random(1), graph.Options{Threads: -2}, "graph: small: threads is -2"},
		{"huge threads", weights.Random(1), graph.Options{Threads: math.MaxInt}, "graph: small: threads is"},
		{"failing weights", broken{err: missing}, graph.Options{}, "graph: small: node b: no such layer"},
		{"too few weights", broken{weights: 107, bias: 4}, graph.Options{}, "graph: small: node b: convolution: 107 weights, expected 108"},
		{"too few biases", broken{weights: 108, bias: 3}, graph.Options{}, "graph: small: node b: convolution: 3 biases, expected 4"},
	}
	m := small(layer.Shape{H: 99, W: 99, C: 3}, node("a", layer.Conv{Out: 3, Kernel: 1}), node("b", conv))
	goroutines := runtime.NumGoroutine()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.options.Threads == 0 {
				test.options.Threads = 8
			}
			p, err := graph.Compile(m, test.weights, test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
			if p != nil {
				t.Error("there is a plan beside the error")
			}
			if test.name == "failing weights" && !errors.Is(err, missing) {
				t.Error("the error does not wrap that of the weights")
			}
		})
	}
	checkGoroutines(t, goroutines)
}

// broken are right weights for node a, a 1×1 convolution. Every other node gets so many weights and
// biases, and the error.
type broken struct {
	weights, bias int
	err           error
}

func (b broken) Layer(p graph.Param) (kernels.Weights, error) {
	if p.Node == "a" {
		return kernels.Weights{Values: make([]float32, 9)}, nil
	}
	return kernels.Weights{Values: make([]float32, b.weights), Bias: make([]float32, b.bias)}, b.err
}

func (broken) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }

// TestSharedWeights checks that nodes which share weights compute what nodes with copies of them
// compute, and that the weights are asked for, packed and counted once.
func TestSharedWeights(t *testing.T) {
	nodes := []graph.Node{
		node("a", layer.Conv{Out: 3, Kernel: 3, Pad: kernels.Pad(1)}), node("r", relu),
		node("b", layer.Conv{Out: 3, Kernel: 3, Pad: kernels.Pad(1)}), node("s", relu),
		node("c", layer.Conv{Out: 3, Kernel: 3, Stride: 2}), node("d", layer.Conv{Out: 3, Kernel: 3, Pad: kernels.Pad(1)}),
	}
	m := small(image, nodes...)
	copies := random(t, m)
	for _, n := range []string{"b", "c", "d"} {
		copies[n] = copies["a"]
	}
	want := compile(t, m, copies, graph.Options{})
	run(t, want)
	shared := small(image, slices.Clone(nodes)...)
	for _, i := range []int{2, 4, 5} {
		shared.Nodes[i].Weights = "a"
	}
	p := compile(t, shared, once{stored{"a": copies["a"]}, map[string]bool{}}, graph.Options{})
	run(t, p)
	if !slices.Equal(dense(p.Output()), dense(want.Output())) {
		t.Error("shared weights and copies give different results")
	}
	// a and b are the same problem: there are three packed forms for four nodes.
	if got, all := p.WeightBytes(), want.WeightBytes(); got >= all {
		t.Errorf("%d bytes of weights, %d with copies", got, all)
	}
	params, err := shared.Params()
	if err != nil || len(params) != 1 || params[0].Node != "a" {
		t.Errorf("parameters %v, %v, want those of a", params, err)
	}
	total := int64(0)
	for _, s := range p.Steps() {
		total += s.Cost.Params
	}
	if total != 3*3*9+3 {
		t.Errorf("%d parameters, want %d", total, 3*3*9+3)
	}
	for what, change := range map[string]func(m *graph.Model){
		"expected an earlier node":      func(m *graph.Model) { m.Nodes[0].Weights = "d" },
		"with weights of its own":       func(m *graph.Model) { m.Nodes[4].Weights = "b" },
		"weights of a: relu has none":   func(m *graph.Model) { m.Nodes[1].Weights = "a" },
		"they are [3 3 3 3], expected":  func(m *graph.Model) { m.Nodes[2].Layer = layer.Conv{Out: 3, Kernel: 1} },
		`weights of "r": expected`:      func(m *graph.Model) { m.Nodes[2].Weights = "r" },
		`weights of "nobody": expected`: func(m *graph.Model) { m.Nodes[2].Weights = "nobody" },
	} {
		bad := shared.Clone()
		change(bad)
		if _, err := bad.Infer(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("error %v, want one with %q", err, what)
		}
	}
}

// once are weights that are asked for no more than once.
type once struct {
	stored
	asked map[string]bool
}

func (o once) Layer(p graph.Param) (kernels.Weights, error) {
	if o.asked[p.Node] {
		return kernels.Weights{}, fmt.Errorf("asked for %s again", p.Node)
	}
	o.asked[p.Node] = true
	return o.stored.Layer(p)
}

func (o once) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }
