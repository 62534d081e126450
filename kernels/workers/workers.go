// Package workers runs tasks, cut into chunks, on a fixed number of threads.
package workers

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

// A Pool runs tasks on a fixed number of threads: the caller and persistent
// goroutines, which spin for a moment after each task and then park. Chunks are
// claimed one at a time, so that a thread that the operating system holds up
// costs no more than the chunk that it is in; it gets none for a while after that, because
// who took its core will do so again. Every other thread takes them from the end:
// two threads find most of what they read in their own caches if tasks number their chunks
// by place.
//
// One Run at a time; Run does not allocate.
type Pool struct {
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

// NewPool starts threads-1 goroutines; the caller of Run is the last thread.
// threads below 1 count as 1.
func NewPool(threads int) *Pool {
	p := &Pool{helpers: make([]helper, max(threads-1, 0))}
	for i := range p.helpers {
		h := &p.helpers[i]
		h.wake = make(chan struct{}, 1)
		h.exited = make(chan struct{})
		go func() {
			defer close(h.exited) // when help has returned: nobody sees it after Close
			p.help(h, i+1)
		}()
	}
	return p
}

// Threads returns the number of threads, the caller's included.
func (p *Pool) Threads() int { return len(p.helpers) + 1 }

// Run executes all chunks of t and returns when they are done. Every helper that
// takes part carries the profiler labels of ctx, none if ctx is nil; the caller's
// labels are left to the caller.
func (p *Pool) Run(ctx context.Context, t Task) {
	n := t.Chunks()
	if len(p.helpers) == 0 || n == 1 {
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
	for i := range p.helpers {
		if h := &p.helpers[i]; h.resting.Load() && start.After(h.until) {
			h.resting.Store(false)
		}
	}
	p.task, p.labels, p.chunks = t, ctx, n
	p.done.Store(0)
	p.ends[0].Store(0)
	p.ends[1].Store(0)
	epoch := p.claim.Load()>>32 + 1
	p.claim.Store(epoch<<32 | uint64(n))
	for i := range p.helpers {
		if h := &p.helpers[i]; !h.resting.Load() && h.parked.Load() && h.parked.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
	p.work(0, nil, nil)
	if p.done.Load() != int64(n) {
		p.wait(n, time.Since(start))
	}
	p.task, p.labels = nil, nil
}

// wait waits for the helpers' last chunks and lets those rest that were late; own is how
// long the caller worked.
func (p *Pool) wait(n int, own time.Duration) {
	start := time.Now()
	for spins := 0; p.done.Load() != int64(n); spins++ {
		if spins <= 1000 {
			continue
		}
		runtime.Gosched() // the helper may need this thread
		if isLate(time.Since(start), own) {
			for i := range p.helpers {
				if h := &p.helpers[i]; h.busy.Load() {
					h.late = true
					h.resting.Store(true)
				}
			}
		}
	}
	now := time.Now()
	for i := range p.helpers {
		h := &p.helpers[i]
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

// isLate reports whether the helpers that are still in a chunk are late: after the caller has
// waited that long, having worked for own.
func isLate(waited, own time.Duration) bool { return waited > lateTime && waited > 2*own }

// work claims and runs chunks until none is left and reports whether it ran any. h is
// the worker's helper, nil for the caller of Run.
func (p *Pool) work(worker int, h *helper, labeled *context.Context) bool {
	ran := false
	for h == nil || !h.resting.Load() {
		v := p.claim.Load()
		left := uint32(v)
		if left == 0 {
			return ran
		}
		if !p.claim.CompareAndSwap(v, v-1) {
			continue
		}
		if h != nil {
			h.busy.Store(true)
			if *labeled != p.labels {
				*labeled = p.labels
				pprof.SetGoroutineLabels(p.labels)
			}
		}
		// As many numbers are handed out as chunks were claimed: the ends do not meet.
		chunk := int(p.ends[worker%2].Add(1)) - 1
		if worker%2 == 1 {
			chunk = p.chunks - 1 - chunk
		}
		p.task.Chunk(worker, chunk)
		if h != nil {
			h.busy.Store(false)
		}
		p.done.Add(1)
		ran = true
	}
	return ran
}

// help is a helper's life.
func (p *Pool) help(h *helper, worker int) {
	labeled := context.Background()
	for {
		idle := time.Now()
		for spins := 0; ; spins++ {
			if p.work(worker, h, &labeled) {
				idle, spins = time.Now(), 0
			}
			if p.closed.Load() {
				return
			}
			if spins%64 == 63 && time.Since(idle) > spinTime {
				break
			}
		}
		h.parked.Store(true)
		// Work that came between the last look and the store may have found
		// nobody parked.
		if (uint32(p.claim.Load()) != 0 && !h.resting.Load() || p.closed.Load()) && h.parked.CompareAndSwap(true, false) {
			continue
		}
		<-h.wake
	}
}

// Close ends the goroutines and waits for them; it may be called more than once,
// and not during a Run.
func (p *Pool) Close() {
	if p.closed.Swap(true) {
		return
	}
	for i := range p.helpers {
		h := &p.helpers[i]
		if h.parked.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
	for i := range p.helpers {
		<-p.helpers[i].exited
	}
}
