package kernels

import (
	"context"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"time"
)

// A Task is one operation bound to its memory, cut into independent chunks.
// Chunk(worker, i) runs chunk i, 0 <= i < Chunks(); worker, below the thread count
// that the task was bound for, selects scratch memory. Chunk does not allocate.
type Task interface {
	Chunks() int
	Chunk(worker, i int)
}

// Workers runs tasks on a fixed number of threads: the caller and persistent
// goroutines, which spin for a moment after each task and then park. Chunks are
// claimed one at a time, so that a thread that the operating system holds up
// costs no more than the chunk that it is in; it gets none for a while after that, because
// who took its core will do so again. Every other thread takes them from the end:
// two threads find most of what they read in their own caches if tasks number their chunks
// by place.
//
// One Run at a time; Run does not allocate.
type Workers struct {
	// claim is epoch<<32 | chunks not claimed yet. A successful compare-and-swap
	// from a non-zero count owns one chunk of this very epoch, and Run
	// cannot end, nor task change, before that chunk is done.
	claim atomic.Uint64
	_     [56]byte // claim and done on lines of their own: every thread writes them
	done  atomic.Int64
	_     [56]byte
	// ends count what even threads took from the front and odd ones from the back.
	ends [2]struct {
		atomic.Int64
		_ [56]byte
	}

	task   Task
	labels context.Context
	chunks int

	helpers []helper
	closed  atomic.Bool
}

// A helper is a worker goroutine's parking place.
type helper struct {
	parked  atomic.Bool
	busy    atomic.Bool // in a chunk
	resting atomic.Bool // takes no chunks
	late    bool        // in this Run
	rest    time.Duration
	until   time.Time // the end of the last rest
	wake    chan struct{}
	exited  chan struct{}
}

// spinTime is how long an idle helper watches for the next task before it parks:
// several times what waking up costs (some 5 µs), and longer than the serial
// parts between two layers.
const spinTime = 50 * time.Microsecond

// A helper is late when the caller has waited for its chunk for lateTime and twice as long
// as it worked itself: no chunk takes that long unless a few are much larger than the others.
// It rests as long as the caller waited, which costs little where that was an accident; if it
// is late again soon, twice as long as the last time, up to longRest.
const (
	lateTime = time.Millisecond
	soon     = 100 * time.Millisecond
	longRest = time.Second
)

// NewWorkers starts threads-1 goroutines; the caller of Run is the last thread.
// threads below 1 count as 1.
func NewWorkers(threads int) *Workers {
	w := &Workers{helpers: make([]helper, max(threads-1, 0))}
	for i := range w.helpers {
		h := &w.helpers[i]
		h.wake = make(chan struct{}, 1)
		h.exited = make(chan struct{})
		go w.help(h, i+1)
	}
	return w
}

// Threads returns the number of threads, the caller's included.
func (w *Workers) Threads() int { return len(w.helpers) + 1 }

// Run executes all chunks of t and returns when they are done. Every helper that
// takes part carries the profiler labels of ctx, none if ctx is nil; the caller's
// labels are left to the caller.
func (w *Workers) Run(ctx context.Context, t Task) {
	n := t.Chunks()
	if len(w.helpers) == 0 || n == 1 {
		for i := range n {
			t.Chunk(0, i)
		}
		return
	}
	if n == 0 {
		return
	}
	if ctx == nil {
		ctx = context.Background()
	}
	start := time.Now()
	for i := range w.helpers {
		if h := &w.helpers[i]; h.resting.Load() && start.After(h.until) {
			h.resting.Store(false)
		}
	}
	w.task, w.labels, w.chunks = t, ctx, n
	w.done.Store(0)
	w.ends[0].Store(0)
	w.ends[1].Store(0)
	epoch := w.claim.Load()>>32 + 1
	w.claim.Store(epoch<<32 | uint64(n))
	for i := range w.helpers {
		if h := &w.helpers[i]; !h.resting.Load() && h.parked.Load() && h.parked.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
	w.work(0, nil, nil)
	if w.done.Load() != int64(n) {
		w.wait(n, time.Since(start))
	}
	w.task, w.labels = nil, nil
}

// wait waits for the helpers' last chunks and lets those rest that were late; own is how
// long the caller worked.
func (w *Workers) wait(n int, own time.Duration) {
	start := time.Now()
	for spins := 0; w.done.Load() != int64(n); spins++ {
		if spins <= 1000 {
			continue
		}
		runtime.Gosched() // the helper may need this thread
		if d := time.Since(start); d > lateTime && d > 2*own {
			for i := range w.helpers {
				if h := &w.helpers[i]; h.busy.Load() {
					h.late = true
					h.resting.Store(true)
				}
			}
		}
	}
	now := time.Now()
	for i := range w.helpers {
		h := &w.helpers[i]
		if !h.late {
			continue
		}
		h.late = false
		if start.Sub(h.until) > soon {
			h.rest = 0
		}
		h.rest = min(max(2*h.rest, now.Sub(start)), longRest)
		h.until = now.Add(h.rest)
	}
}

// work claims and runs chunks until none is left and reports whether it ran any. h is
// the worker's helper, nil for the caller of Run.
func (w *Workers) work(worker int, h *helper, labeled *context.Context) bool {
	ran := false
	for h == nil || !h.resting.Load() {
		v := w.claim.Load()
		left := uint32(v)
		if left == 0 {
			return ran
		}
		if !w.claim.CompareAndSwap(v, v-1) {
			continue
		}
		if h != nil {
			h.busy.Store(true)
			if *labeled != w.labels {
				*labeled = w.labels
				pprof.SetGoroutineLabels(w.labels)
			}
		}
		// As many numbers are handed out as chunks were claimed: the ends do not meet.
		chunk := int(w.ends[worker%2].Add(1)) - 1
		if worker%2 == 1 {
			chunk = w.chunks - 1 - chunk
		}
		w.task.Chunk(worker, chunk)
		if h != nil {
			h.busy.Store(false)
		}
		w.done.Add(1)
		ran = true
	}
	return ran
}

// help is a helper's life.
func (w *Workers) help(h *helper, worker int) {
	defer close(h.exited)
	labeled := context.Background()
	for {
		idle := time.Now()
		for spins := 0; ; spins++ {
			if w.work(worker, h, &labeled) {
				idle, spins = time.Now(), 0
			}
			if w.closed.Load() {
				return
			}
			if spins%64 == 63 && time.Since(idle) > spinTime {
				break
			}
		}
		h.parked.Store(true)
		// Work that came between the last look and the store may have found
		// nobody parked.
		if (uint32(w.claim.Load()) != 0 && !h.resting.Load() || w.closed.Load()) && h.parked.CompareAndSwap(true, false) {
			continue
		}
		<-h.wake
	}
}

// Close ends the goroutines and waits for them; it may be called more than once,
// and not during a Run.
func (w *Workers) Close() {
	if w.closed.Swap(true) {
		return
	}
	for i := range w.helpers {
		h := &w.helpers[i]
		if h.parked.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
	for i := range w.helpers {
		<-w.helpers[i].exited
	}
}
