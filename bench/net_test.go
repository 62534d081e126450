package bench

import (
	"fmt"
	"math/rand/v2"
	"runtime"
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
	model string
	plans map[planKey]*graph.Plan
}

type planKey struct {
	isa     kernels.ISA
	algo    kernels.Algo
	threads int
	keepAll bool
}

var plans planCache

// get compiles a model with seeded weights and an image, or finds it compiled.
// keepAll makes steps runnable alone; every value is there then.
func (c *planCache) get(b *testing.B, m *graph.Model, set *kernels.Set, algo kernels.Algo, keepAll bool) *graph.Plan {
	if c.model != m.Name {
		c.close()
		c.model = m.Name
	}
	key := planKey{set.ISA, algo, runtime.GOMAXPROCS(0), keepAll}
	if p := c.plans[key]; p != nil {
		return p
	}
	p, err := graph.Compile(m, weights.Random(seed), graph.Options{Set: set, Algo: algo, Threads: key.threads, KeepAll: keepAll})
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	in := p.Input()
	for y := range in.H {
		for x := range in.W {
			px := in.Pixels(0, y, x)
			for i := range px {
				px[i] = float32(r.NormFloat64() * 64) // the spread of pixels minus their mean
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
	for _, p := range c.plans {
		p.Close()
	}
	*c = planCache{plans: map[planKey]*graph.Plan{}}
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
func eachAlgo(b *testing.B, f func(b *testing.B, algo kernels.Algo)) {
	for _, algo := range []kernels.Algo{kernels.Auto, kernels.Direct, kernels.Winograd} {
		b.Run("algo="+algo.String(), func(b *testing.B) { f(b, algo) })
	}
}

// BenchmarkNet measures whole networks: one image a run.
func BenchmarkNet(b *testing.B) {
	eachNet(b, func(b *testing.B, m *graph.Model) {
		eachAlgo(b, func(b *testing.B, algo kernels.Algo) {
			eachISA(b, func(b *testing.B, set *kernels.Set) {
				p := plans.get(b, m, set, algo, false)
				measure(b, set, total(p.Steps()), false, p.Run)
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
				eachAlgo(b, func(b *testing.B, algo kernels.Algo) {
					eachISA(b, func(b *testing.B, set *kernels.Set) {
						p := plans.get(b, m, set, algo, true)
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
			algos := []kernels.Algo{kernels.Direct}
			if s.Winograd {
				algos = append(algos, kernels.Winograd)
			}
			for _, algo := range algos {
				b.Run(fmt.Sprintf("layer=%s/op=%s/algo=%v", s.Name, s.Op, algo), func(b *testing.B) {
					eachISA(b, func(b *testing.B, set *kernels.Set) {
						p := plans.get(b, m, set, algo, true)
						measure(b, set, s.Cost, s.Op == "dense", func() error { return p.RunStep(i) })
						if s.Winograd {
							pick := 0.0
							if plans.get(b, m, set, kernels.Auto, true).Steps()[i].Algo == algo {
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
// instruction set.
func steps(b *testing.B, m *graph.Model) []graph.Step {
	isa, err := kernels.Best()
	if err != nil {
		b.Fatal(err)
	}
	set, err := kernels.For(isa)
	if err != nil {
		b.Fatal(err)
	}
	return plans.get(b, m, set, kernels.Auto, true).Steps()
}

// total adds up the costs of steps.
func total(steps []graph.Step) kernels.Cost {
	var c kernels.Cost
	for _, s := range steps {
		c = c.Add(s.Cost)
	}
	return c
}
