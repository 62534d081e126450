package graph_test

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/workers"
	"firebench/net/graph"
	"firebench/net/layer"
)

// A probe is a layer that calls chunk instead of computing anything.
type probe struct {
	chunks int
	chunk  func()
}

func (probe) Op() string                                     { return "probe" }
func (probe) OutShape(in []layer.Shape) (layer.Shape, error) { return in[0], nil }
func (probe) Cost([]layer.Shape) kernels.Cost                { return kernels.Cost{} }
func (p probe) Bind(layer.Binding) ([]workers.Task, error)   { return []workers.Task{probeTask{p}}, nil }

type probeTask struct{ probe }

func (p probeTask) Chunks() int    { return p.chunks }
func (p probeTask) Chunk(_, _ int) { p.chunk() }

func TestBusy(t *testing.T) {
	entered, leave := make(chan bool), make(chan bool)
	m := small(image, node("a", probe{1, func() { entered <- true; <-leave }}))
	goroutines := runtime.NumGoroutine()
	p := compile(t, m, random(t, m), graph.Options{Threads: 3})

	var wg sync.WaitGroup
	calls := map[string]func() error{
		"Run":      p.Run,
		"RunStep":  func() error { return p.RunStep(0) },
		"RunStage": func() error { return p.RunStage("9x11") },
	}
	for name, call := range calls {
		wg.Go(func() {
			if err := call(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		<-entered
		for other, call := range calls {
			if err := call(); err != graph.ErrBusy {
				t.Errorf("%s during %s: error %v, want ErrBusy", other, name, err)
			}
		}
		leave <- true
		wg.Wait()
	}

	// Close waits for the run.
	wg.Go(func() {
		if err := p.Run(); err != nil {
			t.Errorf("Run before Close: %v", err)
		}
	})
	<-entered
	closed := make(chan bool)
	go func() {
		p.Close()
		close(closed)
	}()
	select {
	case <-closed:
		t.Error("Close did not wait for Run")
	default:
	}
	leave <- true
	wg.Wait()
	<-closed
	p.Close()
	for name, call := range calls {
		if err := call(); err != graph.ErrClosed {
			t.Errorf("%s after Close: error %v, want ErrClosed", name, err)
		}
	}
	checkGoroutines(t, goroutines)
}

// TestConcurrent calls a plan's methods from several goroutines, for the race detector.
func TestConcurrent(t *testing.T) {
	m := small(image, node("a", conv), node("r", relu), node("b", conv))
	p := compile(t, m, random(t, m), graph.Options{Threads: 2})
	fill(p.Input(), 1)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 200 {
				if err := p.Run(); err != nil && err != graph.ErrBusy && err != graph.ErrClosed {
					t.Error(err)
				}
				if i == 0 && j == 150 {
					p.Close()
				}
				p.Steps()
				p.Node("b")
				p.ArenaBytes()
			}
		})
	}
	wg.Wait()
	if err := p.Run(); err != graph.ErrClosed {
		t.Errorf("Run after Close: error %v, want ErrClosed", err)
	}
}

func TestRunStep(t *testing.T) {
	var ran []string
	mark := func(name string) graph.Node {
		return node(name, probe{1, func() { ran = append(ran, name) }})
	}
	m := small(image, mark("a"), node("p", layer.MaxPool{Kernel: 9}), mark("b"), mark("c"), mark("d"))
	m.Head = "d"
	p := compile(t, m, random(t, m), graph.Options{})
	tests := []struct {
		name string
		call func() error
		want string
		err  string
	}{
		{"Run", p.Run, "a b c d", ""},
		{"RunStep(0)", func() error { return p.RunStep(0) }, "a", ""},
		{"RunStep(3)", func() error { return p.RunStep(3) }, "c", ""},
		{"RunStep(-1)", func() error { return p.RunStep(-1) }, "", "step -1 of 5"},
		{"RunStep(5)", func() error { return p.RunStep(5) }, "", "step 5 of 5"},
		{"RunStage(1x3)", func() error { return p.RunStage("1x3") }, "b c", ""},
		{"RunStage(head)", func() error { return p.RunStage("head") }, "d", ""},
		{"RunStage(stem)", func() error { return p.RunStage("stem") }, "", `unknown stage "stem", expected one of ["9x11" "1x3" "head"]`},
	}
	for _, test := range tests {
		ran = nil
		err := test.call()
		if got := strings.Join(ran, " "); got != test.want {
			t.Errorf("%s ran %q, want %q", test.name, got, test.want)
		}
		if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.err)
		}
	}
}

