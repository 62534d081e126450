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

// planCache keeps the plans of one model: sub-benchmarks come in runs that share
// them, and AlexNet's weights fill a quarter of a gigabyte.
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

// maxPlans bounds the memory: every instruction set of one machine with two
// algorithms.
const maxPlans = 6

// source keeps the weights of the model in use: plans of one model follow each
// other, and generating them takes longer than packing.
type source struct {
	graph.Weights
	layers map[string][2][]float32
}

func (s source) Layer(p graph.Param) (w, b []float32, err error) {
	l, ok := s.layers[p.Node]
	if !ok {
		if w, b, err = s.Weights.Layer(p); err != nil {
			return nil, nil, err
		}
		l = [2][]float32{slices.Clone(w), slices.Clone(b)}
		s.layers[p.Node] = l
	}
	return l[0], l[1], nil
}

// get compiles a model with seeded weights and an image, or finds it compiled.
// keepAll makes steps runnable alone; every value is there then.
func (c *planCache) get(b *testing.B, m *graph.Model, set *kernels.Set, algo string, batch int, keepAll bool) *graph.Plan {
	if c.model != m.Name {
		c.close()
		c.model, c.weights = m.Name, source{weights.Random(seed), map[string][2][]float32{}}
	}
	if len(c.plans) >= maxPlans {
		c.drop()
	}
	key := planKey{set.ISA, algo, runtime.GOMAXPROCS(0), batch, keepAll}
	if p := c.plans[key]; p != nil {
		return p
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

// eachNet runs f as a sub-benchmark for every model.
func eachNet(b *testing.B, f func(b *testing.B, m *graph.Model)) {
	for _, m := range models.All() {
		b.Run("net="+m.Name, func(b *testing.B) { f(b, m) })
	}
}

// eachAlgo runs f as a sub-benchmark for every way to choose the convolutions'
// algorithm.
func eachAlgo(b *testing.B, f func(b *testing.B, algo string)) {
	for _, algo := range append([]string{kernels.Auto}, kernels.Algorithms()...) {
		b.Run("algo="+algo, func(b *testing.B) { f(b, algo) })
	}
}

// BenchmarkNet measures whole networks, on one image or a batch of them a run.
func BenchmarkNet(b *testing.B) {
	eachNet(b, func(b *testing.B, m *graph.Model) {
		for _, batch := range []int{1, 8} {
			b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
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
		from := source{weights.Random(seed), map[string][2][]float32{}}
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

// BenchmarkStage measures the parts of a network that work at the same output
// side, so that different networks can be paired.
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
			b.Run("stage="+s.Stage, func(b *testing.B) {
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
// with each algorithm that can compute them; pick is 1 for the one that is chosen.
// Its data is in the cache as far as it fits, which it may not be in the middle of a
// network.
func BenchmarkLayer(b *testing.B) {
	eachNet(b, func(b *testing.B, m *graph.Model) {
		for i, s := range steps(b, m) {
			algos := s.Candidates
			if len(algos) == 0 {
				algos = kernels.Algorithms()[:1]
			}
			for _, algo := range algos {
				b.Run(fmt.Sprintf("layer=%s/op=%s/algo=%v", s.Name, s.Op, algo), func(b *testing.B) {
					eachISA(b, func(b *testing.B, set *kernels.Set) {
						p := plans.get(b, m, set, algo, 1, true)
						s := p.Steps()[i]
						if s.Algo != "" && s.Algo != algo {
							b.Skipf("%v has no %s for this layer", set.ISA, algo)
						}
						peak := measure(b, set, s.Cost, s.Op == "dense", func() error { return p.RunStep(i) })
						if s.Cost.MACs > 0 {
							b.ReportMetric(peak*float64(s.Executed)/float64(s.Cost.MACs), "fma-%")
						}
						if len(s.Candidates) > 1 {
							pick := 0.0
							if s.Pick == algo {
								pick = 1
							}
							b.ReportMetric(pick, "pick")
						}
					})
				})
			}
		}
	})
}

// steps returns what the compiled model executes; that does not depend on the
// instruction set and the algorithms.
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
