package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/protobuf"
)

// A piece of a file is bytes, and a hole of zeros behind them.
type piece struct {
	bytes []byte
	hole  int
}

// message encodes a field of bytes, which pieces are.
func message(number protowire.Number, pieces ...piece) []piece {
	size := 0
	for _, p := range pieces {
		size += len(p.bytes) + p.hole
	}
	head := protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.BytesType), uint64(size))
	return append([]piece{{bytes: head}}, pieces...)
}

func text(number protowire.Number, s string) []piece {
	return message(number, piece{bytes: []byte(s)})
}

func number(field protowire.Number, v int) []piece {
	return []piece{{bytes: protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), uint64(v))}}
}

// join returns the file of some pieces.
func join(pieces []piece) []byte {
	var b []byte
	for _, p := range pieces {
		b = append(append(b, p.bytes...), make([]byte, p.hole)...)
	}
	return b
}

// A caffeForm says which of Caffe's ways a test file goes.
type caffeForm struct {
	v1       bool // layers are V1LayerParameters
	old      bool // dimensions are four numbers
	unpacked bool
	double   bool
}

// blob encodes a BlobProto.
func (c caffeForm) blob(data []float32, dims ...int) []piece {
	var pieces []piece
	if c.old {
		dims = append(slices.Repeat([]int{1}, 4-len(dims)), dims...)
		for i, d := range dims {
			pieces = append(pieces, number(protowire.Number(i+1), d)...)
		}
	} else {
		var packed []byte
		for _, d := range dims {
			packed = protowire.AppendVarint(packed, uint64(d))
		}
		pieces = append(pieces, message(7, message(1, piece{bytes: packed})...)...)
	}
	field, typ := protowire.Number(5), protowire.Fixed32Type
	if c.double {
		field, typ = 8, protowire.Fixed64Type
	}
	var b []byte
	for _, v := range data {
		if c.unpacked {
			b = protowire.AppendTag(b, field, typ)
		}
		if c.double {
			b = protowire.AppendFixed64(b, math.Float64bits(float64(v)))
		} else {
			b = protowire.AppendFixed32(b, math.Float32bits(v))
		}
	}
	if c.unpacked {
		return append(pieces, piece{bytes: b})
	}
	half := len(b) / 16 * 8 // packed values may come in several fields
	pieces = append(pieces, message(field, piece{bytes: b[:half]})...)
	return append(pieces, message(field, piece{bytes: b[half:]})...)
}

// layer encodes a layer of a network.
func (c caffeForm) layer(name, typ string, v1Type int, conv []piece, blobs ...[]piece) []piece {
	var pieces []piece
	if c.v1 {
		pieces = append(append(text(2, "bottom"), text(4, name)...), number(5, v1Type)...)
		for _, b := range blobs {
			pieces = append(pieces, message(6, b...)...)
		}
		if conv != nil {
			pieces = append(pieces, message(10, conv...)...)
		}
		return message(2, pieces...)
	}
	pieces = append(append(text(1, name), text(2, typ)...), text(3, "bottom")...)
	for _, b := range blobs {
		pieces = append(pieces, message(7, b...)...)
	}
	if conv != nil {
		pieces = append(pieces, message(106, conv...)...)
	}
	return message(100, pieces...)
}

// network encodes a network like m, in which conv10 is padded by 1. data returns a blob of a layer's
// weights or biases.
func (c caffeForm) network(t testing.TB, m *graph.Model, data func(p graph.Param, dims ...int) []piece) []piece {
	t.Helper()
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	pieces := text(1, "a network")
	for _, n := range m.Nodes {
		name := strings.Replace(n.Name, ".", "/", 1)
		i := slices.IndexFunc(params, func(p graph.Param) bool { return p.Node == n.Name })
		switch l := n.Layer.(type) {
		case layer.Conv:
			conv := append(number(1, l.Out), number(4, l.Kernel)...)
			pad := l.Pad.Top
			if n.Name == "conv10" {
				pad = 1
			}
			if pad > 0 {
				conv = append(conv, number(3, pad)...)
			}
			if l.Stride > 1 {
				conv = append(conv, number(6, l.Stride)...)
			}
			if l.Groups > 1 {
				conv = append(conv, number(5, l.Groups)...)
			}
			p := params[i]
			pieces = append(pieces, c.layer(name, "Convolution", 4, conv, data(p, p.Dims[:]...), data(p, p.Dims[0]))...)
		case layer.Dense:
			p := params[i]
			pieces = append(pieces, c.layer(name, "InnerProduct", 14, nil, data(p, p.Dims[0], p.Dims[1]*p.Dims[2]*p.Dims[3]), data(p, p.Dims[0]))...)
		case layer.Add:
			pieces = append(pieces, c.layer("bypass_23", "Eltwise", 25, nil)...)
		default:
			pieces = append(pieces, c.layer(name, "Another", 1, nil)...)
		}
	}
	return pieces
}

