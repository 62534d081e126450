package graph_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/workers"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
)

// Layers that the networks below share. same3, same5 and same7 keep height and width.
var (
	same3 = layer.Conv{Out: 5, Kernel: 3, Pad: kernels.Pad(1)}
	same5 = layer.Conv{Out: 4, Kernel: 5, Pad: kernels.Pad(2)}
	same7 = layer.Conv{Out: 3, Kernel: 7, Pad: kernels.Pad(3)}
	one   = layer.Conv{Out: 6, Kernel: 1}
	lrn   = layer.LRN{Size: 3, Alpha: 1, Beta: 0.75, K: 1}
	pool3 = layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true} // ends a cascade
)

// cascades are networks that bands of rows pass through, each with a trap.
var cascades = []struct {
	name  string
	nodes []graph.Node
}{
	{"two", []graph.Node{node("a", same3), node("b", same3)}},
	{"same", []graph.Node{node("a", same3), node("b", same5), node("c", same7), node("d", one), node("e", same3)}},
	{"valid", []graph.Node{node("a", layer.Conv{Out: 3, Kernel: 3}), node("b", layer.Conv{Out: 4, Kernel: 2}), node("c", layer.Conv{Out: 5, Kernel: 4}), node("d", one)}},
	{"more padding than the windows need", []graph.Node{node("a", layer.Conv{Out: 4, Kernel: 3, Pad: kernels.Pad(2)}), node("b", layer.Conv{Out: 3, Kernel: 5, Pad: kernels.Pad(4)}), node("c", same3)}},
	{"windows of padding alone", []graph.Node{node("a", layer.Conv{Out: 4, Kernel: 2, Pad: kernels.Pad(3)}), node("b", layer.Conv{Out: 3, Kernel: 3, Pad: kernels.Pad(5)}), node("c", same3)}},
	{"windows of padding alone, twice", []graph.Node{node("a", same3), node("b", layer.Conv{Out: 4, Kernel: 2, Pad: kernels.Pad(3)}), node("c", layer.Conv{Out: 3, Kernel: 2, Pad: kernels.Pad(3)})}},
	{"a result that ends with windows of padding alone", []graph.Node{node("a", one), node("b", layer.Conv{Out: 3, Kernel: 2, Pad: kernels.Pad(3)})}},
	{"stride in the middle", []graph.Node{node("a", same3), node("b", layer.Conv{Out: 6, Kernel: 3, Stride: 2, Pad: kernels.Pad(1)}), node("c", same3), node("d", one)}},
	// Winograd's algorithm for the strided convolutions reads a row that has no weight.
	{"phases", []graph.Node{node("a", same3), node("b", layer.Conv{Out: 6, Kernel: 7, Stride: 2, Pad: kernels.Pad(3)}), node("c", same3)}},
	{"phases without padding", []graph.Node{node("a", same3), node("b", layer.Conv{Out: 6, Kernel: 5, Stride: 2}), node("c", same3)}},
	{"phases with rows to spare", []graph.Node{node("a", same3), node("b", layer.Conv{Out: 6, Kernel: 11, Stride: 4, Pad: kernels.Pad(2)}), node("c", one)}},
	{"rows that nobody reads", []graph.Node{node("a", same3), node("b", layer.Conv{Out: 4, Kernel: 1, Stride: 3}), node("c", one)}},
	{"groups", []graph.Node{node("a", layer.Conv{Out: 6, Kernel: 3, Pad: kernels.Pad(1)}), node("b", layer.Conv{Out: 8, Kernel: 5, Pad: kernels.Pad(2), Groups: 2}), node("c", layer.Conv{Out: 4, Kernel: 3, Pad: kernels.Pad(1), Groups: 4})}},
	{"elementwise", []graph.Node{node("a", same3), node("n", lrn), node("b", same3), node("r", relu), node("d", layer.Dropout{}), node("p", layer.MaxPool{Kernel: 2}), node("s", relu)}},

	{"small steps of pools", []graph.Node{node("a", same3), node("p", layer.MaxPool{Kernel: 3, Ceil: true}), node("q", layer.AvgPool{Kernel: 2}), node("b", same3)}},
	// The last windows end behind the image: no band before the last can compute their rows.
	{"ceil", []graph.Node{node("a", same3), node("p", layer.AvgPool{Kernel: 3, Stride: 3, Ceil: true}), node("b", same3)}},
	{"ceil of two", []graph.Node{node("a", same3), node("p", layer.AvgPool{Kernel: 2, Stride: 2, Ceil: true}), node("b", one)}},
	{"pool at the end", []graph.Node{node("a", same3), node("b", one), node("p", pool3)}},
	{"dropout behind a pool", []graph.Node{node("a", same3), node("b", one), node("p", pool3), node("d", layer.Dropout{}), node("g", layer.GlobalAvgPool{})}},
	{"pools between", []graph.Node{node("a", same3), node("b", same3), node("p", pool3), node("c", one), node("d", same5), node("q", pool3), node("e", same3), node("f", one)}},
	{"padded pool, which has no bands", []graph.Node{node("a", same3), node("b", same3), node("p", layer.MaxPool{Kernel: 3, Pad: kernels.Pad(1)}), node("c", same3), node("d", same3)}},
	{"padding above alone", []graph.Node{node("a", same3), node("b", layer.Conv{Out: 4, Kernel: 5, Pad: kernels.Padding{Top: 4}}), node("c", layer.Conv{Out: 5, Kernel: 3, Pad: kernels.Padding{Top: 2, Left: 2}}), node("d", same3)}},
	{"padding below alone", []graph.Node{node("a", same3), node("b", layer.Conv{Out: 4, Kernel: 5, Pad: kernels.Padding{Bottom: 4}}), node("c", layer.Conv{Out: 5, Kernel: 3, Pad: kernels.Padding{Bottom: 2, Right: 2}}), node("d", same3)}},
	{"padding beside the image alone", []graph.Node{node("a", same3), node("b", layer.Conv{Out: 4, Kernel: 1, KernelW: 7, Pad: kernels.Padding{Left: 5, Right: 1}}), node("c", layer.Conv{Out: 5, Kernel: 4, Pad: kernels.Padding{Right: 3}}), node("d", one)}},
	{"more padding below than above", []graph.Node{node("a", same3), node("b", layer.Conv{Out: 6, Kernel: 7, Stride: 2, Pad: kernels.Padding{Top: 2, Left: 2, Bottom: 3, Right: 3}}), node("c", layer.Conv{Out: 4, Kernel: 2, Pad: kernels.Padding{Bottom: 1, Right: 1}}), node("d", same3)}},
	{"rows of padding alone on one side", []graph.Node{node("a", layer.Conv{Out: 5, Kernel: 1, KernelW: 3, Pad: kernels.Padding{Bottom: 2, Right: 2}}), node("b", layer.Conv{Out: 4, Kernel: 1, KernelW: 3, Pad: kernels.Padding{Top: 2, Left: 1, Right: 1}}), node("c", layer.Conv{Out: 3, Kernel: 1, KernelW: 3, Pad: kernels.Padding{Left: 1, Bottom: 3, Right: 1}}), node("d", one)}},
	{"readers with padding on different sides", []graph.Node{
		node("a", same3), node("b", layer.Conv{Out: 5, Kernel: 3, Pad: kernels.Padding{Top: 2, Right: 2}}, "a"), node("c", layer.Conv{Out: 5, Kernel: 3, Pad: kernels.Padding{Left: 2, Bottom: 2}}, "a"),
		node("s", layer.Add{}, "b", "c"), node("z", same5),
	}},
	{"pools with padding, but none above", []graph.Node{
		node("a", same3), node("p", layer.AvgPool{Kernel: 3, KernelW: 2, Pad: kernels.Padding{Left: 1, Bottom: 2}}), node("q", layer.MaxPool{Kernel: 2, KernelW: 3, Pad: kernels.Padding{Bottom: 1, Right: 2}}),
		node("b", same3), node("r", layer.AvgPool{Kernel: 3, Stride: 2, Pad: kernels.Padding{Left: 1, Bottom: 2, Right: 1}, ExcludePad: true, Ceil: true}),
	}},
	{"padded 1×1, which has no bands", []graph.Node{node("a", same3), node("b", same3), node("p", layer.Conv{Out: 4, Kernel: 1, Pad: kernels.Pad(1)}), node("c", same3), node("d", same3)}},

	{"fire", fire("f", "input", "z")},
	{"fires", slices.Concat(fire("f", "input", "f.out"), fire("g", "f.out", "g.out"), []graph.Node{node("p", pool3)}, fire("h", "p", "z"))},
	{"concat in concat", []graph.Node{
		node("a", same3), node("b", same5, "input"), node("c", layer.Concat{}, "a", "b"),
		node("d", one, "input"), node("e", layer.Concat{}, "d", "c"), node("f", same7), node("g", one),
	}},
	{"concat of layers with different windows", []graph.Node{
		node("x", one), node("a", same7, "x"), node("b", layer.MaxPool{Kernel: 1}, "x"), node("c", lrn, "x"),
		node("d", layer.Concat{}, "a", "b", "c"), node("e", same3),
	}},
	// Winograd's tiles for a, b and c are 3, 4 and 2 rows high.
	{"concat of layers with different tiles", []graph.Node{
		node("x", one), node("a", layer.Conv{Out: 4, Kernel: 4, Pad: kernels.Pad(2)}, "x"), node("b", layer.Conv{Out: 4, Kernel: 3, Pad: kernels.Pad(1)}, "x"), node("c", same5, "x"),
		node("k", layer.MaxPool{Kernel: 2}, "b"), node("l", layer.MaxPool{Kernel: 2}, "c"), node("m", layer.Conv{Out: 4, Kernel: 3}, "a"),
		node("b3", layer.Conv{Out: 4, Kernel: 2}, "b"), node("d", layer.Concat{}, "k", "l", "m", "b3"), node("z", same3),
	}},
	{"tiles of 3 beside tiles of 4", []graph.Node{
		node("a", layer.Conv{Out: 7, Kernel: 2, Pad: kernels.Pad(1)}), node("b", layer.Conv{Out: 4, Kernel: 4, Pad: kernels.Pad(1)}, "a"), node("c", layer.Conv{Out: 5, Kernel: 3, Pad: kernels.Pad(1)}, "input"),
		node("d", layer.Concat{}, "b", "c"), node("z", same5),
	}},
	{"concat of what the cascade does not compute", []graph.Node{
		node("n", lrn), node("a", one), node("m", lrn), node("c", layer.Concat{}, "a", "input"),
		node("r", relu), node("d", layer.Concat{}, "m", "r"), node("p", pool3),
		node("y", same3), node("z", same3),
	}},
	{"concat of a pool that ends a cascade", []graph.Node{
		node("a", same3), node("p", pool3), node("b", layer.Conv{Out: 4, Kernel: 3, Stride: 2, Pad: kernels.Pad(1)}, "a"),
		node("q", layer.MaxPool{Kernel: 1}, "b"), node("c", layer.Concat{}, "p", "p"), node("e", same3, "q"), node("f", layer.GlobalAvgPool{}, "e"),
		node("g", layer.GlobalAvgPool{}, "c"), node("h", layer.Concat{}, "f", "g"),
	}},
	{"concat beyond the cascade", []graph.Node{
		node("a", same3), node("b", same3), node("x", layer.MaxPool{Kernel: 3, Pad: kernels.Pad(1)}), node("c", same3), node("d", layer.Concat{}, "c", "b"), node("e", one),
	}},

	{"parts", []graph.Node{
		node("a", same5), node("p", layer.Slice{C: 3}, "a"), node("q", layer.Slice{First: 2, C: 2}, "a"), node("b", same3, "p"), node("c", same7, "q"),
		node("d", layer.Concat{}, "b", "c"), node("e", layer.Slice{First: 3, C: 5}), node("z", same3),
	}},
	{"a part at the end, and one of what is outside", []graph.Node{
		node("p", layer.Slice{First: 1, C: 1}), node("a", same3), node("b", same3), node("q", layer.Slice{First: 1, C: 2}), node("g", layer.GlobalAvgPool{}),
	}},
	{"products", []graph.Node{node("a", same3), node("b", same3), node("m", layer.Mul{}, "a", "b"), node("c", same7), node("d", one)}},
	{"a value computed from what lies beside it", []graph.Node{node("a", same3), node("b", same5), node("c", layer.Concat{}, "a", "b"), node("x", layer.MaxPool{Kernel: 3, Pad: kernels.Pad(1)}), node("y", same3), node("z", same3)}},

	{"bypass", []graph.Node{node("a", same3), node("r", relu), node("b", same5), node("c", layer.Conv{Out: 5, Kernel: 3, Pad: kernels.Pad(1)}), node("s", layer.Add{}, "r", "c"), node("s.r", relu), node("d", same3)}},
	{"bypass of the input", []graph.Node{node("a", same3), node("b", layer.Conv{Out: 2, Kernel: 5, Pad: kernels.Pad(2)}), node("s", layer.Add{}, "b", "input"), node("z", same3)}},
	{"bypass around everything", []graph.Node{node("a", one), node("b", same7), node("c", same7), node("d", layer.Conv{Out: 6, Kernel: 1}), node("s", layer.Add{}, "a", "d")}},
	{"sum with itself", []graph.Node{node("a", same3), node("s", layer.Add{}, "a", "a"), node("b", same3)}},
	{"read outside too", []graph.Node{
		node("a", same3), node("b", same3), node("c", same5), node("g", layer.GlobalAvgPool{}), node("h", layer.GlobalAvgPool{}, "a"), node("z", layer.Concat{}, "g", "h"),
	}},
	{"a larger halo outside", []graph.Node{
		node("a", same3), node("b", same3), node("p", layer.MaxPool{Kernel: 3, Pad: kernels.Pad(1)}), node("c", same7), node("d", same7, "a"), node("s", layer.Add{}, "c", "d"),
	}},
	{"three windows on a value", []graph.Node{
		node("a", same3), node("b", layer.Conv{Out: 5, Kernel: 7, Pad: kernels.Pad(3)}, "a"), node("c", layer.Conv{Out: 5, Kernel: 1}, "a"),
		node("s", layer.Add{}, "b", "c"), node("t", layer.Add{}, "s", "a"), node("z", one),
	}},
	{"one branch far ahead", []graph.Node{
		node("x", one), node("a", same7, "x"), node("b", same7), node("c", same7), node("d", layer.Conv{Out: 6, Kernel: 7, Pad: kernels.Pad(3)}), node("s", layer.Add{}, "x", "d"), node("z", one),
	}},
	// The halos of values, and rows of padding, hold the zero points of different types.
	{"quantized", []graph.Node{
		node("q", layer.Quantize{Type: quantized(100)}), node("a", layer.Conv{Out: 5, Kernel: 3, Pad: kernels.Pad(1), Type: quantized(150)}), node("r", relu),
		node("b", layer.Conv{Out: 6, Kernel: 1, Type: quantized(150)}, "q"), node("c", layer.Concat{}, "r", "b"), node("p", layer.MaxPool{Kernel: 2}),
		node("e", layer.Conv{Out: 4, Kernel: 3, Pad: kernels.Pad(1), Type: quantized(60)}), node("z", layer.Conv{Out: 4, Kernel: 3, Pad: kernels.Pad(2), Type: quantized(110)}),
		node("d", layer.Dequantize{}),
	}},
	{"quantized, padded on one side", []graph.Node{
		node("q", layer.Quantize{Type: quantized(100)}), node("a", layer.Conv{Out: 5, Kernel: 3, Pad: kernels.Padding{Top: 2, Right: 1}, Type: quantized(150)}),
		node("p", layer.AvgPool{Kernel: 3, KernelW: 2, Pad: kernels.Padding{Bottom: 2, Right: 1}, ExcludePad: true, Type: quantized(90)}),
		node("b", layer.Conv{Out: 4, Kernel: 5, KernelW: 3, Pad: kernels.Padding{Left: 2, Bottom: 4}, Type: quantized(60)}), node("z", layer.Conv{Out: 4, Kernel: 3, Pad: kernels.Pad(1), Type: quantized(110)}),
		node("d", layer.Dequantize{}),
	}},
	{"logits inside", []graph.Node{node("a", same3), node("b", same3), node("c", one), node("s", layer.Softmax{})}},
	{"end in other names", []graph.Node{node("a", same3), node("b", same3), node("r", relu), node("d", layer.Dropout{}), node("f", layer.Dense{Out: 3})}},
	{"end before the cascade", []graph.Node{node("a", same3), node("b", same3), node("x", layer.Softmax{}), node("d", layer.Dropout{}, "x"), node("e", layer.Dropout{})}},
}

