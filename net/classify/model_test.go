package main

import (
	"bytes"
	"encoding/json"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
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

// scores is a network of so many classes that ends in scores and does not say how a picture becomes its
// input.
func scores(classes int) *graph.Model {
	return &graph.Model{Name: "scores", Input: layer.Shape{H: 224, W: 224, C: 3}, Nodes: []graph.Node{
		{Name: "conv", Layer: layer.Conv{Out: 8, Kernel: 3, Stride: 8}},
		{Name: "relu", Layer: layer.ReLU{}},
		{Name: "classes", Layer: layer.Conv{Out: classes, Kernel: 1}},
		{Name: "mean", Layer: layer.GlobalAvgPool{}},
	}}
}

// writeModel writes a model with weights into a file.
func writeModel(t *testing.T, path string, m *graph.Model, w graph.Weights) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := onnx.Write(f, m, w); err != nil {
		t.Fatal(err)
	}
	return path
}

// quantized returns a model and random weights in int8, with any types.
func quantized(t *testing.T, m *graph.Model) (*graph.Model, graph.Weights) {
	t.Helper()
	c := &compression.Calibration{Model: m.Name, Method: compression.MinMax, Images: 1, Values: []compression.Value{{Name: graph.Input, Scale: 1.5, Zero: 128}}}
	for _, n := range m.Nodes {
		c.Values = append(c.Values, compression.Value{Name: n.Name, Scale: 2, Zero: 100})
	}
	q, w, err := compression.Quantize(c, compression.Options{}).Apply(m, weights.Random(1))
	if err != nil {
		t.Fatal(err)
	}
	return q, w
}

// run1 classifies one input and returns the result and the scores.
func run1(t *testing.T, args ...string) (result, []float32) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.npy")
	status, stdout, stderr := command(append([]string{"-json", "-logits", out}, args...)...)
	if status != 0 {
		t.Fatalf("%q: status %d, standard error %q", args, status, stderr)
	}
	var r result
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	logits, err := tensor.ReadNPYFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return r, logits.Data
}

// TestModelFile: a file that ends in scores gives probabilities of classes without names, and the scores.
func TestModelFile(t *testing.T) {
	dir := t.TempDir()
	m := scores(7)
	path := writeModel(t, filepath.Join(dir, "scores.onnx"), m, weights.Random(1))
	photo := write(t, dir, "photo.png", encoded(t, png.Encode, picture(60, 40)))
	r, logits := run1(t, "-model", path, "-preprocessor", "torchvision-rgb-224", "-top", "10", photo)
	if r.Model != "scores" || r.Type != "f32" || r.Preprocessor != "torchvision-rgb-224" || len(r.Top) != 7 || len(logits) != 7 {
		t.Fatalf("%+v, %d scores", r, len(logits))
	}
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l))
	}
	for _, g := range r.Top {
		if want := math.Exp(float64(logits[g.Class])) / sum; math.Abs(float64(g.Prob)-want) > 1e-5 || g.WNID != "" || g.Label != "" {
			t.Errorf("%+v, want a probability of %v and no name", g, want)
		}
	}

	status, stdout, stderr := command("-model", path, "-preprocessor", "caffe-bgr-224", "-top", "1", photo)
	lines := strings.Split(stdout, "\n")
	if status != 0 || stderr != "" || len(lines) != 3 || !strings.Contains(lines[0], ": preprocessor caffe-bgr-224, scores f32, ") || !strings.Contains(lines[1], " %  class ") {
		t.Errorf("status %d, output %q, standard error %q", status, stdout, stderr)
	}

	// The model may name its classes.
	named := *m
	named.Classes = []string{"a", "b", "c", "d", "e", "f", "g"}
	file := writeModel(t, filepath.Join(dir, "named.onnx"), &named, weights.Random(1))
	if r, _ := run1(t, "-model", file, "-preprocessor", "caffe-bgr-224", "-top", "1", photo); r.Top[0].Label != named.Classes[r.Top[0].Class] {
		t.Errorf("%+v, want the name of the class", r.Top[0])
	}
	_, text, _ := command("-model", file, "-preprocessor", "caffe-bgr-224", "-top", "1", photo)
	if line := strings.Split(text, "\n")[1]; !slices.Contains(named.Classes, line[len(line)-1:]) || !strings.Contains(line, " %  ") {
		t.Errorf("%q, want the name of a class at the end", line)
	}

	// A tensor needs no preprocessor.
	input := tensor.New(1, 3, 224, 224)
	for i := range input.Data {
		input.Data[i] = float32(i % 100)
	}
	npy := write(t, dir, "input.npy", encodedTensor(t, input))
	_, got := run1(t, "-model", path, "-algo", "direct", npy)
	plan, err := graph.Compile(m, weights.Random(1), graph.Options{Algo: "direct"})
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	if err := input.ToView(plan.Input()); err != nil {
		t.Fatal(err)
	}
	if err := plan.Run(); err != nil {
		t.Fatal(err)
	}
	if want := tensor.FromView(plan.Output()).Data; !slices.Equal(got, want) {
		t.Errorf("scores %v, want %v", got, want)
	}

	// 1000 classes are ImageNet's.
	path = writeModel(t, filepath.Join(dir, "imagenet.onnx"), scores(1000), weights.Random(1))
	if r, _ := run1(t, "-model", path, npy); len(r.Top) != 5 || r.Top[0].WNID == "" || r.Top[0].Label == "" {
		t.Errorf("%+v, want names", r)
	}
}

