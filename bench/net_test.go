package bench

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/weights"
)

// seed makes every run use the same weights and images.
const seed = 1

// A planCache keeps the plans of one model: benchmarks that follow each other share
// them. It does not keep those of several, because AlexNet's weights fill a quarter of a
// gigabyte.
type planCache struct {
	model   string
	weights source
	plans   map[planKey]*graph.Plan
}

type planKey struct {
	isa     kernels.ISA
	algo    string
	threads int
	batch   int
	keepAll bool
}

var plans planCache

// maxPlans bounds the memory: three instruction sets with two algorithms.
const maxPlans = 6

// A source keeps the weights of the model in use for its next plan: generating them
// takes longer than packing them.
type source struct {
	graph.Weights
	layers map[string]kernels.Weights
}

func (s source) Layer(p graph.Param) (kernels.Weights, error) {
	l, ok := s.layers[p.Node]
	if !ok {
		var err error
		if l, err = s.Weights.Layer(p); err != nil {
			return kernels.Weights{}, err
		}
		l.Values, l.Bias = slices.Clone(l.Values), slices.Clone(l.Bias)
		s.layers[p.Node] = l
	}
	return l, nil
}

// get returns the plan of a model with random weights and a random image, which has run
// once. keepAll is graph.Options.KeepAll: each step can then run alone.
func (c *planCache) get(b testing.TB, m *graph.Model, set *kernels.Set, algo string, batch int, keepAll bool) *graph.Plan {
	if c.model != m.Name {
		c.close()
		c.model, c.weights = m.Name, source{weights.Random(seed), map[string]kernels.Weights{}}
	}
	key := planKey{set.ISA, algo, runtime.GOMAXPROCS(0), batch, keepAll}
	if p := c.plans[key]; p != nil {
		return p
	}
	if len(c.plans) >= maxPlans {
		c.drop()
	}
	p, err := graph.Compile(m, c.weights, graph.Options{Set: set, Algo: algo, Threads: key.threads, Batch: batch, KeepAll: keepAll})
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	in := p.Input()
	for n := range in.N {
		for y := range in.H {
			for x := range in.W {
				px := kernels.Pixel[float32](in, n, y, x)
				for i := range px {
					px[i] = float32(r.NormFloat64() * 64) // the spread of pixels minus their mean
				}
			}
		}
	}
	if err := p.Run(); err != nil {
		b.Fatal(err)
	}
	c.plans[key] = p
	return p
}

func (c *planCache) close() {
	c.drop()
	c.model, c.weights = "", source{}
}

func (c *planCache) drop() {
	for _, p := range c.plans {
		p.Close()
	}
	c.plans = map[planKey]*graph.Plan{}
	runtime.GC() // before the next quarter gigabyte
}

// BenchmarkNet measures whole networks; a run computes one image or a batch of them.
func BenchmarkNet(b *testing.B) {
	eachNet(b, func(b *testing.B, m *graph.Model) {
		for _, batch := range []int{1, 8} {
			sub(b, fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
				eachAlgo(b, func(b *testing.B, algo string) {
					eachISA(b, func(b *testing.B, set *kernels.Set) {
						p := plans.get(b, m, set, algo, batch, false)
						measure(b, set, total(p.Steps()), false, p.Run)
					})
				})
			})
		}
	})
}

// BenchmarkCompile measures what comes before the first run: packing weights, or
// transforming them, and planning.
func BenchmarkCompile(b *testing.B) {
	eachNet(b, func(b *testing.B, m *graph.Model) {
		from := source{weights.Random(seed), map[string]kernels.Weights{}}
		eachAlgo(b, func(b *testing.B, algo string) {
			eachISA(b, func(b *testing.B, set *kernels.Set) {
				for range b.N {
					p, err := graph.Compile(m, from, graph.Options{Set: set, Algo: algo})
					if err != nil {
						b.Fatal(err)
					}
					p.Close()
				}
			})
		})
	})
}

