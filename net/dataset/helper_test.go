package dataset

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebench/net/preprocess"
)

// preprocessor returns the preprocessor of a name.
func preprocessor(t testing.TB, name string) *preprocess.Preprocessor {
	t.Helper()
	p, err := preprocess.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// noise returns a PNG of a picture of random colours, which are those of the seed.
func noise(w, h int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32()), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// A tree is files by their paths; those that end in a slash are folders.
type tree map[string][]byte

// named returns a tree of empty files and folders.
func named(paths ...string) tree {
	t := tree{}
	for _, path := range paths {
		t[path] = nil
	}
	return t
}

// folder writes a tree to a new folder.
func (tr tree) folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range tr {
		path := filepath.Join(dir, filepath.FromSlash(name))
		folder := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			folder = path
		}
		if err := os.MkdirAll(folder, 0o777); err != nil {
			t.Fatal(err)
		}
		if folder != path {
			if err := os.WriteFile(path, data, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// tar returns an archive of a tree, in an order that is not that of the names.
func (tr tree) tar() []byte {
	var headers []tar.Header
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(tr))) {
		h := tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(tr[name])), Mode: 0o666}
		if strings.HasSuffix(name, "/") {
			h.Typeflag = tar.TypeDir
		}
		headers = append(headers, h)
	}
	return archive(tr, headers...)
}

// archive returns an archive of headers, with the files of a tree.
func archive(tr tree, headers ...tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		if _, err := w.Write(tr[h.Name]); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func zipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

// write writes a file to a new folder.
func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// forms returns the paths of a tree in all forms that a data set can have.
func (tr tree) forms(t testing.TB) []string {
	return []string{tr.folder(t), write(t, "a.tar", tr.tar()), write(t, "a.tar.gz", zipped(tr.tar()))}
}

// open opens a data set for a test.
func open(t testing.TB, path string, o Options) *Dataset {
	t.Helper()
	if o.Preprocessor == nil {
		o.Preprocessor = preprocessor(t, "cifar-rgb-32")
	}
	d, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if used := d.Memory(); used > d.budget.limit {
			t.Errorf("%d bytes of memory, expected at most %d", used, d.budget.limit)
		}
	})
	return d
}

// loader returns a loader for a test.
func loader(t testing.TB, s *Split, o LoaderOptions) *Loader {
	t.Helper()
	l, err := s.Loader(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// next returns a copy of the next batch.
func next(t testing.TB, l *Loader) Batch {
	t.Helper()
	b, err := l.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c := *b
	c.Input.Memory = bytes.Clone(b.Input.Memory)
	c.Labels, c.Pictures, c.Skipped = slices.Clone(b.Labels), slices.Clone(b.Pictures), slices.Clone(b.Skipped)
	return c
}

// rest returns copies of all batches to the end.
func rest(t testing.TB, l *Loader) (all []Batch) {
	t.Helper()
	for {
		b, err := l.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		c := *b
		c.Input.Memory = bytes.Clone(b.Input.Memory)
		c.Labels, c.Pictures = slices.Clone(b.Labels), slices.Clone(b.Pictures)
		all = append(all, c)
	}
}

// same reports whether two batches hold the same pictures with the same bits.
func same(a, b Batch) bool {
	size := len(a.Input.Memory) / a.Input.N * len(a.Labels)
	return a.Epoch == b.Epoch && a.Step == b.Step && slices.Equal(a.Labels, b.Labels) && slices.Equal(a.Pictures, b.Pictures) &&
		bytes.Equal(a.Input.Memory[:size], b.Input.Memory[:size])
}
