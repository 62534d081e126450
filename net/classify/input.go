package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"firebench/kernels"
	"firebench/net/cli"
	"firebench/net/files"
	"firebench/net/preprocess"
	"firebench/net/tensor"
)

// load fills v with an INPUT. Errors name the file.
func (c *classifier) load(v kernels.View, path string) error {
	if isTensor(path) {
		return c.loadTensor(v, path)
	}
	err := c.loadPicture(v, path)
	if errors.Is(err, preprocess.ErrFormat) {
		err = fmt.Errorf("%w (a tensor would be called %s)", err, tensorExt)
	}
	return err
}

// loadPicture fills v from a picture, in a file or on standard input.
func (c *classifier) loadPicture(v kernels.View, path string) error {
	if path != stdinName {
		return cli.ReadPicture(c.preprocessor, v, path)
	}
	path = "standard input"
	data, err := files.ReadAll(path, c.stdin, cli.MaxPicture)
	if err != nil {
		return err
	}
	if err := c.preprocessor.Read(v, bytes.NewReader(data)); err != nil {
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
		return fmt.Errorf("%s: tensor of shape %s, expected %s for %s", path, t.Shape(), tensor.New(want...).Shape(), c.Model.Name)
	}
	if i := slices.IndexFunc(t.Data, notFinite); i >= 0 {
		return fmt.Errorf("%s: value [0,%d,%d,%d] is %g, expected finite values",
			path, i/(v.H*v.W), i/v.W%v.H, i%v.W, t.Data[i])
	}
	return t.ToView(v)
}
