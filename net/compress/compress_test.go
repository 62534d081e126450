package main

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/compression"
	"firebench/net/evaluate"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/onnx"
	"firebench/net/weights"
)

// command runs the command and returns what came of it.
func runCommand(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(t.Context(), args, nil, &out, &err)
	return status, out.String(), err.String()
}

// picture returns a PNG file; others differ by their seed.
func picture(t *testing.T, seed int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 40, 30))
	for y := range 30 {
		for x := range 40 {
			img.SetRGBA(x, y, color.RGBA{uint8(7 * x * seed), uint8(5*y + seed), uint8(3 * (x + y)), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// write writes a file, and the folders that it is in.
func write(t *testing.T, dir, name string, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// photographs writes some pictures and returns their folder.
func photographs(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		write(t, dir, "daisy/"+strconv.Itoa(i)+".png", picture(t, i+1))
	}
	return dir
}

// small is a network that is compressed in no time.
var small = &graph.Model{Name: "small", Input: layer.Shape{H: 224, W: 224, C: 3}, Preprocessor: "torchvision-rgb-224", Nodes: []graph.Node{
	{Name: "conv", Layer: layer.Conv{Out: 16, Kernel: 3, Stride: 56}},
	{Name: "relu", Layer: layer.ReLU{}},
	{Name: "fc", Layer: layer.Dense{Out: 24}},
	{Name: "fc.relu", Layer: layer.ReLU{}},
	{Name: "classes", Layer: layer.Dense{Out: 10}},
}}

// smallFile writes small with random weights and returns the path.
func smallFile(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := onnx.Write(&b, small, weights.Random(7)); err != nil {
		t.Fatal(err)
	}
	return write(t, t.TempDir(), "small.onnx", b.Bytes())
}

// checkError checks that a run has failed with one line.
func checkError(t *testing.T, want string, wantStatus, status int, stdout, stderr string) {
	t.Helper()
	if status != wantStatus || stdout != "" {
		t.Errorf("status %d, output %q, expected status %d", status, stdout, wantStatus)
	}
	if !strings.HasPrefix(stderr, "compress: ") || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, want) {
		t.Errorf("standard error is %q, expected one line with %q", stderr, want)
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"x", "x: expected flags only"},
		{"-colour", "-colour"},
		{"-model vgg16", `unknown model "vgg16"`},
		{"-svd fc6", "fc6: rank \"\", expected a number"},
		{"-svd fc6=0", "fc6=0: rank \"0\""},
		{"-svd fc6=", `"fc6=": expected a value behind =`},
		{"-svd energy=1", "energy=1: expected a number between 0 and 1"},
		{"-svd energy=0.5,fc6=3", "expected one of LAYER=RANK"},
		{"-svd tucker", "expected one of LAYER=RANK"},
		{"-svd fc6=3,fc6=4", "fc6 is there twice"},
		{"-prune density=0", "density=0: expected more than 0 and at most 1"},
		{"-prune density=NaN", "density=NaN: expected more than 0"},
		{"-prune conv10=1.5", "conv10=1.5: expected more than 0"},
		{"-prune threshold=-1", "threshold=-1: expected a positive number"},
		{"-prune threshold=0.1,density=0.5", "expected one of density=D"},
		{"-prune conv10", "conv10: expected more than 0"},
		{"-prune conv[=0.5", "syntax error in pattern"},
		{"-pattern vector", "-pattern without -prune"},
		{"-pattern blocks -prune density=0.5", "expected unstructured or vector"},
		{"-share bits=9", "bits=9: expected 1 to 8 bits"},
		{"-share conv10=3", "expected bits=B or bytes=N"},
		{"-share bits=6,init=zero", `init=zero: unknown initialization "zero"`},
		{"-share bytes=0", "bytes=0: expected a number of bytes"},
		{"-share bytes=9000", "-share bytes=N without -calibrate DIR"},
		{"-share bytes=9000 -calibrate s.json", "-share with -calibrate FILE.json"},
		{"-share bits=6 -type int8 -calibrate s.json", "-share with -calibrate FILE.json: expected a folder of pictures, or plain"},
		{"-share bytes=9000,plain -calibrate dir", "bytes with plain"},
		{"-share ,", `",": expected KEY=VALUE`},
		{"-calibrate dir", "-calibrate without -type int8 or -share"},
		{"-type int8", "-type int8 without -calibrate"},
		{"-type int8 -calibrate dir -weights-type f16", "-weights-type f16 with -type int8"},
		{"-weights-type f8", "f8"},
		{"-keep conv1", "-keep without -type int8"},
		{"-rounds 0", "-rounds 0: expected 1 to"},
		{"-o x.txt", "-o x.txt: expected a name that ends in one of .fbw, .onnx, .safetensors, .net"},
		{"-o x.fbw -svd fc6=3", "-o x.fbw with -svd: FBW has the weights alone"},
		{"-o x.net -type int8 -calibrate dir", "-o x.net with -type int8: Deep Compression has no place for scales"},
		{"-scan s.svg", "-scan without -images"},
		{"-scan s.svg -images dir -prune density=0.5", "-prune with -scan"},
		{"-scan s.svg -images dir -calibrate dir", "-calibrate with -scan"},
		{"-small x", "-small without -page"},
		{"-peers x", "-peers without -page"},
		{"-page p.md", "-page without -weights"},
		{"-page p.md -weights w -small s -calibrate s.json", "-page with -calibrate FILE.json"},
		{"-page p.md -weights w -small s -calibrate dir -share bits=6", "-share with -page: its steps are fixed"},
	} {
		t.Run(test.args, func(t *testing.T) {
			status, stdout, stderr := runCommand(t, strings.Fields(test.args)...)
			checkError(t, test.want, 2, status, stdout, stderr)
		})
	}
}

func TestHelp(t *testing.T) {
	status, stdout, stderr := runCommand(t, "-help")
	if status != 0 || stderr != "" {
		t.Errorf("status %d, standard error %q", status, stderr)
	}
	for _, part := range []string{"-model", "-weights", "-svd", "-prune", "-pattern", "-share", "-type", "-weights-type", "-calibrate", "-images", "-rounds", "-layers", "-scan", "-o", "-page", "-small", "-peers"} {
		if !strings.Contains(stdout, "  "+part+" ") && !strings.Contains(stdout, "  "+part+"\n") {
			t.Errorf("the help does not mention %s", part)
		}
	}
}

// TestParse: what the values of the flags become.
func TestParse(t *testing.T) {
	svd, err := parseSVD("fc6=1024,a=b=3x4,tucker")
	if want := (&compression.FactorizeOptions{Ranks: map[string]compression.Rank{"fc6": {N: 1024}, "a=b": {N: 3, Out: 4}}, Tucker: true}); err != nil || !reflect.DeepEqual(svd, want) {
		t.Errorf("-svd %+v, %v, want %+v", svd, err, want)
	}
	prune, err := parsePrune("conv10=0.2,conv1=1")
	if want := (&compression.PruneOptions{Layers: map[string]float64{"conv10": 0.2, "conv1": 1}}); err != nil || !reflect.DeepEqual(prune, want) {
		t.Errorf("-prune %+v, %v, want %+v", prune, err, want)
	}
	shared, err := parseSharing("bits=6,conv1=8,init=density,plain")
	if want := (&sharing{compression.ShareOptions{Bits: 6, Layers: map[string]int{"conv1": 8}, Init: compression.Density}, true}); err != nil || !reflect.DeepEqual(shared, want) {
		t.Errorf("-share %+v, %v, want %+v", shared, err, want)
	}
}

// TestBadInputs: what stops the command, and leaves no file.
func TestBadInputs(t *testing.T) {
	dir := t.TempDir()
	model := smallFile(t)
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o777); err != nil {
		t.Fatal(err)
	}
	text := write(t, dir, "text.bin", []byte("text"))
	out := filepath.Join(dir, "out.onnx")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-weights", text}, text + ": "},
		{[]string{"-images", empty}, empty + ": the folder is empty"},
		{[]string{"-images", filepath.Join(dir, "none")}, filepath.Join(dir, "none") + ": no such file"},
		{[]string{"-o", filepath.Join(dir, "none", "x.onnx")}, filepath.Join("none", "x.onnx")},
		{[]string{"-svd", "fc9=3"}, "there is no layer fc9"},
		{[]string{"-svd", "fc=22"}, "the break-even rank is"},
		{[]string{"-prune", "fc9=0.5"}, "layer fc9: no node of small"},
		{[]string{"-share", "bits=4,fc9=5"}, "layer fc9: no node of small"},
		{[]string{"-share", "bits=4", "-calibrate", empty}, empty + ": the folder is empty"},
		{[]string{"-share", "bytes=10", "-calibrate", photographs(t, 2)}, "no weights fit a budget of 10 bytes"},
	} {
		status, stdout, stderr := runCommand(t, append([]string{"-model", model, "-rounds", "1", "-o", out}, test.args...)...)
		checkError(t, test.want, 1, status, stdout, stderr)
	}
	status, stdout, stderr := runCommand(t, "-weights-type", "f16", "-rounds", "1", "-model", "squeezenet1.1")
	checkError(t, "squeezenet1.1: -weights-type f16, but no float32 layer with weights has one pixel as its result", 1, status, stdout, stderr)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("the folder has %v, expected what was written", entries)
	}
}

