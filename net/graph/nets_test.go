package graph_test

import (
	"runtime"
	"testing"
	"time"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/weights"
)

// TestNets runs every model on every instruction set: every node is what package
// ref computes, nothing allocates, and neither threads nor the reuse of memory,
// which is close to the best possible, change a bit.
func TestNets(t *testing.T) {
	wholeMACs := 3_000_000
	if testing.Short() {
		wholeMACs = 200_000
	}
	for _, m := range models.All() {
		t.Run("net="+m.Name, func(t *testing.T) {
			w := random(t, m)
			kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
				if testing.Short() && set.ISA == kernels.Scalar {
					t.Skip("takes seconds")
				}
				keep := compile(t, m, w, graph.Options{Set: set, Threads: 2, KeepAll: true})
				run(t, keep)
				checkNodes(t, keep, w, wholeMACs)
				checkAllocs(t, keep)

				reuse := compile(t, m, w, graph.Options{Set: set, Threads: 1})
				fill(reuse.Input(), 2)
				checkAllocs(t, reuse)
				checkArena(t, reuse, keep)
				kerneltest.Compare(t, "logits of one thread", reuse.Logits(), dense(keep.Logits()), nil)
				kerneltest.Compare(t, "output of one thread", reuse.Output(), dense(keep.Output()), nil)
			})
		})
	}
}

// checkAllocs runs p and reports an error if the second run allocates.
func checkAllocs(t *testing.T, p *graph.Plan) {
	t.Helper()
	if n := testing.AllocsPerRun(1, func() {
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a run with %d threads, want 0", n, p.Threads())
	}
}

// checkArena checks the sizes of a plan's arena with and without KeepAll.
func checkArena(t *testing.T, reuse, keep *graph.Plan) {
	t.Helper()
	m := reuse.Model()
	need := graph.LiveBytes(m)
	got := reuse.ArenaBytes()
	if got < need || float64(got) > 1.05*float64(need) {
		t.Errorf("the arena has %d bytes, want at least the %d that are in use at once, and less than 5%% more", got, need)
	}
	if m.Name == "squeezenet1.0" && got > 7e6 {
		t.Errorf("the arena has %d bytes, want at most 7 MB", got)
	}
	if keep.ArenaBytes() <= got {
		t.Errorf("the arena has %d bytes, and %d when all is kept", got, keep.ArenaBytes())
	}
}

// TestMemory checks that after Compile only packed weights remain.
func TestMemory(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	m, err := models.Lookup("alexnet")
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	p, err := graph.Compile(m, weights.Random(1), graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	params := int64(0)
	for _, s := range p.Steps() {
		params += 4 * s.Cost.Params
	}
	if w := p.WeightBytes(); w < params || float64(w) > 1.01*float64(params) {
		t.Errorf("packed weights have %d bytes, the model's have %d", w, params)
	}
	const rest = 2 << 20 // tasks, their scratch memory, tables
	if got, want := heap()-before, p.WeightBytes()+p.ArenaBytes(); got > want+rest {
		t.Errorf("the heap grew by %d bytes, weights and arena have %d", got, want)
	}
}

func TestCompileTime(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time")
	}
	m, err := models.Lookup("squeezenet1.0")
	if err != nil {
		t.Fatal(err)
	}
	w := random(t, m)
	const limit = 50 * time.Millisecond
	best := time.Hour
	for range 10 {
		start := time.Now()
		p, err := graph.Compile(m, w, graph.Options{})
		best = min(best, time.Since(start))
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
	t.Logf("compiled in %v", best)
	if best > limit {
		t.Errorf("compiling takes %v at best, want at most %v", best, limit)
	}
}
