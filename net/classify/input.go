package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/tensor"
)

// load fills the plan's input from a file, a tensor if it is called .npy, else an
// image; it returns the name of the recipe that it applied, for a tensor "".
// Errors name the file.
func load(path string, p *graph.Plan) (recipe string, err error) {
	if strings.EqualFold(filepath.Ext(path), ".npy") {
		return "", loadTensor(path, p)
	}
	f, err := files.Open(path, maxFile)
	if err != nil {
		return "", err
	}
	defer f.Close()
	fail := func(err error) (string, error) { return "", fmt.Errorf("%s: %w", path, err) }
	img, err := decode(f)
	if err != nil {
		return fail(err)
	}
	recipe = p.Model().Recipe
	r, ok := recipes[recipe]
	if !ok {
		return fail(fmt.Errorf("no recipe %q", recipe))
	}
	r.apply(p.Input(), img)
	return recipe, nil
}

// loadTensor fills the plan's input from a .npy file.
func loadTensor(path string, p *graph.Plan) error {
	t, err := tensor.ReadNPYFile(path)
	if err != nil {
		return err
	}
	in := p.Input()
	if want := []int{1, in.C, in.H, in.W}; !slices.Equal(t.Dims, want) {
		return fmt.Errorf("%s: tensor of shape %s, expected %s for %s", path, t.Shape(), tensor.New(want...).Shape(), p.Model().Name)
	}
	if i := slices.IndexFunc(t.Data, notFinite); i >= 0 {
		return fmt.Errorf("%s: value [0,%d,%d,%d] is %g, expected finite values",
			path, i/(in.H*in.W), i/in.W%in.H, i%in.W, t.Data[i])
	}
	return t.ToView(in)
}
