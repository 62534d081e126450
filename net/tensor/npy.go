package tensor

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"firebench/net/files"
)

// The .npy format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
// A magic string, two bytes of version, the header's length (16 bits in version
// 1, 32 bits since), the header, a Python dictionary padded with spaces up to a
// line feed, and the raw data.
const (
	magic     = "\x93NUMPY"
	maxHeader = 64 << 10 // numpy itself refuses to evaluate more than 10000
	maxRank   = 8
	align     = 64 // of the data that WriteNPY writes
)

// MaxNPY is the largest number of values that [ReadNPYFile] accepts, 256 MiB: more than the
// largest layer of a network has.
const MaxNPY = 1 << 26

// ReadNPY reads one array in the .npy format, version 1, 2 or 3: little-endian
// float32 in C order, of rank 8 at most and with at most max values, up to the
// end of r. Memory grows with the data that really arrive, whatever the header
// promises. Any other type, order or length is an error that says what was found
// and what was expected.
func ReadNPY(r io.Reader, max int64) (*Tensor, error) {
	br := bufio.NewReader(r)
	dims, n, err := readHeader(br, max)
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	data, err := readData(br, n)
	if err != nil {
		return nil, fmt.Errorf("npy: shape %s: %w", shape(dims), err)
	}
	return &Tensor{Dims: dims, Data: data}, nil
}

// readHeader reads everything before the data.
func readHeader(r io.Reader, max int64) (dims []int, n int, err error) {
	var b [12]byte
	fixed := b[:10]
	if got, err := io.ReadFull(r, fixed); err != nil {
		if got == 0 && err == io.EOF {
			return nil, 0, errors.New("empty")
		}
		return nil, 0, truncated("the first bytes", err)
	}
	if string(fixed[:len(magic)]) != magic {
		return nil, 0, fmt.Errorf("starts with %q, expected %q", fixed[:len(magic)], magic)
	}
	var length uint32
	switch major, minor := fixed[6], fixed[7]; {
	case minor != 0 || major < 1 || major > 3:
		return nil, 0, fmt.Errorf("version %d.%d, expected 1.0, 2.0 or 3.0", major, minor)
	case major == 1:
		length = uint32(binary.LittleEndian.Uint16(fixed[8:]))
	default:
		if _, err := io.ReadFull(r, b[10:]); err != nil {
			return nil, 0, truncated("the header's length", err)
		}
		length = binary.LittleEndian.Uint32(b[8:])
	}
	if length > maxHeader {
		return nil, 0, fmt.Errorf("header of %d bytes, expected at most %d", length, maxHeader)
	}
	header := make([]byte, length)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, 0, truncated("the header", err)
	}
	if dims, err = parseHeader(string(header)); err != nil {
		return nil, 0, fmt.Errorf("header: %w", err)
	}
	n, err = elements(dims, min(max, math.MaxInt/4))
	return dims, n, err
}

// readData reads n values and makes sure that nothing follows them.
func readData(r io.Reader, n int) ([]float32, error) {
	var block [16 << 10]byte
	data := make([]float32, 0, min(n, 1<<20))
	for len(data) < n {
		b := block[:min(len(block), 4*(n-len(data)))]
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, truncated(fmt.Sprintf("%d values", n), err)
		}
		if len(data) == cap(data) { // room for all n, but at most for four times what has come
			data = slices.Grow(data, min(n-len(data), 3*len(data)))
		}
		for ; len(b) > 0; b = b[4:] {
			data = append(data, math.Float32frombits(binary.LittleEndian.Uint32(b)))
		}
	}
	switch _, err := io.ReadFull(r, block[:1]); err {
	case io.EOF:
		return data, nil
	case nil:
		return nil, fmt.Errorf("more than %d values", n)
	default:
		return nil, err
	}
}

// truncated says within what the input has ended. An err other than its end is returned as
// it is.
func truncated(what string, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("truncated: ends within %s", what)
	}
	return err
}

// parseHeader returns the shape from a header such as
//
//	{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 227, 227), }
//
// in any order of the keys. It accepts what numpy writes, not all of Python.
func parseHeader(s string) ([]int, error) {
	s, ok := strings.CutSuffix(s, "\n")
	if !ok {
		return nil, errors.New("no line feed at the end")
	}
	p := &literal{s}
	var dims []int
	seen := map[string]bool{}
	if !p.accept("{") {
		return nil, p.unexpected("a dictionary")
	}
	for !p.accept("}") {
		key, err := p.str()
		if err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, fmt.Errorf("key %q twice", key)
		}
		seen[key] = true
		if !p.accept(":") {
			return nil, p.unexpected(`":"`)
		}
		switch key {
		case "descr":
			descr, err := p.str()
			if err != nil {
				return nil, err
			}
			if descr != "<f4" {
				return nil, fmt.Errorf("data type %q, expected %q (float32, little-endian)", descr, "<f4")
			}
		case "fortran_order":
			if p.accept("True") {
				return nil, errors.New("values in Fortran order, expected C order")
			}
			if !p.accept("False") {
				return nil, p.unexpected("True or False")
			}
		case "shape":
			if dims, err = p.tuple(); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("unknown key %q", key)
		}
		if !p.accept(",") && !p.next("}") {
			return nil, p.unexpected(`"," or "}"`)
		}
	}
	if p.skip(); p.rest != "" {
		return nil, p.unexpected("the end")
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return nil, fmt.Errorf("no key %q", key)
		}
	}
	return dims, nil
}

