package kernels

import (
	"slices"
	"unsafe"

	"firebench/kernels/workers"
)

// scratch is the memory that a task needs while it runs, a buffer for each worker. Tasks embed it.
type scratch struct {
	need    int      // bytes that each worker needs
	buffers [][]byte // by worker, possibly larger
}

// newScratch returns scratch memory of n numbers for each of threads workers.
func newScratch[T number](threads, n int) scratch {
	return scratch{n * int(unsafe.Sizeof(T(0))), make([][]byte, max(threads, 1))}
}

// scratchOf returns a worker's memory. It allocates it in the task's first run, unless
// ShareScratch gave the task memory before.
func scratchOf[T number](s *scratch, worker int) []T {
	if len(s.buffers[worker]) < s.need {
		s.buffers[worker] = Alloc[byte](s.need)
	}
	return cast[T](s.buffers[worker])
}

func (s *scratch) shared() *scratch { return s }

// ShareScratch gives all tasks the same scratch memory, one buffer per worker, and returns its
// size in bytes. The tasks are bound for up to threads threads, and must not run at the same time.
//
// Each list in alone holds tasks that are bound for one thread. The lists get the memory as well,
// one worker's buffer each, so that different lists may run at the same time; tasks of one list
// must not, nor may a list run at the same time as tasks.
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
