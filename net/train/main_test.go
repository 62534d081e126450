package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/compression"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/onnx"
	"firebench/net/training"
	"firebench/net/weights"
)

// runCommand runs the command and returns what came of it.
func runCommand(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(t.Context(), args, nil, &out, &err)
	return status, out.String(), err.String()
}

// succeed runs the command, which must do what it is to, without a word on standard error.
func succeed(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	status, stdout, stderr := runCommand(t, args...)
	if status != 0 || stderr != "" {
		t.Fatalf("train %q: status %d, standard error %q", args, status, stderr)
	}
	return stdout
}

// fail runs the command, which must fail in one line that has the parts.
func fail(t *testing.T, args []string, parts ...string) {
	t.Helper()
	status, _, stderr := runCommand(t, args...)
	if status != 1 {
		t.Errorf("train %q: status %d, expected 1", args, status)
	}
	checkLine(t, stderr, parts...)
}

// checkLine checks that standard error is one line of the command, with all parts.
func checkLine(t *testing.T, stderr string, parts ...string) {
	t.Helper()
	if !strings.HasPrefix(stderr, "train: ") || strings.Count(stderr, "\n") != 1 || !strings.HasSuffix(stderr, "\n") {
		t.Errorf("standard error is %q, expected one line of train", stderr)
	}
	for _, part := range parts {
		if !strings.Contains(stderr, part) {
			t.Errorf("standard error is %q, expected %q in it", stderr, part)
		}
	}
}

// pictures makes a data set of two classes, bright at the top and bright at the bottom, with so many pictures of each to learn
// from, and three for validation.
func pictures(t *testing.T, each int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	for class, name := range []string{"sky", "snow"} {
		for _, split := range []string{"train", "val"} {
			n := each
			if split == "val" {
				n = 3
			}
			folder := filepath.Join(dir, split, name)
			if err := os.MkdirAll(folder, 0o777); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				img := image.NewRGBA(image.Rect(0, 0, 34, 34))
				for y := range 34 {
					for x := range 34 {
						v := uint8(r.IntN(100))
						if y < 17 == (class == 0) {
							v += 120
						}
						img.SetRGBA(x, y, color.RGBA{v, v / 2, 255 - v, 255})
					}
				}
				var b bytes.Buffer
				if err := png.Encode(&b, img); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%02d.png", i)), b.Bytes(), 0o666); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return dir
}

// tiny is a network for such pictures, of so many classes.
func tiny(classes int) *graph.Model {
	return &graph.Model{Name: "tiny", Input: layer.Shape{H: 32, W: 32, C: 3}, Preprocessor: "cifar-rgb-32", Head: "conv3", Nodes: []graph.Node{
		{Name: "conv1", Layer: layer.Conv{Out: 16, Kernel: 3, Stride: 2}},
		{Name: "relu1", Layer: layer.ReLU{}},
		{Name: "pool1", Layer: layer.MaxPool{Kernel: 3, Stride: 2}},
		{Name: "conv2", Layer: layer.Conv{Out: 16, Kernel: 1}},
		{Name: "relu2", Layer: layer.ReLU{}},
		{Name: "drop", Layer: layer.Dropout{Rate: 0.25}},
		{Name: "conv3", Layer: layer.Conv{Out: classes, Kernel: 7}},
		{Name: "pool", Layer: layer.GlobalAvgPool{}},
		{Name: "prob", Layer: layer.Softmax{}},
	}}
}

// initialized are random weights.
func initialized(m *graph.Model) graph.Weights {
	p, err := training.NewParams(m, training.Initial(1, func(graph.Param) training.Initializer { return training.Xavier }))
	if err != nil {
		panic(err)
	}
	return p
}

// writeFile writes a network with its weights.
func writeFile(t *testing.T, name string, m *graph.Model, w graph.Weights, write func(io.Writer, *graph.Model, graph.Weights) error) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := write(f, m, w); err != nil {
		t.Fatal(err)
	}
	return path
}

// tinyFile is a file with tiny and random weights.
func tinyFile(t *testing.T, classes int) (path string) {
	t.Helper()
	m := tiny(classes)
	return writeFile(t, "tiny.onnx", m, initialized(m), onnx.Write)
}

// content returns the content of the files of a run that are the same however often it was stopped, which those are not that
// have times in them. Of the log it has the columns before images per second.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	c := map[string]string{}
	for _, name := range []string{training.ModelFile, training.CurvesFile, training.LogFile} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		c[name] = string(data)
	}
	var lines []string
	for line := range strings.Lines(c[training.LogFile]) {
		lines = append(lines, line[:strings.LastIndex(line, ",")])
	}
	c[training.LogFile] = strings.Join(lines, "\n")
	return c
}