// A literal scans Python literals.
type literal struct{ rest string }

func (p *literal) skip() { p.rest = strings.TrimLeft(p.rest, " ") }

func (p *literal) next(token string) bool {
	p.skip()
	return strings.HasPrefix(p.rest, token)
}

func (p *literal) accept(token string) bool {
	if !p.next(token) {
		return false
	}
	p.rest = p.rest[len(token):]
	return true
}

func (p *literal) unexpected(want string) error {
	p.skip()
	return fmt.Errorf("found %.20q, expected %s", p.rest, want)
}

// str scans a quoted string without escapes.
func (p *literal) str() (string, error) {
	for _, quote := range []string{"'", `"`} {
		if p.next(quote) {
			if s, rest, ok := strings.Cut(p.rest[1:], quote); ok {
				p.rest = rest
				return s, nil
			}
		}
	}
	return "", p.unexpected("a string")
}

// tuple scans (), (1,), (1, 2) and so on. What it returns is never nil.
func (p *literal) tuple() ([]int, error) {
	dims := []int{}
	if !p.accept("(") {
		return nil, p.unexpected("the shape's tuple")
	}
	comma := true
	for !p.accept(")") {
		if !comma {
			return nil, p.unexpected(`"," or ")"`)
		}
		p.skip()
		end := strings.IndexAny(p.rest, ",) ")
		if end < 0 {
			return nil, p.unexpected("a dimension")
		}
		dim, err := strconv.ParseUint(p.rest[:end], 10, strconv.IntSize-1)
		if err != nil {
			return nil, fmt.Errorf("dimension %.20q, expected a number from 0 to %d", p.rest[:end], math.MaxInt)
		}
		if dims = append(dims, int(dim)); len(dims) > maxRank {
			return nil, fmt.Errorf("more than %d dimensions", maxRank)
		}
		p.rest = p.rest[end:]
		comma = p.accept(",")
	}
	if len(dims) == 1 && !comma {
		return nil, fmt.Errorf("shape (%d) is a number, expected a tuple", dims[0])
	}
	return dims, nil
}

// WriteNPY writes t in the .npy format, version 1.0.
func WriteNPY(w io.Writer, t *Tensor) error {
	if err := t.check(); err != nil {
		return err
	}
	if len(t.Dims) > maxRank {
		return fmt.Errorf("npy: %d dimensions, expected at most %d", len(t.Dims), maxRank)
	}
	var tuple strings.Builder
	for _, d := range t.Dims {
		fmt.Fprintf(&tuple, "%d, ", d)
	}
	dims := tuple.String()
	if len(t.Dims) > 1 {
		dims = strings.TrimSuffix(dims, ", ")
	} else {
		dims = strings.TrimSuffix(dims, " ")
	}
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", dims)
	start := len(magic) + 4
	length := (start+len(header)+1+align-1)/align*align - start

	bw := bufio.NewWriter(w)
	bw.WriteString(magic + "\x01\x00")
	bw.Write(binary.LittleEndian.AppendUint16(nil, uint16(length)))
	fmt.Fprintf(bw, "%-*s\n", length-1, header)
	var b [4]byte
	for _, v := range t.Data {
		binary.LittleEndian.PutUint32(b[:], math.Float32bits(v))
		bw.Write(b[:])
	}
	return bw.Flush() // the first error of all of these
}

// ReadNPYFile reads a .npy file of at most MaxNPY values as ReadNPY does. Errors
// name the file.
func ReadNPYFile(path string) (*Tensor, error) {
	f, err := files.Open(path, 4*MaxNPY+maxHeader+12)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := ReadNPY(f, MaxNPY)
	if err != nil {
		return nil, files.Error(path, err)
	}
	return t, nil
}

// WriteNPYFile writes t as WriteNPY does; the file appears only when it is
// complete. Errors name the file.
func WriteNPYFile(path string, t *Tensor) error {
	f, err := files.Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	if err := WriteNPY(f, t); err != nil {
		return files.Error(path, err)
	}
	return f.Commit()
}
