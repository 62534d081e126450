package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/models"
)

// fbw returns the file of a model's weights.
func fbw(t testing.TB, m *graph.Model, w graph.Weights) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteFBW(&b, m, w); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestFBWRoundTrip: what has been written gives the same network, also if the weights need another one than the
// table.
func TestFBWRoundTrip(t *testing.T) {
	check := func(name string, m *graph.Model, w graph.Weights) {
		t.Run(name, func(t *testing.T) {
			file := fbw(t, m, w)
			read, err := Open(writeFile(t, file))
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
			if again := fbw(t, m, read); !bytes.Equal(again, file) {
				t.Error("other bytes when it is written again")
			}
			for _, other := range models.All() {
				if _, err := read.Adapt(other); (err == nil) != (other.Name == m.Name) {
					t.Errorf("%s: error %v", other.Name, err)
				}
			}
		})
	}
	for _, m := range models.All() {
		if strings.HasPrefix(m.Name, "alexnet") || testing.Short() && m.Name != "squeezenet1.1" {
			continue // 244 MB; a small model has a dense layer as well
		}
		check(m.Name, m, Random(3))
	}
	file, _ := compressed(t, "squeezenet1.0")
	shared, err := Open(writeFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := lookup(t, "squeezenet1.0")
	check("shared", m, shared)
	check("small", smallModel(), adapting{Random(4), recipe{
		height: 17, width: 19, preprocessor: "torchvision-rgb-224",
		padding: map[string]kernels.Padding{"a": {Top: 1, Right: 200, Bottom: 3}},
		ceil:    map[string]bool{"pool": true, "mean": false},
	}})
}

// TestFBWBytes has every byte of a small file.
func TestFBWBytes(t *testing.T) {
	list := smallTensors()
	list[1].data = nil // no biases
	m := smallModel()
	m.Preprocessor = "caffe-bgr-227"
	file := fbw(t, m, listed(list))
	var tensors, sizes, sums []byte
	for _, values := range [][]float32{list[0].data, {0, 0}, list[2].data, list[3].data} {
		_, b := encodeValues(t, values) // see TestCodingBits
		tensors, sizes = append(tensors, b...), append(sizes, byte(len(b)))
		sums = binary.LittleEndian.AppendUint32(sums, checksum(b))
	}
	want := "\x89FBW\x01" + string(tensors)
	directory := "\x05small\x0dcaffe-bgr-227\x02\x03\x04" +
		"\x01a\x09\x00\x00\x00\x00\x02\x04\x01\x01" + string(sizes[:2]) + string(sums[:8]) +
		"\x04pool\x02" +
		"\x04mean\x04" +
		"\x01b\x08\x03\x02\x02\x03" + string(sizes[2:]) + string(sums[8:])
	want += directory
	want += string(binary.LittleEndian.AppendUint32(nil, uint32(len(directory))))
	want += string(binary.LittleEndian.AppendUint32(nil, checksum([]byte("\x89FBW\x01"+directory))))
	if string(file) != want {
		t.Errorf("%q, want\n%q", file, want)
	}
}

// checksum is CRC-32C, bit by bit.
func checksum(b []byte) uint32 {
	crc := ^uint32(0)
	for _, v := range b {
		crc ^= uint32(v)
		for range 8 {
			crc = crc>>1 ^ 0x82f63b78*(crc&1)
		}
	}
	return ^crc
}

// TestFBWPublished: the published weights become a file of that size, and every bit comes back. The entropies of the published
// file's codes and gaps with its codebooks and biases as they are sum to 541,680 bytes.
func TestFBWPublished(t *testing.T) {
	w, err := Open(kerneltest.Shared(t, "weights/compressed_SqueezeNet.net"))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := lookup(t, "squeezenet1.0")
	file := fbw(t, m, unshared{w})
	const want = 532_271
	if len(file) != want {
		t.Errorf("%d bytes, want %d", len(file), want)
	}
	read, err := Open(writeFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	wantModel, wantLayers := layers(t, w, m)
	gotModel, gotLayers := layers(t, read, m)
	if !reflect.DeepEqual(gotModel, wantModel) {
		t.Errorf("model\n%+v, want\n%+v", gotModel, wantModel)
	}
	for i, want := range wantLayers {
		got := gotLayers[i]
		if !sameBits(got.weights.Values, want.weights.Values) || !sameBits(got.weights.Bias, want.weights.Bias) {
			t.Errorf("%s: other weights", want.param.Node)
		}
	}
	streams, err := StreamsOf(m, w)
	if err != nil {
		t.Fatal(err)
	}
	var sum Streams
	for _, s := range streams {
		sum.Codebook += s.Codebook
		sum.Values += s.Values
		sum.Gaps += s.Gaps
		sum.Bias += s.Bias
		t.Logf("%-18s %6d weights, %6d zeros: %s of %d, bytes: codebook %d, values %d, gaps %d, biases %d", s.Node, s.Weights, s.Zeros, s.Kind, s.Entries, s.Codebook/8, s.Values/8, s.Gaps/8, s.Bias/8)
	}
	t.Logf("codebooks %d, values %d, gaps %d, biases %d, directory %d", sum.Codebook/8, sum.Values/8, sum.Gaps/8, sum.Bias/8, int64(len(file))-sum.Bits()/8)
}

// TestStreams: the parts of layers, and what the codes are for.
func TestStreams(t *testing.T) {
	list := smallTensors()
	for i := range list[2].data { // 36 weights of the dense layer
		list[2].data[i] = []float32{0, 0, 0, 7, 0, 5}[i%6]
	}
	list[2].data[0] = 5
	for i := range list[0].data {
		list[0].data[i] = float32(math.Pow(1e-4, float64(i))) / 3
	}
	got, err := StreamsOf(smallModel(), listed(list))
	if err != nil {
		t.Fatal(err)
	}
	bias := [2]coding{choose(list[1].data), choose(list[3].data)}
	if len(got) != 2 {
		t.Fatalf("%d layers, want 2", len(got))
	}
	if want := (Streams{Node: "a", Weights: 8, Kind: "float32", Codebook: 3, Values: 8 * 32, Bias: bias[0].size.sum()}); !reflect.DeepEqual(got[0], want) {
		t.Errorf("%+v, want\n%+v", got[0], want)
	}
	b := got[1]
	if b.Node != "b" || b.Weights != 36 || b.Zeros != 23 || b.Kind != "codebook" || b.Bias != bias[1].size.sum() {
		t.Errorf("%+v", b)
	}
	if c := choose(list[2].data); b.Bits() != c.size.sum()+b.Bias || b.Entries != len(c.codebook) {
		t.Errorf("%+v, want the sizes %+v", b, c.size)
	}
	// What they are written from comes back from the streams.
	if c := choose(list[2].data); c.gaps {
		at, next := 0, 0
		values := make([]float32, 36)
		for _, gap := range b.GapSymbols {
			if at += int(gap); int(gap) != c.filler && at < len(values) {
				values[at] = c.codebook[b.Codes[next]]
				next++
				at++
			}
		}
		if !sameBits(values, list[2].data) || next != len(b.Codes) {
			t.Errorf("the streams are %v, want %v", values, list[2].data)
		}
	} else {
		t.Errorf("zeros are not skipped: %+v", c)
	}
	list[3].data[0] = float32(math.NaN())
	if _, err := StreamsOf(smallModel(), listed(list)); err == nil || !strings.Contains(err.Error(), "small: layer b: biases: value 0 is NaN") {
		t.Errorf("error %v", err)
	}
}

func TestWriteFBWRefuses(t *testing.T) {
	change := func(at int, data []float32) listed {
		list := smallTensors()
		list[at].data = data
		return list
	}
	for _, test := range []struct {
		weights graph.Weights
		want    string
	}{
		{scaledWeights{listed(smallTensors())}, "FBW: small: layer a: its weights are quantized, expected float32"},
		{change(0, make([]float32, 8)), "layer a: all weights are zero"},
		{change(0, make([]float32, 7)), "layer a: 7 weights and 2 biases, expected 8 and 2"},
		{change(3, []float32{1, float32(math.Inf(1)), 1}), "layer b: biases: value 1 is +Inf"},
		{change(2, slices.Repeat([]float32{float32(math.NaN())}, 36)), "layer b: weights: value 0 is NaN"},
	} {
		if err := WriteFBW(io.Discard, smallModel(), test.weights); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
	// Every write fails once.
	full := errors.New("full")
	for n := range 6 {
		if err := WriteFBW(&failingAfter{n, full}, smallModel(), Random(1)); err != full {
			t.Errorf("%d writes: error %v, want that of the writer", n, err)
		}
	}
}

// A failingAfter fails after n writes.
type failingAfter struct {
	n   int
	err error
}

func (f *failingAfter) Write(b []byte) (int, error) {
	if f.n--; f.n < 0 {
		return 0, f.err
	}
	return len(b), nil
}

// readAll opens a file and reads all layers of the small model.
func readAll(path string) error {
	w, err := Open(path)
	if err != nil {
		return err
	}
	m, err := w.Adapt(smallModel())
	if err != nil {
		return err
	}
	params, err := m.Params()
	if err != nil {
		return err
	}
	for _, p := range params {
		if _, err := w.Layer(p); err != nil {
			return err
		}
	}
	return nil
}

// smallFBW is a file of the small model in which every kind of coding occurs, and the end of its tensors.
func smallFBW(t testing.TB) (file []byte, end int) {
	list := smallTensors()
	for i := range list[2].data { // 36 weights of the dense layer
		list[2].data[i] = []float32{0, 0, 0, 7, 0, 5}[i%6]
	}
	list[1].data = []float32{1. / 3, -1e-30}
	file = fbw(t, smallModel(), listed(list))
	return file, len(file) - fbwTail - int(binary.LittleEndian.Uint32(file[len(file)-fbwTail:]))
}

// TestFBWDamaged cuts a file off everywhere and flips each of its bits. In a tensor, the checksum tells it and the error
// names the layer; everywhere else it tells before anything is believed.
func TestFBWDamaged(t *testing.T) {
	file, end := smallFBW(t)
	path := writeFile(t, file)
	if err := readAll(path); err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) {
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for n := range file {
		write(file[:n])
		checkError(t, readAll(path), path, "")
	}
	w, err := readFBW(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	tensors := map[string]int{} // where they end
	at := fbwHead
	for _, name := range []string{"a.weight", "a.bias", "b.weight", "b.bias"} {
		n := 1
		for _, d := range w.arrays[name].dims {
			n *= d
		}
		values, err := w.arrays[name].load(bytes.NewReader(file), make([]float32, n))
		if err != nil {
			t.Fatal(err)
		}
		_, b := encodeValues(t, values)
		at += len(b)
		tensors[name] = at
	}
	for bit := range 8 * len(file) {
		damaged := slices.Clone(file)
		damaged[bit/8] ^= 1 << (bit % 8)
		write(damaged)
		want := "FBW: directory: checksum is "
		switch i := bit / 8; {
		case i < len(fbwMagic):
			want = "" // it may be a file of any kind
		case i < fbwHead:
			want = "FBW: version "
		case i < tensors["a.weight"]:
			want = `tensor "a.weight" of 2×4×1×1: checksum is `
		case i < tensors["a.bias"]:
			want = `tensor "a.bias" of 2: checksum is `
		case i < tensors["b.weight"]:
			want = `tensor "b.weight" of 3×2×2×3: checksum is `
		case i < tensors["b.bias"]:
			want = `tensor "b.bias" of 3: checksum is `
		case i < len(file)-fbwTail:
		case i < len(file)-4:
			want = "FBW: directory" // of another size
		}
		if checkError(t, readAll(path), path, want); t.Failed() {
			t.Fatalf("bit %d of byte %d of %d, tensors up to %d", bit%8, bit/8, len(file), end)
		}
	}
}

// directoryFile returns a file with this directory, whatever that says.
func directoryFile(tensors, directory string) []byte {
	b := []byte(fbwMagic + "\x01" + tensors + directory)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(directory)))
	return binary.LittleEndian.AppendUint32(b, checksum([]byte(fbwMagic+"\x01"+directory)))
}

// TestFBWRefuses: files whose checksums are right.
func TestFBWRefuses(t *testing.T) {
	const head, big = "\x05small\x00\x02\x03", "\xff\xff\xff\xff\x07"
	sum := func(b string) string { return string(binary.LittleEndian.AppendUint32(nil, checksum([]byte(b)))) }
	// tensor is a file with a tensor of n values.
	tensor := func(n byte, bits string) []byte {
		b := string(bitString(bits))
		return directoryFile(b+"\x00", head+"\x01\x01a\x09\x00\x00\x00\x00"+string(n)+"\x01\x01\x01"+string(rune(len(b)))+"\x01"+sum(b)+sum("\x00"))
	}
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"magic number", []byte(fbwMagic), "FBW: version 0, expected 1"},
		{"no directory", []byte(fbwMagic + "\x01"), "FBW: 5 bytes, expected at least 13"},
		{"empty", directoryFile("", ""), "FBW: directory: it ends too early"},
		{"huge directory", []byte(fbwMagic + "\x01\xff\xff\xff\xff    "), "FBW: directory of 4294967295 bytes, expected at most 0"},
		{"name cut", directoryFile("", "\x05smal"), "it ends too early"},
		{"long name", directoryFile("", "\xff\xff\xff\xff\x0fsmall"), "it ends too early"},
		{"longer name", directoryFile("", "\xff\xff\xff\xff\x1fsmall"), "number 8589934591, expected at most 4294967295"},
		{"endless number", directoryFile("", strings.Repeat("\xff", 100)), "it ends too early"},
		{"huge input", directoryFile("", "\x05small\x00\x80\x80\x04\x01"), "number 65536, expected at most 65535"},
		{"nodes missing", directoryFile("", head+"\x01"), "it ends too early"},
		{"more", directoryFile("", head+"\x00 "), "1 bytes are left"},
		{"twice", directoryFile("", head+"\x02\x01a\x02\x01a\x02"), `node "a" occurs twice`},
		{"padding", directoryFile("", head+"\x01\x01a\x01\x00\x00\x00"+big), `node "a": number 2147483647, expected at most 65535`},
		{"tensors missing", directoryFile("12", head+"\x01\x01a\x08\x01\x01\x01\x01\x02\x01........"), `node "a": number 1, expected at most 0`},
		{"tensors left", directoryFile("1234", head+"\x01\x01a\x08\x01\x01\x01\x01\x02\x01........"), "3 bytes of tensors, the file has 4"},
		{"checksum missing", directoryFile("123", head+"\x01\x01a\x08\x01\x01\x01\x01\x02\x01......."), "it ends too early"},
		{"huge tensor", directoryFile("12", head+"\x01\x01a\x08"+strings.Repeat(big, 4)+"\x01\x01........"), `node "a": 2147483647×2147483647×2147483647×2147483647 values in 1 bytes`},
		{"overflow", directoryFile("12", head+"\x01\x01a\x08"+strings.Repeat("\x80\x80\x80\x80\x04", 2)+"\x10\x01\x01\x01........"), `node "a": 1073741824×1073741824×16×1 values in 1 bytes`},
		{"huge biases", directoryFile("12", head+"\x01\x01a\x08"+big+"\x00\x00\x00\x01\x01........"), `node "a": 2147483647 values in 1 bytes`},
		{"nothing", directoryFile("", head+"\x01\x01a\x08\x01\x01\x01\x01\x00\x00........"), `node "a": 1×1×1×1 values in 0 bytes`},
		{"kind", tensor(1, "11 0"), `values of kind 3, expected less than 3`},
		{"values cut", tensor(2, "00 0 "+strings.Repeat("0", 61)), "they end too early"},
		{"values left", tensor(1, "00 0 "+strings.Repeat("0", 45)), "13 bits are left"},
		{"ones left", tensor(1, "00 0 "+strings.Repeat("0", 32)+"00001"), "5 bits are left"},
		{"filler", tensor(1, "00 1 00000000"), "filler of no zeros"},
		{"codes for gaps", tensor(1, "00 1 00000001 000000000001 1"), "gaps: codes that leave bits without a symbol"},
		{"codes for gaps, without end", tensor(1, "00 1 00000001"+strings.Repeat("0", 1000)), "gaps: codes of 255 to 255 bits"},
		{"codes for values", tensor(1, "10 0 00000000"+strings.Repeat("0", 32)+" 1"), "values: codes that leave bits without a symbol"},
		{"step of no bits", tensor(1, "10 0 00000001"+strings.Repeat("0", 32+39)+"1"), "codebook entry 1 has a step of 0 bits, expected 1 to 32"},
		{"step of 33 bits", tensor(1, "10 0 00000001"+strings.Repeat("0", 32+26)+"1"), "codebook entry 1 has a step of 33 bits"},
		{"step behind the end", tensor(1, "10 0 00000001"+strings.Repeat("1", 32)+strings.Repeat("0", 24)+"1"), "codebook entry 1 is behind the greatest value"},
		// Gaps of 0 and 1 have one bit each; the filler is 1.
		{"gap behind the end", tensor(1, "00 1 00000010 0000000000000 1 001 1 1 1"), "weight 2 is behind the last of 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, test.file)
			w, err := Open(path)
			if err == nil {
				_, err = w.Layer(param("a", w.(*tensors).arrays["a.weight"].dims[0], 1, 1, 1))
			}
			checkError(t, err, path, test.want)
		})
	}
}

