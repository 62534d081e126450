package onnx_test

import (
	"bytes"
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

// onnxRuntime has ONNX's checker and ONNX Runtime look at networks. It returns a function that reads a
// result for network i.
func onnxRuntime(t *testing.T, python string, networks []network, inputs []kernels.View) func(i int, output string) *tensor.Tensor {
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
	return func(i int, output string) *tensor.Tensor {
		t.Helper()
		r, err := tensor.ReadNPYFile(filepath.Join(dir, strconv.Itoa(i)) + "." + output + ".npy")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
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

// TestModelsInONNXRuntime: ONNX's checker accepts the files of all models, and ONNX Runtime computes
// the same logits.
func TestModelsInONNXRuntime(t *testing.T) {
	interpreter := python(t)
	for _, m := range models.All() {
		t.Run("net="+m.Name, func(t *testing.T) {
			float := network{m, weights.Random(1)}
			networks := []network{float, quantized(t, float, 7), quantized(t, float, 8)}
			in := noise(m.Input, 2)
			result := onnxRuntime(t, interpreter, networks, []kernels.View{in, in, in})
			for i, n := range networks {
				p := run(t, n, in)
				d, count := difference(result(i, "logits").Data, tensor.FromView(p.Logits()).Data)
				dp, countp := difference(result(i, "prob").Data, tensor.FromView(p.Output()).Data)
				t.Log(i, d, count, dp, countp)
			}
		})
	}
}
