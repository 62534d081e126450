package graph_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/weights"
)

// layouts are networks whose fusing and placing is the point: steps are the nodes
// that must be left.
var layouts = []struct {
	name  string
	nodes []graph.Node
	steps string
}{
	{"conv", []graph.Node{node("a", conv)}, "a"},
	{"fused", []graph.Node{node("a", conv), node("r", relu)}, "a"},
	{"fused twice", []graph.Node{node("a", conv), node("r", relu), node("s", relu)}, "a"},
	{"fused through dropout", []graph.Node{node("a", conv), node("d", layer.Dropout{Rate: 0.5}), node("r", relu), node("e", layer.Dropout{}), node("p", layer.MaxPool{Kernel: 2})}, "a p"},
	{"fused into dense", []graph.Node{node("f", layer.Dense{Out: 5}), node("r", relu)}, "f"},
	{"fused into add", []graph.Node{node("a", conv), node("b", conv, "input"), node("s", layer.Add{}, "a", "b"), node("r", relu)}, "a b s"},
	{"not fused into pool", []graph.Node{node("p", layer.MaxPool{Kernel: 2}), node("r", relu)}, "p r"},
	{"not fused into the input", []graph.Node{node("r", relu)}, "r"},
	{"not fused: another reader", []graph.Node{node("a", conv), node("r", relu), node("s", layer.Add{}, "a", "r")}, "a r s"},
	{"not fused: two ReLUs", []graph.Node{node("a", conv), node("r", relu), node("s", relu, "a"), node("t", layer.Add{}, "r", "s")}, "a r s t"},
	{"not fused: a concat reads it", []graph.Node{node("a", conv), node("r", relu), node("z", layer.Concat{}, "r", "a")}, "a r z"},
	{"not fused: another reader of its dropout", []graph.Node{node("a", conv), node("d", layer.Dropout{}), node("r", relu), node("s", layer.Add{}, "d", "r")}, "a r s"},
	{"dropout only", []graph.Node{node("d", layer.Dropout{})}, ""},
	{"softmax of the input", []graph.Node{node("s", layer.Softmax{})}, "s"},
	{"dropped out softmax", []graph.Node{node("a", conv), node("s", layer.Softmax{}), node("d", layer.Dropout{})}, "a s"},

	{"fire", []graph.Node{
		node("s", layer.Conv{Out: 3, Kernel: 1}), node("s.r", relu),
		node("e1", layer.Conv{Out: 5, Kernel: 1}, "s.r"), node("e1.r", relu),
		node("e3", layer.Conv{Out: 7, Kernel: 3, Pad: 1}, "s.r"), node("e3.r", relu),
		node("c", layer.Concat{}, "e1.r", "e3.r"),
		node("z", layer.Conv{Out: 17, Kernel: 5, Pad: 2}),
	}, "s e1 e3 z"},
	{"concat of one", []graph.Node{node("a", conv), node("c", layer.Concat{})}, "a"},
	{"concat of the input", []graph.Node{node("a", conv), node("c", layer.Concat{}, "input", "a", "input")}, "a c"},
	{"concat of the input alone", []graph.Node{node("c", layer.Concat{}), node("z", conv)}, "c z"},
	{"concat of a value twice", []graph.Node{node("a", conv), node("c", layer.Concat{}, "a", "a")}, "a c"},
	{"concat with another reader", []graph.Node{node("a", conv), node("b", conv), node("c", layer.Concat{}, "a", "b")}, "a b c"},
	{"concat with another concat", []graph.Node{
		node("a", conv), node("b", conv),
		node("c", layer.Concat{}, "a", "b"), node("d", layer.Concat{}, "b", "c"),
	}, "a b c d"},
	{"concat of concats", []graph.Node{
		node("a", conv), node("b", layer.MaxPool{Kernel: 3, Pad: 1}, "input"), node("c", layer.Concat{}, "b", "a"),
		node("d", conv, "c"), node("e", layer.Concat{}, "d", "input"), node("f", layer.Concat{}, "e", "input"),
		node("g", conv),
	}, "a b d e f g"},
	{"concat within concat", []graph.Node{
		node("a", conv), node("b", conv, "input"), node("c", layer.Concat{}, "a", "b"),
		node("d", conv, "input"), node("e", layer.Concat{}, "d", "c"),
		node("f", conv, "input"), node("g", layer.Concat{}, "e", "f"),
		node("z", conv),
	}, "a b d f z"},
	{"concat through ReLU and dropout", []graph.Node{
		node("a", conv), node("r", relu), node("d", layer.Dropout{}),
		node("b", conv, "input"), node("c", layer.Concat{}, "b", "d"), node("e", layer.Dropout{}),
	}, "a b"},
	{"concat of every kind", []graph.Node{
		node("crop", layer.MaxPool{Kernel: 3}),
		node("conv", layer.Conv{Out: 6, Kernel: 3, Pad: 1, Groups: 3}, "input"),
		node("max", layer.MaxPool{Kernel: 3, Pad: 1}, "input"),
		node("avg", layer.AvgPool{Kernel: 3, Pad: 1}, "input"),
		node("lrn", layer.LRN{Size: 3, Alpha: 1, Beta: 0.75, K: 1}, "input"),
		node("relu", relu, "input"),
		node("add", layer.Add{}, "input", "input"),
		node("softmax", layer.Softmax{}, "input"),
		node("ring", layer.Conv{Out: 5, Kernel: 1, Pad: 1}, "crop"),
		node("c", layer.Concat{}, "conv", "max", "avg", "lrn", "relu", "add", "softmax", "ring"),
		node("z", layer.Conv{Out: 19, Kernel: 3, Pad: 2, Stride: 2}),
	}, "crop conv max avg lrn relu add softmax ring z"},
	{"residual", []graph.Node{
		node("a", layer.Conv{Out: 3, Kernel: 3, Pad: 1}), node("r", relu),
		node("b", layer.Conv{Out: 3, Kernel: 1}), node("s", layer.Add{}, "r", "b"),
		node("c", layer.Conv{Out: 3, Kernel: 3, Pad: 1}), node("t", layer.Add{}, "s", "c"), node("t.r", relu),
	}, "a b s c t"},
	{"different halos", []graph.Node{
		node("a", conv),
		node("k1", layer.Conv{Out: 2, Kernel: 1}, "a"), node("k3", layer.Conv{Out: 2, Kernel: 3, Pad: 1}, "a"), node("k7", layer.Conv{Out: 2, Kernel: 7, Pad: 3}, "a"),
		node("p", layer.MaxPool{Kernel: 3, Pad: 1}, "a"), node("n", layer.LRN{Size: 5, Alpha: 1, Beta: 0.75, K: 2}, "a"), node("r", relu, "a"), node("i", layer.Add{}, "a", "r"),
		node("f", layer.Dense{Out: 1}, "a"), node("g", layer.GlobalAvgPool{}, "a"),
		node("c", layer.Concat{}, "k1", "k3", "k7", "p", "n", "i"), node("cg", layer.GlobalAvgPool{}),
		node("z", layer.Concat{}, "f", "g", "cg"), node("y", layer.Softmax{}),
	}, "a k1 k3 k7 p n r i f g cg y"},
	{"padded 1×1 with stride", []graph.Node{node("a", same3), node("b", layer.Conv{Out: 5, Kernel: 1, Stride: 2, Pad: 3}), node("c", same3)}, "a b c"},
	{"padded 1×1", []graph.Node{node("a", layer.Conv{Out: 21, Kernel: 1, Pad: 2}), node("r", relu), node("g", layer.GlobalAvgPool{}), node("s", layer.Softmax{})}, "a g s"},
	{"odd pools", []graph.Node{
		node("a", layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true}), node("b", layer.AvgPool{Kernel: 2, Stride: 2, Pad: 1, Ceil: true}),
		node("c", layer.MaxPool{Kernel: 2, Stride: 3, Pad: 1, Ceil: true}), node("d", layer.Dense{Out: 33}), node("e", layer.Dense{Out: 2}),
	}, "a b c d e"},
}

