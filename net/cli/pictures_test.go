package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/net/layer"
)

// tree writes empty files, and folders where a name ends in a slash, and returns their folder.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		folder := filepath.Dir(path)
		if name[len(name)-1] == '/' {
			folder = path
		}
		if err := os.MkdirAll(folder, 0o777); err != nil {
			t.Fatal(err)
		}
		if folder != path {
			if err := os.WriteFile(path, nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func TestPictures(t *testing.T) {
	dir := tree(t, "b.JPEG", "a/2.png", "a/1.jpg", "a/c/3.Gif", "expected.json", "._b.jpg", "a/.hidden.png", "jpg", "empty/", "text/notes.txt", "text/more/")
	in := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, filepath.Join(dir, filepath.FromSlash(name)))
		}
		return paths
	}
	for _, test := range []struct{ paths, want []string }{
		{nil, nil},
		{in("."), in("a/1.jpg", "a/2.png", "a/c/3.Gif", "b.JPEG")},
		{in("b.JPEG", "a", "expected.json", "none.jpg"), in("b.JPEG", "a/1.jpg", "a/2.png", "a/c/3.Gif", "expected.json", "none.jpg")},
	} {
		got, err := Pictures(test.paths)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("Pictures(%q) = %q, %v, want %q", test.paths, got, err, test.want)
		}
	}
	for _, test := range []struct {
		path []string
		want string
	}{
		{in("empty"), in("empty")[0] + ": the folder is empty, expected pictures"},
		{in("a", "empty"), in("empty")[0] + ": the folder is empty, expected pictures"},
		{in("text"), in("text")[0] + ": no picture in it, expected files named .jpg, .jpeg, .png, .gif"},
	} {
		if got, err := Pictures(test.path); err == nil || err.Error() != test.want {
			t.Errorf("Pictures(%q) = %q, error %v, want %q", test.path, got, err, test.want)
		}
	}
	if runtime.GOOS != "windows" {
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(filepath.Join(dir, "a"), link); err != nil {
			t.Fatal(err)
		}
		want := []string{filepath.Join(link, "1.jpg"), filepath.Join(link, "2.png"), filepath.Join(link, "c", "3.Gif")}
		if got, err := Pictures([]string{link}); err != nil || !slices.Equal(got, want) {
			t.Errorf("of a symbolic link: %q, %v, want %q", got, err, want)
		}
	}
}

// TestAhead loads more inputs than are loaded at a time.
func TestAhead(t *testing.T) {
	shape := layer.Shape{H: 1, W: 1, C: 2}
	odd := errors.New("odd")
	load := func(v kernels.View, i int) error {
		kernels.Pixel[float32](v, 0, 0, 0)[1] = float32(i)
		if i%2 == 1 {
			return odd
		}
		return nil
	}
	const n = 100
	i := 0
	for v, err := range Ahead(t.Context(), shape, n, load) {
		if got := kernels.Pixel[float32](v, 0, 0, 0)[1]; got != float32(i) || (err == odd) != (i%2 == 1) {
			t.Errorf("input %d is %g with error %v", i, got, err)
		}
		i++
	}
	if i != n {
		t.Errorf("%d inputs, want %d", i, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	i = 0
	for range Ahead(ctx, shape, n, load) {
		if i++; i == 3 {
			cancel()
		}
	}
	if i != 3 {
		t.Errorf("%d inputs, want 3", i)
	}
	for range Ahead(t.Context(), shape, 0, load) {
		t.Error("an input of none")
	}
}
