package bench

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/net/compression"
	"firebench/net/graph"
	"firebench/net/training"
)

// seed makes every run use the same weights and images.
const seed = 1

// A planCache keeps the plans of one network: benchmarks that follow each other share
// them. It does not keep those of several, because AlexNet's weights fill a quarter of a
// gigabyte.
type planCache struct {
	network   *network
	weights   source
	quantized *quantized // nil until it is needed
	plans     map[planKey]*graph.Plan
}

// A quantized network is made of one in float32, with the types that it needs for the image that the
// benchmarks run on.
type quantized struct {
	model   *graph.Model
	weights graph.Weights
}

type planKey struct {
	typ     *numberType
	isa     kernels.ISA
	algo    string
	threads int
	batch   int
	keepAll bool
	weights kernels.WeightsType
	train   bool // with gradients
}

var plans planCache

// maxPlans bounds the memory: four instruction sets with two algorithms. Plans with gradients take several times as much
// of it: there are at most maxTraining among them.
const maxPlans, maxTraining = 8, 2

// A source keeps the weights of the network in use for its next plan: generating or reading them
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
		l.Values, l.Bias, l.Scales = slices.Clone(l.Values), slices.Clone(l.Bias), slices.Clone(l.Scales)
		s.layers[p.Node] = l
	}
	return l, nil
}

// get returns the plan of a network of a type with a random image, which has run once. keepAll is graph.Options.KeepAll: each step can then run alone.
func (c *planCache) get(b testing.TB, n *network, t *numberType, set *kernels.Set, algo string, batch int, keepAll bool) *graph.Plan {
	return c.compiled(b, n, set, planKey{typ: t, isa: set.ISA, algo: algo, threads: runtime.GOMAXPROCS(0), batch: batch, keepAll: keepAll})
}

// compiled does so for the kernels of set, which key names.
func (c *planCache) compiled(b testing.TB, n *network, set *kernels.Set, key planKey) *graph.Plan {
	m, w := c.model(b, n, key.typ)
	if p := c.plans[key]; p != nil {
		return p
	}
	if len(c.plans) >= maxPlans || key.train && c.trainings() >= maxTraining {
		c.drop()
	}
	var err error
	if key.train {
		if m, w, err = training.Backward(training.BackwardOptions{}).Apply(m, w); err != nil {
			b.Skip(err) // a file may have layers without gradients
		}
	}
	p, err := graph.Compile(m, w, graph.Options{Set: set, Algo: key.algo, WeightsType: key.weights, Threads: key.threads, Batch: key.batch, KeepAll: key.keepAll, Train: key.train})
	if err != nil {
		b.Fatal(err)
	}
	if key.train {
		target, _ := p.Node(training.Target)
		aim(target)
	}
	fill(p.Input())
	if err := p.Run(); err != nil {
		b.Fatal(err)
	}
	c.plans[key] = p
	return p
}

// training returns the plan of a network in float32 with its gradients, which has run once on random images. Each step can run alone.
func (c *planCache) training(b testing.TB, n *network, set *kernels.Set, algo string) *graph.Plan {
	return c.compiled(b, n, set, planKey{typ: float32Type, isa: set.ISA, algo: algo, threads: runtime.GOMAXPROCS(0), batch: layerBatch, keepAll: true, train: true})
}

// trainings returns how many plans have gradients.
func (c *planCache) trainings() int {
	n := 0
	for key := range c.plans {
		if key.train {
			n++
		}
	}
	return n
}

// model returns the model of a network and a type with its weights, and drops the plans of others.
func (c *planCache) model(b testing.TB, n *network, t *numberType) (*graph.Model, graph.Weights) {
	if c.network != n {
		c.close()
		c.network, c.weights = n, source{n.weights, map[string]kernels.Weights{}}
	}
	if t == n.types[0] { // as the table has it
		return n.Model, c.weights
	}
	if c.quantized == nil {
		calibration, err := compression.Calibrate(n.Model, c.weights, compression.Default, image(n.Model), graph.Options{})
		if err != nil {
			b.Fatal(err)
		}
		q := &quantized{}
		if q.model, q.weights, err = compression.Quantize(calibration, compression.Options{}).Apply(n.Model, c.weights); err != nil {
			b.Fatal(err)
		}
		c.quantized = q
	}
	return c.quantized.model, c.quantized.weights
}

