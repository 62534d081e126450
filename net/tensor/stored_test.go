package tensor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// TestLoad: values of every type, not at the start of the file, as float64 and as float32.
func TestLoad(t *testing.T) {
	encode := func(v any) []byte {
		b, err := binary.Append([]byte("head"), binary.LittleEndian, v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, test := range []struct {
		dtype string
		data  any
		want  []float64
	}{
		{"F32", []float32{1.5, -2}, []float64{1.5, -2}},
		{"F16", []uint16{0x3c00, 0xc000, 0x0001, 0x03ff, 0x7bff, 0x8000, 0x0400}, []float64{1, -2, 0x1p-24, 1023 * 0x1p-24, 65504, math.Copysign(0, -1), 0x1p-14}},
		{"BF16", []uint16{0x3f80, 0xc0a0}, []float64{1, -5}},
		{"F64", []float64{0.25, 3}, []float64{0.25, 3}},
		{"I8", []int8{-128, 127}, []float64{-128, 127}},
		{"U8", []uint8{0, 255}, []float64{0, 255}},
		{"I32", []int32{-1 << 20, 5}, []float64{-1 << 20, 5}},
		{"I64", []int64{-1 << 23, 6}, []float64{-1 << 23, 6}},
	} {
		dtype, err := ParseDType(test.dtype)
		if err != nil || dtype.String() != test.dtype {
			t.Fatalf("%s: %v, %v", test.dtype, dtype, err)
		}
		s := Stored{dtype, []int{1, len(test.want)}, bytes.NewReader(encode(test.data)), 4}
		got, err := Load[float64](s, nil)
		if err != nil || !slices.EqualFunc(got, test.want, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }) {
			t.Errorf("%s: %v, %v, want %v", test.dtype, got, err, test.want)
		}
		memory := make([]float32, 0, 10)
		got32, err := Load(s, memory)
		if err != nil || len(got32) != len(test.want) || float64(got32[1]) != test.want[1] || &got32[0] != &memory[:1][0] {
			t.Errorf("%s: %v, %v, want %v in the memory of dst", test.dtype, got32, err, test.want)
		}
	}
	for h, want := range map[uint16]float64{0x7c00: math.Inf(1), 0xfc00: math.Inf(-1)} {
		if got := Half(h); float64(got) != want {
			t.Errorf("half %#x is %g, want %g", h, got, want)
		}
	}
	if got := Half(0x7e01); got == got {
		t.Errorf("half 0x7e01 is %g, want not a number", got)
	}
	if _, err := ParseDType("F8"); err == nil {
		t.Error("F8 is accepted")
	}
}

// TestLoadLong: more values than are read at a time, and a file that is shorter than it was.
func TestLoadLong(t *testing.T) {
	b := make([]byte, 3<<16+6)
	for i := range b {
		b[i] = byte(i % 251)
	}
	s := Stored{DType: U8, Dims: []int{len(b) - 1}, File: bytes.NewReader(b), Offset: 1}
	got, err := Load[float32](s, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got {
		if want := float32((i + 1) % 251); v != want {
			t.Fatalf("value %d is %g, want %g", i, v, want)
		}
	}
	s.Offset = 2
	if _, err := Load[float32](s, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("one byte too few: %v", err)
	}
}

// TestElems: sizes are known before memory is made.
func TestElems(t *testing.T) {
	for _, test := range []struct {
		dims []int
		want string // in the error
	}{
		{[]int{1 << 20, 1 << 20, 1 << 20, 1 << 20}, "more than"},
		{[]int{3, 9}, "more than"},
		{[]int{-1, 1}, "negative"},
	} {
		s := Stored{DType: F32, Dims: test.dims}
		if n, err := s.Elems(4 * 26); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %d, %v, want %s", s.Shape(), n, err, test.want)
		}
	}
	if n, err := (Stored{DType: F32, Dims: []int{2, 13}}).Elems(4 * 26); n != 26 || err != nil {
		t.Errorf("%d, %v, want 26", n, err)
	}
}