// TestLabels checks that the profiler sees net and layer on every thread while a
// step runs, and none on the caller afterwards.
func TestLabels(t *testing.T) {
	const threads = 3
	var meet sync.WaitGroup
	var once sync.Once
	var profile string
	m := small(image, node("a", conv), node("look", probe{threads, func() {
		// Each thread has one chunk, as none ends before all threads have begun.
		meet.Done()
		meet.Wait()
		once.Do(func() { profile = goroutines(t) })
	}}))
	p := compile(t, m, random(t, m), graph.Options{Threads: threads})
	meet.Add(threads)
	run(t, p)
	if got := labeled(profile); got != threads {
		t.Errorf("%d goroutines carry the labels of step look, want %d:\n%s", got, threads, profile)
	}
	p.Close()
	if after := goroutines(t); labeled(after) != 0 {
		t.Errorf("labels are left behind:\n%s", after)
	}
}

func goroutines(t *testing.T) string {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		t.Error(err)
	}
	return b.String()
}

// labeled counts the goroutines with the labels of TestLabels in a text profile. In such a
// profile, a line "count @ addresses" precedes the labels of a stack.
func labeled(profile string) int {
	count := 0
	for stack := range strings.SplitSeq(profile, "\n\n") {
		if strings.Contains(stack, `"layer":"look"`) && strings.Contains(stack, `"net":"small"`) {
			lines := strings.Split(stack, "\n")
			for i, line := range lines {
				if strings.HasPrefix(line, "# labels:") {
					n := 0
					for _, d := range strings.Fields(lines[i-1])[0] {
						n = 10*n + int(d-'0')
					}
					count += n
				}
			}
		}
	}
	return count
}

var errBind = errors.New("cannot bind")

// unbindable is a layer whose Bind fails.
type unbindable struct{ probe }

func (unbindable) Bind(layer.Binding) ([]workers.Task, error) { return nil, errBind }

func TestBindError(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	_, err := graph.Compile(small(image, node("a", unbindable{})), stored{}, graph.Options{Threads: 4})
	if !errors.Is(err, errBind) || !strings.Contains(err.Error(), "graph: small: node a: cannot bind") {
		t.Errorf("error %v, want %v with model and node", err, errBind)
	}
	checkGoroutines(t, goroutines)
}

func TestSteps(t *testing.T) {
	m := small(image,
		node("conv1", conv), node("conv1.r", relu),
		node("pool", layer.MaxPool{Kernel: 9}),
		node("conv2", layer.Conv{Out: 2, Kernel: 1}),
		node("cat", layer.Concat{}, "pool", "pool", "conv2"),
		node("fc", layer.Dense{Out: 10}),
	)
	m.Head = "fc"
	in, mid, row := image.Elems(), 9*11*4, 3
	cost := func(params, macs, elems int) kernels.Cost {
		return kernels.Cost{Params: int64(params), MACs: int64(5 * macs), Weights: int64(4 * params), Activations: int64(4 * 5 * elems)}
	}
	want := []graph.Step{
		{Name: "conv1", Op: "conv3x3", Stage: "stem", Pass: layer.Forward, Out: layer.Shape{H: 9, W: 11, C: 4}, Cost: cost(4*27+4, mid*27, in+mid)},
		{Name: "pool", Op: "maxpool", Stage: "1x3", Pass: layer.Forward, Out: layer.Shape{H: 1, W: 3, C: 4}, Cost: cost(0, 0, mid+4*row)},
		{Name: "conv2", Op: "conv1x1", Stage: "1x3", Pass: layer.Forward, Out: layer.Shape{H: 1, W: 3, C: 2}, Cost: cost(8+2, 2*row*4, 4*row+2*row)},
		// conv2 is produced in the result. pool is copied, as the concatenation reads it twice.
		{Name: "cat", Op: "concat", Stage: "1x3", Pass: layer.Forward, Out: layer.Shape{H: 1, W: 3, C: 10}, Cost: cost(0, 0, 2*8*row)},
		{Name: "fc", Op: "dense", Stage: "head", Pass: layer.Forward, Out: layer.Shape{H: 1, W: 1, C: 10}, Cost: cost(10*row*10+10, 10*row*10, 10*row+10)},
	}
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for i, p := range map[int]kernels.Problem{
			0: {ConvShape: conv.ConvShape(image), H: image.H, W: image.W, ReLU: true},
			2: {ConvShape: layer.Conv{Out: 2, Kernel: 1}.ConvShape(want[1].Out), H: 1, W: 3},
			4: {ConvShape: layer.Dense{Out: 10}.ConvShape(want[3].Out), H: 1, W: 3},
		} {
			want[i].Candidates, want[i].Pick = kernels.Candidates(set, p), kernels.Pick(set, p)
		}
		for _, algo := range []string{kernels.Auto, "direct", "winograd"} {
			for i := range want {
				if want[i].Algo = want[i].Pick; slices.Contains(want[i].Candidates, algo) {
					want[i].Algo = algo
				}
			}
			// The narrow tile computes four and two channels. Ten take as many columns of it as
			// they need, or of the wide tile if these are fewer.
			narrow := set.F32.Conv.Narrow.Width
			columns := func(out int) int {
				return min((out+narrow-1)/narrow*narrow, (out+set.F32.Conv.Wide.Width-1)/set.F32.Conv.Wide.Width*set.F32.Conv.Wide.Width)
			}
			direct := mid / 4 * 27 * columns(4)
			if want[0].Algo == "winograd" {
				direct = 36 * 3 * 3 * 3 * columns(4) // tiles of 4×4 over 9×11
			}
			for i, n := range []int{direct, 0, row * 4 * columns(2), 0, 10 * row * columns(10)} {
				want[i].Executed = int64(5 * n)
			}
			p := compile(t, m, random(t, m), graph.Options{Set: set, Algo: algo, Batch: 5})
			got := p.Steps()
			if len(got) != len(want) {
				t.Fatalf("steps are %+v, want %+v", got, want)
			}
			for i := range want {
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Errorf("%v: step %d is\n%+v, want\n%+v", algo, i, got[i], want[i])
				}
			}
			got[0].Name = "scribble"
			if !reflect.DeepEqual(p.Steps()[0], want[0]) {
				t.Error("Steps returns the plan's own slice")
			}
		}
	})
}