// stepNames returns the names of a plan's steps.
func stepNames(p *graph.Plan) string {
	var names []string
	for _, s := range p.Steps() {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

func TestLayouts(t *testing.T) {
	inputs := []layer.Shape{image, {H: 16, W: 3, C: 3}, {H: 7, W: 28, C: 3}}
	if testing.Short() {
		inputs = inputs[:1]
	}
	for _, test := range layouts {
		t.Run(test.name, func(t *testing.T) {
			for _, input := range inputs {
				for _, batch := range []int{1, 3} {
					checkPlans(t, small(input, test.nodes...), batch, test.steps)
				}
			}
		})
	}
}

// TestOddSizes runs a network of all kinds on images and channels that are no
// multiples of anything.
func TestOddSizes(t *testing.T) {
	nodes := []graph.Node{
		node("conv1", layer.Conv{Out: 19, Kernel: 3, Stride: 2, Pad: 2}), node("conv1.r", relu),
		node("norm1", layer.LRN{Size: 5, Alpha: 1, Beta: 0.75, K: 1}),
		node("pool1", layer.MaxPool{Kernel: 3, Stride: 2, Pad: 1, Ceil: true}),
		node("s", layer.Conv{Out: 5, Kernel: 1}), node("s.r", relu),
		node("e1", layer.Conv{Out: 33, Kernel: 1}, "s.r"), node("e1.r", relu),
		node("e3", layer.Conv{Out: 7, Kernel: 3, Pad: 1}, "s.r"), node("e3.r", relu),
		node("c", layer.Concat{}, "e1.r", "e3.r"),
		node("k5", layer.Conv{Out: 40, Kernel: 5, Pad: 2, Groups: 4}),
		node("a", layer.Add{}, "k5", "c"), node("a.r", relu),
		node("pool2", layer.AvgPool{Kernel: 3, Stride: 2, Pad: 1, Ceil: true}),
		node("fc1", layer.Dense{Out: 65}), node("fc1.r", relu), node("drop", layer.Dropout{Rate: 0.5}),
		node("fc2", layer.Dense{Out: 11}),
		node("prob", layer.Softmax{}),
	}
	const steps = "conv1 norm1 pool1 s e1 e3 k5 a pool2 fc1 fc2 prob"
	for _, input := range []layer.Shape{{H: 1, W: 1, C: 1}, {H: 1, W: 29, C: 2}, {H: 31, W: 2, C: 17}, {H: 13, W: 14, C: 5}, {H: 19, W: 33, C: 3}, {H: 32, W: 31, C: 16}} {
		t.Run(fmt.Sprint(input), func(t *testing.T) {
			checkPlans(t, small(input, nodes...), 1, steps)
			checkPlans(t, small(input, nodes...), 2, steps)
		})
	}
}

// checkPlans compiles and runs a small model in all ways, and compares each node
// with the reference and the ways with each other.
func checkPlans(t *testing.T, m *graph.Model, batch int, steps string) {
	t.Helper()
	w := random(t, m)
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, algo := range kernels.Algorithms() {
			o := graph.Options{Set: set, Algo: algo, Batch: batch}
			keep := compileKeep(t, m, w, o, 1)
			if got := stepNames(keep); got != steps {
				t.Errorf("steps are %q, want %q", got, steps)
			}
			checkNodes(t, keep, w, math.MaxInt)
			checkNodes(t, compileKeep(t, m, w, o, 3), w, math.MaxInt)
			for _, way := range []struct{ threads, bands int }{{1, 1}, {1, 100}, {3, 2}} {
				o.Threads = way.threads
				checkReuse(t, keep, w, o, way.bands)
			}
		}
	})
}

