package weights

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"

	"firebench/net/tensor"
)

// A coding is how the values of a tensor are written as bits. See fbw.go for the format.
type coding struct {
	kind     valueKind
	gaps     bool      // zeros are skipped
	codebook []float32 // in ascending order
	lengths  []uint8   // of the codes for entries of the codebook
	filler   int       // the symbol of as many zeros, behind which no value follows
	gapCodes []uint8   // the lengths of the codes for gaps up to filler

	size sizes
}

// A valueKind says how a value is written.
type valueKind uint8

const (
	kindFloat32 valueKind = iota
	kindFloat16
	kindCodebook
	numKinds
)

var kindNames = [numKinds]string{"float32", "float16", "codebook"}

// sizes are the bits that parts of a tensor take.
type sizes struct {
	codebook int64 // with the kind of values
	values   int64 // with the lengths of their codes
	gaps     int64 // with the lengths of their codes
}

func (s sizes) sum() int64 { return s.codebook + s.values + s.gaps }

// The widths of the fields of a coding, and what its first numbers are compared with.
const (
	kindBits    = 2
	countBits   = 8
	firstStep   = 20 // bits of the step from a value in a codebook to the next
	firstLength = 8  // of a code
)

// statistics are all that the choice of a coding depends on.
type statistics struct {
	n, zeros int
	float16  bool           // all values are float16's
	counts   map[uint32]int // of the values besides 0, by their order; nil if they are more than maxSymbols
	gaps     map[int]int    // how many gaps of each length there are before values
	end      int            // zeros behind the last value
}

// statisticsOf looks at all values.
func statisticsOf(values []float32) statistics {
	s := statistics{n: len(values), float16: true, counts: map[uint32]int{}, gaps: map[int]int{}}
	var short [maxSymbols]int // counts of gaps
	gap := 0
	for _, v := range values {
		if isZero(v) {
			s.zeros++
			gap++
			continue
		}
		if gap < len(short) {
			short[gap]++
		} else {
			s.gaps[gap]++
		}
		gap = 0
		if s.float16 {
			_, s.float16 = float16Bits(v)
		}
		if s.counts != nil {
			if s.counts[order(v)]++; len(s.counts) > maxSymbols {
				s.counts = nil
			}
		}
	}
	s.end = gap
	for gap, n := range short {
		if n > 0 {
			s.gaps[gap] = n
		}
	}
	return s
}

// choose returns the coding that takes the fewest bits.
func choose(values []float32) coding {
	s := statisticsOf(values)
	var best coding
	for _, gaps := range []bool{false, true} {
		if gaps && s.zeros == 0 {
			break
		}
		for kind := range numKinds {
			c := coding{kind: kind, gaps: gaps}
			if !c.fit(s) {
				continue
			}
			if best.size.sum() == 0 || c.size.sum() < best.size.sum() {
				best = c
			}
		}
	}
	return best
}

// fit completes a coding for a tensor, if it can express that.
func (c *coding) fit(s statistics) bool {
	n := int64(s.n)
	if c.gaps {
		n -= int64(s.zeros)
	}
	c.size.codebook = kindBits + 1
	switch c.kind {
	case kindFloat32:
		c.size.values = 32 * n
	case kindFloat16:
		c.size.values = 16 * n
		if !s.float16 {
			return false
		}
	case kindCodebook:
		if !c.fitCodebook(s) {
			return false
		}
	}
	if c.gaps {
		c.fitGaps(s)
	}
	return true
}

// fitCodebook sets the codebook and its codes.
func (c *coding) fitCodebook(s statistics) bool {
	if s.counts == nil {
		return false
	}
	var orders []uint32
	for o := range s.counts {
		orders = append(orders, o)
	}
	zero := order(0)
	if !c.gaps && s.zeros > 0 {
		orders = append(orders, zero)
	}
	if len(orders) == 0 || len(orders) > maxSymbols {
		return false
	}
	slices.Sort(orders)
	counts := make([]int, len(orders))
	for i, o := range orders {
		c.codebook = append(c.codebook, unorder(o))
		if counts[i] = s.counts[o]; o == zero {
			counts[i] = s.zeros
		}
	}
	c.lengths = codeLengths(counts)
	c.size.values = tableBits(func(b *bitWriter) { putLengths(b, c.lengths) }) + codeBits(c.lengths, counts)
	c.size.codebook += tableBits(c.putCodebook)
	return true
}

