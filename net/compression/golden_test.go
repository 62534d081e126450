package compression

import (
	"bytes"
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
	"firebench/net/protobuf"
	"firebench/net/tensor"
)

// fields returns the fields of a message that have a number.
func fields(t *testing.T, m protobuf.Message, number int) []protobuf.Field {
	t.Helper()
	var found []protobuf.Field
	for f, err := range m.Fields() {
		if err != nil {
			t.Fatal(err)
		}
		if int(f.Number) == number {
			found = append(found, f)
		}
	}
	return found
}

// inside returns the message that is the first field of that number.
func inside(t *testing.T, m protobuf.Message, number int) protobuf.Message {
	t.Helper()
	m, err := fields(t, m, number)[0].Message()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// onnxTypes reads an ONNX file whose values are quantized by pairs of QuantizeLinear and
// DequantizeLinear, and returns the types by the original names of the values. It asks for no network:
// the one of this test must get its types by a calibration.
func onnxTypes(t *testing.T, path string) map[string]Value {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const modelGraph, graphInitializer, tensorName, tensorRaw = 7, 5, 8, 9
	types := map[string]Value{}
	graph := inside(t, protobuf.NewMessage(bytes.NewReader(file), int64(len(file))), modelGraph)
	for _, initializer := range fields(t, graph, graphInitializer) {
		tensor, err := initializer.Message()
		if err != nil {
			t.Fatal(err)
		}
		name, err := fields(t, tensor, tensorName)[0].String()
		if err != nil {
			t.Fatal(err)
		}
		field := fields(t, tensor, tensorRaw)[0]
		if field.Size() > 4 {
			continue
		}
		raw, err := field.Bytes(4)
		if err != nil {
			t.Fatal(err)
		}
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
