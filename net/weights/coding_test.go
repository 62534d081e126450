package weights

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"firebench/net/tensor"
)

// bitString returns the bytes of bits with spaces between, filled up with zeros.
func bitString(s string) []byte {
	s = strings.Join(strings.Fields(s), "")
	b := make([]byte, (len(s)+7)/8)
	for i, bit := range s {
		b[i/8] |= byte(bit-'0') << (7 - i%8)
	}
	return b
}

// encodeValues writes values as choose has it, and checks the sizes.
func encodeValues(t testing.TB, values []float32) (coding, []byte) {
	t.Helper()
	var file bytes.Buffer
	c := choose(values)
	b := &bitWriter{w: &file}
	c.put(b, values)
	if size, _, err := b.end(); err != nil || size != (c.size.sum()+7)/8 {
		t.Errorf("%d bytes, error %v, want the %d bits of %+v", size, err, c.size.sum(), c.size)
	}
	return c, file.Bytes()
}

// decodeValues reads n values.
func decodeValues(file []byte, n int) ([]float32, error) {
	values := slices.Repeat([]float32{math.MaxFloat32}, n)
	b := newBitReader(bytes.NewReader(file), int64(len(file)))
	return values, getValues(b, values)
}

// sameBits reports whether values have the same bits.
func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
}

// TestCodingBits has every bit of some tensors, by the description of the format.
func TestCodingBits(t *testing.T) {
	for _, test := range []struct {
		values []float32
		want   string
	}{
		{[]float32{math.Pi}, "00 0 01000000 01001001 00001111 11011011"},
		{[]float32{-1.5}, "01 0 10111110 00000000"},
		// The order of 1 is 2²³ greater than that of 0.5: a step of 24 bits. Both codes have one bit.
		{slices.Concat(slices.Repeat([]float32{0.5}, 60), slices.Repeat([]float32{1}, 40)), "10 0" +
			"00000001 10111111 00000000 00000000 00000000 000000001 " + strings.Repeat("0", 23) +
			"00000000000001 1" + strings.Repeat("0", 60) + strings.Repeat("1", 40)},
		// Gaps of 0, 1 and 2 and the filler 3 have codes of 3, 3, 1 and 2 bits, and the value's has one. At the end a
		// gap without a value.
		{append(slices.Repeat([]float32{0, 0, 0.5}, 40), 0, 0), "10 1" +
			"00000000 10111111 00000000 00000000 00000000 00000000000001" +
			"00000011 0000000001 1 0001 001" + strings.Repeat("00", 40) + "0"},
		// Seven zeros are two fillers and a gap of 1.
		{append(slices.Repeat([]float32{0, 0, 0.5}, 40), 0, 0, 0, 0, 0, 0, 0, 0.5), "10 1" +
			"00000000 10111111 00000000 00000000 00000000 00000000000001" +
			"00000011 0000000001 1 0001 001" + strings.Repeat("00", 40) + "10 10 111 0"},
	} {
		_, file := encodeValues(t, test.values)
		if want := bitString(test.want); !bytes.Equal(file, want) {
			t.Errorf("%v is\n%08b, want\n%08b", test.values, file, want)
		}
		if got, err := decodeValues(file, len(test.values)); err != nil || !sameBits(got, test.values) {
			t.Errorf("%v is read as %v, error %v", test.values, got, err)
		}
	}
}

// TestCodings: which coding is chosen, and that it gives back every bit.
func TestCodings(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	of := func(n int, value func(i int) float32) []float32 {
		s := make([]float32, n)
		for i := range s {
			s[i] = value(i)
		}
		return s
	}
	normal := func(int) float32 { return float32(r.NormFloat64()) }
	entry := func(n int) func(int) float32 {
		return func(i int) float32 { return float32(i%n+1) / 3 }
	}
	sparse := func(every int, value func(int) float32) func(int) float32 {
		return func(i int) float32 {
			if i%every != every-1 {
				return 0
			}
			return value(i / every)
		}
	}
	negative := float32(math.Copysign(0, -1))
	for _, test := range []struct {
		name   string
		values []float32
		kind   valueKind
		gaps   bool
	}{
		{"random", of(5000, normal), kindFloat32, false},
		{"float16", of(5000, func(int) float32 { return tensor.Half(uint16(r.UintN(0x7c00))) }), kindFloat16, false},
		{"all of float16", of(0x7c00, func(i int) float32 { return -tensor.Half(uint16(i)) }), kindFloat16, false},
		{"too small for float16", of(5000, func(i int) float32 { return float32(i+1) * 0x1p-25 }), kindFloat32, false},
		{"too great for float16", of(5000, func(i int) float32 { return float32(i+1) * 16 }), kindFloat32, false},
		{"256 values", of(5000, entry(256)), kindCodebook, false},
		{"257 values", of(5000, entry(257)), kindFloat32, false},
		{"255 values and some zeros", append(of(5000, entry(255)), 0, 1, 0), kindCodebook, false},
		{"256 values and some zeros", append(of(5000, entry(256)), 0, 1, 0), kindCodebook, true},
		{"257 values and some zeros", append(of(5000, entry(257)), 0, 1, 0), kindFloat32, false},
		{"sparse", of(5000, sparse(3, entry(200))), kindCodebook, true},
		{"sparse, random", of(5000, sparse(3, normal)), kindFloat32, true},
		{"sparse, float16", of(5000, sparse(3, func(i int) float32 { return float32(i%1000) + 0.5 })), kindFloat16, true},
		{"very sparse", of(100_000, sparse(9999, entry(200))), kindCodebook, true},
		{"first", append([]float32{1. / 3}, make([]float32, 5000)...), kindFloat32, true},
		{"last", append(make([]float32, 5000), 1./3), kindFloat32, true},
		{"one", []float32{1. / 3}, kindFloat32, false},
		{"zero", []float32{0}, kindFloat16, false},
		{"zeros", make([]float32, 10_000), kindFloat32, true},
		{"constant", of(5000, entry(1)), kindCodebook, false},
		{"all exponents", of(5000, func(i int) float32 { return float32(math.Ldexp(float64(1-i%2*2), i%276-148)) }), kindFloat32, false},
		{"all signs", slices.Repeat([]float32{negative, math.MaxFloat32, -math.MaxFloat32, 0, -1e-45, 1e-45}, 100), kindCodebook, false},
		{"negative zeros", of(5000, sparse(4, func(int) float32 { return negative })), kindCodebook, true},
	} {
		c, file := encodeValues(t, test.values)
		if c.kind != test.kind || c.gaps != test.gaps {
			t.Errorf("%s: %s, gaps %v, want %s, gaps %v", test.name, kindNames[c.kind], c.gaps, kindNames[test.kind], test.gaps)
		}
		got, err := decodeValues(file, len(test.values))
		if err != nil || !sameBits(got, test.values) {
			t.Errorf("%s: read as other values, error %v", test.name, err)
		}
	}
}
