package kernels

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

// ShareScratch lets tasks, bound for the same number of threads, use the same
// scratch memory, and returns its size in bytes. Such tasks must not run at the
// same time.
func ShareScratch(threads int, tasks ...Task) int64 {
	need := 0
	type user interface{ shared() *scratch }
	for _, t := range tasks {
		if u, ok := t.(user); ok {
			need = max(need, u.shared().need)
		}
	}
	buffers := make([][]float32, max(threads, 1))
	for i := range buffers {
		buffers[i] = Alloc(need)
	}
	for _, t := range tasks {
		if u, ok := t.(user); ok {
			u.shared().buffers = buffers
		}
	}
	return 4 * int64(need) * int64(len(buffers))
}