// compileKeep compiles m with KeepAll and runs it.
func compileKeep(t *testing.T, m *graph.Model, w graph.Weights, o graph.Options, threads int) *graph.Plan {
	t.Helper()
	o.KeepAll, o.Threads = true, threads
	p := compile(t, m, w, o)
	run(t, p)
	return p
}

// checkReuse compiles keep's model with reuse of memory, and up to so many bands for
// values of any size. On what a run on NaNs left behind, its results must be keep's,
// which has at least as many images, bit by bit. It returns the plan.
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

func TestHalo(t *testing.T) {
	m := small(image,
		node("a", layer.Conv{Out: 4, Kernel: 1, Pad: 1}),
		node("b", layer.Conv{Out: 4, Kernel: 3, Pad: 1}),
		node("c", layer.Conv{Out: 4, Kernel: 5, Pad: 2}, "a"),
		node("d", layer.Concat{}, "b", "c"),
		node("e", layer.MaxPool{Kernel: 3, Pad: 1}),
		node("f", layer.Conv{Out: 4, Kernel: 7, Pad: 3}, "d"),
		node("g", layer.Concat{}, "e", "f"),
	)
	p := compile(t, m, random(t, m), graph.Options{KeepAll: true})
	for name, want := range map[string]int{graph.Input: 0, "a": 2, "b": 3, "c": 3, "d": 3, "e": 0, "f": 0, "g": 0} {
		if v, ok := p.Node(name); !ok || v.Halo != want {
			t.Errorf("the halo of %s is %d, want %d", name, v.Halo, want)
		}
	}
}

