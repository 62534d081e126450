package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
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
)

// values are the parameters of one layer.
type values struct {
	param   graph.Param
	weights kernels.Weights
}

// decodedLayers returns what layers have.
func decodedLayers(t *testing.T, layers []sharedLayer) (list []values) {
	t.Helper()
	for _, l := range layers {
		w, err := (&deepCompression{layers: layers}).Layer(l.param)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, values{l.param, w})
	}
	return list
}

// A storedLayer is a layer as a file stores it, except that each gap has a byte of its own.
type storedLayer struct {
	codebook    [codes]float32
	bias        []float32
	codes, gaps []byte
}

// store returns a stored layer, and the values to which it should be decoded. The last of every
// step weights is not zero, and the others are.
func store(p graph.Param, step int) (l storedLayer, want values) {
	want = values{p, kernels.Weights{Values: make([]float32, size(p)), Bias: make([]float32, p.Dims[0])}}
	for i := range l.codebook {
		l.codebook[i] = float32(i) / 16
	}
	l.bias = want.weights.Bias
	for i := range l.bias {
		l.bias[i] = float32(i + 1)
	}
	gap := 0
	for i := range want.weights.Values {
		if i%step != step-1 {
			gap++
			continue
		}
		code := byte(1 + i%(codes-1))
		want.weights.Values[i] = l.codebook[code]
		for ; gap > maxGap; gap -= maxGap + 1 {
			l.codes, l.gaps = append(l.codes, 0), append(l.gaps, maxGap)
		}
		l.codes, l.gaps = append(l.codes, code), append(l.gaps, byte(gap))
		gap = 0
	}
	return l, want
}

// encode returns the file with these layers.
func encode(layers ...storedLayer) []byte {
	var b []byte
	for _, l := range layers {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(l.codes)))
	}
	for _, l := range layers {
		for _, v := range slices.Concat(l.codebook[:], l.bias) {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		b = append(b, l.codes...)
		for i := 0; i < len(l.gaps); i += 2 {
			pair := l.gaps[i]
			if i+1 < len(l.gaps) {
				pair |= l.gaps[i+1] << 4
			}
			b = append(b, pair)
		}
	}
	return b
}

// small are the layers of a small file. storeSmall stores some of them with an even number of
// stored weights, some with an odd number, and layer two with fillers.
var small = []graph.Param{
	param("one", 3, 3, 3, 3),
	param("two", 5, 3, 3, 3),
	param("three", 3, 5, 1, 1),
}

func storeSmall() (layers []storedLayer, want []values) {
	for i, step := range []int{2, 40, 5} {
		l, v := store(small[i], step)
		layers, want = append(layers, l), append(want, v)
	}
	return layers, want
}

