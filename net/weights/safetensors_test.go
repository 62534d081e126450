package weights

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/tensor"
)

// A named tensor goes into a file that a test makes.
type named struct {
	name  string
	dims  []int
	dtype tensor.DType
	data  []float32
}

// bytes returns the values of n, cut to its type.
func (n named) bytes() []byte {
	var b []byte
	for _, v := range n.data {
		bits := math.Float32bits(v)
		switch n.dtype {
		case tensor.F16: // of normal numbers
			b = binary.LittleEndian.AppendUint16(b, uint16(bits>>16&0x8000|(bits>>23&0xff-112)<<10|bits>>13&0x3ff))
		case tensor.BF16:
			b = binary.LittleEndian.AppendUint16(b, uint16(bits>>16))
		default:
			b = binary.LittleEndian.AppendUint32(b, bits)
		}
	}
	return b
}

// safetensorsFile returns a file with these tensors and a member of the header before them.
func safetensorsFile(member string, list ...named) []byte {
	members := []string{member}
	if member == "" {
		members = nil
	}
	var values []byte
	for _, n := range list {
		begin := len(values)
		values = append(values, n.bytes()...)
		dims := strings.ReplaceAll(fmt.Sprint(n.dims), " ", ",")
		members = append(members, fmt.Sprintf(`"%s":{"dtype":"%v","shape":%s,"data_offsets":[%d,%d]}`, n.name, n.dtype, dims, begin, len(values)))
	}
	return headed("{"+strings.Join(members, ",")+"}", values)
}

// headed returns a file with this header.
func headed(header string, values []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), values...)
}

// layers returns copies of all weights of a model, which w adapts.
func layers(t *testing.T, w graph.Weights, m *graph.Model) (*graph.Model, []values) {
	t.Helper()
	m, err := w.Adapt(m)
	if err != nil {
		t.Fatal(err)
	}
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	var all []values
	for _, p := range params {
		weights, bias := layerOf(t, w, p)
		all = append(all, values{p, kernels.Weights{Values: weights, Bias: bias}})
	}
	return m, all
}

// written writes a model's weights to a file.
func written(t *testing.T, m *graph.Model, w graph.Weights) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "model.safetensors")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := WriteSafetensors(f, m, w); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSafetensorsRoundTrip: what has been written gives the same network, also if the weights need another
// one than the table.
func TestSafetensorsRoundTrip(t *testing.T) {
	check := func(name string, m *graph.Model, w graph.Weights) {
		t.Run(name, func(t *testing.T) {
			path := written(t, m, w)
			read, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			wantModel, want := layers(t, w, m)
			gotModel, got := layers(t, read, m)
			if !reflect.DeepEqual(gotModel, wantModel) {
				t.Errorf("model\n%+v, want\n%+v", gotModel, wantModel)
			}
			if !reflect.DeepEqual(got, want) {
				t.Error("other weights")
			}
		})
	}
	for _, m := range models.All() {
		if strings.HasPrefix(m.Name, "alexnet") {
			continue // 244 MB; a small model has a dense layer as well
		}
		check(m.Name, m, Random(3))
	}
	file, _ := compressed(t, "squeezenet1.0")
	padded, err := Open(writeFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := lookup(t, "squeezenet1.0")
	check("padded", m, padded)
	check("small", smallModel(), adapting{Random(4), recipe{
		height: 17, width: 19, preprocessor: "torchvision-rgb-224",
		padding: map[string]kernels.Padding{"a": {Top: 1, Bottom: 3, Right: 2}},
		ceil:    map[string]bool{"pool": true, "mean": false},
	}})
}

// adapting are weights with a recipe.
type adapting struct {
	graph.Weights
	recipe recipe
}

func (a adapting) Adapt(m *graph.Model) (*graph.Model, error) { return a.recipe.apply(m), nil }

// smallModel has a convolution and, behind it, a dense layer.
func smallModel() *graph.Model {
	return &graph.Model{
		Name:  "small",
		Input: layer.Shape{H: 2, W: 3, C: 4},
		Nodes: []graph.Node{
			{Name: "a", Layer: layer.Conv{Out: 2, Kernel: 1}},
			{Name: "pool", Layer: layer.MaxPool{Kernel: 1, Stride: 1}},
			{Name: "mean", Layer: layer.AvgPool{Kernel: 1, Stride: 1, Ceil: true}},
			{Name: "b", Layer: layer.Dense{Out: 3}},
		},
	}
}

// smallTensors are those of smallModel.
func smallTensors() []named {
	list := []named{
		{name: "a.weight", dims: []int{2, 4, 1, 1}},
		{name: "a.bias", dims: []int{2}},
		{name: "b.weight", dims: []int{3, 12}},
		{name: "b.bias", dims: []int{3}},
	}
	for i := range list {
		n := 1
		for _, d := range list[i].dims {
			n *= d
		}
		for j := range n {
			list[i].data = append(list[i].data, float32(1+i+j))
		}
	}
	return list
}

// TestWriteSafetensors: every byte of a small file.
func TestWriteSafetensors(t *testing.T) {
	list := smallTensors()
	want := safetensorsFile(`"__metadata__":{"firebench.input":"2x3","firebench.model":"small","firebench.padding":"a=0","firebench.preprocessor":"caffe-bgr-227","firebench.rounding":"pool=floor mean=ceil"}`, list...)
	length := int(binary.LittleEndian.Uint64(want))
	spaces := (8 - length%8) % 8
	want = slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(length+spaces)), want[8:8+length], bytes.Repeat([]byte{' '}, spaces), want[8+length:])
	m := smallModel()
	m.Preprocessor = "caffe-bgr-227"
	var got bytes.Buffer
	if err := WriteSafetensors(&got, m, listed(list)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%q, want\n%q", got.Bytes(), want)
	}
}

