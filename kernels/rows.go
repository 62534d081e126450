package kernels

import "fmt"

// rowChunks cuts the rows of all images of a view into chunks.
type rowChunks struct{ count, step int }

// chunkOps is the least number of values that a chunk of a memory-bound operation
// works on.
const chunkOps = 1 << 14

// splitRows cuts v's rows for up to threads threads; ops is the number of
// operations per value.
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

// rows returns the rows of chunk i.
func (r rowChunks) rows(i int) (first, last int) {
	return i * r.step, min((i+1)*r.step, r.count)
}

// checkViews checks that the views are well formed and hold the same number of
// images; the first is the destination.
func checkViews(dst View, srcs ...View) error {
	if err := dst.check("destination"); err != nil {
		return err
	}
	for _, src := range srcs {
		if err := src.check("source"); err != nil {
			return err
		}
		if src.N != dst.N {
			return fmt.Errorf("source %v and destination %v hold different numbers of images", src, dst)
		}
	}
	return nil
}

// checkFloats is checkViews for operations on float32.
func checkFloats(dst View, srcs ...View) error {
	if err := checkViews(dst, srcs...); err != nil {
		return err
	}
	for _, v := range append(srcs, dst) {
		if v.Element != Float32 {
			return fmt.Errorf("a view of %v, expected %v", v.Element, Float32)
		}
	}
	return nil
}

// checkSame is checkFloats for operations that keep the shape.
func checkSame(dst View, srcs ...View) error {
	if err := checkFloats(dst, srcs...); err != nil {
		return err
	}
	for _, src := range srcs {
		if src.H != dst.H || src.W != dst.W || src.C != dst.C {
			return fmt.Errorf("source %v and destination %v differ in shape", src, dst)
		}
	}
	return nil
}
