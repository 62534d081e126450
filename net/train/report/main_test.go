package main

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebench/compare/peers/timings"
	"firebench/net/compression"
	"firebench/net/dataset"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/preprocess"
	"firebench/net/training"
)

func runCommand(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(t.Context(), args, nil, &out, &err)
	return status, out.String(), err.String()
}

func checkLine(t *testing.T, stderr string, parts ...string) {
	t.Helper()
	if !strings.HasPrefix(stderr, "report: ") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("standard error is %q, expected one line of report", stderr)
	}
	for _, part := range parts {
		if !strings.Contains(stderr, part) {
			t.Errorf("standard error is %q, expected %q in it", stderr, part)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "no -page"},
		{"-page p.html", "-page p.html: expected a name that ends in .md"},
		{"-page p.md more", "more: expected flags only"},
		{"-page p.md -dense d", "-dense and -rows: expected both or none"},
		{"-page p.md -rounds 0", "-rounds 0"},
	} {
		status, stdout, stderr := runCommand(t, strings.Fields(test.args)...)
		if status != 2 || stdout != "" {
			t.Errorf("report %s: status %d, output %q, expected status 2 and none", test.args, status, stdout)
		}
		checkLine(t, stderr, test.want)
	}
	if status, stdout, stderr := runCommand(t, "-help"); status != 0 || stderr != "" || !strings.Contains(stdout, "-cifar DIR") {
		t.Errorf("-help: status %d, output %q, standard error %q", status, stdout, stderr)
	}
}

