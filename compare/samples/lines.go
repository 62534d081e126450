package samples

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// A lineReader passes on the lines that hold results and known config keys; comments go
// to comment, which may return a config line to pass on instead. It puts empty lines in
// place of all others, so that benchfmt counts right: benchfmt would stop at an overlong
// line, and keep any key in memory. Each Read returns a part of one line, so that
// comments and warnings come in the order of the file.
type lineReader struct {
	r       *bufio.Reader // its size is the longest line
	warn    func(line int, msg string)
	comment func(text string) (config string)
	line    int
	rest    []byte // of the current line
}

func (l *lineReader) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if err := l.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

var newline = []byte("\n")

// next reads the next line into rest.
func (l *lineReader) next() error {
	line, err := l.r.ReadSlice('\n')
	if len(line) > 0 {
		l.line++
	}
	switch {
	case err == bufio.ErrBufferFull:
		for err == bufio.ErrBufferFull {
			_, err = l.r.ReadSlice('\n')
		}
		l.warn(l.line, fmt.Sprintf("line of more than %d bytes, ignored", l.r.Size()))
		l.rest = newline
		if err == io.EOF {
			err = nil // the next call meets it again
		}
	case err == io.EOF && len(line) > 0:
		// Even if it parses, its last number may have lost digits.
		l.warn(l.line, "half-written last line (it has no newline), ignored")
	case err == nil && wanted(line):
		l.rest = line
	case err == nil && bytes.HasPrefix(line, []byte("# ")):
		l.rest = append([]byte(l.comment(string(bytes.TrimSpace(line[2:])))), '\n')
	case err == nil:
		l.rest = newline
		if failure(line) {
			l.warn(l.line, fmt.Sprintf("the run failed here: %q", bytes.TrimSpace(line)))
		}
	}
	return err
}

// wanted reports whether line is a result or one of the config keys that are read.
func wanted(line []byte) bool {
	if bytes.HasPrefix(line, []byte("Benchmark")) {
		return true
	}
	key, _, ok := bytes.Cut(line, []byte(":"))
	return ok && slices.Contains(FactKeys, string(key))
}

// failure reports whether line tells of a benchmark run that failed.
func failure(line []byte) bool {
	for _, prefix := range []string{"--- FAIL", "FAIL", "panic: ", "fatal error: "} {
		if bytes.HasPrefix(line, []byte(prefix)) {
			return true
		}
	}
	return false
}

// warnings prints what is wrong in one file, up to a number of lines.
type warnings struct {
	w    io.Writer
	file string
	n    int
}

func (w *warnings) warn(line int, msg string) {
	if w.n++; w.n <= maxWarnings {
		fmt.Fprintf(w.w, "%s:%d: %s\n", w.file, line, Clean(msg))
	}
}

func (w *warnings) close() {
	if w.n > maxWarnings {
		fmt.Fprintf(w.w, "%s: %d more problems\n", w.file, w.n-maxWarnings)
	}
}

// Clean makes text from a file fit to print on a terminal: one line of printable characters.
func Clean(s string) string {
	const limit = 300
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