// listed are the weights of smallModel, as they are in a list.
type listed []named

func (listed) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }

func (l listed) Layer(p graph.Param) (kernels.Weights, error) {
	i := slices.IndexFunc(l, func(n named) bool { return n.name == p.Node+".weight" })
	return kernels.Weights{Values: l[i].data, Bias: l[i+1].data}, nil
}

type scaledWeights struct{ graph.Weights }

func (s scaledWeights) Layer(p graph.Param) (kernels.Weights, error) {
	w, err := s.Weights.Layer(p)
	w.Scales = make([]float32, p.Dims[0])
	return w, err
}

func TestWriteSafetensorsRefuses(t *testing.T) {
	change := func(at int, data []float32) listed {
		list := smallTensors()
		list[at].data = data
		return list
	}
	for _, test := range []struct {
		weights graph.Weights
		want    string
	}{
		{scaledWeights{listed(smallTensors())}, "safetensors: small: layer a: its weights are quantized, expected float32"},
		{change(0, make([]float32, 8)), "layer a: all weights are zero"},
		{change(0, make([]float32, 7)), "layer a: 7 weights and 2 biases, expected 8 and 2"},
		{change(3, []float32{1, float32(math.Inf(1)), 1}), "layer b: biases: value 1 is +Inf"},
		{change(2, slices.Repeat([]float32{float32(math.NaN())}, 36)), "layer b: weights: value 0 is NaN"},
	} {
		if err := WriteSafetensors(io.Discard, smallModel(), test.weights); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
	full := fmt.Errorf("full")
	if err := WriteSafetensors(failing{full}, smallModel(), Random(1)); err != full {
		t.Errorf("error %v, want that of the writer", err)
	}
	var b bytes.Buffer
	if err := WriteSafetensors(&b, smallModel(), change(1, nil)); err != nil {
		t.Errorf("without biases: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// The modules with weights of torchvision's networks, in their order.
var torchvisionModules = map[string]string{
	"squeezenet1.0": `features.0
		features.3.squeeze features.3.expand1x1 features.3.expand3x3 features.4.squeeze features.4.expand1x1 features.4.expand3x3
		features.5.squeeze features.5.expand1x1 features.5.expand3x3 features.7.squeeze features.7.expand1x1 features.7.expand3x3
		features.8.squeeze features.8.expand1x1 features.8.expand3x3 features.9.squeeze features.9.expand1x1 features.9.expand3x3
		features.10.squeeze features.10.expand1x1 features.10.expand3x3 features.12.squeeze features.12.expand1x1 features.12.expand3x3
		classifier.1`,
	"squeezenet1.1": `features.0
		features.3.squeeze features.3.expand1x1 features.3.expand3x3 features.4.squeeze features.4.expand1x1 features.4.expand3x3
		features.6.squeeze features.6.expand1x1 features.6.expand3x3 features.7.squeeze features.7.expand1x1 features.7.expand3x3
		features.9.squeeze features.9.expand1x1 features.9.expand3x3 features.10.squeeze features.10.expand1x1 features.10.expand3x3
		features.11.squeeze features.11.expand1x1 features.11.expand3x3 features.12.squeeze features.12.expand1x1 features.12.expand3x3
		classifier.1`,
	"alexnet-owt": `features.0 features.3 features.6 features.8 features.10 classifier.1 classifier.4 classifier.6`,
}

// torchvisionFile returns random weights as torchvision names them, and what they are.
func torchvisionFile(t *testing.T, model string, dtype tensor.DType) (file []byte, want []values) {
	t.Helper()
	m, params := lookup(t, model)
	_, want = layers(t, Random(5), m)
	var list []named
	modules := strings.Fields(torchvisionModules[model])
	if len(modules) != len(params) {
		t.Fatalf("%d modules, %d layers", len(modules), len(params))
	}
	for i, p := range params {
		for _, data := range [][]float32{want[i].weights.Values, want[i].weights.Bias} {
			for j := range data { // what every type has, normal in float16
				data[j] = math.Float32frombits(math.Float32bits(data[j]) &^ 0xffff)
				if math.Abs(float64(data[j])) < 0x1p-14 {
					data[j] = 0x1p-10
				}
			}
		}
		list = append(list,
			named{modules[i] + ".weight", p.Dims[:], dtype, want[i].weights.Values},
			named{modules[i] + ".bias", p.Dims[:1], dtype, want[i].weights.Bias})
	}
	slices.Reverse(list) // the order does not matter
	return safetensorsFile(`"__metadata__":{"format":"pt"}`, list...), want
}

func TestTorchvision(t *testing.T) {
	for model, dtype := range map[string]tensor.DType{"squeezenet1.0": tensor.F32, "squeezenet1.1": tensor.F16} {
		t.Run(model, func(t *testing.T) {
			file, want := torchvisionFile(t, model, dtype)
			w, err := Open(writeFile(t, file))
			if err != nil {
				t.Fatal(err)
			}
			m, _ := lookup(t, model)
			if _, got := layers(t, w, m); !reflect.DeepEqual(got, want) {
				t.Error("other weights than in the file")
			}
			checkTorchvision(t, w, m)
		})
	}
}

// checkTorchvision checks to which models w adapts, of which m is the one.
func checkTorchvision(t *testing.T, w graph.Weights, m *graph.Model) {
	t.Helper()
	want := m.Clone()
	want.Input.H, want.Input.W, want.Preprocessor = 224, 224, "torchvision-rgb-224"
	// A model that other weights have been trained for is adapted to these.
	others := recipe{padding: map[string]kernels.Padding{"conv10": kernels.Pad(1)}}.apply(m)
	for _, m := range []*graph.Model{m, others} {
		if got, err := w.Adapt(m); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("adapted to %+v, %v, want %+v", got, err, want)
		}
	}
	for _, other := range models.All() {
		if _, err := w.Adapt(other); (err == nil) != (other.Name == m.Name) {
			t.Errorf("%s: error %v", other.Name, err)
		}
	}
}

// TestTorchvisionAlexNet: of each tensor of a file that is mostly a hole, the first and the last value.
func TestTorchvisionAlexNet(t *testing.T) {
	m, params := lookup(t, "alexnet-owt")
	modules := strings.Fields(torchvisionModules[m.Name])
	var members []string
	values := map[int64]float32{} // by offset
	at := int64(0)
	add := func(name string, dims ...int) {
		n := int64(1)
		for _, d := range dims {
			n *= int64(d)
		}
		end := at + 2*n
		members = append(members, fmt.Sprintf(`"%s":{"dtype":"BF16","shape":%s,"data_offsets":[%d,%d]}`, name, strings.ReplaceAll(fmt.Sprint(dims), " ", ","), at, end))
		values[at], values[end-2] = float32(len(values)+1), float32(len(values)+2)
		at = end
	}
	for i, p := range params {
		if strings.HasPrefix(p.Node, "fc") {
			add(modules[i]+".weight", p.Dims[0], p.Dims[1]*p.Dims[2]*p.Dims[3])
		} else {
			add(modules[i]+".weight", p.Dims[:]...)
		}
		add(modules[i]+".bias", p.Dims[0])
	}
	head := headed("{"+strings.Join(members, ",")+"}", nil)
	path := writeFile(t, head)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(len(head)) + at); err != nil {
		t.Fatal(err)
	}
	for offset, v := range values {
		if _, err := f.WriteAt(named{dtype: tensor.BF16, data: []float32{v}}.bytes(), int64(len(head))+offset); err != nil {
			t.Fatal(err)
		}
	}
	w, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	checkTorchvision(t, w, m)
	v := float32(1)
	for _, p := range params {
		if size(p) >= 1<<24 { // reading zeros takes time
			v += 4
			continue
		}
		l, err := w.Layer(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range [][]float32{l.Values, l.Bias} {
			if s[0] != v || s[len(s)-1] != v+1 {
				t.Errorf("%s: from %v to %v, want %v and %v", p.Node, s[0], s[len(s)-1], v, v+1)
			}
			v += 2
		}
	}
}

// TestSafetensorsNames: a file that says which of our models it is for has our names, whatever they look like.
func TestSafetensorsNames(t *testing.T) {
	m := &graph.Model{
		Name:  "other",
		Input: layer.Shape{H: 2, W: 3, C: 4},
		Nodes: []graph.Node{{Name: "features.0", Layer: layer.Conv{Out: 2, Kernel: 1}}},
	}
	w, err := Open(written(t, m, Random(1)))
	if err != nil {
		t.Fatal(err)
	}
	layers(t, w, m)
}

// TestDenseOrder: the weights of a dense layer, 2-D in the file, are those of the values in the order of PyTorch's
// flatten and Caffe's InnerProduct: channel by channel, row by row.
func TestDenseOrder(t *testing.T) {
	m := &graph.Model{
		Name:  "flat",
		Input: layer.Shape{H: 7, W: 5, C: 3},
		Nodes: []graph.Node{{Name: "fc6", Layer: layer.Dense{Out: 2}}},
	}
	const n = 7 * 5 * 3
	weight, bias := named{name: "fc6.weight", dims: []int{2, n}}, named{name: "fc6.bias", dims: []int{2}, data: []float32{-1, 1}}
	for i := range 2 * n {
		weight.data = append(weight.data, float32(i*i%31-15))
	}
	x := tensor.New(1, 3, 7, 5) // C, H, W: as it would be flattened
	for i := range x.Data {
		x.Data[i] = float32(i*7%13 - 6)
	}
	var want, wrong [2]float32 // wrong: flattened in the order H, W, C
	for o := range want {
		want[o], wrong[o] = bias.data[o], bias.data[o]
		for i, v := range x.Data {
			want[o] += weight.data[o*n+i] * v
			c, pixel := i/(7*5), i%(7*5)
			wrong[o] += weight.data[o*n+pixel*3+c] * v
		}
	}
	if want == wrong {
		t.Fatal("the order does not matter")
	}
	w, err := Open(writeFile(t, safetensorsFile("", weight, bias)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := graph.Compile(m, w, graph.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	run(t, p, x)
	if got := tensor.FromView(p.Logits()).Data; !slices.Equal(got, want[:]) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestSafetensorsRefuses(t *testing.T) {
	const one = `"dtype":"F32","shape":[1],"data_offsets":[0,4]`
	four := make([]byte, 4)
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"header cut", headed(`{"a":{`+one+`}}`, four)[:20], "header of 54 bytes, expected at most 12"},
		{"no JSON", headed(`{a}`, nil), "header: invalid character 'a'"},
		{"end missing", headed(`{"a":{`+one+`}`, four), "header: "},
		{"more JSON", headed(`{}{}`, nil), "header: 2 bytes behind the JSON object, expected spaces"},
		{"not an object", headed(`{"a":3}`, nil), `tensor "a": json: cannot unmarshal number`},
		{"twice", headed(`{"a":{`+one+`},"a":{`+one+`}}`, four), `tensor "a" occurs twice`},
		{"metadata", headed(`{"__metadata__":{"a":1}}`, nil), "__metadata__: json: cannot unmarshal number"},
		{"type", headed(`{"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}`, make([]byte, 8)), `tensor "a": type is "I64", expected F32, F16 or BF16`},
		{"unknown type", headed(`{"a":{"dtype":"F8","shape":[],"data_offsets":[0,1]}}`, make([]byte, 1)), `tensor "a": type is "F8"`},
		{"rank", headed(`{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}`, four), "9 dimensions, expected at most 8"},
		{"one offset", headed(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}`, four), "1 offsets, expected 2"},
		{"negative offset", headed(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, four), "it lies from -4 to 0, expected a part of the 4 bytes"},
		{"backwards", headed(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, four), "it lies from 4 to 0"},
		{"behind the end", headed(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, four), "it lies from 0 to 8, expected a part of the 4 bytes"},
		{"other size", headed(`{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,4]}}`, four), "4 bytes, expected 2 for F16 values 1"},
		{"overflow", headed(`{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]}}`, four), "more than 1 values"},
		{"negative dimension", headed(`{"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}`, four), "negative dimension"},
		{"gap", headed(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, make([]byte, 8)), `tensor "a" begins at 4, expected 0`},
		{"overlap", headed(`{"a":{`+one+`},"b":{`+one+`}}`, four), `tensor "b" begins at 0, expected 4`},
		{"data left", headed(`{"a":{`+one+`}}`, make([]byte, 5)), "4 bytes of values, the file has 5"},
		{"data cut", headed(`{"a":{`+one+`}}`, make([]byte, 3)), "it lies from 0 to 4, expected a part of the 3 bytes"},
		{"input", safetensorsFile(`"__metadata__":{"firebench.input":"224"}`), `firebench.input is "224", expected height x width as in 224x224`},
		{"input of nothing", safetensorsFile(`"__metadata__":{"firebench.input":"0x4"}`), `firebench.input is "0x4"`},
		{"padding", safetensorsFile(`"__metadata__":{"firebench.padding":"a=1 b"}`), `firebench.padding has "b", expected as in conv1=0`},
		{"two paddings", safetensorsFile(`"__metadata__":{"firebench.padding":"a=1,2"}`), `firebench.padding has "a=1,2"`},
		{"huge padding", safetensorsFile(`"__metadata__":{"firebench.padding":"a=99999"}`), `firebench.padding has "a=99999"`},
		{"rounding", safetensorsFile(`"__metadata__":{"firebench.rounding":"a=up"}`), `firebench.rounding has "a=up", expected as in pool1=ceil or pool2=floor`},
		{"rounding of nothing", safetensorsFile(`"__metadata__":{"firebench.rounding":"ceils"}`), `firebench.rounding has "ceils"`},
		{"vgg", safetensorsFile("", named{name: "features.0.weight", dims: []int{1}, data: []float32{1}}), "none of torchvision's squeezenet1_0, squeezenet1_1 and alexnet"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, test.file)
			_, err := Open(path)
			checkError(t, err, path, test.want)
		})
	}
}

// checkError checks that err is one line that names the file.
func checkError(t *testing.T, err error, path, want string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), path+": ") || strings.Count(err.Error(), path) != 1 ||
		!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, expected one line with the file's name and %q", err, want)
	}
}