func TestUnwritableOutput(t *testing.T) {
	var stderr bytes.Buffer
	full := writerFunc(func([]byte) (int, error) { return 0, errors.New("disk full") })
	if status := run(t.Context(), []string{"-model", smallFile(t), "-rounds", "1"}, nil, full, &stderr); status != 1 || stderr.String() != "compress: standard output: disk full\n" {
		t.Errorf("status %d, standard error %q", status, &stderr)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// ladderOf returns the cells of a printed ladder, by row, without brackets.
func ladderOf(t *testing.T, stdout string) (rows [][]string) {
	t.Helper()
	_, table, _ := strings.Cut(stdout, "\nstep ")
	table, _, _ = strings.Cut("step "+table, "\n\n")
	for line := range strings.Lines(table) {
		rows = append(rows, regexp.MustCompile(` {3,}`).Split(strings.TrimSpace(line), -1))
	}
	return rows
}

// TestLadder: all steps of a small network, and its file.
func TestLadder(t *testing.T) {
	model, photos := smallFile(t), photographs(t, 3)
	out := filepath.Join(t.TempDir(), "out.onnx")
	status, stdout, stderr := runCommand(t, "-model", model, "-svd", "fc=8", "-prune", "density=0.5", "-pattern", "vector", "-share", "bits=4",
		"-weights-type", "i8", "-calibrate", photos, "-images", photos, "-threads", "1", "-rounds", "1", "-layers", "-o", out)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, standard error %q", status, stderr)
	}
	if want := regexp.MustCompile(`^small, \S+ auto, 1 thread, 1 round\n3 pictures, 3 without a label, which count for neither top-1 nor top-5\n\nstep `); !want.MatchString(stdout) {
		t.Errorf("the output begins as\n%s", stdout)
	}
	rows := ladderOf(t, stdout)
	if len(rows) != 6 {
		t.Fatalf("the ladder is %q", rows)
	}
	if want := strings.Split("step,parameters,nonzeros,bytes on disk,in memory,multiply-adds,ms,× as fast,top-1,top-5,top-1 as the first", ","); !slices.Equal(rows[0], want) {
		t.Errorf("the titles are %q, want %q", rows[0], want)
	}
	number := func(row, column int) int {
		n, err := strconv.Atoi(strings.ReplaceAll(rows[row][column], ",", ""))
		if err != nil {
			t.Fatalf("row %q: %v", rows[row], err)
		}
		return n
	}
	// 4×4 pixels of 16 channels.
	const inputs = 4 * 4 * 16
	conv, classes := 16*27+16, 24*10+10
	for i, want := range []struct {
		name             string
		params, nonzeros int
	}{
		{"original", conv + inputs*24 + 24 + classes, conv + inputs*24 + 24 + classes},
		{"factorized", conv + inputs*8 + 8 + 8*24 + 24 + classes, conv + inputs*8 + 8 + 8*24 + 24 + classes},
		{"pruned by rows", conv + inputs*8 + 8 + 8*24 + 24 + classes, 0},
		{"shared", conv + inputs*8 + 8 + 8*24 + 24 + classes, -1},
		{"i8 weights", conv + inputs*8 + 8 + 8*24 + 24 + classes, -1},
	} {
		biases := 16 + 8 + 24 + 10
		if n, half := number(i+1, 2), biases+(want.params-biases)/2; want.nonzeros <= 0 && n <= half && (n > half-64 || want.nonzeros < 0) {
			want.nonzeros = n // rows are kept or pruned as a whole, and sharing may prune more
		}
		if rows[i+1][0] != want.name || number(i+1, 1) != want.params || number(i+1, 2) != want.nonzeros {
			t.Errorf("row %d is %q, want %+v", i+1, rows[i+1], want)
		}
	}
	if a, b, c := number(1, 3), number(2, 3), number(4, 3); !(a > 2*b && b > 4*c) {
		t.Errorf("%d, %d and %d bytes on disk", a, b, c)
	}
	for _, want := range []string{`shared +fc\.reduce +2,048 .* 16 values, relative error`, `factorized +fc\.reduce .* rank 8, relative error 0\.`, `i8 weights +fc\.expand .* i8, relative error 0\.0`} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("the output is\n%s\nwant %q in it", stdout, want)
		}
	}

	// The file has the steps but the last, which is about memory.
	m, w, err := onnx.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	zeros, all := 0, 0
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range params {
		l, err := w.Layer(p)
		if err != nil {
			t.Fatal(err)
		}
		values := map[float32]bool{0: true}
		for _, v := range l.Values {
			values[v] = true
		}
		if len(values) > 16 {
			t.Errorf("%s has %d values, expected at most 16", p.Node, len(values))
		}
		all += len(l.Values)
		zeros += len(l.Values) - nonzeros(l.Values)
	}
	if len(params) != 4 || params[1].Node != "fc.reduce" || 2*zeros < all {
		t.Errorf("%d of %d weights are zero in the layers %v", zeros, all, params)
	}
}

