package onnx_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/compress"
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
	c, err := compress.Calibrate(n.Model, n.weights, compress.MinMax, pictures, graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, w, err := compress.Quantize(c, compress.Options{WeightBits: bits}).Apply(n.Model, n.weights)
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
func outputs(p *graph.Plan) [][]float32 {
	views := p.Outputs()
	m := p.Model()
	if _, softmax := m.Nodes[len(m.Nodes)-1].Layer.(layer.Softmax); softmax && len(m.Nodes) > 1 && len(m.Outputs) == 0 {
		views = []kernels.View{p.Logits(), p.Output()}
	}
	var all [][]float32
	for _, v := range views {
		all = append(all, values(v))
	}
	return all
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

// difference returns the largest difference of a's values from b's, and the number of those that differ, over the largest of b's.
func difference(a, b []float32) (largest float64, count int) {
	scale := 0.0
	for i := range b {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		largest, scale = max(largest, d), max(scale, math.Abs(float64(b[i])))
		if d != 0 {
			count++
		}
	}
	return largest / scale, count
}

// TestTablesInONNXRuntime is that for tables of all layers with all parameters.
func TestTablesInONNXRuntime(t *testing.T) {
	interpreter := python(t)
	var networks []network
	var inputs []kernels.View
	for _, m := range tables() {
		networks = append(networks, network{m, weights.Random(1)})
		inputs = append(inputs, noise(m.Input, 2))
	}
	result := onnxRuntime(t, interpreter, networks, inputs)
	for i, n := range networks {
		p := run(t, n, inputs[i])
		for j, want := range outputs(p) {
			d, c := difference(result(i, j), want)
			t.Log(n.Name, j, d, c, len(want))
		}
	}
}

// TestModelsInONNXRuntime: ONNX's checker accepts the files of all models, and ONNX Runtime computes
// the same outputs.
func TestModelsInONNXRuntime(t *testing.T) {
	interpreter := python(t)
	for _, m := range models.All() {
		t.Run("net="+m.Name, func(t *testing.T) {
			float := network{m, weights.Random(1)}
			networks := []network{float, quantized(t, float, 7), quantized(t, float, 8)}
			in := noise(m.Input, 2)
			result := onnxRuntime(t, interpreter, networks, []kernels.View{in, in, in})
			for i, n := range networks {
				for j, want := range outputs(run(t, n, in)) {
					d, c := difference(result(i, j), want)
					t.Log(n.Name, j, d, c, len(want))
				}
			}
		})
	}
}
