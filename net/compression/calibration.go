package compression

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"firebench/kernels"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/layer"
)

// A Calibration has the types that the values of a network get when it is quantized.
type Calibration struct {
	Model  string `json:"model"`  // the name of the network
	Method Method `json:"method"` // by which the types were found
	Images int    `json:"images"` // in how many pictures

	// Values has the network's input, which is named [graph.Input], and the results of all nodes, in
	// their order.
	Values []Value `json:"values"`
}

// A Value is the type of a value: an integer q from 0 to 255 stands for Scale·(q − Zero).
type Value struct {
	Name  string  `json:"name"`
	Scale float32 `json:"scale"`
	Zero  int32   `json:"zero"`
}

// Type returns the type for the kernels.
func (v Value) Type() kernels.Type {
	return kernels.Type{Element: kernels.Uint8, Scale: v.Scale, Zero: v.Zero}
}

// maxFile is how many bytes a file of a calibration may have.
const maxFile = 1 << 20

// Load reads a file that has what Write writes, and checks that it is a calibration of m. Errors name
// the file, and the field that is wrong.
func Load(path string, m *graph.Model) (*Calibration, error) {
	data, err := files.Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	var c Calibration
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err = d.Decode(&c)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("more than one JSON value")
		}
	}
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		expected := mismatch.Type.Kind().String()
		if mismatch.Type == reflect.TypeFor[Method]() { // which is text in a file
			expected = "a string: " + methodNames()
		}
		err = fmt.Errorf("%s is %s, expected %s", cmp.Or(mismatch.Field, "it"), mismatch.Value, expected)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: not a calibration: %w", path, err)
	}
	if err := c.Check(m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &c, nil
}

// Write writes c as JSON.
func (c *Calibration) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(c)
}

// Check returns an error unless c is a calibration of m: it must name the model, and have a valid
// type for the input and for each node of m and for nothing else. Layers that keep the type of
// their inputs must have the type of these.
func (c *Calibration) Check(m *graph.Model) error {
	if c.Model != m.Name {
		return fmt.Errorf("model is %q, expected %q", c.Model, m.Name)
	}
	if err := c.Method.check(); err != nil {
		return err
	}
	if c.Images < 1 {
		return fmt.Errorf("images is %d, expected at least 1", c.Images)
	}
	values, err := valuesOf(m)
	if err != nil {
		return err
	}
	types := map[string]kernels.Type{}
	for i, v := range c.Values {
		fail := func(format string, args ...any) error {
			return fmt.Errorf("values[%d]: "+format, append([]any{i}, args...)...)
		}
		if i >= len(values) {
			return fail("name is %q, expected no more values", v.Name)
		}
		if want := values[i].name; v.Name != want {
			return fail("name is %q, expected %q", v.Name, want)
		}
		if !(v.Scale > 0 && v.Scale-v.Scale == 0) {
			return fail("scale of %s is %g, expected a positive number", v.Name, v.Scale)
		}
		if v.Zero < 0 || v.Zero > 255 {
			return fail("zero of %s is %d, expected 0 to 255", v.Name, v.Zero)
		}
		if values[i].keepsType {
			for _, in := range values[i].inputs {
				if t := types[in]; t != v.Type() {
					return fail("%s has the type %v, and its input %s has %v, expected the same", v.Name, v.Type(), in, t)
				}
			}
		}
		types[v.Name] = v.Type()
	}
	if n := len(c.Values); n < len(values) {
		return fmt.Errorf("values: %d of %d, the first that is missing is %q", n, len(values), values[n].name)
	}
	return nil
}

// A value is the input or the result of a node, as far as quantization must know it.
type value struct {
	name   string
	inputs []string // of the node
	shape  layer.Shape

	// keepsType says that the node's result has the type of its inputs, whatever it is: the two
	// are the same numbers, or some of them.
	keepsType bool

	// score says that no weights lie between the value and the network's results.
	score bool
}

// valuesOf returns the values of a float32 model: its input and the results of its nodes.
func valuesOf(m *graph.Model) ([]value, error) {
	infos, err := m.Infer()
	if err != nil {
		return nil, err
	}
	values := []value{{name: graph.Input, shape: m.Input}}
	for i, n := range infos {
		inputs := m.Nodes[i].Inputs
		if len(inputs) == 0 {
			inputs = []string{values[i].name}
		}
		values = append(values, value{name: n.Name, inputs: inputs, shape: n.Out, keepsType: keepsType(n.Layer, n.In)})
	}
	weighed := map[string]bool{} // the values that layers with weights read, sooner or later
	for i := len(infos) - 1; i >= 0; i-- {
		v := &values[i+1]
		v.score = !weighed[v.name]
		if _, ok := infos[i].Layer.(layer.Weighted); ok || !v.score {
			for _, in := range v.inputs {
				weighed[in] = true
			}
		}
	}
	values[0].score = !weighed[graph.Input]
	for _, v := range values {
		if v.shape.Type != (kernels.Type{}) {
			return nil, fmt.Errorf("%s is of %v, expected a model of %v", v.name, v.shape.Type, kernels.Float32)
		}
	}
	return values, nil
}

// keepsType reports whether a layer's result is of the type of its inputs, of these shapes.
func keepsType(l layer.Layer, in []layer.Shape) bool {
	if _, ok := l.(layer.Typed); ok {
		return false
	}
	t := Value{Scale: 1}.Type()
	var typed []layer.Shape
	for _, s := range in {
		typed = append(typed, s.As(t))
	}
	out, err := l.OutShape(typed)
	return err == nil && out.Type == t
}