// quantized returns a type for numbers of a magnitude of 1, with that zero point.
func quantized(zero int32) kernels.Type {
	return kernels.Type{Element: kernels.Uint8, Scale: 0.03, Zero: zero}
}

// fire is a Fire module that reads in and ends in a layer named out.
func fire(name, in, out string) []graph.Node {
	s := name + ".s"
	return []graph.Node{
		node(s, layer.Conv{Out: 3, Kernel: 1}, in), node(s+".r", relu),
		node(name+".e1", layer.Conv{Out: 4, Kernel: 1}, s+".r"), node(name+".e1.r", relu),
		node(name+".e3", layer.Conv{Out: 6, Kernel: 3, Pad: kernels.Pad(1)}, s+".r"), node(name+".e3.r", relu),
		node(name+".c", layer.Concat{}, name+".e1.r", name+".e3.r"),
		node(out, layer.Conv{Out: 4, Kernel: 3, Pad: kernels.Pad(1)}),
	}
}

// ways are ways to run a network in bands. The first three have different numbers of threads and
// of images. In the last, each thread has an image of its own; before, threads share images.
var ways = []struct{ bands, threads, batch int }{{4, 2, 1}, {2, 1, 3}, {100, 3, 2}, {5, 3, 1}, {100, 1, 1}, {3, 2, 2}}

