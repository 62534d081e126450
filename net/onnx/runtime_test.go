package onnx_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/compression"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/onnx"
	"firebench/net/tensor"
	"firebench/net/weights"
)

// A network is a model with weights.
type network struct {
	*graph.Model
	weights graph.Weights
}

// export returns the file of a network.
func export(t testing.TB, n network) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := onnx.Write(&file, n.Model, n.weights); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// noise returns an image of noise.
func noise(s layer.Shape, seed uint64) kernels.View {
	v := kernels.NewView(s.Type, 1, s.H, s.W, s.C, 0)
	copy(kernels.Data[float32](v), kerneltest.Random(seed, s.Elems()))
	return v
}

// quantized returns n with weights of so many bits, calibrated on noise.
func quantized(t testing.TB, n network, bits int) network {
	t.Helper()
	pictures := func(yield func(kernels.View, error) bool) { yield(noise(n.Input, 1), nil) }
	c, err := compression.Calibrate(n.Model, n.weights, compression.MinMax, pictures, graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, w, err := compression.Quantize(c, compression.Options{WeightBits: bits}).Apply(n.Model, n.weights)
	if err != nil {
		t.Fatal(err)
	}
	return network{m, w}
}

// run returns the outputs of a network for an image.
func run(t testing.TB, n network, in kernels.View) *graph.Plan {
	t.Helper()
	p, err := graph.Compile(n.Model, n.weights, graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := kernels.Copy(p.Input(), in); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	return p
}

// published returns squeezenet1.0 with its published weights.
func published(t *testing.T) network {
	t.Helper()
	w, err := weights.Open(kerneltest.Shared(t, filepath.Join("weights", "compressed_SqueezeNet.net")))
	if err != nil {
		t.Fatal(err)
	}
	m, err := models.Lookup("squeezenet1.0")
	if err != nil {
		t.Fatal(err)
	}
	return network{m, w}
}

// python returns the interpreter that has onnx and onnxruntime, or skips the test.
func python(t *testing.T) string {
	t.Helper()
	p := os.Getenv("FIREBENCH_PYTHON")
	if p == "" {
		t.Skip("FIREBENCH_PYTHON names no Python interpreter that has onnx and onnxruntime")
	}
	return p
}

// onnxRuntime has ONNX's checker and ONNX Runtime look at networks. It returns a function that reads
// output j of network i.
func onnxRuntime(t *testing.T, python string, networks []network, inputs []kernels.View) func(i, j int) []float32 {
	t.Helper()
	dir := t.TempDir()
	args := []string{filepath.Join("testdata", "run.py")}
	for i, n := range networks {
		prefix := filepath.Join(dir, strconv.Itoa(i))
		if err := os.WriteFile(prefix+".onnx", export(t, n), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := tensor.WriteNPYFile(prefix+".npy", tensor.FromView(inputs[i])); err != nil {
			t.Fatal(err)
		}
		args = append(args, prefix+".onnx", prefix+".npy", prefix)
	}
	if out, err := exec.Command(python, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return func(i, j int) []float32 {
		t.Helper()
		r, err := tensor.ReadNPYFile(filepath.Join(dir, fmt.Sprintf("%d.%d.npy", i, j)))
		if err != nil {
			t.Fatal(err)
		}
		return r.Data
	}
}

// outputs returns what a plan has computed, in the order of the outputs of its file.
func outputs(p *graph.Plan) []kernels.View {
	m := p.Model()
	if _, softmax := m.Nodes[len(m.Nodes)-1].Layer.(layer.Softmax); softmax && len(m.Nodes) > 1 && len(m.Outputs) == 0 {
		return []kernels.View{p.Logits(), p.Output()}
	}
	return p.Outputs()
}

// values returns the numbers of a view of one image, as C×H×W.
func values(v kernels.View) []float32 {
	var all []float32
	for c := range v.C {
		for y := range v.H {
			for x := range v.W {
				if v.Element == kernels.Uint8 {
					all = append(all, float32(kernels.At[uint8](v, 0, y, x, c)))
				} else {
					all = append(all, kernels.At[float32](v, 0, y, x, c))
				}
			}
		}
	}
	return all
}

// sevenBits gives weights scales by which the largest of a channel becomes ±63. Without VNNI, ONNX
// Runtime's sums of larger ones saturate.
type sevenBits struct{ graph.Weights }

func (s sevenBits) Layer(p graph.Param) (kernels.Weights, error) {
	w, err := s.Weights.Layer(p)
	k := len(w.Values) / p.Dims[0]
	for c := range p.Dims[0] {
		largest := float32(0)
		for _, v := range w.Values[c*k : (c+1)*k] {
			largest = max(largest, v, -v)
		}
		w.Scales = append(w.Scales, largest/63)
	}
	return w, err
}

// difference returns the largest difference of a value from the one that is wanted, over the largest of
// those, and how many differ.
func difference(got, want []float32) (most float64, count int) {
	largest := 0.0
	for i := range want {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if most, largest = max(most, d), max(largest, math.Abs(float64(want[i]))); d != 0 {
			count++
		}
	}
	return most / largest, count
}

// floatBound bounds the difference of float32 results: sums have another order.
const floatBound = 1e-5

// TestTablesInONNXRuntime: ONNX's checker accepts the files of tables of all layers with all parameters,
// and ONNX Runtime computes the same outputs, those of quantized layers exactly.
func TestTablesInONNXRuntime(t *testing.T) {
	interpreter := python(t)
	var networks []network
	var inputs []kernels.View
	for _, m := range tables() {
		networks = append(networks, network{m, sevenBits{weights.Random(1)}})
		inputs = append(inputs, noise(m.Input, 2))
	}
	result := onnxRuntime(t, interpreter, networks, inputs)
	for i, n := range networks {
		for j, v := range outputs(run(t, n, inputs[i])) {
			bound := floatBound
			if strings.HasPrefix(n.Name, "quantized") && (len(n.Outputs) == 0 && j == 0 || len(n.Outputs) > 0 && strings.HasSuffix(n.Outputs[j], ".dequantize")) {
				bound = 0 // the other outputs are those of float32 layers
			}
			if d, count := difference(result(i, j), values(v)); d > bound {
				t.Errorf("%s: %d values of output %d differ, by up to %.3g of the largest, want %g", n.Name, count, j, d, bound)
			}
		}
	}
}

// TestModelsInONNXRuntime: ONNX's checker accepts the files of all models, and ONNX Runtime computes
// the same logits. Those of quantized models are exact where weights have 7 bits and there are no
// additions. ONNX Runtime rounds the terms of quantized additions differently, and so some in a
// million sums.
func TestModelsInONNXRuntime(t *testing.T) {
	interpreter := python(t)
	check := func(t *testing.T, float network) {
		networks := []network{float, quantized(t, float, 7)}
		in := noise(float.Input, 2)
		result := onnxRuntime(t, interpreter, networks, []kernels.View{in, in})
		for i, n := range networks {
			bound, most := floatBound, 1000
			if i == 1 {
				bound, most = 0, 0
				if slices.ContainsFunc(n.Nodes, func(n graph.Node) bool { _, add := n.Layer.(layer.Add); return add }) {
					bound, most = 0.01, 10
				}
			}
			p := run(t, n, in)
			if d, count := difference(result(i, 0), values(p.Logits())); d > bound || count > most {
				t.Errorf("%s: %d logits differ, by up to %.3g of the largest, want %d and %g", n.Name, count, d, most, bound)
			}
			if d, _ := difference(result(i, 1), values(p.Output())); d > max(10*floatBound, bound) {
				t.Errorf("%s: probabilities differ by up to %.3g of the largest, want %g", n.Name, d, max(10*floatBound, bound))
			}
		}
	}
	for _, m := range models.All() {
		t.Run("net="+m.Name, func(t *testing.T) { check(t, network{m, weights.Random(1)}) })
	}
	t.Run("weights=published", func(t *testing.T) { check(t, published(t)) })
}
