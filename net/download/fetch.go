package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"firebench/net/files"
)

// partExt ends the name of a file that is not complete.
const partExt = ".part"

// A fetcher downloads files to a folder.
type fetcher struct {
	client   *http.Client
	dir      string
	progress func(f published, bytes int64)
}

// newClient returns a client that waits long for a large file, but not for a silent server.
func newClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = 30 * time.Second
	t.DisableCompression = true // lengths and places are those of the file
	return &http.Client{Transport: t}
}

// fetch makes sure that the folder has f, and returns its path. What a download has got before it ends early
// stays beside it and is the start of the next one. A file that is not what the table says is no result,
// whoever has put it there.
func (d *fetcher) fetch(ctx context.Context, f published) (path string, err error) {
	path = filepath.Join(d.dir, f.name)
	switch _, err := os.Lstat(path); {
	case err == nil:
		if err := check(path, f); err != nil {
			return "", fmt.Errorf("%w; remove it", err)
		}
		return path, nil
	case !errors.Is(err, os.ErrNotExist):
		return "", files.Error(path, err)
	}
	if err := os.MkdirAll(d.dir, 0o777); err != nil {
		return "", files.Error(d.dir, err)
	}
	part := path + partExt
	if err := d.download(ctx, f, part); err != nil {
		return "", err
	}
	if err := check(part, f); err != nil {
		os.Remove(part) // to go on with it would give the same again
		return "", fmt.Errorf("%s: %w", f.url, err)
	}
	if err := os.Rename(part, path); err != nil {
		return "", files.Error(path, err)
	}
	return path, nil
}

// download completes the file at part.
func (d *fetcher) download(ctx context.Context, f published, part string) (err error) {
	have := int64(0)
	if info, err := os.Lstat(part); err == nil {
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s: expected a regular file or none", part)
		}
		have = info.Size()
	}
	if have == f.size {
		return nil
	}
	if have > f.size {
		have = 0
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return err
	}
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return d.offline(f, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
		have = 0 // the server sends all of it
	case resp.StatusCode == http.StatusPartialContent && have > 0:
		if want, got := fmt.Sprintf("bytes %d-%d/%d", have, f.size-1, f.size), resp.Header.Get("Content-Range"); got != want {
			return fmt.Errorf("%s: the server sends %q, expected %q", f.url, got, want)
		}
	default:
		return d.offline(f, fmt.Errorf("%s: the server says %s", f.url, resp.Status))
	}
	if n := resp.ContentLength; n >= 0 && n != f.size-have {
		return fmt.Errorf("%s: the server has %d bytes, expected %d", f.url, n+have, f.size)
	}
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return files.Error(part, err)
	}
	defer func() {
		if e := out.Close(); err == nil && e != nil {
			err = files.Error(part, e)
		}
	}()
	if err := out.Truncate(have); err != nil {
		return files.Error(part, err)
	}
	if _, err := out.Seek(have, io.SeekStart); err != nil {
		return files.Error(part, err)
	}

	// A server that falls silent must not hold the command for ever.
	silence := time.AfterFunc(timeout, func() { cancel(fmt.Errorf("nothing arrived for %v", timeout)) })
	defer silence.Stop()
	buffer := make([]byte, 64<<10)
	for {
		n, readErr := resp.Body.Read(buffer)
		silence.Reset(timeout)
		if have+int64(n) > f.size {
			return fmt.Errorf("%s: more than %d bytes", f.url, f.size)
		}
		n, err := out.Write(buffer[:n])
		have += int64(n)
		if err != nil {
			return fmt.Errorf("%w; the next run goes on from byte %d", files.Error(part, err), have)
		}
		d.progress(f, have)
		switch {
		case readErr == io.EOF && have == f.size:
			return nil
		case readErr == io.EOF:
			return fmt.Errorf("%s: ended after %d of %d bytes; the next run goes on from there", f.url, have, f.size)
		case readErr != nil:
			if cause := context.Cause(ctx); cause != nil {
				readErr = cause
			}
			return fmt.Errorf("%s: after %d of %d bytes: %w; the next run goes on from there", f.url, have, f.size, readErr)
		}
	}
}

// timeout is how long a server may send nothing.
const timeout = time.Minute

// offline says what to do where the file cannot be reached.
func (d *fetcher) offline(f published, err error) error {
	return fmt.Errorf("%w; without a connection, bring the file from elsewhere as %s: %d bytes, SHA-256 %s", err, filepath.Join(d.dir, f.name), f.size, f.sha256)
}

// check returns an error unless the file at path is f.
func check(path string, f published) error {
	in, err := files.Open(path, f.size)
	if err != nil {
		return err
	}
	defer in.Close()
	h := sha256.New()
	n, err := io.Copy(h, in)
	if err != nil {
		return files.Error(path, err)
	}
	if n != f.size {
		return fmt.Errorf("%s: %d bytes, expected %d", path, n, f.size)
	}
	if got := hex.EncodeToString(h.Sum(nil)); !strings.EqualFold(got, f.sha256) {
		return fmt.Errorf("%s: SHA-256 is %s, expected %s", path, got, f.sha256)
	}
	return nil
}
