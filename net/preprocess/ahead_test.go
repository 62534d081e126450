package preprocess

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestAhead loads numbers, each in another time, and checks that they come in order, that as
// many are loaded at a time as there are processors but one, and that none is loaded into a place
// that is in use.
func TestAhead(t *testing.T) {
	for _, size := range []struct{ n, window, processors int }{
		{0, 0, 2}, {1, 1, 2}, {2, 4, 4}, {100, 1, 4}, {100, 4, 1}, {100, 4, 2}, {100, 3, 4}, {100, 16, 8},
	} {
		synctest.Test(t, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(size.processors))
			var running, most, begun, ended atomic.Int64
			places := make([]int, size.window)
			load := func(i int) {
				for n, m := running.Add(1), most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				if ahead := begun.Add(1) - ended.Load(); ahead > int64(size.window) {
					t.Errorf("%+v: %d inputs are loaded ahead", size, ahead)
				}
				time.Sleep(time.Duration(1+i*7%5) * time.Second)
				places[i%size.window] = i
				running.Add(-1)
			}
			var got, want []int
			for i := range Ahead(t.Context(), size.n, size.window, load) {
				time.Sleep(time.Second)
				got = append(got, places[i%size.window])
				want = append(want, len(want))
				ended.Add(1)
			}
			if len(got) != size.n || !slices.Equal(got, want) {
				t.Errorf("%+v: %v", size, got)
			}
			if limit := int64(min(size.n, size.window, max(1, size.processors-1))); most.Load() != limit {
				t.Errorf("%+v: %d inputs were loaded at a time, want %d", size, most.Load(), limit)
			}
		})
	}
}

// TestAheadEnds leaves the loop early: by a break, and by a context that ends while the body
// runs, with more loaded already, or while the loop waits.
func TestAheadEnds(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	for _, test := range []struct {
		name string
		body time.Duration
		end  func(cancel func()) (stop bool) // in the third body
	}{
		{"break", 3 * time.Second, func(func()) bool { return true }},
		{"cancel", 3 * time.Second, func(cancel func()) bool { cancel(); return false }},
		{"cancel while waiting", 0, func(cancel func()) bool { time.AfterFunc(time.Second/2, cancel); return false }},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var begun atomic.Int64
			load := func(int) {
				begun.Add(1)
				time.Sleep(time.Second)
			}
			const window = 8
			bodies := 0
			for range Ahead(ctx, 100, window, load) {
				time.Sleep(test.body)
				if bodies++; bodies == 3 && test.end(cancel) {
					break
				}
			}
			synctest.Wait()
			if bodies != 3 {
				t.Errorf("%s: the body ran %d times, want 3", test.name, bodies)
			}
			before := begun.Load()
			if before > 3+window {
				t.Errorf("%s: %d loads began", test.name, before)
			}
			time.Sleep(time.Hour)
			if after := begun.Load(); after != before {
				t.Errorf("%s: %d loads began after the end", test.name, after-before)
			}
		})
	}
}