// TestQuantizedFile: a file of quantized values is int8 by itself.
func TestQuantizedFile(t *testing.T) {
	dir := t.TempDir()
	m, w := quantized(t, scores(7))
	m.Preprocessor = "caffe-bgr-224"
	path := writeModel(t, filepath.Join(dir, "q.onnx"), m, w)
	photo := write(t, dir, "photo.png", encoded(t, png.Encode, picture(60, 40)))
	r, want := run1(t, "-model", path, photo)
	if r.Type != "int8" || r.Preprocessor != "caffe-bgr-224" {
		t.Errorf("%+v, want int8 and the preprocessor of the file", r)
	}
	if _, got := run1(t, "-model", path, "-type", "int8", photo); !slices.Equal(got, want) {
		t.Errorf("-type int8: scores %v, want %v", got, want)
	}
	status, stdout, _ := command("-model", path, photo)
	if status != 0 || !strings.Contains(stdout, " int8, ") {
		t.Errorf("status %d, output %q", status, stdout)
	}
	for flags, want := range map[string]string{
		"-type f32":                    path + ": -type f32: its values are quantized, expected -type int8",
		"-type int8 -calibrate " + dir: path + ": -calibrate: its values are quantized already",
		"-type int8 -keep conv":        path + ": -keep: its values are quantized already",
		"-type int8 -weight-bits 7":    path + ": -weight-bits: its values are quantized already",
	} {
		args := append([]string{"-model", path}, strings.Fields(flags)...)
		status, stdout, stderr := command(append(args, photo)...)
		if status != 1 || stdout != "" {
			t.Errorf("%s: status %d, output %q", flags, status, stdout)
		}
		checkLine(t, stderr, want)
	}
}

// TestBadModelFile: what is wrong with a file, or with the flags for it, is one line.
func TestBadModelFile(t *testing.T) {
	dir := t.TempDir()
	photo := write(t, dir, "photo.png", encoded(t, png.Encode, picture(60, 40)))
	path := writeModel(t, filepath.Join(dir, "scores.onnx"), scores(7), weights.Random(1))
	m := scores(7)
	m.Nodes = m.Nodes[:3]
	pixels := writeModel(t, filepath.Join(dir, "pixels.onnx"), m, weights.Random(1))
	m = scores(7)
	m.Preprocessor = "own"
	own := writeModel(t, filepath.Join(dir, "own.onnx"), m, weights.Random(1))
	text := write(t, dir, "text.onnx", []byte("This is no model.\n"))
	none := filepath.Join(dir, "none.onnx")
	for _, test := range []struct {
		args, want string
	}{
		{"-model " + path, path + ": it does not say how a picture becomes its input, expected -preprocessor with one of caffe-bgr-227, caffe-bgr-224, torchvision-rgb-224"},
		{"-model " + path + " -preprocessor caffe-bgr-227", path + ": its input is 224×224×3, but preprocessor caffe-bgr-227 makes 227×227×3"},
		{"-model " + own, own + `: unknown preprocessor "own", expected one of caffe-bgr-227, `},
		{"-model " + pixels + " -preprocessor caffe-bgr-224", "its result is 28×28×7, expected a number for each class, 1×1×C"},
		{"-model " + path + " -type int8", path + ": -type int8 without -calibrate"},
		{"-model " + path + " -type int8 -calibrate " + dir, path + ": it does not say how a picture becomes its input"},
		{"-model " + text, text + ": "},
		{"-model " + none, none + ": " + kerneltest.StatError(t, none)},
		{"-model " + dir, dir + ": is a folder"},
	} {
		status, stdout, stderr := command(append(strings.Fields(test.args), photo)...)
		if status != 1 || stdout != "" {
			t.Errorf("%s: status %d, output %q", test.args, status, stdout)
		}
		checkLine(t, stderr, test.want)
	}
}

