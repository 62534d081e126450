package graph_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/weights"
)

// small is a model of the given nodes.
func small(input layer.Shape, nodes ...graph.Node) *graph.Model {
	return &graph.Model{Name: "small", Input: input, Nodes: nodes}
}

// node is a row of a table.
func node(name string, l layer.Layer, inputs ...string) graph.Node {
	return graph.Node{Name: name, Layer: l, Inputs: inputs}
}

var (
	image = layer.Shape{H: 9, W: 11, C: 3}
	conv  = layer.Conv{Out: 4, Kernel: 3, Pad: kernels.Pad(1)}
	relu  = layer.ReLU{}
)

// stored are weights by node, made once for several plans.
type stored map[string]kernels.Weights

func (s stored) Layer(p graph.Param) (kernels.Weights, error) {
	return s[p.Node], nil
}

func (s stored) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }

// random returns random weights for m.
func random(t *testing.T, m *graph.Model) stored {
	t.Helper()
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	s := stored{}
	for _, p := range params {
		w, err := weights.Random(1).Layer(p)
		if err != nil {
			t.Fatal(err)
		}
		s[p.Node] = w
	}
	return s
}

// compile compiles a plan and closes it when the test ends.
func compile(t *testing.T, m *graph.Model, w graph.Weights, o graph.Options) *graph.Plan {
	t.Helper()
	p, err := graph.Compile(m, w, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// fill writes seeded values to every pixel of v.
func fill(v kernels.View, seed uint64) {
	values := kerneltest.Random(seed, v.N*v.H*v.W*v.C)
	for n := range v.N {
		for y := range v.H {
			for x := range v.W {
				values = values[copy(kernels.Pixel[float32](v, n, y, x), values):]
			}
		}
	}
}

// poison writes NaN to every pixel of v.
func poison(v kernels.View) {
	for n := range v.N {
		for y := range v.H {
			for x := range v.W {
				kerneltest.Poison(kernels.Pixel[float32](v, n, y, x))
			}
		}
	}
}

// run fills the input and runs the plan.
func run(t *testing.T, p *graph.Plan) {
	t.Helper()
	fill(p.Input(), 2)
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
}

// dense returns the numbers that v's values stand for, in NHWC order.
func dense(v kernels.View) []float64 {
	values := make([]float64, 0, v.N*v.H*v.W*v.C)
	for n := range v.N {
		for y := range v.H {
			for x := range v.W {
				for c := range v.C {
					values = append(values, float64(number(v, n, y, x, c)))
				}
			}
		}
	}
	return values
}

// number returns the number that one of v's values stands for.
func number(v kernels.View, n, y, x, c int) float32 {
	if v.Element == kernels.Uint8 {
		return float32(int32(kernels.At[uint8](v, n, y, x, c))-v.Zero) * v.Scale
	}
	return kernels.At[float32](v, n, y, x, c)
}

// floats returns v with its halo as float32, v itself if it is float32.
func floats(v kernels.View) kernels.View {
	if v.Type == (kernels.Type{}) {
		return v
	}
	f := kernels.NewView(kernels.Type{}, v.N, v.H, v.W, v.C, v.Halo)
	for n := range v.N {
		for y := -v.Halo; y < v.H+v.Halo; y++ {
			for x := -v.Halo; x < v.W+v.Halo; x++ {
				for c := range v.C {
					kernels.Pixel[float32](f, n, y, x)[c] = number(v, n, y, x, c)
				}
			}
		}
	}
	return f
}

// compileKeep compiles m with KeepAll and runs it.
func compileKeep(t *testing.T, m *graph.Model, w graph.Weights, o graph.Options, threads int) *graph.Plan {
	t.Helper()
	o.KeepAll, o.Threads = true, threads
	p := compile(t, m, w, o)
	run(t, p)
	return p
}

// checkReuse compiles keep's model without KeepAll, with up to so many bands whatever the sizes of
// the values. It runs the plan on NaNs first, so that values of the run before would be seen. The
// results must be keep's bit by bit; keep has at least as many images. It returns the plan.
func checkReuse(t *testing.T, keep *graph.Plan, w graph.Weights, o graph.Options, bands int) *graph.Plan {
	t.Helper()
	defer graph.SetBands(bands)()
	p := compile(t, keep.Model(), w, o)
	what := fmt.Sprintf("%v, batch %d, %d threads, up to %d bands: ", o.Algo, p.Input().N, p.Threads(), bands)
	poison(p.Input())
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	run(t, p)
	for _, c := range []struct {
		name      string
		got, want kernels.View
	}{{"input", p.Input(), keep.Input()}, {"logits", p.Logits(), keep.Logits()}, {"output", p.Output(), keep.Output()}} {
		kerneltest.Compare(t, what+c.name, c.got, dense(c.want)[:len(dense(c.got))], nil)
	}
	return p
}

// checkGoroutines waits until there are no more than want goroutines, and reports an error if
// that takes longer than a second.
func checkGoroutines(t *testing.T, want int) {
	t.Helper()
	for range 1000 {
		if runtime.NumGoroutine() <= want {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines, want %d", runtime.NumGoroutine(), want)
}

// same reports whether two views have the same memory.
func same(a, b kernels.View) bool {
	return a.C == b.C && a.SameStart(b)
}

// checkAllocs runs p and reports an error if the second run allocates. It tries several times,
// as the runtime sometimes allocates for itself, when more goroutines wait than ever before or
// after a garbage collection. A plan that allocates would do so every time.
func checkAllocs(t *testing.T, p *graph.Plan) {
	t.Helper()
	n := 1.0
	for tries := 0; n != 0 && tries < 5; tries++ {
		n = testing.AllocsPerRun(1, func() {
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
		})
	}
	if n != 0 {
		t.Errorf("%v allocations a run with %d threads, want 0", n, p.Threads())
	}
}
