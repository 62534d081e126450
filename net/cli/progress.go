package cli

import (
	"fmt"
	"io"
	"os"
)

// A Progress is a line on a terminal that says how far a command is. Without a terminal it
// writes nothing.
type Progress struct {
	w     io.Writer
	on    bool
	shown bool
}

// NewProgress returns the progress of a command whose standard error is stderr.
func NewProgress(stderr io.Writer) *Progress {
	return &Progress{w: stderr, on: Terminal(stderr)}
}

// Show replaces the line.
func (p *Progress) Show(format string, args ...any) {
	if p.on {
		fmt.Fprintf(p.w, "\r\x1b[K"+format, args...)
		p.shown = true
	}
}

// Clear removes the line, so that another can be written.
func (p *Progress) Clear() {
	if p.shown {
		io.WriteString(p.w, "\r\x1b[K")
		p.shown = false
	}
}

// Terminal tells whether somebody watches w.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
