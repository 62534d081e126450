package weights

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// shortest returns the fewest bits that a prefix code with lengths up to limit takes: of all lists of lengths that
// have room, in the order of falling counts. room is in codes of limit bits.
func shortest(counts []int, least, limit, room int) int {
	most := limit
	if len(counts) == 0 {
		return 0
	}
	best := math.MaxInt / 2
	if len(counts) > room {
		return best
	}
	if len(counts)<<(limit-least) <= room {
		limit = least // there is room for all with the fewest bits
	}
	for l := least; l <= limit; l++ {
		if left := room - 1<<(most-l); left >= 0 {
			best = min(best, l*counts[0]+shortest(counts[1:], l, most, left))
		}
	}
	return best
}

// TestCodeLengths compares with all codes there are.
func TestCodeLengths(t *testing.T) {
	for _, counts := range [][]int{
		{7}, {0}, {1, 1}, {0, 5}, {0, 0, 0}, {1, 2, 4, 8, 16}, {5, 5, 5, 5, 5}, {100, 1, 1, 1, 1, 1}, {3, 0, 9, 0, 2, 2, 7},
	} {
		lengths := codeLengths(counts)
		sorted := slices.Clone(counts)
		slices.SortFunc(sorted, func(a, b int) int { return b - a })
		const limit = 7 // no optimal code of as many symbols has longer ones
		if got, want := codeBits(lengths, counts), shortest(sorted, 1, limit, 1<<limit); got != int64(want) {
			t.Errorf("%v: codes of %v bits take %d, want %d", counts, lengths, got, want)
		}
		if _, err := newCodeTable(lengths); err != nil {
			t.Errorf("%v: %v", counts, err)
		}
	}
}

// TestCodeLengthsLimited: Huffman's codes for Fibonacci numbers have all lengths up to their number less 1. What limited codes take at
// the least is known for 17 of them: the two longest of 16 bits go to 15, which another one pays for.
func TestCodeLengthsLimited(t *testing.T) {
	counts := []int{1, 1}
	for len(counts) < 17 {
		counts = append(counts, counts[len(counts)-1]+counts[len(counts)-2])
	}
	lengths := codeLengths(counts)
	if slices.Max(lengths) != maxCodeLength {
		t.Errorf("lengths %v, want up to %d", lengths, maxCodeLength)
	}
	sorted := slices.Clone(counts)
	slices.Reverse(sorted)
	if got, want := codeBits(lengths, counts), shortest(sorted, 1, maxCodeLength, 1<<maxCodeLength); got != int64(want) {
		t.Errorf("%v: codes of %v bits take %d, want %d", counts, lengths, got, want)
	}
	if _, err := newCodeTable(lengths); err != nil {
		t.Error(err)
	}
}

// TestCodes has the example of RFC 1951.
func TestCodes(t *testing.T) {
	lengths := []uint8{3, 3, 3, 3, 3, 2, 4, 4}
	if got, want := codesOf(lengths), []uint16{0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111}; !slices.Equal(got, want) {
		t.Errorf("codes %b, want %b", got, want)
	}
	table, err := newCodeTable(lengths)
	if err != nil {
		t.Fatal(err)
	}
	b := bitReader{acc: 0b1110_00_110_1111 << 51}
	for _, want := range []int{6, 5, 4, 7} {
		if got := b.symbol(table); got != want {
			t.Errorf("symbol %d, want %d", got, want)
		}
	}
}

// TestCodeTable: random symbols, as many as a code can have, are decoded.
func TestCodeTable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for size := 1; size <= maxSymbols; size += 1 + size/3 {
		counts := make([]int, size)
		for i := range counts {
			counts[i] = int(math.Exp(25 * r.Float64()))
		}
		lengths := codeLengths(counts)
		table, err := newCodeTable(lengths)
		if err != nil {
			t.Fatalf("%d symbols: %v", size, err)
		}
		codes := codesOf(lengths)
		for symbol, l := range lengths {
			b := bitReader{acc: uint64(codes[symbol])<<(64-l) | r.Uint64()>>l, n: 64}
			if got := b.symbol(table); got != symbol || b.n != 64-uint(l) {
				t.Errorf("%d symbols: %d is decoded as %d of %d bits, want %d", size, symbol, got, 64-b.n, l)
			}
		}
	}
}

func TestCodeTableRefuses(t *testing.T) {
	for _, test := range []struct {
		lengths []uint8
		want    string
	}{
		{[]uint8{1, 1, 1}, "not free of prefixes"},
		{[]uint8{1, 2}, "bits without a symbol"},
		{[]uint8{2}, "bits without a symbol"},
		{[]uint8{1, 16, 16}, "codes of 1 to 16 bits, expected 1 to 15"},
		{[]uint8{0, 1}, "codes of 0 to 1 bits"},
		{[]uint8{255, 255}, "codes of 255 to 255 bits"},
	} {
		if _, err := newCodeTable(test.lengths); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: error %v, want %q", test.lengths, err, test.want)
		}
	}
}

// FuzzCodeTable: a table is complete, or there is none; and lengths that are computed are no longer than any others.
func FuzzCodeTable(f *testing.F) {
	f.Add([]byte{1, 1})
	f.Add([]byte{1, 2, 3, 3})
	f.Add([]byte{15, 0, 200})
	f.Add([]byte{2, 2, 2, 3, 3})
	f.Fuzz(func(t *testing.T, lengths []byte) {
		if len(lengths) == 0 || len(lengths) > maxSymbols {
			return
		}
		counts := make([]int, len(lengths))
		for i, l := range lengths {
			counts[i] = int(l)
		}
		own := codeLengths(counts)
		if _, err := newCodeTable(own); err != nil {
			t.Fatalf("lengths %v for %v: %v", own, counts, err)
		}
		table, err := newCodeTable(lengths)
		if err != nil {
			return
		}
		if a, b := codeBits(own, counts), codeBits(lengths, counts); a > b {
			t.Errorf("codes of %v bits take %d, others %d", own, a, b)
		}
		found := make([]int, len(lengths))
		for _, e := range table.entries {
			found[e>>4]++
			if e&15 != uint16(lengths[e>>4]) {
				t.Fatalf("symbol %d of %d bits has an entry of %d", e>>4, lengths[e>>4], e&15)
			}
		}
		for symbol, n := range found {
			if want := len(table.entries) >> lengths[symbol]; n != want && len(lengths) > 1 {
				t.Errorf("symbol %d has %d entries, want %d", symbol, n, want)
			}
		}
	})
}
