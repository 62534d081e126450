// Package workers runs tasks, each divided into chunks, on a fixed number of threads. It knows
// nothing of what the tasks compute.
package workers

import (
	"context"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"time"
)

// A Task is one operation bound to its memory, divided into chunks that may run at the same time
// and in any order.
type Task interface {
	// Chunks returns the number of chunks.
	Chunks() int

	// Chunk runs chunk i, 0 <= i < Chunks(). worker is the number of the thread that runs it,
	// at least 0 and less than the number of threads that the task was bound for. No two
	// chunks run under the same number at the same time, so that it can select scratch memory.
	Chunk(worker, i int)
}

// A Pool runs tasks on a fixed number of threads: the caller of Run and the helpers, which are
// goroutines that live as long as the pool. After a task, a helper spins for a moment, in case the
// next task comes at once, and then parks.
//
// Each thread claims one chunk at a time. A helper that the operating system preempts therefore
// delays no more than the chunk that it runs. It then rests, which means that it claims no chunks
// for a while: whatever took its core is likely to take it again.
//
// Even threads take chunks from the front and odd threads take them from the back. If a task
// numbers its chunks by their place in memory, two threads then stay in different parts of it,
// from task to task, and find most of what they read in their own caches.
//
// Only one Run may be active at a time. Run does not allocate.
type Pool struct {
	// claim is epoch<<32 | the number of chunks that nobody has claimed yet; each Run has an
	// epoch of its own. A thread that decrements a number above zero, by compare-and-swap, owns
	// one chunk of the task of this epoch. Run cannot return, and task cannot change, before that
	// chunk is done.
	claim atomic.Uint64
	_     [56]byte // each field that every thread writes has a cache line of its own

	done atomic.Int64 // chunks
	_    [56]byte

	// ends[0] counts the chunks that even threads took from the front, ends[1] those that odd
	// threads took from the back.
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

// A helper is the state of one helper goroutine. Only Run reads and writes late, rest and until.
type helper struct {
	parked  atomic.Bool   // it waits for wake
	busy    atomic.Bool   // it runs a chunk
	resting atomic.Bool   // it claims no chunks
	late    bool          // it was late in this Run
	rest    time.Duration // how long its last rest was
	until   time.Time     // when its last rest ends
	wake    chan struct{} // receives a value when it must not park any longer
	exited  chan struct{} // closed when it has returned
}

// spinTime is how long an idle helper watches for the next task before it parks. It is several
// times what waking up costs (some 5 µs), and longer than what runs on one thread between two
// layers.
const spinTime = 50 * time.Microsecond

// A helper is late when the caller of Run has waited for the helper's last chunk for longer than
// lateTime and for longer than twice the time that the caller itself worked. A chunk does not
// take that long unless it is much larger than the others, so the helper was preempted. It then
// rests for as long as the caller waited, which costs little if it was preempted by accident. A
// helper that is late again within the time soon after its rest rests twice as long as the last
// time, but at most longRest.
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
			defer close(h.exited) // not in help, which a profile would still show after Close
			p.help(h, i+1)
		}()
	}
	return p
}

// Threads returns the number of threads, the caller's included.
func (p *Pool) Threads() int { return len(p.helpers) + 1 }

// Run runs all chunks of t and returns when they are done. Every helper that takes part carries the
// profiler labels of ctx, or none if ctx is nil. Run does not change the labels of its caller.
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

// wait waits until all n chunks are done, and lets the helpers rest that were late. own is how long
// the caller of Run itself worked.
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

// isLate reports whether a helper that still runs a chunk is late, when the caller of Run has
// worked for own and then waited for waited.
func isLate(waited, own time.Duration) bool { return waited > lateTime && waited > 2*own }

// work claims and runs chunks until none is left, and reports whether it ran any. h is the helper
// that calls it, or nil for the caller of Run. *labeled is the context whose labels the helper
// carries.
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
		// Both ends together hand out one number for each chunk that was claimed, so that the
		// numbers from the front and from the back never overlap.
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

// help is the body of a helper's goroutine: it works, spins and parks, until Close.
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
		// A Run or Close between the last look at claim and the store above has not seen that
		// this helper is parked, and will not wake it: look again.
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
