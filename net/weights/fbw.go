package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// The FBW format holds the weights of any model, each layer's in the coding in which they take the fewest bits: codes for
// entries of a codebook where the weights share at most 256 values, else float16 if that is exact, else float32, all without the
// zeros if that is shorter. Nothing is rounded. A file consists of
//
//	5 bytes    the magic number "\x89FBW" and the version, 1
//	tensors    for each layer with weights these, in the order O, I, KH, KW, and then its biases
//	directory  what the tensors are, and what the model must be like
//	uint32     the size of the directory in bytes
//	uint32     the checksum of the magic number, the version and the directory
//
// Checksums are CRC-32C, fixed numbers little-endian. The directory has, with numbers as uvarints of package
// encoding/binary and strings as their lengths and bytes:
//
//	string   the model's name
//	string   its preprocessor, or ""
//	2 numbers   height and width of its input
//	number   how many nodes follow: those with padding, rounding or weights
//	nodes
//
// and of a node:
//
//	string     its name
//	byte       1 for a convolution, + 2 for a pooling whose sizes are rounded down, + 4 for one that rounds up,
//	           + 8 for weights of its own
//	4 numbers  the padding of a convolution: top, left, bottom, right
//	4 numbers  the dimensions of weights of its own: O, I, KH, KW
//	2 numbers  the sizes in bytes of these and of the biases
//	2 uint32   their checksums
//
// A tensor is a sequence of bits, the highest bit of each number and of each byte first, with zeros up to a whole
// byte. "Near n" is a number that differs from n by d: 2·d zeros if d >= 0, else -2·d-1, and a one.
//
//	2 bits  the kind of values: 0 float32, 1 float16, 2 codes for entries of a codebook
//	1 bit   1 if zeros are skipped
//	codebook, if there is one:
//		8 bits   the number of its entries, less 1
//		32 bits  the first entry, by its order
//		for each other entry, all in ascending order, the step from the order of the one before:
//			near the number for the step before, at first near 20: how many bits the step has
//			these bits without the highest one
//		for each entry near the number for the one before, at first near 8: the bits of its code
//	if zeros are skipped:
//		8 bits   the filler
//		for each gap from 0 to the filler, the bits of its code, as for entries
//	values, with a gap before each if zeros are skipped
//
// The order of a float32 is its bits with the sign inverted, or with all bits inverted if it is negative. Codes are canonical
// Huffman codes, see huffman.go. A gap is the number of zeros before a value; that of the filler stands for as many
// zeros and no value, and there is none either behind a gap that ends the tensor.
const (
	fbwMagic     = "\x89FBW"
	fbwVersion   = 1
	fbwHead      = len(fbwMagic) + 1
	fbwTail      = 8
	maxExpansion = 8 * (maxSymbols - 1) // weights that a byte can stand for
	maxValues    = 1 << 32              // of a tensor
)

// The flags of a node.
const (
	flagConv = 1 << iota
	flagDown
	flagUp
	flagWeights
)

// isFBW reports whether a file begins as FBW files do.
func isFBW(head []byte) bool { return string(head[:min(len(head), len(fbwMagic))]) == fbwMagic }