func TestDecode(t *testing.T) {
	layers, want := storeSmall()
	if n := bytes.Count(layers[1].codes, []byte{0}); n == 0 {
		t.Fatal("the test has no fillers")
	}
	decoded, err := decode(encode(layers...), small)
	if err != nil {
		t.Fatal(err)
	}
	got := decodedLayers(t, decoded)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %v,\nwant %v", got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	layers, _ := storeSmall()
	good := encode(layers...)
	// with returns the file after a change of layer two.
	with := func(change func(l *storedLayer)) []byte {
		layers, _ := storeSmall()
		change(&layers[1])
		return encode(layers...)
	}
	header := func(counts ...uint32) []byte {
		b := slices.Clone(good)
		for i, n := range counts {
			binary.LittleEndian.PutUint32(b[4*i:], n)
		}
		return b
	}
	noise := make([]byte, len(good))
	rand.NewChaCha8([32]byte{1}).Read(noise)

	for _, test := range []struct {
		name string
		file []byte
		want []string
	}{
		{"empty", nil, []string{"empty"}},
		{"header cut", good[:11], []string{"11 bytes, expected 12"}},
		{"only a header", good[:12], []string{"12 bytes, expected"}},
		{"last byte cut", good[:len(good)-1], []string{"bytes, expected"}},
		{"a byte more", append(slices.Clone(good), 0), []string{"bytes, expected"}},
		{"noise", noise, []string{"layer one", "stored weights, expected at most 81"}},
		{"zeros", make([]byte, len(good)), []string{"layer one", "all weights are zero"}},
		{"no weights", header(uint32(len(layers[0].codes)), 0), []string{"layer two", "all weights are zero"}},
		{"too many weights", header(82), []string{"layer one", "82 stored weights, expected at most 81"}},
		{"wrong sum", header(40, 12), []string{"bytes, expected"}},
		{"most weights", header(math.MaxUint32, math.MaxUint32), []string{"layer one", "4294967295 stored"}},
		{"codebook of NaN", with(func(l *storedLayer) { l.codebook[200] = float32(math.NaN()) }), []string{"layer two", "codebook entry 200 is NaN"}},
		{"infinite bias", with(func(l *storedLayer) { l.bias[4] = float32(math.Inf(-1)) }), []string{"layer two", "bias 4 is -Inf"}},
		{"filler of 1", with(func(l *storedLayer) { l.codebook[0] = 1 }), []string{"layer two", "codebook entry 0 is 1, expected 0"}},
		{"codebook of zeros", with(func(l *storedLayer) { l.codebook = [codes]float32{} }), []string{"layer two", "all weights are zero"}},
		{"only fillers", with(func(l *storedLayer) {
			l.codes, l.gaps = make([]byte, 8), bytes.Repeat([]byte{maxGap}, 8)
		}), []string{"layer two", "all weights are zero"}},
		{"index at the end", with(func(l *storedLayer) {
			l.codes, l.gaps = bytes.Repeat([]byte{1}, 9), append(bytes.Repeat([]byte{maxGap}, 8), 7)
		}), []string{"layer two", "weight 8 of the 9 stored has the place 135 in the layer, expected less than 135"}},
		{"zero with a short gap", with(func(l *storedLayer) { l.gaps[0]-- }), []string{"layer two", "weight 0 of", "gap 14, expected a gap of 15"}},
		{"value in the unused gap", with(func(l *storedLayer) { l.gaps[len(l.gaps)-1] |= 0x10 }), []string{"layer two", "unused gap at the end is 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := decode(test.file, small)
			if err == nil {
				t.Fatalf("no error, expected one with %q", test.want)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %q, expected one line with %q", err, want)
				}
			}
		})
	}
}

// lookup returns a model and its parameters.
func lookup(t testing.TB, name string) (*graph.Model, []graph.Param) {
	t.Helper()
	m, err := models.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	return m, params
}

// compressed returns a made-up file for a model, and the values in it.
func compressed(t testing.TB, name string) (file []byte, want []values) {
	t.Helper()
	_, params := lookup(t, name)
	var layers []storedLayer
	for _, p := range params {
		l, v := store(p, 3)
		layers, want = append(layers, l), append(want, v)
	}
	return encode(layers...), want
}

func writeFile(t *testing.T, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "weights.net")
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadDeepCompression(t *testing.T) {
	file, want := compressed(t, "squeezenet1.0")
	w, err := Open(writeFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range want {
		got, err := w.Layer(v.param)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Values, v.weights.Values) || !slices.Equal(got.Bias, v.weights.Bias) {
			t.Errorf("layer %s: other values than in the file", v.param.Node)
		}
	}
}