// fitGaps chooses the filler, and sets the codes for gaps.
func (c *coding) fitGaps(s statistics) {
	longest := s.end
	for gap := range s.gaps {
		longest = max(longest, gap)
	}
	for filler := 1; filler <= min(longest+1, maxSymbols-1); filler++ {
		counts := make([]int, filler+1)
		for gap, n := range s.gaps {
			counts[gap%filler] += n
			counts[filler] += gap / filler * n
		}
		counts[filler] += s.end / filler
		if rest := s.end % filler; rest > 0 {
			counts[rest]++
		}
		lengths := codeLengths(counts)
		size := countBits + tableBits(func(b *bitWriter) { putLengths(b, lengths) }) + codeBits(lengths, counts)
		if c.size.gaps == 0 || size < c.size.gaps {
			c.size.gaps, c.filler, c.gapCodes = size, filler, lengths
		}
	}
}

// tableBits returns how many bits something takes.
func tableBits(put func(b *bitWriter)) int64 {
	var b bitWriter
	put(&b)
	return 8*int64(len(b.buf)) + int64(b.n)
}

// A symbol is a gap, and the value that follows it.
type symbol struct {
	gap   int     // c.filler is one without a value
	value float32 // of 0 there is none if gaps are skipped: it is the end
}

// symbols returns how values are written.
func (c *coding) symbols(values []float32) iter.Seq[symbol] {
	return func(yield func(symbol) bool) {
		gap := 0
		for _, v := range values {
			if c.gaps && isZero(v) {
				if gap++; gap == c.filler {
					if !yield(symbol{gap, 0}) {
						return
					}
					gap = 0
				}
				continue
			}
			if !yield(symbol{gap, v}) {
				return
			}
			gap = 0
		}
		if gap > 0 {
			yield(symbol{gap, 0})
		}
	}
}

// putCodebook writes the codebook.
func (c *coding) putCodebook(b *bitWriter) {
	b.put(uint32(len(c.codebook)-1), countBits)
	last, size := order(c.codebook[0]), uint(firstStep)
	b.put(last, 32)
	for _, v := range c.codebook[1:] {
		step := order(v) - last
		n := uint(bits.Len32(step))
		b.putNear(n, size)
		b.put(step&^(1<<(n-1)), n-1)
		last, size = order(v), n
	}
}

// putLengths writes the lengths of codes.
func putLengths(b *bitWriter, lengths []uint8) {
	last := uint8(firstLength)
	for _, l := range lengths {
		b.putNear(uint(l), uint(last))
		last = l
	}
}

// put writes values in the coding that has been chosen for them.
func (c *coding) put(b *bitWriter, values []float32) {
	b.put(uint32(c.kind), kindBits)
	var entries map[uint32]uint8
	var codes, gaps []uint16
	if c.kind == kindCodebook {
		entries, codes = entriesOf(c.codebook), codesOf(c.lengths)
	}
	if c.gaps {
		b.put(1, 1)
		gaps = codesOf(c.gapCodes)
	} else {
		b.put(0, 1)
	}
	if c.kind == kindCodebook {
		c.putCodebook(b)
		putLengths(b, c.lengths)
	}
	if c.gaps {
		b.put(uint32(c.filler), countBits)
		putLengths(b, c.gapCodes)
	}
	for s := range c.symbols(values) {
		if c.gaps {
			b.put(uint32(gaps[s.gap]), uint(c.gapCodes[s.gap]))
			if isZero(s.value) {
				continue
			}
		}
		switch c.kind {
		case kindFloat32:
			b.put(math.Float32bits(s.value), 32)
		case kindFloat16:
			h, _ := float16Bits(s.value)
			b.put(uint32(h), 16)
		case kindCodebook:
			e := entries[math.Float32bits(s.value)]
			b.put(uint32(codes[e]), uint(c.lengths[e]))
		}
	}
}

