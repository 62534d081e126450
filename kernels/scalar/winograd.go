package scalar

import "firebench/kernels/winograd"

// The transforms of tiles with 6×6 inputs; AT by the number of outputs on a side.
var (
	bt = float32s(winograd.New(1, 6).BT)
	at = [...][][]float32{2: float32s(winograd.New(2, 5).AT), 3: float32s(winograd.New(3, 4).AT), 4: float32s(winograd.New(4, 3).AT)}
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

// SpaceToDepth makes a row of pixels from runs rows.
func SpaceToDepth(dst, src *float32, pixels, runs, channels, srcPixel, srcRow, dstPixel, dstRun int) {
	for p := range pixels {
		for r := range runs {
			copy(vec(dst, p*dstPixel+r*dstRun, channels), vec(src, p*srcPixel+r*srcRow, channels))
		}
	}
}

// WinogradInput6 transforms the inputs of a row of tiles.
func WinogradInput6(dst, src *float32, tiles, channels, srcRow, srcPixel, srcTile, dstPoint, dstTile int) {
	for t := range tiles {
		for c := range channels {
			var d, v [36]float32
			for i := range 6 {
				for j := range 6 {
					d[i*6+j] = vec(src, i*srcRow+j*srcPixel+t*srcTile+c, 1)[0]
				}
			}
			transform(v[:], bt, d[:])
			for i, x := range v {
				vec(dst, i*dstPoint+t*dstTile+c, 1)[0] = x
			}
		}
	}
}

// WinogradOutput6x2, WinogradOutput6x3 and WinogradOutput6x4 transform the products
// of a row of tiles.
func WinogradOutput6x2(dst, src, bias *float32, tiles, channels, srcPoint, srcTile, dstRow, dstPixel, dstTile int, lo float32) {
	winogradOutput(2, dst, src, bias, tiles, channels, srcPoint, srcTile, dstRow, dstPixel, dstTile, lo)
}

// WinogradOutput6x3: see WinogradOutput6x2.
func WinogradOutput6x3(dst, src, bias *float32, tiles, channels, srcPoint, srcTile, dstRow, dstPixel, dstTile int, lo float32) {
	winogradOutput(3, dst, src, bias, tiles, channels, srcPoint, srcTile, dstRow, dstPixel, dstTile, lo)
}

// WinogradOutput6x4: see WinogradOutput6x2.
func WinogradOutput6x4(dst, src, bias *float32, tiles, channels, srcPoint, srcTile, dstRow, dstPixel, dstTile int, lo float32) {
	winogradOutput(4, dst, src, bias, tiles, channels, srcPoint, srcTile, dstRow, dstPixel, dstTile, lo)
}

func winogradOutput(m int, dst, src, bias *float32, tiles, channels, srcPoint, srcTile, dstRow, dstPixel, dstTile int, lo float32) {
	b := vec(bias, 0, channels)
	for t := range tiles {
		for c := range channels {
			var p [36]float32
			var y [16]float32
			for i := range p {
				p[i] = vec(src, i*srcPoint+t*srcTile+c, 1)[0]
			}
			transform(y[:m*m], at[m], p[:])
			for i := range m {
				for j := range m {
					vec(dst, i*dstRow+j*dstPixel+t*dstTile+c, 1)[0] = max(y[i*m+j]+b[c], lo)
				}
			}
		}
	}
}

// transform computes a·d·aᵀ for a 6×6 tile d.
func transform(out []float32, a [][]float32, d []float32) {
	rows := len(a)
	var half [36]float32 // a·d
	for i, row := range a {
		for j := range 6 {
			sum := float32(0)
			for k, v := range row {
				sum += float32(v * d[k*6+j])
			}
			half[i*6+j] = sum
		}
	}
	for i := range rows {
		for j, row := range a {
			sum := float32(0)
			for k, v := range row {
				sum += float32(v * half[i*6+k])
			}
			out[i*rows+j] = sum
		}
	}
}