func TestReadDeepCompressionRefuses(t *testing.T) {
	good, _ := compressed(t, "squeezenet1.0")
	other, _ := compressed(t, "squeezenet1.1")
	noise := make([]byte, len(good))
	rand.NewChaCha8([32]byte{2}).Read(noise)
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "not a compressed squeezenet1.0: empty"},
		{"truncated", good[:len(good)/2], "not a compressed squeezenet1.0: "},
		{"oversized", make([]byte, 5<<20), "5242880 bytes, expected at most"},
		{"noise", noise, "not a compressed squeezenet1.0: layer conv1: "},
		{"for squeezenet1.1", other, "not a compressed squeezenet1.0: "},
		{"text", bytes.Repeat([]byte("weights! "), 10000), "not a compressed squeezenet1.0: layer conv1: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, test.file)
			_, err := ReadDeepCompression(path)
			if err == nil || !strings.HasPrefix(err.Error(), path+": "+test.want) {
				t.Errorf("error %v, expected one with the file's name and %q", err, test.want)
			}
		})
	}
	missing := filepath.Join(t.TempDir(), "missing.net")
	if _, err := ReadDeepCompression(missing); err == nil || !strings.HasPrefix(err.Error(), missing+": ") {
		t.Errorf("missing file: error %v", err)
	}
}

func TestAdapt(t *testing.T) {
	file, _ := compressed(t, "squeezenet1.0")
	path := writeFile(t, file)
	w, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range models.All() {
		t.Run(m.Name, func(t *testing.T) {
			before := *m
			before.Nodes = slices.Clone(m.Nodes)
			adapted, err := w.Adapt(m)
			if !reflect.DeepEqual(*m, before) {
				t.Fatal("Adapt changed its argument")
			}
			if m.Name != "squeezenet1.0" {
				if err == nil || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), m.Name+",") {
					t.Errorf("error %v, expected one that names the file and the model", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			params, err := adapted.Params()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Layer(params[0]); err != nil {
				t.Fatal(err)
			}
			infos, err := adapted.Infer()
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range infos {
				if n.Name == "conv10" && n.Out.H != 15 {
					t.Errorf("conv10 has the side %d, want 15", n.Out.H)
				}
			}
			if adapted.Preprocessor != "caffe-bgr-227" {
				t.Errorf("preprocessor %q", adapted.Preprocessor)
			}
			if again, err := w.Adapt(adapted); err != nil || !reflect.DeepEqual(again, adapted) {
				t.Error("Adapt of the adapted model is another model")
			}
			unknown := param("conv1", 96, 3, 7, 8)
			if _, err := w.Layer(unknown); err == nil || !strings.Contains(err.Error(), "no layer conv1") {
				t.Errorf("layer %v: error %v", unknown, err)
			}
		})
	}
}

// TestRewriteOfWeights: a rewrite gets the model that the weights were trained for, and what it
// makes is compiled although the weights know no such model.
func TestRewriteOfWeights(t *testing.T) {
	file, _ := compressed(t, "squeezenet1.0")
	w, err := Open(writeFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := lookup(t, "squeezenet1.0")
	var drop graph.Rewrite = func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
		m = m.Clone()
		return m, w, m.Replace("drop9", graph.Node{Name: "other9", Layer: layer.Dropout{}})
	}
	rewritten, rw, err := drop.Apply(m, w)
	if err != nil {
		t.Fatal(err)
	}
	p, err := graph.Compile(rewritten, rw, graph.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Model().Preprocessor != "caffe-bgr-227" || p.Logits().C != 1000 {
		t.Errorf("compiled %+v", p.Model())
	}
	other, _ := lookup(t, "squeezenet1.1")
	if _, _, err := drop.Apply(other, w); err == nil || !strings.Contains(err.Error(), "squeezenet1.1") {
		t.Errorf("another model's weights: error %v", err)
	}
}

// TestWriteDeepCompression: every byte of a file, with fillers, and without them behind the last weight of a layer.
func TestWriteDeepCompression(t *testing.T) {
	_, params := lookup(t, "squeezenet1.0")
	var layers []storedLayer
	for i, p := range params {
		l, _ := store(p, []int{3, 40, 17, 1}[i%4])
		layers = append(layers, l)
	}
	for _, change := range []func(){
		func() {},
		func() { // the value that is missing is the last one, and 18 zeros remain
			l := &layers[1]
			n := len(l.codes) - 1
			for l.codes[n-1] == 0 {
				n--
			}
			l.codes, l.gaps = l.codes[:n], l.gaps[:n]
		},
	} {
		change()
		file := encode(layers...)
		w, err := Open(writeFile(t, file))
		if err != nil {
			t.Fatal(err)
		}
		m, _ := lookup(t, "squeezenet1.0")
		var again bytes.Buffer
		if err := WriteDeepCompression(&again, m, w); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Bytes(), file) {
			t.Error("other bytes than in the file that was read")
		}
	}
}

// TestDeepCompressionPublished: the published file, read and written, is the same file.
func TestDeepCompressionPublished(t *testing.T) {
	path := kerneltest.Shared(t, "weights/compressed_SqueezeNet.net")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := lookup(t, "squeezenet1.0")
	var again bytes.Buffer
	if err := WriteDeepCompression(&again, m, w); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Bytes(), file) {
		t.Error("other bytes than in the published file")
	}
}

