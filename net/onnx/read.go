package onnx

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"firebench/net/files"
	"firebench/net/protobuf"
	"firebench/net/tensor"
)

// The numbers of more fields, which only reading needs.
const (
	opsetDomain protowire.Number = 1

	nodeDomain protowire.Number = 7

	attributeBytes  protowire.Number = 4
	attributeTensor protowire.Number = 5
	attributeFloats protowire.Number = 7

	tensorFloats   protowire.Number = 4
	tensorInts     protowire.Number = 5
	tensorLongs    protowire.Number = 7
	tensorDoubles  protowire.Number = 10
	tensorExternal protowire.Number = 13
	tensorLocation protowire.Number = 14

	graphSparse protowire.Number = 15
)

// Limits on what a file may have. A file is at most 2 GiB, as that is all that a protocol buffer can be;
// weights beyond are in files of their own.
const (
	maxFile       = 2 << 30
	maxNodes      = 1 << 16
	maxAttributes = 1 << 6 // of a node
	maxTensors    = 1 << 18
	maxOutputs    = 1 << 10
	maxDims       = 16
	maxList       = 1 << 12 // of the numbers of an attribute
)

// A content is what a file says, but for its weights, which stay there.
type content struct {
	path         string
	opset        int // 0 if the file does not say
	metadata     map[string]string
	nodes        []*node
	initializers map[string]*constant
	inputs       []input
	outputs      []string

	file     *os.File
	root     *os.Root                 // the folder of the file, once external data was found
	external map[string]*externalFile // by location
}

// An externalFile is another file with weights.
type externalFile struct {
	*os.File
	size int64
}

// A node is a NodeProto.
type node struct {
	name, op        string // op has the domain in front of it unless that is ONNX's own
	inputs, outputs []string
	attributes      []*attribute
}

// An attribute has one of these values.
type attribute struct {
	name   string
	float  float32
	int    int64
	ints   []int64
	floats []float32
	text   string
	tensor *constant
	used   bool // by the operator
}

// An input is a ValueInfoProto of an input.
type input struct {
	name    string
	element int64
	dims    []int64 // -1 for a symbolic one
}

// A label is a name as messages have it. Names are any text, of up to 64 KiB.
type label string

// String returns the name, or if it would not look like one, quotes its beginning.
func (l label) String() string {
	const most = 100
	s := string(l)
	long := len(s) > most
	if long {
		s = s[:most]
	}
	q := strconv.Quote(s)
	switch {
	case long:
		return q + "…"
	case s == "" || strings.Contains(s, " ") || q != `"`+s+`"`:
		return q
	}
	return s
}

// A section is a part of a file.
type section struct {
	file         io.ReaderAt
	offset, size int64
}

// read walks a file.
func read(path string) (*content, error) {
	f, err := files.Open(path, maxFile)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, files.Error(path, err)
	}
	c := &content{path: path, file: f, metadata: map[string]string{}, initializers: map[string]*constant{}, external: map[string]*externalFile{}}
	err = c.model(protobuf.NewMessage(f, info.Size()))
	if c.root != nil {
		c.root.Close() // opened files stay open
	}
	if err != nil {
		c.close()
		return nil, files.Error(path, fmt.Errorf("not an ONNX model: %w", err))
	}
	return c, nil
}

// close closes all files. It need not be called, as files that are garbage are closed, too.
func (c *content) close() {
	c.file.Close()
	for _, f := range c.external {
		f.Close()
	}
}

// each calls f for each field of m.
func each(m protobuf.Message, f func(protobuf.Field) error) error {
	for field, err := range m.Fields() {
		if err != nil {
			return err
		}
		if err := f(field); err != nil {
			return err
		}
	}
	return nil
}

// within calls f for each field of the message that a field is.
func within(field protobuf.Field, f func(protobuf.Field) error) error {
	m, err := field.Message()
	if err != nil {
		return err
	}
	return each(m, f)
}

// text stores a field's string.
func text[S ~string](dst *S, f protobuf.Field) error {
	s, err := f.String()
	*dst = S(s)
	return err
}

// texts appends a field's string.
func texts(dst *[]string, f protobuf.Field) error {
	s, err := f.String()
	*dst = append(*dst, s)
	return err
}