// TestScan: a row for each layer, and a plot.
func TestScan(t *testing.T) {
	plot := filepath.Join(t.TempDir(), "plot.svg")
	status, stdout, stderr := runCommand(t, "-model", smallFile(t), "-scan", plot, "-images", photographs(t, 2), "-pattern", "vector")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, standard error %q", status, stderr)
	}
	want := regexp.MustCompile(`^small, pruned in one layer, vector: .* on 2 pictures

layer +density +0\.8 +0\.6 .*
conv +1\.00 +\S+ % .*
fc +1\.00 +\S+ % .*
classes +1\.00 +\S+ % .*

The first column is the density `)
	if !want.MatchString(stdout) {
		t.Errorf("the output is\n%s\nexpected to match\n%s", stdout, want)
	}
	if svg, err := os.ReadFile(plot); err != nil || !strings.HasPrefix(string(svg), "<svg ") || strings.Count(string(svg), "<polyline class=\"line\"") != 3 {
		t.Errorf("the plot is %q, %v", svg, err)
	}
}

// TestInterrupted: the command ends when its context does, and leaves no file.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	args := []string{"-model", smallFile(t), "-share", "bits=4", "-calibrate", photographs(t, 2), "-rounds", "1", "-o", filepath.Join(dir, "out.fbw")}
	if status := run(ctx, args, nil, &stdout, &stderr); status != 1 || stdout.Len() > 0 || stderr.String() != "compress: interrupted\n" {
		t.Errorf("status %d, output %q, standard error %q", status, &stdout, &stderr)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the folder has %v", entries)
	}
}