// unshared hides the codebooks of weights.
type unshared struct{ graph.Weights }

// TestWriteDeepCompressionValues: weights that do not know that they share values are written all the same.
func TestWriteDeepCompressionValues(t *testing.T) {
	file, want := compressed(t, "squeezenet1.0")
	w, err := Open(writeFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := lookup(t, "squeezenet1.0")
	var b bytes.Buffer
	if err := WriteDeepCompression(&b, m, unshared{w}); err != nil {
		t.Fatal(err)
	}
	if w, err = Open(writeFile(t, b.Bytes())); err != nil {
		t.Fatal(err)
	}
	if _, got := layers(t, w, m); !reflect.DeepEqual(got, want) {
		t.Error("other weights than were written")
	}
	var ascending [codes]float32
	for i := range 86 { // every third weight is stored, with every third code
		ascending[i] = float32(3*i) / 16
	}
	if l := w.(*deepCompression).layers[0]; !slices.Equal(l.codebook, ascending[:]) {
		t.Errorf("codebook %v, want the values in ascending order", l.codebook)
	}
}

// many are weights with as many values besides 0.
type many int

func (many) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }

func (n many) Layer(p graph.Param) (kernels.Weights, error) {
	values := make([]float32, size(p))
	for i := range values {
		values[i] = float32(i % (int(n) + 1))
	}
	return kernels.Weights{Values: values}, nil
}

// books are Shared weights whose first layer is given.
type books struct {
	graph.Weights
	codebook []float32
	codes    []uint8
}

func (b books) Codebook(p graph.Param) ([]float32, []uint8, bool) {
	return b.codebook, b.codes, p.Node == "conv1"
}

