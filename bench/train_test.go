package bench

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/training"
)

const (
	trainBatch = 32 // images of a step
	layerBatch = 8  // images of a layer's passes: the values of all layers are in memory at once
)

// aim writes the target of each image to v: a class of its own.
func aim(v kernels.View) {
	for n := range v.N {
		kernels.Pixel[float32](v, n, 0, 0)[n%v.C] = 1
	}
}

// A trainerCache keeps one trainer: benchmarks that follow each other share it.
type trainerCache struct {
	network *network
	key     planKey
	trainer *training.Trainer
	batch   training.Batch
}

var trainers trainerCache

// get returns a trainer of a network in float32, which has made a step, and the batch of that. Its learning rate is 0, so that
// all steps compute with the same numbers, however many there are.
func (c *trainerCache) get(b testing.TB, n *network, set *kernels.Set, algo string, batch int) (*training.Trainer, training.Batch) {
	key := planKey{typ: float32Type, isa: set.ISA, algo: algo, threads: runtime.GOMAXPROCS(0), batch: batch}
	if c.network == n && c.key == key {
		return c.trainer, c.batch
	}
	c.close()
	p, err := training.NewParams(n.Model, n.weights)
	if err != nil {
		b.Fatal(err)
	}
	t, err := training.NewTrainer(p, training.Options{
		Set: set, Algo: algo, Threads: key.threads, Batch: batch, Seed: seed,
		SGD: training.SGD{Momentum: 0.9, WeightDecay: 2e-4}, Rate: training.Constant(0),
	})
	if err != nil {
		b.Skip(err) // a file may have layers without gradients
	}
	*c = trainerCache{n, key, t, examples(n.Model, t, batch)}
	if _, err := t.Step(c.batch); err != nil {
		b.Fatal(err)
	}
	return t, c.batch
}

// examples returns random images, and a class for each.
func examples(m *graph.Model, t *training.Trainer, batch int) training.Batch {
	v := kernels.NewView(m.Input.Type, batch, m.Input.H, m.Input.W, m.Input.C, 0)
	fill(v)
	e := training.Batch{Input: kernels.Data[float32](v)}
	for i := range batch {
		e.Labels = append(e.Labels, i%t.Plan().Logits().C)
	}
	return e
}

func (c *trainerCache) close() {
	if c.trainer != nil {
		c.trainer.Close()
	}
	*c = trainerCache{}
	runtime.GC() // before the next gigabyte
}

// backward are the passes that compute gradients.
var backward = []layer.Pass{layer.GradInput, layer.GradWeight}

// BenchmarkTrain measures the training of whole networks: a step as a trainer makes it, and its phases. The multiply-adds are
// those of the direct convolution, forward and for the gradients: three times those of the network, but for the gradient of the
// first layer's input, which nobody needs.
func BenchmarkTrain(b *testing.B) {
	eachNet(b, func(b *testing.B, n *network) {
		if !slices.Contains(n.types, float32Type) {
			return // a file of quantized values
		}
		sub(b, fmt.Sprintf("batch=%d/type=%s", trainBatch, float32Type.name), func(b *testing.B) {
			for _, pass := range []struct {
				name string
				run  func(b *testing.B, n *network, set *kernels.Set, algo string)
			}{{"step", trainStep}, {"forward", trainForward}, {"backward", trainBackward}, {"update", trainUpdate}} {
				sub(b, "pass="+pass.name, func(b *testing.B) {
					eachAlgo(b, n, float32Type, func(b *testing.B, algo string) {
						float32Type.eachISA(b, func(b *testing.B, set *kernels.Set) { pass.run(b, n, set, algo) })
					})
				})
			}
		})
	})
}

// trainStep measures a whole step.
func trainStep(b *testing.B, n *network, set *kernels.Set, algo string) {
	t, batch := trainers.get(b, n, set, algo, trainBatch)
	measure(b, float32Type, set, costOf(t.Plan(), layer.Forward, layer.GradInput, layer.GradWeight), false, func() error {
		_, err := t.Step(batch)
		return err
	})
	b.ReportMetric(trainBatch*float64(b.N)/b.Elapsed().Seconds(), "images/s")
}