// TestBands runs every network of cascades in different numbers of bands, on different numbers
// of threads, and compares the results with those of the network layer by layer.
func TestBands(t *testing.T) {
	inputs, ways := []layer.Shape{{H: 63, W: 8, C: 2}, {H: 16, W: 17, C: 2}}, ways
	if testing.Short() {
		inputs, ways = inputs[:1], ways[:3]
	}
	for _, test := range cascades {
		t.Run(test.name, func(t *testing.T) {
			banded, each := false, kerneltest.EachF32
			if strings.HasPrefix(test.name, "quantized") {
				each = kerneltest.EachISA
			}
			for _, input := range inputs {
				m := small(input, test.nodes...)
				w := random(t, m)
				each(t, func(t *testing.T, set *kernels.Set) {
					kerneltest.SkipSlow(t, set)
					for _, algo := range kernels.Algorithms() {
						o := graph.Options{Set: set, Algo: algo, Batch: 3}
						keep := compileKeep(t, m, w, o, 1)
						checkNodes(t, keep, w, math.MaxInt)
						for _, way := range ways {
							o.Threads, o.Batch = way.threads, way.batch
							p := checkReuse(t, keep, w, o, way.bands)
							banded = banded || len(graph.Slots(p)) > 0
							checkParts(t, m, w, o, way.bands)
						}
						checkAllocs(t, checkReuse(t, keep, w, o, 4))
					}
				})
			}
			if !banded {
				t.Error("nothing ran in bands")
			}
		})
	}
}

