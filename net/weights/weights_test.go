package weights

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"

	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/onnx"
	"firebench/net/tensor"
)

// TestFormats: the content tells the format, whatever the name, also of files that are cut off.
func TestFormats(t *testing.T) {
	m, _ := lookup(t, "squeezenet1.1")
	caffe := join(caffeForm{}.random(t, m))
	caffeV1 := join(caffeForm{v1: true}.random(t, m))
	compressed, _ := compressed(t, "squeezenet1.0")
	fbw, _ := smallFBW(t)
	onnx := join(append(append(number(1, 8), text(2, "pytorch")...), message(7, text(2, "graph")...)...))
	for _, test := range []struct {
		name string
		file []byte
		want format
	}{
		{"safetensors", safetensorsFile("", smallTensors()...), safetensorsFormat},
		{"safetensors, cut off", safetensorsFile("", smallTensors()...)[:9], safetensorsFormat},
		{"caffemodel", caffe, caffeFormat},
		{"caffemodel, cut off", caffe[:len(caffe)/2], caffeFormat},
		{"caffemodel V1", caffeV1, caffeFormat},
		{"caffemodel V1, cut off", caffeV1[:len(caffeV1)/2], caffeFormat},
		{"caffemodel without a name", join(caffeForm{}.layer("conv1", "", 4, nil)), caffeFormat},
		{"compressed", compressed, deepCompressionFormat},
		{"FBW", fbw, fbwFormat},
		{"FBW, cut off", fbw[:5], fbwFormat},
		{"ONNX", onnx, onnxFormat},
		{"ONNX, cut off", onnx[:len(onnx)-1], onnxFormat},
		{"ONNX without a version", onnx[2:], onnxFormat},
	} {
		if got, err := formatOf(bytes.NewReader(test.file), int64(len(test.file))); got != test.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", test.name, got, err, test.want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	compressed, _ := compressed(t, "squeezenet1.0")
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "weights.net: empty"},
		{"text", []byte("these are not weights"), `unknown format: it starts with "these are not we", expected safetensors, caffemodel, ONNX, FBW or compressed squeezenet1.0 (21 bytes, expected 104 for`},
		{"PyTorch", []byte("PK\x03\x04archive"), `it starts with "PK\x03\x04archive", as PyTorch's own files do, which should be saved as safetensors, expected`},
		{"old PyTorch", []byte("\x80\x02\x8a\n"), "as PyTorch's own files do"},
		{"HDF5", []byte("\x89HDF\r\n"), `it starts with "\x89HDF\r\n", as HDF5 does, expected`},
		{"message of another kind", join(append(text(9, "x"), text(7, "x")...)), "unknown format"},
		{"compressed, cut off", compressed[:len(compressed)-1], "unknown format"},
		{"caffemodel", join(text(2, "")), `caffemodel: network "" has other layers`},
		{"safetensors", headed("{", nil), "safetensors: header: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, test.file)
			_, err := Open(path)
			checkError(t, err, path, test.want)
		})
	}
	missing := filepath.Join(t.TempDir(), "missing")
	_, err := Open(missing)
	checkError(t, err, missing, kerneltest.StatError(t, missing))
	dir := t.TempDir()
	_, err = Open(dir)
	checkError(t, err, dir, "is a folder")
}

// TestOpenPublished: the published file is recognized, and fits its model alone.
func TestOpenPublished(t *testing.T) {
	w, err := Open(kerneltest.Shared(t, "weights/compressed_SqueezeNet.net"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range models.All() {
		if _, err := w.Adapt(m); (err == nil) != (m.Name == "squeezenet1.0") {
			t.Errorf("%s: error %v", m.Name, err)
		}
	}
}

// TestOpenONNX: an exported model's weights, for the same model and for those that are another.
func TestOpenONNX(t *testing.T) {
	m, _ := lookup(t, "squeezenet1.1")
	var b bytes.Buffer
	if err := onnx.Write(&b, m, Random(9)); err != nil {
		t.Fatal(err)
	}
	path := writeFile(t, b.Bytes())
	t.Cleanup(runtime.GC) // Windows does not remove the file of a model that is not garbage yet
	w, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	_, want := layers(t, Random(9), m)
	if adapted, got := layers(t, w, m); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(adapted, m) {
		t.Error("another network than was written")
	}
	for _, other := range models.All() {
		if _, err := w.Adapt(other); (err == nil) != (other.Name == m.Name) {
			t.Errorf("%s: error %v", other.Name, err)
		}
	}
}

// TestOpenPublishedONNX: a published file's weights in the table's network give its logits.
func TestOpenPublishedONNX(t *testing.T) {
	w, err := Open(kerneltest.Shared(t, "weights/squeezenet1.1_fp16.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := lookup(t, "squeezenet1.1")
	p, err := graph.Compile(m, w, graph.Options{Algo: "direct"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	run(t, p, readShared(t, "golden/squeezenet1.1-input.npy"))
	want := readShared(t, "golden/squeezenet1.1-logits.npy")
	bound := 1e-3 * absMax(want.Data)
	for c, v := range tensor.FromView(p.Logits()).Data {
		if d := math.Abs(float64(v - want.Data[c])); !(d <= bound) {
			t.Errorf("class %d: logit %v, want %v ± %.2g", c, v, want.Data[c], bound)
		}
	}
}

// FuzzOpen: no file makes Open hang, panic or allocate more than it has.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("text"))
	f.Add(safetensorsFile("", smallTensors()...))
	f.Add(join(caffeForm{}.layer("conv1", "Convolution", 4, number(3, 1), caffeForm{}.blob([]float32{1}, 1))))
	f.Add(bytes.Repeat([]byte{1, 0, 0, 0}, 30))
	f.Add([]byte("\x89FBW\x01"))
	path := filepath.Join(f.TempDir(), "weights")
	f.Cleanup(runtime.GC)
	f.Fuzz(func(t *testing.T, file []byte) {
		if err := os.WriteFile(path, file, 0o666); err != nil {
			t.Fatal(err)
		}
		if n := allocated(func() { Open(path) }); n > maxAllocated(len(file)) {
			t.Errorf("%d bytes allocated for a file of %d", n, len(file))
		}
	})
}