// TestTensorsRefuse: files that are well formed and do not fit a model.
func TestTensorsRefuse(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(list []named) []named
		meta   string
		want   string
	}{
		{"missing", func(l []named) []named { return l[:2] }, "", "weights of small: tensor \"b.weight\" is missing, expected 3×2×2×3"},
		{"no bias", func(l []named) []named { return l[:3] }, "", "weights of small: tensor \"b.bias\" is missing, expected 3"},
		{"surplus", func(l []named) []named {
			return append(l, named{name: "d", dims: []int{1, 1}, data: []float32{1}}, named{name: "c", dims: []int{2, 1}, data: []float32{1, 1}})
		}, "", "weights of small: tensor \"c\" of 2×1 is surplus, expected 4 others"},
		{"turned", func(l []named) []named { l[0].dims = []int{4, 2, 1, 1}; return l }, "", "weights of small: tensor \"a.weight\" is 4×2×1×1, expected 2×4×1×1"},
		{"bias of rank 2", func(l []named) []named { l[1].dims = []int{2, 1}; return l }, "", "tensor \"a.bias\" is 2×1, expected 2"},
		{"another model", func(l []named) []named { return l }, `"__metadata__":{"firebench.model":"big"}`, "weights of big do not fit the model small"},
		{"zeros", func(l []named) []named { clear(l[2].data); l[2].data[1] = float32(math.Copysign(0, -1)); return l }, "", "tensor \"b.weight\" of 3×12: all values are zero"},
		{"NaN", func(l []named) []named { l[2].data[7] = float32(math.NaN()); return l }, "", "tensor \"b.weight\" of 3×12: value 7 is NaN, expected a finite value"},
		{"infinite bias", func(l []named) []named { l[3].data[2] = float32(math.Inf(-1)); return l }, "", "tensor \"b.bias\" of 3: value 2 is -Inf"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, safetensorsFile(test.meta, test.change(smallTensors())...))
			w, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			var m *graph.Model
			if m, err = w.Adapt(smallModel()); err == nil {
				var params []graph.Param
				if params, err = m.Params(); err != nil {
					t.Fatal(err)
				}
				for _, p := range params {
					if _, err = w.Layer(p); err != nil {
						break
					}
				}
			}
			checkError(t, err, path, test.want)
		})
	}
}

