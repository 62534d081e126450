package compression

import (
	"path/filepath"
	"sync"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/preprocess"
)

// photographs returns those of folder below shared as a network expects them, and their paths.
func photographs(t *testing.T, m *graph.Model, folder string) (images []kernels.View, paths []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(kerneltest.Shared(t, folder), "*.JPEG"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := preprocess.Lookup(m.Preprocessor)
	if err != nil {
		t.Fatal(err)
	}
	images = make([]kernels.View, len(paths))
	var wg sync.WaitGroup
	for i, path := range paths {
		images[i] = image(m.Input)
		wg.Go(func() {
			f, err := files.Open(path, 1<<20)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if err := p.Read(images[i], f); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		})
	}
	wg.Wait()
	return images, paths
}
