// Package protobuf walks messages in the encoding of protocol buffers, without generated code and
// without reading into memory what nobody asks for: the files of ONNX and Caffe are one message, most
// of which are weights. See https://protobuf.dev/programming-guides/encoding.
package protobuf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
)

// A Message is an encoded message, as a part of a file. The zero value is an empty message.
type Message struct {
	file       *window
	start, end int64 // in the file
}

// NewMessage returns the message that the first size bytes of r are. The message and those in it must not be used by
// several goroutines at once.
func NewMessage(r io.ReaderAt, size int64) Message {
	return Message{&window{r: r}, 0, size}
}

// A Field is one field of a message. Its methods fail if it has not the wire type that they need.
type Field struct {
	Number protowire.Number
	Type   protowire.Type
	value  uint64  // of a number
	bytes  Message // the place of bytes, strings, messages and packed numbers
}

// maxHead is the size of the longest tag with the longest length or number behind it.
const maxHead = 20

// Fields returns the fields of m in the order of the file. The first error, which gives the
// place in the file, ends them.
func (m Message) Fields() iter.Seq2[Field, error] {
	return func(yield func(Field, error) bool) {
		for at := m.start; at < m.end; {
			f, next, err := m.field(at)
			if err != nil {
				yield(Field{}, fmt.Errorf("byte %d: %w", at, err))
				return
			}
			if !yield(f, nil) {
				return
			}
			at = next
		}
	}
}

// field returns the field at a place in the file, and where the next one starts.
func (m Message) field(at int64) (f Field, next int64, err error) {
	head, err := m.file.read(at, min(maxHead, m.end-at))
	if err != nil {
		return f, 0, err
	}
	number, typ, n := protowire.ConsumeTag(head)
	if n < 0 {
		return f, 0, errors.New("no field starts here")
	}
	f, at, head = Field{Number: number, Type: typ}, at+int64(n), head[n:]
	switch typ {
	case protowire.VarintType:
		f.value, n = protowire.ConsumeVarint(head)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(head)
		f.value = uint64(v)
	case protowire.Fixed64Type:
		f.value, n = protowire.ConsumeFixed64(head)
	case protowire.BytesType:
		var size uint64
		if size, n = protowire.ConsumeVarint(head); n < 0 {
			break
		}
		at += int64(n)
		if size > uint64(m.end-at) {
			return f, 0, fmt.Errorf("field %d has %d bytes, expected at most the %d that are left", number, size, m.end-at)
		}
		f.bytes = Message{m.file, at, at + int64(size)}
		return f, f.bytes.end, nil
	default:
		return f, 0, fmt.Errorf("field %d has the wire type %d, expected 0, 1, 2 or 5", number, typ)
	}
	if n < 0 {
		return f, 0, malformed(number)
	}
	return f, at + int64(n), nil
}

// Message returns the field as a message.
func (f Field) Message() (Message, error) { return f.bytes, f.is(protowire.BytesType) }

// Section returns where in the file the field's bytes lie.
func (f Field) Section() (offset, size int64, err error) {
	return f.bytes.start, f.Size(), f.is(protowire.BytesType)
}

// Size returns how many bytes the field has; a number has none.
func (f Field) Size() int64 { return f.bytes.end - f.bytes.start }

// Bytes returns a copy of the field's bytes, of which there may be limit.
func (f Field) Bytes(limit int64) ([]byte, error) {
	if err := f.is(protowire.BytesType); err != nil {
		return nil, err
	}
	if f.Size() > limit {
		return nil, fmt.Errorf("field %d has %d bytes, expected at most %d", f.Number, f.Size(), limit)
	}
	if f.Size() <= windowSize {
		b, err := f.bytes.file.read(f.bytes.start, f.Size())
		return bytes.Clone(b), err
	}
	b := make([]byte, f.Size())
	if _, err := f.bytes.file.r.ReadAt(b, f.bytes.start); err != nil {
		return nil, f.bytes.file.failure(err)
	}
	return b, nil
}