// integer64 stores a field's integer.
func integer64(dst *int64, f protobuf.Field) error {
	v, err := f.Varint()
	*dst = int64(v)
	return err
}

// integers appends a field's integers.
func integers(dst *[]int64, f protobuf.Field, limit int) error {
	values, err := f.Varints(nil, limit-len(*dst))
	for _, v := range values {
		*dst = append(*dst, int64(v))
	}
	return err
}

// model walks a ModelProto.
func (c *content) model(m protobuf.Message) error {
	graphs := 0
	err := each(m, func(f protobuf.Field) error {
		switch f.Number {
		case modelOpset:
			return c.readOpset(f)
		case modelMetadata:
			key, value, err := entry(f)
			if len(c.metadata) < maxList {
				c.metadata[key] = value
			}
			return err
		case modelGraph:
			if graphs++; graphs > 1 {
				return errors.New("several graphs, expected 1")
			}
			return within(f, c.graph)
		}
		return nil
	})
	if err == nil && graphs == 0 {
		err = errors.New("no graph")
	}
	return err
}

// readOpset walks an OperatorSetIdProto.
func (c *content) readOpset(f protobuf.Field) error {
	var domain string
	var version int64
	err := within(f, func(f protobuf.Field) error {
		switch f.Number {
		case opsetDomain:
			return text(&domain, f)
		case opsetVersion:
			return integer64(&version, f)
		}
		return nil
	})
	if domain == "" || domain == onnxDomain {
		c.opset = int(min(version, math.MaxInt32))
	}
	return err
}

// entry walks a StringStringEntryProto.
func entry(f protobuf.Field) (key, value string, err error) {
	err = within(f, func(f protobuf.Field) error {
		switch f.Number {
		case entryKey:
			return text(&key, f)
		case entryValue:
			return text(&value, f)
		}
		return nil
	})
	return key, value, err
}

// graph reads a field of the GraphProto.
func (c *content) graph(f protobuf.Field) error {
	switch f.Number {
	case graphNode:
		if len(c.nodes) == maxNodes {
			return fmt.Errorf("more than %d nodes", maxNodes)
		}
		n, err := c.node(f)
		c.nodes = append(c.nodes, n)
		return err
	case graphInitializer:
		t, err := c.tensor(f)
		if err != nil {
			return err
		}
		if len(c.initializers) == maxTensors {
			return fmt.Errorf("more than %d initializers", maxTensors)
		}
		name := string(t.name)
		if name == "" || c.initializers[name] != nil {
			return fmt.Errorf("two initializers have the name %s, or one has none", t.name)
		}
		c.initializers[name] = t
	case graphInput:
		if len(c.inputs) == maxTensors {
			return fmt.Errorf("more than %d inputs", maxTensors)
		}
		in, err := readInput(f)
		if err == nil && in.name == "" {
			err = errors.New("an input has no name")
		}
		c.inputs = append(c.inputs, in)
		return err
	case graphOutput:
		if len(c.outputs) == maxOutputs {
			return fmt.Errorf("more than %d outputs", maxOutputs)
		}
		return within(f, func(f protobuf.Field) error {
			if f.Number == valueName {
				return texts(&c.outputs, f)
			}
			return nil
		})
	case graphSparse:
		return errors.New("a sparse initializer, expected dense ones")
	}
	return nil
}

// readInput walks a ValueInfoProto.
func readInput(f protobuf.Field) (in input, err error) {
	dim := func(f protobuf.Field) error {
		value := int64(-1)
		err := within(f, func(f protobuf.Field) error {
			if f.Number == dimValue {
				return integer64(&value, f)
			}
			return nil
		})
		if in.dims = append(in.dims, value); len(in.dims) > maxDims {
			return fmt.Errorf("input %s has more than %d dimensions", label(in.name), maxDims)
		}
		return err
	}
	// A tensor type, in a TypeProto, has an element type and a shape, which has dimensions.
	tensorType := func(f protobuf.Field) error {
		switch f.Number {
		case tensorTypeElement:
			return integer64(&in.element, f)
		case tensorTypeShape:
			return within(f, func(f protobuf.Field) error {
				if f.Number == shapeDim {
					return dim(f)
				}
				return nil
			})
		}
		return nil
	}
	err = within(f, func(f protobuf.Field) error {
		switch f.Number {
		case valueName:
			return text(&in.name, f)
		case valueType:
			return within(f, func(f protobuf.Field) error {
				if f.Number == typeTensor {
					return within(f, tensorType)
				}
				return nil
			})
		}
		return nil
	})
	return in, err
}

