package kernels

// rowChunks divides the rows of all images of a view into chunks. Tasks embed it.
type rowChunks struct {
	count int // rows of all images together
	step  int // rows in a chunk
}

// chunkOps is the least number of operations in a chunk: claiming a chunk must cost little
// beside computing it.
const chunkOps = 1 << 14

// splitRows divides v's rows into chunks for up to threads threads. ops is the number of operations
// that each element of v takes.
func splitRows(v View, ops, threads int) rowChunks {
	rows := v.N * v.H
	chunks := 1
	if threads > 1 {
		chunks = max(1, min(rows, 8*threads, rows*v.W*v.C*ops/chunkOps))
	}
	return rowChunks{rows, (rows + chunks - 1) / chunks}
}

// Chunks implements workers.Task.
func (r rowChunks) Chunks() int { return (r.count + r.step - 1) / r.step }

// rows returns which rows are chunk i: first to last-1, counted through all images.
func (r rowChunks) rows(i int) (first, last int) {
	return i * r.step, min((i+1)*r.step, r.count)
}
