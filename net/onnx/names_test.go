package onnx

import (
	"testing"

	"firebench/net/graph"
	"firebench/net/layer"
)

// names are names in ONNX files and the layers' names for them.
var names = []struct{ file, layer string }{
	{"", ""},
	{"conv1", "conv1"},
	{"fire2.squeeze1x1", "fire2.squeeze1x1"},
	{"fire2/squeeze1x1", "fire2:squeeze1x1"},
	{"/features/features.0/Conv", ":features:features.0:Conv"},
	{"//", "::"},
	{"a:b", "a%3Ab"},
	{"50%", "50%25"},
	{"%2F", "%252F"},
	{"two words", "two%20words"},
	{"tab\tline\n", "tab%09line%0A"},
	{"é", "é"},
	{"a\u00a0b", "a%C2%A0b"},
	{"a\u200bb", "a%E2%80%8Bb"},
	{"\ufffd", "\ufffd"},
	{"a\xffb\xc3", "a%FFb%C3"},
	{"relu-1", "relu%2D1"},
	{"relu-12-34", "relu-12%2D34"},
	{"-7", "%2D7"},
	{"-", "-"},
	{"12", "12"},
	{"relu-", "relu-"},
	{"relu-1a", "relu-1a"},
	{"relu--1", "relu-%2D1"},
	{"relu-١", "relu-١"}, // graph minds ASCII digits only, as package testing writes them
	{"input", "%69nput"},
	{"inputs", "inputs"},
	{"Input", "Input"},
}

func TestNames(t *testing.T) {
	for _, n := range names {
		if got := encodeName(n.file); got != n.layer {
			t.Errorf("encodeName(%q) = %q, want %q", n.file, got, n.layer)
		}
		if got := decodeName(n.layer); got != n.file {
			t.Errorf("decodeName(%q) = %q, want %q", n.layer, got, n.file)
		}
		checkLayerName(t, encodeName(n.file))
	}
	// What encodeName never returns has a name as well.
	for _, n := range []struct{ layer, file string }{
		{"%", "%"}, {"a%", "a%"}, {"a%2", "a%2"}, {"%zz", "%zz"}, {"%+1", "%+1"}, {"%2f", "/"}, {"%%2F", "%/"}, {"%4G%41", "%4GA"},
	} {
		if got := decodeName(n.layer); got != n.file {
			t.Errorf("decodeName(%q) = %q, want %q", n.layer, got, n.file)
		}
	}
}

// checkLayerName checks that graph.Model accepts a layer of that name, unless it is empty.
func checkLayerName(t *testing.T, name string) {
	t.Helper()
	if name == "" {
		return
	}
	m := graph.Model{Name: "net", Input: layer.Shape{H: 1, W: 1, C: 1}, Nodes: []graph.Node{{Name: name, Layer: layer.ReLU{}}}}
	if _, err := m.Infer(); err != nil {
		t.Error(err)
	}
}

func FuzzNames(f *testing.F) {
	for _, n := range names {
		f.Add(n.file)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name := encodeName(s)
		if got := decodeName(name); got != s {
			t.Errorf("%q becomes %q, and that %q", s, name, got)
		}
		if (name == "") != (s == "") {
			t.Errorf("%q becomes %q", s, name)
		}
		checkLayerName(t, name)
	})
}
