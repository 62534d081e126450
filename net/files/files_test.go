package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"firebench/kernels/kerneltest"
)

// names returns the names in a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	write := func(content string) *Pending {
		t.Helper()
		f, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, content); err != nil {
			t.Fatal(err)
		}
		return f
	}
	content := func() string {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}

	f := write("first")
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there before Commit")
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	f.Discard()
	if got := content(); got != "first" {
		t.Errorf("after Commit and Discard: %q", got)
	}
	write("never").Discard()
	if got := content(); got != "first" {
		t.Errorf("after Discard: %q", got)
	}
	if err := write("second").Commit(); err != nil {
		t.Fatal(err)
	}
	if got := content(); got != "second" {
		t.Errorf("after the second Commit: %q", got)
	}
	if err := Write(path, []byte("third")); err != nil {
		t.Fatal(err)
	}
	if got := content(); got != "third" {
		t.Errorf("after Write: %q", got)
	}
	if got, want := names(t, dir), []string{"out"}; !slices.Equal(got, want) {
		t.Errorf("files left: %q, want %q", got, want)
	}
}

// TestEnded uses files that have been committed or discarded.
func TestEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	for name, end := range map[string]func(f *Pending){
		"Commit":  func(f *Pending) { f.Commit() },
		"Discard": func(f *Pending) { f.Discard() },
	} {
		f, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		end(f)
		before := names(t, filepath.Dir(path))
		want := path + ": file already closed"
		if _, err := f.Write([]byte("more")); err == nil || err.Error() != want {
			t.Errorf("Write after %s: error %v, want %s", name, err, want)
		}
		if err := f.Commit(); err == nil || err.Error() != want {
			t.Errorf("Commit after %s: error %v, want %s", name, err, want)
		}
		f.Discard()
		if after := names(t, filepath.Dir(path)); !slices.Equal(after, before) {
			t.Errorf("after %s, %q became %q", name, before, after)
		}
	}
}

// TestCommitFails takes the folder away.
func TestCommitFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "out")
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Skip("the system keeps folders with open files")
	}
	if err := f.Commit(); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("error %v, expected one that names the file", err)
	}
}

func TestReadAll(t *testing.T) {
	if data, err := ReadAll("input", strings.NewReader("123"), 3); err != nil || string(data) != "123" {
		t.Errorf("read %q, %v", data, err)
	}
	if _, err := ReadAll("input", strings.NewReader("1234"), 3); err == nil || err.Error() != "input: more than 3 bytes" {
		t.Errorf("error %v", err)
	}
	broken := errors.New("broken")
	if _, err := ReadAll("input", iotest.ErrReader(broken), 3); !errors.Is(err, broken) || err.Error() != "input: broken" {
		t.Errorf("error %v", err)
	}
}

func TestError(t *testing.T) {
	plain := errors.New("plain")
	for _, test := range []struct {
		err  error
		want string
	}{
		{plain, "out: plain"},
		{&fs.PathError{Op: "open", Path: "out.1234.tmp", Err: plain}, "out: plain"},
		{&os.LinkError{Op: "rename", Old: "out.1234.tmp", New: "out", Err: plain}, "out: plain"},
		{Error("out", plain), "out: plain"},
		{Error("in", plain), "out: in: plain"},
	} {
		if err := Error("out", test.err); err.Error() != test.want || !errors.Is(err, plain) {
			t.Errorf("%q becomes %q, want %q", test.err, err, test.want)
		}
	}
}

func TestFilesRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("0123456789"), 0o666); err != nil {
		t.Fatal(err)
	}
	create := func(path string) error {
		f, err := Create(path)
		if err == nil {
			f.Discard()
		}
		return err
	}
	read := func(path string) error {
		_, err := Read(path, 9)
		return err
	}
	type test struct {
		open func(string) error
		path string
		want string
	}
	tests := []test{
		{create, dir, "is a folder"},
		{create, filepath.Join(dir, "none", "file"), kerneltest.StatError(t, filepath.Join(dir, "none", "file"))},
		{create, filepath.Join(file, "file"), kerneltest.StatError(t, filepath.Join(file, "file"))},
		{read, dir, "is a folder"},
		{read, filepath.Join(dir, "none"), kerneltest.StatError(t, filepath.Join(dir, "none"))},
		{read, file, "10 bytes, expected at most 9"},
	}
	if runtime.GOOS == "linux" {
		link := filepath.Join(dir, "link")
		if err := os.Symlink(file, link); err != nil {
			t.Fatal(err)
		}
		tests = append(tests,
			test{create, link, "is a symbolic link"},
			test{create, os.DevNull, "is a device"},
			test{read, os.DevNull, "is a device"},
			test{read, "/proc/self/status", "more than 9 bytes"},
		)
	}
	for _, test := range tests {
		err := test.open(test.path)
		if err == nil || !strings.HasPrefix(err.Error(), test.path+": ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, expected one with the name and %q", test.path, err, test.want)
		}
		if err != nil && strings.Count(err.Error(), test.path) > 1 {
			t.Errorf("error %q names the file twice", err)
		}
	}
}
