package training

import (
	"errors"
	"iter"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/weights"
)

const side = 10 // of the pictures of stripes

// tiny is a small network with most of what larger ones have: modules of two branches, bypasses, groups, dropout. Its classes
// are four.
func tiny() *graph.Model {
	return &graph.Model{Name: "tiny", Input: layer.Shape{H: side, W: side, C: 2}, Head: "conv4", Nodes: []graph.Node{
		{Name: "conv1", Layer: layer.Conv{Out: 16, Kernel: 3, Pad: kernels.Pad(1)}},
		{Name: "relu1", Layer: layer.ReLU{}},
		{Name: "pool1", Layer: layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true}},
		{Name: "squeeze", Layer: layer.Conv{Out: 8, Kernel: 1}},
		{Name: "relus", Layer: layer.ReLU{}},
		{Name: "left", Layer: layer.Conv{Out: 8, Kernel: 1}},
		{Name: "relul", Layer: layer.ReLU{}},
		{Name: "right", Layer: layer.Conv{Out: 8, Kernel: 3, Pad: kernels.Pad(1), Groups: 2}, Inputs: []string{"relus"}},
		{Name: "relur", Layer: layer.ReLU{}},
		{Name: "concat", Layer: layer.Concat{}, Inputs: []string{"relul", "relur"}},
		{Name: "add", Layer: layer.Add{}, Inputs: []string{"concat", "pool1"}},
		{Name: "drop", Layer: layer.Dropout{Rate: 0.25}},
		{Name: "conv4", Layer: layer.Conv{Out: 4, Kernel: 1}},
		{Name: "pool", Layer: layer.GlobalAvgPool{}},
		{Name: "prob", Layer: layer.Softmax{}},
	}}
}

// stripes returns noisy pictures of stripes, whose class is their direction, and which one can tell from windows of 3×3.
func stripes(seed uint64, images int) Batch {
	r := rand.New(rand.NewPCG(seed, 0))
	var b Batch
	for range images {
		class := r.IntN(4)
		phase := r.IntN(4)
		for y := range side {
			for x := range side {
				for c := range 2 {
					along := [4]int{x, y, x + y, x - y + 40}[class] + phase + c
					b.Input = append(b.Input, float32(along/2%2)-0.5+0.1*float32(r.NormFloat64()))
				}
			}
		}
		b.Labels = append(b.Labels, class)
	}
	return b
}

// part returns some images of b.
func (b Batch) part(from, to int) Batch {
	size := len(b.Input) / len(b.Labels)
	return Batch{b.Input[from*size : to*size], b.Labels[from:to]}
}

// batches returns b in batches of size images.
func (b Batch) batches(size int) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for i := 0; i < len(b.Labels); i += size {
			if !yield(b.part(i, min(i+size, len(b.Labels))), nil) {
				return
			}
		}
	}
}

func initialized(seed uint64) graph.Weights {
	return Initial(seed, func(graph.Param) Initializer { return He })
}

