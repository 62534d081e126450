package kernels_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
)

// TestQuantizedTiles calls every height of every tile of quantized values.
func TestQuantizedTiles(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		u := set.U8
		for i, name := range []string{"wide", "narrow"} {
			conv := [...]kernels.Tile[kernels.QConvFunc]{u.Conv.Wide, u.Conv.Narrow}[i]
			matMul := [...]kernels.Tile[kernels.QBatchMatMulFunc]{u.BatchMatMul.Wide, u.BatchMatMul.Narrow}[i]
			for _, width := range []int{conv.Width, matMul.Width} {
				if width%u.Lanes != 0 {
					t.Errorf("a %s tile is %d channels wide, no multiple of %d lanes", name, width, u.Lanes)
				}
			}
			for i, f := range conv.Funcs {
				t.Run(fmt.Sprintf("%s=%dx%d", name, i+1, conv.Width), func(t *testing.T) {
					testQConvTile(t, f, i+1, conv.Width, u)
				})
			}
			for i, f := range matMul.Funcs {
				t.Run(fmt.Sprintf("batchmatmul %s=%dx%d", name, i+1, matMul.Width), func(t *testing.T) {
					testQBatchMatMul(t, f, i+1, matMul.Width, u.BatchMatMul.Group)
				})
			}
		}
	})
}

// sliceOf returns n values of one side of a slab, which touch the unreadable page. Their bytes are
// all other.
func sliceOf[T any](s slab, side, n int) []T {
	var value T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(s.bytesOf(side, n*int(unsafe.Sizeof(value)))))), n)
}

// loadAs copies values to a slice that touches the unreadable page.
func loadAs[T any](s slab, side int, values []T) []T {
	c := sliceOf[T](s, side, len(values))
	copy(c, values)
	return c
}

// testQConvTile compares one height of a tile with the loops of QConvFunc.
func testQConvTile(t *testing.T, f kernels.QConvFunc, height, width int, u *kernels.U8) {
	const maxRuns, maxTiles, gap = 3, 3, 6
	group, size := u.Conv.Group, 1 // bytes of an input
	if u.Widen != nil {
		size = 2
	}
	groups := []int{1, 2, 3, 4, 5, 7, 9}
	maxLen := 9 * group // inputs of a run
	dstMem := guarded(t, maxTiles*height*(width+gap)/4+1)
	srcMem := guarded(t, maxRuns*(maxTiles*height*(maxLen*size+gap)+gap)/4+1)
	weightMem := guarded(t, maxRuns*maxLen*width/4+1)
	biasMem, scaleMem := guarded(t, width), guarded(t, width)
	offsetMem := guarded(t, 2*maxRuns)
	r := rand.New(rand.NewPCG(uint64(height), uint64(width)))

	input := func(b []uint8, i int) int32 {
		if size == 2 {
			return int32(int16(binary.LittleEndian.Uint16(b[2*i:])))
		}
		return int32(b[i])
	}
	for c := range maxRuns * len(groups) {
		runs, groups := 1+c%maxRuns, groups[c/maxRuns]
		tiles := 1 + r.IntN(maxTiles)
		pixels := tiles * height
		runLen := groups * group * size // bytes
		// Windows that follow each other, overlap, and lie apart.
		srcStride := []int{runLen, (groups + 1) / 2 * group * size, runLen + gap}[r.IntN(3)]
		dstStride := width + r.IntN(2)*gap
		// The runs of a window lie apart, and in no order. extent is what the same run of all
		// windows spans.
		extent := (pixels-1)*srcStride + runLen
		offsets := [][]int{{0}, {extent + gap, 0}, {0, 2 * extent, extent}}[runs-1]

		inputs, panel := make([]uint8, slices.Max(offsets)+extent), make([]uint8, runs*groups*group*width)
		for _, b := range [][]uint8{inputs, panel} {
			for i := range b {
				b[i] = uint8(r.Uint32())
			}
		}
		biases, scales := make([]int32, width), make([]float32, width)
		for n := range width {
			biases[n] = int32(r.Uint32()) >> (16 + r.IntN(8))
			scales[n] = float32(math.Ldexp(1+r.Float64(), -4-r.IntN(16)))
		}
		switch c % 4 {
		case 0: // the largest products: in pairs, they exceed int16
			for i := range inputs {
				inputs[i] = 0xff
			}
			for i := range panel {
				panel[i] = 0x80
			}
		case 1: // sums halfway between two integers
			clear(panel)
			for n := range width {
				biases[n], scales[n] = r.Int32N(1201)-600, 0.5
			}
		case 2: // results as large as an int32 may be
			for n := range width {
				biases[n], scales[n] = int32(r.Uint32()), 0.999
			}
		}
		zero := []int32{0, 1, 128, 255}[r.IntN(4)]
		lower := []int32{0, zero, 100}[r.IntN(3)]

		want := bytes.Repeat([]byte{other}, (pixels-1)*dstStride+width)
		for m := range pixels {
			for n := range width {
				acc, k := biases[n], 0
				for _, off := range offsets {
					for j := range groups * group {
						acc += (input(inputs[m*srcStride+off:], j) - u.Offset) * int32(int8(panel[(k/group*width+n)*group+k%group]))
						k++
					}
				}
				x := math.RoundToEven(float64(float32(acc)*scales[n])) + float64(zero)
				want[m*dstStride+n] = uint8(min(max(x, float64(lower)), 255))
			}
		}
		for side, name := range sides {
			src, weights := loadAs(srcMem, side, inputs), loadAs(weightMem, side, panel)
			bias, scale := loadAs(biasMem, side, biases), loadAs(scaleMem, side, scales)
			off, dst := loadAs(offsetMem, side, offsets), dstMem.bytesOf(side, len(want))
			f(&dst[0], &src[0], &weights[0], &bias[0], &scale[0], &weights[0], &off[0], runs, groups, srcStride, dstStride, tiles, 7, lower, zero)
			if i := difference(dst, want); i >= 0 {
				t.Fatalf("case %d: runs=%d groups=%d tiles=%d srcStride=%d dstStride=%d lower=%d zero=%d, %s: byte %d of pixel %d is %d, want %d",
					c%4, runs, groups, tiles, srcStride, dstStride, lower, zero, name, i%dstStride, i/dstStride, dst[i], want[i])
			}
		}
	}
}

