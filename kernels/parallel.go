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
// costs no more than the chunk that it is in. Every other thread takes them from the end:
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
	parked atomic.Bool
	wake   chan struct{}
	exited chan struct{}
	_      [40]byte
}

// spinTime is how long an idle helper watches for the next task before it parks:
// several times what waking up costs (some 5 µs), and longer than the serial
// parts between two layers.
const spinTime = 50 * time.Microsecond

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
	w.task, w.labels, w.chunks = t, ctx, n
	w.done.Store(0)
	w.ends[0].Store(0)
	w.ends[1].Store(0)
	epoch := w.claim.Load()>>32 + 1
	w.claim.Store(epoch<<32 | uint64(n))
	for i := range w.helpers {
		if h := &w.helpers[i]; h.parked.Load() && h.parked.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
	w.work(0, nil)
	for spins := 0; w.done.Load() != int64(n); spins++ {
		if spins > 1000 {
			runtime.Gosched() // the helper may need this thread
		}
	}
	w.task, w.labels = nil, nil
}

// work claims and runs chunks until none is left and reports whether it ran any.
func (w *Workers) work(worker int, labeled *context.Context) bool {
	ran := false
	for {
		v := w.claim.Load()
		left := uint32(v)
		if left == 0 {
			return ran
		}
		if !w.claim.CompareAndSwap(v, v-1) {
			continue
		}
		if labeled != nil && *labeled != w.labels {
			*labeled = w.labels
			pprof.SetGoroutineLabels(w.labels)
		}
		// As many numbers are handed out as chunks were claimed: the ends do not meet.
		chunk := int(w.ends[worker%2].Add(1)) - 1
		if worker%2 == 1 {
			chunk = w.chunks - 1 - chunk
		}
		w.task.Chunk(worker, chunk)
		w.done.Add(1)
		ran = true
	}
}

// help is a helper's life.
func (w *Workers) help(h *helper, worker int) {
	defer close(h.exited)
	labeled := context.Background()
	for {
		idle := time.Now()
		for spins := 0; ; spins++ {
			if w.work(worker, &labeled) {
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
		if (uint32(w.claim.Load()) != 0 || w.closed.Load()) && h.parked.CompareAndSwap(true, false) {
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
