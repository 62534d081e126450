package graph_test

import (
	"fmt"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/training"
)

// runTraining fills the input and the target, and runs the plan.
func runTraining(t *testing.T, p *graph.Plan) {
	t.Helper()
	target, ok := p.Node(training.Target)
	if !ok {
		t.Fatal("the values of a feed are overwritten")
	}
	fill(target, 3)
	run(t, p)
}

// TestBandsOfGradients: losses and gradients have the same bits whether all values are kept, or bands of rows
// pass through several layers in any number.
func TestBandsOfGradients(t *testing.T) {
	m := small(layer.Shape{H: 31, W: 20, C: 3}, slices.Concat(
		[]graph.Node{node("a", same5), node("ar", relu), node("n", lrn), node("p", pool3)},
		fire("f", "p", "f.out"), fire("g", "f.out", "g.out"),
		[]graph.Node{node("q", pool3), node("x", same3), node("xr", relu), node("y", layer.Conv{Out: 5, Kernel: 3, Pad: kernels.Padding{Top: 2, Left: 1, Right: 1}}), node("s", layer.Add{}, "xr", "y")},
		[]graph.Node{node("z", one), node("gp", layer.GlobalAvgPool{})},
	)...)
	w := random(t, m)
	backward, _, err := training.Backward(training.BackwardOptions{}).Apply(m, w)
	if err != nil {
		t.Fatal(err)
	}
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, algo := range []string{"direct", "winograd"} {
			o := graph.Options{Set: set, Algo: algo, Train: true}
			for _, way := range []struct{ bands, threads, batch int }{{4, 1, 2}, {100, 2, 4}, {2, 1, 1}, {3, 2, 1}} {
				o.Batch, o.Threads, o.KeepAll = way.batch, way.threads, true
				keep := compile(t, backward, w, o)
				runTraining(t, keep)
				restore := graph.SetBands(way.bands)
				o.KeepAll = false
				p := compile(t, backward, w, o)
				restore()
				poison(p.Input())
				if err := p.Run(); err != nil {
					t.Fatal(err)
				}
				runTraining(t, p)
				if way.batch >= way.threads && len(graph.Slots(p)) < 2 {
					t.Errorf("%d runs of layers in bands, expected some of both passes", len(graph.Slots(p)))
				}
				for i, v := range p.Outputs() {
					kerneltest.Compare(t, fmt.Sprintf("%s, %v: output %s", algo, way, backward.Outputs[i]), v, dense(keep.Outputs()[i]), nil)
				}
			}
		}
	})
}

// TestLoadErrors: plans for inference refuse new weights, and weights that do not fit are refused with the
// node's name.
func TestLoadErrors(t *testing.T) {
	m := small(image, node("a", conv), node("b", conv))
	w := random(t, m)
	if err := compile(t, m, w, graph.Options{}).Load(w); err == nil || err.Error() != "graph: small: the plan has no weights that can be replaced" {
		t.Errorf("Load of a plan for inference: error %v", err)
	}
	p := compile(t, m, w, graph.Options{Train: true})
	bad := stored{"a": w["a"], "b": {Values: w["b"].Values[1:], Bias: w["b"].Bias}}
	if err := p.Load(bad); err == nil || err.Error() != "graph: small: node b: convolution: 143 weights, expected 144 for 4×4×3×3" {
		t.Errorf("Load of weights that do not fit: error %v", err)
	}
	p.Close()
	if err := p.Load(w); err != graph.ErrClosed {
		t.Errorf("Load of a closed plan: error %v", err)
	}
}
