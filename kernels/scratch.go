package kernels

import (
	"slices"
	"unsafe"

	"firebench/kernels/workers"
)

// scratch is memory of each worker's own that a task needs while it runs.
type scratch struct {
	need    int      // bytes a worker
	buffers [][]byte // by worker
}

// newScratch asks for n numbers for each of threads workers.
func newScratch[T Number](threads, n int) scratch {
	return scratch{n * int(unsafe.Sizeof(T(0))), make([][]byte, max(threads, 1))}
}

// scratchOf returns the worker's memory. Unless ShareScratch gave the task some, the
// first run allocates it.
func scratchOf[T Number](s *scratch, worker int) []T {
	if len(s.buffers[worker]) < s.need {
		s.buffers[worker] = Alloc[byte](s.need)
	}
	return cast[T](s.buffers[worker])
}

func (s *scratch) shared() *scratch { return s }

// ShareScratch lets tasks that are bound for a number of threads use the same
// scratch memory, and returns its size in bytes. These tasks must not run at the
// same time. Each list in alone holds tasks that are bound for one thread and that run one
// after the other; it gets the memory of one worker, so that different lists may run at the
// same time.
func ShareScratch(threads int, tasks []workers.Task, alone ...[]workers.Task) int64 {
	need := 0
	type user interface{ shared() *scratch }
	each := func(tasks []workers.Task, f func(s *scratch)) {
		for _, t := range tasks {
			if u, ok := t.(user); ok {
				f(u.shared())
			}
		}
	}
	for _, list := range slices.Concat(alone, [][]workers.Task{tasks}) {
		each(list, func(s *scratch) { need = max(need, s.need) })
	}
	buffers := make([][]byte, max(threads, len(alone), 1))
	for i := range buffers {
		buffers[i] = Alloc[byte](need)
	}
	each(tasks, func(s *scratch) { s.buffers = buffers })
	for i, list := range alone {
		each(list, func(s *scratch) { s.buffers = buffers[i : i+1] })
	}
	return int64(need) * int64(len(buffers))
}
