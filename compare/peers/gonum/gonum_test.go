package gonum

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/tensor"
	"firebench/net/weights"
)

// logits runs a model with both implementations on one image.
func logits(t *testing.T, m *graph.Model) (ours, theirs []float32) {
	t.Helper()
	n, err := New(m, weights.Random(1))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n.Input {
		n.Input[i] = float32(r.NormFloat64() * 64)
	}
	n.Run()
	first := append([]float32(nil), n.Logits...)
	n.Run() // on used memory
	for i, v := range n.Logits {
		if v != first[i] {
			t.Fatalf("%s: logit %d is %v, in a second run %v", m.Name, i, first[i], v)
		}
	}

	p, err := graph.Compile(m, weights.Random(1), graph.Options{Algo: kernels.Algorithms()[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	image := &tensor.Tensor{Dims: []int{1, m.Input.C, m.Input.H, m.Input.W}, Data: n.Input}
	if err := image.ToView(p.Input()); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	return tensor.FromView(p.Logits()).Data, n.Logits
}

// checkLogits compares two results within so much of the largest.
func checkLogits(t *testing.T, name string, ours, theirs []float32) {
	t.Helper()
	if len(ours) != len(theirs) {
		t.Fatalf("%s: %d logits, expected %d", name, len(theirs), len(ours))
	}
	largest, off := 0.0, 0.0
	for i, v := range ours {
		largest = max(largest, math.Abs(float64(v)))
		off = max(off, math.Abs(float64(v-theirs[i])))
	}
	if !(off <= 1e-4*largest) || largest == 0 {
		t.Errorf("%s: logits are off by up to %v, the largest is %v", name, off, largest)
	}
}

// TestNetworks: the networks compute what ours do.
func TestNetworks(t *testing.T) {
	names := []string{"squeezenet1.0-complex", "squeezenet1.1", "alexnet"} // which have all layers together
	if testing.Short() {
		names = names[1:2]
	}
	for _, name := range names {
		m, err := models.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := logits(t, m)
		checkLogits(t, name, ours, theirs)
	}
}

// TestLayers: shapes and parameters that no network has.
func TestLayers(t *testing.T) {
	m := &graph.Model{
		Name:  "small",
		Input: layer.Shape{H: 9, W: 7, C: 6},
		Nodes: []graph.Node{
			{Name: "pad1x1", Layer: layer.Conv{Out: 4, Kernel: 1, Pad: kernels.Pad(1), Groups: 2}},
			{Name: "norm", Layer: layer.LRN{Size: 3, Alpha: 0.5, Beta: 0.75, K: 2}},
			{Name: "stride1x1", Layer: layer.Conv{Out: 5, Kernel: 1, Stride: 2}},
			{Name: "pool", Layer: layer.MaxPool{Kernel: 3, KernelW: 2, Stride: 2, Pad: kernels.Padding{Top: 1, Left: 1}, Ceil: true}},
			{Name: "wide", Layer: layer.Conv{Out: 5, Kernel: 5, KernelW: 3, Pad: kernels.Padding{Top: 2, Left: 2, Bottom: 1}}},
			{Name: "same", Layer: layer.Conv{Out: 5, Kernel: 5, KernelW: 3, Pad: kernels.Padding{Top: 2, Left: 2, Bottom: 1}}, Inputs: []string{"pool"}, Weights: "wide"},
			{Name: "both", Layer: layer.Concat{}, Inputs: []string{"wide", "same"}},
			{Name: "fc", Layer: layer.Dense{Out: 3}},
		},
	}
	ours, theirs := logits(t, m)
	checkLogits(t, m.Name, ours, theirs)
}

// TestErrors: what it cannot compute it refuses by name.
func TestErrors(t *testing.T) {
	u8 := kernels.Type{Element: kernels.Uint8, Scale: 1}
	for want, nodes := range map[string][]graph.Node{
		"gonum: m: node pool: no layer avgpool here": {{Name: "pool", Layer: layer.AvgPool{Kernel: 2}}},
		"gonum: m: node q: it computes with":         {{Name: "q", Layer: layer.Quantize{Type: u8}}, {Name: "d", Layer: layer.Dequantize{}}},
	} {
		m := &graph.Model{Name: "m", Input: layer.Shape{H: 4, W: 4, C: 1}, Nodes: nodes}
		if _, err := New(m, weights.Random(1)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, expected %s", err, want)
		}
	}
}
