package cli

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"firebench/kernels"
	"firebench/net/files"
	"firebench/net/layer"
	"firebench/net/preprocess"
)

// MaxPicture is how many bytes a picture's file may have: 50 megapixels, hardly compressed.
const MaxPicture = 128 << 20

// extensions are those of the files in a folder that are pictures.
var extensions = []string{".jpg", ".jpeg", ".png", ".gif"}

// Pictures replaces the folders among paths by the pictures in them and in the folders below
// them, in the order of their names. A picture is what has the name of one, .jpg, .jpeg, .png
// or .gif, and does not begin with a dot. It is an error if a folder has none. Paths that
// are no folders stay as they are, whether there are such files or not.
func Pictures(paths []string) ([]string, error) {
	var pictures []string
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			pictures = append(pictures, path)
			continue
		}
		before, others := len(pictures), 0
		// Through DirFS, path may be a symbolic link.
		err := fs.WalkDir(os.DirFS(path), ".", func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return files.Error(filepath.Join(path, name), err)
			case d.IsDir():
			case !strings.HasPrefix(d.Name(), ".") && slices.Contains(extensions, strings.ToLower(filepath.Ext(name))):
				pictures = append(pictures, filepath.Join(path, filepath.FromSlash(name)))
			default:
				others++
			}
			return nil
		})
		switch {
		case err != nil:
			return nil, err
		case len(pictures) > before:
		case others > 0:
			return nil, fmt.Errorf("%s: no picture in it, expected files named %s", path, strings.Join(extensions, ", "))
		default:
			return nil, fmt.Errorf("%s: the folder is empty, expected pictures", path)
		}
	}
	return pictures, nil
}

// ReadPicture fills v from a picture, the file at path. Errors name the file.
func ReadPicture(p *preprocess.Preprocessor, v kernels.View, path string) error {
	f, err := files.Open(path, MaxPicture)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := p.Read(v, f); err != nil {
		return files.Error(path, err)
	}
	return nil
}

// Images returns the pictures at paths as inputs of a network, in order. A picture that cannot be read, and the end of ctx,
// is an error. The progress says how many are done: what is "calibrated with", for example. See [Ahead].
func Images(ctx context.Context, p *preprocess.Preprocessor, shape layer.Shape, paths []string, progress *Progress, what string) iter.Seq2[kernels.View, error] {
	load := func(v kernels.View, i int) error { return ReadPicture(p, v, paths[i]) }
	return func(yield func(kernels.View, error) bool) {
		done := 0
		for v, err := range Ahead(ctx, shape, len(paths), load) {
			if !yield(v, err) {
				return
			}
			done++
			progress.Show("%s %d of %d pictures", what, done, len(paths))
		}
		if ctx.Err() != nil {
			yield(kernels.View{}, ErrInterrupted)
		}
	}
}

// Ahead loads n inputs of a network on other goroutines, and yields them in order with load's
// errors, while the loop's body uses those before. A view is the body's until its end. The loop
// ends early when ctx does. See [preprocess.Ahead].
func Ahead(ctx context.Context, shape layer.Shape, n int, load func(v kernels.View, i int) error) iter.Seq2[kernels.View, error] {
	window := min(n, 2*runtime.GOMAXPROCS(0))
	views, errs := make([]kernels.View, window), make([]error, window)
	for i := range views {
		views[i] = kernels.NewView(shape.Type, 1, shape.H, shape.W, shape.C, 0)
	}
	return func(yield func(kernels.View, error) bool) {
		for i := range preprocess.Ahead(ctx, n, window, func(i int) { errs[i%window] = load(views[i%window], i) }) {
			if !yield(views[i%window], errs[i%window]) {
				return
			}
		}
	}
}