// float16Bits returns the float16 that is v, a finite number, if there is one.
func float16Bits(v float32) (h uint16, ok bool) {
	b := math.Float32bits(v)
	sign, exponent, fraction := uint16(b>>16)&0x8000, int(b>>23)&255-127+15, b&(1<<23-1)
	switch {
	case b<<1 == 0:
		return sign, true
	case exponent > 0: // if it is too great, the result is another number
		h = sign | uint16(exponent)<<10 | uint16(fraction>>13)
	case exponent > -10:
		h = sign | uint16((fraction|1<<23)>>(14-exponent)) // a subnormal number
	}
	return h, math.Float32bits(tensor.Half(h)) == b
}

// getCoding reads how values are written.
func getCoding(b *bitReader) (c coding, codes, gaps codeTable, err error) {
	c.kind = valueKind(b.get(kindBits))
	c.gaps = b.get(1) == 1
	if c.kind >= numKinds {
		return c, codes, gaps, fmt.Errorf("values of kind %d, expected less than %d", c.kind, numKinds)
	}
	if c.kind == kindCodebook {
		if err := c.getCodebook(b); err != nil {
			return c, codes, gaps, err
		}
		c.lengths = getLengths(b, len(c.codebook))
		if codes, err = newCodeTable(c.lengths); err != nil {
			return c, codes, gaps, fmt.Errorf("values: %w", err)
		}
	}
	if c.gaps {
		c.filler = int(b.get(countBits))
		if c.filler == 0 {
			return c, codes, gaps, errors.New("filler of no zeros")
		}
		c.gapCodes = getLengths(b, c.filler+1)
		if gaps, err = newCodeTable(c.gapCodes); err != nil {
			return c, codes, gaps, fmt.Errorf("gaps: %w", err)
		}
	}
	return c, codes, gaps, nil
}

// getCodebook reads what putCodebook has written.
func (c *coding) getCodebook(b *bitReader) error {
	c.codebook = make([]float32, b.get(countBits)+1)
	o, size := b.get(32), uint8(firstStep)
	c.codebook[0] = unorder(o)
	for i := range c.codebook[1:] {
		size = b.getNear(size)
		if size < 1 || size > 32 {
			return fmt.Errorf("codebook entry %d has a step of %d bits, expected 1 to 32", i+1, size)
		}
		step := b.get(uint(size-1)) | 1<<(size-1)
		if o+step < o {
			return fmt.Errorf("codebook entry %d is behind the greatest value", i+1)
		}
		o += step
		c.codebook[i+1] = unorder(o)
	}
	return nil
}

// getLengths reads the lengths of n codes.
func getLengths(b *bitReader, n int) []uint8 {
	lengths := make([]uint8, n)
	last := uint8(firstLength)
	for i := range lengths {
		last = b.getNear(last)
		lengths[i] = last
	}
	return lengths
}

// getValues reads all of dst.
func getValues(b *bitReader, dst []float32) error {
	c, codes, gaps, err := getCoding(b)
	if err != nil {
		return err
	}
	if c.gaps {
		clear(dst)
	}
	for at := 0; at < len(dst); {
		b.refill()
		if c.gaps {
			gap := b.symbol(gaps)
			if at += gap; at > len(dst) {
				return fmt.Errorf("weight %d is behind the last of %d", at, len(dst))
			}
			if gap == c.filler || at == len(dst) {
				continue
			}
		}
		switch c.kind {
		case kindFloat32:
			dst[at] = math.Float32frombits(b.take(32))
		case kindFloat16:
			dst[at] = tensor.Half(uint16(b.take(16)))
		case kindCodebook:
			dst[at] = c.codebook[b.symbol(codes)]
		}
		at++
	}
	return b.finish()
}