func newTrainer(t *testing.T, p *Params, o Options) *Trainer {
	t.Helper()
	tr, err := NewTrainer(p, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}

func step(t *testing.T, tr *Trainer, b Batch) Result {
	t.Helper()
	r, err := tr.Step(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLearns: a tiny network learns to tell pictures that it has not seen, without an error.
func TestLearns(t *testing.T) {
	for _, s := range []SGD{
		{Form: Caffe, Momentum: 0.9, WeightDecay: 0.0002, DecayBiases: true},
		{Form: PyTorch, Momentum: 0.9, Nesterov: true, WeightDecay: 0.0005, MaxNorm: 10},
	} {
		if testing.Short() && s.Form == PyTorch {
			continue
		}
		const steps, batch = 100, 16
		tr := newTrainer(t, newParams(t, tiny(), initialized(1)), Options{
			Threads: 1, Batch: batch, SGD: s, Rate: WarmUp(Linear(0.1, steps), 10), LabelSmoothing: 0.05,
		})
		first, last := Result{}, Result{}
		for i := range steps {
			r := step(t, tr, stripes(uint64(i+1), batch))
			if i < 10 {
				first.Add(r)
			} else if i >= steps-10 {
				last.Add(r)
			}
		}
		firstLoss, _ := first.Mean()
		lastLoss, _ := last.Mean()
		r, err := tr.Evaluate(stripes(0, 200).batches(batch))
		if err != nil {
			t.Fatal(err)
		}
		if r.Correct != 200 || r.Images != 200 || lastLoss > firstLoss/2 {
			t.Errorf("%v: %d of %d images correct; the loss fell from %.3f to %.3f", s.Form, r.Correct, r.Images, firstLoss, lastLoss)
		}
	}
}

// weightsOf returns all weights of p.
func weightsOf(p *Params) (all []float32) {
	for _, l := range p.layers {
		all = append(all, l.all...)
	}
	return all
}

// TestTrainerSameBits: after 50 steps the weights have the same bits at 1, 2 and 4 threads, with all vector kernels, and after a run that
// was killed and has gone on from its checkpoint.
func TestTrainerSameBits(t *testing.T) {
	steps, threads := 50, []int{1, 2, 4}
	if testing.Short() {
		steps, threads = 4, threads[:2]
	}
	train := func(set *kernels.Set, threads, kill int) []float32 {
		o := Options{
			Set: set, Algo: kernels.Algorithms()[0], Threads: threads, Batch: 5, Accumulate: 2,
			SGD:  SGD{Momentum: 0.9, WeightDecay: 0.001, MaxNorm: 1},
			Rate: Cosine(0.1, steps), LabelSmoothing: 0.1, Seed: 7,
			Factor: func(node string) float64 { return map[string]float64{"conv4": 10, "squeeze": 0.5}[node] + 0.5 },
		}
		tr := newTrainer(t, newParams(t, tiny(), initialized(1)), o)
		path := filepath.Join(t.TempDir(), "checkpoint")
		for i := 0; i < 2*steps; i++ {
			if i == 2*kill {
				c, err := tr.Checkpoint(nil)
				if err == nil {
					err = c.Write(path)
				}
				if err != nil {
					t.Fatal(err)
				}
				for range 3 { // which are lost
					step(t, tr, stripes(99, 5))
				}
				if c, err = ReadCheckpoint(path, tiny()); err != nil {
					t.Fatal(err)
				}
				if tr, err = Resume(c, o); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(tr.Close)
			}
			step(t, tr, stripes(uint64(i), 5-i%2))
		}
		if tr.Steps() != steps {
			t.Errorf("%d steps, want %d", tr.Steps(), steps)
		}
		return weightsOf(tr.Params())
	}
	var want []float32
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		var scalar []float32
		for _, threads := range threads {
			got := train(set, threads, -1)
			if set.ISA == kernels.Scalar { // whose multiply-adds round twice
				if scalar == nil {
					scalar = got
				} else if !slices.Equal(got, scalar) {
					t.Errorf("%d threads: other bits than one", threads)
				}
				continue
			}
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d threads: other bits than the first kernels with one", threads)
			}
		}
		if set.ISA != kernels.Scalar && !slices.Equal(train(set, 2, steps/2), want) {
			t.Error("after a kill: other bits")
		}
	})
}

// TestStepDoesNotAllocate: neither with gradients of several batches nor with masks, codebooks and clipping.
func TestStepDoesNotAllocate(t *testing.T) {
	for _, threads := range []int{1, 2} {
		tr := newTrainer(t, newParams(t, tiny(), initialized(1)), Options{
			Batch: 4, Accumulate: 2, Threads: threads, SGD: SGD{Momentum: 0.9, WeightDecay: 0.001, MaxNorm: 1}, Rate: Linear(0.01, 100),
		})
		b := stripes(1, 4)
		step(t, tr, b)
		if n := testing.AllocsPerRun(10, func() { step(t, tr, b) }); n != 0 {
			t.Errorf("%d threads: %v allocations a step, want none", threads, n)
		}
	}
}

// softmaxModel is softmax regression.
func softmaxModel() *graph.Model {
	m := dense(3, 4)
	m.Nodes = append(m.Nodes, graph.Node{Name: "prob", Layer: layer.Softmax{}})
	return m
}

