package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"firebench/kernels"
	"firebench/net/files"
	"firebench/net/preprocess"
	"firebench/net/tensor"
)

// maxFile is how many bytes a picture's file may have: 50 megapixels, hardly compressed.
const maxFile = 128 << 20

// An input is one INPUT, ready for the network.
type input struct {
	path         string
	view         kernels.View
	preprocessor string // the name of the one that was applied, "" for a tensor
	err          error
}

// load fills in with an INPUT. Its error names the file.
func (c *classifier) load(in *input, path string) {
	*in = input{path: path, view: in.view}
	if isTensor(path) {
		in.err = c.loadTensor(in.view, path)
		return
	}
	in.preprocessor = c.preprocessor.Name()
	in.err = c.loadPicture(in.view, path)
}

// loadPicture fills v from a picture, in a file or on standard input.
func (c *classifier) loadPicture(v kernels.View, path string) error {
	var r io.ReadSeeker
	if path == stdinName {
		path = "standard input"
		data, err := files.ReadAll(path, c.stdin, maxFile)
		if err != nil {
			return err
		}
		r = bytes.NewReader(data)
	} else {
		f, err := files.Open(path, maxFile)
		if err != nil {
			return err
		}
		defer f.Close()
		r = f
	}
	err := c.preprocessor.Read(v, r)
	if errors.Is(err, preprocess.ErrFormat) {
		err = fmt.Errorf("%w (a tensor would be called %s)", err, tensorExt)
	}
	if err != nil {
		return files.Error(path, err)
	}
	return nil
}

// loadTensor fills v from a .npy file.
func (c *classifier) loadTensor(v kernels.View, path string) error {
	// Room for a few more values, so that the error for a batch says its shape.
	limit := 8 * int64(v.C*v.H*v.W)
	f, err := files.Open(path, 1<<20+4*limit)
	if err != nil {
		return err
	}
	defer f.Close()
	t, err := tensor.ReadNPY(f, limit)
	if err != nil {
		return files.Error(path, err)
	}
	if want := []int{1, v.C, v.H, v.W}; !slices.Equal(t.Dims, want) {
		return fmt.Errorf("%s: tensor of shape %s, expected %s for %s", path, t.Shape(), tensor.New(want...).Shape(), c.model.Name)
	}
	if i := slices.IndexFunc(t.Data, notFinite); i >= 0 {
		return fmt.Errorf("%s: value [0,%d,%d,%d] is %g, expected finite values",
			path, i/(v.H*v.W), i/v.W%v.H, i%v.W, t.Data[i])
	}
	return t.ToView(v)
}

// copyView copies src to dst, which has the same shape but may have a halo.
func copyView(dst, src kernels.View) {
	for y := range src.H {
		for x := range src.W {
			copy(kernels.Pixel[float32](dst, 0, y, x), kernels.Pixel[float32](src, 0, y, x))
		}
	}
}