// random encodes a network with random weights.
func (c caffeForm) random(t testing.TB, m *graph.Model) []piece {
	w := Random(8)
	return c.network(t, m, func(p graph.Param, dims ...int) []piece {
		l, err := w.Layer(p)
		if err != nil {
			t.Fatal(err)
		}
		if len(dims) == 1 {
			return c.blob(l.Bias, dims...)
		}
		return c.blob(l.Values, dims...)
	})
}

func TestCaffemodel(t *testing.T) {
	for model, forms := range map[string][]caffeForm{
		"squeezenet1.0":        {{}, {v1: true, old: true}},
		"squeezenet1.0-simple": {{old: true, double: true}, {v1: true}},
		"squeezenet1.1":        {{v1: true, double: true}, {unpacked: true}, {v1: true, unpacked: true, double: true}},
	} {
		for i, form := range forms {
			if i > 0 && testing.Short() {
				break
			}
			t.Run(fmt.Sprintf("%s/%+v", model, form), func(t *testing.T) {
				m, _ := lookup(t, model)
				w, err := Open(writeFile(t, join(form.random(t, m))))
				if err != nil {
					t.Fatal(err)
				}
				_, want := layers(t, Random(8), m)
				adapted, got := layers(t, w, m)
				if !reflect.DeepEqual(got, want) {
					t.Error("other weights than in the file")
				}
				padded := recipe{padding: map[string]kernels.Padding{"conv10": kernels.Pad(1)}}.apply(m)
				if !reflect.DeepEqual(adapted, padded) {
					t.Errorf("adapted to %+v, want %+v", adapted, padded)
				}
				for _, other := range models.All() {
					if _, err := w.Adapt(other); (err == nil) != (other.Name == model) {
						t.Errorf("%s: error %v", other.Name, err)
					}
				}
			})
		}
	}
}

// TestCaffemodelAlexNet: of each tensor of a file that is mostly holes, the first and the last value.
func TestCaffemodelAlexNet(t *testing.T) {
	m, params := lookup(t, "alexnet")
	form := caffeForm{v1: true}
	next := float32(0)
	value := func() []byte {
		next++
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits(next))
	}
	pieces := form.network(t, m, func(p graph.Param, dims ...int) []piece {
		n := 1
		for _, d := range dims {
			n *= d
		}
		var blob []piece
		for i, d := range append(slices.Repeat([]int{1}, 4-len(dims)), dims...) {
			blob = append(blob, number(protowire.Number(i+1), d)...)
		}
		return append(blob, message(5, piece{value(), 4*n - 8}, piece{bytes: value()})...)
	})
	path := filepath.Join(t.TempDir(), "alexnet.caffemodel")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := int64(0)
	for _, p := range pieces {
		if _, err := f.WriteAt(p.bytes, at); err != nil {
			t.Fatal(err)
		}
		at += int64(len(p.bytes) + p.hole)
	}
	w, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if adapted, err := w.Adapt(m); err != nil || !reflect.DeepEqual(adapted, m) {
		t.Errorf("adapted to %+v, %v, want %+v", adapted, err, m)
	}
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