// onnxDomain is another name of the domain of ONNX's own operators, which is usually left out.
const onnxDomain = "ai.onnx"

// node walks a NodeProto.
func (c *content) node(f protobuf.Field) (*node, error) {
	n := &node{}
	var domain string
	err := within(f, func(f protobuf.Field) error {
		switch f.Number {
		case nodeInput:
			return texts(&n.inputs, f)
		case nodeOutput:
			return texts(&n.outputs, f)
		case nodeName:
			return text(&n.name, f)
		case nodeOp:
			return text(&n.op, f)
		case nodeDomain:
			return text(&domain, f)
		case nodeAttribute:
			if len(n.attributes) == maxAttributes {
				return fmt.Errorf("the node %s has more than %d attributes", label(n.name), maxAttributes)
			}
			a, err := c.attribute(f)
			if err == nil && a.name == "" {
				err = fmt.Errorf("an attribute of the node %s has no name", label(n.name))
			}
			n.attributes = append(n.attributes, a)
			return err
		}
		return nil
	})
	if err == nil && (n.op == "" || len(n.outputs) == 0) {
		err = fmt.Errorf("a node %s without an operator or an output", label(n.name))
	}
	if domain != "" && domain != onnxDomain {
		n.op = domain + "." + n.op
	}
	return n, err
}

// attribute walks an AttributeProto.
func (c *content) attribute(f protobuf.Field) (*attribute, error) {
	a := &attribute{}
	err := within(f, func(f protobuf.Field) (err error) {
		switch f.Number {
		case attributeName:
			return text(&a.name, f)
		case attributeFloat:
			v, err := f.Fixed32()
			a.float = math.Float32frombits(v)
			return err
		case attributeInt:
			return integer64(&a.int, f)
		case attributeInts:
			return integers(&a.ints, f, maxList)
		case attributeFloats:
			values, err := f.Fixed32s(nil, maxList-len(a.floats))
			for _, v := range values {
				a.floats = append(a.floats, math.Float32frombits(uint32(v)))
			}
			return err
		case attributeBytes:
			return text(&a.text, f)
		case attributeTensor:
			if a.tensor != nil {
				return fmt.Errorf("attribute %s has several tensors", label(a.name))
			}
			a.tensor, err = c.tensor(f)
			return err
		}
		return nil
	})
	return a, err
}

// elements are the types of a tensor's values that can be read, by the numbers that they have in ONNX.
// Truth values are bytes.
var elements = map[int64]tensor.DType{
	float32s: tensor.F32,
	uint8s:   tensor.U8,
	int8s:    tensor.I8,
	int32s:   tensor.I32,
	int64s:   tensor.I64,
	9:        tensor.U8,
	10:       tensor.F16,
	11:       tensor.F64,
	16:       tensor.BF16,
}