// image is the image that the benchmarks run on, the first of a batch.
func image(m *graph.Model) iter.Seq2[kernels.View, error] {
	return func(yield func(kernels.View, error) bool) {
		v := kernels.NewView(m.Input.Type, 1, m.Input.H, m.Input.W, m.Input.C, 0)
		fill(v)
		yield(v, nil)
	}
}

// fill makes random images.
func fill(v kernels.View) {
	r := rand.New(rand.NewPCG(seed, 0))
	for n := range v.N {
		for y := range v.H {
			for x := range v.W {
				px := kernels.Pixel[float32](v, n, y, x)
				for i := range px {
					px[i] = float32(r.NormFloat64() * 64) // the spread of pixels minus their mean
				}
			}
		}
	}
}

func (c *planCache) close() {
	c.drop()
	c.network, c.weights, c.quantized = nil, source{}, nil
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
	eachNet(b, func(b *testing.B, n *network) {
		for _, batch := range []int{1, 8} {
			sub(b, fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
				eachType(b, n, func(b *testing.B, t *numberType) {
					eachAlgo(b, n, t, func(b *testing.B, algo string) {
						t.eachISA(b, func(b *testing.B, set *kernels.Set) {
							p := plans.get(b, n, t, set, algo, batch, false)
							measure(b, t, set, total(p.Steps()), false, p.Run)
						})
					})
				})
			})
		}
	})
}

// BenchmarkCompile measures what comes before the first run: quantizing weights, packing
// or transforming them, and planning.
func BenchmarkCompile(b *testing.B) {
	eachNet(b, func(b *testing.B, n *network) {
		eachType(b, n, func(b *testing.B, t *numberType) {
			eachAlgo(b, n, t, func(b *testing.B, algo string) {
				t.eachISA(b, func(b *testing.B, set *kernels.Set) {
					m, w := plans.model(b, n, t)
					b.ResetTimer()
					for range b.N {
						p, err := graph.Compile(m, w, graph.Options{Set: set, Algo: algo})
						if err != nil {
							b.Fatal(err)
						}
						p.Close()
					}
				})
			})
		})
	})
}

// BenchmarkWeightsType measures the networks that have layers whose weights may be of another type than
// float32, with each type of weights. Their error is the largest of a layer, see graph.Step.
func BenchmarkWeightsType(b *testing.B) {
	eachNet(b, func(b *testing.B, n *network) {
		for _, weights := range kernels.WeightsTypes() {
			sub(b, fmt.Sprintf("batch=1/type=%s/weights=%v", float32Type.name, weights), func(b *testing.B) {
				float32Type.eachISA(b, func(b *testing.B, set *kernels.Set) {
					p := plans.compiled(b, n, set, planKey{typ: float32Type, isa: set.ISA, algo: kernels.Auto, threads: runtime.GOMAXPROCS(0), batch: 1, weights: weights})
					off, found := 0.0, weights == kernels.Float32Weights
					for _, s := range p.Steps() {
						off = max(off, s.WeightsError)
						found = found || s.WeightsType == weights
					}
					if !found {
						b.Skipf("%s has no dense layers", n.Name)
					}
					measure(b, float32Type, set, total(p.Steps()), false, p.Run)
					b.ReportMetric(100*off, "weights-error-%")
				})
			})
		}
	})
}

// BenchmarkStage measures runs of layers whose outputs have one height and width, so that
// different networks can be compared part by part.
func BenchmarkStage(b *testing.B) {
	eachNet(b, func(b *testing.B, n *network) {
		for _, t := range n.types {
			byStage := map[string][]graph.Step{}
			for _, s := range steps(b, n, t) {
				byStage[s.Stage] = append(byStage[s.Stage], s)
			}
			for _, s := range steps(b, n, t) {
				if s.Name != byStage[s.Stage][0].Name {
					continue
				}
				sub(b, fmt.Sprintf("stage=%s/type=%s", s.Stage, t.name), func(b *testing.B) {
					eachAlgo(b, n, t, func(b *testing.B, algo string) {
						t.eachISA(b, func(b *testing.B, set *kernels.Set) {
							p := plans.get(b, n, t, set, algo, 1, true)
							measure(b, t, set, total(byStage[s.Stage]), false, func() error { return p.RunStage(s.Stage) })
						})
					})
				})
			}
		}
	})
}