func TestCaffemodelRefuses(t *testing.T) {
	v2, v1 := caffeForm{}, caffeForm{v1: true}
	small := v2.blob([]float32{1, 2, 3}, 3)
	m, _ := lookup(t, "squeezenet1.1")
	good := v2.random(t, m)
	// squeezenet is squeezenet1.1 with another layer in the place of one.
	squeezenet := func(name string, layer []piece) []byte {
		var b []byte
		file := join(good)
		for len(file) > 0 {
			number, _, n := protowire.ConsumeField(file)
			if number == 100 && bytes.Contains(file[:min(n, 64)], []byte("\x0a"+string(rune(len(name)))+name)) {
				b = append(b, join(layer)...)
			} else {
				b = append(b, file[:n]...)
			}
			file = file[n:]
		}
		return b
	}
	weights := func(n int) []float32 { return slices.Repeat([]float32{1}, n) }
	conv10 := func(conv []piece, blobs ...[]piece) []byte {
		return squeezenet("conv10", v2.layer("conv10", "Convolution", 4, conv, blobs...))
	}
	conv10Blobs := [][]piece{v2.blob(weights(512000), 1000, 512, 1, 1), v2.blob(weights(1000), 1000)}
	net := func(layers ...[]piece) []byte { return join(append(text(1, "net"), slices.Concat(layers...)...)) }
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"no layers", net(v2.layer("conv", "Convolution", 4, nil, small)), `network "net" has other layers than expected`},
		{"CaffeNet", net(v1.layer("conv1", "", 4, nil), v1.layer("pool1", "", 17, nil), v1.layer("norm1", "", 15, nil), v1.layer("fc8", "", 14, nil)),
			`network "net" has pool1 before norm1, as CaffeNet`},
		{"oldest form", net(message(2, text(1, "layer")...)), `layer 0, "": it is a V0LayerParameter, expected one of the newer forms`},
		{"cut off", join(good)[:1<<20], "byte 1015256: field 100 has 332628 bytes, expected at most the 33315 that are left"},
		{"a value too few", net(v2.layer("conv1", "", 4, nil, v2.blob([]float32{1, 2}, 3))), `layer 0, "conv1": blob 0: 2 values, expected those of 3`},
		{"a value too many", net(v2.layer("conv1", "", 4, nil, small, v2.blob([]float32{1, 2}))), `layer 0, "conv1": blob 1: 2 values, expected those of scalar`},
		{"no dimensions", net(v2.layer("conv1", "", 4, nil, message(5, piece{bytes: weightsBytes(3)}))), `blob 0: 3 values, expected those of 0×0×0×0`},
		{"huge dimensions", net(v1.layer("conv1", "", 4, nil, slices.Concat(number(1, 1<<31-1), number(2, 1<<31-1), number(3, 1<<31-1), number(4, 1<<31-1)))), "blob 0: 0 values, expected those of 2147483647×2147483647"},
		{"dimension of more than 31 bits", net(v1.layer("conv1", "", 4, nil, []piece{{bytes: protowire.AppendVarint([]byte{1 << 3}, 1<<31)}})), "blob 0: dimension 2147483648, expected at most"},
		{"half a value", net(v2.layer("conv1", "", 4, nil, message(5, piece{bytes: make([]byte, 6)}))), "field 5 has 6 bytes, expected a multiple of 4"},
		{"half a double", net(v2.layer("conv1", "", 4, nil, message(8, piece{bytes: make([]byte, 12)}))), "field 8 has 12 bytes, expected a multiple of 8"},
		{"rank", net(v2.layer("conv1", "", 4, nil, message(7, message(1, piece{bytes: bytes.Repeat([]byte{1}, 9)})...))), "shape: field 1 has more than 8 values"},
		{"many blobs", net(v2.layer("conv1", "", 4, nil, slices.Repeat([][]piece{small}, 9)...)), `layer 0, "conv1": more than 8 blobs`},
		{"many layers", net(slices.Repeat([][]piece{v2.layer("a", "", 4, nil)}, 4097)...), "more than 4096 layers"},
		{"many strides", net(v2.layer("conv1", "", 4, slices.Concat(slices.Repeat([][]piece{number(6, 1)}, 9)...))), "convolution: field 6 has more than 8 values"},
		{"name is a number", net(message(100, number(1, 1)...)), "field 1 has the wire type 0, expected 2"},
		{"twice", slices.Concat(join(good), join(v2.layer("conv1", "", 4, nil, small))), `layer "conv1" with weights occurs twice`},
		{"missing", squeezenet("fire9/expand3x3", nil), `tensor "fire9/expand3x3[0]" is missing, expected 256×64×3×3`},
		{"no bias", conv10(nil, conv10Blobs[0]), `tensor "conv10[1]" is missing, expected 1000`},
		{"surplus", slices.Concat(join(good), join(v2.layer("bypass", "", 4, nil, small))), `tensor "bypass[0]" of 3 is surplus, expected 52 others`},
		{"misshapen", conv10(nil, v2.blob(weights(512000), 512, 1000, 1, 1), conv10Blobs[1]), `tensor "conv10[0]" is 512×1000×1×1, expected 1000×512×1×1`},
		{"stride", conv10(number(6, 2), conv10Blobs...), `layer "conv10": stride is 2, expected 1`},
		{"stride of the width", conv10(number(14, 3), conv10Blobs...), `layer "conv10": stride is 3, expected 1`},
		{"group", conv10(number(5, 4), conv10Blobs...), `layer "conv10": group is 4, expected 1`},
		{"dilation", conv10(append(number(18, 1), number(18, 2)...), conv10Blobs...), `layer "conv10": dilation is 2, expected 1`},
		{"pad", conv10(number(3, 70000), conv10Blobs...), `layer "conv10": pad is 70000, expected at most 65535`},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, test.file)
			_, err := Open(path)
			checkError(t, err, path, "caffemodel: ")
			checkError(t, err, path, test.want)
		})
	}

	// A padding of each side, and values that are refused when they are read.
	b := protowire.AppendFixed64(protowire.AppendTag(nil, 8, protowire.Fixed64Type), math.Float64bits(1e300))
	for range 999 {
		b = protowire.AppendFixed64(protowire.AppendTag(b, 8, protowire.Fixed64Type), math.Float64bits(1))
	}
	path := writeFile(t, conv10(slices.Concat(number(3, 9), number(9, 1), number(10, 2)), conv10Blobs[0], slices.Concat(number(1, 1), number(2, 1), number(3, 1), number(4, 1000), []piece{{bytes: b}})))
	w, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	adapted, err := w.Adapt(m)
	if err != nil {
		t.Fatal(err)
	}
	if got := adapted.Nodes[slices.IndexFunc(m.Nodes, func(n graph.Node) bool { return n.Name == "conv10" })].Layer.(layer.Conv).Pad; got != (kernels.Padding{Top: 1, Left: 2, Bottom: 1, Right: 2}) {
		t.Errorf("padding %v, want 1,2,1,2", got)
	}
	_, err = w.Layer(param("conv10", 1000, 512, 1, 1))
	checkError(t, err, path, `tensor "conv10[1]" of 1000: value 0 is +Inf, expected a finite value`)
}

