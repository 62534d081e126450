package onnx_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"firebench/net/graph"
	"firebench/net/onnx"
)

// FuzzOpen reads files of any content. Each is refused, or what it holds can be run. Reading takes memory in
// proportion to the file, and never a number from outside of the file's folder.
func FuzzOpen(f *testing.F) {
	const secret = 12345.678
	folder := tempDir(f)
	inside := filepath.Join(folder, "inside")
	weights, err := os.ReadFile("testdata/cases/weights.bin")
	if err != nil {
		f.Fatal(err)
	}
	outside := bytes.Repeat(binary.LittleEndian.AppendUint32(nil, math.Float32bits(secret)), len(weights)/4)
	for _, err := range []error{
		os.MkdirAll(filepath.Join(inside, "sub"), 0o777),
		os.WriteFile(filepath.Join(inside, "weights.bin"), weights, 0o666),
		os.WriteFile(filepath.Join(inside, "sub", "weights.bin"), weights, 0o666),
		os.WriteFile(filepath.Join(folder, "weights.bin"), outside, 0o666),
	} {
		if err != nil {
			f.Fatal(err)
		}
	}
	seeds, err := filepath.Glob("testdata/cases/*.onnx")
	if err != nil {
		f.Fatal(err)
	}
	for i, seed := range seeds {
		if testing.Short() && i%8 != 0 {
			continue // TestCases opens them all
		}
		data, err := os.ReadFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	path := filepath.Join(inside, "model.onnx")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		var m *graph.Model
		var w graph.Weights
		var err error
		limit := 1<<19 + 256*uint64(len(data)+len(weights))
		if n := allocated(func() { m, w, err = onnx.Open(path) }); n > limit {
			t.Errorf("%d bytes of memory for a file of %d bytes, expected at most %d", n, len(data), limit)
		}
		if err != nil {
			checkRefusal(t, err, []string{path})
			return
		}
		infos, err := m.Infer()
		if err != nil {
			t.Fatalf("what was read is no model: %v", err)
		}
		if n := allocated(func() { err = openAll(path) }); n > 2*limit {
			t.Errorf("%d bytes of memory for a file of %d bytes and its numbers, expected at most %d", n, len(data), 2*limit)
		}
		if err != nil {
			checkRefusal(t, err, []string{path})
			return
		}
		size := m.Input.Elems()
		for _, n := range infos {
			size += n.Out.Elems()
			if size += int(n.Cost.MACs); size > 1<<22 || n.Cost.MACs > 1<<22 {
				return // it would only take long
			}
		}
		params, err := m.Params()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range params {
			l, err := w.Layer(p)
			if err != nil {
				t.Fatalf("it could be read once: %v", err)
			}
			if slices.Contains(l.Values, secret) || slices.Contains(l.Bias, secret) {
				t.Fatalf("the weights of %s come from outside of the folder", p.Node)
			}
		}
		p, err := graph.Compile(m, w, graph.Options{Algo: "direct", Threads: 1})
		if err != nil {
			checkRefusal(t, err, nil)
			return
		}
		defer p.Close()
		if err := p.Run(); err != nil {
			t.Error(err)
		}
	})
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestRepeatedFields opens files that repeat one short field over and over: reading takes memory in
// proportion to the file.
func TestRepeatedFields(t *testing.T) {
	if testing.Short() {
		t.Skip("it walks millions of fields")
	}
	field := func(number protowire.Number, content ...[]byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), slices.Concat(content...))
	}
	const size = 1 << 20
	repeat := func(field []byte) []byte { return bytes.Repeat(field, size/len(field)) }
	relu := slices.Concat(field(4, []byte("Relu")), field(2, []byte("y")))
	named := field(1, []byte("a"))
	const model, graphNode, graphInitializer, graphInput, graphOutput = 7, 1, 5, 11, 12
	for name, file := range map[string][]byte{
		"opsets":              repeat(field(8)),
		"metadata":            repeat(field(14)),
		"graphs":              repeat(field(model)),
		"nodes":               field(model, repeat(field(graphNode, relu))),
		"inputs":              field(model, repeat(field(graphInput))),
		"outputs":             field(model, repeat(field(graphOutput))),
		"initializers":        field(model, repeat(field(graphInitializer))),
		"dimensions":          field(model, field(graphInput, field(2, field(1, field(2, repeat(field(1))))))),
		"inputs of a node":    field(model, field(graphNode, relu, repeat(field(1)))),
		"outputs of a node":   field(model, field(graphNode, relu, repeat(field(2)))),
		"attributes":          field(model, field(graphNode, relu, repeat(field(5, named)))),
		"attributes of nodes": field(model, repeat(field(graphNode, relu, bytes.Repeat(field(5, named), 100)))),
		"tensors":             field(model, field(graphNode, relu, repeat(field(5, named, field(5))))),
		"integers":            field(model, field(graphNode, relu, field(5, repeat([]byte{8 << 3, 1})))),
		"external data":       field(model, field(graphInitializer, repeat(field(13)))),
		"numbers":             field(model, field(graphInitializer, []byte{1 << 3, 0x80, 0x80, 0x40, 2 << 3, 6}, repeat([]byte{5 << 3, 1}))),
		"packed numbers":      field(model, field(graphInitializer, []byte{1 << 3, 0x80, 0x80, 0x40, 2 << 3, 6}, field(5, repeat([]byte{1})))),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(tempDir(t), "model.onnx")
			if err := os.WriteFile(path, file, 0o666); err != nil {
				t.Fatal(err)
			}
			var err error
			if n := allocated(func() { _, _, err = onnx.Open(path) }); n > 128*size {
				t.Errorf("%d bytes of memory for a file of %d bytes", n, len(file))
			}
			words := []string{path}
			if strings.HasPrefix(name, "attributes") || name == "tensors" {
				words = append(words, "more than 64 attributes")
			}
			checkRefusal(t, err, words)
		})
	}
}
