package graph

import (
	"math/rand/v2"
	"testing"
)

func TestAssign(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		nodes := 1 + r.IntN(20)
		buffers := make([]*buffer, r.IntN(30))
		for i := range buffers {
			if r.IntN(8) == 0 {
				continue // a value without a buffer
			}
			first := r.IntN(nodes)
			last := first + r.IntN(nodes-first)
			buffers[i] = &buffer{first: first, last: last, size: 16 * (1 + r.Int64N(100))}
		}
		total := assign(buffers)
		sum := int64(0)
		for i, a := range buffers {
			if a == nil {
				continue
			}
			sum += a.size
			if a.offset < 0 || a.offset%16 != 0 || a.offset+a.size > total {
				t.Fatalf("buffer %+v in an arena of %d", a, total)
			}
			for _, b := range buffers[:i] {
				if b != nil && a.first <= b.last && b.first <= a.last && a.offset < b.offset+b.size && b.offset < a.offset+a.size {
					t.Fatalf("buffers in use at the same time overlap: %+v and %+v", a, b)
				}
			}
		}
		if least := live(buffers, nodes); total < least || total > sum {
			t.Fatalf("the arena has %d values, want at least the %d in use at once and at most all %d", total, least, sum)
		}
	}
}

func TestAssignReuses(t *testing.T) {
	// Like the first layers of a network: large, small, medium, small, …
	var buffers []*buffer
	for i, size := range []int64{160, 1600, 320, 80, 640, 320, 160, 16} {
		buffers = append(buffers, &buffer{first: i - 1, last: i, size: size})
	}
	if got, want := assign(buffers), int64(1600+320); got != want {
		t.Errorf("the arena has %d values, want %d", got, want)
	}
}
