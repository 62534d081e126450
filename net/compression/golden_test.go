package compression

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/tensor"
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

// original returns the name that a value of squeezenet1.0 has in the ONNX file.
func original(name string) string {
	switch {
	case name == graph.Input:
		return "data"
	case name == "pool10" || name == "prob":
		return "gap"
	case name == "drop9":
		return "fire9.out"
	case strings.HasPrefix(name, "pool"):
		return name
	case strings.HasSuffix(name, ".concat"):
		return strings.TrimSuffix(name, ".concat") + ".out"
	}
	return strings.TrimSuffix(name, ".relu") + "_r"
}

// TestGoldenLogits gives the network the types that it has in a quantized network of another
// implementation, whose results it must then have, bit by bit. The weights have 7 bits, so that the
// sums of the other implementation do not saturate.
func TestGoldenLogits(t *testing.T) {
	m, w := published(t)
	types := onnxTypes(t, kerneltest.Shared(t, "weights/squeezenet1.0_qdq7.onnx"))
	values, err := valuesOf(m)
	if err != nil {
		t.Fatal(err)
	}
	c := &Calibration{Model: m.Name, Method: MinMax, Images: 1}
	for _, v := range values {
		value, ok := types[original(v.name)]
		if !ok {
			t.Fatalf("the file has no type of %s", original(v.name))
		}
		value.Name = v.name
		c.Values = append(c.Values, value)
	}
	m, w = quantizeModel(t, c, Options{WeightBits: 7}, m, w)
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		inputs := 3
		if testing.Short() || set.ISA == kernels.Scalar {
			inputs = 1
		}
		for _, algo := range kernels.Algorithms() {
			p := compile(t, m, w, graph.Options{Set: set, Algo: algo})
			for i := range inputs {
				if err := readShared(t, fmt.Sprintf("golden/input%d.npy", i)).ToView(p.Input()); err != nil {
					t.Fatal(err)
				}
				if err := p.Run(); err != nil {
					t.Fatal(err)
				}
				want := readShared(t, fmt.Sprintf("golden/squeezenet1.0_qdq7-logits%d.npy", i))
				if got := tensor.FromView(p.Logits()).Data; !slices.Equal(got, want.Data) {
					t.Errorf("%s, input %d: logits %v, want %v", algo, i, got, want.Data)
				}
			}
		}
	})
}

// readShared reads a tensor of the shared data.
func readShared(t *testing.T, name string) *tensor.Tensor {
	t.Helper()
	x, err := tensor.ReadNPYFile(kerneltest.Shared(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return x
}
