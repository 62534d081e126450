package workers_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firebench/kernels/workers"
)

// A countTask counts how often each chunk ran, and how often two chunks ran at the same time
// under the same worker number.
type countTask struct {
	runs    []int32 // not atomic, so that the race detector sees whether Run orders them
	busy    []atomic.Bool
	clashes atomic.Int32
}

func newCountTask(chunks, threads int) *countTask {
	return &countTask{runs: make([]int32, chunks), busy: make([]atomic.Bool, threads)}
}

func (c *countTask) Chunks() int { return len(c.runs) }

func (c *countTask) Chunk(worker, i int) {
	if c.busy[worker].Swap(true) {
		c.clashes.Add(1)
	}
	c.runs[i]++
	c.busy[worker].Store(false)
}

func (c *countTask) check(t *testing.T, rounds int) {
	t.Helper()
	for i, n := range c.runs {
		if int(n) != rounds {
			t.Errorf("chunk %d of %d ran %d times in %d rounds, %d threads", i, len(c.runs), n, rounds, len(c.busy))
		}
	}
	if n := c.clashes.Load(); n > 0 {
		t.Errorf("%d chunks ran under the number of a busy worker, %d threads", n, len(c.busy))
	}
}

// TestChunks: every chunk runs exactly once in each Run, whatever the
// number of chunks and threads, with one task directly after another.
func TestChunks(t *testing.T) {
	const rounds = 20
	for threads := 1; threads <= 8; threads++ {
		pool := workers.NewPool(threads)
		if got := pool.Threads(); got != threads {
			t.Errorf("NewPool(%d).Threads() = %d", threads, got)
		}
		for chunks := 0; chunks <= 100; chunks++ {
			task := newCountTask(chunks, threads)
			for range rounds {
				pool.Run(context.Background(), task)
			}
			task.check(t, rounds)
		}
		pool.Close()
	}
}

// TestPark waits between runs for about as long as idle helpers spin, so that tasks come while
// they spin, when they are about to park, and when they are parked.
func TestPark(t *testing.T) {
	const rounds = 300
	pool := workers.NewPool(3)
	defer pool.Close()
	task := newCountTask(7, 3)
	for i := range rounds {
		for start := time.Now(); time.Since(start) < time.Duration(i)*time.Microsecond/2; {
		}
		pool.Run(context.Background(), task)
	}
	task.check(t, rounds)
	time.Sleep(5 * time.Millisecond) // the helpers are certainly parked
	pool.Run(context.Background(), task)
	task.check(t, rounds+1)
}

// A meetTask has one chunk per thread. The chunks wait for each other, so that each thread runs
// exactly one; then each chunk calls f, one after the other. They give up if a thread does not
// come: it may rest.
type meetTask struct {
	threads int
	arrived atomic.Int32 // chunks that wait; negative if they have given up
	end     time.Time    // when they give up
	f       func(worker int)
	lock    sync.Mutex
}

func (m *meetTask) Chunks() int { return m.threads }

func (m *meetTask) Chunk(worker, _ int) {
	for n := m.arrived.Add(1); int(n) < m.threads; n = m.arrived.Load() {
		if n < 0 || time.Now().After(m.end) && m.arrived.CompareAndSwap(n, math.MinInt32) {
			return
		}
		runtime.Gosched()
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	m.f(worker)
}

// meet runs f once on every thread of pool, one after the other, while all threads run the same
// task.
func meet(t *testing.T, pool *workers.Pool, ctx context.Context, f func(worker int)) {
	t.Helper()
	met := func() bool {
		m := &meetTask{threads: pool.Threads(), end: time.Now().Add(100 * time.Millisecond), f: f}
		pool.Run(ctx, m)
		return m.arrived.Load() > 0
	}
	if !within(10*time.Second, met) {
		t.Fatalf("%d threads never met", pool.Threads())
	}
}

// within calls f until it reports true, for at most limit, and reports whether it did.
func within(limit time.Duration, f func() bool) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if f() {
			return true
		}
	}
	return false
}

// TestAllTakePart: every thread runs chunks, under a number of its own.
func TestAllTakePart(t *testing.T) {
	for threads := 1; threads <= 8; threads++ {
		pool := workers.NewPool(threads)
		for range 20 {
			seen := make([]int, threads)
			meet(t, pool, nil, func(worker int) { seen[worker]++ })
			for worker, n := range seen {
				if n != 1 {
					t.Fatalf("worker %d of %d took %d of the chunks that wait for each other", worker, threads, n)
				}
			}
		}
		pool.Close()
	}
}

