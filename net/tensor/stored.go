package tensor

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// A DType is the type of stored values.
type DType uint8

// The types, with the names that safetensors has for them: floating-point numbers, with BF16 for the upper half of
// F32, and integers.
const (
	F32 DType = iota
	F16
	BF16
	F64
	I8
	U8
	I32
	I64
)

var dtypes = [...]struct {
	name string
	size int
}{F32: {"F32", 4}, F16: {"F16", 2}, BF16: {"BF16", 2}, F64: {"F64", 8}, I8: {"I8", 1}, U8: {"U8", 1}, I32: {"I32", 4}, I64: {"I64", 8}}

// ParseDType returns the type of that name.
func ParseDType(name string) (DType, error) {
	for t, d := range dtypes {
		if d.name == name {
			return DType(t), nil
		}
	}
	return 0, fmt.Errorf("type is %q, expected F32, F16, BF16, F64, I8, U8, I32 or I64", name)
}

func (t DType) String() string { return dtypes[t].name }

// Size returns the bytes of a value.
func (t DType) Size() int { return dtypes[t].size }

// A Stored is a tensor that is still in a file: its values lie there side by side in row-major order,
// each in little-endian order. [Load] reads them.
type Stored struct {
	DType  DType
	Dims   []int
	File   io.ReaderAt
	Offset int64 // of the first value in File
}

// Shape returns the dimensions in the form 64×3×3×3, or "scalar".
func (s Stored) Shape() string { return shape(s.Dims) }

// Elems returns the number of values. It fails if a dimension is negative or the values would take more
// than limit bytes.
func (s Stored) Elems(limit int64) (int, error) {
	return elements(s.Dims, limit/int64(s.DType.Size()))
}

// Load reads the values of s, converts them to T and returns them, in the memory of dst if they have enough
// room there. Who calls it must have found by Elems that they lie within the file. All values convert
// to float64 exactly but integers of more than 53 bits, and all to float32 but F64 and integers of more than 24.
func Load[T float32 | float64](s Stored, dst []T) ([]T, error) {
	n, err := s.Elems(math.MaxInt64)
	if err != nil {
		return nil, err
	}
	if cap(dst) < n {
		dst = make([]T, n)
	}
	dst = dst[:n]
	size := s.DType.Size()
	buffer := make([]byte, min(n*size, 1<<16))
	for rest, at := dst, s.Offset; len(rest) > 0; {
		part := rest[:min(len(rest), len(buffer)/size)]
		b := buffer[:len(part)*size]
		if got, err := s.File.ReadAt(b, at); got < len(b) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		convert(part, b, s.DType)
		rest, at = rest[len(part):], at+int64(len(b))
	}
	return dst, nil
}

// convert decodes len(dst) values.
func convert[T float32 | float64](dst []T, b []byte, t DType) {
	le := binary.LittleEndian
	switch t {
	case F32:
		for i := range dst {
			dst[i] = T(math.Float32frombits(le.Uint32(b[4*i:])))
		}
	case F16:
		for i := range dst {
			dst[i] = T(Half(le.Uint16(b[2*i:])))
		}
	case BF16:
		for i := range dst {
			dst[i] = T(math.Float32frombits(uint32(le.Uint16(b[2*i:])) << 16))
		}
	case F64:
		for i := range dst {
			dst[i] = T(math.Float64frombits(le.Uint64(b[8*i:])))
		}
	case I8:
		for i := range dst {
			dst[i] = T(int8(b[i]))
		}
	case U8:
		for i := range dst {
			dst[i] = T(b[i])
		}
	case I32:
		for i := range dst {
			dst[i] = T(int32(le.Uint32(b[4*i:])))
		}
	case I64:
		for i := range dst {
			dst[i] = T(int64(le.Uint64(b[8*i:])))
		}
	}
}

// Half returns the value of a float16, see IEEE 754: a sign, 5 bits of exponent, 10 bits of fraction.
func Half(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exponent {
	case 0: // zero, or a subnormal number, in steps of 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)/(1<<24)))
	case 31: // infinity, not a number
		exponent = 255 - (127 - 15)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
