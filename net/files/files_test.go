package files

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
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
		if _, err := f.WriteString(content); err != nil {
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
	if got, want := names(t, dir), []string{"out"}; !slices.Equal(got, want) {
		t.Errorf("files left: %q, want %q", got, want)
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
		{create, filepath.Join(dir, "none", "file"), "no such file"},
		{create, filepath.Join(file, "file"), "not a directory"},
		{read, dir, "is a folder"},
		{read, filepath.Join(dir, "none"), "no such file"},
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
