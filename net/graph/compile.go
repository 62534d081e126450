package graph

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"

	"firebench/kernels"
	"firebench/net/layer"
)

// Weights are a model's parameters, wherever they come from.
type Weights interface {
	// Layer returns the weights of a node in OIHW order and its biases. Both slices may
	// be reused by the next call, so that big models are never in memory twice.
	// Compile asks for each node once, in the model's order.
	Layer(p Param) (w, b []float32, err error)

	// Adapt returns the model that the weights were trained for, usually m itself:
	// padding and input recipe belong to the model and the weights together.
	Adapt(m *Model) *Model
}

// Options say how a plan runs; the zero value is one image on everything that the
// machine has.
type Options struct {
	Set     *kernels.Set // nil: the best that the machine supports
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
	buffers := l.buffers(m.Input, o.Batch, o.KeepAll)
	size := assign(buffers)
	if size > maxArena {
		return fail(fmt.Errorf("batch %d needs %d MiB of activations, expected at most %d", o.Batch, size>>18, maxArena>>18))
	}
	arena := kernels.Alloc(int(size))
	view := func(v int) kernels.View {
		root, channel := l.window(v)
		b := buffers[root]
		shape := m.Input
		if v > 0 {
			shape = l.infos[v-1].Out
		}
		return kernels.ViewOf(arena[b.offset:][:b.size], o.Batch, b.shape.H, b.shape.W, b.shape.C, b.halo).Channels(channel, shape.C)
	}

	p := &Plan{
		model:  m,
		input:  view(0),
		output: view(len(t.infos)),
		logits: view(l.softmaxInput()),
		nodes:  map[string]kernels.View{Input: view(0)},
		arena:  4 * size,
	}
	for i, n := range t.infos {
		if root, _ := l.window(i + 1); buffers[root].last == len(t.infos) {
			p.nodes[n.Name] = view(i + 1)
		}
		if l.target(i+1) != i+1 {
			continue
		}
		b := layer.Binding{Set: o.Set, Threads: o.Threads, ReLU: l.values[i+1].relu, Dst: view(i + 1)}
		for _, a := range t.args[i] {
			b.Src = append(b.Src, view(a))
		}
		if wl, ok := n.Layer.(layer.Weighted); ok {
			if b.Conv, err = pack(o.Set, n, wl, w, b.ReLU); err != nil {
				return fail(fmt.Errorf("node %s: %w", n.Name, err))
			}
			p.weights += b.Conv.Bytes()
		}
		tasks, err := n.Layer.Bind(b)
		if err != nil {
			return fail(fmt.Errorf("node %s: %w", n.Name, err))
		}
		if len(tasks) == 0 {
			continue
		}
		cost := n.Cost
		if _, ok := n.Layer.(layer.Concat); ok {
			cost = n.Layer.Cost(l.copied(i))
		}
		params := 4 * cost.Params
		p.steps = append(p.steps, Step{
			Name: n.Name, Op: n.Layer.Op(), Stage: n.Stage, Out: n.Out,
			Cost: kernels.Cost{
				Params: cost.Params,
				MACs:   cost.MACs * int64(o.Batch),
				Bytes:  (cost.Bytes-params)*int64(o.Batch) + params,
			},
		})
		p.work = append(p.work, work{
			tasks:  tasks,
			labels: pprof.WithLabels(context.Background(), pprof.Labels("net", m.Name, "layer", n.Name)),
		})
	}
	p.workers = kernels.NewWorkers(o.Threads) // last: errors leave no goroutines behind
	return p, nil
}

// pack fetches a node's weights and brings them into the kernels' order.
func pack(set *kernels.Set, n Info, l layer.Weighted, w Weights, relu bool) (*kernels.Conv, error) {
	weights, bias, err := w.Layer(param(n, l))
	if err != nil {
		return nil, err
	}
	return kernels.NewConv(set, l.ConvShape(n.In[0]), weights, bias, relu)
}
