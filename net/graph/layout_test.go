package graph_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
)

// layouts are networks with layers that can, or cannot, be fused or placed in a concatenation.
// steps are the nodes that must still be steps.
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
	{"not fused: a concat reads it", []graph.Node{node("a", conv), node("r", relu), node("z", layer.Concat{}, "r", "a")}, "a r"},
	{"not fused: another reader of its dropout", []graph.Node{node("a", conv), node("d", layer.Dropout{}), node("r", relu), node("s", layer.Add{}, "d", "r")}, "a r s"},
	{"dropout only", []graph.Node{node("d", layer.Dropout{})}, ""},
	{"softmax of the input", []graph.Node{node("s", layer.Softmax{})}, "s"},
	{"dropped out softmax", []graph.Node{node("a", conv), node("s", layer.Softmax{}), node("d", layer.Dropout{})}, "a s"},

	{"fire", []graph.Node{
		node("s", layer.Conv{Out: 3, Kernel: 1}), node("s.r", relu),
		node("e1", layer.Conv{Out: 5, Kernel: 1}, "s.r"), node("e1.r", relu),
		node("e3", layer.Conv{Out: 7, Kernel: 3, Pad: kernels.Pad(1)}, "s.r"), node("e3.r", relu),
		node("c", layer.Concat{}, "e1.r", "e3.r"),
		node("z", layer.Conv{Out: 17, Kernel: 5, Pad: kernels.Pad(2)}),
	}, "s e1 e3 z"},
	{"concat of one", []graph.Node{node("a", conv), node("c", layer.Concat{})}, "a"},
	{"concat of the input", []graph.Node{node("a", conv), node("c", layer.Concat{}, "input", "a", "input")}, "a c"},
	{"concat of the input alone", []graph.Node{node("c", layer.Concat{}), node("z", conv)}, "c z"},
	{"concat of a value twice", []graph.Node{node("a", conv), node("c", layer.Concat{}, "a", "a")}, "a c"},
	{"concat with another reader", []graph.Node{node("a", conv), node("b", conv), node("c", layer.Concat{}, "a", "b")}, "a b"},
	{"concat with another concat", []graph.Node{
		node("a", conv), node("b", conv),
		node("c", layer.Concat{}, "a", "b"), node("d", layer.Concat{}, "b", "c"),
	}, "a b d"},
	{"concat of concats", []graph.Node{
		node("a", conv), node("b", layer.MaxPool{Kernel: 3, Pad: kernels.Pad(1)}, "input"), node("c", layer.Concat{}, "b", "a"),
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
		node("conv", layer.Conv{Out: 6, Kernel: 3, Pad: kernels.Pad(1), Groups: 3}, "input"),
		node("max", layer.MaxPool{Kernel: 3, Pad: kernels.Pad(1)}, "input"),
		node("avg", layer.AvgPool{Kernel: 3, Pad: kernels.Pad(1)}, "input"),
		node("lrn", layer.LRN{Size: 3, Alpha: 1, Beta: 0.75, K: 1}, "input"),
		node("relu", relu, "input"),
		node("add", layer.Add{}, "input", "input"),
		node("softmax", layer.Softmax{}, "input"),
		node("ring", layer.Conv{Out: 5, Kernel: 1, Pad: kernels.Pad(1)}, "crop"),
		node("c", layer.Concat{}, "conv", "max", "avg", "lrn", "relu", "add", "softmax", "ring"),
		node("z", layer.Conv{Out: 19, Kernel: 3, Pad: kernels.Pad(2), Stride: 2}),
	}, "crop conv max avg lrn relu add softmax ring z"},
	{"residual", []graph.Node{
		node("a", layer.Conv{Out: 3, Kernel: 3, Pad: kernels.Pad(1)}), node("r", relu),
		node("b", layer.Conv{Out: 3, Kernel: 1}), node("s", layer.Add{}, "r", "b"),
		node("c", layer.Conv{Out: 3, Kernel: 3, Pad: kernels.Pad(1)}), node("t", layer.Add{}, "s", "c"), node("t.r", relu),
	}, "a b s c t"},
	{"parts", []graph.Node{
		node("a", conv), node("p", layer.Slice{First: 1, C: 2}), node("q", layer.Slice{First: 1, C: 1}), node("b", conv, "p"), node("r", relu, "q"),
		node("c", layer.Concat{}, "p", "b", "r"), node("d", layer.Slice{First: 1, C: 3}), node("z", conv),
	}, "a b r c z"},
	{"part of the input, and at the end", []graph.Node{node("p", layer.Slice{First: 1, C: 2}), node("b", conv), node("q", layer.Slice{C: 3})}, "b"},
	{"not fused: a part of it", []graph.Node{node("a", conv), node("p", layer.Slice{First: 1, C: 2}), node("r", relu)}, "a r"},
	{"product", []graph.Node{node("a", conv), node("b", conv, "input"), node("m", layer.Mul{}, "a", "b"), node("r", relu)}, "a b m r"},
	{"different halos", []graph.Node{
		node("a", conv),
		node("k1", layer.Conv{Out: 2, Kernel: 1}, "a"), node("k3", layer.Conv{Out: 2, Kernel: 3, Pad: kernels.Pad(1)}, "a"), node("k7", layer.Conv{Out: 2, Kernel: 7, Pad: kernels.Pad(3)}, "a"),
		node("p", layer.MaxPool{Kernel: 3, Pad: kernels.Pad(1)}, "a"), node("n", layer.LRN{Size: 5, Alpha: 1, Beta: 0.75, K: 2}, "a"), node("r", relu, "a"), node("i", layer.Add{}, "a", "r"),
		node("f", layer.Dense{Out: 1}, "a"), node("g", layer.GlobalAvgPool{}, "a"),
		node("c", layer.Concat{}, "k1", "k3", "k7", "p", "n", "i"), node("cg", layer.GlobalAvgPool{}),
		node("z", layer.Concat{}, "f", "g", "cg"), node("y", layer.Softmax{}),
	}, "a k1 k3 k7 p n r i f g cg y"},
	{"padded 1×1 with stride", []graph.Node{node("a", same3), node("b", layer.Conv{Out: 5, Kernel: 1, Stride: 2, Pad: kernels.Pad(3)}), node("c", same3)}, "a b c"},
	{"padded 1×1", []graph.Node{node("a", layer.Conv{Out: 21, Kernel: 1, Pad: kernels.Pad(2)}), node("r", relu), node("g", layer.GlobalAvgPool{}), node("s", layer.Softmax{})}, "a g s"},
	{"odd pools", []graph.Node{
		node("a", layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true}), node("b", layer.AvgPool{Kernel: 2, Stride: 2, Pad: kernels.Pad(1), Ceil: true}),
		node("c", layer.MaxPool{Kernel: 2, Stride: 3, Pad: kernels.Pad(1), Ceil: true}), node("d", layer.Dense{Out: 33}), node("e", layer.Dense{Out: 2}),
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

// TestOddSizes runs a network with layers of all kinds on images and channels whose numbers are
// no multiples of the sizes of tiles and vectors.
func TestOddSizes(t *testing.T) {
	nodes := []graph.Node{
		node("conv1", layer.Conv{Out: 19, Kernel: 3, Stride: 2, Pad: kernels.Pad(2)}), node("conv1.r", relu),
		node("norm1", layer.LRN{Size: 5, Alpha: 1, Beta: 0.75, K: 1}),
		node("pool1", layer.MaxPool{Kernel: 3, Stride: 2, Pad: kernels.Pad(1), Ceil: true}),
		node("s", layer.Conv{Out: 5, Kernel: 1}), node("s.r", relu),
		node("e1", layer.Conv{Out: 33, Kernel: 1}, "s.r"), node("e1.r", relu),
		node("e3", layer.Conv{Out: 7, Kernel: 3, Pad: kernels.Pad(1)}, "s.r"), node("e3.r", relu),
		node("c", layer.Concat{}, "e1.r", "e3.r"),
		node("k5", layer.Conv{Out: 40, Kernel: 5, Pad: kernels.Pad(2), Groups: 4}),
		node("a", layer.Add{}, "k5", "c"), node("a.r", relu),
		node("pool2", layer.AvgPool{Kernel: 3, Stride: 2, Pad: kernels.Pad(1), Ceil: true}),
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

// checkPlans compiles and runs a small model for every instruction set and algorithm, with
// different numbers of threads and bands. It compares each node with the reference, and the
// results with each other.
func checkPlans(t *testing.T, m *graph.Model, batch int, steps string) {
	t.Helper()
	w := random(t, m)
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
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

// TestGradientHalo: the gradient of the weights of a padded convolution reads the halo of its input.
func TestGradientHalo(t *testing.T) {
	m := small(image, node("a", conv), node("p", layer.MaxPool{Kernel: 1}, "input"), node("g", layer.WeightGradient{Of: conv, In: image}, "p", "a"))
	p := compile(t, m, random(t, m), graph.Options{KeepAll: true, Batch: 2})
	if v, _ := p.Node("p"); v.Halo != 1 {
		t.Errorf("the halo is %d, want 1", v.Halo)
	}
	if v := p.Output(); v.N != 1 || v.C != 4*3*9+4 {
		t.Errorf("the gradient is %v, want one image with %d channels", v, 4*3*9+4)
	}
}

func TestHalo(t *testing.T) {
	m := small(image,
		node("a", layer.Conv{Out: 4, Kernel: 1, Pad: kernels.Pad(1)}),
		node("b", layer.Conv{Out: 4, Kernel: 3, Pad: kernels.Pad(1)}),
		node("c", layer.Conv{Out: 4, Kernel: 5, Pad: kernels.Pad(2)}, "a"),
		node("d", layer.Concat{}, "b", "c"),
		node("e", layer.MaxPool{Kernel: 3, Pad: kernels.Pad(1)}),
		node("f", layer.Conv{Out: 4, Kernel: 7, Pad: kernels.Pad(3)}, "d"),
		node("g", layer.Concat{}, "e", "f"),
	)
	p := compile(t, m, random(t, m), graph.Options{KeepAll: true})
	for name, want := range map[string]int{graph.Input: 0, "a": 2, "b": 3, "c": 3, "d": 3, "e": 0, "f": 0, "g": 0} {
		if v, ok := p.Node(name); !ok || v.Halo != want {
			t.Errorf("the halo of %s is %d, want %d", name, v.Halo, want)
		}
	}
}