// TestStep compares a step of softmax regression with its formulas: the loss with smoothed labels, and the weights after the
// average of the gradients of two batches, of which the second is not full.
func TestStep(t *testing.T) {
	const smoothing, rate = 0.2, 0.5
	p := newParams(t, softmaxModel(), weights.Random(1))
	old := slices.Clone(p.layers[0].all)
	tr := newTrainer(t, p, Options{Batch: 3, Accumulate: 2, LabelSmoothing: smoothing, Rate: Constant(rate)})
	x := kerneltest.Random(2, 5*3)
	all := Batch{x, []int{0, 3, 1, 1, 2}}
	var got Result
	got.Add(step(t, tr, all.part(0, 3)))
	if !slices.Equal(p.layers[0].all, old) || tr.Steps() != 0 {
		t.Error("a step after the first of two batches")
	}
	if _, err := tr.Checkpoint(nil); err == nil || err.Error() != "training: checkpoint after 1 of the 2 batches of a step, expected after all" {
		t.Error(err)
	}
	got.Add(step(t, tr, all.part(3, 5)))

	var loss float64
	correct := 0
	gradient := make([]float64, len(old))
	for n, label := range all.Labels {
		var z [4]float64
		sum := 0.0
		for c := range z {
			z[c] = float64(old[12+c])
			for i := range 3 {
				z[c] += float64(old[3*c+i]) * float64(x[3*n+i])
			}
			sum += math.Exp(z[c])
		}
		if slices.Index(z[:], slices.Max(z[:])) == label {
			correct++
		}
		for c := range z {
			target := smoothing / 4
			if c == label {
				target += 1 - smoothing
			}
			loss -= target * (z[c] - math.Log(sum))
			d := math.Exp(z[c])/sum - target
			for i := range 3 {
				gradient[3*c+i] += d * float64(x[3*n+i]) / 5
			}
			gradient[12+c] += d / 5
		}
	}
	if math.Abs(got.Loss-loss) > 1e-5 || got.Correct != correct || got.Images != 5 {
		t.Errorf("%+v, want a loss of %v, %d correct", got, loss, correct)
	}
	for i, g := range gradient {
		if want := float64(old[i]) - rate*g; math.Abs(float64(p.layers[0].all[i])-want) > 1e-6 {
			t.Errorf("value %d is %v, want %v", i, p.layers[0].all[i], want)
		}
	}
}

// TestEvaluate: loss and accuracy without smoothing, of full batches and a rest; errors of the data end it.
func TestEvaluate(t *testing.T) {
	w := stored{"fc1": {Values: []float32{1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}, Bias: []float32{0, 0, 0, 0}}}
	b := Batch{[]float32{
		9, 1, 2,
		1, 8, 2,
		1, 1, 1,
		-1, -1, -1,
	}, []int{0, 2, 0, 3}}
	r, err := Evaluate(softmaxModel(), w, graph.Options{Batch: 3}, b.batches(3))
	if err != nil {
		t.Fatal(err)
	}
	e := math.Exp
	want := math.Log(1+e(-8)+e(-7)+e(-9)) + math.Log(1+e(-7)+e(-6)+e(-8)) + 6 + math.Log(3+e(-1)) + math.Log(1+3*e(-1))
	if math.Abs(r.Loss-want) > 1e-6 || r.Correct != 3 || r.Images != 4 {
		t.Errorf("%+v, want a loss of %v, 3 of 4", r, want)
	}
	broken := errors.New("broken")
	if _, err := Evaluate(softmaxModel(), w, graph.Options{}, func(yield func(Batch, error) bool) { yield(Batch{}, broken) }); err != broken {
		t.Error(err)
	}
	if _, err := Evaluate(tiny(), initialized(1), graph.Options{}, b.batches(1)); err == nil || err.Error() != "training: input of 3 values, expected 200 for 1 images of 10×10×2" {
		t.Error(err)
	}
}