// trainForward measures what computes the loss.
func trainForward(b *testing.B, n *network, set *kernels.Set, algo string) {
	t, _ := trainers.get(b, n, set, algo, trainBatch)
	measure(b, float32Type, set, costOf(t.Plan(), layer.Forward), false, func() error { return t.Plan().RunPasses(layer.Forward) })
}

// trainBackward measures what computes the gradients. They need the results of the forward pass, whose memory they use.
func trainBackward(b *testing.B, n *network, set *kernels.Set, algo string) {
	t, _ := trainers.get(b, n, set, algo, trainBatch)
	measure(b, float32Type, set, costOf(t.Plan(), backward...), false, func() error {
		b.StopTimer()
		if err := t.Plan().RunPasses(layer.Forward); err != nil {
			return err
		}
		b.StartTimer()
		return t.Plan().RunPasses(backward...)
	})
}

// trainUpdate measures what changes the weights and packs them for the next step. It takes the same time for a batch of any size.
func trainUpdate(b *testing.B, n *network, set *kernels.Set, algo string) {
	t, batch := trainers.get(b, n, set, algo, 1)
	measure(b, float32Type, set, kernels.Cost{}, false, func() error {
		b.StopTimer()
		if _, err := t.Gradients(batch); err != nil {
			return err
		}
		b.StartTimer()
		return t.Update()
	})
}

// costOf adds up the costs of some passes.
func costOf(p *graph.Plan, passes ...layer.Pass) kernels.Cost {
	return total(slices.DeleteFunc(p.Steps(), func(s graph.Step) bool { return !slices.Contains(passes, s.Pass) }))
}

// passes returns the numbers of the steps of a training plan that make up a pass of a layer. What adds up the gradients of
// several readers belongs to none of them.
func passes(steps []graph.Step, name string, pass layer.Pass) []int {
	var list []int
	for i, s := range steps {
		if pass == layer.Forward && s.Name == name || pass != layer.Forward && strings.HasPrefix(s.Name, name+"."+string(pass)) && !strings.HasSuffix(s.Name, ".sum") {
			list = append(list, i)
		}
	}
	return list
}

// benchmarkPasses measures the passes of a layer in training, each with every algorithm that can compute it.
func benchmarkPasses(b *testing.B, n *network, name, op string) {
	sub(b, fmt.Sprintf("layer=%s/op=%s/type=%s/batch=%d", name, op, float32Type.name, layerBatch), func(b *testing.B) {
		for _, pass := range append([]layer.Pass{layer.Forward}, backward...) {
			sets, err := float32Type.sets()
			if err != nil {
				b.Fatal(err)
			}
			steps := plans.training(b, n, sets[0], kernels.Algorithms()[0]).Steps()
			var algos []string
			for _, i := range passes(steps, name, pass) {
				algos = kernels.Algorithms()[:1]
				if c := steps[i].Candidates; len(c) > 0 {
					algos = c
					break
				}
			}
			for _, algo := range algos {
				sub(b, fmt.Sprintf("pass=%s/algo=%s", pass, algo), func(b *testing.B) {
					float32Type.eachISA(b, func(b *testing.B, set *kernels.Set) { measurePass(b, n, name, pass, algo, set) })
				})
			}
		}
	})
}

// measurePass measures a pass of a layer.
func measurePass(b *testing.B, n *network, name string, pass layer.Pass, algo string, set *kernels.Set) {
	p := plans.training(b, n, set, algo)
	steps := p.Steps()
	numbers := passes(steps, name, pass)
	var cost kernels.Cost
	main := graph.Step{} // the one with an algorithm, if there is one
	for _, i := range numbers {
		cost = cost.Add(steps[i].Cost)
		if steps[i].Algo != "" {
			main = steps[i]
		}
	}
	if main.Algo != "" && main.Algo != algo {
		b.Skipf("%v has no %s for this pass", set.ISA, algo)
	}
	peak := measure(b, float32Type, set, cost, false, func() error {
		for _, i := range numbers {
			if err := p.RunStep(i); err != nil {
				return err
			}
		}
		return nil
	})
	if main.Executed > 0 {
		b.ReportMetric(busyPercent(peak, main.Executed, cost.MACs), float32Type.busy)
	}
	if len(main.Candidates) > 1 {
		b.ReportMetric(pick(main), "pick")
	}
}