func weightsBytes(n int) (b []byte) {
	for range n {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(1))
	}
	return b
}

// TestBlobChanged: an array of a file that has become another one.
func TestBlobChanged(t *testing.T) {
	file := join(message(1, caffeForm{}.blob([]float32{1, 2, 3}, 3)...))
	f, err := firstField(file)
	if err != nil {
		t.Fatal(err)
	}
	a, err := parseBlob(f)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.load(bytes.NewReader(file), nil); err != nil || !slices.Equal(got, []float32{1, 2, 3}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, change := range []func(b []byte){
		func(b []byte) { b[len(b)-14] = 4<<3 | 2 }, // the second half has another field number
		func(b []byte) { b[len(b)-14] = 5<<3 | 7 },
	} {
		other := slices.Clone(file)
		change(other)
		if _, err := a.load(bytes.NewReader(other), nil); err == nil {
			t.Error("no error for a file that has changed")
		}
	}
	for _, form := range []caffeForm{{}, {unpacked: true}, {unpacked: true, double: true}} {
		blob := join(form.blob([]float32{1, 2, 3}, 3))
		r := io.NewSectionReader(bytes.NewReader(blob), 0, int64(len(blob)))
		if _, err := loadBlob(r, make([]float32, 2)); err == nil || err.Error() != "more than 2 values" {
			t.Errorf("%+v: error %v, want more than 2 values", form, err)
		}
	}
}

// firstField returns the first field of a message.
func firstField(b []byte) (protobuf.Field, error) {
	for f, err := range protobuf.NewMessage(bytes.NewReader(b), int64(len(b))).Fields() {
		return f, err
	}
	return protobuf.Field{}, errors.New("no field")
}

func FuzzOpenCaffemodel(f *testing.F) {
	for _, c := range []caffeForm{{}, {v1: true, old: true}, {unpacked: true}, {v1: true, double: true}, {unpacked: true, double: true}} {
		f.Add(join(slices.Concat(text(1, "n"),
			c.layer("conv1", "Convolution", 4, slices.Concat(number(3, 1), number(6, 2), number(9, 1)), c.blob([]float32{1, 2}, 2, 1), c.blob([]float32{3}, 1)),
			c.layer("e", "Eltwise", 25, nil))))
	}
	f.Add(join(message(100, message(7, slices.Concat(number(1, 1<<30), number(2, 1<<30))...)...)))
	f.Fuzz(func(t *testing.T, file []byte) {
		r := bytes.NewReader(file)
		var net *caffeNet
		var err error
		if n := allocated(func() {
			readCaffemodel(r, int64(len(file)))
			net, err = parseNet(protobuf.NewMessage(r, int64(len(file))))
		}); n > maxAllocated(len(file)) {
			t.Errorf("%d bytes allocated for a file of %d", n, len(file))
		}
		if err != nil {
			return
		}
		for _, l := range net.layers {
			if l.conv != nil {
				l.conv.check(layer.Conv{})
			}
			for _, a := range l.blobs {
				n := allocated(func() { _, err = a.load(r, nil) })
				if n > maxAllocated(len(file)) || err != nil {
					t.Errorf("%s: %d bytes allocated for a file of %d, %v", a.shape(), n, len(file), err)
				}
			}
		}
	})
}