// TestMasks: a mask drops so many values as its rate says and scales the others; it depends on the seed, the batch and the
// place of the image alone.
func TestMasks(t *testing.T) {
	fill := func(threads int, seed uint64, steps int) []float32 {
		tr := newTrainer(t, newParams(t, tiny(), initialized(1)), Options{Batch: 8, Threads: threads, Seed: seed})
		for i := range steps {
			step(t, tr, stripes(uint64(i), 8))
		}
		var all []float32
		eachPixel(tr.masks.views[0], func(pixel []float32) { all = append(all, pixel...) })
		return all
	}
	first := fill(1, 1, 1)
	dropped := 0
	for _, x := range first {
		switch x {
		case 0:
			dropped++
		case float32(1 / 0.75):
		default:
			t.Fatalf("a mask has the value %v", x)
		}
	}
	n := float64(len(first))
	if share := float64(dropped) / n; math.Abs(share-0.25) > 4*math.Sqrt(0.25*0.75/n) {
		t.Errorf("%d of %d values dropped, want a quarter", dropped, len(first))
	}
	if !slices.Equal(fill(3, 1, 1), first) {
		t.Error("3 threads: another mask")
	}
	size := len(first) / 8
	for i := range 7 {
		if slices.Equal(first[i*size:(i+1)*size], first[(i+1)*size:(i+2)*size]) {
			t.Errorf("images %d and %d have one mask", i, i+1)
		}
	}
	if slices.Equal(fill(1, 2, 1), first) || slices.Equal(fill(1, 1, 2), first) {
		t.Error("another seed, or another step, with the same mask")
	}
}

// TestFrozen: frozen layers stay as they are, the others are trained, and below the lowest of them nothing is computed.
func TestFrozen(t *testing.T) {
	p := newParams(t, tiny(), initialized(1))
	old := newParams(t, tiny(), initialized(1))
	tr := newTrainer(t, p, Options{Batch: 4, SGD: SGD{WeightDecay: 0.1}, Factor: func(node string) float64 {
		if strings.HasPrefix(node, "conv1") || node == "squeeze" || node == "left" {
			return 0
		}
		return 1
	}})
	step(t, tr, stripes(1, 4))
	for i, l := range p.layers {
		frozen := slices.Contains([]string{"conv1", "squeeze", "left"}, l.Node)
		if same := slices.Equal(l.all, old.layers[i].all); same != frozen {
			t.Errorf("layer %s: same is %v, want %v", l.Node, same, frozen)
		}
	}
	for _, s := range tr.Plan().Steps() {
		if strings.HasPrefix(s.Name, "conv1.grad") || strings.HasPrefix(s.Name, "squeeze.grad") || strings.HasPrefix(s.Name, "right.grad-input") {
			t.Errorf("step %s is computed", s.Name)
		}
	}
}

// TestPrunedAndShared: in training, pruned weights stay zero and weights that share values go on doing so.
func TestPrunedAndShared(t *testing.T) {
	p := newParams(t, tiny(), initialized(1))
	kept := make([]bool, p.layers[0].weights())
	for i := range kept {
		kept[i] = i%3 == 0
	}
	if err := p.Mask(map[string][]bool{"conv1": kept}); err != nil {
		t.Fatal(err)
	}
	v := &p.layers[1] // squeeze
	codes, codebook := make([]uint8, v.weights()), []float32{0, -0.25, 0.125, 0.5}
	for i := range codes {
		codes[i] = uint8(i * 7 % 4)
		v.all[i] = codebook[codes[i]]
	}
	if err := v.share(codebook, codes); err != nil {
		t.Fatal(err)
	}
	tr := newTrainer(t, p, Options{Batch: 8, SGD: SGD{Momentum: 0.9, WeightDecay: 0.001}, Rate: Constant(0.02)})
	for i := range 10 {
		step(t, tr, stripes(uint64(i), 8))
	}
	for i, keep := range kept {
		if (p.layers[0].all[i] != 0) != keep {
			t.Errorf("conv1: weight %d is %v, kept is %v", i, p.layers[0].all[i], keep)
		}
	}
	for i, x := range v.all[:v.weights()] {
		if x != v.codebook[codes[i]] {
			t.Errorf("squeeze: weight %d is %v, its code's value %v", i, x, v.codebook[codes[i]])
		}
	}
	if slices.Equal(v.codebook, codebook) || v.codebook[0] != 0 {
		t.Errorf("squeeze: codebook %v, was %v", v.codebook, codebook)
	}
}

