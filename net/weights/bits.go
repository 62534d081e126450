package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// castagnoli is the polynomial of checksums, CRC-32C, which processors compute.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A bitWriter writes numbers of bits, the highest bit of each number first. After an error of its writer
// it drops what it gets.
type bitWriter struct {
	w     io.Writer
	acc   uint64 // the low n bits are not written yet
	n     uint
	buf   []byte
	bytes int64
	sum   uint32 // of all bytes
	err   error
}

// put writes the low size bits of v, which has no others. At most 32 bits go at once.
func (b *bitWriter) put(v uint32, size uint) {
	b.acc = b.acc<<size | uint64(v)
	b.n += size
	for b.n >= 8 {
		b.n -= 8
		b.buf = append(b.buf, byte(b.acc>>b.n))
	}
	if len(b.buf) >= 1<<15 {
		b.flush()
	}
}

// putNear writes a small number that is likely to be close to another one: the difference d to it as 2·d zeros, or as
// -2·d-1 of them if it is negative, and a one.
func (b *bitWriter) putNear(v, other uint) {
	for range zigzag(int(v) - int(other)) {
		b.put(0, 1)
	}
	b.put(1, 1)
}

// zigzag returns the number of a difference, of 0, -1, 1, -2, ….
func zigzag(d int) int {
	if d < 0 {
		return -2*d - 1
	}
	return 2 * d
}

// flush writes whole bytes.
func (b *bitWriter) flush() {
	if b.err == nil {
		_, b.err = b.w.Write(b.buf)
	}
	b.sum = crc32.Update(b.sum, castagnoli, b.buf)
	b.bytes += int64(len(b.buf))
	b.buf = b.buf[:0]
}

// end writes zeros up to a whole byte, and returns the number of all bytes and their checksum.
func (b *bitWriter) end() (size int64, sum uint32, err error) {
	b.put(0, -b.n%8)
	b.flush()
	return b.bytes, b.sum, b.err
}

// A bitReader reads what a bitWriter has written. Behind the end it reads zeros, for which end returns an error.
type bitReader struct {
	r        io.Reader
	size     int64  // of r, in bytes
	acc      uint64 // the high n bits are the next ones
	n        uint
	buf      []byte // what is read of r, up to end
	pos, end int
	read     int64 // how many bytes came into buf, with zeros behind the end
	sum      uint32
	err      error // of r
}

// maxRefill is how many bits there are after refill.
const maxRefill = 56

func newBitReader(r io.Reader, size int64) *bitReader {
	return &bitReader{r: r, size: size, buf: make([]byte, min(size, 1<<15)+8)}
}

// refill makes maxRefill bits ready.
func (b *bitReader) refill() {
	if b.end-b.pos < 8 {
		b.fill()
	}
	// Bits that do not count yet are there, too, and come again.
	b.acc |= binary.BigEndian.Uint64(b.buf[b.pos:]) >> b.n
	b.pos += int(63-b.n) >> 3
	b.n |= maxRefill
}

// fill reads until 8 bytes are in the buffer.
func (b *bitReader) fill() {
	b.end = copy(b.buf, b.buf[b.pos:b.end])
	b.pos = 0
	for b.end < 8 {
		n := 8 - b.end
		if b.read < b.size && b.err == nil {
			part := b.buf[b.end:]
			part = part[:min(int64(len(part)), b.size-b.read)]
			n, b.err = io.ReadAtLeast(b.r, part, min(n, len(part)))
			b.sum = crc32.Update(b.sum, castagnoli, part[:n])
		} else {
			clear(b.buf[b.end:][:n])
		}
		b.end += n
		b.read += int64(n)
	}
}

// get reads a number of at most 32 bits.
func (b *bitReader) get(size uint) uint32 {
	b.refill()
	return b.take(size)
}

// take reads a number of the bits that are ready.
func (b *bitReader) take(size uint) uint32 {
	v := b.acc >> (64 - size)
	b.acc <<= size
	b.n -= size
	return uint32(v)
}

// getNear reads what putNear has written. What is too far from other for a byte becomes 255.
func (b *bitReader) getNear(other uint8) uint8 {
	d := 0
	for b.get(1) == 0 {
		if d++; d > 511 {
			return 255
		}
	}
	v := int(other) + d>>1
	if d&1 != 0 {
		v = int(other) - d>>1 - 1
	}
	if v < 0 || v > 255 {
		return 255
	}
	return uint8(v)
}

// symbol decodes a symbol of the bits that are ready.
func (b *bitReader) symbol(t codeTable) int {
	e := t.entries[b.acc>>t.shift]
	b.acc <<= e & 15
	b.n -= uint(e & 15)
	return int(e >> 4)
}

// finish returns an error unless all has been read but zeros up to a whole byte.
func (b *bitReader) finish() error {
	left := 8*(b.size-b.read+int64(b.end-b.pos)) + int64(b.n)
	switch {
	case left < 0:
		return errors.New("they end too early")
	case left >= 8 || b.acc>>(64-left) != 0:
		return fmt.Errorf("%d bits are left", left)
	}
	return nil
}

// checksum returns the checksum of all of r.
func (b *bitReader) checksum() (uint32, error) {
	buf := b.buf
	for b.err == nil && b.read < b.size {
		var n int
		n, b.err = io.ReadFull(b.r, buf[:min(int64(len(buf)), b.size-b.read)])
		b.sum = crc32.Update(b.sum, castagnoli, buf[:n])
		b.read += int64(n)
	}
	if b.err == io.EOF {
		b.err = io.ErrUnexpectedEOF
	}
	return b.sum, b.err
}
