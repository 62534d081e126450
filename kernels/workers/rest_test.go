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
