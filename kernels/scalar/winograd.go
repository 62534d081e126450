package scalar

import "firebench/kernels/winograd"

// The matrices of the transforms. The first number is that of a tile's inputs along a side, the
// second that of its outputs. BT depends on the inputs only.
var (
	bt6, bt8 = float32s(winograd.New(1, 6).BT), float32s(winograd.New(1, 8).BT)
	at8x4    = float32s(winograd.New(4, 5).AT)
	at6x4    = float32s(winograd.New(4, 3).AT)
	at8x5    = float32s(winograd.New(5, 4).AT)

	gradient6x3, weights6x3 = float32s(winograd.NewGradient(3, 4).G), float32s(winograd.NewGradient(3, 4).AT)
)

func float32s(m winograd.Matrix) [][]float32 {
	var out [][]float32
	for _, row := range m.Float() {
		r := make([]float32, len(row))
		for i, v := range row {
			r[i] = float32(v)
		}
		out = append(out, r)
	}
	return out
}

// SpaceToDepth makes a row of pixels, each of which is a run of channels from each of runs rows.
func SpaceToDepth(dst, src *float32, pixels, runs, channels, srcPixel, srcRow, dstPixel, dstRun int) {
	for p := range pixels {
		for r := range runs {
			copy(vec(dst, p*dstPixel+r*dstRun, channels), vec(src, p*srcPixel+r*srcRow, channels))
		}
	}
}

// QSpaceToDepth is SpaceToDepth for quantized values.
func QSpaceToDepth(dst, src *uint8, pixels, runs, channels, srcPixel, srcRow, dstPixel, dstRun int) {
	for p := range pixels {
		for r := range runs {
			copy(vec(dst, p*dstPixel+r*dstRun, channels), vec(src, p*srcPixel+r*srcRow, channels))
		}
	}
}

// WinogradInput6 transforms the inputs of a row of tiles, 6×6 each.
func WinogradInput6(dst, src *float32, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile int) {
	winogradInput(bt6, dst, src, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile)
}

// WinogradInput8 is WinogradInput6 for 8×8 inputs.
func WinogradInput8(dst, src *float32, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile int) {
	winogradInput(bt8, dst, src, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile)
}

// maxElements is the number of elements of the largest tile.
const maxElements = 8 * 8

// WinogradGradient6x3 transforms the gradients of a row of tiles, 4×4 each.
func WinogradGradient6x3(dst, src *float32, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile int) {
	winogradInput(gradient6x3, dst, src, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile)
}

// WinogradWeights6x3 transforms sums of products to the gradients of 3×3 weights.
func WinogradWeights6x3(dst, src *float32, tiles, channels, srcMatrix, srcTile, dstMatrix, dstTile int, scale float32) {
	for t := range tiles {
		for c := range channels {
			var p, y [maxElements]float32
			for i := range 6 * 6 {
				p[i] = vec(src, i*srcMatrix+t*srcTile+c, 1)[0]
			}
			transform(y[:], weights6x3, p[:])
			for i, v := range y[:3*3] {
				vec(dst, i*dstMatrix+t*dstTile+c, 1)[0] = v * scale
			}
		}
	}
}

// winogradInput transforms pixels by a matrix: a tile has as many on a side as the matrix has columns.
func winogradInput(by [][]float32, dst, src *float32, tiles, channels, srcRow, srcPixel, srcTile, dstMatrix, dstTile int) {
	n := len(by[0])
	for t := range tiles {
		for c := range channels {
			var d, v [maxElements]float32
			for i := range n {
				for j := range n {
					d[i*n+j] = vec(src, i*srcRow+j*srcPixel+t*srcTile+c, 1)[0]
				}
			}
			transform(v[:], by, d[:])
			for i, x := range v[:len(by)*len(by)] {
				vec(dst, i*dstMatrix+t*dstTile+c, 1)[0] = x
			}
		}
	}
}

// WinogradOutput8x4 transforms the products of a row of tiles, 8×8 each, to 4×4 outputs each.
func WinogradOutput8x4(dst, src, bias *float32, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile int, lower float32) {
	winogradOutput(at8x4, dst, src, bias, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile, lower)
}

// WinogradOutput6x4 is WinogradOutput8x4 for 6×6 products.
func WinogradOutput6x4(dst, src, bias *float32, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile int, lower float32) {
	winogradOutput(at6x4, dst, src, bias, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile, lower)
}

// WinogradOutput8x5 is WinogradOutput8x4 for 5×5 outputs.
func WinogradOutput8x5(dst, src, bias *float32, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile int, lower float32) {
	winogradOutput(at8x5, dst, src, bias, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile, lower)
}

func winogradOutput(at [][]float32, dst, src, bias *float32, tiles, channels, srcMatrix, srcTile, dstRow, dstPixel, dstTile int, lower float32) {
	m, n := len(at), len(at[0])
	b := vec(bias, 0, channels)
	for t := range tiles {
		for c := range channels {
			var p, y [maxElements]float32
			for i := range n * n {
				p[i] = vec(src, i*srcMatrix+t*srcTile+c, 1)[0]
			}
			transform(y[:], at, p[:])
			for i := range m {
				for j := range m {
					vec(dst, i*dstRow+j*dstPixel+t*dstTile+c, 1)[0] = max(y[i*m+j]+b[c], lower)
				}
			}
		}
	}
}

// transform sets out to a·d·aᵀ, where d is a square matrix as wide as a.
func transform(out []float32, a [][]float32, d []float32) {
	rows, n := len(a), len(a[0])
	var half [maxElements]float32 // a·d
	for i, row := range a {
		for j := range n {
			sum := float32(0)
			for k, v := range row {
				sum += float32(v * d[k*n+j])
			}
			half[i*n+j] = sum
		}
	}
	for i := range rows {
		for j, row := range a {
			sum := float32(0)
			for k, v := range row {
				sum += float32(v * half[i*n+k])
			}
			out[i*rows+j] = sum
		}
	}
}
