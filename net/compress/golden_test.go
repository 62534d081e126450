package compress

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/tensor"
	"firebench/net/weights"
)

// message returns the fields of an encoded protocol buffer, by number: the bytes of those that have
// bytes. See https://protobuf.dev/programming-guides/encoding.
func message(t *testing.T, data []byte) map[uint64][][]byte {
	t.Helper()
	fields := map[uint64][][]byte{}
	for len(data) > 0 {
		key, n := binary.Uvarint(data)
		data = data[max(n, 0):]
		size, n := binary.Uvarint(data)
		switch key & 7 {
		case 0:
			size = 0
		case 5:
			size, n = 4, 0
		case 2:
		default:
			t.Fatalf("field %d has the wire type %d", key>>3, key&7)
		}
		data = data[n:]
		fields[key>>3] = append(fields[key>>3], data[:size])
		data = data[size:]
	}
	return fields
}

// onnxTypes reads an ONNX file whose values are quantized by pairs of QuantizeLinear and
// DequantizeLinear, and returns the types by the original names of the values.
func onnxTypes(t *testing.T, path string) map[string]Value {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]Value{}
	graph := message(t, message(t, file)[7][0])
	for _, initializer := range graph[5] {
		tensor := message(t, initializer)
		name, raw := string(tensor[8][0]), tensor[9][0]
		if value, ok := strings.CutSuffix(name, "_s"); ok && len(raw) == 4 {
			v := types[value]
			v.Scale = math.Float32frombits(binary.LittleEndian.Uint32(raw))
			types[value] = v
		}
		if value, ok := strings.CutSuffix(name, "_z"); ok && len(raw) == 1 {
			v := types[value]
			v.Zero = int32(raw[0])
			types[value] = v
		}
	}
	return types
}

// TestGoldenLogits gives the network the types of a quantized network of another implementation, and
// compares its results with that implementation's.
func TestGoldenLogits(t *testing.T) {
	w, err := weights.Open(kerneltest.Shared(t, "weights/compressed_SqueezeNet.net"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := models.Lookup("squeezenet1.0")
	if err != nil {
		t.Fatal(err)
	}
	values, err := valuesOf(m)
	if err != nil {
		t.Fatal(err)
	}
	types := onnxTypes(t, kerneltest.Shared(t, "weights/squeezenet1.0_qdq7.onnx"))
	c := &Calibration{Model: m.Name, Images: 1}
	for _, v := range values {
		original := v.name
		switch {
		case v.name == graph.Input:
			original = "data"
		case v.name == "pool10" || v.name == "prob":
			original = "gap"
		case v.name == "drop9":
			original = "fire9.out"
		case strings.HasSuffix(v.name, ".concat"):
			original = strings.TrimSuffix(v.name, ".concat") + ".out"
		case !strings.HasPrefix(v.name, "pool"):
			original = strings.TrimSuffix(v.name, ".relu") + "_r"
		}
		typ, ok := types[original]
		if !ok {
			t.Fatalf("the file has no type of %s", original)
		}
		typ.Name = v.name
		c.Values = append(c.Values, typ)
	}
	m, qw, err := Quantize(c, Options{WeightBits: 7}).Apply(m, w)
	if err != nil {
		t.Fatal(err)
	}
	set, _ := kernels.For(kernels.Scalar)
	p, err := graph.Compile(m, qw, graph.Options{Set: set, KeepAll: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range 3 {
		x, err := tensor.ReadNPYFile(kerneltest.Shared(t, fmt.Sprintf("golden/input%d.npy", i)))
		if err != nil {
			t.Fatal(err)
		}
		want, err := tensor.ReadNPYFile(kerneltest.Shared(t, fmt.Sprintf("golden/squeezenet1.0_qdq7-logits%d.npy", i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := x.ToView(p.Input()); err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		got := tensor.FromView(p.Logits())
		diff, worst := 0, 0.0
		for j := range want.Data {
			if got.Data[j] != want.Data[j] {
				diff++
				worst = max(worst, math.Abs(float64(got.Data[j]-want.Data[j])))
			}
		}
		t.Log(i, len(want.Data), diff, worst, c.Values[len(c.Values)-1].Scale)
	}
}
