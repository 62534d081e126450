package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/cli"
	"firebench/net/graph"
	"firebench/net/tensor"
	"firebench/net/weights"
)

// TestWorker: the workers in Go compute the network and answer as the protocol says.
func TestWorker(t *testing.T) {
	n, err := prepare(t.TempDir(), small(), weights.Random(seed), allTypes)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		impl   string
		c      computation
		layers []string
	}{
		{"firebench", n.computations[0], []string{"conv", "mean", "prob"}},
		{"firebench", n.computations[1], []string{"input.quantize", "conv", "mean", "mean.dequantize", "prob"}},
		{"gonum", n.computations[0], nil},
		{"firebench", n.computations[2], nil},
	} {
		var out strings.Builder
		args := []string{test.impl, test.c.model, test.c.typ, "1", test.c.image, n.output(test.impl)}
		if status := worker(args, strings.NewReader("{\"calls\":3}\n{\"profile\":2}\n"), &out); status != 0 {
			t.Errorf("%s, %s: status %d: %s", test.impl, test.c.typ, status, &out)
			continue
		}
		answers := make([]answer, 3)
		lines := json.NewDecoder(strings.NewReader(out.String()))
		for i := range answers {
			if err := lines.Decode(&answers[i]); err != nil {
				t.Fatalf("%v in\n%s", err, &out)
			}
		}
		if a := answers[0]; a.Version == "" || a.Settings == "" || lines.More() {
			t.Errorf("%s, %s: %s", test.impl, test.c.typ, &out)
		}
		if ns := answers[1].NS; len(ns) != 3 || slices.Min(ns) <= 0 {
			t.Errorf("%s, %s: latencies %v, expected 3", test.impl, test.c.typ, ns)
		}
		var layers []string
		for _, l := range answers[2].Layers {
			layers = append(layers, l.Name)
			if l.Op == "" || l.NS <= 0 {
				t.Errorf("%s, %s: layer %+v", test.impl, test.c.typ, l)
			}
		}
		if !slices.Equal(layers, test.layers) {
			t.Errorf("%s, %s: layers %q, expected %q", test.impl, test.c.typ, layers, test.layers)
		}
		logits, err := tensor.ReadNPYFile(n.output(test.impl))
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(peers, func(p peer) bool { return p.name == test.impl })
		if err := peers[i].agreement(test.c).check(logits.Data); err != nil {
			t.Errorf("%s, %s: %v", test.impl, test.c.typ, err)
		}
	}
}

// TestWorkerErrors: what is wrong is the answer.
func TestWorkerErrors(t *testing.T) {
	dir := t.TempDir()
	n, err := prepare(dir, small(), weights.Random(seed), types)
	if err != nil {
		t.Fatal(err)
	}
	f32, int8 := n.computations[0].model, n.computations[1].model
	narrow := filepath.Join(dir, "narrow.npy")
	if err := tensor.WriteNPYFile(narrow, tensor.New(1, 3, 6, 4)); err != nil {
		t.Fatal(err)
	}
	out := n.output("test")
	for _, test := range []struct {
		args        []string
		input, want string
	}{
		{nil, "", "0 arguments, expected IMPL MODEL.onnx TYPE THREADS INPUT.npy OUTPUT.npy"},
		{[]string{"firebench", f32, "f32", "0", n.image, out}, "", `"0" threads, expected a positive number`},
		{[]string{"firebench", filepath.Join(dir, "none.onnx"), "f32", "1", n.image, out}, "", "none.onnx: "},
		{[]string{"firebench", f32, "f32", "1", filepath.Join(dir, "none.npy"), out}, "", "none.npy: "},
		{[]string{"firebench", f32, "f32", "1", narrow, out}, "", "shape is 1×3×6×4, expected 1×3×6×5"},
		{[]string{"gonum", f32, "f32", "1", narrow, out}, "", "an image of 1×3×6×4, expected 6×5×3"},
		{[]string{"gonum", int8, "int8", "1", n.image, out}, "", "no int8, only f32"},
		{[]string{"blis", f32, "f32", "1", n.image, out}, "", `unknown engine "blis"`},
		{[]string{"firebench", f32, "f32", "1", n.image, filepath.Join(dir, "none", "x")}, "", "none"},
		{[]string{"firebench", f32, "f32", "1", n.image, out}, "{}\n", "expected a request for calls or for a profile"},
		{[]string{"firebench", f32, "f32", "1", n.image, out}, "{\"calls\":1000000000}\n", "expected a request"},
		{[]string{"firebench", f32, "f32", "1", n.image, out}, "calls\n", "invalid character"},
	} {
		var stdout strings.Builder
		status := worker(test.args, strings.NewReader(test.input), &stdout)
		lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
		var a answer
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &a); err != nil || status != 1 || !strings.Contains(a.Error, test.want) {
			t.Errorf("%q: status %d, %s, expected %q", test.args, status, &stdout, test.want)
		}
	}
}

