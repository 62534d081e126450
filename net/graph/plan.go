package graph

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"slices"
	"sync"

	"firebench/kernels"
	"firebench/kernels/workers"
	"firebench/net/layer"
)

// Errors of a Plan's methods.
var (
	ErrBusy   = errors.New("graph: the plan is running already")
	ErrClosed = errors.New("graph: the plan is closed")
)

// A Plan is a compiled model with its weights and memory, good for one run at a
// time. Fill [Plan.Input], call [Plan.Run], read [Plan.Output].
//
// While a step runs, the caller and the workers carry the profiler labels net and
// layer. Afterwards the calling goroutine has no labels, whatever labels it had before: a Plan
// cannot read them, and if the caller passed them, that would cost an allocation a run.
type Plan struct {
	model          *Model
	input, logits  kernels.View
	outputs        []kernels.View
	nodes          map[string]kernels.View // whose values are not overwritten in a run
	arena, weights int64                   // bytes
	cascades       bool                    // bands of rows pass through several layers
	steps          []Step
	labels         []context.Context // by step, for profiles
	work           []work            // what Run does
	loads          []*load           // what Load does

	mu      sync.Mutex // held while running
	closed  bool
	workers *workers.Pool
}

// A Step is a node that has work to do in a Run. An activation that is part of the layer before
// it, a dropout, and a concatenation whose inputs are all produced in its result are no steps.
type Step struct {
	Name, Op, Stage string
	Pass            layer.Pass
	Out             layer.Shape  // of one image
	Cost            kernels.Cost // of all images of the batch

	// Only convolutions and dense layers have these, and their gradients. Executed is 0 for gradients of
	// weights.
	Algo       string   // the algorithm that computes the step
	Candidates []string // the algorithms that could
	Pick       string   // the algorithm that kernels.Pick names, see Options.Algo
	Executed   int64    // multiply-adds that the kernels execute for the batch, see kernels.Conv; 0 for gradients of weights

	WeightsType  kernels.WeightsType // of the packed weights
	WeightsError float64             // of the packed weights, see kernels.Rounded; 0 if they are float32
}

// work is what the workers do together: one step, or all steps of a cascade.
type work struct {
	step   int            // the first
	tasks  []workers.Task // to be run one after the other
	labels context.Context
}

// Model returns the model that the plan runs: the weights' version of what was compiled.
func (p *Plan) Model() *Model { return p.model }

// Input returns the network's input, which keeps its content from run to run. It
// may have a halo, which must stay zero: write whole pixels through the view.
func (p *Plan) Input() kernels.View { return p.input }

// Outputs returns the results of the nodes that Model.Outputs names, in that order, or the
// result of the last node if it names none. They are valid until the next run.
func (p *Plan) Outputs() []kernels.View { return slices.Clone(p.outputs) }

// Output returns the first of Outputs, the network's main result.
func (p *Plan) Output() kernels.View { return p.outputs[0] }

// Logits returns the scores from which a softmax computes Output, or Output itself if no softmax
// computes it. It is valid until the next run.
func (p *Plan) Logits() kernels.View { return p.logits }

// Node returns the result of a node, or the input under the name [Input]. It
// reports false for unknown nodes and for nodes whose memory is reused in the
// course of a run, which Options.KeepAll prevents. The result of a layer
// that a ReLU is fused into is rectified.
func (p *Plan) Node(name string) (kernels.View, bool) {
	v, ok := p.nodes[name]
	return v, ok
}

// Steps returns what Run executes, in order.
func (p *Plan) Steps() []Step { return slices.Clone(p.steps) }

// ArenaBytes returns the size of the memory that all activations share.
func (p *Plan) ArenaBytes() int64 { return p.arena }

// WeightBytes returns the size of the packed weights.
func (p *Plan) WeightBytes() int64 { return p.weights }

// Threads returns the number of threads that Run uses, the caller's included.
func (p *Plan) Threads() int { return p.workers.Threads() }

// Run computes Output from Input. It returns ErrBusy, at once, while another
// goroutine runs the plan, and ErrClosed after Close. It does not allocate.
func (p *Plan) Run() error {
	if err := p.begin(); err != nil {
		return err
	}
	defer p.end()
	for i := range p.work {
		p.work[i].run(p.workers)
	}
	return nil
}

// RunStep runs step i of Steps alone, on what the memory of its inputs holds. Without KeepAll
// that may be the values of other nodes. It fails in plans in which bands of rows pass through
// several layers, as no layer can run alone there; with KeepAll, none do.
func (p *Plan) RunStep(i int) error {
	if i < 0 || i >= len(p.steps) {
		return fmt.Errorf("graph: %s: step %d of %d", p.model.Name, i, len(p.steps))
	}
	return p.runSingle(func(step int) bool { return step == i })
}

// RunStage runs the steps of one stage, as RunStep runs one.
func (p *Plan) RunStage(name string) error {
	if !slices.ContainsFunc(p.steps, func(s Step) bool { return s.Stage == name }) {
		return fmt.Errorf("graph: %s: unknown stage %q, expected one of %q", p.model.Name, name, p.stages())
	}
	return p.runSingle(func(step int) bool { return p.steps[step].Stage == name })
}

// RunPasses runs the steps of some passes of a model with gradients, in their order. Passes that Run runs before
// them must have been run since the last Run, or the values that they read are others'. All steps of a cascade are of one pass.
func (p *Plan) RunPasses(passes ...layer.Pass) error {
	return p.runIf(func(step int) bool { return slices.Contains(passes, p.steps[step].Pass) })
}

// runSingle is runIf for steps that may be part of a cascade.
func (p *Plan) runSingle(wanted func(step int) bool) error {
	if p.cascades {
		return fmt.Errorf("graph: %s: bands of rows pass through several layers in this plan, single steps need one with KeepAll", p.model.Name)
	}
	return p.runIf(wanted)
}

// runIf runs the work that begins with one of the wanted steps.
func (p *Plan) runIf(wanted func(step int) bool) error {
	if err := p.begin(); err != nil {
		return err
	}
	defer p.end()
	for i := range p.work {
		if wanted(p.work[i].step) {
			p.work[i].run(p.workers)
		}
	}
	return nil
}

func (p *Plan) stages() []string {
	var names []string
	for _, s := range p.steps {
		if !slices.Contains(names, s.Stage) {
			names = append(names, s.Stage)
		}
	}
	return names
}

func (p *Plan) begin() error {
	if !p.mu.TryLock() {
		return ErrBusy
	}
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	return nil
}

func (p *Plan) end() {
	pprof.SetGoroutineLabels(context.Background())
	p.mu.Unlock()
}

func (w *work) run(pool *workers.Pool) {
	pprof.SetGoroutineLabels(w.labels)
	for _, t := range w.tasks {
		pool.Run(w.labels, t)
	}
}

// Close waits for a run to end and stops the workers. It may be called more than
// once. Views stay readable.
func (p *Plan) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		p.workers.Close()
	}
}