// TestBandsOfPadding has a convolution of which most output rows are computed from padding alone.
// No part and no band may begin with such a row.
func TestBandsOfPadding(t *testing.T) {
	m := small(layer.Shape{H: 4, W: 5, C: 2}, node("a", layer.Conv{Out: 3, Kernel: 3, Pad: kernels.Pad(5)}), node("b", one), node("c", one))
	w := random(t, m)
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for _, algo := range kernels.Algorithms() {
			o := graph.Options{Set: set, Algo: algo}
			keep := compileKeep(t, m, w, o, 1)
			checkNodes(t, keep, w, math.MaxInt)
			for threads := range 3 {
				for _, bands := range []int{2, 3, 100} {
					o.Threads = threads + 1
					checkReuse(t, keep, w, o, bands)
				}
			}
		}
	})
}

// checkParts checks that no two threads compute the same row of a cascade's result, and that
// they compute about the same number of rows.
func checkParts(t *testing.T, m *graph.Model, w graph.Weights, o graph.Options, bands int) {
	t.Helper()
	defer graph.SetBands(bands)()
	for _, parts := range graph.Parts(m, w, o) {
		row, least, most := 0, math.MaxInt, 0
		for _, p := range parts {
			if p[0] != row {
				break
			}
			row = p[1]
			least, most = min(least, p[1]-p[0]), max(most, p[1]-p[0])
		}
		if p := parts[len(parts)-1]; row != p[1] || least < 1 || most > 3*least {
			t.Errorf("%v, %d threads, batch %d: the parts of an image have the rows %v, want them to follow one another and to have about the same size", o.Algo, o.Threads, o.Batch, parts)
		}
	}
}

