package tensor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"firebench/kernels/kerneltest"
)

// npy returns a file with the given version byte, header and data, the header's
// length set accordingly.
func npy(version byte, header string, data ...float32) []byte {
	b := append([]byte(magic), version, 0)
	if version == 1 {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	} else {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
	}
	b = append(b, header...)
	for _, v := range data {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// header returns a header with the given shape.
func header(shape string) string {
	return "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }\n"
}

func equal(a, b *Tensor) bool {
	return slices.Equal(a.Dims, b.Dims) && slices.EqualFunc(a.Data, b.Data, func(x, y float32) bool {
		return math.Float32bits(x) == math.Float32bits(y)
	})
}

func TestNPYRoundTrip(t *testing.T) {
	large := New(3, 1<<19)
	for i := range large.Data {
		large.Data[i] = float32(i)
	}
	for _, want := range []*Tensor{
		{Dims: []int{}, Data: []float32{7}},
		{Dims: []int{3}, Data: []float32{1, 2, 3}},
		{Dims: []int{0}, Data: []float32{}},
		{Dims: []int{2, 0, 5}, Data: []float32{}},
		{Dims: []int{1, 2, 1, 2}, Data: []float32{float32(math.NaN()), float32(math.Inf(-1)), float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32}},
		{Dims: []int{1, 1, 1, 1, 1, 1, 1, 2}, Data: []float32{1, 2}},
		large,
	} {
		t.Run(want.Shape(), func(t *testing.T) {
			var b bytes.Buffer
			if err := WriteNPY(&b, want); err != nil {
				t.Fatal(err)
			}
			if start := b.Len() - 4*len(want.Data); start%align != 0 {
				t.Errorf("data start at byte %d, expected a multiple of %d", start, align)
			}
			got, err := ReadNPY(iotest.HalfReader(&b), max(5, int64(len(want.Data))))
			if err != nil {
				t.Fatal(err)
			}
			if !equal(got, want) {
				t.Error("read back something else")
			}
		})
	}
}

func TestReadNPYAccepts(t *testing.T) {
	for _, test := range []struct {
		name string
		file []byte
	}{
		{"version 1", npy(1, header("(1, 2)"), 1, 2)},
		{"version 2", npy(2, header("(1, 2)"), 1, 2)},
		{"version 3", npy(3, header("(1, 2)"), 1, 2)},
		{"padded", npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}          \n", 1, 2)},
		{"other order", npy(1, `{"shape":(1,2,),"descr":"<f4","fortran_order":False}`+"\n", 1, 2)},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ReadNPY(bytes.NewReader(test.file), 2)
			if err != nil {
				t.Fatal(err)
			}
			if want := (&Tensor{[]int{1, 2}, []float32{1, 2}}); !equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// malformed lists files that ReadNPY refuses, at most 100 values allowed, with
// the part of the error that matters.
var malformed = []struct {
	name string
	file []byte
	want string
}{
	{"empty", nil, "empty"},
	{"text", []byte("this is not an array\n"), `starts with "this i"`},
	{"magic only", []byte(magic), "truncated"},
	{"version 0", npy(0, header("()"), 1), "version 0.0"},
	{"version 4", npy(4, header("()"), 1), "version 4.0"},
	{"version 1.1", []byte(magic + "\x01\x01\x00\x00"), "version 1.1"},
	{"no header length", []byte(magic + "\x02\x00\x10\x00"), "truncated"},
	{"endless header", []byte(magic + "\x02\x00\xff\xff\xff\xff"), "header of 4294967295 bytes"},
	{"truncated header", npy(1, header("()"))[:30], "truncated: ends within the header"},
	{"empty header", npy(1, ""), "no line feed"},
	{"blank header", npy(1, " \n"), "expected a dictionary"},
	{"no line feed", npy(1, strings.TrimSpace(header("()")), 1), "no line feed"},
	{"list", npy(1, "['<f4']\n"), "expected a dictionary"},
	{"bad key", npy(1, "{descr: '<f4'}\n"), "expected a string"},
	{"open string", npy(1, "{'descr\n"), "expected a string"},
	{"no colon", npy(1, "{'descr' '<f4'}\n"), `expected ":"`},
	{"no comma", npy(1, "{'descr': '<f4' 'shape': ()}\n"), `expected "," or "}"`},
	{"open dictionary", npy(1, "{'descr': '<f4',\n"), "expected a string"},
	{"no shape", npy(1, "{'descr': '<f4', 'fortran_order': False}\n"), `no key "shape"`},
	{"no order", npy(1, "{'descr': '<f4', 'shape': ()}\n"), `no key "fortran_order"`},
	{"no type", npy(1, "{'fortran_order': False, 'shape': ()}\n"), `no key "descr"`},
	{"unknown key", npy(1, "{'color': 'red'}\n"), `unknown key "color"`},
	{"key twice", npy(1, "{'descr': '<f4', 'descr': '<f4'}\n"), "twice"},
	{"after the dictionary", npy(1, strings.TrimSpace(header("()"))+" 1\n", 1), "expected the end"},
	{"fortran order", npy(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2)}\n", 1, 2, 3, 4), "Fortran order"},
	{"order of 0", npy(1, "{'descr': '<f4', 'fortran_order': 0, 'shape': ()}\n"), "expected True or False"},
	{"float64", npy(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}\n", 0, 0), `data type "<f8"`},
	{"big-endian", npy(1, "{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}\n", 0), `data type ">f4"`},
	{"object", npy(1, "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n", 0), `data type "|O"`},
	{"record", npy(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}\n", 0), "expected a string"},
	{"shape is a number", npy(1, header("1"), 1), "expected the shape's tuple"},
	{"shape in parentheses", npy(1, header("(1)"), 1), "expected a tuple"},
	{"open shape", npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2\n"), "expected a dimension"},
	{"shape without comma", npy(1, header("(1 2)"), 1, 2), `expected "," or ")"`},
	{"shape with only a comma", npy(1, header("(,)"), 1), "dimension"},
	{"negative", npy(1, header("(-1, 2)"), 1), `dimension "-1"`},
	{"negative pair", npy(1, header("(-1, -2)"), 1, 2), `dimension "-1"`},
	{"signed", npy(1, header("(+1,)"), 1), `dimension "+1"`},
	{"hexadecimal", npy(1, header("(0x1,)"), 1), `dimension "0x1"`},
	{"fraction", npy(1, header("(1.0,)"), 1), `dimension "1.0"`},
	{"beyond int64", npy(1, header("(18446744073709551617,)"), 1), "dimension"},
	{"product beyond int64", npy(1, header("(4294967296, 4294967296, 2)"), 1), "more than 100 values"},
	{"product wraps to 0", npy(1, header("(4294967296, 4294967296)")), "more than 100 values"},
	{"huge but empty", npy(1, header("(0, 4611686018427387904)")), "more than 100 values"},
	{"over the limit", npy(1, header("(101,)"), make([]float32, 101)...), "more than 100 values"},
	{"rank 9", npy(1, header("(1, 1, 1, 1, 1, 1, 1, 1, 1)"), 1), "more than 8 dimensions"},
	{"no data", npy(1, header("(3,)")), "truncated: ends within 3 values"},
	{"too few data", npy(1, header("(3,)"), 1, 2), "truncated: ends within 3 values"},
	{"half a value", npy(1, header("(3,)"), 1, 2, 3)[:len(npy(1, header("(3,)"), 1, 2, 3))-1], "truncated"},
	{"trailing value", npy(1, header("(3,)"), 1, 2, 3, 4), "more than 3 values"},
	{"trailing byte", append(npy(1, header("(3,)"), 1, 2, 3), 0), "more than 3 values"},
}

func TestReadNPYRefuses(t *testing.T) {
	for _, test := range malformed {
		t.Run(test.name, func(t *testing.T) {
			got, err := ReadNPY(bytes.NewReader(test.file), 100)
			if err == nil {
				t.Fatalf("read %v, expected an error with %q", got, test.want)
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, expected one line with %q", err, test.want)
			}
		})
	}
}

// TestReadNPYError makes sure that a failing device is not taken for the end.
func TestReadNPYError(t *testing.T) {
	whole := npy(1, header("(3,)"), 1, 2, 3)
	broken := errors.New("broken disk")
	for n := range len(whole) + 1 {
		r := io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(broken))
		if _, err := ReadNPY(r, 3); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: error %v, expected %v", n, err, broken)
		}
	}
}

// TestReadNPYMemory promises 1 GiB and delivers nothing.
func TestReadNPYMemory(t *testing.T) {
	file := npy(1, header(fmt.Sprintf("(%d,)", 1<<28)), 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := ReadNPY(bytes.NewReader(file), 1<<28); err == nil {
		t.Fatal("no error")
	}
	runtime.ReadMemStats(&after)
	if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(8<<20); got > limit {
		t.Errorf("%d bytes allocated for a header's promise, expected at most %d", got, limit)
	}
}

func TestWriteNPYRefuses(t *testing.T) {
	for _, test := range []struct {
		tensor Tensor
		want   string
	}{
		{Tensor{[]int{2, 2}, make([]float32, 3)}, "2×2"},
		{Tensor{[]int{2, 2}, make([]float32, 5)}, "expected 4"},
		{Tensor{[]int{-1, -1}, make([]float32, 1)}, "negative"},
		{*New(1, 1, 1, 1, 1, 1, 1, 1, 1), "9 dimensions"},
	} {
		if err := WriteNPY(io.Discard, &test.tensor); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: error %v, expected one with %q", test.tensor.Dims, err, test.want)
		}
	}
}

// TestReadNPYNumpy reads a file that numpy wrote, and writes the same bytes but
// for numpy's choice of padding.
func TestReadNPYNumpy(t *testing.T) {
	path := kerneltest.Shared(t, "golden/input0.npy")
	got, err := ReadNPYFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{1, 3, 227, 227}; !slices.Equal(got.Dims, want) {
		t.Errorf("shape %v, want %v", got.Dims, want)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteNPY(&b, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(file, b.Bytes()[b.Len()-4*len(got.Data):]) {
		t.Error("the data are written differently from how they were read")
	}
}

func TestNPYFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.npy")
	want := &Tensor{[]int{2}, []float32{1, 2}}
	if err := WriteNPYFile(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadNPYFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !equal(got, want) {
		t.Errorf("read %v, wrote %v", got, want)
	}

	bad := filepath.Join(filepath.Dir(path), "bad.npy")
	if err := WriteNPYFile(bad, &Tensor{[]int{2}, nil}); err == nil || !strings.HasPrefix(err.Error(), bad+": ") {
		t.Errorf("inconsistent tensor: error %v, expected one that names the file", err)
	}
	if err := os.WriteFile(bad, []byte("no array"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadNPYFile(bad); err == nil || !strings.HasPrefix(err.Error(), bad+": npy: ") {
		t.Errorf("malformed file: error %v, expected one that names the file", err)
	}
}

// FuzzReadNPY checks that what the reader accepts is consistent, within the
// limit, and survives a round trip.
func FuzzReadNPY(f *testing.F) {
	const max = 1000
	f.Add(npy(1, header("(2, 3)"), 1, 2, 3, 4, 5, 6))
	f.Add(npy(2, header("()"), 1))
	f.Add(npy(3, header("(0,)")))
	for _, m := range malformed {
		f.Add(m.file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := ReadNPY(bytes.NewReader(file), max)
		if err != nil {
			return
		}
		if n, err := elements(got.Dims, max); err != nil || n != len(got.Data) || len(got.Dims) > maxRank {
			t.Fatalf("%d values for shape %v", len(got.Data), got.Dims)
		}
		var b bytes.Buffer
		if err := WriteNPY(&b, got); err != nil {
			t.Fatal(err)
		}
		again, err := ReadNPY(&b, max)
		if err != nil {
			t.Fatal(err)
		}
		if !equal(got, again) {
			t.Fatal("the round trip changed the tensor")
		}
	})
}
