package weights

import (
	"cmp"
	"math"
	"slices"
)

// isZero reports whether v is 0, and not -0: formats leave out what they can give back exactly.
func isZero(v float32) bool { return math.Float32bits(v) == 0 }

// order returns a number by which finite values are ordered, -0 before 0.
func order(v float32) uint32 {
	b := math.Float32bits(v)
	if b>>31 != 0 {
		return ^b
	}
	return b | 1<<31
}

// unorder is the inverse of order.
func unorder(o uint32) float32 {
	if o>>31 != 0 {
		return math.Float32frombits(o &^ (1 << 31))
	}
	return math.Float32frombits(^o)
}

// distinct returns the values besides 0 that occur in s, in ascending order. It is not ok if they are more than limit.
func distinct(s []float32, limit int) (values []float32, ok bool) {
	seen := map[uint32]bool{}
	for _, v := range s {
		o := order(v)
		if isZero(v) || seen[o] {
			continue
		}
		if len(seen) == limit {
			return nil, false
		}
		seen[o] = true
		values = append(values, v)
	}
	slices.SortFunc(values, func(a, b float32) int { return cmp.Compare(order(a), order(b)) })
	return values, true
}

// entriesOf returns the entry that each value, by its bits, has in a codebook.
func entriesOf(codebook []float32) map[uint32]uint8 {
	entries := map[uint32]uint8{}
	for i, v := range codebook {
		entries[math.Float32bits(v)] = uint8(i)
	}
	return entries
}