// TestManyProcessors: GOMAXPROCS does not go beyond the limit for threads.
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

func TestSteps(t *testing.T) {
	m := small(image,
		node("conv1", conv), node("conv1.r", relu),
		node("pool", layer.MaxPool{Kernel: 9}),
		node("conv2", layer.Conv{Out: 2, Kernel: 1}),
		node("cat", layer.Concat{}, "pool", "conv2"),
		node("fc", layer.Dense{Out: 10}),
	)
	m.Head = "fc"
	in, mid, row := image.Elems(), 9*11*4, 3
	cost := func(params, macs, elems int) kernels.Cost {
		return kernels.Cost{Params: int64(params), MACs: int64(5 * macs), Weights: int64(4 * params), Activations: int64(4 * 5 * elems)}
	}
	want := []graph.Step{
		{Name: "conv1", Op: "conv3x3", Stage: "stem", Out: layer.Shape{H: 9, W: 11, C: 4}, Cost: cost(4*27+4, mid*27, in+mid), Candidates: []string{"direct", "winograd"}},
		{Name: "pool", Op: "maxpool", Stage: "1x3", Out: layer.Shape{H: 1, W: 3, C: 4}, Cost: cost(0, 0, mid+4*row)},
		{Name: "conv2", Op: "conv1x1", Stage: "1x3", Out: layer.Shape{H: 1, W: 3, C: 2}, Cost: cost(8+2, 2*row*4, 4*row+2*row), Algo: "direct", Candidates: []string{"direct"}, Pick: "direct"},
		// conv2 is in place, pool has another reader and is copied.
		{Name: "cat", Op: "concat", Stage: "1x3", Out: layer.Shape{H: 1, W: 3, C: 6}, Cost: cost(0, 0, 2*4*row)},
		{Name: "fc", Op: "dense", Stage: "head", Out: layer.Shape{H: 1, W: 1, C: 10}, Cost: cost(6*row*10+10, 6*row*10, 6*row+10), Algo: "direct", Candidates: []string{"direct"}, Pick: "direct"},
	}
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		pick := kernels.Pick(set, kernels.Problem{ConvShape: conv.ConvShape(image), H: image.H, W: image.W, ReLU: true})
		want[0].Pick = pick
		for algo, picked := range map[string]string{
			kernels.Auto: pick,
			"direct":     "direct",
			"winograd":   "winograd",
		} {
			want[0].Algo = picked
			// Four and two channels take the narrow tile, ten as many as come up to it.
			narrow := set.F32.Narrow.Width
			columns := func(out int) int {
				return min((out+narrow-1)/narrow*narrow, (out+set.F32.Wide.Width-1)/set.F32.Wide.Width*set.F32.Wide.Width)
			}
			direct := mid / 4 * 27 * columns(4)
			if picked == "winograd" {
				direct = 36 * 3 * 3 * 3 * columns(4) // tiles of 4×4 over 9×11
			}
			for i, n := range []int{direct, 0, row * 4 * columns(2), 0, 6 * row * columns(10)} {
				want[i].Executed = int64(5 * n)
			}
			p := compile(t, m, random(t, m), graph.Options{Set: set, Algo: algo, Batch: 5})
			got := p.Steps()
			if len(got) != len(want) {
				t.Fatalf("steps are %+v, want %+v", got, want)
			}
			for i := range want {
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Errorf("%v: step %d is\n%+v, want\n%+v", algo, i, got[i], want[i])
				}
			}
			got[0].Name = "scribble"
			if !reflect.DeepEqual(p.Steps()[0], want[0]) {
				t.Error("Steps returns the plan's own slice")
			}
		}
	})
}

