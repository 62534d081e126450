package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebench/bench/model"
	"firebench/compare/samples"
	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/onnx"
	"firebench/net/weights"
)

// A network is one that is benchmarked.
type network struct {
	*graph.Model
	weights graph.Weights
	types   []*numberType
}

// networks are those that are benchmarked: all of package models unless TestMain has opened a file.
var networks = func() []*network {
	var list []*network
	for _, m := range models.All() {
		list = append(list, random(m))
	}
	return list
}()

// random returns a network with random weights.
func random(m *graph.Model) *network { return &network{m, weights.Random(seed), numberTypes} }

// lookup returns a network of package models, whatever is benchmarked.
func lookup(t testing.TB, name string) *network {
	t.Helper()
	m, err := models.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return random(m)
}

// openModel makes the network in the file that FIREBENCH_MODEL names, if it names one, that which is
// benchmarked, and prints what the reader of the results must know of it.
func openModel() error {
	m, err := model.Open(".", "..") // go test runs benchmarks in their own folder
	if m == nil {
		return err
	}
	n := &network{m.Model, m.Weights, numberTypes}
	if m.Quantized {
		n.types = []*numberType{int8Type}
	}
	networks = []*network{n}
	for _, l := range m.Layers {
		fmt.Println(l)
	}
	return nil
}

// TestModelFile benchmarks a file in float32 and in int8, and one of quantized values. The reader of the
// results needs nothing but them.
func TestModelFile(t *testing.T) {
	table := &graph.Model{Name: "mine", Input: layer.Shape{H: 20, W: 12, C: 3}, Nodes: []graph.Node{
		{Name: ":features:conv:Conv", Layer: layer.Conv{Out: 8, Kernel: 3, KernelW: 1, Stride: 2}},
		{Name: "relu", Layer: layer.ReLU{}},
		{Name: "wide", Layer: layer.Conv{Out: 16, Kernel: 3, Pad: kernels.Pad(1)}},
		{Name: "mean", Layer: layer.GlobalAvgPool{}},
		{Name: "fc", Layer: layer.Dense{Out: 10}},
	}}
	defer plans.close()
	q, w := plans.model(t, random(table), int8Type)
	folder := filepath.Join(t.TempDir(), "bench")
	if err := os.Mkdir(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		model *graph.Model
		w     graph.Weights
		types []*numberType
	}{{"f32.onnx", table, weights.Random(seed), numberTypes}, {"int8.onnx", q, w, numberTypes[1:]}} {
		f, err := os.Create(filepath.Join(filepath.Dir(folder), test.name)) // the folder above that of the benchmarks
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(onnx.Write(f, test.model, test.w), f.Close()); err != nil {
			t.Fatal(err)
		}
		cmd := self(t, "Net|Stage|Layer|Kernel|Compile")
		cmd.Dir, cmd.Env = folder, append(os.Environ(), model.Variable+"="+test.name)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", test.name, err, &stderr)
		}
		known, err := samples.Networks()
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		d := samples.New(known, false)
		if err := d.Read(bytes.NewReader(out), test.name, &log); err != nil || log.Len() > 0 {
			t.Fatalf("%s: %v, %s", test.name, err, &log)
		}
		n, err := samples.Lookup(d.Networks, "mine")
		if err != nil {
			t.Fatal(err)
		}
		measured := map[string]bool{}
		for k := range d.Cells {
			measured[fmt.Sprintf("%d %s %s", k.Part.Kind, k.Part.Name, k.Type)] = true
		}
		for _, typ := range test.types {
			p := plans.get(t, &network{test.model, test.w, test.types}, typ, best(t, typ), kernels.Auto, 1, true)
			for _, s := range p.Steps() {
				for _, key := range []string{fmt.Sprintf("%d %s %s", samples.Net, "", typ.name), fmt.Sprintf("%d %s %s", samples.Stage, s.Stage, typ.name), fmt.Sprintf("%d %s %s", samples.Layer, s.Name, typ.name)} {
					if !measured[key] {
						t.Errorf("%s: %s was not measured", test.name, key)
					}
				}
				if part := n.Find(samples.Layer, s.Name); part.CostOf(typ.name) != s.Cost || part.Op != s.Op {
					t.Errorf("%s: %s is described as %+v, want %+v", test.name, s.Name, part, s)
				}
			}
		}
		if len(test.types) == 1 && strings.Contains(string(out), "/type=f32") {
			t.Errorf("%s: there are benchmarks of float32", test.name)
		}
	}

	cmd := self(t, "Layer")
	cmd.Env = append(os.Environ(), model.Variable+"=none.onnx")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if out, err := cmd.Output(); err == nil || !strings.HasPrefix(stderr.String(), "bench: FIREBENCH_MODEL: none.onnx: ") || strings.Contains(string(out), "Benchmark") {
		t.Errorf("without the file: %v, %q", err, &stderr)
	}
}

// best returns the best set for a type.
func best(t *testing.T, typ *numberType) *kernels.Set {
	t.Helper()
	sets, err := typ.sets()
	if err != nil {
		t.Fatal(err)
	}
	return sets[0]
}