// TestBandsOfNets does what TestBands does with the layers of real networks, on small images.
// Dense layers, which have no bands, are left out.
func TestBandsOfNets(t *testing.T) {
	h, w, ways, images := 87, 63, ways[:3], 3
	if testing.Short() {
		h, w, ways, images = 71, 63, ways[:2], 1 // which is still several bands and threads
	}
	for _, m := range models.All() {
		t.Run("net="+m.Name, func(t *testing.T) {
			m.Input.H, m.Input.W, m.Head = h, w, ""
			if i := slices.IndexFunc(m.Nodes, func(n graph.Node) bool { return n.Layer.Op() == "dense" }); i >= 0 {
				m.Nodes = m.Nodes[:i]
			}
			w := random(t, m)
			kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
				kerneltest.SkipSlow(t, set)
				for _, algo := range kernels.Algorithms() {
					o := graph.Options{Set: set, Algo: algo, Batch: images}
					keep := compileKeep(t, m, w, o, 2)
					for _, way := range ways {
						o.Threads, o.Batch = way.threads, min(way.batch, images)
						slots := graph.Slots(checkReuse(t, keep, w, o, way.bands))
						if len(slots) == 0 && o.Threads == 1 {
							t.Errorf("%v: nothing ran in bands", algo)
						}
						for _, pieces := range slots {
							if len(pieces) != o.Threads || slices.Min(pieces) == 0 {
								t.Errorf("%v, %d threads, batch %d: pieces %v in a cascade, want all threads at work", algo, o.Threads, o.Batch, pieces)
							}
						}
					}
				}
			})
		})
	}
}

