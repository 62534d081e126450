package training

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"

	"firebench/kernels"
	"firebench/kernels/workers"
	"firebench/net/graph"
	"firebench/net/layer"
)

// Options say how a network is trained. The zero value of a field means what its comment says.
type Options struct {
	Set     *kernels.Set // nil: the best of the machine
	Algo    string       // of convolutions, see graph.Options; with the direct one all vector kernels give the same bits
	Threads int          // 0: GOMAXPROCS

	Batch      int // images of a run of the network; 0: 1
	Accumulate int // batches whose gradients make one step; 0: 1

	SGD  SGD
	Rate Schedule // nil: Constant(0.01)

	// Factor multiplies the rate for the weights and biases of a node. Those with factor 0 are frozen: they stay as they
	// are, and below the lowest layer that is trained no gradients are computed. nil is 1 for all.
	Factor func(node string) float64

	LabelSmoothing float64 // the share of a label's probability that all classes get, from 0 to less than 1
	Seed           uint64  // of dropout
}

// check replaces zero values.
func (o *Options) check() error {
	o.Batch, o.Accumulate = cmp.Or(o.Batch, 1), cmp.Or(o.Accumulate, 1)
	if o.Rate == nil {
		o.Rate = Constant(0.01)
	}
	if o.Factor == nil {
		o.Factor = func(string) float64 { return 1 }
	}
	switch {
	case o.Accumulate < 1 || o.Accumulate > maxAccumulate:
		return fmt.Errorf("training: %d batches for a step, expected 1 to %d (0: 1)", o.Accumulate, maxAccumulate)
	case !(o.LabelSmoothing >= 0 && o.LabelSmoothing < 1):
		return fmt.Errorf("training: label smoothing is %v, expected at least 0 and less than 1", o.LabelSmoothing)
	}
	return o.SGD.Check()
}

const maxAccumulate = 1 << 16

// A Batch are some inputs of a network and which classes they are of.
type Batch struct {
	Input  []float32 // images×H×W×C
	Labels []int     // of each image
}

// A Trainer changes the weights of a network, batch by batch. Its plan has the memory that the network and its gradients need
// for a batch. A Trainer has goroutines: Close it.
type Trainer struct {
	Options
	params  *Params
	plan    *graph.Plan
	pool    *workers.Pool
	sgd     *optimizer
	classes int

	loss, logits kernels.View
	target       kernels.View
	masks        masks
	gradients    [][]float32 // of the batch, by layer; nil for those that are frozen
	sums         [][]float32 // of the batches of a step, if these are several
	adding       adding

	step    int    // how many have been made
	batches int    // of the next step that have been seen
	images  int    // in these
	last    Result // of the last batch
}