// TestOtherWeights: -weights replaces those of the file, if they fit.
func TestOtherWeights(t *testing.T) {
	dir := t.TempDir()
	m := scores(7)
	npy := write(t, dir, "input.npy", encodedTensor(t, tensor.New(1, 3, 224, 224)))
	writeWeights := func(name string, m *graph.Model, w graph.Weights) string {
		var b bytes.Buffer
		if err := weights.WriteSafetensors(&b, m, w); err != nil {
			t.Fatal(err)
		}
		return write(t, dir, name, b.Bytes())
	}
	one := writeModel(t, filepath.Join(dir, "1.onnx"), m, weights.Random(1))
	two := writeModel(t, filepath.Join(dir, "2.onnx"), m, weights.Random(2))
	_, want := run1(t, "-model", two, npy)
	_, got := run1(t, "-model", one, "-weights", writeWeights("2.safetensors", m, weights.Random(2)), npy)
	if _, unlike := run1(t, "-model", one, npy); !slices.Equal(got, want) || slices.Equal(got, unlike) {
		t.Errorf("scores %v, want %v, and not the file's own, %v", got, want, unlike)
	}
	other := writeWeights("other.safetensors", scores(8), weights.Random(1))
	status, stdout, stderr := command("-model", one, "-weights", other, npy)
	if status != 1 || stdout != "" {
		t.Errorf("status %d, output %q", status, stdout)
	}
	checkLine(t, stderr, other+": ", "classes")
}

// TestExported: a network from a file is the one that was written into it, bit for bit.
func TestExported(t *testing.T) {
	if testing.Short() {
		t.Skip("short mode: TestModelFile does the same with a small network")
	}
	dir := t.TempDir()
	m, err := models.Lookup("squeezenet1.1")
	if err != nil {
		t.Fatal(err)
	}
	path := writeModel(t, filepath.Join(dir, "x.onnx"), m, weights.Random(1))
	photo := write(t, dir, "photo.png", encoded(t, png.Encode, picture(60, 40)))
	want, wantLogits := run1(t, "-model", m.Name, photo)
	got, gotLogits := run1(t, "-model", path, photo)
	if !slices.Equal(gotLogits, wantLogits) || !slices.Equal(got.Top, want.Top) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got.Model != m.Name || got.Preprocessor != m.Preprocessor {
		t.Errorf("%+v, want the names of %s", got, m.Name)
	}
	_, stdout, stderr := command("-model", path, photo)
	if stderr != "" || stdout == "" {
		t.Errorf("standard error %q, expected no word of random weights", stderr)
	}
}

// TestPublishedFile classifies photographs by a published file, in float16 and without metadata, and
// by one in int8.
func TestPublishedFile(t *testing.T) {
	path := kerneltest.Shared(t, "weights/squeezenet1.1_fp16.onnx")
	expected := photographs(t, "images/expected-squeezenet1.1.json")
	if testing.Short() {
		expected = expected[:1]
	}
	args := []string{"-json", "-model", path, "-preprocessor", "caffe-bgr-224"}
	for _, e := range expected {
		args = append(args, kerneltest.Shared(t, "images/"+e.File))
	}
	status, stdout, stderr := command(args...)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, standard error %q", status, stderr)
	}
	d := json.NewDecoder(strings.NewReader(stdout))
	for _, e := range expected {
		var r result
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if got := r.Top[0]; got.Class != int(e.Top5[0][0]) || math.Abs(float64(got.Prob)-e.Top5[0][1]) > 0.06 {
			t.Errorf("%s: class %d with probability %.4f, want %.0f with %.4f", e.File, got.Class, got.Prob, e.Top5[0][0], e.Top5[0][1])
		}
	}

	qdq := kerneltest.Shared(t, "weights/squeezenet1.1_qdq7.onnx")
	want, err := tensor.ReadNPYFile(kerneltest.Shared(t, "golden/squeezenet1.1_qdq7-logits.npy"))
	if err != nil {
		t.Fatal(err)
	}
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		r, got := run1(t, "-model", qdq, "-isa", set.ISA.String(), kerneltest.Shared(t, "golden/squeezenet1.1-input.npy"))
		if r.Type != "int8" || !slices.Equal(got, want.Data) {
			t.Errorf("%s: scores differ from those of another engine", r.Type)
		}
	})
}

// A photograph is one with the answer of another implementation.
type photograph struct {
	File string
	Top5 [][2]float64 // class and probability
}

func photographs(t *testing.T, name string) []photograph {
	t.Helper()
	file, err := os.ReadFile(kerneltest.Shared(t, name))
	if err != nil {
		t.Fatal(err)
	}
	var list []photograph
	if err := json.NewDecoder(bytes.NewReader(file)).Decode(&list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 16 {
		t.Fatalf("%d photographs, expected 16", len(list))
	}
	return list
}