// TestBandsOfLargeValues leaves the number of bands to the rule, for values that do
// not fit any cache.
func TestBandsOfLargeValues(t *testing.T) {
	side := 8 * int(math.Ceil(math.Sqrt(float64(kernels.Level2())/32/64))) // 32 channels are four times the cache
	m := small(layer.Shape{H: side, W: side, C: 2},
		node("a", layer.Conv{Out: 32, Kernel: 3, Pad: kernels.Pad(1)}), node("r", relu),
		node("b", layer.Conv{Out: 32, Kernel: 1}),
		node("c", layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true}),
	)
	w := random(t, m)
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, o := range []graph.Options{{Threads: 1, Batch: 2}, {Threads: 2, Batch: 2}, {Threads: 2, Batch: 1}, {Threads: 3, Batch: 2}} {
			o.Set, o.Algo = set, "direct"
			keep := compileKeep(t, m, w, o, 1)
			p := compile(t, m, w, o)
			run(t, p)
			kerneltest.Compare(t, "output", p.Output(), dense(keep.Output()), nil)
			slots := graph.Slots(p)
			if len(slots) != 1 || len(slots[0]) != o.Threads {
				t.Fatalf("%d threads, batch %d: pieces %v, want one cascade for all threads", o.Threads, o.Batch, slots)
			}
			pieces := slots[0]
			if slices.Min(pieces) < 3*2 || slices.Min(pieces) < slices.Max(pieces)*2/3 {
				t.Errorf("%d threads, batch %d: pieces %v, want about as many each, of 3 steps in more than one band", o.Threads, o.Batch, pieces)
			}
			if whole := int64(4 * o.Batch * side * side * 32); p.ArenaBytes() >= whole {
				t.Errorf("%d threads, batch %d: the arena has %d bytes, as many as the %d of one of the values that need not be there as a whole", o.Threads, o.Batch, p.ArenaBytes(), whole)
			}
		}
	})
}

