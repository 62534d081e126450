package weights

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"

	"firebench/kernels"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/tensor"
)

// maxFile bounds the files that are opened. They are not read into memory: it is far more than any
// network here has, in float64 and with the gradients that Caffe may have saved.
const maxFile = 4 << 30

// tensors are the weights that a file has as named tensors. It reads those of a layer when they are asked
// for, into memory that the next layer uses again.
type tensors struct {
	path    string
	info    fs.FileInfo                              // of the file when its structure was read
	arrays  map[string]array                         // by their names in the file
	names   func(node string) (weights, bias string) // in the file
	recipe  recipe
	network *graph.Model // the table of the published network whose weights they are, or nil
	model   string       // the name of the model that the file is for if network is nil, or ""

	values, bias []float32
}

// An array is a tensor in a file.
type array struct {
	dims []int
	load func(r io.ReaderAt, dst []float32) ([]float32, error) // as [tensor.Load], from the same file
}

func (a array) shape() string { return tensor.Stored{Dims: a.dims}.Shape() }

// Adapt returns m as it was trained. It is an error if the weights are another model's.
func (t *tensors) Adapt(m *graph.Model) (*graph.Model, error) {
	adapted, err := t.adapt(m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.path, err)
	}
	return adapted, nil
}

func (t *tensors) adapt(m *graph.Model) (*graph.Model, error) {
	if t.network != nil {
		return t.recipe.adapt(m, t.network)
	}
	if t.model != "" && t.model != m.Name {
		return nil, fmt.Errorf("weights of %s do not fit the model %s", t.model, m.Name)
	}
	adapted := t.recipe.apply(m)
	return adapted, t.fit(adapted)
}

// published says that the weights are those of a model, and checks that they are all there.
func (t *tensors) published(model string) (err error) {
	if t.network, err = models.Lookup(model); err != nil {
		return err
	}
	return t.fit(t.recipe.apply(t.network))
}

// fit returns an error unless the file has the weights of m, with the right shapes, and nothing else.
func (t *tensors) fit(m *graph.Model) error {
	params, err := m.Params()
	if err != nil {
		return err
	}
	surplus := maps.Clone(t.arrays)
	for _, p := range params {
		weights, bias, err := t.find(p)
		if err != nil {
			return fmt.Errorf("weights of %s: %w", m.Name, err)
		}
		delete(surplus, weights)
		delete(surplus, bias)
	}
	if len(surplus) > 0 {
		name := slices.Min(slices.Collect(maps.Keys(surplus)))
		return fmt.Errorf("weights of %s: tensor %q of %s is surplus, expected %d others", m.Name, name, surplus[name].shape(), len(t.arrays)-len(surplus))
	}
	return nil
}

// find returns the names of a layer's tensors.
func (t *tensors) find(p graph.Param) (weights, bias string, err error) {
	weights, bias = t.names(p.Node)
	flat := []int{p.Dims[0], p.Dims[1] * p.Dims[2] * p.Dims[3]} // as dense layers have them
	if err = t.check(weights, p.Dims[:], flat); err == nil {
		err = t.check(bias, p.Dims[:1])
	}
	return weights, bias, err
}

// check returns an error unless a tensor is there, in one of two shapes.
func (t *tensors) check(name string, dims ...[]int) error {
	a, ok := t.arrays[name]
	if want := (array{dims: dims[0]}).shape(); !ok {
		return fmt.Errorf("tensor %q is missing, expected %s", name, want)
	} else if !slices.ContainsFunc(dims, func(d []int) bool { return slices.Equal(d, a.dims) }) {
		return fmt.Errorf("tensor %q is %s, expected %s", name, a.shape(), want)
	}
	return nil
}

// Layer implements graph.Weights.
func (t *tensors) Layer(p graph.Param) (kernels.Weights, error) {
	f, err := t.open()
	if err != nil {
		return kernels.Weights{}, err
	}
	defer f.Close()
	w, err := t.load(f, p)
	if err != nil {
		return kernels.Weights{}, fmt.Errorf("%s: %w", t.path, err)
	}
	return w, nil
}

// open opens the file again: between layers it is closed, for nobody says when the weights are no
// longer needed.
func (t *tensors) open() (*os.File, error) {
	f, err := files.Open(t.path, maxFile)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (info.Size() != t.info.Size() || !info.ModTime().Equal(t.info.ModTime())) {
		err = errors.New("the file has changed since it was opened")
	}
	if err != nil {
		f.Close()
		return nil, files.Error(t.path, err)
	}
	return f, nil
}

// load reads the weights of a layer from r, which is the file.
func (t *tensors) load(r io.ReaderAt, p graph.Param) (w kernels.Weights, err error) {
	weights, bias, err := t.find(p)
	if err != nil {
		return w, err
	}
	if t.values, err = t.read(r, weights, t.values); err != nil {
		return w, err
	}
	if t.bias, err = t.read(r, bias, t.bias); err != nil {
		return w, err
	}
	if zeros(t.values) {
		return w, fmt.Errorf("tensor %q of %s: all values are zero", weights, t.arrays[weights].shape())
	}
	return kernels.Weights{Values: t.values, Bias: t.bias}, nil
}

// read returns the values of a tensor, in the memory of dst if that has the right size for it.
func (t *tensors) read(r io.ReaderAt, name string, dst []float32) ([]float32, error) {
	a := t.arrays[name]
	n := 1
	for _, d := range a.dims {
		n *= d
	}
	values, err := a.load(r, resize(dst, n))
	if err == nil {
		err = finite(values)
	}
	if err != nil {
		return dst, fmt.Errorf("tensor %q of %s: %w", name, a.shape(), err)
	}
	return values, nil
}

// finite returns an error if one of the values is not finite.
func finite(values []float32) error {
	for i, v := range values {
		if v-v != 0 {
			return fmt.Errorf("value %d is %g, expected a finite value", i, v)
		}
	}
	return nil
}

// zeros reports whether all values are zero.
func zeros(values []float32) bool {
	return !slices.ContainsFunc(values, func(v float32) bool { return math.Float32bits(v)<<1 != 0 })
}