// difference returns the first index at which two slices of one length differ, or -1.
func difference[T comparable](a, b []T) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// testQBatchMatMul compares one height of a tile with the loops of QBatchMatMulFunc.
func testQBatchMatMul(t *testing.T, f kernels.QBatchMatMulFunc, height, width, group int) {
	const maxBatch, maxGroups, maxTiles, gap = 3, 9, 3, 5
	values := make([]int16, maxBatch*(maxTiles*height*(maxGroups*group+gap)+gap))
	panel := make([]int16, maxBatch*maxGroups*group*width)
	r := rand.New(rand.NewPCG(uint64(height), uint64(width)))
	for _, s := range [][]int16{values, panel} {
		for i := range s {
			s[i] = int16(r.Uint32())
			if r.IntN(4) == 0 {
				s[i] = math.MinInt16 // whose products, in pairs, exceed int32
			}
		}
	}
	dstMem := guarded(t, maxBatch*(maxTiles*height*width+gap))
	srcMem, weightMem := guarded(t, len(values)/2+1), guarded(t, len(panel)/2+1)
	for batch := 1; batch <= maxBatch; batch++ {
		for groups := 1; groups <= maxGroups; groups++ {
			tiles := 1 + (batch+groups)%maxTiles
			k, rows := groups*group, tiles*height
			srcStride := k + batch%2*gap
			// The matrices lie apart, and those of the destination lie backwards.
			srcMatrix := (rows-1)*srcStride + k + groups%2*gap
			dstMatrix := rows*width + tiles%2*gap
			last := (batch - 1) * dstMatrix
			for side, name := range sides {
				src := loadAs(srcMem, side, values[:(batch-1)*srcMatrix+(rows-1)*srcStride+k])
				weights := loadAs(weightMem, side, panel[:batch*k*width])
				dst := sliceOf[int32](dstMem, side, last+rows*width)
				want := slices.Clone(dst)
				for b := range batch {
					for m := range rows {
						for n := range width {
							acc := int32(0)
							for j := range k {
								acc += int32(src[b*srcMatrix+m*srcStride+j]) * int32(weights[((b*k+j)/group*width+n)*group+j%group])
							}
							want[last-b*dstMatrix+m*width+n] = acc
						}
					}
				}
				f(&dst[last], &src[0], &weights[0], &weights[0], batch, groups, tiles, srcMatrix, -dstMatrix, srcStride, 7)
				if i := difference(dst, want); i >= 0 {
					t.Fatalf("batch=%d groups=%d tiles=%d srcStride=%d, %s: element %d of %d is %d, want %d", batch, groups, tiles, srcStride, name, i, len(dst), dst[i], want[i])
				}
			}
		}
	}
}

// TestWiden: Widen copies every value.
func TestWiden(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		if set.U8.Widen == nil {
			t.Skip("the kernels take uint8")
		}
		for n := set.U8.Bytes; n <= 5*set.U8.Bytes; n += set.U8.Bytes {
			values, want := make([]uint8, n), make([]int16, n)
			for i := range values {
				values[i] = uint8(255 - i)
				want[i] = int16(values[i])
			}
			srcMem, dstMem := guarded(t, (n+3)/4), guarded(t, (n+1)/2)
			for side, name := range sides {
				src, dst := loadAs(srcMem, side, values), sliceOf[int16](dstMem, side, n)
				set.U8.Widen(&dst[0], &src[0], n)
				if i := difference(dst, want); i >= 0 {
					t.Fatalf("n=%d, %s: element %d is %d, want %d", n, name, i, dst[i], want[i])
				}
			}
		}
	})
}