// TestLabels: while a task runs, every helper carries the labels of its Run, or none if that has
// none.
func TestLabels(t *testing.T) {
	const threads = 4
	pool := workers.NewPool(threads)
	defer pool.Close()
	label := func(layer string) context.Context {
		return pprof.WithLabels(context.Background(), pprof.Labels("layer", layer))
	}
	for _, c := range []struct {
		name string
		ctx  context.Context
		want string
	}{
		{"none at first", nil, ""},
		{"one", label("conv1"), `{"layer":"conv1"}`},
		{"another", label("fire2.squeeze1x1"), `{"layer":"fire2.squeeze1x1"}`},
		{"none after some", nil, ""},
		{"the first again", label("conv1"), `{"layer":"conv1"}`},
		{"an empty set", context.Background(), ""},
	} {
		var once sync.Once
		meet(t, pool, c.ctx, func(int) {
			once.Do(func() {
				helpers := 0
				for labels, n := range helperLabels(t) {
					if labels != c.want {
						t.Errorf("%s: %d helpers carry the labels %q, want %q", c.name, n, labels, c.want)
					}
					helpers += n
				}
				if helpers != threads-1 {
					t.Errorf("%s: %d helpers in the goroutine profile, want %d", c.name, helpers, threads-1)
				}
			})
		})
	}
}

// helperLabels returns how many helpers carry which profiler labels, as the goroutine profile
// shows them.
func helperLabels(t *testing.T) map[string]int {
	t.Helper()
	var buf bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&buf, 1); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for record := range strings.SplitSeq(buf.String(), "\n\n") {
		if !strings.Contains(record, "workers.(*Pool).help") {
			continue
		}
		// A record looks like this:
		//
		// 3 @ 0x46b0d1 0x46b0c5 …
		// # labels: {"layer":"conv1"}
		// #	0x46b0d0	…
		i := strings.Index(record, " @ ")
		if i < 0 {
			t.Fatalf("goroutine profile: no count in %q", record)
		}
		head := record[:i]
		head = head[strings.LastIndexByte(head, '\n')+1:]
		var n int
		if _, err := fmt.Sscan(head, &n); err != nil {
			t.Fatalf("goroutine profile: %q: %v", head, err)
		}
		labels := ""
		if _, rest, ok := strings.Cut(record, "# labels: "); ok {
			labels, _, _ = strings.Cut(rest, "\n")
		}
		found[labels] += n
	}
	return found
}

// TestClose: Close ends all helpers, also those that have run no chunk and those that are parked,
// and may be called again.
func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	for i := range 100 {
		pool := workers.NewPool(1 + i%8)
		switch i % 3 {
		case 1:
			pool.Run(context.Background(), newCountTask(20, 8))
		case 2:
			pool.Run(context.Background(), newCountTask(20, 8))
			time.Sleep(200 * time.Microsecond)
		}
		pool.Close()
		pool.Close()
	}
	// Close has waited for the helpers to return, but Go counts a goroutine for a moment longer.
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// TestNoThreads: a number of threads below 1 counts as 1.
func TestNoThreads(t *testing.T) {
	for _, threads := range []int{0, -1} {
		pool := workers.NewPool(threads)
		if got := pool.Threads(); got != 1 {
			t.Errorf("NewPool(%d).Threads() = %d, want 1", threads, got)
		}
		task := newCountTask(5, 1)
		pool.Run(context.Background(), task)
		task.check(t, 1)
		pool.Close()
	}
}

// A lateTask has two chunks, one for the caller of Run and one for the helper, if it takes part.
// The helper's chunk takes long.
type lateTask struct {
	late   time.Duration
	helped atomic.Bool // the helper has taken part
}

func (*lateTask) Chunks() int { return 2 }

func (l *lateTask) Chunk(worker, _ int) {
	if worker > 0 {
		l.helped.Store(true)
		time.Sleep(l.late)
		return
	}
	for end := time.Now().Add(5 * time.Millisecond); !l.helped.Load() && time.Now().Before(end); {
		runtime.Gosched()
	}
}

// TestRest: a helper that was late gets no chunks for about as long as it was late, and for twice
// as long if it is late again at once. Then it gets chunks again.
func TestRest(t *testing.T) {
	pool := workers.NewPool(2)
	defer pool.Close()
	const late = 100 * time.Millisecond
	// run reports whether the helper took part.
	run := func(late time.Duration) bool {
		task := &lateTask{late: late}
		pool.Run(context.Background(), task)
		return task.helped.Load()
	}
	rest := func() time.Duration {
		if !within(10*time.Second, func() bool { return run(late) }) {
			t.Fatal("the helper never takes part")
		}
		start := time.Now()
		if !within(10*time.Second, func() bool { return run(0) }) {
			t.Fatal("the helper rests for ever")
		}
		return time.Since(start)
	}
	first, second := rest(), rest()
	if first < late/2 {
		t.Errorf("a helper %v late rested %v", late, first)
	}
	if second < first+first/2 && second < time.Second {
		t.Errorf("a helper that was late again rested %v, the first time %v", second, first)
	}
}
