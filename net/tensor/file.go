package tensor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
)

// OpenFile opens a regular file of at most limit bytes for reading. Anything
// else, a folder, a pipe that may never deliver or a device that never ends, is
// refused before it is opened. Errors name the file.
func OpenFile(path string, limit int64) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	if err := regular(path, info.Mode()); err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s: %d bytes, expected at most %d", path, info.Size(), limit)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	return f, nil
}

// ReadFile returns the content of a file that OpenFile accepts.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := OpenFile(path, limit)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fileError(path, err)
	}
	if int64(len(data)) > limit { // it has grown, or its size was a pretence, as in /proc
		return nil, fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return data, nil
}

// A PendingFile collects a file's content under a temporary name in the same
// folder: readers see the old file or the complete new one, never a part.
type PendingFile struct {
	*os.File
	path string
}

// CreateFile starts writing the file at path. It fails when the folder cannot be
// written, and when path is there but is not a regular file: the final rename
// would replace it, a device or symbolic link too. Errors name path.
//
// The file appears with Commit; Discard, usually deferred, forgets it.
func CreateFile(path string) (*PendingFile, error) {
	info, err := os.Lstat(path)
	if err == nil {
		err = regular(path, info.Mode())
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	} else {
		err = fileError(path, err)
	}
	if err != nil {
		return nil, err
	}
	// Not os.CreateTemp, whose files nobody else may read.
	temp := fmt.Sprintf("%s.%08x.tmp", path, rand.Uint32())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fileError(path, err)
	}
	return &PendingFile{f, path}, nil
}

// Commit closes the file and gives it its name, replacing a file of that name.
func (f *PendingFile) Commit() error {
	err := f.Close()
	if err == nil {
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fileError(f.path, err)
	}
	return nil
}

// Discard closes and removes the file. After Commit it does nothing.
func (f *PendingFile) Discard() {
	if f.Close() == nil {
		os.Remove(f.Name())
	}
}

// ReadNPYFile reads a .npy file of at most MaxNPY values as ReadNPY does. Errors
// name the file.
func ReadNPYFile(path string) (*Tensor, error) {
	f, err := OpenFile(path, 4*MaxNPY+maxHeader+12)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := ReadNPY(f, MaxNPY)
	if err != nil {
		return nil, fileError(path, err)
	}
	return t, nil
}

// WriteNPYFile writes t as WriteNPY does; the file appears only when it is
// complete. Errors name the file.
func WriteNPYFile(path string, t *Tensor) error {
	f, err := CreateFile(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	if err := WriteNPY(f, t); err != nil {
		return fileError(path, err)
	}
	return f.Commit()
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

// fileError puts the file's name before the error, once, and leaves the system
// call's name out.
func fileError(path string, err error) error {
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
