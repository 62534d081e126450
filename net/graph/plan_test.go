package graph_test

import (
	"bytes"
	"errors"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"

	"firebench/kernels"
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

// TestConcurrent calls everything from everywhere, for the race detector.
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
		// Every thread has a chunk and nobody goes on before all have.
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

// labeled counts the goroutines with the labels of TestLabels in a text profile,
// in which a line "count @ addresses" comes before the labels of a stack.
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

// unbindable is a layer whose memory does not suit it.
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