func TestUsage(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "no -data"},
		{"-data d", "no -o"},
		{"-o d", "no -data"},
		{"-data d -o o more", "more: expected flags only"},
		{"-colour -data d -o o", "-colour"},
		{"-data d -o o -classes -1", "-classes -1: expected 0 or more"},
		{"-data d -o o -memory 0", "-memory 0: expected 1 to"},
		{"-data d -o o -model vgg16", `unknown model "vgg16"`},
		{"-data d -o o -model squeezenet-cifar-wide", `unknown part "wide"`},
		{"-data d -o o -recipe best", `unknown recipe "best", expected one of squeezenet, cifar, finetune`},
		{"-data d -o o -epochs 0", "0 epochs, expected 1 to"},
		{"-data d -o o -epochs many", `"many" for flag -epochs: expected a number`},
		{"-data d -o o -epochs 1.5", `"1.5" for flag -epochs: expected a number`},
		{"-data d -o o -batch 0", "batches of 0 images"},
		{"-data d -o o -accumulate 0", "0 batches for a step"},
		{"-data d -o o -rate 0", "rate is 0, expected more than 0"},
		{"-data d -o o -rate NaN", "rate is NaN"},
		{"-data d -o o -policy slow", `unknown policy "slow", expected one of linear, poly, cosine, step, constant`},
		{"-data d -o o -policy poly", "power is 0"},
		{"-data d -o o -epochs 2 -warmup 3", "the rate rises for 3 epochs, expected 0 to all 2"},
		{"-data d -o o -momentum 1", "momentum"},
		{"-data d -o o -decay -1", "decay"},
		{"-data d -o o -smoothing 1", "label smoothing is 1"},
		{"-data d -o o -clip -1", "-1"},
		{"-data d -o o -head 0", "factor of the head is 0"},
		{"-data d -o o -init zeros", `unknown initialization "zeros", expected one of xavier, he, lsuv`},
		{"-data d -o o -mirror=perhaps", "expected true or false"},
		{"-data d -o o -jitter 1", "jitter 1"},
		{"-data d -o o -area 2", "at least 2 of a picture's area"},
		{"-data d -o o -area all", `"all" for flag -area: expected a number`},
		{"-data d -o o -freeze [", "syntax error in pattern"},
		{"-data d -o o -type int8", "-type"},
		{"-data d -o o -threads -1", "-threads -1"},
		// What is wrong with the recipe that fits.
		{"-data d -o o -model f.onnx -warmup 20", "expected 0 to all 12"},
	} {
		status, stdout, stderr := runCommand(t, strings.Fields(test.args)...)
		if status != 2 || stdout != "" {
			t.Errorf("train %s: status %d, output %q, expected status 2 and none", test.args, status, stdout)
		}
		checkLine(t, stderr, test.want)
	}
}

func TestHelp(t *testing.T) {
	stdout := succeed(t, "-help")
	for _, part := range []string{"usage: train -data", "-freeze PATTERN", "squeezenet, cifar, finetune", "linear, poly, cosine, step, constant", "xavier, he, lsuv"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("-help lacks %q:\n%s", part, stdout)
		}
	}
	if strings.Contains(stdout, "-calibrate") {
		t.Error("-help has -calibrate, which is for int8")
	}
}