// WriteFBW writes the weights of a model, adapted to them as [graph.Compile] adapts it, in the project's own format, which
// takes few bytes for weights that are zero or share values: see fbw.go. What [Open] reads has the same bits.
// It also says the model's name, its preprocessor, the size of the input, the padding of the
// convolutions, and how poolings round.
//
// The bytes depend on nothing but the model and its weights. Layer by layer is written; no more than one is in memory.
// The weights must not be quantized: the format has no place for scales.
func WriteFBW(w io.Writer, m *graph.Model, weights graph.Weights) error {
	fail := func(err error) error { return fmt.Errorf("FBW: %s: %w", m.Name, err) }
	m, err := weights.Adapt(m)
	if err != nil {
		return err
	}
	params, err := m.Params()
	if err != nil {
		return err
	}
	head := append([]byte(fbwMagic), fbwVersion)
	if _, err := w.Write(head); err != nil {
		return err
	}
	own := map[string][]byte{} // what the directory says about weights
	for _, p := range params {
		l, err := weights.Layer(p)
		if err != nil {
			return fail(err)
		}
		bias := biasOf(l, p)
		if err := checkLayer(l, bias, p); err != nil {
			return fail(fmt.Errorf("layer %s: %w", p.Node, err))
		}
		var entry, sums []byte
		for _, d := range p.Dims {
			entry = binary.AppendUvarint(entry, uint64(d))
		}
		for _, values := range [][]float32{l.Values, bias} {
			c := choose(values)
			b := &bitWriter{w: w}
			c.put(b, values)
			size, sum, err := b.end()
			if err != nil {
				return err
			}
			entry = binary.AppendUvarint(entry, uint64(size))
			sums = binary.LittleEndian.AppendUint32(sums, sum)
		}
		own[p.Node] = append(entry, sums...)
	}
	directory := newDirectory(m, own)
	if len(directory) > maxHeader {
		return fail(fmt.Errorf("directory of %d bytes, expected at most %d", len(directory), maxHeader))
	}
	tail := binary.LittleEndian.AppendUint32(directory, uint32(len(directory)))
	tail = binary.LittleEndian.AppendUint32(tail, directorySum(head, directory))
	_, err = w.Write(tail)
	return err
}

// directorySum returns the checksum of the first bytes of a file and its directory.
func directorySum(head, directory []byte) uint32 {
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, directory)
}

