package cli

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
)

// small returns a model of these nodes that sees 8×8 pixels.
func small(outputs []string, nodes ...graph.Node) *graph.Model {
	return &graph.Model{Name: "small", Input: layer.Shape{H: 8, W: 8, C: 3}, Outputs: outputs, Nodes: nodes}
}

// TestClassifier: what does not end in a softmax gets one, which computes the main output.
func TestClassifier(t *testing.T) {
	mean := graph.Node{Name: "mean", Layer: layer.GlobalAvgPool{}, Inputs: []string{graph.Input}}
	softmax := graph.Node{Name: "prob", Layer: layer.Softmax{}}
	relu := graph.Node{Name: "relu", Layer: layer.ReLU{}, Inputs: []string{graph.Input}}
	for _, test := range []struct {
		name    string
		m       *graph.Model
		added   string // the node that is, or ""
		reads   string
		outputs string
	}{
		{"softmax", small(nil, mean, softmax), "", "", ""},
		{"scores", small(nil, mean), "prob", "mean", ""},
		{"taken name", small(nil, graph.Node{Name: "prob", Layer: layer.GlobalAvgPool{}}), "prob.softmax", "prob", ""},
		{"outputs", small([]string{"mean", "relu"}, mean, relu), "prob", "mean", "prob relu"},
		{"outputs with a softmax", small([]string{"prob", "mean"}, mean, softmax), "", "", "prob mean"},
	} {
		before := test.m.Clone()
		got, _, err := classifier(test.m, nil)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if len(test.m.Nodes) != len(before.Nodes) || strings.Join(test.m.Outputs, " ") != strings.Join(before.Outputs, " ") {
			t.Errorf("%s: the model has changed", test.name)
		}
		if s := strings.Join(got.Outputs, " "); s != test.outputs {
			t.Errorf("%s: outputs %q, want %q", test.name, s, test.outputs)
		}
		last := got.Nodes[len(got.Nodes)-1]
		switch added := len(got.Nodes) > len(before.Nodes); {
		case added != (test.added != ""):
			t.Errorf("%s: %d nodes of %d", test.name, len(got.Nodes), len(before.Nodes))
		case added && (last.Name != test.added || last.Layer != layer.Layer(layer.Softmax{}) || strings.Join(last.Inputs, " ") != test.reads):
			t.Errorf("%s: the last node is %+v", test.name, last)
		}
	}
	for _, m := range models.All() {
		if got, _, err := classifier(m, nil); got != m || err != nil {
			t.Errorf("%s: %v, %v", m.Name, got, err)
		}
	}
	if _, _, err := classifier(small(nil, relu), nil); err == nil || err.Error() != "small: its result is 8×8×3, expected a number for each class, 1×1×C" {
		t.Errorf("an image: %v", err)
	}
}

func TestIsFile(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"alexnet", "file"} {
		if err := os.WriteFile(name, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{
		"alexnet": false, "squeezenet1.0": false, "vgg16": false, "": false, "squeezenet1.2": false,
		"./alexnet": true, "file": true, "model.onnx": true, "MODEL.ONNX": true, filepath.Join("folder", "model"): true,
	} {
		if isFile(name) != want {
			t.Errorf("%q is a file: %v", name, !want)
		}
	}
}

// parse returns the network of a command line.
func parse(t *testing.T, args ...string) *Network {
	t.Helper()
	n := new(Network)
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	n.Flags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := n.Resolve(fs); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPreprocessor(t *testing.T) {
	square := layer.Shape{H: 224, W: 224, C: 3}
	for _, test := range []struct {
		flags string
		m     graph.Model
		want  string // the name, or the error
	}{
		{"", graph.Model{Name: "x", Preprocessor: "caffe-bgr-224", Input: square}, "caffe-bgr-224"},
		{"-preprocessor torchvision-rgb-224", graph.Model{Name: "x", Preprocessor: "caffe-bgr-224", Input: square}, "torchvision-rgb-224"},
		{"-preprocessor torchvision-rgb-224", graph.Model{Name: "x", Preprocessor: "unheard of", Input: square}, "torchvision-rgb-224"},
		{"", graph.Model{Name: "x", Input: square}, "x: it does not say how a picture becomes its input, expected -preprocessor with one of caffe-bgr-227, caffe-bgr-224, torchvision-rgb-224"},
		{"", graph.Model{Name: "x", Preprocessor: "unheard of", Input: square}, `x: unknown preprocessor "unheard of", expected one of caffe-bgr-227, `},
		{"-preprocessor caffe-bgr-227", graph.Model{Name: "x", Input: square}, "x: its input is 224×224×3, but preprocessor caffe-bgr-227 makes 227×227×3"},
		{"-model a/b.onnx", graph.Model{Name: "b", Input: square}, "a/b.onnx: it does not say how a picture"},
	} {
		p, err := parse(t, strings.Fields(test.flags)...).Preprocessor(&test.m)
		switch {
		case err != nil && !strings.HasPrefix(err.Error(), test.want):
			t.Errorf("%q, %q: error %q, want %q", test.flags, test.m.Preprocessor, err, test.want)
		case err == nil && p.Name() != test.want:
			t.Errorf("%q, %q: %s, want %s", test.flags, test.m.Preprocessor, p.Name(), test.want)
		}
	}
}