func TestRecipe(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "squeezenet"},
		{"-model squeezenet-cifar", "cifar"},
		{"-model squeezenet-cifar -weights w.fbw", "finetune"},
		{"-model f.onnx", "finetune"},
		{"-model f.onnx -recipe cifar", "cifar"},
	} {
		o, err := parse(append(strings.Fields(test.args), "-data", "d", "-o", "o"))
		if err != nil || o.recipe.Name != test.want {
			t.Errorf("%q: recipe %s, error %v, expected %s", test.args, o.recipe.Name, err, test.want)
		}
	}
	o, err := parse(strings.Fields("-data d -o o -recipe cifar -area 0.25 -rate 1e-3 -mirror=false -epochs 3 -policy poly -power 2 -jitter 0.5"))
	want, _ := training.LookupRecipe("cifar")
	want.Rate, want.Epochs, want.Policy, want.Power = 1e-3, 3, "poly", 2
	want.Augment.Crop, want.Augment.Pad, want.Augment.Mirror, want.Augment.MinArea, want.Augment.Jitter = false, 0, false, 0.25, 0.5
	if err != nil || o.recipe != want {
		t.Errorf("recipe %+v, error %v, expected %+v", o.recipe, err, want)
	}
}

// TestRun trains a network of three classes for two others, and looks at all that it leaves.
func TestRun(t *testing.T) {
	data, file, dir := pictures(t, 8), tinyFile(t, 3), filepath.Join(t.TempDir(), "new", "run")
	args := []string{"-model", file, "-data", data, "-o", dir, "-epochs", "3", "-batch", "4", "-classes", "2", "-rate", "0.02", "-algo", "direct"}
	stdout := succeed(t, args...)
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if len(lines) != 7 || lines[0] != "tiny, recipe finetune, 16 pictures of 2 classes, 6 for validation" ||
		!strings.HasPrefix(lines[5], "best after epoch ") || !strings.Contains(lines[5], "of 6 correct") || lines[6] != filepath.Join(dir, training.ModelFile) {
		t.Errorf("output:\n%s", stdout)
	}
	for i, line := range lines[2:5] {
		if f := strings.Fields(line); len(f) != 9 || f[0] != fmt.Sprint(i+1) {
			t.Errorf("line %q, expected that of epoch %d", line, i+1)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 5 {
		t.Errorf("%v, error %v, expected five files", entries, err)
	}
	rows, err := training.ReadLog(filepath.Join(dir, training.LogFile))
	if err != nil || len(rows) != 3 {
		t.Fatalf("log: %+v, %v", rows, err)
	}
	for i, r := range rows {
		if r.Step != 4*(i+1) || r.Epoch != float64(i+1) || !(r.Loss > 0) || !(r.ValLoss > 0) || !(r.ImagesSecond > 0) || r.Accuracy < 0 || r.Accuracy > 1 || r.ValAccuracy < 0 || r.ValAccuracy > 1 {
			t.Errorf("log, row %d: %+v", i, r)
		}
	}
	if rows[2].Loss >= rows[0].Loss {
		t.Errorf("loss %v in the first epoch and %v in the third, expected it to fall", rows[0].Loss, rows[2].Loss)
	}
	checkXML(t, filepath.Join(dir, training.CurvesFile))

	m, w, err := onnx.Open(filepath.Join(dir, training.ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.Classes, []string{"sky", "snow"}) || m.Preprocessor != "cifar-rgb-32" || m.Name != "tiny" {
		t.Errorf("model %s of classes %q with preprocessor %s", m.Name, m.Classes, m.Preprocessor)
	}
	fitted, err := training.ReadRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := values(t, m, w), values(t, m, fitted.Params); !maps.EqualFunc(got, want, slices.Equal) {
		t.Error("the model's weights are not those of the best epoch")
	}
	best := slices.MaxFunc(rows, func(a, b training.Row) int { return int(6*a.ValAccuracy+0.5) - int(6*b.ValAccuracy+0.5) })
	if fitted.Accuracy != float64(fitted.Result.Correct)/6 || fmt.Sprintf("%.5g", fitted.Accuracy) != fmt.Sprintf("%.5g", best.ValAccuracy) || fitted.Pictures != 16 || len(fitted.Rows) != 3 {
		t.Errorf("the best epoch is %d with %v, expected %v", fitted.Epoch, fitted.Accuracy, best)
	}

	// A run that has ended says the same again.
	before := content(t, dir)
	again := succeed(t, args...)
	if want := strings.Join(append(lines[:2:2], lines[5:]...), "\n") + "\n"; again != want {
		t.Errorf("said again:\n%s\nexpected\n%s", again, want)
	}
	if got := content(t, dir); !maps.Equal(got, before) {
		t.Error("files of a run that has ended were changed")
	}
}

// values returns the weights and biases of all layers.
func values(t *testing.T, m *graph.Model, w graph.Weights) map[string][]float32 {
	t.Helper()
	m, err := w.Adapt(m)
	if err != nil {
		t.Fatal(err)
	}
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]float32{}
	for _, p := range params {
		l, err := w.Layer(p)
		if err != nil {
			t.Fatal(err)
		}
		all[p.Node] = slices.Concat(l.Values, l.Bias)
	}
	return all
}

// checkXML checks that a file is well-formed.
func checkXML(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := xml.NewDecoder(f)
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}

// TestRandom trains one of the networks for small pictures from random weights.
func TestRandom(t *testing.T) {
	if testing.Short() {
		t.Skip("a network of 45 million multiply-adds")
	}
	dir := t.TempDir()
	stdout := succeed(t, "-model", "squeezenet-cifar", "-data", pictures(t, 4), "-o", dir, "-epochs", "1", "-batch", "4")
	if !strings.HasPrefix(stdout, "squeezenet-cifar, recipe cifar, 8 pictures of 2 classes") {
		t.Errorf("output:\n%s", stdout)
	}
	if m, _, err := onnx.Open(filepath.Join(dir, training.ModelFile)); err != nil || !slices.Equal(m.Classes, []string{"sky", "snow"}) {
		t.Errorf("classes %q, error %v", m.Classes, err)
	}
}

// cancelling is an output that cancels a context at its line of that number.
type cancelling struct {
	io.Writer
	cancel context.CancelFunc
	lines  int
}

func (c *cancelling) Write(b []byte) (int, error) {
	if c.lines--; c.lines == 0 {
		c.cancel()
	}
	return c.Writer.Write(b)
}

// TestInterrupted stops runs after each line of output, and goes on: the result has the bits of a run without a stop.
func TestInterrupted(t *testing.T) {
	data, file := pictures(t, 8), tinyFile(t, 2)
	for _, flags := range []string{"-epochs 2 -batch 4", "-epochs 3 -batch 3 -accumulate 2 -jitter 0.2"} {
		args := append(strings.Fields(flags), "-model", file, "-data", data, "-threads", "2")
		whole := filepath.Join(t.TempDir(), "whole")
		succeed(t, append(args, "-o", whole)...)
		for lines := 1; lines < 4; lines++ {
			dir := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			var stderr bytes.Buffer
			status := run(ctx, append(args, "-o", dir), nil, &cancelling{io.Discard, cancel, lines}, &stderr)
			if status != 1 {
				t.Errorf("%s, stopped after line %d: status %d, expected 1", flags, lines, status)
			}
			checkLine(t, stderr.String(), "interrupted; the run goes on with the same command")
			if _, err := os.Stat(filepath.Join(dir, training.LastFile)); err != nil {
				t.Error(err)
			}
			if _, err := training.ReadRun(dir); err == nil || !strings.Contains(err.Error(), "the run has not ended") {
				t.Errorf("a run that was stopped is read as %v", err)
			}
			succeed(t, append(args, "-threads", "1", "-o", dir)...)
			got, want := content(t, dir), content(t, whole)
			for name := range want {
				if got[name] != want[name] {
					t.Errorf("%s, stopped after line %d: another %s", flags, lines, name)
				}
			}
		}
	}
}

// TestChanged: a run does not go on with other options, pictures or another network.
func TestChanged(t *testing.T) {
	data, file, dir := pictures(t, 4), tinyFile(t, 2), t.TempDir()
	with := func(more ...string) []string {
		return append([]string{"-model", file, "-data", data, "-o", dir, "-epochs", "1", "-batch", "4"}, more...)
	}
	succeed(t, with()...)
	before := content(t, dir)
	last := filepath.Join(dir, training.LastFile)
	for _, test := range []struct {
		args []string
		want string
	}{
		{with("-epochs", "2"), "the run has epochs 1, expected 2; go on with the same options, or train in another folder"},
		{with("-rate", "0.1"), "the run has rate 0.005, expected 0.1"},
		{with("-recipe", "cifar"), "the run has name finetune, expected cifar"},
		{with("-jitter", "0.1"), "augment"},
		{with("-seed", "2"), "the run has the seed 1, expected 2"},
		{with("-freeze", "conv1"), "the frozen layers [], expected [conv1]"},
		{with("-data", pictures(t, 5)), "pictures to train on: 8, expected 10"},
		{with("-model", "squeezenet-cifar", "-recipe", "finetune"), "squeezenet-cifar"},
		{with("-model", writeFile(t, "tiny.onnx", wide(), initialized(wide()), onnx.Write)), "conv1"},
		{with("-model", writeFile(t, "tiny.onnx", tiny(2), pruned(t), onnx.Write)), "weights of layer conv1 that are free, expected stay 0"},
	} {
		if slices.Contains(test.args, "squeezenet-cifar") && testing.Short() {
			continue // it is initialized
		}
		fail(t, test.args, last, test.want)
	}
	if got := content(t, dir); !maps.Equal(got, before) {
		t.Error("a run that did not go on was changed")
	}
	renamed := pictures(t, 4)
	for _, split := range []string{"train", "val"} {
		if err := os.Rename(filepath.Join(renamed, split, "snow"), filepath.Join(renamed, split, "tree")); err != nil {
			t.Fatal(err)
		}
	}
	fail(t, with("-data", renamed), last, "the run has the classes [sky snow], expected [sky tree]")

	if err := os.WriteFile(last, []byte("damaged"), 0o666); err != nil {
		t.Fatal(err)
	}
	fail(t, with(), last)
}

// wide is tiny with another first layer.
func wide() *graph.Model {
	m := tiny(2)
	m.Nodes[0].Layer = layer.Conv{Out: 24, Kernel: 3, Stride: 2}
	return m
}

// pruned are weights of tiny, three quarters of which are 0 in conv1 and conv2.
func pruned(t *testing.T) graph.Weights {
	t.Helper()
	m := tiny(2)
	_, w, err := compression.Prune(compression.PruneOptions{Layers: map[string]float64{"conv1": 0.25, "conv2": 0.25}}).Apply(m, initialized(m))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestCompressed: what is pruned and shared stays so, unless -dense allows it to change.
func TestCompressed(t *testing.T) {
	data := pictures(t, 4)
	m := tiny(2)
	p := pruned(t)
	_, s, err := compression.Share(compression.ShareOptions{Bits: 3}).Apply(m, p)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		w      graph.Weights
		args   []string
		zeros  bool
		shared bool
	}{
		{"pruned.onnx", p, nil, true, false},
		{"pruned.fbw", p, nil, true, false},
		{"shared.fbw", s, nil, true, true},
		{"shared.onnx", s, nil, true, true},
		{"dense.fbw", s, []string{"-dense"}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			args := append([]string{"-data", data, "-o", dir, "-epochs", "2", "-batch", "4", "-rate", "0.05"}, test.args...)
			if strings.HasSuffix(test.name, ".fbw") {
				args = append(args, "-model", tinyFile(t, 2), "-weights", writeFile(t, test.name, m, test.w, weights.WriteFBW))
			} else {
				args = append(args, "-model", writeFile(t, test.name, m, test.w, onnx.Write))
			}
			succeed(t, args...)
			fitted, err := training.ReadRun(dir)
			if err != nil {
				t.Fatal(err)
			}
			_, exported, err := onnx.Open(filepath.Join(dir, training.ModelFile))
			if err != nil {
				t.Fatal(err)
			}
			before, after := values(t, m, test.w), values(t, m, exported)
			for _, node := range []string{"conv1", "conv2", "conv3"} {
				if slices.Equal(before[node], after[node]) {
					t.Errorf("%s has not been trained", node)
				}
				zeros, stay := 0, 0
				distinct := map[float32]bool{}
				for i, v := range before[node][:len(before[node])-len(bias(node))] {
					distinct[after[node][i]] = true
					if v == 0 {
						if zeros++; after[node][i] == 0 {
							stay++
						}
					}
				}
				if pruned := node != "conv3"; pruned != (zeros > 0) {
					t.Fatalf("%s: %d weights are 0 before training", node, zeros)
				}
				if test.zeros && stay < zeros || !test.zeros && zeros > 0 && stay == zeros {
					t.Errorf("%s: %d of %d weights that were 0 are so", node, stay, zeros)
				}
				if shared := len(distinct) <= 8; shared != test.shared {
					t.Errorf("%s: %d different weights, shared %t", node, len(distinct), test.shared)
				}
			}
			if _, ok := graph.SharedOf(fitted.Params); !ok {
				t.Error("the weights cannot tell what they share")
			}
			// The best weights can be written in the format that keeps what is compressed, and read again.
			path := writeFile(t, "best.fbw", fitted.Params.Model(), fitted.Params, weights.WriteFBW)
			again, err := weights.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if !maps.EqualFunc(values(t, m, again), after, slices.Equal) {
				t.Error("FBW has other weights than ONNX")
			}
		})
	}
}

// bias returns the biases of a layer of tiny(2).
func bias(node string) []float32 {
	return make([]float32, map[string]int{"conv1": 16, "conv2": 16, "conv3": 2}[node])
}

// TestFrozen: layers that are frozen stay as they are.
func TestFrozen(t *testing.T) {
	data, file, dir := pictures(t, 4), tinyFile(t, 2), t.TempDir()
	args := []string{"-model", file, "-data", data, "-o", dir, "-epochs", "1", "-batch", "4", "-freeze"}
	fail(t, append(args, "conv1,fire*"), "-freeze fire*: no layer with weights has such a name", `["conv1" "conv2" "conv3"]`)
	fail(t, append(args, "*"), "-freeze: no layer is left to train")
	succeed(t, append(args, "conv[12]")...)
	m := tiny(2)
	_, w, err := onnx.Open(filepath.Join(dir, training.ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	before, after := values(t, m, initialized(m)), values(t, m, w)
	for node := range before {
		if frozen := node != "conv3"; slices.Equal(before[node], after[node]) != frozen {
			t.Errorf("%s: the same weights is %t, expected %t", node, !frozen, frozen)
		}
	}
}

// TestClasses: a network of as many classes goes on with its last layer, unless they are others by name.
func TestClasses(t *testing.T) {
	data := pictures(t, 4)
	fail(t, []string{"-model", tinyFile(t, 2), "-data", data, "-o", t.TempDir(), "-classes", "5"}, data+`: 2 classes, expected 5: ["sky" "snow"]`)
	for _, names := range [][]string{nil, {"sky", "snow"}, {"snow", "sky"}} {
		m, dir := tiny(2), t.TempDir()
		m.Classes = names
		args := []string{"-data", data, "-o", dir, "-epochs", "1", "-batch", "4", "-freeze", "conv[12]", "-rate", "1e-30", "-decay", "0"}
		succeed(t, append(args, "-model", writeFile(t, "m.onnx", m, initialized(m), onnx.Write))...)
		_, w, err := onnx.Open(filepath.Join(dir, training.ModelFile))
		if err != nil {
			t.Fatal(err)
		}
		// At such a rate no weight changes but those that are 0.
		before, after := values(t, m, initialized(m))["conv3"], values(t, m, w)["conv3"]
		same := slices.Equal(before[:len(before)-2], after[:len(before)-2]) // biases were 0
		if want := len(names) == 0 || names[0] == "sky"; same != want {
			t.Errorf("classes %q: the same last layer is %t, expected %t", names, same, want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	data, file := pictures(t, 4), tinyFile(t, 2)
	bad := filepath.Join(data, "train", "sky", "01.png")
	if err := os.WriteFile(bad, []byte("no picture"), 0o666); err != nil {
		t.Fatal(err)
	}
	args := []string{"-model", file, "-data", data, "-epochs", "3", "-batch", "4", "-o"}
	status, _, stderr := runCommand(t, append(args, t.TempDir())...)
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	if status != 0 || len(lines) != 2 || !strings.HasPrefix(lines[0], "train: "+bad+": ") || lines[1] != "train: 1 picture could not be read" {
		t.Errorf("status %d, standard error:\n%s", status, stderr)
	}
	status, _, stderr = runCommand(t, append(args, t.TempDir(), "-strict")...)
	lines = strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	if last := lines[len(lines)-1]; status != 1 || !strings.HasPrefix(last, "train: "+bad+": ") {
		t.Errorf("-strict: status %d, standard error:\n%s", status, stderr)
	}
}

func TestBadData(t *testing.T) {
	file := tinyFile(t, 2)
	args := []string{"-model", file, "-o", filepath.Join(t.TempDir(), "run"), "-data"}
	missing := filepath.Join(t.TempDir(), "none")
	fail(t, append(args, missing), missing)
	one := pictures(t, 2)
	for _, split := range []string{"train", "val"} {
		if err := os.RemoveAll(filepath.Join(one, split, "snow")); err != nil {
			t.Fatal(err)
		}
	}
	fail(t, append(args, one), one+": one class, sky, expected at least two")
	empty := pictures(t, 2)
	if err := os.MkdirAll(filepath.Join(empty, "train", "tree"), 0o777); err != nil {
		t.Fatal(err)
	}
	fail(t, append(args, empty), filepath.Join(empty, "train", "tree")+": no picture of this class")
	if _, err := os.Stat(args[3]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a run that cannot begin left its folder: %v", err)
	}
	unreadable := pictures(t, 2)
	for _, class := range []string{"sky", "snow"} {
		for i := range 3 {
			if err := os.WriteFile(filepath.Join(unreadable, "val", class, fmt.Sprintf("%02d.png", i)), nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	status, _, stderr := runCommand(t, append(args, unreadable, "-epochs", "1")...)
	if status != 1 || !strings.HasSuffix(stderr, "train: training: no picture for validation can be read\n") {
		t.Errorf("status %d, standard error:\n%s", status, stderr)
	}

	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	fail(t, append(args, pictures(t, 2), "-o", blocked), blocked)
}

// TestFew: fewer pictures than a batch has repeat, and the last step of a run ends its last epoch, however many batches are left.
func TestFew(t *testing.T) {
	data, file := pictures(t, 5), tinyFile(t, 2)
	for _, test := range []struct {
		flags string
		steps []int     // of the rows
		epoch []float64 // likewise
	}{
		{"-epochs 2 -batch 64", []int{1, 2}, []float64{1, 2}},
		{"-epochs 3 -batch 3 -accumulate 2", []int{2, 3, 4}, []float64{1, 2, 3}}, // of nine batches eight make steps
		{"-epochs 5 -batch 5 -accumulate 4", []int{1, 2}, []float64{2, 5}},
	} {
		dir := t.TempDir()
		succeed(t, append(strings.Fields(test.flags), "-model", file, "-data", data, "-o", dir)...)
		rows, err := training.ReadLog(filepath.Join(dir, training.LogFile))
		if err != nil {
			t.Fatal(err)
		}
		var steps []int
		var epochs []float64
		for _, r := range rows {
			steps, epochs = append(steps, r.Step), append(epochs, r.Epoch)
		}
		if !slices.Equal(steps, test.steps) || !slices.Equal(epochs, test.epoch) {
			t.Errorf("%s: rows of steps %v and epochs %v, expected %v and %v", test.flags, steps, epochs, test.steps, test.epoch)
		}
	}
	fail(t, []string{"-model", file, "-data", data, "-o", t.TempDir(), "-epochs", "1", "-batch", "5", "-accumulate", "4"}, "1 epochs of 2 batches are less than a step of 4 batches")
}

// TestDiverged: a rate that is too high stops the run in one line, and the checkpoint before stays.
func TestDiverged(t *testing.T) {
	fail(t, []string{"-model", tinyFile(t, 2), "-data", pictures(t, 4), "-o", t.TempDir(), "-epochs", "40", "-batch", "4", "-rate", "1e30", "-clip", "0", "-warmup", "0"}, "step ", "lower the learning rate")
}

// TestSameBits: with the direct algorithm all vector instruction sets and numbers of threads give the same files.
func TestSameBits(t *testing.T) {
	if testing.Short() {
		t.Skip("one instruction set")
	}
	data, file := pictures(t, 4), tinyFile(t, 3)
	var want map[string]string
	usable, err := kernels.Supported()
	if err != nil {
		t.Fatal(err)
	}
	for i, isa := range usable {
		set, err := kernels.For(isa)
		if err != nil || isa == kernels.Scalar {
			continue // it does not fuse multiplications and additions
		}
		dir := t.TempDir()
		succeed(t, "-model", file, "-data", data, "-o", dir, "-epochs", "2", "-batch", "4", "-algo", "direct", "-isa", set.ISA.String(), "-threads", fmt.Sprint(1+i%min(4, 4*runtime.NumCPU())))
		got := content(t, dir)
		if want == nil {
			want = got
		}
		if !maps.Equal(got, want) {
			t.Errorf("%v gives other files", isa)
		}
	}
}

// TestProgress: without a terminal no line is written over another.
func TestProgress(t *testing.T) {
	var stderr bytes.Buffer
	var stdout strings.Builder
	if status := run(t.Context(), []string{"-model", tinyFile(t, 2), "-data", pictures(t, 4), "-o", t.TempDir(), "-epochs", "1", "-batch", "4"}, nil, &stdout, &stderr); status != 0 || stderr.Len() > 0 || strings.ContainsAny(stdout.String(), "\r\x1b") {
		t.Errorf("status %d, output %q, standard error %q", status, stdout.String(), stderr.String())
	}
}

func TestBadModel(t *testing.T) {
	data := pictures(t, 2)
	silent := tiny(2)
	silent.Preprocessor = ""
	file := writeFile(t, "silent.onnx", silent, initialized(silent), onnx.Write)
	fail(t, []string{"-model", file, "-data", data, "-o", t.TempDir()}, file, "expected -preprocessor")
	dir := t.TempDir()
	succeed(t, "-model", file, "-preprocessor", "cifar-rgb-32", "-data", data, "-o", dir, "-epochs", "1", "-batch", "2")
	if m, _, err := onnx.Open(filepath.Join(dir, training.ModelFile)); err != nil || m.Preprocessor != "cifar-rgb-32" {
		t.Errorf("preprocessor %q, error %v, expected the one that was given", m.Preprocessor, err)
	}
	fail(t, []string{"-model", filepath.Join(data, "none.onnx"), "-data", data, "-o", t.TempDir()}, "none.onnx")
}
