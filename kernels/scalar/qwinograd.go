package scalar

import "firebench/kernels/winograd"

// The matrices of the transforms in integers, as in winograd.go.
var (
	ibt6   = int32s(winograd.NewInteger(1, 6).BT)
	iat6x4 = int32s(winograd.NewInteger(4, 3).AT)
	iat6x3 = int32s(winograd.NewInteger(3, 4).AT)
)

func int32s(m winograd.Matrix) [][]int32 {
	var out [][]int32
	for _, row := range m.Int() {
		r := make([]int32, len(row))
		for i, v := range row {
			r[i] = int32(v)
		}
		out = append(out, r)
	}
	return out
}

// QWinogradInput6 transforms the inputs of a row of tiles, 6×6 each.
func QWinogradInput6(dst *int16, src *uint8, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile int) {
	n := len(ibt6)
	for t := range tiles {
		for c := range channels {
			var d, v [maxElements]int32
			for i := range n {
				for j := range n {
					d[i*n+j] = int32(vec(src, i*srcRow+j*srcPixel+t*srcTile+c, 1)[0])
				}
			}
			qtransform(v[:], ibt6, d[:])
			for i, x := range v[:n*n] {
				vec(dst, i*dstMatrix+t*dstTile+c, 1)[0] = int16(x)
			}
		}
	}
}

// QWinogradOutput6x4 transforms the products of a row of tiles, 6×6 each, to 4×4 outputs each.
func QWinogradOutput6x4(dst *uint8, src, bias *int32, scale *float32, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile int, lower, zero int32) {
	qwinogradOutput(iat6x4, dst, src, bias, scale, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile, lower, zero)
}

// QWinogradOutput6x3 is QWinogradOutput6x4 for 3×3 outputs.
func QWinogradOutput6x3(dst *uint8, src, bias *int32, scale *float32, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile int, lower, zero int32) {
	qwinogradOutput(iat6x3, dst, src, bias, scale, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile, lower, zero)
}

func qwinogradOutput(at [][]int32, dst *uint8, src, bias *int32, scale *float32, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile int, lower, zero int32) {
	m, n := len(at), len(at[0])
	b, s := vec(bias, 0, channels), vec(scale, 0, channels)
	for t := range tiles {
		for c := range channels {
			var p, y [maxElements]int32
			for i := range n * n {
				p[i] = vec(src, i*srcMatrix+t*srcTile+c, 1)[0]
			}
			qtransform(y[:], at, p[:])
			for i := range m {
				for j := range m {
					acc := (y[i*m+j] + b[c]) * winograd.Inverse9
					vec(dst, i*dstRow+j*dstPixel+t*dstTile+c, 1)[0] = Requantize(acc, s[c], lower, zero)
				}
			}
		}
	}
}

// qtransform is transform in integers.
func qtransform(out []int32, a [][]int32, d []int32) {
	rows, n := len(a), len(a[0])
	var half [maxElements]int32 // a·d
	for i, row := range a {
		for j := range n {
			sum := int32(0)
			for k, v := range row {
				sum += v * d[k*n+j]
			}
			half[i*n+j] = sum
		}
	}
	for i := range rows {
		for j, row := range a {
			sum := int32(0)
			for k, v := range row {
				sum += v * half[i*n+k]
			}
			out[i*rows+j] = sum
		}
	}
}
