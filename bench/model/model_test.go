package model

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebench/compare/samples"
	"firebench/net/compression"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/onnx"
	"firebench/net/weights"
)

func write(t *testing.T, path string, m *graph.Model, w graph.Weights) string {
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

func small(name string) *graph.Model {
	return &graph.Model{Name: name, Input: layer.Shape{H: 8, W: 8, C: 3}, Nodes: []graph.Node{
		{Name: "conv", Layer: layer.Conv{Out: 4, Kernel: 3}},
		{Name: "relu", Layer: layer.ReLU{}},
	}}
}

// TestOpen: a network has a name of its own, and is described unless package models has it.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	known, err := models.Lookup("squeezenet1.1")
	if err != nil {
		t.Fatal(err)
	}
	c := &compression.Calibration{Model: "q", Method: compression.MinMax, Images: 1, Values: []compression.Value{{Name: graph.Input, Scale: 1}, {Name: "conv", Scale: 1}, {Name: "relu", Scale: 1}}}
	q, qw, err := compression.Quantize(c, compression.Options{}).Apply(small("q"), weights.Random(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		m         *graph.Model
		w         graph.Weights
		name      string
		layers    string
		quantized bool
	}{
		{small("mine"), weights.Random(1), "mine", "input.quantize conv relu relu.dequantize", false},
		{q, qw, "q", "input.quantize conv relu relu.dequantize", true},
		{known, weights.Random(1), "squeezenet1.1", "", false},
		{small("squeezenet1.1"), weights.Random(1), "squeezenet1.1.onnx", "input.quantize conv relu relu.dequantize", false},
	} {
		t.Setenv(Variable, write(t, filepath.Join(dir, "file.onnx"), test.m, test.w))
		m, err := Open(".")
		if err != nil {
			t.Fatal(err)
		}
		var layers []string
		for _, l := range m.Layers {
			layers = append(layers, l.Layer)
			if l.Net != m.Name {
				t.Errorf("%s: a layer of %s", m.Name, l.Net)
			}
			if inInt8Alone := l.F32.Activations == 0; inInt8Alone != (test.quantized || strings.HasSuffix(l.Op, "quantize")) || l.Int8.Activations == 0 {
				t.Errorf("%s: costs of %s are %+v and %+v", m.Name, l.Layer, l.F32, l.Int8)
			}
		}
		if m.Name != test.name || strings.Join(layers, " ") != test.layers || m.Quantized != test.quantized {
			t.Errorf("%s, quantized %v, layers %q, want %+v", m.Name, m.Quantized, layers, test)
		}
		if m.Quantized {
			want := samples.Description{Net: "q", Layer: "conv", Op: "conv3x3", Stage: "stem", Out: layer.Shape{H: 6, W: 6, C: 4}}
			want.Int8.MACs, want.Int8.Params = 6*6*4*27, 4*27+4
			want.F32 = want.Int8
			want.Int8.Activations, want.Int8.Weights = 8*8*3+6*6*4, 4*27+8*4
			if m.Layers[1] != want {
				t.Errorf("%+v, want %+v", m.Layers[1], want)
			}
		}
	}
	t.Setenv(Variable, "")
	if m, err := Open("."); m != nil || err != nil {
		t.Errorf("without a file: %v, %v", m, err)
	}
	t.Setenv(Variable, filepath.Join(dir, "none.onnx"))
	if _, err := Open("."); err == nil || !strings.HasPrefix(err.Error(), "FIREBENCH_MODEL: "+filepath.Join(dir, "none.onnx")+": ") {
		t.Errorf("without the file: %v", err)
	}
}

// TestFind: a relative path is looked up in one folder after the other.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, path := range []string{filepath.Join(a, "1"), filepath.Join(b, "1"), filepath.Join(b, "2")} {
		if err := os.MkdirAll(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"1": filepath.Join(a, "1"), "2": filepath.Join(b, "2"), "3": "3", filepath.Join(dir, "1"): filepath.Join(dir, "1"),
	} {
		if got := find(name, []string{a, b}); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