func TestWriteDeepCompressionRefuses(t *testing.T) {
	file, _ := compressed(t, "squeezenet1.0")
	w, err := Open(writeFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	m, params := lookup(t, "squeezenet1.0")
	other, _ := lookup(t, "squeezenet1.1")
	codebook, codes, _ := w.(graph.Shared).Codebook(params[0])
	swapped := slices.Clone(codes)
	swapped[2], swapped[5] = swapped[5], swapped[2]
	trained := adapting{Random(1), dcRecipe}
	for _, test := range []struct {
		name    string
		m       *graph.Model
		weights graph.Weights
		want    string
	}{
		{"another model", other, Random(1), `no place for the model squeezenet1.1, which differs from "conv1" on`},
		{"another padding", m, Random(1), `no place for the model squeezenet1.0, which differs from "conv10" on`},
		{"another preprocessor", m, adapting{Random(1), recipe{padding: dcRecipe.padding, preprocessor: "torchvision-rgb-224", height: 224, width: 224}},
			`preprocessor "torchvision-rgb-224" makes an input of 224×224×3, the format has place for "caffe-bgr-227" and 227×227×3 only`},
		{"preprocessor only", m, adapting{Random(1), recipe{padding: dcRecipe.padding, preprocessor: "torchvision-rgb-227"}}, `preprocessor "torchvision-rgb-227" makes an input of 227×227×3`},
		{"input only", m, adapting{Random(1), recipe{padding: dcRecipe.padding, preprocessor: "caffe-bgr-227", height: 227, width: 228}}, `preprocessor "caffe-bgr-227" makes an input of 227×228×3`},
		{"256 values", m, adapting{many(256), dcRecipe}, "layer conv1: more than 255 values besides 0"},
		{"many values", m, trained, "layer conv1: more than 255 values besides 0"},
		{"scales", m, scaledWeights{trained}, "layer conv1: its weights are quantized"},
		{"no codebook", m, books{w, nil, codes}, "layer conv1: codebook of 0 values, expected 1 to 256, of which the first is 0"},
		{"long codebook", m, books{w, make([]float32, 257), codes}, "layer conv1: codebook of 257 values"},
		{"first value", m, books{w, []float32{1}, codes}, "layer conv1: codebook of 1 values, expected 1 to 256, of which the first is 0"},
		{"few codes", m, books{w, codebook, codes[1:]}, "layer conv1: 14111 codes, expected 14112"},
		{"short codebook", m, books{w, codebook[:6], codes}, "layer conv1: weight 5 has code 6, which is not its value"},
		{"wrong codes", m, books{w, codebook, swapped}, "layer conv1: weight 2 has code 6, which is not its value in the codebook, 0.1875"},
	} {
		err := WriteDeepCompression(io.Discard, test.m, test.weights)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
	if err := WriteDeepCompression(io.Discard, m, adapting{many(255), dcRecipe}); err != nil {
		t.Errorf("255 values: %v", err)
	}
	full := errors.New("full")
	if err := WriteDeepCompression(failing{full}, m, w); err != full {
		t.Errorf("error %v, want that of the writer", err)
	}
}

// FuzzDecode checks that what the reader accepts is finite, complete, and not zero.
//
// The fuzzer gets a file of one tiny layer in parts: the number of stored weights,
// one entry of the codebook, and what follows the codebook. The other entries, a
// kilobyte in which hardly a bit matters, would fill its time.
func FuzzDecode(f *testing.F) {
	p := param("tiny", 2, 3, 3, 3)
	good, _ := store(p, 2)
	sparse, _ := store(p, 40)
	for _, l := range []storedLayer{good, sparse} {
		rest := encode(l)[4+4*codes:]
		n := uint32(len(l.codes))
		f.Add(n, byte(1), l.codebook[1], rest)
		f.Add(n, byte(3), float32(math.Inf(1)), rest)
		f.Add(n, byte(0), float32(1), rest)
		f.Add(n-1, byte(1), l.codebook[1], rest)
		f.Add(n, byte(1), l.codebook[1], rest[:len(rest)-1])
		f.Add(n, byte(1), l.codebook[1], append(slices.Clone(rest), 1))
	}
	f.Add(uint32(0), byte(0), float32(0), []byte{})
	f.Fuzz(func(t *testing.T, n uint32, entry byte, value float32, rest []byte) {
		codebook := good.codebook
		codebook[entry] = value
		file := binary.LittleEndian.AppendUint32(nil, n)
		for _, v := range codebook {
			file = binary.LittleEndian.AppendUint32(file, math.Float32bits(v))
		}
		layers, err := decode(append(file, rest...), []graph.Param{p})
		if err != nil {
			return
		}
		if len(layers) != 1 {
			t.Fatalf("%d layers, want 1", len(layers))
		}
		l := decodedLayers(t, layers)[0].weights
		if layers[0].param != p || len(l.Values) != size(p) || len(l.Bias) != p.Dims[0] {
			t.Fatalf("%v with %d weights and %d biases", layers[0].param, len(l.Values), len(l.Bias))
		}
		zeros := true
		for _, v := range slices.Concat(l.Values, l.Bias) {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Fatalf("the value %g", v)
			}
		}
		for _, v := range l.Values {
			zeros = zeros && v == 0
		}
		if zeros {
			t.Fatal("all weights are zero")
		}
	})
}
