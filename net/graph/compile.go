package graph

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/pprof"
	"slices"

	"firebench/kernels"
	"firebench/kernels/workers"
	"firebench/net/layer"
)

// Weights are a model's parameters, wherever they come from.
type Weights interface {
	// Layer returns the weights of node p.Node, of the dimensions p.Dims, and one bias for each
	// output channel. The next call may reuse the memory of its slices, so that big models are
	// never in memory twice. Compile asks once for each Param of the model, in their order.
	Layer(p Param) (kernels.Weights, error)

	// Adapt returns the model that the weights were trained for: usually m itself, but files
	// of weights exist that need another padding or preprocessor than the model's table says.
	// It does not change m, and it is an error if the weights are another model's. Compile
	// calls it before Layer.
	Adapt(m *Model) (*Model, error)
}

// Options say how a plan runs. The zero value means one image, on all cores and with the best
// instruction set of the machine.
type Options struct {
	Set *kernels.Set // nil: the best that the machine supports

	// Algo names the algorithm of every convolution that it can compute. kernels.Pick chooses that
	// of the others, and of all if Algo is "" or kernels.Auto.
	Algo string

	// WeightsType is that of the packed weights of layers that read each weight once for an image:
	// those in float32 whose result is one pixel, such as dense layers. With one image or few, the
	// time they take is that of reading their weights. The rule does not ask how large the weights are
	// beside a cache: results are the same on every machine.
	WeightsType kernels.WeightsType

	Threads int  // threads of a Run, the caller's included; 0: GOMAXPROCS
	Batch   int  // images of a Run; 0: 1
	KeepAll bool // reuse no memory, so that Plan.Node knows every node after Run
	Train   bool // pack weights so that Plan.Load can replace them; all are float32, as many as they are
}

const (
	maxBatch   = 1 << 16
	maxThreads = 1 << 10
	maxArena   = 4 << 30 // bytes
)

// resolve checks the options and replaces zero values.
func (o *Options) resolve() error {
	if o.Batch < 0 || o.Batch > maxBatch {
		return fmt.Errorf("batch is %d, expected 1 to %d (0: 1)", o.Batch, maxBatch)
	}
	if o.Threads < 0 || o.Threads > maxThreads {
		return fmt.Errorf("threads is %d, expected 1 to %d (0: GOMAXPROCS)", o.Threads, maxThreads)
	}
	o.Algo = cmp.Or(o.Algo, kernels.Auto)
	if err := kernels.CheckAlgorithm(o.Algo); err != nil {
		return err
	}
	if err := o.WeightsType.Check(); err != nil {
		return err
	}
	o.Batch = cmp.Or(o.Batch, 1)
	o.Threads = cmp.Or(o.Threads, min(runtime.GOMAXPROCS(0), maxThreads))
	if o.Set == nil {
		best, err := kernels.Best()
		if err != nil {
			return err
		}
		if o.Set, err = kernels.For(best); err != nil {
			return err
		}
	}
	return nil
}

