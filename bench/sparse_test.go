package bench

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// A pruned source has some weights of zero, at random places.
type pruned struct {
	graph.Weights
	density float64 // the share of weights that are kept
	rows    bool    // whether weights are kept or not for rowWidth output channels at a time
}

// rowWidth is a multiple of the width of every tile.
const rowWidth = 32

func (p pruned) Layer(param graph.Param) (kernels.Weights, error) {
	w, err := p.Weights.Layer(param)
	if err != nil {
		return kernels.Weights{}, err
	}
	w.Values = slices.Clone(w.Values)
	width := 1
	if p.rows {
		width = rowWidth
	}
	r := rand.New(rand.NewPCG(seed, 0))
	out, k := param.Dims[0], len(w.Values)/param.Dims[0]
	for first := 0; first < out; first += width {
		for i := range k {
			if r.Float64() < p.density {
				continue
			}
			for o := first; o < min(first+width, out); o++ {
				w.Values[o*k+i] = 0
			}
		}
	}
	return w, nil
}

// densities are the shares of weights that are kept. Skipping zeros stops paying between two of them: rows at more
// than the next to last, even beside the direct algorithm.
var densities = []float64{0.1, 0.2, 0.33, 0.5, 0.67, 0.97}

// BenchmarkSparse measures every convolution and dense layer of every network in float32, on its own and with most
// of its weights zero, with each algorithm that can compute it: from where on it pays to skip zeros, and where a
// plan does so.
func BenchmarkSparse(b *testing.B) {
	eachNet(b, func(b *testing.B, n *network) {
		nodes, err := n.Infer()
		if err != nil {
			b.Fatal(err)
		}
		all := source{n.weights, map[string]kernels.Weights{}}
		for _, node := range nodes {
			clear(all.layers) // of the one before
			if _, ok := node.Layer.(layer.Weighted); !ok || len(n.types) < len(numberTypes) {
				continue // no weights, or a file of quantized ones
			}
			sub(b, "layer="+node.Name+"/op="+node.Layer.Op(), func(b *testing.B) {
				m := &graph.Model{Name: n.Name, Input: node.In[0], Nodes: []graph.Node{{Name: node.Name, Layer: node.Layer}}}
				for _, density := range densities {
					for _, pattern := range []string{"vector", "unstructured"} {
						sub(b, fmt.Sprintf("density=%g/pattern=%s", density, pattern), func(b *testing.B) {
							sparseLayer(b, m, source{pruned{all, density, pattern == "vector"}, map[string]kernels.Weights{}})
						})
					}
				}
			})
		}
	})
}

// sparseLayer measures a model of one layer with each algorithm.
func sparseLayer(b *testing.B, m *graph.Model, weights graph.Weights) {
	compile := func(set *kernels.Set, algo string) *graph.Plan {
		p, err := graph.Compile(m, weights, graph.Options{Set: set, Algo: algo, Threads: runtime.GOMAXPROCS(0), KeepAll: true})
		if err != nil {
			b.Fatal(err)
		}
		return p
	}
	sets, err := float32Type.sets()
	if err != nil {
		b.Fatal(err)
	}
	first := compile(sets[0], kernels.Auto)
	candidates := first.Steps()[0].Candidates
	first.Close()
	for _, algo := range candidates {
		sub(b, "algo="+algo, func(b *testing.B) {
			plans := map[planKey]*graph.Plan{} // which are measured again with more iterations
			defer func() {
				for _, p := range plans {
					p.Close()
				}
			}()
			float32Type.eachISA(b, func(b *testing.B, set *kernels.Set) {
				key := planKey{isa: set.ISA, threads: runtime.GOMAXPROCS(0)}
				if plans[key] == nil {
					plans[key] = compile(set, algo)
				}
				p := plans[key]
				s := p.Steps()[0]
				if s.Algo != algo {
					b.Skipf("%v has no %s for this layer", set.ISA, algo)
				}
				fill(p.Input())
				peak := measure(b, float32Type, set, s.Cost, s.Op == "dense", func() error { return p.RunStep(0) })
				b.ReportMetric(busyPercent(peak, s.Executed, s.Cost.MACs), float32Type.busy)
				b.ReportMetric(pick(s), "pick")
			})
		})
	}
}

// TestSparseOutput: a layer is measured with each algorithm that profits from its zeros and with those that do
// not, and one of them is marked as the pick. Among zeros at random places are rows of zeros only where tiles are narrow.
func TestSparseOutput(t *testing.T) {
	for _, pattern := range []string{"vector", "unstructured"} {
		results := output(t, "Sparse/net=squeezenet1.1$/layer=fire9.squeeze1x1$/op=/density=0.2$/pattern="+pattern+"$/algo=/isa="+best(t, float32Type).ISA.String()+"$")
		picks, found := 0.0, 0
		for _, algo := range []string{"direct", "rows", "sparse"} {
			name := fmt.Sprintf("BenchmarkSparse/net=squeezenet1.1/layer=fire9.squeeze1x1/op=conv1x1/density=0.2/pattern=%s/algo=%s/isa=%v", pattern, algo, best(t, float32Type).ISA)
			got := results[name]
			chance := algo == "rows" && pattern == "unstructured"
			if got == nil && !chance {
				t.Fatalf("no %s in %v", name, results)
			}
			if got == nil {
				continue
			}
			found++
			picks += got["pick"]
			// The direct algorithm executes all multiply-adds, the others about the share of those kept.
			share := got["fma-%"] / got["peak-%"]
			if algo == "direct" && share < 1 || algo != "direct" && !chance && (share < 0.1 || share > 0.3) {
				t.Errorf("%s: executes %v of the multiply-adds", name, share)
			}
		}
		if len(results) != found || picks != 1 {
			t.Errorf("%s: %v, expected %d and one pick", pattern, results, found)
		}
	}
}
