package compression

import (
	"hash/fnv"
	"iter"
	"math"
	"path/filepath"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/weights"
)

// node is a row of a table.
func node(name string, l layer.Layer, inputs ...string) graph.Node {
	return graph.Node{Name: name, Layer: l, Inputs: inputs}
}

// stored are weights by node.
type stored map[string]kernels.Weights

func (s stored) Layer(p graph.Param) (kernels.Weights, error) { return s[p.Node], nil }

func (s stored) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }

// random returns random weights for m, made once for several plans.
func random(t *testing.T, m *graph.Model) stored {
	t.Helper()
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	s := stored{}
	for _, p := range params {
		if s[p.Node], err = weights.Random(1).Layer(p); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// lookup returns the model of that name.
func lookup(t *testing.T, name string) *graph.Model {
	t.Helper()
	m, err := models.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// image returns a view with these values.
func image(s layer.Shape, values ...float32) kernels.View {
	v := kernels.NewView(kernels.Type{}, 1, s.H, s.W, s.C, 0)
	copy(kernels.Data[float32](v), values)
	return v
}

// noise returns a view with seeded random values.
func noise(s layer.Shape, seed uint64) kernels.View {
	return image(s, kerneltest.Random(seed, s.Elems())...)
}

// each iterates over images.
func each(images ...kernels.View) iter.Seq2[kernels.View, error] {
	return func(yield func(kernels.View, error) bool) {
		for _, v := range images {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// calibrate calibrates a model with min-max on one image of noise.
func calibrate(t *testing.T, m *graph.Model, w graph.Weights) *Calibration {
	t.Helper()
	c, err := Calibrate(m, w, MinMax, each(noise(m.Input, 1)), graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// quantizeModel is Quantize and Apply.
func quantizeModel(t *testing.T, c *Calibration, o Options, m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights) {
	t.Helper()
	m, w, err := Quantize(c, o).Apply(m, w)
	if err != nil {
		t.Fatal(err)
	}
	return m, w
}

// compile compiles a plan and closes it when the test ends.
func compile(t *testing.T, m *graph.Model, w graph.Weights, o graph.Options) *graph.Plan {
	t.Helper()
	p, err := graph.Compile(m, w, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// digest returns a hash of one pixel of image n of v.
func digest(v kernels.View, n int) uint64 {
	h := fnv.New64a()
	for _, f := range kernels.Pixel[float32](v, n, 0, 0) {
		b := math.Float32bits(f)
		h.Write([]byte{byte(b), byte(b >> 8), byte(b >> 16), byte(b >> 24)})
	}
	return h.Sum64()
}

// published returns squeezenet1.0 with its published weights.
func published(t *testing.T) (*graph.Model, graph.Weights) {
	t.Helper()
	w, err := weights.Open(kerneltest.Shared(t, filepath.Join("weights", "compressed_SqueezeNet.net")))
	if err != nil {
		t.Fatal(err)
	}
	return lookup(t, "squeezenet1.0"), w
}
