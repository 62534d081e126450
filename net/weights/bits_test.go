package weights

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// TestBits writes numbers of all sizes, more than go into a buffer, and reads them from readers of all kinds.
func TestBits(t *testing.T) {
	type number struct {
		v    uint32
		size uint
	}
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 7, 1000, 40_000} {
		var file bytes.Buffer
		w := bitWriter{w: &file}
		numbers := make([]number, n)
		for i := range numbers {
			size := r.UintN(33)
			numbers[i] = number{uint32(r.Uint64N(1 << size)), size}
			w.put(numbers[i].v, size)
		}
		size, sum, err := w.end()
		if err != nil || size != int64(file.Len()) || sum != crc32.Checksum(file.Bytes(), crc32.MakeTable(crc32.Castagnoli)) {
			t.Errorf("%d bytes with the checksum %x, error %v", size, sum, err)
		}
		for name, from := range map[string]func(io.Reader) io.Reader{
			"whole":  func(r io.Reader) io.Reader { return r },
			"bytes":  iotest.OneByteReader,
			"halves": iotest.HalfReader,
			"end":    iotest.DataErrReader,
		} {
			b := newBitReader(from(bytes.NewReader(file.Bytes())), size)
			for i, want := range numbers {
				if got := b.get(want.size); got != want.v {
					t.Fatalf("%d numbers, %s: number %d is %d, want %d", n, name, i, got, want.v)
				}
			}
			if err := b.finish(); err != nil {
				t.Errorf("%d numbers, %s: %v", n, name, err)
			}
			if got, err := b.checksum(); err != nil || got != sum {
				t.Errorf("%d numbers, %s: checksum %x, error %v, want %x", n, name, got, err, sum)
			}
		}
	}
}

func TestNear(t *testing.T) {
	for _, test := range []struct {
		v, other uint
		want     string
	}{
		{5, 5, "10000000"}, {4, 5, "01000000"}, {6, 5, "00100000"}, {3, 5, "00010000"}, {7, 5, "00001000"},
	} {
		var file bytes.Buffer
		w := bitWriter{w: &file}
		w.putNear(test.v, test.other)
		w.end()
		got := ""
		for i := range 8 {
			got += string('0' + file.Bytes()[0]>>(7-i)&1)
		}
		if got != test.want || file.Len() != 1 {
			t.Errorf("%d near %d is %s, want %s", test.v, test.other, got, test.want)
		}
		b := newBitReader(&file, 1)
		if v := b.getNear(uint8(test.other)); uint(v) != test.v {
			t.Errorf("read %d, want %d", v, test.v)
		}
	}
	// Too far off, and without an end.
	for _, bits := range []string{"\x01", strings.Repeat("\x00", 60) + "\x01", strings.Repeat("\x00", 100)} {
		b := newBitReader(strings.NewReader(bits), int64(len(bits)))
		if v := b.getNear(3); v != 255 {
			t.Errorf("%d bytes: read %d, want 255", len(bits), v)
		}
	}
}

func TestBitsEnd(t *testing.T) {
	for _, test := range []struct {
		file string
		bits uint
		want string
	}{
		{"\xff", 9, "they end too early"},
		{"", 1, "they end too early"},
		{"\xf8", 4, "4 bits are left"},
		{"\xff\x00", 8, "8 bits are left"},
		{strings.Repeat("\x00", 1<<17), 1, "1048575 bits are left"},
	} {
		b := newBitReader(strings.NewReader(test.file), int64(len(test.file)))
		b.get(test.bits)
		if err := b.finish(); err == nil || err.Error() != test.want {
			t.Errorf("%d bits of %d bytes: error %v, want %q", test.bits, len(test.file), err, test.want)
		}
		if sum, err := b.checksum(); err != nil || sum != crc32.Checksum([]byte(test.file), castagnoli) {
			t.Errorf("%d bits of %d bytes: checksum %x, error %v", test.bits, len(test.file), sum, err)
		}
	}
	broken := errors.New("broken")
	b := newBitReader(iotest.ErrReader(broken), 4)
	b.get(32)
	if _, err := b.checksum(); err != broken {
		t.Errorf("error %v, want that of the reader", err)
	}
	for _, read := range []bool{false, true} {
		b = newBitReader(strings.NewReader("short"), 6)
		if read {
			b.get(32)
		}
		if _, err := b.checksum(); err != io.ErrUnexpectedEOF {
			t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
		}
	}
	b = newBitReader(strings.NewReader(""), 6)
	if _, err := b.checksum(); err != io.ErrUnexpectedEOF {
		t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
	}
	var longest longestWrite
	long := bitWriter{w: &longest}
	for range 1 << 16 {
		long.put(1, 32)
	}
	if _, _, err := long.end(); err != nil || longest > 1<<16 {
		t.Errorf("writes of up to %d bytes, error %v", longest, err)
	}
	w := bitWriter{w: failing{broken}}
	for range 20_000 {
		w.put(1, 32)
	}
	if _, _, err := w.end(); err != broken {
		t.Errorf("error %v, want that of the writer", err)
	}
}

// A longestWrite is the most bytes that came at once.
type longestWrite int

func (l *longestWrite) Write(b []byte) (int, error) {
	*l = max(*l, longestWrite(len(b)))
	return len(b), nil
}
