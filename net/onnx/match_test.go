package onnx

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/preprocess"
)

// lookup returns the model of that name.
func lookup(t *testing.T, name string) *graph.Model {
	t.Helper()
	m, err := models.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// predict returns the class that a plan finds in a picture, and the scores of all.
func predict(t *testing.T, plan *graph.Plan, path string) (class int, scores []float32) {
	t.Helper()
	p, err := preprocess.Lookup(plan.Model().Preprocessor)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := p.Read(plan.Input(), f); err != nil {
		t.Fatal(err)
	}
	if err := plan.Run(); err != nil {
		t.Fatal(err)
	}
	scores = kernels.Pixel[float32](plan.Logits(), 0, 0, 0)
	return slices.Index(scores, slices.Max(scores)), scores
}

// readJSON decodes a file of the shared data.
func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(kerneltest.Shared(t, name))
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestPictures: the weights of a file in our own squeezenet1.1, which knows how pictures become inputs.
func TestPictures(t *testing.T) {
	_, w := open(t, "squeezenet1.1_fp16.onnx")
	p := compile(t, lookup(t, "squeezenet1.1"), w, graph.Options{})
	var pictures []struct {
		File string
		Top5 [][2]float64
	}
	readJSON(t, "images/expected-squeezenet1.1.json", &pictures)
	if len(pictures) < 10 {
		t.Fatalf("%d pictures", len(pictures))
	}
	for i, x := range pictures {
		if testing.Short() && i%5 != 0 {
			continue
		}
		if got, _ := predict(t, p, kerneltest.Shared(t, filepath.Join("images", x.File))); got != int(x.Top5[0][0]) {
			t.Errorf("%s: class %d, want %g", x.File, got, x.Top5[0][0])
		}
	}
}

// TestPicturesQuantized: quantized networks find the same classes as another implementation. Its float32 arithmetic rounds a few
// values differently, and its JPEG decoder makes four pixels of ten lighter or darker by one, so that
// logits differ by some steps of quantization. Classes that lie so close together count as the same.
func TestPicturesQuantized(t *testing.T) {
	best, err := kernels.Best()
	if err != nil {
		t.Fatal(err)
	}
	if best == kernels.Scalar || os.Getenv("FIREBENCH_ISA") != "" {
		t.Skip("it runs networks four hundred times, and all instruction sets give the same bits")
	}
	const close = 3 // steps
	every, mostFar := 1, 2
	if testing.Short() {
		every, mostFar = 100, 0 // of two photographs
	}
	var pictures []map[string]json.RawMessage
	readJSON(t, "calibration/expected.json", &pictures)
	if len(pictures) != 199 {
		t.Fatalf("%d photographs, want 199", len(pictures))
	}
	for name, most := range map[string]int{"squeezenet1.0": 16, "squeezenet1.1": 13} {
		m, w := open(t, name+"_qdq.onnx")
		m = m.Clone()
		m.Preprocessor = lookup(t, name).Preprocessor // of which the file knows nothing
		p := compile(t, m, w, graph.Options{})
		step := m.Nodes[len(m.Nodes)-3].Layer.(layer.GlobalAvgPool).Type.Scale
		differ, far := 0, 0
		for i, x := range pictures {
			if i%every != 0 {
				continue
			}
			var file string
			var class [2]float64
			for _, err := range []error{json.Unmarshal(x["file"], &file), json.Unmarshal(x[name+"_qdq"], &class)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			got, scores := predict(t, p, kerneltest.Shared(t, filepath.Join("calibration", file)))
			want := int(class[0])
			if got != want {
				differ++
			}
			if scores[got]-scores[want] > (close+0.5)*step {
				far++
			}
		}
		t.Logf("%s: %d photographs differ, %d by more than %d steps", name, differ, far, close)
		if far > mostFar || differ > most {
			t.Errorf("%s: %d photographs differ, and %d by more than %d steps, want at most %d and %d", name, differ, far, close, most, mostFar)
		}
	}
}

// fires is a file with a fire module and a bypass, whose layers have other orders than in our tables. The weights of each
// convolution are its number.
func fires() *build {
	b := newBuild(1, 4, 5, 5)
	conv := func(name, in string, number float32, out, channels, side int64, attributes ...message) {
		w := slices.Repeat([]float32{number}, int(out*channels*side*side))
		b.tensor(name+".w", w, out, channels, side, side).node("Conv", in+" "+name+".w", name, attributes...)
	}
	conv("bypass", "x", 1, 4, 4, 1)
	conv("squeeze", "x", 2, 2, 4, 1)
	conv("expand3", "squeeze", 3, 2, 2, 3, ints("pads", 1, 1, 1, 1))
	conv("expand1", "squeeze", 4, 2, 2, 1)
	return b.node("Concat", "expand1 expand3", "concat", integer("axis", 1)).
		node("Add", "concat bypass", "sum").node("Dropout", "sum", "drop").
		node("MaxPool", "drop", "pool", ints("kernel_shape", 2, 2), ints("strides", 2, 2)).output("pool")
}

// firesTable is the same network as a table of ours.
func firesTable() *graph.Model {
	return &graph.Model{Name: "ours", Input: layer.Shape{H: 6, W: 5, C: 4}, Preprocessor: "p", Nodes: []graph.Node{
		{Name: "s", Layer: layer.Conv{Out: 2, Kernel: 1, Stride: 1}},
		{Name: "one", Layer: layer.Conv{Out: 2, Kernel: 1, KernelW: 1}},
		{Name: "three", Layer: layer.Conv{Out: 2, Kernel: 3, Pad: kernels.Pad(1)}, Inputs: []string{"s"}},
		{Name: "cat", Layer: layer.Concat{}, Inputs: []string{"one", "three"}},
		{Name: "by", Layer: layer.Conv{Out: 4, Kernel: 1, Groups: 1}, Inputs: []string{graph.Input}},
		{Name: "plus", Layer: layer.Add{}, Inputs: []string{"by", "cat"}},
		{Name: "max", Layer: layer.MaxPool{Kernel: 2, Stride: 2, Ceil: true}},
		{Name: "prob", Layer: layer.Softmax{}},
	}}
}

// TestAdapt: a table with the file's layers gets its weights, whatever the order and the names.
func TestAdapt(t *testing.T) {
	own, w := fires().open(t)
	want := map[string]float32{"by": 1, "s": 2, "three": 3, "one": 4}
	m := firesTable()
	for range 2 { // the second time after the file's own model
		adapted, err := w.Adapt(m)
		if err != nil {
			t.Fatal(err)
		}
		if adapted.Preprocessor != "p" || adapted.Nodes[6].Layer != (layer.MaxPool{Kernel: 2, Stride: 2}) || !reflect.DeepEqual(m, firesTable()) {
			t.Errorf("adapted to %+v", adapted)
		}
		params, err := adapted.Params()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range params {
			got, err := w.Layer(p)
			if err != nil || got.Values[0] != want[p.Node] {
				t.Errorf("%s: %v, %v, want weights of %g", p.Node, got.Values, err, want[p.Node])
			}
		}
		if m, err := w.Adapt(own); m != own || err != nil {
			t.Errorf("the model of the file: %v", err)
		}
		if got, err := w.Layer(graph.Param{Node: "squeeze", Dims: [4]int{2, 4, 1, 1}}); err != nil || got.Values[0] != 2 {
			t.Errorf("the model of the file: %v, %v", got, err)
		}
	}
	if _, err := w.Layer(graph.Param{Node: "squeeze", Dims: [4]int{2, 4, 3, 3}}); err == nil {
		t.Error("weights of other dimensions are accepted")
	}

	// Sizes that are rounded up are padding as well, and the file's is what counts.
	padded := fires()
	padded.nodes[len(padded.nodes)-1].message(nodeAttribute, ints("pads", 0, 0, 1, 1))
	_, w = padded.open(t)
	adapted, err := w.Adapt(m)
	if want := (layer.MaxPool{Kernel: 2, Stride: 2, Pad: kernels.Padding{Bottom: 1, Right: 1}}); err != nil || adapted.Nodes[6].Layer != want {
		t.Errorf("a file with padding: %+v, %v", adapted, err)
	}

	file := fires()
	file.metadata = map[string]string{keyPreprocessor: "q"}
	_, w = file.open(t)
	if adapted, err := w.Adapt(m); err != nil || adapted.Preprocessor != "q" {
		t.Errorf("a file that names a preprocessor: %+v, %v", adapted, err)
	}
}

// TestAdaptDiffers: models with other layers are refused, and the error says which.
func TestAdaptDiffers(t *testing.T) {
	_, w := fires().open(t)
	path := w.(*weights).path
	for _, test := range []struct {
		change func(m *graph.Model)
		want   string
	}{
		{func(m *graph.Model) { m.Nodes[2].Layer = layer.Conv{Out: 2, Kernel: 5, Pad: kernels.Pad(2)} },
			"it has three, conv5x5 of 6×5×2 with weights 2×2×5×5, stride 1 where the file has expand3, conv3x3 of 5×5×2 with weights 2×2×3×3, stride 1"},
		{func(m *graph.Model) { m.Nodes[3].Inputs = []string{"three", "one"} },
			"it has cat, concat of 6×5×4 where the file has concat, concat of 5×5×4"},
		{func(m *graph.Model) { m.Nodes = m.Nodes[:6] },
			"it has nothing where the file has pool, maxpool of 2×2×4"},
		{func(m *graph.Model) { m.Nodes = append(m.Nodes, graph.Node{Name: "more", Layer: layer.ReLU{}}) },
			"it has more, relu of 3×3×4 where the file has nothing"},
	} {
		m := firesTable()
		test.change(m)
		_, err := w.Adapt(m)
		if want := path + ": weights do not fit the model ours: " + test.want; err == nil || err.Error() != want {
			t.Errorf("the error is\n%v\nwant\n%s", err, want)
		}
	}
}

// TestAdaptShared: a table shares weights like the file, or it is another network.
func TestAdaptShared(t *testing.T) {
	_, w := newBuild(1, 1, 4, 4).tensor("w", []float32{3}, 1, 1, 1, 1).tensor("v", []float32{5}, 1, 1, 1, 1).
		node("Conv", "x w", "a").node("Conv", "a v", "b").node("Conv", "b w", "c").output("c").open(t)
	for owner, want := range map[string]string{
		"one": "",
		"two": "the file has other weights than those of two at three",
		"":    "it has three, conv1x1 of 4×4×1 with weights 1×1×1×1, stride 1 where the file has c, conv1x1 of 4×4×1 with weights 1×1×1×1, stride 1",
	} {
		conv := layer.Conv{Out: 1, Kernel: 1}
		m := &graph.Model{Name: "ours", Input: layer.Shape{H: 4, W: 4, C: 1}, Nodes: []graph.Node{
			{Name: "one", Layer: conv}, {Name: "two", Layer: conv}, {Name: "three", Layer: conv, Weights: owner},
		}}
		adapted, err := w.Adapt(m)
		if want == "" && err == nil {
			if params := must(adapted.Params()); len(params) != 2 || must(w.Layer(params[1])).Values[0] != 5 {
				t.Errorf("weights %v", params)
			}
		} else if err == nil || !strings.HasSuffix(err.Error(), ": weights do not fit the model ours: "+want) {
			t.Errorf("weights of %q: %v", owner, err)
		}
	}
}

// TestAdaptPublished: the published weights fit squeezenet1.1, and no other model of ours.
func TestAdaptPublished(t *testing.T) {
	own, w := open(t, "squeezenet1.1_fp16.onnx")
	for _, m := range models.All() {
		adapted, err := w.Adapt(m)
		if m.Name != "squeezenet1.1" {
			if err == nil || !strings.Contains(err.Error(), "weights do not fit the model "+m.Name) {
				t.Errorf("%s: %v", m.Name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if adapted.Preprocessor != m.Preprocessor || adapted.Head != m.Head {
			t.Errorf("preprocessor %q and head %q", adapted.Preprocessor, adapted.Head)
		}
		ours, theirs := must(adapted.Params()), must(own.Params())
		for i := range ours {
			values := slices.Clone(must(w.Layer(ours[i])).Values)
			if len(values) == 0 {
				t.Fatalf("%s has no weights", ours[i].Node)
			}
			if _, err := w.Adapt(own); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(values, must(w.Layer(theirs[i])).Values) {
				t.Errorf("%s has not the weights of %s", ours[i].Node, theirs[i].Node)
			}
			if _, err := w.Adapt(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A file that pads the last layer, as those of squeezenet1.0 do, says so.
	file, err := os.ReadFile(kerneltest.Shared(t, "weights/squeezenet1.1_fp16.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(file), "conv10_w_0")
	pads := strings.Index(string(file[at:]), "pads")
	encoded := file[at+pads:][:len("pads")+8]
	for i := len("pads"); i < len(encoded); i++ {
		if encoded[i] == 0 {
			encoded[i] = 1
		}
	}
	path := filepath.Join(t.TempDir(), "padded.onnx")
	if err := os.WriteFile(path, file, 0o666); err != nil {
		t.Fatal(err)
	}
	_, w, err = Open(path)
	if err != nil {
		t.Fatal(err)
	}
	adapted, err := w.Adapt(lookup(t, "squeezenet1.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range adapted.Nodes {
		if conv, ok := n.Layer.(layer.Conv); ok && n.Name == "conv10" && conv.Pad != kernels.Pad(1) {
			t.Errorf("conv10 has the padding %v, want 1", conv.Pad)
		}
	}
}