// BenchmarkLayer measures every layer of every network on its own, convolutions
// with each algorithm that can compute them. A layer that runs alone finds its data in
// the cache as far as that fits; in the middle of a network it may not. Layers have the same
// names in all types; some are in int8 alone, those that convert values. The passes of a layer in training are measured
// on a batch: forward, and the gradients by its input and its weights.
func BenchmarkLayer(b *testing.B) {
	eachNet(b, func(b *testing.B, n *network) {
		for _, t := range n.types { // not within a layer: all plans of both would be in memory
			for i, s := range steps(b, n, t) {
				algos := s.Candidates
				if len(algos) == 0 {
					algos = kernels.Algorithms()[:1]
				}
				for _, algo := range algos {
					sub(b, fmt.Sprintf("layer=%s/op=%s/type=%s/algo=%v", s.Name, s.Op, t.name, algo), func(b *testing.B) {
						t.eachISA(b, func(b *testing.B, set *kernels.Set) {
							p := plans.get(b, n, t, set, algo, 1, true)
							s := p.Steps()[i]
							if s.Algo != "" && s.Algo != algo {
								b.Skipf("%v has no %s for this layer", set.ISA, algo)
							}
							peak := measure(b, t, set, s.Cost, s.Op == "dense", func() error { return p.RunStep(i) })
							if s.Cost.MACs > 0 {
								b.ReportMetric(busyPercent(peak, s.Executed, s.Cost.MACs), t.busy)
							}
							if len(s.Candidates) > 1 {
								b.ReportMetric(pick(s), "pick")
							}
						})
					})
				}
			}
		}
		if slices.Contains(n.types, float32Type) {
			infos, err := n.Infer()
			if err != nil {
				b.Fatal(err)
			}
			for _, info := range infos {
				benchmarkPasses(b, n, info.Name, info.Layer.Op())
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
func steps(b *testing.B, n *network, t *numberType) []graph.Step {
	sets, err := t.sets()
	if err != nil {
		b.Fatal(err)
	}
	return plans.get(b, n, t, sets[0], kernels.Algorithms()[0], 1, true).Steps()
}

// total adds up the costs of steps.
func total(steps []graph.Step) kernels.Cost {
	var c kernels.Cost
	for _, s := range steps {
		c = c.Add(s.Cost)
	}
	return c
}

// TestPlanCache: plans are compiled once as long as there are not too many, each type's apart.
func TestPlanCache(t *testing.T) {
	defer plans.close()
	n := lookup(t, "squeezenet1.1")
	isa, err := kernels.Best()
	if err != nil {
		t.Fatal(err)
	}
	set, err := kernels.For(isa)
	if err != nil {
		t.Fatal(err)
	}
	get := func() (got []*graph.Plan) {
		for _, typ := range numberTypes {
			for _, algo := range append([]string{kernels.Auto}, kernels.Algorithms()...) {
				for _, keepAll := range []bool{false, true} {
					if len(got) == maxPlans {
						return got
					}
					p := plans.get(t, n, typ, set, algo, 1, keepAll)
					quantized := slices.ContainsFunc(p.Steps(), func(s graph.Step) bool { return s.Op == "quantize" })
					if quantized != (typ == int8Type) {
						t.Errorf("%s: a plan of steps %+v", typ.name, p.Steps())
					}
					got = append(got, p)
				}
			}
		}
		return got
	}
	if first, second := get(), get(); !slices.Equal(first, second) || len(first) != maxPlans {
		t.Errorf("%d plans are compiled anew", maxPlans)
	}
}

// A reuser gives all layers in the same memory.
type reuser struct {
	graph.Weights
	memory [1]float32
}

func (r *reuser) Layer(p graph.Param) (kernels.Weights, error) {
	r.memory[0]++
	return kernels.Weights{Values: r.memory[:], Bias: r.memory[:], Scales: r.memory[:]}, nil
}

// TestSource: a layer is asked for once, and stays what it was.
func TestSource(t *testing.T) {
	s := source{&reuser{}, map[string]kernels.Weights{}}
	for i, name := range []string{"a", "b", "a", "b"} {
		l, err := s.Layer(graph.Param{Node: name})
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range [][]float32{l.Values, l.Bias, l.Scales} {
			if want := float32(i%2 + 1); got[0] != want {
				t.Errorf("%s, asked %d times: %v, want %v", name, 1+i/2, got[0], want)
			}
		}
	}
}
