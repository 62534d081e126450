package kernels

import (
	"slices"
	"sync"
	"unsafe"

	"firebench/kernels/workers"
)

// scratch is the memory that a task needs while it runs: a buffer for each worker, and one that all of them
// use. Tasks embed it.
type scratch struct {
	need    int      // bytes that each worker needs
	buffers [][]byte // by worker, possibly larger

	needCommon int // bytes that all workers need together
	allocating sync.Mutex
	common     []byte // possibly larger
}

// newScratch returns scratch memory of n numbers for each of threads workers.
func newScratch[T number](threads, n int) scratch {
	return scratch{need: n * int(unsafe.Sizeof(T(0))), buffers: make([][]byte, max(threads, 1))}
}

// scratchOf returns a worker's memory. It allocates it in the task's first run, unless
// ShareScratch gave the task memory before.
func scratchOf[T number](s *scratch, worker int) []T {
	if len(s.buffers[worker]) < s.need {
		s.buffers[worker] = Alloc[byte](s.need)
	}
	return cast[T](s.buffers[worker])
}

// commonOf returns the memory that all workers of a task use. It is allocated as that of scratchOf is.
func commonOf[T number](s *scratch) []T {
	s.allocating.Lock()
	defer s.allocating.Unlock()
	if len(s.common) < s.needCommon {
		s.common = Alloc[byte](s.needCommon)
	}
	return cast[T](s.common)
}

func (s *scratch) shared() *scratch { return s }

// ShareScratch gives all tasks the same scratch memory, one buffer per worker and one for all workers, and
// returns its size in bytes. The tasks are bound for up to threads threads, and must not run at the same time.
//
// Each list in alone holds tasks that are bound for one thread. The lists get the memory as well,
// one worker's buffer each, so that different lists may run at the same time; tasks of one list
// must not, nor may a list run at the same time as tasks.
func ShareScratch(threads int, tasks []workers.Task, alone ...[]workers.Task) int64 {
	type user interface{ shared() *scratch }
	each := func(tasks []workers.Task, f func(s *scratch)) {
		for _, t := range tasks {
			if u, ok := t.(user); ok {
				f(u.shared())
			}
		}
	}
	need, common := 0, make([]int, max(len(alone), 1)) // the first list has tasks' common memory
	for i, list := range append(slices.Clone(alone), tasks) {
		each(list, func(s *scratch) {
			need = max(need, s.need)
			common[i%len(common)] = max(common[i%len(common)], s.needCommon)
		})
	}
	size := 0
	alloc := func(n int) []byte {
		size += n
		return Alloc[byte](n)
	}
	buffers := make([][]byte, max(threads, len(alone), 1))
	for i := range buffers {
		buffers[i] = alloc(need)
	}
	for i, n := range common {
		memory := alloc(n)
		if i == 0 {
			each(tasks, func(s *scratch) { s.buffers, s.common = buffers, memory })
		}
		if i < len(alone) {
			each(alone[i], func(s *scratch) { s.buffers, s.common = buffers[i:i+1], memory })
		}
	}
	return int64(size)
}