// TestAgreement: the bounds are exact, and hold for what is no number, too.
func TestAgreement(t *testing.T) {
	ours := []float32{1, -4, 3}
	nan := float32(math.NaN())
	parts := []valuePart{{"losses", 1}, {"weights", 2}}
	for _, test := range []struct {
		a      agreement
		logits []float32
		want   string
	}{
		{agreement{ours, 0, true, nil}, ours, ""},
		{agreement{ours, 0.25, false, nil}, []float32{2, -4, 3}, ""},
		{agreement{ours, 0.24, false, nil}, []float32{2, -4, 3}, "logits are off by 0.25 of the largest, expected at most 0.24"},
		{agreement{ours, 1, false, nil}, []float32{1, -4, -1}, ""},
		{agreement{ours, 1, true, nil}, []float32{1, -4, -1}, "logit 0 is the largest, expected 2"},
		{agreement{ours, 1, true, nil}, []float32{1, -4, nan}, "logits are off by NaN of the largest, expected at most 1"},
		{agreement{ours, 1, true, nil}, []float32{1, -4}, "2 logits, expected 3"},
		{agreement{ours, 0.25, false, parts}, []float32{1.25, -5, 3}, ""},
		{agreement{ours, 0.2, false, parts}, []float32{1.25, -4, 3}, "losses are off by 0.25 of the largest, expected at most 0.2"},
		{agreement{ours, 0.2, false, parts}, []float32{nan, -4, 3}, "losses are off by NaN of the largest, expected at most 0.2"},
		{agreement{ours, 0.2, false, parts}, []float32{1, -4, 4}, "weights are off by 0.25 of the largest, expected at most 0.2"},
	} {
		got := ""
		if err := test.a.check(test.logits); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%+v of %v: %q, expected %q", test.a, test.logits, got, test.want)
		}
	}
	if got := margin([]float32{2, 7, 4}); got != 3 {
		t.Errorf("margin %v, expected 3", got)
	}
	if got := margin([]float32{7, 7, 4}); got != 0 {
		t.Errorf("margin %v of two equal ones, expected 0", got)
	}
}

// TestBounds: how close each peer must be.
func TestBounds(t *testing.T) {
	f32 := computation{typ: cli.F32, logits: []float32{1}}
	int8 := computation{typ: cli.Int8, logits: []float32{1}, quantization: 0.02}
	for _, p := range peers {
		want := map[string]float64{"ncnn": 1e-2}[p.name]
		if want == 0 {
			want = 1e-3
		}
		if a := p.agreement(f32); a.bound != want || a.top {
			t.Errorf("%s, float32: %+v, expected a bound of %v", p.name, a, want)
		}
		want = 0.04
		if p.name == "firebench" {
			want = 0
		}
		if a := p.agreement(int8); a.bound != want || !a.top {
			t.Errorf("%s, int8: %+v, expected a bound of %v and the same class", p.name, a, want)
		}
	}
}

// TestPrepare: the input has a clear answer, and int8 is as far from float32 as it says.
func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	n, err := prepare(dir, small(), weights.Random(seed), []string{cli.Int8})
	if err != nil {
		t.Fatal(err)
	}
	both, err := prepare(t.TempDir(), small(), weights.Random(seed), types)
	if err != nil {
		t.Fatal(err)
	}
	if len(n.computations) != 1 || len(both.computations) != 2 {
		t.Fatalf("%d and %d computations, expected 1 and 2", len(n.computations), len(both.computations))
	}
	f32, int8 := both.computations[0], both.computations[1]
	if !slices.Equal(n.computations[0].logits, int8.logits) {
		t.Error("the answer in int8 depends on whether float32 is measured")
	}
	if want := distance(int8.logits, f32.logits) / magnitude(int8.logits); int8.quantization != want || want == 0 || f32.quantization != 0 {
		t.Errorf("off by %v and %v, expected %v and 0", int8.quantization, f32.quantization, want)
	}
	if argmax(f32.logits) != argmax(int8.logits) {
		t.Error("the input has another class in int8")
	}
	if _, err := os.Stat(filepath.Join(dir, "f32.onnx")); err == nil {
		t.Error("there is a file that nobody asked for")
	}
}

// TestChoose: no other image has a clearer answer.
func TestChoose(t *testing.T) {
	p, err := graph.Compile(small(), weights.Random(seed), graph.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	clear := func(v kernels.View) float64 {
		l, err := logits(p, v)
		if err != nil {
			t.Fatal(err)
		}
		return margin(l) / magnitude(l)
	}
	v, err := choose(p)
	if err != nil {
		t.Fatal(err)
	}
	for i := range candidateImages {
		if d, best := clear(image(small(), i)), clear(v); d > best {
			t.Errorf("image %d has a margin of %v, the chosen one %v", i, d, best)
		}
	}
}

// TestQuantizedFile: a network that is quantized already has no float32 to compare with.
func TestQuantizedFile(t *testing.T) {
	m, w, err := quantize(small(), weights.Random(seed))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prepare(t.TempDir(), m, w, types); err == nil || !strings.HasPrefix(err.Error(), "small: input.quantize gives u8(") {
		t.Errorf("error %v", err)
	}
}
