package compression

import (
	"bytes"
	"errors"
	"iter"
	"maps"
	"math"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/weights"
)

// small returns a network with all kinds of layers that have weights, random weights of which a third is zero, and
// images for it.
func small(t *testing.T) (*graph.Model, stored, []kernels.View) {
	t.Helper()
	m := &graph.Model{Name: "small", Input: layer.Shape{H: 19, W: 19, C: 3}, Nodes: []graph.Node{
		node("a", layer.Conv{Out: 8, Kernel: 3, Stride: 2, Pad: kernels.Pad(1)}), node("a.relu", layer.ReLU{}),
		node("b", layer.Conv{Out: 6, Kernel: 1}, "a.relu"), node("b.relu", layer.ReLU{}),
		node("c", layer.Conv{Out: 4, Kernel: 3, Pad: kernels.Pad(1), Groups: 2}, "a.relu"),
		node("d", layer.Concat{}, "b.relu", "c"), node("pool", layer.MaxPool{Kernel: 3, Stride: 3}),
		node("e", layer.Dense{Out: 10}), node("prob", layer.Softmax{}),
	}}
	w := random(t, m)
	for name, l := range w {
		l.Values, l.Bias = slices.Clone(l.Values), slices.Clone(l.Bias)
		for i := range l.Values {
			if i%3 == 1 {
				l.Values[i] = 0
			}
		}
		w[name] = l
	}
	var images []kernels.View
	for i := range uint64(20) {
		images = append(images, noise(m.Input, i+1))
	}
	return m, w, images
}

// share shares and returns the layers.
func share(t *testing.T, m *graph.Model, w graph.Weights, o ShareOptions) (graph.Weights, []SharedLayer) {
	t.Helper()
	var layers []SharedLayer
	o.Done = func(l SharedLayer) { layers = append(layers, l) }
	n, shared, err := Share(o).Apply(m, w)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m, n) {
		t.Error("the model has changed")
	}
	return shared, layers
}