// A rowProbe is a layer with 3×3 windows that computes nothing. It reports its name and how many
// rows it was asked to compute.
type rowProbe struct {
	name   string
	report func(name string, rows int)
}

func (rowProbe) Op() string                                              { return "probe" }
func (rowProbe) OutShape(in []layer.Shape) (layer.Shape, error)          { return in[0], nil }
func (rowProbe) Cost([]layer.Shape) kernels.Cost                         { return kernels.Cost{} }
func (rowProbe) Window([]layer.Shape) (kernel, stride, pad int, ok bool) { return 3, 1, 1, true }

func (p rowProbe) Bind(b layer.Binding) ([]workers.Task, error) {
	return []workers.Task{probeTask{probe{1, func() { p.report(p.name, b.Dst.H) }}}}, nil
}

// rowProbes is a model of three rowProbes with h rows.
func rowProbes(h int, report func(name string, rows int)) *graph.Model {
	return small(layer.Shape{H: h, W: 3, C: 2}, node("a", rowProbe{"a", report}), node("b", rowProbe{"b", report}), node("c", rowProbe{"c", report}))
}

// TestBandOrder checks that every band passes through all layers before the next band does, image
// by image, and that no step of a cascade can be run alone.
func TestBandOrder(t *testing.T) {
	var log []string
	m := rowProbes(10, func(name string, rows int) { log = append(log, fmt.Sprint(name, rows)) })
	defer graph.SetBands(3)()
	p := compile(t, m, random(t, m), graph.Options{Threads: 1, Batch: 2})
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	// Rows 0-2, 3-5 and 6-9 of c need b up to row 3, 6 and 9, and these need a up to row 4, 7 and 9.
	const image = "a5 b4 c3 a3 b3 c3 a2 b3 c4"
	if got := strings.Join(log, " "); got != image+" "+image {
		t.Errorf("Run ran %q, want %q twice", got, image)
	}

	log = nil
	for what, err := range map[string]error{"RunStep": p.RunStep(1), "RunStage": p.RunStage("10x3")} {
		if err == nil || !strings.Contains(err.Error(), "KeepAll") || log != nil {
			t.Errorf("%s: error %v after %q, want one that names KeepAll and nothing done", what, err, log)
		}
	}
	if err := compile(t, m, random(t, m), graph.Options{Threads: 1, Batch: 2, KeepAll: true}).RunStep(1); err != nil {
		t.Error(err)
	}
	if got := strings.Join(log, " "); got != "b10" {
		t.Errorf("with KeepAll, RunStep(1) ran %q, want b10", got)
	}
}

// TestBandLabels checks that the profiler sees the layer of each piece, on every thread, and
// none afterwards.
func TestBandLabels(t *testing.T) {
	for _, threads := range []int{1, 2, 3} {
		var mu sync.Mutex
		pieces := 0
		m := rowProbes(60, func(name string, rows int) {
			mu.Lock()
			defer mu.Unlock()
			pieces++
			profile := goroutines(t)
			if !strings.Contains(profile, `"layer":"`+name+`"`) {
				t.Errorf("%d threads: no goroutine carries the label of step %s:\n%s", threads, name, profile)
			}
			if n := strings.Count(profile, `"layer":`); n > threads {
				t.Errorf("%d threads: %d goroutines carry labels", threads, n)
			}
		})
		restore := graph.SetBands(6)
		p := compile(t, m, random(t, m), graph.Options{Threads: threads})
		restore()
		run(t, p)
		if pieces != 3*6 {
			t.Errorf("%d threads: %d pieces, want 3 steps in 6 bands", threads, pieces)
		}
		p.Close()
		if after := goroutines(t); strings.Contains(after, `"layer":`) {
			t.Errorf("%d threads: labels are left behind:\n%s", threads, after)
		}
	}
}