// BenchmarkStage measures runs of layers whose outputs have one height and width, so that
// different networks can be compared part by part.
func BenchmarkStage(b *testing.B) {
	eachNet(b, func(b *testing.B, m *graph.Model) {
		byStage := map[string][]graph.Step{}
		for _, s := range steps(b, m) {
			byStage[s.Stage] = append(byStage[s.Stage], s)
		}
		for _, s := range steps(b, m) {
			if s.Name != byStage[s.Stage][0].Name {
				continue
			}
			sub(b, "stage="+s.Stage, func(b *testing.B) {
				eachAlgo(b, func(b *testing.B, algo string) {
					eachISA(b, func(b *testing.B, set *kernels.Set) {
						p := plans.get(b, m, set, algo, 1, true)
						measure(b, set, total(byStage[s.Stage]), false, func() error { return p.RunStage(s.Stage) })
					})
				})
			})
		}
	})
}

// BenchmarkLayer measures every layer of every network on its own, convolutions
// with each algorithm that can compute them. A layer that runs alone finds its data in
// the cache as far as that fits; in the middle of a network it may not.
func BenchmarkLayer(b *testing.B) {
	eachNet(b, func(b *testing.B, m *graph.Model) {
		for i, s := range steps(b, m) {
			algos := s.Candidates
			if len(algos) == 0 {
				algos = kernels.Algorithms()[:1]
			}
			for _, algo := range algos {
				sub(b, fmt.Sprintf("layer=%s/op=%s/algo=%v", s.Name, s.Op, algo), func(b *testing.B) {
					eachISA(b, func(b *testing.B, set *kernels.Set) {
						p := plans.get(b, m, set, algo, 1, true)
						s := p.Steps()[i]
						if s.Algo != "" && s.Algo != algo {
							b.Skipf("%v has no %s for this layer", set.ISA, algo)
						}
						peak := measure(b, set, s.Cost, s.Op == "dense", func() error { return p.RunStep(i) })
						if s.Cost.MACs > 0 {
							b.ReportMetric(fmaPercent(peak, s.Executed, s.Cost.MACs), "fma-%")
						}
						if len(s.Candidates) > 1 {
							b.ReportMetric(pick(s), "pick")
						}
					})
				})
			}
		}
	})
}

// pick is 1 if a plan would use the step's algorithm by itself, 0 if another.
func pick(s graph.Step) float64 {
	if s.Algo == s.Pick {
		return 1
	}
	return 0
}

// steps returns the steps of a plan. Their names and costs depend neither on the
// instruction set nor on the algorithms.
func steps(b *testing.B, m *graph.Model) []graph.Step {
	isa, err := kernels.Best()
	if err != nil {
		b.Fatal(err)
	}
	set, err := kernels.For(isa)
	if err != nil {
		b.Fatal(err)
	}
	return plans.get(b, m, set, kernels.Algorithms()[0], 1, true).Steps()
}

// total adds up the costs of steps.
func total(steps []graph.Step) kernels.Cost {
	var c kernels.Cost
	for _, s := range steps {
		c = c.Add(s.Cost)
	}
	return c
}

// TestPlanCache: plans are compiled once as long as there are not too many.
func TestPlanCache(t *testing.T) {
	defer plans.close()
	m, err := models.Lookup("squeezenet1.1")
	if err != nil {
		t.Fatal(err)
	}
	isa, err := kernels.Best()
	if err != nil {
		t.Fatal(err)
	}
	set, err := kernels.For(isa)
	if err != nil {
		t.Fatal(err)
	}
	get := func() (got []*graph.Plan) {
		for batch := range maxPlans {
			got = append(got, plans.get(t, m, set, kernels.Algorithms()[0], batch+1, false))
		}
		return got
	}
	if first, second := get(), get(); !slices.Equal(first, second) {
		t.Errorf("%d plans are compiled anew", maxPlans)
	}
}