// TestRandomWeights: what a step loses means nothing if the weights are random, and the command says so.
func TestRandomWeights(t *testing.T) {
	const want = "compress: no -weights: they are random (seed 1), what they compute or lose means nothing\n"
	if status, _, stderr := runCommand(t, "-model", "squeezenet1.1", "-svd", "conv10=8", "-rounds", "1"); status != 0 || stderr != want {
		t.Errorf("status %d, standard error %q, want %q", status, stderr, want)
	}
}

// TestWeightsType: weights of fewer bytes take less memory, and no other file.
func TestWeightsType(t *testing.T) {
	status, stdout, stderr := runCommand(t, "-model", smallFile(t), "-weights-type", "i8", "-rounds", "1")
	rows := ladderOf(t, stdout)
	if status != 0 || stderr != "" || len(rows) != 3 {
		t.Fatalf("status %d, standard error %q, ladder %q", status, stderr, rows)
	}
	var memory [2]int
	for i := range memory {
		memory[i], _ = strconv.Atoi(strings.ReplaceAll(rows[i+1][4], ",", ""))
	}
	if rows[1][3] != rows[2][3] || !(2*memory[0] > 3*memory[1]) {
		t.Errorf("the ladder is %q", rows)
	}
}

// TestInt8: the scales are of the network that the steps before have made.
func TestInt8(t *testing.T) {
	photos := photographs(t, 2)
	out := filepath.Join(t.TempDir(), "out.onnx")
	status, stdout, stderr := runCommand(t, "-model", smallFile(t), "-svd", "fc=8", "-type", "int8", "-calibrate", photos, "-rounds", "1", "-o", out)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, standard error %q", status, stderr)
	}
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	rows := ladderOf(t, stdout)
	if want := commas(info.Size()) + " (ONNX)"; len(rows) != 4 || rows[3][0] != "int8" || rows[3][3] != want {
		t.Errorf("the ladder is %q, want %s on disk", rows, want)
	}
	m, _, err := onnx.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	infos, err := m.Infer()
	if err != nil || !compression.IsQuantized(infos) {
		t.Errorf("the file is not quantized, error %v", err)
	}
}