// maxString bounds names.
const maxString = 1 << 16

// String returns the field as a string of at most 64 KiB.
func (f Field) String() (string, error) {
	b, err := f.Bytes(maxString)
	return string(b), err
}

// Varint returns the field as an integer of variable length. Signed integers are converted
// from it, as by int64(v).
func (f Field) Varint() (uint64, error) { return f.value, f.is(protowire.VarintType) }

// Fixed32 returns the field as a number of four bytes.
func (f Field) Fixed32() (uint32, error) { return uint32(f.value), f.is(protowire.Fixed32Type) }

// Fixed64 returns the field as a number of eight bytes.
func (f Field) Fixed64() (uint64, error) { return f.value, f.is(protowire.Fixed64Type) }

// Varints appends the integers of a repeated field to dst: one, or many that are packed. There may be limit in all.
func (f Field) Varints(dst []uint64, limit int) ([]uint64, error) {
	if f.Type == protowire.VarintType {
		return f.within(append(dst, f.value), limit)
	}
	return f.packed(dst, limit, protowire.ConsumeVarint)
}

// Fixed32s appends the numbers of four bytes of a repeated field to dst: one, or many that are packed. There may be
// limit in all.
func (f Field) Fixed32s(dst []uint64, limit int) ([]uint64, error) {
	if f.Type == protowire.Fixed32Type {
		return f.within(append(dst, f.value), limit)
	}
	return f.packed(dst, limit, func(b []byte) (uint64, int) {
		v, n := protowire.ConsumeFixed32(b)
		return uint64(v), n
	})
}

// packed appends packed numbers. It reads them window by window, so that memory grows only with what is there.
func (f Field) packed(dst []uint64, limit int, consume func([]byte) (uint64, int)) ([]uint64, error) {
	if err := f.is(protowire.BytesType); err != nil {
		return dst, err
	}
	m := f.bytes
	for at := m.start; at < m.end; {
		b, err := m.file.read(at, min(windowSize, m.end-at))
		if err != nil {
			return dst, err
		}
		last := at+int64(len(b)) == m.end
		for len(b) > 0 && (last || len(b) >= maxHead) {
			v, n := consume(b)
			if n < 0 {
				return dst, fmt.Errorf("byte %d: %w", at, malformed(f.Number))
			}
			if dst, err = f.within(append(dst, v), limit); err != nil {
				return dst, err
			}
			b, at = b[n:], at+int64(n)
		}
	}
	return dst, nil
}

func (f Field) within(values []uint64, limit int) ([]uint64, error) {
	if len(values) > limit {
		return values, fmt.Errorf("field %d has more than %d values", f.Number, limit)
	}
	return values, nil
}

func malformed(n protowire.Number) error {
	return fmt.Errorf("field %d has a number that is cut off or too long", n)
}

// is returns an error unless the field has a wire type.
func (f Field) is(want protowire.Type) error {
	if f.Type != want {
		return fmt.Errorf("field %d has the wire type %d, expected %d", f.Number, f.Type, want)
	}
	return nil
}

// A window is a file, a part of which is in memory.
type window struct {
	r     io.ReaderAt
	start int64
	data  []byte
}

const windowSize = 1 << 16

// read returns n bytes, at most windowSize, until the next call.
func (w *window) read(at, n int64) ([]byte, error) {
	if at < w.start || at+n > w.start+int64(len(w.data)) {
		if w.data == nil {
			w.data = make([]byte, windowSize)
		}
		got, err := w.r.ReadAt(w.data[:windowSize], at)
		w.start, w.data = at, w.data[:got]
		if int64(got) < n {
			return nil, w.failure(err)
		}
	}
	return w.data[at-w.start:][:n], nil
}

// failure is the error for a read that got less than was asked for: the file has become shorter.
func (w *window) failure(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
