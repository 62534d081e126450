// Package files reads and replaces files safely: what is read is bounded, what is written
// appears all at once, and errors name the file.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
)

// Open opens a regular file of at most limit bytes for reading. It refuses anything else
// before opening it: a folder, a pipe that may never deliver, a device that never ends.
// Errors name the file.
func Open(path string, limit int64) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, Error(path, err)
	}
	if err := regular(path, info.Mode()); err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s: %d bytes, expected at most %d", path, info.Size(), limit)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, Error(path, err)
	}
	return f, nil
}

// Read returns the content of a file that [Open] accepts. Errors name the file.
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path, limit)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadAll(path, f, limit) // it may have grown, and in /proc sizes are a pretence
}

// ReadAll returns what is left in r, at most limit bytes, for example of the standard input.
// Errors name r as name says.
func ReadAll(name string, r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, Error(name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes", name, limit)
	}
	return data, nil
}

// Write replaces the file at path, or makes it, with data: [Create], Write and Commit in
// one. Errors name the file.
func Write(path string, data []byte) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Commit()
}

// A Pending is a file that is being written under a temporary name in its folder. Readers
// see the old file or the complete new one, never a part.
type Pending struct {
	path string
	temp *os.File // nil after Commit or Discard
}

// Create starts writing the file at path. It fails when the folder cannot be written, and
// when path is there but is not a regular file: the final rename would replace
// even a device or a symbolic link. Errors name the file.
//
// The file appears with [Pending.Commit]; [Pending.Discard], usually deferred, gives it up. A
// command that a signal may end must catch the signal and call one of them, or the
// temporary file stays.
func Create(path string) (*Pending, error) {
	switch info, err := os.Lstat(path); {
	case err == nil:
		if err := regular(path, info.Mode()); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, Error(path, err)
	}
	// Not os.CreateTemp, whose files nobody else may read.
	name := fmt.Sprintf("%s.%08x.tmp", path, rand.Uint32())
	temp, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, Error(path, err)
	}
	return &Pending{path, temp}, nil
}

// Write appends to the file. Errors name the file.
func (f *Pending) Write(data []byte) (int, error) {
	if f.temp == nil {
		return 0, Error(f.path, fs.ErrClosed)
	}
	n, err := f.temp.Write(data)
	if err != nil {
		err = Error(f.path, err)
	}
	return n, err
}

// Commit completes the file and gives it its name, replacing a file of that name. If it
// fails, the file is given up. Errors name the file.
func (f *Pending) Commit() error {
	if f.temp == nil {
		return Error(f.path, fs.ErrClosed)
	}
	temp := f.temp
	f.temp = nil
	err := temp.Close()
	if err == nil {
		err = os.Rename(temp.Name(), f.path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return Error(f.path, err)
	}
	return nil
}

// Discard removes what has been written. After Commit it does nothing.
func (f *Pending) Discard() {
	if f.temp == nil {
		return
	}
	f.temp.Close() // it may fail on a full disk; the file goes in any case
	os.Remove(f.temp.Name())
	f.temp = nil
}

// A Counter counts the bytes that are written to it, and keeps none.
type Counter int64

// Write implements [io.Writer].
func (c *Counter) Write(data []byte) (int, error) {
	*c += Counter(len(data))
	return len(data), nil
}

// regular refuses everything but regular files.
func regular(path string, mode fs.FileMode) error {
	var kind string
	switch {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		kind = "a folder"
	case mode&fs.ModeSymlink != 0:
		kind = "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a pipe"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	default:
		kind = "special"
	}
	return fmt.Errorf("%s: is %s, expected a regular file", path, kind)
}

// Error returns an error that names the file, once: without the name, and that of the
// system call, that package os has put into err. An err that this package has made for
// the same path is returned as it is.
func Error(path string, err error) error {
	var named *namedError
	if errors.As(err, &named) && named.path == path {
		return err
	}
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &pathErr):
		err = pathErr.Err
	case errors.As(err, &linkErr):
		err = linkErr.Err
	}
	return &namedError{path, err}
}

type namedError struct {
	path string
	err  error
}

func (e *namedError) Error() string { return e.path + ": " + e.err.Error() }
func (e *namedError) Unwrap() error { return e.err }