// TestTensorsMemory: a layer's memory is used again, and the file is open only while a layer is read.
func TestTensorsMemory(t *testing.T) {
	path := writeFile(t, safetensorsFile("", smallTensors()...))
	w, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.Layer(param("a", 2, 4, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.Layer(param("a", 2, 4, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	if &a.Values[0] != &again.Values[0] || &a.Bias[0] != &again.Bias[0] {
		t.Error("the next layer has new memory")
	}
	if _, err := w.Layer(param("a", 2, 2, 2, 1)); err == nil || !strings.Contains(err.Error(), "2×4×1×1, expected 2×2×2×1") {
		t.Errorf("a layer of another shape: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []func() error{
		func() error { return os.Chtimes(path, time.Time{}, info.ModTime().Add(-time.Hour)) },
		func() error {
			return errors.Join(os.WriteFile(path, []byte("short"), 0o666), os.Chtimes(path, time.Time{}, info.ModTime()))
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		_, err = w.Layer(param("a", 2, 4, 1, 1))
		checkError(t, err, path, "the file has changed since it was opened")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err = w.Layer(param("a", 2, 4, 1, 1))
	checkError(t, err, path, kerneltest.StatError(t, path))
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// maxAllocated is what reading the structure of a file of size bytes may allocate: windows on it, and a
// multiple of what it has.
func maxAllocated(size int) uint64 { return 1<<19 + 200*uint64(size) }

func FuzzOpenSafetensors(f *testing.F) {
	f.Add(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, []byte{0, 0, 128, 63})
	f.Add(`{"a.weight":{"dtype":"BF16","shape":[2,1,1,1],"data_offsets":[2,6]},"a.bias":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}  `, []byte{0, 1, 2, 3, 4, 5})
	f.Add(`{"__metadata__":{"firebench.input":"3x4","firebench.padding":"a=1 b=1,2,3,4","firebench.rounding":"c=ceil"}}`, []byte{})
	f.Add(`{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}`, []byte{})
	f.Add(`{"features.0.weight":{"dtype":"F16","shape":[],"data_offsets":[0,2]}}`, []byte{1, 1})
	f.Fuzz(func(t *testing.T, header string, data []byte) {
		file := headed(header, data)
		r := bytes.NewReader(file)
		var w *tensors
		var err error
		if n := allocated(func() { w, err = readSafetensors(r, int64(len(file))) }); n > maxAllocated(len(file)) {
			t.Errorf("%d bytes allocated for a file of %d", n, len(file))
		}
		if err != nil {
			return
		}
		for name, a := range w.arrays {
			n := allocated(func() { _, err = w.read(r, name, nil) })
			if n > maxAllocated(len(file)) {
				t.Errorf("%s of %s: %d bytes allocated for a file of %d", name, a.shape(), n, len(file))
			}
			if err != nil && !strings.Contains(err.Error(), "finite") {
				t.Error(err)
			}
		}
		if _, err := w.adapt(smallModel()); err == nil {
			if _, err := w.load(r, param("b", 3, 2, 2, 3)); err != nil && !strings.Contains(err.Error(), "finite") && !strings.Contains(err.Error(), "zero") {
				t.Error(err)
			}
		}
	})
}

// TestSafetensorsPython lets the format's own library read what is written, and write what is read:
// with a Python that has it and numpy, which FIREBENCH_PYTHON names.
func TestSafetensorsPython(t *testing.T) {
	python := os.Getenv("FIREBENCH_PYTHON")
	if python == "" {
		t.Skip("FIREBENCH_PYTHON names no Python with safetensors and numpy")
	}
	const script = `
import sys, hashlib
from safetensors import safe_open
from safetensors.numpy import save_file
tensors = {}
with safe_open(sys.argv[1], "np") as f:
    for name in f.keys():
        a = f.get_tensor(name)
        tensors[name] = a
        print(name, a.dtype, list(a.shape), hashlib.sha256(a.tobytes()).hexdigest())
    save_file(tensors, sys.argv[2], metadata=f.metadata())
`
	m, _ := lookup(t, "squeezenet1.1")
	path := written(t, m, Random(6))
	copied := filepath.Join(t.TempDir(), "copy.safetensors")
	out, err := exec.Command(python, "-c", script, path, copied).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, want := layers(t, Random(6), m)
	var lines []string
	add := func(name string, dims []int, data []float32) {
		b := named{data: data}.bytes()
		lines = append(lines, fmt.Sprintf("%s float32 %s %x", name, strings.ReplaceAll(fmt.Sprint(dims), " ", ", "), sha256.Sum256(b)))
	}
	for _, v := range want {
		add(v.param.Node+".weight", v.param.Dims[:], v.weights.Values)
		add(v.param.Node+".bias", v.param.Dims[:1], v.weights.Bias)
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(got)
	slices.Sort(lines)
	if !slices.Equal(got, lines) {
		t.Errorf("Python reads\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
	w, err := Open(copied)
	if err != nil {
		t.Fatal(err)
	}
	if adapted, got := layers(t, w, m); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(adapted, m) {
		t.Error("another network after Python has written it")
	}
}
