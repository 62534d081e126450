package graph

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"

	"firebench/kernels"
	"firebench/kernels/workers"
	"firebench/net/layer"
)

// Weights are a model's parameters, wherever they come from.
type Weights interface {
	// Layer returns the weights of a node in OIHW order and its biases. Both slices may
	// be reused by the next call, so that big models are never in memory twice.
	// Compile asks for each node once, in the model's order.
	Layer(p Param) (w, b []float32, err error)

	// Adapt returns the model that the weights were trained for, usually m itself:
	// padding and preprocessor belong to the model and the weights together.
	Adapt(m *Model) *Model
}

// Options say how a plan runs; the zero value is one image on everything that the
// machine has.
type Options struct {
	Set     *kernels.Set // nil: the best that the machine supports
	Algo    kernels.Algo // of the convolutions; the zero value picks for each
	Threads int          // the caller's included; 0: GOMAXPROCS
	Batch   int          // images a Run; 0: 1
	KeepAll bool         // reuse no memory, so that every node can be read after Run
}

const (
	maxBatch   = 1 << 16
	maxThreads = 1 << 10
	maxArena   = 1 << 30 // float32 values: 4 GiB
)

// resolve replaces the zero values.
func (o *Options) resolve() error {
	if o.Batch < 0 || o.Batch > maxBatch {
		return fmt.Errorf("batch is %d, expected 1 to %d (0: 1)", o.Batch, maxBatch)
	}
	if o.Threads < 0 || o.Threads > maxThreads {
		return fmt.Errorf("threads is %d, expected 1 to %d (0: GOMAXPROCS)", o.Threads, maxThreads)
	}
	if o.Algo > kernels.Winograd {
		return fmt.Errorf("algorithm is %v, expected auto, direct or winograd", o.Algo)
	}
	o.Batch = cmp.Or(o.Batch, 1)
	o.Threads = cmp.Or(o.Threads, runtime.GOMAXPROCS(0))
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
//     something else reads the values in between. What is called the value of that
//     layer is then the rectified one.
//   - A dropout is its input.
//   - The inputs of a concatenation are written to channel windows of its result;
//     only those that have other readers are copied.
//   - A value that padded convolutions read is surrounded by a halo of zeros.
//   - Where the values between some layers do not fit the level-2 cache, bands of
//     rows pass through these layers one after the other; values that nobody else
//     reads are then never there as a whole. The images of a batch pass one by one where
//     their values are more than the weights.
//   - All values share one block of memory, each at a place that is free as long as
//     it is needed.
//
// Nothing of w is kept but the packed weights. A Plan with more than one thread has
// goroutines: Close it.
func Compile(m *Model, w Weights, o Options) (*Plan, error) {
	m = w.Adapt(m)
	t, err := m.table()
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Plan, error) { return nil, fmt.Errorf("graph: %s: %w", m.Name, err) }
	if err := o.resolve(); err != nil {
		return fail(err)
	}

	l := newLayout(t)
	p := &Plan{model: m, nodes: map[string]kernels.View{}}
	convs := map[int]*kernels.Conv{}
	for i, n := range t.infos {
		if wl, ok := n.Layer.(layer.Weighted); ok {
			if convs[i], err = pack(o, n, wl, w, l.values[i+1].relu); err != nil {
				return fail(fmt.Errorf("node %s: %w", n.Name, err))
			}
			p.weights += convs[i].Bytes()
		}
	}
	var segments []*segment
	if !o.KeepAll {
		segments = l.segments(convs, o.Batch, o.Threads)
	}
	p.bands = len(segments) > 0
	buffers := l.buffers(m.Input, o.Batch, o.KeepAll, segments)
	size := assign(buffers)
	if size > maxArena {
		return fail(fmt.Errorf("batch %d needs %d MiB of activations, expected at most %d", o.Batch, size>>18, maxArena>>18))
	}
	b := binder{Options: o, Plan: p, layout: l, convs: convs, buffers: buffers, arena: kernels.Alloc(int(size))}
	p.input, p.output, p.logits = b.view(0), b.view(len(t.infos)), b.view(l.softmaxInput())
	p.nodes[Input] = p.input
	for i, n := range t.infos {
		if root, _ := l.window(i + 1); buffers[root].last == len(t.infos) {
			p.nodes[n.Name] = b.view(i + 1)
		}
	}
	for i := 0; i < len(t.infos); i++ {
		if len(segments) > 0 && segments[0].first == i {
			s := segments[0]
			segments = segments[1:]
			if err := b.segment(s); err != nil {
				return fail(err)
			}
			i = s.last
		} else if err := b.node(i); err != nil {
			return fail(err)
		}
	}
	p.arena = 4*size + kernels.ShareScratch(o.Threads, b.tasks, b.slots...)
	p.workers = workers.NewPool(o.Threads) // last: errors leave no goroutines behind
	return p, nil
}

