package graph_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
)

// TestTypes checks that a plan can have values of bytes among values of float32, as a whole and
// in bands, and that the arena has as many bytes as they need.
func TestTypes(t *testing.T) {
	u8 := kernels.Type{Element: kernels.Uint8, Scale: 0.25, Zero: 100}
	nodes := []graph.Node{
		node("a", layer.Conv{Out: 16, Kernel: 3, Pad: kernels.Pad(1)}), node("q", layer.Quantize{Type: u8}),
		node("d", layer.Dequantize{}), node("b", layer.Conv{Out: 16, Kernel: 3, Pad: kernels.Pad(1)}),
	}
	m := small(layer.Shape{H: 24, W: 16, C: 3}, nodes...)
	w := random(t, m)
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for threads := 1; threads <= 2; threads++ {
			o := graph.Options{Set: set, Algo: kernels.Algorithms()[0], Threads: threads, Batch: 2}
			keep := compileKeep(t, m, w, o, threads)
			run(t, keep)
			a, _ := keep.Node("a")
			q, ok := keep.Node("q")
			if !ok || q.Type != u8 {
				t.Fatalf("q is of %v, want %v", q.Type, u8)
			}
			d, _ := keep.Node("d")
			for n := range a.N {
				for y := range a.H {
					for x := range a.W {
						for c := range a.C {
							v := float64(kernels.At[float32](a, n, y, x, c))
							stored := max(0, min(255, math.RoundToEven(v/0.25)+100))
							if got := kernels.At[uint8](q, n, y, x, c); float64(got) != stored {
								t.Fatalf("q holds %d for %v, want %v", got, v, stored)
							}
							if got, want := kernels.At[float32](d, n, y, x, c), float32(0.25*(stored-100)); got != want {
								t.Fatalf("d holds %v, want %v", got, want)
							}
						}
					}
				}
			}
			for _, bands := range []int{2, 5} {
				restore := graph.SetBands(bands)
				p := compile(t, m, w, o)
				restore()
				if len(graph.Slots(p)) == 0 {
					t.Errorf("asked for %d bands, nothing runs in bands", bands)
				}
				run(t, p)
				if !slices.Equal(dense(p.Output()), dense(keep.Output())) {
					t.Errorf("%d bands, %d threads: another result", bands, threads)
				}
			}
		}
	})
	// The arena has all values, each rounded up to a cache line; the input and d have a halo of
	// one pixel. Sixteen channels need no scratch memory.
	pixels := func(h, w, c, size int) int64 { return int64((h*w*c*size + 63) / 64 * 64) }
	p := compile(t, m, w, graph.Options{Algo: kernels.Algorithms()[0], Threads: 1, KeepAll: true})
	want := pixels(26, 18, 3, 4) + pixels(24, 16, 16, 4) + pixels(24, 16, 16, 1) + pixels(26, 18, 16, 4) + pixels(24, 16, 16, 4)
	if got := p.ArenaBytes(); got != want {
		t.Errorf("the arena has %d bytes, want %d", got, want)
	}
	if step := p.Steps()[1]; step.Cost.Activations != 24*16*16*(4+1) || fmt.Sprint(step.Out) != "24×16×16 u8(scale 0.25, zero 100)" {
		t.Errorf("q costs %+v and gives %v", step.Cost, step.Out)
	}
}

// TestMovedTypes: layers that only move values move those of any type, in place or by copying.
func TestMovedTypes(t *testing.T) {
	u8 := kernels.Type{Element: kernels.Uint8, Scale: 0.25, Zero: 100}
	m := small(layer.Shape{H: 6, W: 5, C: 3},
		node("a", layer.Quantize{Type: u8}), node("b", layer.Quantize{Type: u8}, "input"), node("drop", layer.Dropout{}),
		node("cat", layer.Concat{}, "a", "drop", "a"), // b in place, a twice
		node("d", layer.Dequantize{}),
	)
	p := compile(t, m, random(t, m), graph.Options{Threads: 2, KeepAll: true})
	run(t, p)
	a, _ := p.Node("a")
	cat, _ := p.Node("cat")
	if cat.Type != u8 {
		t.Fatalf("the concatenation is of %v", cat.Type)
	}
	for y := range a.H {
		for x := range a.W {
			want := kernels.Pixel[uint8](a, 0, y, x)
			if got := kernels.Pixel[uint8](cat, 0, y, x); !slices.Equal(got, slices.Concat(want, want, want)) {
				t.Fatalf("pixel (%d, %d) is %v, want three times %v", y, x, got, want)
			}
		}
	}
}
