package kernels_test

import (
	"fmt"
	"math"
	"testing"
	"unsafe"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
)

// TestSpMM compares every width with the loops of SpMMFunc and SpMMAddFunc, bit for bit: with rows that
// are empty, short, and as long as counts can say, and where all rows are empty.
func TestSpMM(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		tile := set.F32.SpMM
		if len(set.F32.SpMMAdd) != tile.Height() {
			t.Fatalf("%d widths of SpMMAdd, %d of SpMM", len(set.F32.SpMMAdd), tile.Height())
		}
		for i := range tile.Funcs {
			width := (i + 1) * tile.Width
			t.Run(fmt.Sprintf("columns=%d", width), func(t *testing.T) {
				for _, counts := range [][]uint8{{1}, {0}, {0, 0, 0}, {3, 0, 1, 2}, {0, 255, 7, 0}, {128, 1}} {
					for side := range sides {
						testSpMM(t, tile.Funcs[i], set.F32.SpMMAdd[i], width, counts, side, mulAdd(set.ISA))
					}
				}
			})
		}
	})
}

func testSpMM(t *testing.T, spmm kernels.SpMMFunc, add kernels.SpMMAddFunc, width int, list []uint8, side int, mulAdd func(x, y, z float32) float32) {
	rows, total, most := len(list), 0, 1
	var columns []uint8
	for _, n := range list {
		for j := range n {
			columns = append(columns, j) // ascending, to the last row of the dense matrix
		}
		total += int(n)
		most = max(most, int(n))
	}
	values := guarded(t, max(total, 1)).load(side, kerneltest.Random(1, total))
	src := guarded(t, most*width).load(side, kerneltest.Random(2, most*width))
	bias := guarded(t, rows).load(side, kerneltest.Random(3, rows))
	before := kerneltest.Random(4, rows*width)
	counts := guarded(t, rows).loadBytes(side, list)
	columns = guarded(t, max(total, 1)).loadBytes(side, columns)
	dstMem := guarded(t, rows*width)
	for _, lower := range []float32{negInf, 0} {
		check := func(what string, dst []float32, start func(r, n int) float32) {
			t.Helper()
			var first []int
			next := 0
			for _, n := range counts {
				first = append(first, next)
				next += int(n)
			}
			compareRows(t, fmt.Sprintf("%s, counts %d, lower=%v, %s", what, list, lower, sides[side]), dst, rows, width, width, func(r, n int) float64 {
				acc := start(r, n)
				for j := first[r]; j < first[r]+int(counts[r]); j++ {
					acc = mulAdd(values[j], src[int(columns[j])*width+n], acc)
				}
				return float64(max(acc, lower))
			}, nil)
		}
		dst := dstMem.blank(side, rows*width)
		spmm(&dst[0], &src[0], unsafe.SliceData(values), &bias[0], unsafe.SliceData(columns), &counts[0], rows, lower)
		check("SpMM", dst, func(r, _ int) float32 { return bias[r] })
		dst = dstMem.load(side, before)
		add(&dst[0], &src[0], unsafe.SliceData(values), unsafe.SliceData(columns), &counts[0], rows, lower)
		check("SpMMAdd", dst, func(r, n int) float32 { return before[r*width+n] })
	}
}

// TestTranspose transposes matrices of some squares, with gaps between rows. Every value stays what it is,
// a NaN too.
func TestTranspose(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		side, most := set.F32.TransposeSide, 3*set.F32.TransposeSide
		srcMem, dstMem := guarded(t, most*(most+5)), guarded(t, most*(most+3))
		for rows := side; rows <= most; rows += side {
			for cols := side; cols <= most; cols += side {
				for at := range sides {
					srcStride, dstStride := cols+at*5, rows+(1-at)*3
					src := srcMem.load(at, kerneltest.Random(1, (rows-1)*srcStride+cols))
					src[0] = float32(math.NaN())
					dst := dstMem.blank(at, (cols-1)*dstStride+rows)
					set.F32.Transpose(&dst[0], &src[0], rows, cols, dstStride, srcStride)
					compareRows(t, fmt.Sprintf("%d×%d, %s", rows, cols, sides[at]), dst, cols, rows, dstStride,
						func(c, r int) float64 { return float64(src[r*srcStride+c]) }, nil)
				}
			}
		}
	})
}
