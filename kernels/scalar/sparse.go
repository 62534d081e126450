package scalar

import "unsafe"

// SpMM1x4 multiplies a sparse matrix by one with 4 columns.
func SpMM1x4(dst, src, values, bias *float32, columns, counts *uint8, rows int, lower float32) {
	for r, b := range unsafe.Slice(bias, rows) {
		row := vec(dst, 4*r, 4)
		row[0], row[1], row[2], row[3] = b, b, b, b
	}
	SpMMAdd1x4(dst, src, values, columns, counts, rows, lower)
}

// SpMMAdd1x4 adds the product of a sparse matrix and one with 4 columns.
func SpMMAdd1x4(dst, src, values *float32, columns, counts *uint8, rows int, lower float32) {
	next := 0
	for r, count := range unsafe.Slice(counts, rows) {
		sums := vec(dst, 4*r, 4)
		c0, c1, c2, c3 := sums[0], sums[1], sums[2], sums[3]
		columns := vec(columns, next, int(count))
		for j, v := range vec(values, next, int(count)) {
			x := vec(src, 4*int(columns[j]), 4)
			c0 += float32(v * x[0])
			c1 += float32(v * x[1])
			c2 += float32(v * x[2])
			c3 += float32(v * x[3])
		}
		store4(sums, c0, c1, c2, c3, lower)
		next += int(count)
	}
}

// Transpose transposes a matrix of any size.
func Transpose(dst, src *float32, rows, cols, dstStride, srcStride int) {
	for r := range rows {
		out := vec(dst, r, (cols-1)*dstStride+1)
		for c, v := range vec(src, r*srcStride, cols) {
			out[c*dstStride] = v
		}
	}
}
