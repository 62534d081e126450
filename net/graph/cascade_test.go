package graph_test

import (
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
)

// TestBandRule checks bounds that any rule for the number of bands must keep to.
func TestBandRule(t *testing.T) {
	cache := kernels.Level2()
	for _, test := range []struct{ inner, weights, rows, least, most int }{
		{0, 0, 100, 0, 1},
		{1000, 1000, 100, 0, 1},             // all fits the cache
		{10 * cache, 1000, 100, 10, 50},     // nothing fits the cache
		{cache / 2, cache / 2, 100, 0, 1},   // values fit half of the cache, and so do weights
		{cache/2 + 1, cache / 2, 100, 2, 2}, // the values do not
		{cache * 5 / 2, cache / 2, 100, 5, 5},
		{cache * 5 / 2, cache/2 + 1, 100, 0, 1}, // the weights do not
		{10 * cache, 1000, 7, 2, 3},             // bands of at least two rows
		{10 * cache, 1000, 1, 0, 1},             // likewise
		{10 * cache, 10 * cache, 100, 0, 1},     // each band would read all weights again
		{1000 * cache, cache / 16, 1 << 20, 1000, 1 << 19},
	} {
		if got := graph.Bands(test.inner, test.weights, test.rows); got < test.least || got > test.most {
			t.Errorf("%d bytes inside, %d of weights, %d rows: %d bands, want %d to %d", test.inner, test.weights, test.rows, got, test.least, test.most)
		}
	}
}

// TestRecomputed: threads share an image only where few rows are computed by two of them.
func TestRecomputed(t *testing.T) {
	same := layer.Conv{Out: 4, Kernel: 3, Pad: kernels.Pad(1)}
	limit := graph.MaxRecomputed()
	restore := graph.SetBands(3)
	defer restore()
	graph.SetMaxRecomputed(limit)
	for _, test := range []struct {
		layers, rows, threads, cascades int
	}{
		{2, 40, 2, 1}, // 2 of the first layer's 40 rows are computed twice
		{2, 20, 2, 0}, // 2 of 20
		{3, 40, 2, 0}, // 4 of 40
		{2, 40, 3, 0}, // 2·2 of 40
		{3, 20, 1, 1},
	} {
		var nodes []graph.Node
		for i := range test.layers {
			nodes = append(nodes, node(string(rune('a'+i)), same))
		}
		m := small(layer.Shape{H: test.rows, W: 8, C: 2}, nodes...)
		parts := graph.Parts(m, random(t, m), graph.Options{Algo: "direct", Threads: test.threads, Batch: 1})
		if len(parts) != test.cascades {
			t.Errorf("%d layers of %d rows, %d threads: parts %v, want %d cascades", test.layers, test.rows, test.threads, parts, test.cascades)
		}
	}
}

// TestStarts shares squeezenet1.0's stem among two threads. Row y of the pool's 55 reads rows 2y
// to 2y+2 of the convolution's 111. Winograd's algorithm computes these in tiles of 5 rows. Equal
// parts need the convolution's rows 0 to 54 and 54 to 110, which are 11 tiles and, as the second
// part begins with row 50, 13 tiles. With 12 tiles each, the larger part is as small as possible.
func TestStarts(t *testing.T) {
	defer graph.SetBands(2)()
	m := small(layer.Shape{H: 227, W: 227, C: 3}, node("a", layer.Conv{Out: 8, Kernel: 7, Stride: 2}), node("p", layer.MaxPool{Kernel: 3, Stride: 2}))
	for algo, want := range map[string][2]int{"direct": {26, 28}, "winograd": {28, 29}} {
		parts := graph.Parts(m, random(t, m), graph.Options{Algo: algo, Threads: 2, Batch: 1})
		if len(parts) != 1 || len(parts[0]) != 2 {
			t.Fatalf("%v: parts %v, want one cascade with two", algo, parts)
		}
		if start := parts[0][1][0]; start < want[0] || start > want[1] {
			t.Errorf("%v: the second part begins at row %d, want %d to %d", algo, start, want[0], want[1])
		}
	}
}