func TestNode(t *testing.T) {
	m := small(image, node("a", conv), node("r", relu), node("b", conv), node("s", layer.Softmax{}))
	p := compile(t, m, random(t, m), graph.Options{})
	run(t, p)
	for name, want := range map[string]kernels.View{graph.Input: p.Input(), "b": p.Logits(), "s": p.Output()} {
		if v, ok := p.Node(name); !ok || !same(v, want) {
			t.Errorf("Node(%s) = %v, %v, want %v", name, v, ok, want)
		}
	}
	for _, name := range []string{"a", "r", "", "c"} {
		if v, ok := p.Node(name); ok {
			t.Errorf("Node(%q) = %v, want none", name, v)
		}
	}

	keep := compile(t, m, random(t, m), graph.Options{KeepAll: true})
	a, okA := keep.Node("a")
	r, okR := keep.Node("r")
	if !okA || !okR || !same(a, r) {
		t.Errorf("a layer and the ReLU fused into it have the values %v and %v", a, r)
	}

	m = small(image, node("a", conv))
	bare := compile(t, m, random(t, m), graph.Options{})
	if !same(bare.Logits(), bare.Output()) {
		t.Error("without a softmax, Logits is not Output")
	}
}

// TestOutputs checks that every output has its values at the end of a run, without the ReLU that
// follows it, and that Output is the first of them.
func TestOutputs(t *testing.T) {
	m := small(image, node("a", conv), node("r", relu), node("b", conv), node("c", conv), node("z", layer.Concat{}, "b", "c"), node("p", layer.Softmax{}))
	w := random(t, m)
	keep := small(image, slices.Clone(m.Nodes)...)
	for _, outputs := range [][]string{{"p"}, {"p", "a"}, {"a", "r", "p"}, {"p", "b", "c"}, {"z", "p"}} {
		m.Outputs = outputs
		p := compile(t, m, w, graph.Options{})
		run(t, p)
		keep.Outputs = outputs
		all := compile(t, keep, w, graph.Options{KeepAll: true})
		run(t, all)
		views := p.Outputs()
		if len(views) != len(outputs) {
			t.Fatalf("%q: %d outputs", outputs, len(views))
		}
		for i, name := range outputs {
			want, ok := all.Node(name)
			if !ok {
				t.Fatalf("no node %s", name)
			}
			if got := dense(views[i]); !slices.Equal(got, dense(want)) {
				t.Errorf("%q: output %s differs from the node", outputs, name)
			}
			if name == "a" && !slices.ContainsFunc(dense(views[i]), func(v float64) bool { return v < 0 }) {
				t.Errorf("%q: the values of a are rectified", outputs)
			}
		}
		if !slices.Equal(dense(p.Output()), dense(views[0])) {
			t.Errorf("%q: Output is not the first", outputs)
		}
		logits := p.Logits()
		if outputs[0] == "p" && logits.C != 8 || outputs[0] != "p" && !slices.Equal(dense(logits), dense(views[0])) {
			t.Errorf("%q: the logits have %d channels", outputs, logits.C)
		}
	}
	for _, outputs := range [][]string{{"x"}, {"input"}, {"p", "p"}, {"a"}} {
		m.Outputs = outputs
		if _, err := m.Infer(); err == nil {
			t.Errorf("outputs %q: no error", outputs)
		}
	}
}
