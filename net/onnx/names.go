package onnx

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"firebench/net/graph"
)

// encodeName returns the layer name for a name in an ONNX file, which can be any text. Names of
// layers are values in benchmarks' names, so graph.Model refuses some. A slash becomes a colon; all
// else that is refused, and '%' and ':' themselves, become %XX, one for each byte. So does the '-' of
// -digits at the end, and the first letter of the name that stands for the network's input. The
// empty name has no layer name: it stays empty.
//
// decodeName(encodeName(s)) is s.
func encodeName(s string) string {
	var b strings.Builder
	escape := func(bytes string) {
		for i := range len(bytes) {
			fmt.Fprintf(&b, "%%%02X", bytes[i])
		}
	}
	number := len(strings.TrimRight(s, "0123456789")) // where the digits at the end begin
	for i, size := 0, 0; i < len(s); i += size {
		var r rune
		r, size = utf8.DecodeRuneInString(s[i:])
		switch c := s[i : i+size]; {
		case r == '/':
			b.WriteByte(':')
		case r == '%', r == ':',
			r == utf8.RuneError && size == 1,
			unicode.IsSpace(r), !unicode.IsPrint(r),
			r == '-' && i+1 == number && number < len(s),
			i == 0 && s == graph.Input:
			escape(c)
		default:
			b.WriteString(c)
		}
	}
	return b.String()
}

// decodeName returns the name in an ONNX file for that of a layer. It undoes encodeName; a '%' that
// is not followed by two hexadecimal digits stands for itself.
func decodeName(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == ':':
			b.WriteByte('/')
		case s[i] == '%' && i+2 < len(s):
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
			fallthrough
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
