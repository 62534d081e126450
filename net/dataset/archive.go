package dataset

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"firebench/net/files"
)

// maxArchive is how many bytes an archive may have.
const maxArchive = 1 << 40

// A compressed archive has at most maxRatio times its bytes, and freeBytes beside: that bounds the time that it takes.
// Pictures hardly shrink; the headers and the zeros between them shrink to a hundredth at best.
const (
	maxRatio  = 100
	freeBytes = 64 << 20
)

// walkArchive goes through the data set's archive.
func (f *finding) walkArchive() error {
	d := f.dataset
	file, err := files.Open(d.path, maxArchive)
	if err != nil {
		return err
	}
	d.files = append(d.files, file)
	magic := make([]byte, 2)
	if _, err := io.ReadFull(file, magic); err != nil {
		return fmt.Errorf("%s: expected a folder or an archive, tar or tar.gz", d.path)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return files.Error(d.path, err)
	}
	if string(magic) != "\x1f\x8b" {
		return f.walkTar(file, file)
	}
	info, err := file.Stat()
	if err != nil {
		return files.Error(d.path, err)
	}
	unzip, err := gzip.NewReader(bufio.NewReaderSize(file, 256<<10))
	if err != nil {
		return files.Error(d.path, err)
	}
	content := &limited{unzip, maxRatio*info.Size() + freeBytes}
	if err := f.walkTar(content, nil); err != nil {
		return err
	}
	// The checksum is at the end.
	if _, err := io.Copy(io.Discard, content); err != nil {
		return files.Error(d.path, err)
	}
	return nil
}

// walkTar goes through an archive that r reads. It is file, or, if that is nil, r is all there is of it.
func (f *finding) walkTar(r io.Reader, file *os.File) error {
	d := f.dataset
	in, last := tar.NewReader(r), ""
	// Where a file lies is told by where reading stands.
	failed := func(err error) error {
		switch {
		case last == "" && (errors.Is(err, tar.ErrHeader) || file != nil && errors.Is(err, io.ErrUnexpectedEOF)):
			return fmt.Errorf("%s: expected a folder or an archive, tar or tar.gz", d.path)
		case last == "":
			return files.Error(d.path, err)
		}
		return files.Error(d.path, fmt.Errorf("damaged or truncated behind %s: %w", last, err))
	}
	for {
		h, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return failed(err)
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "/"))
		last = name
		if name == ".." || strings.HasPrefix(name, "../") {
			return fmt.Errorf("%s: contains %q, expected a path within the archive", d.path, h.Name)
		}
		if name == "." || isHidden(name) {
			continue
		}
		if h.Typeflag == tar.TypeDir {
			if _, err := f.folder(name); err != nil {
				return err
			}
			continue
		}
		if !isPicture(name) && !isRecords(name) && path.Base(name) != recordNames {
			continue
		}
		// The archive's parts of a sparse file are not those of the file.
		sparse := h.Typeflag == tar.TypeGNUSparse || h.PAXRecords["GNU.sparse.major"] != "" || h.PAXRecords["GNU.sparse.map"] != ""
		if h.Typeflag != tar.TypeReg || sparse {
			err := errors.New("a link, a sparse file or a device, expected a regular file")
			if !isPicture(name) {
				return files.Error(d.in(name), err)
			}
			if err := f.picture(name, content{err: err}); err != nil {
				return err
			}
			continue
		}
		var offset int64
		if file != nil {
			if offset, err = file.Seek(0, io.SeekCurrent); err != nil {
				return files.Error(d.path, err)
			}
		}
		switch {
		case isRecords(name):
			if err := f.recordFile(name, in, h.Size, file, offset); err != nil {
				return err
			}
		case !isPicture(name):
			if err := f.recordNames(name, in); err != nil {
				return err
			}
		case h.Size > MaxPicture:
			if err := f.picture(name, content{err: fmt.Errorf("%d bytes, expected at most %d", h.Size, MaxPicture)}); err != nil {
				return err
			}
		case file != nil:
			if err := f.picture(name, content{file: file, offset: offset, size: h.Size}); err != nil {
				return err
			}
		default:
			if err := d.reserveContent(h.Size); err != nil {
				return err
			}
			data, err := readFull(in, h.Size)
			if err != nil {
				return failed(err)
			}
			if err := f.picture(name, content{data: data}); err != nil {
				return err
			}
		}
	}
}

// readFull reads n bytes. It takes memory for those that are there.
func readFull(r io.Reader, n int64) ([]byte, error) {
	const trusted = 1 << 20
	if n <= trusted {
		data := make([]byte, n)
		_, err := io.ReadFull(r, data)
		return data, unexpectedEOF(err)
	}
	data, err := io.ReadAll(io.LimitReader(r, n))
	if err == nil && int64(len(data)) < n {
		err = io.ErrUnexpectedEOF
	}
	return data, err
}

// A limited is a reader that ends with an error when it has read more than some bytes.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("more than %d times as large without compression", maxRatio)
	}
	return n, err
}