// newDirectory returns the directory for a model; own has the bytes about weights.
func newDirectory(m *graph.Model, own map[string][]byte) []byte {
	count := uint64(0)
	var nodes []byte
	for _, n := range m.Nodes {
		flags := byte(0)
		var numbers []byte
		rounding := func(ceil bool) byte {
			if ceil {
				return flagUp
			}
			return flagDown
		}
		switch l := n.Layer.(type) {
		case layer.Conv:
			flags = flagConv
			for _, side := range []int{l.Pad.Top, l.Pad.Left, l.Pad.Bottom, l.Pad.Right} {
				numbers = binary.AppendUvarint(numbers, uint64(side))
			}
		case layer.MaxPool:
			flags = rounding(l.Ceil)
		case layer.AvgPool:
			flags = rounding(l.Ceil)
		}
		if entry, ok := own[n.Name]; ok {
			flags |= flagWeights
			numbers = append(numbers, entry...)
		}
		if flags != 0 {
			count++
			nodes = append(append(appendString(nodes, n.Name), flags), numbers...)
		}
	}
	b := appendString(appendString(nil, m.Name), m.Preprocessor)
	b = binary.AppendUvarint(b, uint64(m.Input.H))
	b = binary.AppendUvarint(b, uint64(m.Input.W))
	return append(binary.AppendUvarint(b, count), nodes...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// readFBW reads the directory of a file of size bytes.
func readFBW(r io.ReaderAt, size int64) (*tensors, error) {
	var head [fbwHead]byte
	if _, err := r.ReadAt(head[:], 0); err != nil && err != io.EOF {
		return nil, err
	}
	if v := head[fbwHead-1]; v != fbwVersion {
		return nil, fmt.Errorf("version %d, expected %d", v, fbwVersion)
	}
	var tail [fbwTail]byte
	end := size - fbwTail
	if end < int64(fbwHead) {
		return nil, fmt.Errorf("%d bytes, expected at least %d", size, fbwHead+fbwTail)
	}
	if _, err := r.ReadAt(tail[:], end); err != nil && err != io.EOF {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(tail[:]))
	if most := min(end-int64(fbwHead), maxHeader); length > most {
		return nil, fmt.Errorf("directory of %d bytes, expected at most %d; the file may be cut off", length, most)
	}
	directory := make([]byte, length)
	end -= length
	if n, err := r.ReadAt(directory, end); n < len(directory) {
		return nil, err
	}
	if got, want := directorySum(head[:], directory), binary.LittleEndian.Uint32(tail[4:]); got != want {
		return nil, fmt.Errorf("directory: checksum is %08x, expected %08x; the file may be cut off", got, want)
	}
	d := &directoryReader{rest: directory}
	t := d.tensors(end)
	if d.err != nil {
		return nil, fmt.Errorf("directory: %w", d.err)
	}
	return t, nil
}

// A directoryReader reads a directory. After an error it reads zeros.
type directoryReader struct {
	rest []byte
	err  error
}

// fail keeps the first error.
func (d *directoryReader) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.rest = nil
}

// tensors reads all of the directory, before which the tensors lie up to end.
func (d *directoryReader) tensors(end int64) *tensors {
	t := &tensors{arrays: map[string]array{}}
	t.names = func(node string) (weights, bias string) { return node + ".weight", node + ".bias" }
	t.model = d.string()
	t.recipe = recipe{preprocessor: d.string(), padding: map[string]kernels.Padding{}, ceil: map[string]bool{}}
	t.recipe.height, t.recipe.width = d.pixels(), d.pixels()
	seen := map[string]bool{}
	at := int64(fbwHead)
	for range d.number(math.MaxInt64) {
		name := d.string()
		if seen[name] {
			d.fail(fmt.Errorf("node %q occurs twice", name))
		}
		if d.err != nil {
			return nil
		}
		seen[name] = true
		flags := d.byte()
		if flags&flagConv != 0 {
			t.recipe.padding[name] = kernels.Padding{Top: d.pixels(), Left: d.pixels(), Bottom: d.pixels(), Right: d.pixels()}
		}
		if flags&(flagDown|flagUp) != 0 {
			t.recipe.ceil[name] = flags&flagUp != 0
		}
		if flags&flagWeights != 0 {
			dims := make([]int, 4)
			for i := range dims {
				dims[i] = int(d.number(math.MaxInt32))
			}
			var sections [2]section
			for i := range sections {
				sections[i].size = int64(d.number(uint64(end - at)))
				sections[i].offset = at
				at += sections[i].size
			}
			for i := range sections {
				sections[i].sum = d.uint32()
			}
			weights, bias := t.names(name)
			d.add(t, weights, sections[0], dims)
			d.add(t, bias, sections[1], dims[:1])
		}
		if d.err != nil {
			d.err = fmt.Errorf("node %q: %w", name, d.err)
			return nil
		}
	}
	switch {
	case d.err != nil:
	case len(d.rest) > 0:
		d.fail(fmt.Errorf("%d bytes are left", len(d.rest)))
	case at != end:
		d.fail(fmt.Errorf("%d bytes of tensors, the file has %d", at-int64(fbwHead), end-int64(fbwHead)))
	}
	return t
}

// add adds a tensor to t.
func (d *directoryReader) add(t *tensors, name string, s section, dims []int) {
	n := uint64(1)
	for _, dim := range dims {
		if n *= uint64(dim); n > maxValues {
			break
		}
	}
	if n > min(maxValues, uint64(s.size)*maxExpansion) {
		d.fail(fmt.Errorf("%s values in %d bytes", array{dims: dims}.shape(), s.size))
		return
	}
	t.arrays[name] = array{dims, s.load}
}

// number reads a number.
func (d *directoryReader) number(most uint64) uint64 {
	v, n := binary.Uvarint(d.rest)
	switch {
	case n <= 0:
		d.fail(errEnd)
		return 0
	case v > most:
		d.fail(fmt.Errorf("number %d, expected at most %d", v, most))
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// errEnd is that of a directory that is too short.
var errEnd = errors.New("it ends too early")

// pixels reads a size or a padding.
func (d *directoryReader) pixels() int { return int(d.number(math.MaxUint16)) }

// bytes reads n bytes.
func (d *directoryReader) bytes(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.fail(errEnd)
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *directoryReader) string() string { return string(d.bytes(d.number(math.MaxUint32))) }

func (d *directoryReader) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *directoryReader) uint32() uint32 {
	if b := d.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// A section is where a tensor lies in a file.
type section struct {
	offset, size int64
	sum          uint32
}

// load reads the values, as many as fill dst.
func (s section) load(r io.ReaderAt, dst []float32) ([]float32, error) {
	b := newBitReader(io.NewSectionReader(r, s.offset, s.size), s.size)
	broken := getValues(b, dst)
	sum, err := b.checksum()
	switch {
	case err != nil:
		return nil, err
	case sum != s.sum:
		return nil, fmt.Errorf("checksum is %08x, expected %08x", sum, s.sum)
	case broken != nil:
		return nil, broken
	}
	return dst, nil
}