// TestDiverged: a loss or a gradient that is not finite is an error that says where, and changes no weights.
func TestDiverged(t *testing.T) {
	set := func(node string, i int, x float64) func(*Trainer, *Batch) {
		return func(tr *Trainer, _ *Batch) {
			p := tr.Params()
			p.layers[p.index[node]].all[i] = float32(x)
			if err := tr.plan.Load(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(tr *Trainer, b *Batch)
		want  string
	}{
		{"weight", set("left", 3, math.NaN()), "weights of layer left are not finite; lower"},
		{"input", func(_ *Trainer, b *Batch) { b.Input[2*200+7] = float32(math.Inf(1)) }, "image 2 of the batch has values that are not finite; check the data"},
		{"value", func(tr *Trainer, b *Batch) {
			for i := range 16 * 18 {
				set("conv1", i, 3e38)(tr, b)
			}
		}, "values of conv1 are the first that are not finite, in image 0 of the batch; lower"},
		{"gradient", func(tr *Trainer, b *Batch) {
			for i := range b.Input {
				b.Input[i] *= 3e38
			}
			for i, x := range tr.params.layers[0].all {
				set("conv1", i, float64(x)/3e38)(tr, b)
			}
			for i := range 4 * 16 {
				set("conv4", i, 1e3*float64(i%5))(tr, b)
			}
		}, "values of conv1.grad-weight are the first that are not finite, in"},
	} {
		tr := newTrainer(t, newParams(t, tiny(), initialized(1)), Options{Batch: 4, Rate: Constant(0.125)})
		b := stripes(1, 4)
		step(t, tr, b)
		c.spoil(tr, &b)
		old := weightsOf(tr.Params())
		_, err := tr.Step(b)
		var d *DivergedError
		if !errors.As(err, &d) || d.Step != 1 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		for i, x := range weightsOf(tr.Params()) {
			if math.Float32bits(x) != math.Float32bits(old[i]) {
				t.Fatalf("%s: weights have changed", c.name)
			}
		}
		if tr.Steps() != 1 {
			t.Errorf("%s: %d steps, want 1", c.name, tr.Steps())
		}
	}
}

func TestTrainerErrors(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Accumulate: -1}, "training: -1 batches for a step, expected 1 to 65536 (0: 1)"},
		{Options{LabelSmoothing: 1}, "training: label smoothing is 1, expected at least 0 and less than 1"},
		{Options{SGD: SGD{Momentum: -1}}, "training: SGD: momentum is -1, expected at least 0 and less than 1"},
		{Options{Batch: -1}, "graph: tiny: batch is -1, expected 1 to 65536 (0: 1)"},
	} {
		if _, err := NewTrainer(newParams(t, tiny(), initialized(1)), c.o); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	tr := newTrainer(t, newParams(t, tiny(), initialized(1)), Options{Batch: 2})
	good := stripes(1, 3)
	for _, c := range []struct {
		b    Batch
		want string
	}{
		{good, "training: a batch of 3 images, expected 1 to 2"},
		{Batch{}, "training: a batch of 0 images, expected 1 to 2"},
		{Batch{good.Input, []int{1, 2}}, "training: input of 600 values, expected 400 for 2 images of 10×10×2"},
		{Batch{good.Input[:400], []int{1, 4}}, "training: image 1 is of class 4, expected 0 to 3"},
	} {
		if _, err := tr.Step(c.b); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	if _, err := Resume(&Checkpoint{Params: tr.Params(), Seed: 1}, Options{}); err == nil || err.Error() != "training: checkpoint: the run has the seed 1, expected 0" {
		t.Error(err)
	}
}

// TestUnreached: layers that the loss does not depend on stay as they are; weights that several layers use are trained by all.
func TestUnreached(t *testing.T) {
	m := softmaxModel()
	m.Nodes = append([]graph.Node{
		{Name: "first", Layer: layer.Dense{Out: 3}},
		{Name: "again", Layer: layer.Dense{Out: 3}, Weights: "first"},
		{Name: "other", Layer: layer.Dense{Out: 3}, Inputs: []string{"first"}},
		{Name: "relu", Layer: layer.ReLU{}, Inputs: []string{"again"}},
	}, m.Nodes...)
	m.Input = layer.Shape{H: 1, W: 1, C: 3}
	m.Outputs = []string{"prob", "other"}
	p, old := newParams(t, m, weights.Random(1)), newParams(t, m, weights.Random(1))
	tr := newTrainer(t, p, Options{Batch: 2, SGD: SGD{WeightDecay: 0.1}})
	step(t, tr, Batch{kerneltest.Random(1, 6), []int{1, 2}})
	for i, l := range p.layers {
		if same := slices.Equal(l.all, old.layers[i].all); same != (l.Node == "other") {
			t.Errorf("layer %s: same is %v", l.Node, same)
		}
	}
}