// TestFBWMemory: a file is not read at once, and a layer's memory is used again.
func TestFBWMemory(t *testing.T) {
	m, params := lookup(t, "squeezenet1.1")
	file := fbw(t, m, Random(2))
	path := writeFile(t, file)
	var w graph.Weights
	var err error
	if n := allocated(func() { w, err = Open(path) }); err != nil || n > 1<<17 {
		t.Errorf("Open allocates %d bytes for a file of %d, error %v", n, len(file), err)
	}
	p := params[len(params)-1]
	read := func() {
		if _, err := w.Layer(p); err != nil {
			t.Fatal(err)
		}
	}
	read()
	if n := allocated(read); n > 1<<17 {
		t.Errorf("Layer allocates %d bytes for %d weights again", n, size(p))
	}
	if _, err := w.Layer(param(p.Node, 1, 2, 3, 4)); err == nil || !strings.Contains(err.Error(), "expected 1×2×3×4") {
		t.Errorf("a layer of another shape: %v", err)
	}
}

// FuzzOpenFBW gets tensors and a directory, whose checksum is right.
func FuzzOpenFBW(f *testing.F) {
	file, end := smallFBW(f)
	f.Add(file[fbwHead:end], file[end:len(file)-fbwTail])
	f.Add([]byte{}, []byte("\x05small\x00\x02\x03\x00"))
	f.Add([]byte("12"), []byte("\x00\x00\x02\x03\x01\x01a\x09\x00\x00\x00\x00\xff\x0f\x01\x01\x01\x01\x01........"))
	f.Add([]byte("12"), []byte("\x00\x00\x02\x03\x02\x01a\x02\x01b\x0f\x00\x00\x00\x00\xff\x0f\x01\x01\x01\x01\x01........"))
	f.Fuzz(func(t *testing.T, tensorBytes, directory []byte) {
		file := directoryFile(string(tensorBytes), string(directory))
		r := bytes.NewReader(file)
		var w *tensors
		var err error
		if n := allocated(func() { w, err = readFBW(r, int64(len(file))) }); n > maxAllocated(len(file)) {
			t.Errorf("%d bytes allocated for a file of %d", n, len(file))
		}
		if err != nil {
			return
		}
		for name, a := range w.arrays {
			n := allocated(func() { w.read(r, name, nil) })
			if n > maxAllocated(len(file))+4*maxExpansion*uint64(len(file)) {
				t.Errorf("%s of %s: %d bytes allocated for a file of %d", name, a.shape(), n, len(file))
			}
		}
		if _, err := w.adapt(smallModel()); err == nil {
			w.load(r, param("b", 3, 2, 2, 3))
		}
	})
}

