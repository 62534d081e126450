package workers

import (
	"context"
	"testing"
	"time"
)

// TestIsLate: a helper is late after more than lateTime and more than twice the caller's own work.
func TestIsLate(t *testing.T) {
	for _, c := range []struct {
		waited, own time.Duration
		want        bool
	}{
		{lateTime, 0, false},
		{lateTime + 1, 0, true},
		{lateTime + 1, lateTime, false},
		{10 * lateTime, 5 * lateTime, false},
		{10*lateTime + 1, 5 * lateTime, true},
	} {
		if got := isLate(c.waited, c.own); got != c.want {
			t.Errorf("waited %v after %v of work: late is %v", c.waited, c.own, got)
		}
	}
}

// chunks is a task that counts how many chunks each worker ran.
type chunks struct{ ran [2]int }

func (*chunks) Chunks() int           { return 2 }
func (c *chunks) Chunk(worker, _ int) { c.ran[worker]++ }

// TestRestingClaimsNothing: a helper that rests claims no chunks, even if it is not parked yet.
func TestRestingClaimsNothing(t *testing.T) {
	for _, resting := range []bool{true, false} {
		c := &chunks{}
		p := &Pool{task: c, chunks: 2, helpers: make([]helper, 1)}
		p.claim.Store(1<<32 | 2)
		h := &p.helpers[0]
		h.resting.Store(resting)
		labels := context.Background()
		p.labels = labels
		if ran := p.work(1, h, &labels); ran == resting || (c.ran[1] > 0) == resting {
			t.Errorf("resting is %v, and work returns %v after %d chunks", resting, ran, c.ran[1])
		}
	}
}

// calling is a task of one chunk for each of two workers, all of which the caller computes.
type calling struct{ chunk func() }

func (calling) Chunks() int      { return 2 }
func (c calling) Chunk(_, _ int) { c.chunk() }

// TestRestingParks: a helper that rests goes to sleep although there are chunks left, and no
// Run wakes it: awake, it would take time from whoever keeps it from working.
func TestRestingParks(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	h := &p.helpers[0]
	h.until = time.Now().Add(time.Hour)
	h.resting.Store(true)
	asleep := func() bool {
		for start := time.Now(); time.Since(start) < 50*time.Millisecond; {
			if !h.parked.Load() {
				return false
			}
		}
		return true
	}
	runs := 0
	for range 3 {
		p.Run(context.Background(), calling{func() {
			for start := time.Now(); !asleep(); {
				if time.Since(start) > 10*time.Second {
					t.Fatal("the helper stays awake while there are chunks left")
				}
			}
			runs++
		}})
		if !h.parked.Load() {
			t.Error("Run woke the helper")
		}
	}
	if runs != 6 {
		t.Errorf("the caller ran %d chunks, want 6", runs)
	}
}

// TestRunWakesNoResting: Run leaves a helper that rests asleep, from its first moment.
func TestRunWakesNoResting(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	h := &p.helpers[0]
	for !h.parked.Load() {
		time.Sleep(time.Millisecond)
	}
	h.until = time.Now().Add(time.Hour)
	h.resting.Store(true)
	p.Run(context.Background(), calling{func() {
		if !h.parked.Load() {
			t.Error("the helper is awake")
		}
	}})
}