// TestPieces counts the pieces of two layers in four bands of two rows: rows are moved only if the
// next band reads them, and the halo is cleared only where it may hold values.
func TestPieces(t *testing.T) {
	defer graph.SetBands(4)()
	for _, test := range []struct {
		layer layer.Conv
		want  int
	}{
		{layer.Conv{Out: 4, Kernel: 1}, 2 * 4},
		// The first layer is one row ahead, so that it computes its last rows in the third band.
		// Its halo is cleared in the first band, and again below the image in the third. Bands
		// two to four begin with a move.
		{layer.Conv{Out: 4, Kernel: 3, Pad: kernels.Pad(1)}, 3 + 4 + 2 + 3},
		// The first layer is three rows ahead, and its last row needs the seven before: the buffer
		// holds all rows and moves none.
		{layer.Conv{Out: 4, Kernel: 7, Pad: kernels.Pad(3)}, 6},
	} {
		m := small(layer.Shape{H: 8, W: 8, C: 4}, node("a", test.layer), node("b", test.layer))
		p := compile(t, m, random(t, m), graph.Options{Algo: "direct", Threads: 1})
		if slots := graph.Slots(p); len(slots) != 1 || !slices.Equal(slots[0], []int{test.want}) {
			t.Errorf("%d×%[1]d kernels: pieces %v, want %d", test.layer.Kernel, slots, test.want)
		}
	}
}

// TestHaloOfResult has two threads share an image whose result is read with a halo: only the thread
// that computes the first rows clears the halo, and only in its first band.
func TestHaloOfResult(t *testing.T) {
	defer graph.SetBands(8)()
	m := small(layer.Shape{H: 64, W: 8, C: 4}, node("a", one), node("p", layer.MaxPool{Kernel: 2, Stride: 2}), node("b", same3))
	p := compile(t, m, random(t, m), graph.Options{Algo: "direct", Threads: 2})
	const steps = 2 * 4 // in four bands of each part
	if slots := graph.Slots(p); len(slots) != 1 || !slices.Equal(slots[0], []int{steps + 1, steps}) {
		t.Errorf("pieces %v, want %d and one more for the halo", slots, steps)
	}
}

// TestImageByImage has values that fit the cache for one image. A batch passes through the layers
// image by image if one image's values are larger than the weights, and otherwise layer by layer.
func TestImageByImage(t *testing.T) {
	m := small(layer.Shape{H: 20, W: 20, C: 2}, node("a", layer.Conv{Out: 16, Kernel: 3, Pad: kernels.Pad(1)}), node("b", layer.Conv{Out: 16, Kernel: 3, Pad: kernels.Pad(1)}), node("p", pool3))
	w := random(t, m)
	tall := small(layer.Shape{H: 80, W: 5, C: 2}, m.Nodes...) // enough rows for two parts of an image
	flat := small(layer.Shape{H: 1, W: 400, C: 2}, m.Nodes[:2]...)
	heavy := small(layer.Shape{H: 4, W: 4, C: 2}, m.Nodes...)
	for _, test := range []struct {
		model          *graph.Model
		threads, batch int
		pieces         []int // of each thread: for an image, three steps and two halos to clear
	}{
		{m, 1, 4, []int{4 * 5}},
		{m, 2, 4, []int{2 * 5, 2 * 5}},
		{m, 1, 1, nil}, // no batch
		{m, 2, 2, nil}, // each layer keeps both threads busy
		{m, 2, 3, nil}, // one thread would have no second image
		{tall, 2, 3, nil},
		{flat, 1, 4, []int{4 * 4}}, // two steps, and two halos to clear
		{heavy, 1, 4, nil},
	} {
		o := graph.Options{Algo: "direct", Threads: test.threads, Batch: test.batch}
		keep := compileKeep(t, test.model, w, o, 1)
		p := compile(t, test.model, w, o)
		run(t, p)
		kerneltest.Compare(t, "output", p.Output(), dense(keep.Output()), nil)
		var got []int
		if slots := graph.Slots(p); len(slots) > 0 {
			got = slots[0]
		}
		if !slices.Equal(got, test.pieces) {
			t.Errorf("%d×%d, %d threads, batch %d: pieces %v, want %v", test.model.Input.H, test.model.Input.W, test.threads, test.batch, got, test.pieces)
		}
	}
}
