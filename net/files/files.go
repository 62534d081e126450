// Package files opens and replaces files safely: reading is bounded, writing is atomic,
// and errors name the file.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
)

// Open opens a regular file of at most limit bytes for reading. Anything
// else, a folder, a pipe that may never deliver or a device that never ends, is
// refused before it is opened. Errors name the file.
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

// Read returns the content of a file that Open accepts.
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path, limit)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, Error(path, err)
	}
	if int64(len(data)) > limit { // it has grown, or its size was a pretence, as in /proc
		return nil, fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return data, nil
}

// A Pending collects a file's content under a temporary name in the same
// folder: readers see the old file or the complete new one, never a part.
type Pending struct {
	*os.File
	path string
}

// Create starts writing the file at path. It fails when the folder cannot be
// written, and when path is there but is not a regular file: the final rename
// would replace it, a device or symbolic link too. Errors name path.
//
// The file appears with Commit; Discard, usually deferred, forgets it.
func Create(path string) (*Pending, error) {
	info, err := os.Lstat(path)
	if err == nil {
		err = regular(path, info.Mode())
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	} else {
		err = Error(path, err)
	}
	if err != nil {
		return nil, err
	}
	// Not os.CreateTemp, whose files nobody else may read.
	temp := fmt.Sprintf("%s.%08x.tmp", path, rand.Uint32())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, Error(path, err)
	}
	return &Pending{f, path}, nil
}

// Commit closes the file and gives it its name, replacing a file of that name.
func (f *Pending) Commit() error {
	err := f.Close()
	if err == nil {
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		os.Remove(f.Name())
		return Error(f.path, err)
	}
	return nil
}

// Write replaces the file at path, or makes it, with data.
func Write(path string, data []byte) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.File.Write(data); err != nil {
		return Error(path, err)
	}
	return f.Commit()
}

// Discard closes and removes the file. After Commit it does nothing.
func (f *Pending) Discard() {
	if f.Close() == nil {
		os.Remove(f.Name())
	}
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

// Error wraps err: it puts the file's name before the error, once, and leaves the system
// call's name out.
func Error(path string, err error) error {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &pathErr):
		err = pathErr.Err
	case errors.As(err, &linkErr):
		err = linkErr.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}
