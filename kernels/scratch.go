package kernels

import (
	"firebench/kernels/workers"
	"slices"
)

// scratch is memory of each worker's own that a task needs while it runs.
type scratch struct {
	need    int         // float32 values a worker
	buffers [][]float32 // by worker
}

func newScratch(threads, need int) scratch {
	return scratch{need, make([][]float32, max(threads, 1))}
}

// of returns the worker's memory. Unless ShareScratch gave the task some, the
// first run allocates it.
func (s *scratch) of(worker int) []float32 {
	if len(s.buffers[worker]) < s.need {
		s.buffers[worker] = Alloc(s.need)
	}
	return s.buffers[worker]
}

func (s *scratch) shared() *scratch { return s }

// ShareScratch lets tasks that are bound for a number of threads use the same
// scratch memory, and returns its size in bytes. Such tasks must not run at the
// same time, but for those in alone: each list of it is bound for one thread and uses
// the memory of one worker, so that different lists may run at the same time.
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
	buffers := make([][]float32, max(threads, len(alone), 1))
	for i := range buffers {
		buffers[i] = Alloc(need)
	}
	each(tasks, func(s *scratch) { s.buffers = buffers })
	for i, list := range alone {
		each(list, func(s *scratch) { s.buffers = buffers[i : i+1] })
	}
	return 4 * int64(need) * int64(len(buffers))
}