// TestBudget: the file, and not only its weights, fits the budget, and little is left of it.
func TestBudget(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.fbw")
	const budget = 4000
	status, _, stderr := runCommand(t, "-model", smallFile(t), "-share", "bytes="+strconv.Itoa(budget), "-calibrate", photographs(t, 3), "-rounds", "1", "-o", out)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, standard error %q", status, stderr)
	}
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	if n := info.Size(); n > budget || n < budget*98/100 {
		t.Errorf("%d bytes of %d", n, budget)
	}
	w, err := weights.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Adapt(small); err != nil {
		t.Error(err)
	}
}

// TestPublished: the published weights take fewer bytes in our format than in theirs, and have the same bits.
func TestPublished(t *testing.T) {
	file := kerneltest.Shared(t, "weights/compressed_SqueezeNet.net")
	out := filepath.Join(t.TempDir(), "out.net")
	status, stdout, stderr := runCommand(t, "-weights", file, "-rounds", "1", "-o", out)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, standard error %q", status, stderr)
	}
	rows := ladderOf(t, stdout)
	if disk, err := strconv.Atoi(strings.ReplaceAll(rows[1][3], ",", "")); err != nil || disk > 548_000 || rows[1][1] != "1,248,424" {
		t.Errorf("the ladder is %q", rows)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file has %d bytes that are not those that were read, error %v", len(got), err)
	}
}

// TestFilled: nothing is zero, and nothing changes.
func TestFilled(t *testing.T) {
	m, w, err := compression.Prune(compression.PruneOptions{Density: 0.5}).Apply(small, weights.Random(1))
	if err != nil {
		t.Fatal(err)
	}
	var results [2][]float32
	for i, w := range []graph.Weights{w, filled{w}} {
		p, err := graph.Compile(m, w, graph.Options{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		v := kernels.NewView(kernels.Type{}, 1, m.Input.H, m.Input.W, m.Input.C, 0)
		copy(kernels.Data[float32](v), kerneltest.Random(1, m.Input.Elems()))
		if err := kernels.Copy(p.Input(), v); err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		results[i] = slices.Clone(kernels.Pixel[float32](p.Output(), 0, 0, 0))
	}
	for i, v := range results[0] {
		if d := math.Abs(float64(v - results[1][i])); d > 1e-5*math.Abs(float64(v)) {
			t.Errorf("result %d is %g, and %g with zeros", i, results[1][i], v)
		}
	}
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range params {
		if l, err := (filled{w}).Layer(p); err != nil || nonzeros(l.Values) != len(l.Values) {
			t.Errorf("%s has zeros, error %v", p.Node, err)
		}
	}
}

// TestSpeedup: ratios are those within the rounds.
func TestSpeedup(t *testing.T) {
	first, s := &step{times: []float64{10, 20, 30}}, &step{times: []float64{5, 4, 10}}
	l := &ladder{steps: []*step{first, s}}
	if median, lo, hi := l.speedup(s); median != 3 || lo != 0 || !math.IsInf(hi, 1) {
		t.Errorf("%g [%g, %g], want 3 without an interval", median, lo, hi)
	}
	if ms := s.ms(); ms != 5 || s.times[0] != 5 {
		t.Errorf("%g ms of %v", ms, s.times)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 548000: "548,000", 1234567: "1,234,567"} {
		if got := commas(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	if got := share(evaluate.Share{}); got != "–" {
		t.Errorf("the share of none is %s", got)
	}
}

// TestMatched: patterns stand for layers, and what names a layer wins.
func TestMatched(t *testing.T) {
	m, err := models.Lookup("squeezenet1.0")
	if err != nil {
		t.Fatal(err)
	}
	got, err := matched(m, map[string]float64{"fire[23].*1x1": 0.5, "fire3.squeeze1x1": 0.25, "conv10": 1, "none*": 0.75})
	want := map[string]float64{"fire2.squeeze1x1": 0.5, "fire2.expand1x1": 0.5, "fire3.squeeze1x1": 0.25, "fire3.expand1x1": 0.5, "conv10": 1, "none*": 0.75}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v, expected %v", got, err, want)
	}
	if _, err := matched(m, map[string]float64{"fire2.*": 0.5, "*1x1": 0.25}); err == nil || !strings.Contains(err.Error(), " has the densities 0.25 and 0.5 by patterns") {
		t.Errorf("two patterns for a layer: %v", err)
	}
}
