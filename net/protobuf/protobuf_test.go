package protobuf

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// message returns a Message over its encoding.
func message(b []byte) Message { return NewMessage(bytes.NewReader(b), int64(len(b))) }

// field returns the only field of an encoded message.
func field(t *testing.T, b []byte) Field {
	t.Helper()
	for f, err := range message(b).Fields() {
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	t.Fatal("no field")
	return Field{}
}

// TestFields: every wire type, messages in messages, and fields that do not fit the window.
func TestFields(t *testing.T) {
	long := strings.Repeat("weights ", windowSize/4)
	inner := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 300)
	var b []byte
	b = protowire.AppendBytes(protowire.AppendTag(b, 9, protowire.BytesType), []byte(long))
	b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), inner)
	b = protowire.AppendFixed32(protowire.AppendTag(b, 3, protowire.Fixed32Type), 7)
	b = protowire.AppendFixed64(protowire.AppendTag(b, 4, protowire.Fixed64Type), 8)
	b = protowire.AppendString(protowire.AppendTag(b, 5, protowire.BytesType), "name")
	var got []string
	for f, err := range message(b).Fields() {
		if err != nil {
			t.Fatal(err)
		}
		switch f.Number {
		case 9:
			v, err := f.Bytes(int64(len(long)))
			got = append(got, fmt.Sprint(string(v) == long, err))
			_, err = f.Bytes(int64(len(long)) - 1)
			got = append(got, fmt.Sprint(err))
		case 2:
			m, err := f.Message()
			for f, err := range m.Fields() {
				v, errVarint := f.Varint()
				got = append(got, fmt.Sprint(v, err, errVarint))
			}
			got = append(got, fmt.Sprint(err))
		case 3:
			v, err := f.Fixed32()
			got = append(got, fmt.Sprint(v, err))
			_, err = f.String()
			got = append(got, fmt.Sprint(err))
		case 4:
			v, err := f.Fixed64()
			got = append(got, fmt.Sprint(v, err))
			_, err = f.Fixed32()
			got = append(got, fmt.Sprint(err))
		case 5:
			s, err := f.String()
			offset, size, _ := f.Section()
			got = append(got, fmt.Sprintf("%s %v %s", s, err, b[offset:offset+size]))
			_, err = f.Varint()
			got = append(got, fmt.Sprint(err))
		}
	}
	want := []string{
		"true <nil>", fmt.Sprintf("field 9 has %d bytes, expected at most %d", len(long), len(long)-1),
		"300 <nil> <nil>", "<nil>",
		"7 <nil>", "field 3 has the wire type 5, expected 2",
		"8 <nil>", "field 4 has the wire type 1, expected 5",
		"name <nil> name", "field 5 has the wire type 2, expected 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestRepeated: packed and single numbers, also more than a window of them, and not more than the limit.
func TestRepeated(t *testing.T) {
	var packed []byte
	var want []uint64
	for i := range uint64(windowSize) {
		packed = protowire.AppendVarint(packed, i*i)
		want = append(want, i*i)
	}
	b := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), packed)
	got, err := field(t, b).Varints(nil, windowSize)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d values, %v, want %d", len(got), err, len(want))
	}
	if _, err = field(t, b).Varints(nil, windowSize-1); err == nil {
		t.Error("one value more than the limit is accepted")
	}
	got, err = field(t, protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 5)).Varints([]uint64{4}, 2)
	if err != nil || !slices.Equal(got, []uint64{4, 5}) {
		t.Errorf("%v, %v", got, err)
	}
	got, err = field(t, protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte{1, 0, 0, 0, 2, 0, 0, 0})).Fixed32s(nil, 2)
	if err != nil || !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err = field(t, protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte{1, 0, 0, 0, 2})).Fixed32s(nil, 2); err == nil {
		t.Error("half a number is accepted")
	}
}

// TestBroken: what is no message is an error that says where.
func TestBroken(t *testing.T) {
	for _, test := range []struct{ encoded, want string }{
		{"\x0a\x05abc", "byte 0: field 1 has 5 bytes, expected at most the 3 that are left"},
		{"\x08\x01\x0b", "byte 2: field 1 has the wire type 3, expected 0, 1, 2 or 5"},
		{"\x08", "byte 0: field 1 has a number that is cut off or too long"},
		{"\x00\x01", "byte 0: no field starts here"},
		{"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "byte 0: field 1 has 18446744073709551615 bytes, expected at most the 0 that are left"},
	} {
		var got error
		for _, err := range message([]byte(test.encoded)).Fields() {
			got = err
		}
		if got == nil || got.Error() != test.want {
			t.Errorf("%q: %v, want %s", test.encoded, got, test.want)
		}
	}
	for _, err := range NewMessage(strings.NewReader("\x08"), 100).Fields() {
		if err == nil || err.Error() != "byte 0: unexpected EOF" {
			t.Errorf("a file that has become shorter: %v", err)
		}
	}
}

// FuzzFields: no bytes make a walk panic, hang or allocate more than the file's size.
func FuzzFields(f *testing.F) {
	f.Add([]byte("\x0a\x03abc\x10\x05"))
	f.Fuzz(func(t *testing.T, b []byte) { walk(t, message(b), 4) })
}

// walk reads every field in every way.
func walk(t *testing.T, m Message, depth int) {
	for f, err := range m.Fields() {
		if err != nil || depth == 0 {
			return
		}
		b, err := f.Bytes(1 << 20)
		if err == nil && int64(len(b)) != f.Size() {
			t.Fatalf("%d bytes, expected %d", len(b), f.Size())
		}
		f.Varints(nil, 100)
		f.Fixed32s(nil, 100)
		if inner, err := f.Message(); err == nil {
			walk(t, inner, depth-1)
		}
	}
}