// TestPick checks that a plan takes the algorithm that kernels.Pick names, for a
// network that has layers of each.
func TestPick(t *testing.T) {
	m := small(layer.Shape{H: 40, W: 40, C: 3},
		node("few", layer.Conv{Out: 64, Kernel: 3, Pad: 1}),
		node("many", layer.Conv{Out: 64, Kernel: 3, Pad: 1}),
		node("flat", layer.Conv{Out: 16, Kernel: 1}),
		node("tiny", layer.Conv{Out: 16, Kernel: 39}),
	)
	infos, err := m.Infer()
	if err != nil {
		t.Fatal(err)
	}
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
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

func TestNode(t *testing.T) {
	m := small(image, node("a", conv), node("r", relu), node("b", conv), node("s", layer.Softmax{}))
	p := compile(t, m, random(t, m), graph.Options{})
	run(t, p)
	for name, want := range map[string]kernels.View{graph.Input: p.Input(), "b": p.Logits(), "s": p.Output()} {
		if v, ok := p.Node(name); !ok || !same(v, want) {
			t.Errorf("Node(%s) = %v, %v, want %v", name, v, ok, want)
		}
	}
	for _, name := range []string{"a", "r", "", "c"} {
		if v, ok := p.Node(name); ok {
			t.Errorf("Node(%q) = %v, want none", name, v)
		}
	}

	keep := compile(t, m, random(t, m), graph.Options{KeepAll: true})
	a, okA := keep.Node("a")
	r, okR := keep.Node("r")
	if !okA || !okR || !same(a, r) {
		t.Errorf("a layer and the ReLU fused into it have the values %v and %v", a, r)
	}

	m = small(image, node("a", conv))
	bare := compile(t, m, random(t, m), graph.Options{})
	if !same(bare.Logits(), bare.Output()) {
		t.Error("without a softmax, Logits is not Output")
	}
}

// padded adapts models as the published weights of SqueezeNet v1.0 do.
type padded struct{ graph.Weights }

func (padded) Adapt(m *graph.Model) *graph.Model {
	return small(m.Input, node("a", layer.Conv{Out: 4, Kernel: 1, Pad: 1}))
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
	if l := p.Model().Nodes[0].Layer.(layer.Conv); l.Pad != 1 {
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

// broken are weights for one 1×1 layer, a, and something else for the next.
type broken struct {
	weights, bias int
	err           error
}

func (b broken) Layer(p graph.Param) (w, bias []float32, err error) {
	if p.Node == "a" {
		return make([]float32, 9), make([]float32, 3), nil
	}
	return make([]float32, b.weights), make([]float32, b.bias), b.err
}

func (broken) Adapt(m *graph.Model) *graph.Model { return m }

// checkGoroutines reports an error if there are more than want goroutines and
// they do not go away.
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