// tensor walks a TensorProto. What is wrong with its values is an error only of who reads them.
func (c *content) tensor(f protobuf.Field) (*constant, error) {
	t := &constant{data: &data{}}
	var dims []int64
	var element, location int64
	var raw, typed protobuf.Field
	size, fields := int64(0), 0 // of typed values
	var external map[string]string
	err := within(f, func(f protobuf.Field) error {
		switch f.Number {
		case tensorDims:
			return integers(&dims, f, maxDims)
		case tensorType:
			return integer64(&element, f)
		case tensorName:
			return text(&t.name, f)
		case tensorRaw:
			raw = f
		case tensorFloats, tensorInts, tensorLongs, tensorDoubles:
			typed = f
			size += f.Size()
			if f.Type != protowire.BytesType {
				size++
			}
			fields++
		case tensorLocation:
			return integer64(&location, f)
		case tensorExternal:
			key, value, err := entry(f)
			if external == nil {
				external = map[string]string{}
			}
			if len(external) < maxDims {
				external[key] = value
			}
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, d := range dims {
		if int64(int(d)) != d {
			return nil, fmt.Errorf("tensor %s has a dimension of %d", t.name, d)
		}
		t.dims = append(t.dims, int(d))
	}
	t.stored.Dims = t.dims
	dtype, ok := elements[element]
	if !ok {
		t.err = fmt.Errorf("type %d of its values is not supported", element)
		return t, nil
	}
	t.stored.DType = dtype
	var s section
	switch {
	case location != 0:
		if s, err = c.externalData(external); err != nil {
			t.err = err
			return t, nil
		}
	case raw.Number != 0:
		s.file = c.file
		if s.offset, s.size, err = raw.Section(); err != nil {
			return nil, err
		}
	case fields == 0:
		s.file = c.file // no values
	case dtype == tensor.F32 && typed.Number == tensorFloats || dtype == tensor.F64 && typed.Number == tensorDoubles:
		if fields != 1 {
			t.err = fmt.Errorf("its values are in %d fields, expected 1", fields)
			return t, nil
		}
		s.file = c.file
		if s.offset, s.size, err = typed.Section(); err != nil {
			return nil, err
		}
	default:
		n, err := t.stored.Elems(size * int64(dtype.Size())) // a value takes at least a byte
		if err != nil {
			t.err = err
			return t, nil
		}
		field := tensorInts
		if dtype == tensor.I64 {
			field = tensorLongs
		}
		data := make(littleEndian, 0, n*dtype.Size())
		err = within(f, func(f protobuf.Field) error {
			if f.Number != field {
				return nil
			}
			values, err := f.Varints(nil, n-len(data)/dtype.Size())
			for _, v := range values {
				data = data.append(v, dtype.Size())
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", t.name, err)
		}
		s = section{data, 0, int64(len(data))}
	}
	n, err := t.stored.Elems(math.MaxInt64)
	if err == nil && int64(n)*int64(dtype.Size()) != s.size {
		err = fmt.Errorf("%d bytes of values, expected %d for %s of %v", s.size, int64(n)*int64(dtype.Size()), t.stored.Shape(), dtype)
	}
	t.err = err
	t.stored.File, t.stored.Offset = s.file, s.offset
	return t, nil
}

// littleEndian are numbers that were not stored side by side, as they would then have been.
type littleEndian []byte

func (b littleEndian) append(v uint64, size int) littleEndian {
	for range size {
		b = append(b, byte(v))
		v >>= 8
	}
	return b
}

// ReadAt implements io.ReaderAt.
func (b littleEndian) ReadAt(p []byte, offset int64) (int, error) {
	if offset >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// externalData returns the part of another file, in the model's folder, that has a tensor's values.
func (c *content) externalData(entries map[string]string) (section, error) {
	location := entries["location"]
	fail := func(err error) (section, error) {
		return section{}, fmt.Errorf("external data %s: %w", label(location), err)
	}
	number := func(key string, otherwise int64) (int64, error) {
		s, ok := entries[key]
		if !ok {
			return otherwise, nil
		}
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil || v < 0 {
			return 0, fmt.Errorf("%s is %s, expected a number of bytes", key, label(s))
		}
		return v, nil
	}
	whole, err := c.open(location)
	if err != nil {
		return fail(err)
	}
	offset, err := number("offset", 0)
	if err != nil {
		return fail(err)
	}
	if offset > whole.size {
		return fail(fmt.Errorf("offset is %d in a file of %d bytes", offset, whole.size))
	}
	length, err := number("length", whole.size-offset)
	if err != nil {
		return fail(err)
	}
	if length > whole.size-offset {
		return fail(fmt.Errorf("%d bytes from %d on, of a file of %d bytes", length, offset, whole.size))
	}
	return section{whole, offset, length}, nil
}

// open opens a file in the model's folder, once. There is no way out of the folder, not even by symbolic
// links.
func (c *content) open(name string) (*externalFile, error) {
	if f := c.external[name]; f != nil {
		return f, nil
	}
	if c.root == nil {
		root, err := os.OpenRoot(filepath.Dir(c.path))
		if err != nil {
			return nil, err
		}
		c.root = root
	}
	fail := func(err error) (*externalFile, error) {
		var pathErr *os.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return nil, err
	}
	info, err := c.root.Stat(name) // before it is opened, as opening a pipe could wait forever
	if err != nil {
		return fail(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("expected a regular file")
	}
	f, err := c.root.Open(name)
	if err != nil {
		return fail(err)
	}
	c.external[name] = &externalFile{f, info.Size()}
	return c.external[name], nil
}