// fbw returns the file of weights.
func fbw(t *testing.T, m *graph.Model, w graph.Weights) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := weights.WriteFBW(&b, m, w); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// valuesOfAll returns all weights and biases.
func valuesOfAll(t *testing.T, m *graph.Model, w graph.Weights) stored {
	t.Helper()
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	s := stored{}
	for _, p := range params {
		if s[p.Node], err = w.Layer(p); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestShare: each layer has as few values as its bits allow, of which codes and tables say the same as the weights;
// zeros stay zero; a budget is one for the file, which takes no more and hardly less.
func TestShare(t *testing.T) {
	m, w, images := small(t)
	before := valuesOfAll(t, m, w)
	for what, o := range map[string]ShareOptions{
		"plain":       {Bits: 3, Layers: map[string]int{"b": 2, "e": 8}},
		"density":     {Bits: 3, Init: Density},
		"random":      {Bits: 3, Init: Random},
		"compensated": {Bits: 3, Layers: map[string]int{"b": 2, "e": 8}, Images: each(images...)},
		"a budget":    {Bytes: 1500, Images: each(images...)},
	} {
		shared, layers := share(t, m, w, o)
		book, ok := graph.SharedOf(shared)
		if !ok {
			t.Fatalf("%s: no codebooks", what)
		}
		params, _ := m.Params()
		for i, p := range params {
			table, codes, ok := book.Codebook(p)
			l, err := shared.Layer(p)
			if !ok || err != nil || len(l.Values) != len(codes) {
				t.Fatalf("%s: %s has no codebook or no weights, error %v", what, p.Node, err)
			}
			for j, v := range l.Values {
				if v != table[codes[j]] || (v == 0) != (codes[j] == 0) {
					t.Fatalf("%s: %s: weight %d is %g, code %d says %g", what, p.Node, j, v, codes[j], table[codes[j]])
				}
				was := w[p.Node].Values[j]
				if other := table[1+j%(len(table)-1)]; o.Images == nil && was != 0 && math.Abs(float64(was-v)) > math.Abs(float64(was-other))+1e-6 {
					t.Fatalf("%s: %s: weight %d was %g and is %g, expected %g or closer", what, p.Node, j, was, v, other)
				}
				if was == 0 && v != 0 {
					t.Fatalf("%s: %s: weight %d was zero and is %g", what, p.Node, j, v)
				}
			}
			if n := o.values(p.Node); len(table) > n+1 || table[0] != 0 || !slices.IsSorted(table[1:]) || layers[i].Values != len(table)-1 || layers[i].Node != p.Node {
				t.Errorf("%s: %s has the values %v, expected 0 and at most %d others", what, p.Node, table, n)
			}
			if e := layers[i].Error; !(e >= 0 && e < 0.5) || o.Bytes > 0 && !(layers[i].Divergence > 0) {
				t.Errorf("%s: %s has the error %g and the divergence %g", what, p.Node, e, layers[i].Divergence)
			}
			if same := slices.Equal(l.Bias, w[p.Node].Bias); same != (o.Images == nil) {
				t.Errorf("%s: %s has the same biases: %v", what, p.Node, same)
			}
		}
		if n := len(fbw(t, m, shared)); o.Bytes > 0 && (n > o.Bytes || n < o.Bytes*95/100) {
			t.Errorf("%s of %d: the file has %d bytes", what, o.Bytes, n)
		}
	}
	if !reflect.DeepEqual(before, valuesOfAll(t, m, w)) {
		t.Error("the weights have changed")
	}
}

// TestShareBetter: compensated sharing changes the outputs less than k-means does, with as many values.
func TestShareBetter(t *testing.T) {
	m, w, images := small(t)
	want, err := logits(m, w, images, graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	distance := func(o ShareOptions) float64 {
		shared, _ := share(t, m, w, o)
		got, err := logits(m, shared, images, graph.Options{})
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for i := range got {
			sum += klDivergence(want[i], got[i])
		}
		return sum
	}
	plain := distance(ShareOptions{Bits: 3})
	if got := distance(ShareOptions{Bits: 3, Images: each(images...)}); !(got < plain/2) {
		t.Errorf("the divergence is %g, and %g by k-means", got, plain)
	}
}

// TestShareDeterministic: the result depends on the seed, and not on the number of processors.
func TestShareDeterministic(t *testing.T) {
	m, w, images := small(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	result := func(processors int, seed uint64) stored {
		runtime.GOMAXPROCS(processors)
		shared, _ := share(t, m, w, ShareOptions{Bytes: 1500, Images: each(images...), Init: Random, Seed: seed})
		return valuesOfAll(t, m, shared)
	}
	one := result(1, 1)
	for _, processors := range []int{1, 2, 5} {
		if !reflect.DeepEqual(one, result(processors, 1)) {
			t.Errorf("with %d processors the result is another one", processors)
		}
	}
	if reflect.DeepEqual(one, result(2, 2)) {
		t.Error("another seed has the same result")
	}
}

func TestShareRefuses(t *testing.T) {
	m, w, images := small(t)
	broken := errors.New("no picture")
	var failing iter.Seq2[kernels.View, error] = func(yield func(kernels.View, error) bool) {
		_ = yield(images[0], nil) && yield(kernels.View{}, broken)
	}
	for want, o := range map[string]ShareOptions{
		"share: codes of 0 bits, expected 1 to 8":                                                      {},
		"share: codes of 9 bits, expected 1 to 8":                                                      {Bits: 9},
		"share: layer a: codes of -1 bits, expected 1 to 8":                                            {Bits: 5, Layers: map[string]int{"a": -1}},
		"share: layer a.relu: no node of small has this name and weights of its own":                   {Bits: 5, Layers: map[string]int{"a.relu": 2}},
		"share: unknown initialization Init(7), expected one of linear, density, random":               {Bits: 5, Init: 7},
		"share: a budget of -1 bytes, expected 1 or more (0: none)":                                    {Bytes: -1},
		"share: a budget of bytes needs images to calibrate with":                                      {Bytes: 100},
		"no images to calibrate with":                                                                  {Bits: 5, Images: each()},
		"image 1: no picture":                                                                          {Bits: 5, Images: failing},
		"image 0: copy: source 1×1×1×1 and destination 1×19×19×3 differ in shape":                      {Bits: 5, Images: each(image(layer.Shape{H: 1, W: 1, C: 1}))},
		"share: no weights fit a budget of 100 bytes, of which biases take 112, expected a larger one": {Bytes: 100, Images: each(images...)},
	} {
		if _, _, err := Share(o).Apply(m, w); err == nil || err.Error() != "compression: small: "+want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	bad := maps.Clone(w)
	bad["b"] = kernels.Weights{Values: make([]float32, 1)}
	for _, o := range []ShareOptions{{Bits: 5}, {Bits: 5, Images: each(images...)}} {
		want := "compression: small: layer b: 1 weights, expected 48 for [6 8 1 1]"
		if o.Images != nil {
			want = "compression: small: "
		}
		if _, _, err := Share(o).Apply(m, bad); err == nil || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	if _, ok := graph.SharedOf(w); ok {
		t.Error("weights without codebooks have some")
	}
}

// TestShareZeros: layers of zeros, and networks whose inputs never change, are no special case.
func TestShareZeros(t *testing.T) {
	m, w, _ := small(t)
	w["c"] = kernels.Weights{Values: make([]float32, len(w["c"].Values)), Bias: w["c"].Bias}
	still := image(m.Input)
	for _, o := range []ShareOptions{{Bits: 4}, {Bits: 4, Images: each(still)}} {
		shared, layers := share(t, m, w, o)
		c := valuesOfAll(t, m, shared)["c"]
		if slices.ContainsFunc(c.Values, func(v float32) bool { return v != 0 }) {
			t.Errorf("zeros have become %v", c.Values)
		}
		for _, l := range layers {
			if l.Error != l.Error {
				t.Errorf("%s has the error %g", l.Node, l.Error)
			}
		}
	}
}

// TestScan: at the density that a layer has, nothing changes; at a small one, the answers do.
func TestScan(t *testing.T) {
	m, w, images := small(t)
	var done []string
	curves, err := Scan(m, w, ScanOptions{Densities: []float64{0.7, 0.02}, Images: each(images...), Done: func(c Curve) { done = append(done, c.Node) }})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "c", "e"}; !slices.Equal(done, want) {
		t.Errorf("layers %v, want %v", done, want)
	}
	less := false
	for _, c := range curves {
		if c.Density < 0.6 || c.Density > 0.7 || len(c.Points) != 2 || c.Points[0].Density != 0.7 || c.Points[1].Density != 0.02 {
			t.Errorf("curve %+v", c)
		}
		if got := c.Points[0].Agreement; got.Count != 20 || got.Total != 20 {
			t.Errorf("%s: with all weights, agreement is %v", c.Node, got)
		}
		less = less || c.Points[1].Agreement.Count < 15
	}
	if !less {
		t.Errorf("curves %+v: no layer matters", curves)
	}
	for _, l := range w { // every fourth output channel is zero, and no row of two
		k := len(l.Values) / len(l.Bias)
		for i := range l.Values {
			if l.Values[i] = 1; i/k%4 == 0 {
				l.Values[i] = 0
			}
		}
	}
	curves, err = Scan(m, w, ScanOptions{Densities: []float64{0.8}, Panel: 2, Images: each(images...)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range curves {
		if c.Density != 1 {
			t.Errorf("%s has rows of density %v, want 1", c.Node, c.Density)
		}
	}
	if _, err := Scan(m, w, ScanOptions{Images: each(images...)}); err == nil || err.Error() != "compression: small: scan: expected densities and images" {
		t.Errorf("error %v", err)
	}
	if _, err := Scan(m, w, ScanOptions{Densities: []float64{2}, Images: each(images...)}); err == nil || err.Error() != "compression: small: prune: layer a: density is 2, expected more than 0 and at most 1" {
		t.Errorf("error %v", err)
	}
}
