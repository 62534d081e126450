package onnx_test

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/onnx"
	"firebench/net/weights"
)

// reopened returns what the file of a network holds.
func reopened(t *testing.T, n network) network {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.onnx")
	if err := os.WriteFile(path, export(t, n), 0o666); err != nil {
		t.Fatal(err)
	}
	m, w, err := onnx.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return network{m, w}
}

// checkRoundTrip checks that the file of a network is the network, and computes the same bits.
func checkRoundTrip(t *testing.T, n network) {
	t.Helper()
	got, want := reopened(t, n), canonical(t, n.Model)
	for i := range min(len(got.Nodes), len(want.Nodes)) {
		if !reflect.DeepEqual(got.Nodes[i], want.Nodes[i]) {
			t.Fatalf("%s: node %d is %+v, want %+v", n.Name, i, got.Nodes[i], want.Nodes[i])
		}
	}
	if !reflect.DeepEqual(got.Model, want) {
		t.Fatalf("%s: the model is %+v, want %+v", n.Name, *got.Model, *want)
	}
	params, err := n.Params()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range params {
		a, err := got.weights.Layer(p)
		if err != nil {
			t.Fatal(err)
		}
		b, err := n.weights.Layer(p)
		if err != nil {
			t.Fatal(err)
		}
		// Those of quantized layers are multiples of their scales.
		if a.Scales == nil && !(slices.Equal(a.Values, b.Values) && slices.Equal(a.Bias, b.Bias)) {
			t.Errorf("%s: node %s has other weights", n.Name, p.Node)
		}
	}
	in := noise(n.Input, 3)
	views := outputs(run(t, n, in))
	for j, v := range outputs(run(t, got, in)) {
		if !slices.Equal(values(v), values(views[j])) {
			t.Errorf("%s: output %d has other values", n.Name, j)
		}
	}
}

// TestTablesRoundTrip: the file of a table is the table.
func TestTablesRoundTrip(t *testing.T) {
	for _, m := range tables() {
		if m.Name == "same-names" || m.Name == "quantized-output" {
			continue // a file has one name for two nodes, and Open refuses outputs that are integers
		}
		t.Run(m.Name, func(t *testing.T) {
			checkRoundTrip(t, network{m, weights.Random(1)})
		})
	}
}

// canonical returns a table as it is read from a file: all inputs are named, layers share weights that are
// the same numbers in the file, and a pool's size is not rounded up where this makes no difference.
func canonical(t *testing.T, m *graph.Model) *graph.Model {
	t.Helper()
	infos, err := m.Infer()
	if err != nil {
		t.Fatal(err)
	}
	type form struct {
		weights string
		in, out kernels.Type
		dense   bool
	}
	owners := map[form]string{}
	m = m.Clone()
	previous := graph.Input
	for i := range m.Nodes {
		n := &m.Nodes[i]
		if n.Inputs == nil {
			n.Inputs = []string{previous}
		}
		previous = n.Name
		_, dense := n.Layer.(layer.Dense)
		f := form{cmp.Or(n.Weights, n.Name), infos[i].In[0].Type, infos[i].Out.Type, dense}
		n.Weights = owners[f]
		if n.Weights == "" {
			owners[f] = n.Name
		}
		if n.Name == "clipped" {
			p := n.Layer.(layer.MaxPool)
			p.Ceil = false
			n.Layer = p
		}
	}
	return m
}

// TestModels: the files of all models are well-formed, have the same bytes each time, and are the
// models when they are opened.
func TestModels(t *testing.T) {
	for _, m := range models.All() {
		if testing.Short() && m.Name != "squeezenet1.1" {
			continue // TestTablesRoundTrip has the layers of the others
		}
		m.Input.H, m.Input.W = 67, 67
		for i, n := range m.Nodes {
			if _, ok := n.Layer.(layer.Dense); ok {
				m.Nodes[i].Layer = layer.Dense{Out: 50} // thousands only take time
			}
		}
		float := network{m, weights.Random(1)}
		for _, n := range []network{float, quantized(t, float, 8)} {
			file := export(t, n)
			if !bytes.Equal(file, export(t, n)) {
				t.Errorf("%s: two exports differ", n.Name)
			}
			text := text(t, file)
			for _, want := range []string{
				"metadata firebench.model: " + m.Name + "\n",
				"metadata firebench.preprocessor: " + m.Preprocessor + "\n",
				"metadata firebench.head: " + m.Head + "\n",
				"\noutput logits float32 N×", "\noutput prob float32 N×",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("%s: there is no %q in\n%s", n.Name, want, text)
				}
			}
			checkRoundTrip(t, n)
		}
	}
}

// TestPublishedRoundTrip: so does the file of a network with published weights, whose model these
// adapt.
func TestPublishedRoundTrip(t *testing.T) {
	n := published(t)
	var err error
	if n.Model, err = n.weights.Adapt(n.Model); err != nil {
		t.Fatal(err)
	}
	checkRoundTrip(t, n)
	if !testing.Short() {
		checkRoundTrip(t, quantized(t, n, 8))
	}
}
