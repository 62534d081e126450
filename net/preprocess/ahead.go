package preprocess

import (
	"context"
	"iter"
	"runtime"
)

// Ahead calls load with the numbers from 0 to n-1 on other goroutines, and yields the numbers
// in order, each after its call has returned: inputs are loaded while the loop's body runs
// a network on those before. There are GOMAXPROCS-1 goroutines, at least one: with as many as
// processors, the network would wait for its turn among them.
//
// The call load(i) begins only after the body for i-window has ended. So window places
// are enough for all that is loaded, of which load(i) and the body for i use the one at
// i%window.
//
// The loop ends early when ctx does. When it ends early, no further call begins, but those
// that have begun go on.
func Ahead(ctx context.Context, n, window int, load func(i int)) iter.Seq[int] {
	return func(yield func(int) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		todo := make(chan int, window)
		defer close(todo)
		done := make([]chan struct{}, window)
		for i := range done {
			done[i] = make(chan struct{}, 1)
		}
		for range min(n, window, max(1, runtime.GOMAXPROCS(0)-1)) {
			go func() {
				for i := range todo {
					if ctx.Err() != nil {
						return
					}
					load(i)
					done[i%window] <- struct{}{}
				}
			}()
		}
		for i := range min(n, window) {
			todo <- i
		}
		for i := range n {
			select {
			case <-done[i%window]:
			case <-ctx.Done():
				return
			}
			if ctx.Err() != nil || !yield(i) {
				return
			}
			if next := i + window; next < n {
				todo <- next
			}
		}
	}
}