// Compile turns a model and its weights into a Plan:
//
//   - A ReLU becomes part of the convolution, dense layer or sum before it, unless
//     another node or the caller reads the values in between. The value of that layer is
//     then the rectified one.
//   - A dropout shares the memory of its input.
//   - The inputs of a concatenation are produced in their channels of its result. Only
//     inputs that the caller reads as well, that lie in another value already, or that the
//     concatenation reads twice, are copied.
//   - A part of a value, some of its channels, shares its memory.
//   - A value that padded convolutions read is surrounded by a halo of zeros, or of the zero point of
//     its type if it is quantized.
//   - Where the values between some layers do not fit the level-2 cache, bands of
//     rows pass through these layers one after the other. A value that only these layers
//     read is then never in memory as a whole. In a batch, images pass through such layers
//     one by one if the values of one image are larger than the weights.
//   - All values share one block of memory, the arena. Two values may have the same place in it
//     if they are never needed at the same time.
//
// Of the layers of package layer, Compile accepts every model that [Model.Infer] accepts, unless w
// or o is wrong or the batch needs more than 4 GiB of activations. Nothing of w is kept but the
// packed weights. A Plan with more than one thread has goroutines: Close it.
func Compile(m *Model, w Weights, o Options) (*Plan, error) {
	fail := func(err error) (*Plan, error) { return nil, fmt.Errorf("graph: %s: %w", m.Name, err) }
	adapted, err := w.Adapt(m)
	if err != nil {
		return fail(err)
	}
	m = adapted
	t, err := m.table()
	if err != nil {
		return nil, err
	}
	if err := o.resolve(); err != nil {
		return fail(err)
	}

	l := newLayout(t)
	p := &Plan{model: m, nodes: map[string]kernels.View{}}
	convs, err := l.pack(w, o)
	if err != nil {
		return fail(err)
	}
	if o.Train {
		p.loads = l.loads(convs)
	}
	counted := map[kernels.Conv]bool{} // nodes may share packed weights
	for _, c := range convs {
		if !counted[c] {
			p.weights += c.Bytes()
			counted[c] = true
		}
	}
	var cascades []*cascade
	if !o.KeepAll {
		cascades = l.cascades(convs, o.Batch, o.Threads)
	}
	p.cascades = len(cascades) > 0
	buffers := l.buffers(o.Batch, o.KeepAll, cascades)
	size := assign(buffers)
	if most := int64(min(maxArena, math.MaxInt)); size > most {
		return fail(fmt.Errorf("batch %d needs %d MiB of activations, expected at most %d", o.Batch, size>>20, most>>20))
	}
	b := binder{Options: o, Plan: p, layout: l, convs: convs, buffers: buffers, arena: kernels.Alloc[byte](int(size))}
	p.input, p.logits = b.view(0), b.view(l.logits())
	for _, v := range l.outputs {
		p.outputs = append(p.outputs, b.view(v))
	}
	p.nodes[Input] = p.input
	for i, n := range t.infos {
		if root, _ := l.place(i + 1); buffers[root].last == len(t.infos) {
			p.nodes[n.Name] = b.view(i + 1)
		}
	}
	for i := 0; i < len(t.infos); i++ {
		if len(cascades) > 0 && cascades[0].first == i {
			c := cascades[0]
			cascades = cascades[1:]
			if err := b.cascade(c); err != nil {
				return fail(err)
			}
			i = c.last
		} else if err := b.node(i); err != nil {
			return fail(err)
		}
	}
	p.arena = size + kernels.ShareScratch(o.Threads, b.tasks, b.slots...)
	p.workers = workers.NewPool(o.Threads) // last: errors leave no goroutines behind
	return p, nil
}

// A binder binds the layers of a plan to its memory, in the order in which they run.
type binder struct {
	Options
	*Plan
	*layout
	convs   map[int]kernels.Conv
	buffers []*buffer
	arena   []byte
	tasks   []workers.Task   // bound for all threads
	slots   [][]workers.Task // the tasks of cascades, bound for one thread each, by slot
}

// memory returns the buffer of value root, which owns one.
func (b *binder) memory(root int) []byte {
	return b.arena[b.buffers[root].offset:][:b.buffers[root].size]
}

// view returns all images of a value, which must not be an inner value of a cascade.
func (b *binder) view(v int) kernels.View {
	root, channel := b.place(v)
	s := b.shape(root)
	return kernels.ViewOf(s.Type, b.memory(root), b.images(root, b.Batch), s.H, s.W, s.C, b.buffers[root].halo).Channels(channel, b.shape(v).C)
}

// node binds node i to whole values.
func (b *binder) node(i int) error {
	if b.idle(i) {
		return nil
	}
	var src []kernels.View
	for _, a := range b.args[i] {
		src = append(src, b.view(a))
	}
	tasks, err := b.bind(i, b.Options.Threads, b.view(i+1), src)
	if err != nil || len(tasks) == 0 {
		return err
	}
	b.tasks = append(b.tasks, tasks...)
	b.addStep(i)
	b.work = append(b.work, work{step: len(b.steps) - 1, tasks: tasks, labels: b.stepLabels(i)})
	return nil
}