// write writes a file below dir.
func write(t *testing.T, dir, name string, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// pictures makes a data set of two classes, three pictures each to learn from and two for validation.
func pictures(t *testing.T) *dataset.Dataset {
	t.Helper()
	dir := t.TempDir()
	for class, name := range []string{"dark", "light"} {
		for i := range 5 {
			img := image.NewGray(image.Rect(0, 0, 32, 32))
			for p := range img.Pix {
				img.Pix[p] = uint8(150*class + (p*7+i*13)%50)
			}
			var b bytes.Buffer
			if err := png.Encode(&b, img); err != nil {
				t.Fatal(err)
			}
			write(t, dir, fmt.Sprintf("%s/%s/%d.png", []string{"train", "train", "train", "val", "val"}[i], name, i), b.Bytes())
		}
	}
	p, err := preprocess.Lookup("cifar-rgb-32")
	if err != nil {
		t.Fatal(err)
	}
	d, err := dataset.Open(dir, dataset.Options{Preprocessor: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// train makes a run of a small network, whose weights are pruned to a density.
func train(t *testing.T, data *dataset.Dataset, density float64) (dir string) {
	t.Helper()
	m := &graph.Model{Name: "small", Input: layer.Shape{H: 32, W: 32, C: 3}, Preprocessor: "cifar-rgb-32", Classes: data.Classes, Nodes: []graph.Node{
		{Name: "conv1", Layer: layer.Conv{Out: 8, Kernel: 3, Stride: 4}},
		{Name: "relu1", Layer: layer.ReLU{}},
		{Name: "conv2", Layer: layer.Conv{Out: 2, Kernel: 1}},
		{Name: "pool", Layer: layer.GlobalAvgPool{}},
		{Name: "prob", Layer: layer.Softmax{}},
	}}
	w := training.Initial(1, func(graph.Param) training.Initializer { return training.Xavier })
	o := training.FitOptions{Data: data, Dir: t.TempDir()}
	o.Recipe, _ = training.LookupRecipe("finetune")
	o.Recipe.Epochs, o.Recipe.Batch = 2, 3
	if density < 1 {
		var err error
		if m, w, err = compression.Prune(compression.PruneOptions{Layers: map[string]float64{"conv2": density}}).Apply(m, w); err != nil {
			t.Fatal(err)
		}
		if o.Mask, err = compression.NewMask(m, w); err != nil {
			t.Fatal(err)
		}
	}
	p, err := training.NewParams(m, w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := training.Fit(t.Context(), p, o); err != nil {
		t.Fatal(err)
	}
	return o.Dir
}

const bench = `goos: linux
BenchmarkTrain/net=squeezenet1.1/batch=32/type=f32/pass=step/algo=auto/isa=avx2 	 1	 960000000 ns/op	 70 peak-%	 33 images/s
BenchmarkTrain/net=squeezenet1.1/batch=32/type=f32/pass=step/algo=auto/isa=avx2 	 1	 980000000 ns/op	 70 peak-%	 33 images/s
BenchmarkTrain/net=squeezenet1.1/batch=32/type=f32/pass=step/algo=auto/isa=avx2 	 1	 940000000 ns/op	 70 peak-%	 33 images/s
BenchmarkTrain/net=squeezenet1.1/batch=32/type=f32/pass=step/algo=direct/isa=avx2 	 1	 990000000 ns/op	 70 peak-%	 33 images/s
BenchmarkTrain/net=squeezenet1.1/batch=32/type=f32/pass=update/algo=auto/isa=avx2 	 1	 4000000 ns/op
BenchmarkNet/net=squeezenet1.1/batch=8/type=f32/algo=auto/isa=avx2 	 1	 64000000 ns/op	 80 peak-%
BenchmarkNet/net=squeezenet1.1/batch=1/type=f32/algo=auto/isa=avx2 	 1	 1000000 ns/op	 80 peak-%
BenchmarkNet/net=squeezenet1.1/batch=8/type=int8/algo=auto/isa=avx2 	 1	 1000000 ns/op	 80 peak-%
BenchmarkLayer/net=squeezenet1.1/layer=conv1/op=conv/type=f32/batch=8/pass=grad-weight/algo=direct/isa=avx2 	 1	 1000000 ns/op	 10 peak-%
BenchmarkLayer/net=squeezenet1.1/layer=fire2.squeeze1x1/op=conv/type=f32/batch=8/pass=grad-input/algo=direct/isa=avx2 	 1	 1000000 ns/op	 81 peak-%
BenchmarkLayer/net=squeezenet1.1/layer=fire5.squeeze1x1/op=conv/type=f32/batch=8/pass=grad-weight/algo=direct/isa=avx2 	 1	 1000000 ns/op	 71.6 peak-%
BenchmarkLayer/net=squeezenet1.1/layer=fire5.squeeze1x1/op=conv/type=f32/batch=8/pass=forward/algo=direct/isa=avx2 	 1	 1000000 ns/op	 5 peak-%
BenchmarkPeak/isa=avx2 	 1	 1000000 ns/op
`

func TestPage(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "training.md")
	status, _, stderr := runCommand(t, "-page", page)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, standard error %q", status, stderr)
	}
	text, err := os.ReadFile(page)
	if n := strings.Count(string(text), "| not measured |"); err != nil || n != 6 {
		t.Errorf("%d targets are not measured, error %v, expected all six", n, err)
	}

	data := pictures(t)
	dense, rows := train(t, data, 1), train(t, data, 0.5)
	experiments := write(t, dir, "more/experiments.md", []byte("# X\n"))
	int8 := write(t, dir, "int8.md", []byte("# Y\n"))
	compressed := write(t, dir, "compressed.txt", []byte("original 1\nshared 2\n"))
	r := timings.Run{Recorded: "today", Command: "go run ./compare/peers -types train"}
	row := timings.Row{Net: "squeezenet1.1", Type: trainType, Threads: 2}
	for range 6 {
		r.Add(row, timings.Firebench, timings.Sample{Calls: 1, NS: 2e8})
		r.Add(row, "pytorch", timings.Sample{Calls: 1, NS: 3e8})
		r.Add(row, "tensorflow", timings.Sample{Calls: 1, NS: 2.5e8})
	}
	var record bytes.Buffer
	if err := r.Write(&record); err != nil {
		t.Fatal(err)
	}
	status, _, stderr = runCommand(t, "-page", page, "-cifar", dense, "-flowers", dense, "-dense", dense, "-rows", rows, "-rounds", "6",
		"-bench", write(t, dir, "bench.txt", []byte(bench)), "-peers", write(t, dir, "peers.txt", record.Bytes()), "-experiments", experiments, "-int8", int8, "-compressed", compressed)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, standard error %q", status, stderr)
	}
	text, err = os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	run, err := training.ReadRun(dense)
	if err != nil {
		t.Fatal(err)
	}
	correct := fmt.Sprintf("%.1f %% [", 100*run.Rows[1].ValAccuracy)
	for _, part := range []string{
		"over three times its result in batches of 8, 1 thread | at most 1.35 | 1.25 | yes |", // (960/32)/(3·64/8)
		"| squeezenet1.1 | 32 | 1 | avx2 | 960 | 33.3 | 1.25 |",
		"the lowest, 1 thread | at least 75 % of the peak | 72 %, grad-weight of fire5.squeeze1x1; 1 of 2 are below 75 % | missed |",
		"| fire5.squeeze1x1 | squeezenet1.1 | weight | direct | 1 | avx2 | 1 | 72 |",
		"| update | auto | 1 | avx2 | 4 | - |",
		"| at least 86 % correct | " + correct, "## CIFAR-10\n\nsmall, 242 parameters, 2 classes. Recipe finetune: 2 epochs of 6 pictures in batches of 3; rate 0.005, cosine, rising for 0.3 epochs",
		"(training-cifar.svg)", "(training-flowers.svg)", "(training-dense.svg)", "(training-rows.svg)",
		"| at most 1.5 points less, and faster | ", "| dense | 1.000 | " + correct, "| rows of zeros | 0.500 | ",
		"against TensorFlow or PyTorch, squeezenet1.1, 2 threads | at least 1.3 × as fast | tensorflow 1.25 [1.25, 1.25] | missed |",
		"| squeezenet1.1 | 2 | pytorch | 300 | 1.50 [1.50, 1.50] |",
		"[experiments.md](more/experiments.md)", "in int8: [int8.md](int8.md)", "```\noriginal 1\nshared 2\n```\n",
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%q is not on the page", part)
		}
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
	for _, name := range []string{"cifar", "flowers", "dense", "rows"} {
		if _, err := os.Stat(filepath.Join(dir, "training-"+name+".svg")); err != nil {
			t.Error(err)
		}
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "p.md")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-cifar", dir}, filepath.Join(dir, training.ModelFile)},
		{[]string{"-bench", filepath.Join(dir, "none")}, "none: no such file"},
		{[]string{"-bench", write(t, dir, "empty.txt", nil)}, "empty.txt: no benchmark of Train"},
		{[]string{"-bench", write(t, dir, "foreign.txt", []byte("BenchmarkLayer/net=other/layer=a/op=conv/type=f32/batch=8/pass=grad-input/algo=direct/isa=avx2 1 5 ns/op 5 peak-%\n"))}, `unknown model "other"`},
		{[]string{"-peers", write(t, dir, "peers.txt", []byte("BenchmarkPeer/net=a/type=f32/impl=firebench 1 5 ns/op\n"))}, "no steps of training"},
		{[]string{"-experiments", filepath.Join(dir, "none.md")}, "none.md: no such file"},
	} {
		status, _, stderr := runCommand(t, append(test.args, "-page", page)...)
		if status != 1 {
			t.Errorf("%q: status %d, expected 1", test.args, status)
		}
		checkLine(t, stderr, test.want)
	}
	if _, err := os.Stat(page); err == nil {
		t.Error("a page was written in spite of an error")
	}
}

// TestHomeless: the page names no user's home folder.
func TestHomeless(t *testing.T) {
	t.Setenv("HOME", "/home/a")
	t.Setenv("USERPROFILE", "/home/a")
	if got, want := homeless("-flowers /home/a/run -rows /home/ab/run"), "-flowers ~/run -rows /home/ab/run"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
