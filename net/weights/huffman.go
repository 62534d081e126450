package weights

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Canonical Huffman codes, as RFC 1951 has them: the lengths of the codes tell the codes. Shorter codes come before
// longer ones, and among those of a length the order is that of the symbols. Symbols are the numbers below a code's
// size, and all of them have codes.
const (
	maxSymbols    = 256
	maxCodeLength = 15 // so that the table of a decoder has 64 KiB at most
)

// codeLengths returns the lengths of the codes for symbols that occur so often, 0 times as well, which take
// the fewest bits of all codes whose lengths are at most maxCodeLength. The code of a single symbol has 1 bit.
//
// It is the package-merge algorithm (Larmore and Hirschberg, https://doi.org/10.1145/79147.79150): for each length
// there is a list of the symbols and of packages, pairs of neighbours in the list of the length above, by their
// weights. What the first 2n-2 of length 1 consist of are the symbols, each as often as its code has bits.
func codeLengths(counts []int) []uint8 {
	n := len(counts)
	lengths := make([]uint8, n)
	if n == 1 {
		lengths[0] = 1
		return lengths
	}
	symbols := make([]int, n)
	for i := range symbols {
		symbols[i] = i
	}
	slices.SortStableFunc(symbols, func(a, b int) int { return cmp.Compare(counts[a], counts[b]) })
	var lists [maxCodeLength][]bool // whether an element is a symbol
	var weights []int               // of the list before
	for level := range lists {
		var list []bool
		var merged []int
		next := 0
		take := func() {
			list = append(list, true)
			merged = append(merged, counts[symbols[next]])
			next++
		}
		for i := 0; i+1 < len(weights); i += 2 {
			w := weights[i] + weights[i+1]
			for next < n && counts[symbols[next]] <= w {
				take()
			}
			list = append(list, false)
			merged = append(merged, w)
		}
		for next < n {
			take()
		}
		lists[level], weights = list, merged
	}
	first := 2*n - 2
	for _, list := range slices.Backward(lists[:]) {
		packages, next := 0, 0
		for _, symbol := range list[:first] {
			if symbol {
				lengths[symbols[next]]++
				next++
			} else {
				packages++
			}
		}
		first = 2 * packages
	}
	return lengths
}

// codesOf returns the codes of these lengths, which are checked, in their low bits.
func codesOf(lengths []uint8) []uint16 {
	var next [maxCodeLength + 1]uint16
	for _, l := range lengths {
		next[l]++
	}
	code := uint16(0)
	for l, n := range next {
		code, next[l] = (code+n)<<1, code
	}
	codes := make([]uint16, len(lengths))
	for i, l := range lengths {
		codes[i] = next[l]
		next[l]++
	}
	return codes
}

// codeBits returns how many bits symbols take that occur so often.
func codeBits(lengths []uint8, counts []int) (bits int64) {
	for i, l := range lengths {
		bits += int64(l) * int64(counts[i])
	}
	return bits
}

// A codeTable decodes: for the next bits of a stream it has the symbol whose code they start with, above 4 bits with the code's length.
type codeTable struct {
	entries []uint16 // for all bits of the longest code
	shift   uint     // of 64 bits, to have as many
}

// newCodeTable returns the table for codes of these lengths. It is an error if a length is
// 0 or too great, or if there are bits that no code or several codes start with; except that a single symbol may have
// 1 bit, whatever it is.
func newCodeTable(lengths []uint8) (codeTable, error) {
	longest := slices.Max(lengths)
	if longest > maxCodeLength || slices.Min(lengths) == 0 {
		return codeTable{}, fmt.Errorf("codes of %d to %d bits, expected 1 to %d", slices.Min(lengths), longest, maxCodeLength)
	}
	entries := make([]uint16, 1<<longest)
	room := len(entries)
	for _, l := range lengths {
		room -= 1 << (longest - l)
	}
	switch {
	case len(lengths) == 1 && longest == 1: // both entries are those of symbol 0
		entries[0], entries[1] = 1, 1
		return codeTable{entries, 63}, nil
	case room < 0:
		return codeTable{}, errors.New("codes that are not free of prefixes")
	case room > 0:
		return codeTable{}, errors.New("codes that leave bits without a symbol")
	}
	codes := codesOf(lengths)
	for symbol, l := range lengths {
		free := longest - l
		first := int(codes[symbol]) << free
		entry := uint16(symbol)<<4 | uint16(l)
		for i := range 1 << free {
			entries[first+i] = entry
		}
	}
	return codeTable{entries, 64 - uint(longest)}, nil
}