// FuzzValues reads values, and what can be read is written again.
func FuzzValues(f *testing.F) {
	for _, values := range [][]float32{
		{1, 2, 3}, {1. / 3, 0, 0, 0}, slices.Repeat([]float32{0, 0, 0, 5}, 16), slices.Repeat([]float32{5, 7}, 20), make([]float32, 300),
	} {
		_, file := encodeValues(f, values)
		f.Add(uint16(len(values)), file)
		f.Add(uint16(len(values)+1), file)
	}
	f.Fuzz(func(t *testing.T, n uint16, file []byte) {
		var values []float32
		var err error
		if got, most := allocated(func() { values, err = decodeValues(file, int(n)) }), 1<<19+4*uint64(n)+4*uint64(len(file)); got > most {
			t.Errorf("%d bytes allocated for %d values of %d bytes", got, n, len(file))
		}
		if err != nil || n == 0 || finite(values) != nil {
			return
		}
		_, own := encodeValues(t, values)
		again, err := decodeValues(own, int(n))
		if err != nil || !sameBits(again, values) {
			t.Errorf("%v becomes %v, error %v", values, again, err)
		}
	})
}

// BenchmarkFBW opens the published weights and reads every layer.
func BenchmarkFBW(b *testing.B) {
	w, err := Open(kerneltest.Shared(b, "weights/compressed_SqueezeNet.net"))
	if err != nil {
		b.Fatal(err)
	}
	m, params := lookup(b, "squeezenet1.0")
	path := filepath.Join(b.TempDir(), "weights.fbw")
	if err := os.WriteFile(path, fbw(b, m, w), 0o666); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	for b.Loop() {
		w, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range params {
			if _, err := w.Layer(p); err != nil {
				b.Fatal(err)
			}
		}
	}
}
