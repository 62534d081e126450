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

// BenchmarkSparse measures every convolution and dense layer of every network, on its own and with most of its
// weights zero, with each algorithm that can compute it: from where on it pays to skip zeros, and where a plan does
// so. Nothing skips single weights among quantized ones: these have rows of zeros alone.
func BenchmarkSparse(b *testing.B) {
	eachNet(b, func(b *testing.B, n *network) {
		nodes, err := n.Infer()
		if err != nil {
			b.Fatal(err)
		}
		for _, node := range nodes {
			if _, ok := node.Layer.(layer.Weighted); !ok || len(n.types) < len(numberTypes) {
				continue // no weights, or a file of quantized ones
			}
			sub(b, "layer="+node.Name+"/op="+node.Layer.Op(), func(b *testing.B) {
				eachType(b, n, func(b *testing.B, typ *numberType) {
					m, weights := plans.layer(b, n, typ, node.Name)
					for _, density := range densities {
						for _, pattern := range []string{"vector", "unstructured"} {
							if pattern == "unstructured" && typ == int8Type {
								continue
							}
							sub(b, fmt.Sprintf("density=%g/pattern=%s", density, pattern), func(b *testing.B) {
								sparseLayer(b, typ, m, source{pruned{weights, density, pattern == "vector"}, map[string]kernels.Weights{}})
							})
						}
					}
				})
			})
		}
	})
}

// layer returns a model of one layer of a network, and its weights.
func (c *planCache) layer(b *testing.B, n *network, typ *numberType, name string) (*graph.Model, graph.Weights) {
	m, weights := c.model(b, n, typ)
	nodes, err := m.Infer()
	if err != nil {
		b.Fatal(err)
	}
	for _, node := range nodes {
		if node.Name == name {
			return &graph.Model{Name: m.Name, Input: node.In[0], Nodes: []graph.Node{{Name: name, Layer: node.Layer}}}, weights
		}
	}
	b.Fatalf("%s has no layer %s in %s", m.Name, name, typ.name)
	return nil, nil
}

// sparseLayer measures a model of one layer with each algorithm.
func sparseLayer(b *testing.B, typ *numberType, m *graph.Model, weights graph.Weights) {
	compile := func(set *kernels.Set, algo string) *graph.Plan {
		p, err := graph.Compile(m, weights, graph.Options{Set: set, Algo: algo, Threads: runtime.GOMAXPROCS(0), KeepAll: true})
		if err != nil {
			b.Fatal(err)
		}
		return p
	}
	sets, err := typ.sets()
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
			typ.eachISA(b, func(b *testing.B, set *kernels.Set) {
				key := planKey{isa: set.ISA, threads: runtime.GOMAXPROCS(0)}
				if plans[key] == nil {
					plans[key] = compile(set, algo)
				}
				p := plans[key]
				s := p.Steps()[0]
				if s.Algo != algo {
					b.Skipf("%v has no %s for this layer", set.ISA, algo)
				}
				typ.fill(p.Input(), rand.New(rand.NewPCG(seed, 0)))
				peak := measure(b, typ, set, s.Cost, s.Op == "dense", func() error { return p.RunStep(0) })
				b.ReportMetric(busyPercent(peak, s.Executed, s.Cost.MACs), typ.busy)
				b.ReportMetric(pick(s), "pick")
			})
		})
	}
}

// TestSparseOutput: a layer is measured with each algorithm that profits from its zeros and with those that do
// not, and one of them is marked as the pick. Among zeros at random places are rows of zeros only where tiles are narrow.
func TestSparseOutput(t *testing.T) {
	defer plans.close()
	for _, c := range []struct {
		typ        *numberType
		pattern    string
		algorithms []string
	}{
		{float32Type, "vector", []string{"direct", "rows", "sparse"}},
		{float32Type, "unstructured", []string{"direct", "rows", "sparse"}},
		{int8Type, "vector", []string{"direct", "rows"}},
	} {
		isa := best(t, c.typ).ISA
		results := output(t, fmt.Sprintf("Sparse/net=squeezenet1.1$/layer=fire9.squeeze1x1$/op=/type=%s$/density=0.2$/pattern=%s$/algo=/isa=%v$", c.typ.name, c.pattern, isa))
		picks, found := 0.0, 0
		for _, algo := range c.algorithms {
			name := fmt.Sprintf("BenchmarkSparse/net=squeezenet1.1/layer=fire9.squeeze1x1/op=conv1x1/type=%s/density=0.2/pattern=%s/algo=%s/isa=%v", c.typ.name, c.pattern, algo, isa)
			got := results[name]
			chance := algo == "rows" && c.pattern == "unstructured"
			if got == nil && !chance {
				t.Fatalf("no %s in %v", name, results)
			}
			if got == nil {
				continue
			}
			found++
			picks += got["pick"]
			// The direct algorithm executes all multiply-adds, the others about the share of those kept.
			share := got[c.typ.busy] / got["peak-%"]
			if algo == "direct" && share < 1 || algo != "direct" && !chance && (share < 0.1 || share > 0.3) {
				t.Errorf("%s: executes %v of the multiply-adds", name, share)
			}
		}
		if len(results) != found || picks != 1 {
			t.Errorf("%s, %s: %v, expected %d and one pick", c.typ.name, c.pattern, results, found)
		}
	}
}