// bind returns the tasks of node i for so many threads.
func (b *binder) bind(i, threads int, dst kernels.View, src []kernels.View) ([]workers.Task, error) {
	n := b.infos[i]
	tasks, err := n.Layer.Bind(layer.Binding{
		Set: b.Set, Algo: b.Algo, Threads: threads, Conv: b.convs[i], ReLU: b.values[i+1].relu, Dst: dst, Src: src,
	})
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	return tasks, nil
}

// addStep lists node i among the plan's steps.
func (b *binder) addStep(i int) {
	n := b.infos[i]
	cost := n.Cost
	if _, ok := n.Layer.(layer.Concatenation); ok {
		cost = n.Layer.Cost(b.copied(i))
	}
	step := Step{Name: n.Name, Op: n.Layer.Op(), Stage: n.Stage, Pass: n.Pass, Out: n.Out, Cost: cost.Batch(b.Batch)}
	if c := b.convs[i]; c != nil {
		step.Algo = c.Algorithm()
		step.Candidates = kernels.Candidates(b.Set, c.Problem())
		step.Pick = kernels.Pick(b.Set, c.Problem())
		step.Executed = c.Executed() * int64(b.Batch)
		step.Cost.Weights = c.Problem().WeightBytes()
		step.WeightsType = c.Problem().WeightsType
		if r, ok := c.(kernels.Rounded); ok {
			step.WeightsError = r.WeightsError()
		}
	}
	if a, ok := n.Layer.(layer.Algorithmic); ok {
		step.Candidates, step.Pick = a.Algorithms(b.Set, n.In)
		if step.Algo = step.Pick; slices.Contains(step.Candidates, b.Algo) {
			step.Algo = b.Algo
		}
	}
	b.steps = append(b.steps, step)
	b.labels = append(b.labels, pprof.WithLabels(context.Background(), pprof.Labels("net", b.model.Name, "layer", n.Name)))
}

// stepLabels returns the profiler labels of node i's step. A concatenation that copies nothing
// is no step; clearing the halo of its result counts for the step before.
func (b *binder) stepLabels(i int) context.Context {
	name := b.infos[i].Name
	if step := slices.IndexFunc(b.steps, func(s Step) bool { return s.Name == name }); step >= 0 {
		return b.labels[step]
	}
	return b.labels[len(b.labels)-1]
}

// pack fetches the weights of all nodes and brings them into the kernels' order. It returns the
// packed weights by node. Nodes that use the same weights for the same problem share them.
func (l *layout) pack(w Weights, o Options) (map[int]kernels.Conv, error) {
	convs := map[int]kernels.Conv{}
	for owner := range l.infos {
		if l.owners[owner] != owner {
			continue
		}
		fail := func(err error) (map[int]kernels.Conv, error) {
			return nil, fmt.Errorf("node %s: %w", l.infos[owner].Name, err)
		}
		weights, err := w.Layer(l.param(owner))
		if err != nil {
			return fail(err)
		}
		packed := map[packing]kernels.Conv{}
		for i := owner; i < len(l.infos); i++ {
			if l.owners[i] != owner {
				continue
			}
			p := l.packing(i, o)
			if packed[p] == nil {
				if packed[p], err = p.conv(weights, o); err != nil {
					return fail(err)
				}
			}
			convs[i] = packed[p]
		}
	}
	return convs, nil
}

// A packing is what weights are packed for.
type packing struct {
	problem    kernels.Problem
	transposed bool
}

// packing returns how node i, which has weights, packs them.
func (l *layout) packing(i int, o Options) packing {
	p := packing{problem: l.problem(i)}
	p.problem.ReLU = l.values[i+1].relu
	if l.infos[i].Out.H == 1 && l.infos[i].Out.W == 1 && p.problem.Dst == (kernels.Type{}) {
		p.problem.WeightsType = o.WeightsType
	}
	_, p.transposed = l.infos[i].Layer.(layer.Transposed)
	return p
}

// conv packs weights, which are those of the node that owns them.
func (p packing) conv(w kernels.Weights, o Options) (kernels.Conv, error) {
	if !o.Train && !p.transposed {
		return kernels.NewConv(o.Set, o.Algo, p.problem, w)
	}
	c, err := kernels.NewLoader(o.Set, o.Algo, p.problem)
	if err != nil {
		return nil, err
	}
	return c, user{c, p.transposed}.load(w)
}