// NewTrainer returns a trainer of p, which it changes.
func NewTrainer(p *Params, o Options) (*Trainer, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	frozen := func(node string) bool { return o.Factor(node) == 0 }
	m, w, err := Backward(BackwardOptions{Frozen: frozen}).Apply(p.model, p)
	if err != nil {
		return nil, err
	}
	plan, err := graph.Compile(m, w, graph.Options{Set: o.Set, Algo: o.Algo, Threads: o.Threads, Batch: o.Batch, Train: true})
	if err != nil {
		return nil, err
	}
	t := &Trainer{Options: o, params: p, plan: plan, pool: workers.NewPool(plan.Threads())}
	if err := t.bind(m); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// bind finds the values of the plan, which runs m, that the trainer reads and writes.
func (t *Trainer) bind(m *graph.Model) (err error) {
	outputs := t.plan.Outputs()
	t.loss, t.logits = outputs[0], outputs[1]
	t.classes = t.logits.C
	gradients := map[string][]float32{}
	for i, v := range outputs[2:] {
		gradients[m.Outputs[2+i]] = kernels.Pixel[float32](v, 0, 0, 0)
	}
	for _, v := range t.params.layers {
		g := gradients[v.Node+".grad-weight"]
		if g == nil { // several nodes use the weights, or none that the loss depends on
			g = gradients[v.Node+".grad-weight.sum"]
		}
		var sum []float32
		if t.Accumulate > 1 {
			sum = make([]float32, len(g))
		}
		t.gradients, t.sums = append(t.gradients, g), append(t.sums, sum)
	}
	factor := func(node string) float64 {
		if t.gradients[t.params.index[node]] == nil {
			return 0
		}
		return t.Factor(node)
	}
	if t.sgd, err = newOptimizer(t.params, t.SGD, factor, t.pool); err != nil {
		return err
	}
	t.adding.of(t)
	var ok bool
	if t.target, ok = t.plan.Node(Target); !ok {
		return fmt.Errorf("training: %s: node %s is not kept", m.Name, Target)
	}
	for _, n := range t.params.model.Nodes {
		if d, dropout := n.Layer.(layer.Dropout); dropout {
			if v, ok := t.plan.Node(n.Name + MaskSuffix); ok {
				t.masks.views = append(t.masks.views, v)
				t.masks.rates = append(t.masks.rates, d.Rate)
			}
		}
	}
	t.masks.images = t.Batch
	return nil
}

// Params returns the weights that are trained.
func (t *Trainer) Params() *Params { return t.params }

// Steps returns how many steps have been made, by the run that a checkpoint continues as well.
func (t *Trainer) Steps() int { return t.step }

// Plan returns the plan that computes the loss and the gradients.
func (t *Trainer) Plan() *graph.Plan { return t.plan }

// Close ends the goroutines.
func (t *Trainer) Close() {
	t.plan.Close()
	t.pool.Close()
}

// A Result is what a network made of some images.
type Result struct {
	Loss    float64 // sum over the images
	Correct int     // images of whose class the score is the largest
	Images  int
}

// Add adds r to the sum of all.
func (r *Result) Add(more Result) {
	r.Loss += more.Loss
	r.Correct += more.Correct
	r.Images += more.Images
}

// Mean returns the loss of an image, and the share of images that are correct.
func (r Result) Mean() (loss, accuracy float64) {
	return r.Loss / float64(r.Images), float64(r.Correct) / float64(r.Images)
}

// Step runs the network on a batch of at most Options.Batch images, and its gradients. After Accumulate batches it makes a step
// with the average over their images. The loss is that before the step, with dropout and label smoothing. Step does not
// allocate.
//
// A loss or a gradient that is not finite is a [*DivergedError]. The step is then not made, and the weights stay as they are.
func (t *Trainer) Step(b Batch) (Result, error) {
	r, err := t.Gradients(b)
	if err != nil || t.batches < t.Accumulate {
		return r, err
	}
	return r, t.Update()
}

// Gradients is the part of Step before the weights change.
func (t *Trainer) Gradients(b Batch) (Result, error) {
	if err := t.check(b); err != nil {
		return Result{}, err
	}
	if t.batches == t.Accumulate {
		return Result{}, fmt.Errorf("training: batch %d of a step, expected at most %d before Update", t.batches+1, t.Accumulate)
	}
	images := len(b.Labels)
	fillImages(t.plan.Input(), b.Input)
	t.label(b.Labels)
	t.masks.fill(t.pool, t.Seed, uint64(t.step)*uint64(t.Accumulate)+uint64(t.batches))
	if err := t.plan.Run(); err != nil {
		return Result{}, err
	}
	r := Result{Images: images}
	for n, label := range b.Labels {
		r.Loss += float64(kernels.At[float32](t.loss, n, 0, 0, 0))
		if best(kernels.Pixel[float32](t.logits, n, 0, 0)) == label {
			r.Correct++
		}
	}
	t.last = r
	if r.Loss-r.Loss != 0 {
		t.drop()
		return r, t.diagnose(r.Loss/float64(images), images)
	}
	t.images += images
	t.batches++
	if t.Accumulate > 1 {
		t.adding.first = t.batches == 1
		t.pool.Run(t.sgd.labels, &t.adding)
	}
	return r, nil
}

// Update is the part of Step that changes the weights, by the gradients of Accumulate batches.
func (t *Trainer) Update() error {
	if t.batches < t.Accumulate {
		return fmt.Errorf("training: update after %d of the %d batches of a step", t.batches, t.Accumulate)
	}
	gradients := t.gradients
	if t.Accumulate > 1 {
		gradients = t.sums
	}
	norm := t.sgd.step(gradients, t.images, t.Rate(t.step))
	t.drop()
	if norm-norm != 0 {
		return t.diagnose(t.last.Loss/float64(t.last.Images), t.last.Images)
	}
	t.step++
	return t.plan.Load(t.params)
}

// drop forgets the batches that have been seen since the last step.
func (t *Trainer) drop() { t.batches, t.images = 0, 0 }

// check returns an error unless b fits the network.
func (t *Trainer) check(b Batch) error {
	return checkBatch(b, t.params.model, t.Batch, t.classes)
}

func checkBatch(b Batch, m *graph.Model, most, classes int) error {
	switch images, size := len(b.Labels), m.Input.Elems(); {
	case images < 1 || images > most:
		return fmt.Errorf("training: a batch of %d images, expected 1 to %d", images, most)
	case len(b.Input) != images*size:
		return fmt.Errorf("training: input of %d values, expected %d for %d images of %v", len(b.Input), images*size, images, m.Input)
	}
	for i, label := range b.Labels {
		if label < 0 || label >= classes {
			return fmt.Errorf("training: image %d is of class %d, expected 0 to %d", i, label, classes-1)
		}
	}
	return nil
}

// label writes the target: the distribution over the classes that each image should have. Images that the batch lacks have
// none, and with it no loss and no gradient.
func (t *Trainer) label(labels []int) {
	others := float32(t.LabelSmoothing / float64(t.classes))
	own := float32(1 - t.LabelSmoothing + t.LabelSmoothing/float64(t.classes))
	for n := range t.Batch {
		p := kernels.Pixel[float32](t.target, n, 0, 0)
		clear(p)
		if n < len(labels) {
			for c := range p {
				p[c] = others
			}
			p[labels[n]] = own
		}
	}
}

// best returns the first of the largest scores.
func best(scores []float32) int {
	best := 0
	for c, s := range scores {
		if s > scores[best] {
			best = c
		}
	}
	return best
}

// fillImages writes values to the first images of v, as many as they are.
func fillImages(v kernels.View, values []float32) {
	data := kernels.Data[float32](v)
	row := v.W * v.C
	for n := 0; len(values) > 0; n++ {
		for y := range v.H {
			if v.Pixel == v.C {
				at := v.Index(n, y, 0, 0)
				values = values[copy(data[at:at+row], values):]
				continue
			}
			for x := range v.W {
				at := v.Index(n, y, x, 0)
				values = values[copy(data[at:at+v.C], values):]
			}
		}
	}
}

// masks are the masks of all dropouts. A chunk fills those of one image.
type masks struct {
	views  []kernels.View
	rates  []float32
	images int

	seed, batch uint64
}

// fill draws the masks of a batch. Those of an image depend on the seed, the batch, and its place in that.
func (m *masks) fill(pool *workers.Pool, seed, batch uint64) {
	if len(m.views) > 0 {
		m.seed, m.batch = seed, batch
		pool.Run(nil, m)
	}
}

// Chunks implements workers.Task.
func (m *masks) Chunks() int { return m.images }

// Chunk implements workers.Task.
func (m *masks) Chunk(_, n int) {
	var r rand.PCG
	r.Seed(m.seed, m.batch*uint64(m.images)+uint64(n))
	for i, v := range m.views {
		drop := int64(float64(m.rates[i]) * (1 << 32))
		keep := math.Float32bits(1 / (1 - m.rates[i]))
		for y := range v.H {
			for x := range v.W {
				random := uint64(0)
				for c, p := 0, kernels.Pixel[float32](v, n, y, x); c < len(p); c++ {
					if random >>= 32; c%2 == 0 { // half of a random number is enough for one value
						random = r.Uint64()
					}
					below := uint32((int64(uint32(random)) - drop) >> 63) // all bits, or none: a branch would be guessed wrong
					p[c] = math.Float32frombits(keep &^ below)
				}
			}
		}
	}
}

// adding adds the gradients of a batch to those of a step, in the optimizer's chunks.
type adding struct {
	t      *Trainer
	chunks []chunk
	first  bool
}

func (a *adding) of(t *Trainer) { a.t, a.chunks = t, t.sgd.chunks }

// Chunks implements workers.Task.
func (a *adding) Chunks() int { return len(a.chunks) }

// Chunk implements workers.Task.
func (a *adding) Chunk(_, i int) {
	c := a.chunks[i]
	sum, g := a.t.sums[c.layer][c.from:c.to], a.t.gradients[c.layer][c.from:c.to]
	if a.first {
		copy(sum, g)
		return
	}
	for i, x := range g {
		sum[i] += x
	}
}

// Evaluate returns what the network, as it is now, makes of images that it is not trained on: without dropout and label
// smoothing, and compiled to be run only. Batches have at most Options.Batch images.
func (t *Trainer) Evaluate(batches iter.Seq2[Batch, error]) (Result, error) {
	return Evaluate(t.params.model, t.params, graph.Options{Set: t.Set, Algo: t.Algo, Threads: t.Threads, Batch: t.Batch}, batches)
}

// Evaluate returns what a network makes of images. Batches have at most o.Batch images.
func Evaluate(m *graph.Model, w graph.Weights, o graph.Options, batches iter.Seq2[Batch, error]) (Result, error) {
	plan, err := graph.Compile(m, w, o)
	if err != nil {
		return Result{}, err
	}
	defer plan.Close()
	logits := plan.Logits()
	if logits.H != 1 || logits.W != 1 {
		return Result{}, fmt.Errorf("training: %s: scores of classes for %d×%d pixels, expected one", m.Name, logits.H, logits.W)
	}
	var r Result
	for b, err := range batches {
		if err == nil {
			err = checkBatch(b, plan.Model(), max(o.Batch, 1), logits.C)
		}
		if err != nil {
			return r, err
		}
		fillImages(plan.Input(), b.Input)
		if err := plan.Run(); err != nil {
			return r, err
		}
		for n, label := range b.Labels {
			scores := kernels.Pixel[float32](logits, n, 0, 0)
			r.Loss += crossEntropy(scores, label)
			if best(scores) == label {
				r.Correct++
			}
		}
		r.Images += len(b.Labels)
	}
	return r, nil
}

// crossEntropy returns −log of the probability of a class.
func crossEntropy(scores []float32, class int) float64 {
	most := float64(slices.Max(scores))
	sum := 0.0
	for _, s := range scores {
		sum += math.Exp(float64(s) - most)
	}
	return math.Log(sum) + most - float64(scores[class])
}

// Checkpoint returns the state of the run, which shares memory with the trainer: write it before the next step. run is what
// the caller wants to know again. It is an error between the batches of one step.
func (t *Trainer) Checkpoint(run json.RawMessage) (*Checkpoint, error) {
	if t.batches > 0 {
		return nil, fmt.Errorf("training: checkpoint after %d of the %d batches of a step, expected after all", t.batches, t.Accumulate)
	}
	return &Checkpoint{Params: t.params, Step: t.step, Seed: t.Seed, Run: run, momentum: t.sgd.momentum}, nil
}

// Resume returns a trainer that goes on from a checkpoint, whose memory it takes. With the same options and the next batches it
// computes the same bits as the one that wrote it would have.
func Resume(c *Checkpoint, o Options) (*Trainer, error) {
	if c.Seed != o.Seed {
		return nil, fmt.Errorf("training: checkpoint: the run has the seed %d, expected %d", c.Seed, o.Seed)
	}
	t, err := NewTrainer(c.Params, o)
	if err != nil {
		return nil, err
	}
	t.step, t.sgd.momentum = c.Step, c.momentum
	return t, nil
}