// A binder binds the layers of a plan to its memory, in the order in which they run.
type binder struct {
	Options
	*Plan
	*layout
	convs   map[int]*kernels.Conv
	buffers []*buffer
	arena   []float32
	tasks   []workers.Task   // bound for all threads
	slots   [][]workers.Task // of segments, bound for one thread, by slot
}

// memory is the part of the arena that belongs to a value that owns a buffer.
func (b *binder) memory(root int) []float32 {
	return b.arena[b.buffers[root].offset:][:b.buffers[root].size]
}

// shape returns the shape of a value.
func (b *binder) shape(v int) layer.Shape {
	if v == 0 {
		return b.model.Input
	}
	return b.infos[v-1].Out
}

// view returns all images of a value, which must not be an inner one of a segment.
func (b *binder) view(v int) kernels.View {
	root, channel := b.window(v)
	s := b.shape(root)
	return kernels.ViewOf(b.memory(root), b.Batch, s.H, s.W, s.C, b.buffers[root].halo).Channels(channel, b.shape(v).C)
}

// node binds node i to whole values.
func (b *binder) node(i int) error {
	if b.target(i+1) != i+1 {
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
	b.step(i)
	b.work = append(b.work, work{step: len(b.steps) - 1, tasks: tasks, labels: b.stepLabels(i)})
	return nil
}

// segment binds the nodes of a segment to windows of rows, band by band.
func (b *binder) segment(s *segment) error {
	first := len(b.steps)
	for i := s.first; i <= s.last; i++ {
		if _, ok := b.infos[i].Layer.(layer.Concat); !ok && b.target(i+1) == i+1 {
			b.step(i)
		}
	}
	p := &pass{slots: make([][]piece, s.slots), labels: b.labels[first]}
	for image := range b.Batch {
		for part, values := range s.parts {
			slot := (image + part) % s.slots
			for k := range s.bands {
				if err := b.band(p, s, values, image, slot, k); err != nil {
					return err
				}
			}
		}
	}
	b.work = append(b.work, work{step: first, tasks: []workers.Task{p}, labels: p.labels})
	return nil
}

// band binds one band of one part of an image.
func (b *binder) band(p *pass, s *segment, values map[int]*rows, image, slot, k int) error {
	prepared := map[int]bool{}
	for i := s.first; i <= s.last; i++ {
		if b.target(i+1) != i+1 {
			continue
		}
		root, _ := b.window(i + 1)
		r := values[root]
		var tasks []workers.Task
		var err error
		if !prepared[root] {
			prepared[root] = true
			if tasks, err = r.prepare(b.image(s, values, root, image, slot), k); err != nil {
				return err
			}
		}
		if _, ok := b.infos[i].Layer.(layer.Concat); !ok && r.hi[k] > r.prev(k) {
			bound, err := b.rows(s, values, i, image, slot, k)
			if err != nil {
				return err
			}
			tasks = append(tasks, bound...)
		}
		for _, t := range tasks {
			p.slots[slot] = append(p.slots[slot], piece{t, b.stepLabels(i)})
		}
	}
	return nil
}

// image returns the buffer of a value that owns one, for one image.
func (b *binder) image(s *segment, values map[int]*rows, root, image, slot int) kernels.View {
	if r := values[root]; r != nil && !r.outer {
		return r.buffer(b.memory(root)[int64(slot)*r.size():][:r.size()])
	}
	return b.view(root).Image(image)
}

// rows binds node i to the rows that it computes in band k.
func (b *binder) rows(s *segment, values map[int]*rows, i, image, slot, k int) ([]workers.Task, error) {
	root, channel := b.window(i + 1)
	r := values[root]
	y, h := r.prev(k), r.hi[k]-r.prev(k)
	dst := r.window(b.image(s, values, root, image, slot), k, y, h).Channels(channel, b.infos[i].Out.C)
	kernel, stride, pad, _ := b.infos[i].Layer.(layer.Windowed).Window(b.infos[i].In)
	var src []kernels.View
	for _, a := range b.args[i] {
		root, channel := b.window(a)
		v := b.image(s, values, root, image, slot)
		last := b.shape(a).H // as many rows as there are, but for layers that keep the shape
		in := values[root]
		if in != nil {
			last = in.hi[k]
		}
		if kernel == 1 && stride == 1 && pad == 0 {
			last = y + h
		}
		if in != nil {
			v = in.window(v, k, y*stride, last-y*stride)
		} else {
			v = v.Rows(y*stride, last-y*stride)
		}
		src = append(src, v.Channels(channel, b.shape(a).C))
	}
	tasks, err := b.bind(i, 1, dst, src)
	for len(b.slots) <= slot {
		b.slots = append(b.slots, nil)
	}
	b.slots[slot] = append(b.slots[slot], tasks...)
	return tasks, err
}

// bind returns the tasks of node i.
func (b *binder) bind(i, threads int, dst kernels.View, src []kernels.View) ([]workers.Task, error) {
	n := b.infos[i]
	tasks, err := n.Layer.Bind(layer.Binding{
		Set: b.Set, Threads: threads, Conv: b.convs[i], ReLU: b.values[i+1].relu, Dst: dst, Src: src,
	})
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	return tasks, nil
}

// step lists node i among the plan's steps.
func (b *binder) step(i int) {
	n := b.infos[i]
	cost := n.Cost
	if _, ok := n.Layer.(layer.Concat); ok {
		cost = n.Layer.Cost(b.copied(i))
	}
	params := 4 * cost.Params
	step := Step{
		Name: n.Name, Op: n.Layer.Op(), Stage: n.Stage, Out: n.Out,
		Cost: kernels.Cost{
			Params: cost.Params,
			MACs:   cost.MACs * int64(b.Batch),
			Bytes:  (cost.Bytes-params)*int64(b.Batch) + params,
		},
	}
	if c := b.convs[i]; c != nil {
		step.Algo = c.Algo()
		step.Executed = c.Executed(n.In[0].H, n.In[0].W) * int64(b.Batch)
		step.Winograd = kernels.HasWinograd(b.Set, c.Shape(), n.In[0].H, n.In[0].W)
	}
	b.steps = append(b.steps, step)
	b.labels = append(b.labels, pprof.WithLabels(context.Background(), pprof.Labels("net", b.model.Name, "layer", n.Name)))
}

// stepLabels returns the profiler labels of node i's step; a concatenation in place
// has none, its halo belongs to the layer before.
func (b *binder) stepLabels(i int) context.Context {
	name := b.infos[i].Name
	if step := slices.IndexFunc(b.steps, func(s Step) bool { return s.Name == name }); step >= 0 {
		return b.labels[step]
	}
	return b.labels[len(b.labels)-1]
}

// pack fetches a node's weights and brings them into the kernels' order.
func pack(o Options, n Info, l layer.Weighted, w Weights, relu bool) (*kernels.Conv, error) {
	weights, bias, err := w.Layer(param(n, l))
	if err != nil {
		return nil, err
	}
	in := n.In[0]
	return kernels.NewConvAlgo(o.Set, o.Algo, l.ConvShape(in), in.H, in.W, weights, bias, relu)
}
